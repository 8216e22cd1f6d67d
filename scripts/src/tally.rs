//! How many tests passed and which failed.
//!
//! Test programs say it in two dialects: the standard harness writes a `test result:` line for each
//! program, and our own programs end with `N passed, N failed`. Both are read from their output, so that the
//! final count is of tests that ran and not of commands that returned zero.

use std::fmt;

/// So begins the line with which a chore names a failure.
pub const FAILED: &str = "failed: ";

/// The outcome of a chore.
#[derive(Debug, Default)]
pub struct Tally {
    pub passed: u64,
    /// What failed, each in a few words.
    pub failures: Vec<String>,
    /// A failure that a program counted without naming it.
    pub unnamed_failures: u64,
}

impl Tally {
    pub fn failure(what: impl Into<String>) -> Self {
        Self { failures: vec![what.into()], ..Self::default() }
    }

    /// One check, which holds or not.
    pub fn check(&mut self, holds: bool, what: impl Into<String>) {
        if holds {
            self.passed += 1;
        } else {
            self.failures.push(what.into());
        }
    }

    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
        self.unnamed_failures += other.unnamed_failures;
    }

    pub fn failed(&self) -> u64 {
        self.failures.len() as u64 + self.unnamed_failures
    }

    pub fn ran(&self) -> u64 {
        self.passed + self.failed()
    }

    /// Refuses a part that ran nothing.
    pub fn not_empty(mut self, part: &str) -> Self {
        if self.ran() == 0 {
            self.failures.push(format!("{part}: not a single test ran"));
        }
        self
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed())
    }
}

/// What the lines of a test program add up to.
#[derive(Debug, Default)]
pub struct Reader {
    harness: Counts,
    last_summary: Option<Counts>,
    failures: Vec<String>,
    /// What failed in chores, in their own words.
    told: Vec<String>,
    ignored: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Reader {
    pub fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(result) = line.strip_prefix("test result: ") {
            let (counts, ignored) = harness_result(result);
            self.harness.passed += counts.passed;
            self.harness.failed += counts.failed;
            self.ignored += ignored;
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        } else if let Some(what) = line.strip_prefix(FAILED) {
            // A program names it, and the chore that ran the program names it again.
            if !self.told.iter().any(|told| told == what) {
                self.told.push(what.to_owned());
            }
        } else if let Some(counts) = summary(line) {
            self.last_summary = Some(counts);
        }
    }

    /// The standard harness, which may have run several programs.
    pub fn harness(self, part: &str) -> Tally {
        if self.ignored > 0 {
            println!("    {} tests are marked as ignored and did not run", self.ignored);
        }
        named(part, self.harness, self.failures)
    }

    /// One program of ours; `None` if it ended without saying how it went.
    pub fn summary(self) -> Option<Tally> {
        let counts = self.last_summary?;
        let unnamed_failures = counts.failed.saturating_sub(self.told.len() as u64);
        Some(Tally { passed: counts.passed, failures: self.told, unnamed_failures })
    }
}

/// Gives the failures that were named their names, and counts the others.
fn named(part: &str, counts: Counts, names: Vec<String>) -> Tally {
    let failures: Vec<String> = names.into_iter().map(|name| format!("{part}: {name}")).collect();
    let unnamed_failures = counts.failed.saturating_sub(failures.len() as u64);
    Tally { passed: counts.passed, failures, unnamed_failures }
}

/// Reads `ok. 3 passed; 1 failed; 2 ignored; ...`.
fn harness_result(text: &str) -> (Counts, u64) {
    let (mut counts, mut ignored) = (Counts::default(), 0);
    let words: Vec<&str> = text.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    for pair in words.windows(2) {
        let Ok(number) = pair[0].parse::<u64>() else { continue };
        match pair[1] {
            "passed" => counts.passed = number,
            "failed" => counts.failed = number,
            "ignored" => ignored = number,
            _ => {}
        }
    }
    (counts, ignored)
}

/// Reads a line that is exactly `N passed, N failed`.
fn summary(line: &str) -> Option<Counts> {
    let (passed, failed) = line.split_once(" passed, ")?;
    let failed = failed.strip_suffix(" failed")?;
    Some(Counts { passed: passed.parse().ok()?, failed: failed.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Reader {
        let mut reader = Reader::default();
        lines.iter().for_each(|line| reader.line(line));
        reader
    }

    #[test]
    fn programs_of_the_standard_harness_add_up() {
        let tally = read(&[
            "test shard::tests::starts ... ok",
            "test shard::tests::stops ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: ok. 41 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ])
        .harness("unit");
        assert_eq!((tally.passed, tally.failed()), (42, 1));
        assert_eq!(tally.failures, ["unit: shard::tests::stops"]);
    }

    #[test]
    fn a_failure_without_a_name_still_counts() {
        let tally = read(&["test result: FAILED. 0 passed; 3 failed; 0 ignored"]).harness("unit");
        assert_eq!(tally.failed(), 3);
    }

    #[test]
    fn the_last_summary_of_our_own_programs_counts() {
        let tally = read(&["1 passed, 0 failed", "noise", "199 passed, 1 failed"]).summary();
        assert_eq!(tally.map(|tally| (tally.passed, tally.failed())), Some((199, 1)));
    }

    #[test]
    fn a_failure_that_is_named_twice_counts_once() {
        let named = [
            "failed: conformance: one",
            "9 passed, 1 failed",
            "failed: conformance: one",
            "9 passed, 1 failed",
        ];
        assert_eq!(read(&named).summary().map(|tally| tally.failed()), Some(1));
        let of_two_runs = [&named[..], &["19 passed, 2 failed"]].concat();
        assert_eq!(read(&of_two_runs).summary().map(|tally| tally.failed()), Some(2));
    }

    #[test]
    fn a_line_that_only_resembles_a_summary_is_none() {
        assert!(read(&["seed 7: 1 passed, 0 failed so far", "x passed, 1 failed"]).summary().is_none());
    }

    #[test]
    fn a_part_without_tests_fails() {
        assert_eq!(Tally::default().not_empty("unit").failed(), 1);
        assert_eq!(Tally { passed: 1, ..Tally::default() }.not_empty("unit").failed(), 0);
    }
}
