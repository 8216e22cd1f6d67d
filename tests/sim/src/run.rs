//! Runs of seeds: one, or many on all cores; and what a failure looks like.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{coverage::Coverage, settings::Settings, sim::Sim, trace::Trace};

/// What came of one seed.
#[derive(Debug)]
pub struct Outcome {
    pub seed: u64,
    /// Equal for equal runs.
    pub digest: u64,
    pub coverage: Coverage,
    pub failure: Option<Failure>,
}

#[derive(Clone, Debug)]
pub struct Failure {
    pub promise: String,
    pub workflow: Option<String>,
    pub text: String,
}

/// Runs one seed. With `exact`, everything that happens goes into the digest, not only when.
pub fn one(seed: u64, exact: bool) -> Outcome {
    let run = || {
        let mut sim = Sim::new(Settings::draw(seed), Trace::hash_only(exact));
        sim.run();
        let failure = sim.violation.as_ref().map(|violation| Failure {
            promise: violation.promise.to_owned(),
            workflow: violation.workflow.clone(),
            text: violation.text.clone(),
        });
        Outcome { seed, digest: sim.trace.digest(), coverage: sim.coverage, failure }
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        let failure = Failure { promise: "the engine does not panic".into(), workflow: None, text };
        Outcome { seed, digest: 0, coverage: Coverage::default(), failure: Some(failure) }
    })
}

/// Runs seeds on all cores and hands each outcome to `each`, in the order in which they end. Stops early
/// when `each` says so.
pub fn many(first: u64, count: u64, threads: usize, each: impl FnMut(Outcome) -> bool + Send) {
    let next = AtomicU64::new(0);
    let each = Mutex::new(each);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let offset = next.fetch_add(1, Ordering::Relaxed);
                    if offset >= count {
                        return;
                    }
                    let outcome = one(first + offset, false);
                    let mut each = each.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if !(*each)(outcome) {
                        next.store(count, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

/// The readable trace of a seed: all of it, or what concerns the workflow that was wronged.
pub fn story(seed: u64, whole: bool) -> String {
    let settings = Settings::draw(seed);
    let mut text = format!("{settings:#?}\n");
    let mut sim = Sim::new(settings, Trace::with_text());
    let ended = catch_unwind(AssertUnwindSafe(|| sim.run()));
    let workflow = sim.violation.as_ref().and_then(|violation| violation.workflow.clone());
    text += &sim.trace.text(if whole { None } else { workflow.as_deref() });
    if let Some(workflow) = &workflow {
        text += &format!("\nprogram: {:#?}\n", sim.program_of(workflow));
        text += &crate::story::histories(&sim, workflow);
    }
    match (&sim.violation, ended) {
        (Some(violation), _) => {
            text += &format!("\nbroken: {}\n        {}\n", violation.promise, violation.text)
        }
        (None, Err(_)) => text += "\nthe engine panicked\n",
        (None, Ok(())) => text += "\nall promises were kept\n",
    }
    text
}
