//! One process of the server.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOG_TAIL_LINES: usize = 15;

#[derive(Clone, Debug)]
pub struct Addresses {
    pub api: String,
    pub peer: String,
    pub metrics: String,
}

#[derive(Debug)]
pub struct Node {
    pub id: usize,
    pub addresses: Addresses,
    pub folder: PathBuf,
    data_dir: PathBuf,
    binary: PathBuf,
    process: Option<Child>,
}

impl Node {
    /// Writes the configuration; `start` starts it.
    pub(super) fn new(
        id: usize,
        addresses: &Addresses,
        binary: &Path,
        folder: PathBuf,
        members: &[Addresses],
        settings: &[&str],
    ) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let (addresses, binary) = (addresses.clone(), binary.to_owned());
        let data_dir = folder.join("data");
        let node = Self { id, addresses, folder, data_dir, binary, process: None };
        fs::write(node.config_file(), config(&node, members, settings)?)?;
        Ok(node)
    }

    /// Puts the data elsewhere. To be called before the first start.
    pub(super) fn put_data_in(
        &mut self,
        folder: &Path,
        members: &[Addresses],
        settings: &[&str],
    ) -> Result<()> {
        self.data_dir = folder.join("data");
        Ok(fs::write(self.config_file(), config(self, members, settings)?)?)
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.join("everlog.toml")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone()
    }

    pub fn start(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("node {} is running", self.id);
        }
        self.process =
            Some(self.command()?.spawn().with_context(|| format!("run {}", self.binary.display()))?);
        Ok(())
    }

    /// The process as it would be started; its output goes to the end of the node's log.
    pub fn command(&self) -> Result<Command> {
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let mut command = Command::new(&self.binary);
        command
            .arg("server")
            .arg("--config")
            .arg(self.config_file())
            // The end of this pipe tells the server that the test is gone, however it went.
            .arg("--stop-on-stdin-end")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }

    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The process ends at once, without a chance to do anything (SIGKILL). Works on a stopped one too.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself; then there is nothing to kill, and `wait` collects it.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// The process stops running and keeps its memory and connections (SIGSTOP).
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// A stopped process goes on as if no time had passed (SIGCONT).
    pub fn go_on(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks the process to end (SIGTERM) and waits until it has; how long it took.
    pub fn terminate(&mut self, limit: Duration) -> Result<Duration> {
        self.signal(Signal::TERM)?;
        let asked = Instant::now();
        loop {
            if let Some(status) = self.exited()? {
                if !status.success() {
                    bail!("node {} ended with {status}\n{}", self.id, self.log_tail());
                }
                self.process = None;
                return Ok(asked.elapsed());
            }
            if asked.elapsed() > limit {
                bail!("node {} did not end within {limit:?} of SIGTERM\n{}", self.id, self.log_tail());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// How the process ended, if it did.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.process {
            Some(process) => Ok(process.try_wait()?),
            None => Ok(None),
        }
    }

    pub fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.as_ref().with_context(|| format!("node {} is not running", self.id))?;
        let pid = Pid::from_raw(i32::try_from(process.id())?).context("a process without an id")?;
        kill_process(pid, signal).with_context(|| format!("signal node {}", self.id))
    }
}

/// The node's configuration file.
fn config(node: &Node, members: &[Addresses], settings: &[&str]) -> Result<String> {
    let mut sections: std::collections::BTreeMap<&str, String> = [
        ("api", format!("listen = \"{}\"\n", node.addresses.api)),
        ("metrics", format!("listen = \"{}\"\n", node.addresses.metrics)),
        ("peer", format!("listen = \"{}\"\n", node.addresses.peer)),
    ]
    .into();
    let mut text = format!(
        "node_id = {}\ndata_dir = \"{}\"\nbootstrap_expect = {}\n",
        node.id,
        node.data_dir().display(),
        members.len()
    );
    for setting in settings {
        let (key, value) = setting.split_once('=').with_context(|| format!("{setting} is no setting"))?;
        match key.split_once('.') {
            Some((section, key)) => writeln!(sections.entry(section).or_default(), "{key} = {value}")?,
            None => writeln!(text, "{key} = {value}")?,
        }
    }
    for (section, lines) in sections {
        write!(text, "\n[{section}]\n{lines}")?;
    }
    for (member, id) in members.iter().zip(1..) {
        write!(text, "\n[[peers]]\nid = {id}\npeer = \"{}\"\napi = \"{}\"\n", member.peer, member.api)?;
    }
    Ok(text)
}
