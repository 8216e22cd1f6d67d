//! Running other programs: output streamed as it comes, and always an end.
//!
//! Lines are indented, which shows whose they are and keeps the last line of `cargo x test` the only
//! one of its form. Every program has a limit; one that exceeds it is ended together with all that it
//! started, because a server left behind would disturb the next test.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How long the readers may take to hand over the last lines once the program has ended. A program
/// that it left behind may hold the pipe open, and is not waited for.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Runs the command, prints its lines indented and hands each to `observe`.
pub fn stream(command: &mut Command, limit: Duration, mut observe: impl FnMut(&str)) -> Result<ExitStatus> {
    println!("    $ {}", shown(command));
    watch(command, limit, |line| {
        println!("    {line}");
        observe(line);
    })
}

/// Runs the command and hands each line to `observe`, whichever stream it was written to.
pub fn watch(command: &mut Command, limit: Duration, mut observe: impl FnMut(&str)) -> Result<ExitStatus> {
    let shown = shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {shown}"))?;
    let (sender, lines) = mpsc::channel();
    forward(child.stdout.take().context("no stdout")?, sender.clone());
    forward(child.stderr.take().context("no stderr")?, sender);
    let deadline = Instant::now() + limit;
    let status = loop {
        // Looking at the child only between lines is enough: a silent child is looked at five times a second.
        match lines.recv_timeout(Duration::from_millis(200)) {
            Ok(line) => observe(&line),
            Err(mpsc::RecvTimeoutError::Disconnected) => break wait(&mut child, deadline, &shown)?,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if let Some(status) = child.try_wait()? {
                    break status;
                }
            }
        }
        if Instant::now() > deadline {
            end(&mut child);
            bail!("{shown}: still running after {} s, ended", limit.as_secs());
        }
    };
    let last = Instant::now() + LAST_LINES;
    while let Ok(line) = lines.recv_timeout(last.saturating_duration_since(Instant::now())) {
        observe(&line);
    }
    Ok(status)
}

/// Runs the command and gives what it wrote to stdout; fails if it fails.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("run {shown}"))?;
    if !output.status.success() {
        bail!("{shown}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn forward(stream: impl Read + Send + 'static, lines: mpsc::Sender<String>) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        // Not `lines()`: one odd byte in a program's output must not end the reading.
        while stream.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if lines.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
}

fn wait(child: &mut Child, deadline: Instant, shown: &str) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            end(child);
            bail!("{shown}: closed its output and never ended");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ends a program and all its descendants.
pub fn end(child: &mut Child) {
    let mut doomed = descendants(child.id());
    doomed.push(child.id());
    let ids = doomed.iter().map(u32::to_string);
    // A process that ended by itself meanwhile is no failure.
    let _ = Command::new("kill").arg("-KILL").args(ids).stderr(Stdio::null()).status();
    let _ = child.wait();
}

/// All processes below this one, the deepest last.
fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, parent_of(id)?)))
        .collect();
    let mut found = Vec::new();
    let mut look_below = vec![root];
    while let Some(parent) = look_below.pop() {
        for (id, _) in parents.iter().filter(|(_, of)| *of == parent) {
            found.push(*id);
            look_below.push(*id);
        }
    }
    found
}

fn parent_of(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name of the program is in parentheses and may itself contain some.
    status.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_observed_to_the_last_line() {
        let mut seen = Vec::new();
        let status = stream(&mut sh("echo a; echo b >&2; exit 3"), Duration::from_secs(20), |line| {
            seen.push(line.to_owned());
        });
        seen.sort();
        assert_eq!(status.ok().and_then(|status| status.code()), Some(3));
        assert_eq!(seen, ["a", "b"]);
    }

    #[test]
    fn a_program_over_its_limit_ends_with_all_it_started() {
        let mut grandchild = None;
        let result = stream(&mut sh("sleep 60 & echo $!; wait"), Duration::from_millis(500), |line| {
            grandchild = line.parse::<u32>().ok();
        });
        assert!(result.is_err());
        let grandchild = grandchild.expect("its id was printed");
        let gone = || {
            // An ended process whose parent is gone may be a zombie until it is collected.
            fs::read_to_string(format!("/proc/{grandchild}/stat")).map_or(true, |stat| stat.contains(") Z "))
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !gone() {
            assert!(Instant::now() < deadline, "{grandchild} still runs");
            thread::sleep(Duration::from_millis(10));
        }
    }
}
