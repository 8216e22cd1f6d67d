//! Programs with the official Rust SDK: `everlog-conformance-rust SUBJECT ADDRESSES NONCE CASE..` runs cases of one
//! subject, `--list` names the cases of all. One line of JSON is written for each case; the parent kills this process
//! when its time is over.

mod harness;
mod programs;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::{
    task::{LocalSet, spawn_local},
    time::timeout,
};

use harness::{Case, Env, Nodes};
use programs::SUBJECTS;

const CASES_AT_A_TIME: usize = 4;
const CASE_TIME_MAX: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => list(),
        [subject, addresses, nonce, ref titles @ ..] => {
            // Whatever hangs ends with the process.
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(run(subject, addresses, nonce, titles))?;
            runtime.shutdown_background();
        }
        _ => anyhow::bail!("SUBJECT ADDRESSES NONCE CASE.., or --list"),
    }
    Ok(())
}

fn list() {
    for (subject, cases) in SUBJECTS {
        let titles: Vec<_> =
            cases.iter().flat_map(|case| variants(subject, case)).map(|(title, _)| title).collect();
        println!("{}", json!({ "subject": subject, "cases": titles }));
    }
}

/// A case runs with the SDK's cache of workflows and its sticky queue, and, where it has a worker, once more without
/// either, when every workflow task replays the whole history.
fn variants(subject: &str, case: &Case) -> Vec<(String, bool)> {
    let title = format!("rust/{subject}.{}", case.name);
    let without = case.has_worker.then(|| (format!("{title} without cache"), false));
    [(title, true)].into_iter().chain(without).collect()
}

async fn run(subject: &str, addresses: &str, nonce: &str, titles: &[&str]) -> Result<()> {
    let (_, cases) = SUBJECTS.iter().find(|(name, _)| *name == subject).context("no such subject")?;
    let nodes = Rc::new(Nodes::connect(addresses.split(',')).await?);
    let chosen = cases
        .iter()
        .flat_map(|case| {
            variants(subject, case).into_iter().map(move |(title, cached)| (case, title, cached))
        })
        .filter(|(_, title, _)| titles.contains(&title.as_str()));
    let running = stream::iter(chosen).map(|(case, title, cached)| {
        let env = Env::new(nodes.clone(), &title, nonce, cached);
        async move {
            let begun = Instant::now();
            let done = timeout(CASE_TIME_MAX, spawn_local(run_case(case, env))).await;
            let complaint = match done {
                Ok(Ok(Ok(()))) => String::new(),
                Ok(Ok(Err(error))) => format!("{error:?}"),
                Ok(Err(panic)) => panic.to_string(),
                Err(_) => anyhow!("no end after {CASE_TIME_MAX:?}").to_string(),
            };
            let seconds = begun.elapsed().as_secs_f64();
            println!("{}", json!({ "case": title, "seconds": seconds, "complaint": complaint }));
        }
    });
    LocalSet::new().run_until(running.buffer_unordered(CASES_AT_A_TIME).collect::<()>()).await;
    Ok(())
}

async fn run_case(case: &Case, env: Env) -> Result<()> {
    (case.body)(&env).await?;
    env.replay_everything().await
}
