//! `everlog-sim`: runs seeds of the simulation and says how many passed.

use std::process::ExitCode;

mod arguments;

use arguments::{Arguments, Mode};
use everlog_sim::{Coverage, Outcome, many, one, story};

/// From so many seeds on, every hard case must have come up.
const VACUITY_SEEDS_MIN: u64 = 200;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    // A panic is an outcome like others; its message is shown with the seed.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(name) = &arguments.planted
        && let Err(why) = plant(name)
    {
        eprintln!("{why}");
        return ExitCode::from(2);
    }
    match &arguments.mode {
        Mode::ListPlanted => {
            for (name, _) in everlog_engine::planted::BUGS {
                println!("{name}");
            }
            ExitCode::SUCCESS
        }
        Mode::Catch { first, count } => {
            catch(arguments.planted.as_deref().unwrap_or_default(), *first, *count, arguments.threads)
        }
        Mode::One { seed } => tell(*seed, arguments.whole),
        Mode::Many { first, count } => run(*first, *count, arguments.threads, arguments.coverage),
    }
}

#[cfg(feature = "planted")]
fn plant(name: &str) -> Result<(), String> {
    match everlog_engine::planted::plant(name) {
        true => Ok(()),
        false => Err(format!("there is no planted bug {name}; see --list-planted")),
    }
}

#[cfg(not(feature = "planted"))]
fn plant(_: &str) -> Result<(), String> {
    Err("this build has no planted bugs: add `--features planted`".into())
}

/// Runs seeds until one of them finds the planted bug. To find it is to fail, as for every other bug: the
/// caller knows that it was planted.
fn catch(name: &str, first: u64, count: u64, threads: usize) -> ExitCode {
    let (mut passed, mut caught) = (0u64, None);
    many(first, count, threads, |outcome| {
        match outcome.failure {
            Some(failure) => caught = caught.take().or(Some((outcome.seed, failure))),
            None => passed += 1,
        }
        caught.is_none()
    });
    if let Some((seed, failure)) = &caught {
        println!("{name}: seed {seed}: {}: {}", failure.promise, failure.text);
    }
    summary(passed, u64::from(caught.is_some()))
}

/// The last line, which `cargo x` reads.
fn summary(passed: u64, failed: u64) -> ExitCode {
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(seed: u64, whole: bool) -> ExitCode {
    let outcome = one(seed, true);
    println!("{}", story(seed, whole));
    let failed = u64::from(outcome.failure.is_some());
    summary(1 - failed, failed)
}

fn run(first: u64, count: u64, threads: usize, show_coverage: bool) -> ExitCode {
    const STORIES_MAX: usize = 3;
    let (mut passed, mut failures, mut coverage) = (0u64, Vec::new(), Coverage::default());
    many(first, count, threads, |outcome| {
        coverage.add(&outcome.coverage);
        match outcome.failure {
            None => passed += 1,
            Some(_) => failures.push(outcome),
        }
        true
    });
    failures.sort_by_key(|outcome| outcome.seed);
    let mut failed = failures.len() as u64;
    for outcome in failures.iter().take(STORIES_MAX) {
        show(outcome);
    }
    for outcome in failures.iter().skip(STORIES_MAX) {
        println!("seed {} fails too: {}", outcome.seed, outcome.failure.as_ref().map_or("", |f| &f.promise));
    }
    match is_deterministic(first) {
        true => passed += 1,
        false => {
            failed += 1;
            println!("seed {first} is not the same twice");
        }
    }
    if count >= VACUITY_SEEDS_MIN {
        let missing = coverage.missing();
        match missing.is_empty() {
            true => passed += 1,
            false => {
                failed += 1;
                println!("never came up: {}", missing.join("; "));
            }
        }
    }
    if show_coverage {
        for (point, hits) in coverage.all() {
            println!("{hits:>10}  {point}");
        }
    }
    summary(passed, failed)
}

fn is_deterministic(seed: u64) -> bool {
    one(seed, true).digest == one(seed, true).digest
}

fn show(outcome: &Outcome) {
    let Some(failure) = &outcome.failure else { return };
    println!("{}", story(outcome.seed, false));
    println!("seed {} broke a promise: {}", outcome.seed, failure.promise);
    println!("  {}", failure.text);
    println!("repeat with: cargo run --release -p everlog-sim -- --seed {}\n", outcome.seed);
}
