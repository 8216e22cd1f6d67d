//! What the demo prints: a line a second while it runs, notes in between, and the table at the end.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::check::{Row, Verdict};
use super::leaders::Record;

/// Most faults that are printed one by one; the rest is only counted.
const FAULTS_SHOWN_MAX: usize = 20;

/// Where people read. With `--json` the standard output belongs to a program, so people get the other one.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    to_stderr: bool,
    began: Instant,
}

/// A moment of the run.
#[derive(Debug, Clone, Default)]
pub(super) struct Moment {
    pub(super) open: u64,
    pub(super) charged: u64,
    pub(super) repeated: u64,
    pub(super) leaders: Record,
    pub(super) answer: Option<String>,
}

impl Screen {
    pub(super) fn new(to_stderr: bool) -> Self {
        Self { to_stderr, began: Instant::now() }
    }

    /// The clock of the lines starts now.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
        self.line("");
        self.line("   time   open  charged  repeated  leader changes  no leader   a query");
    }

    /// Prints. A reader who has gone away is no reason to stop.
    pub(super) fn line(&self, text: &str) {
        let _ = match self.to_stderr {
            true => writeln!(std::io::stderr(), "{text}"),
            false => writeln!(std::io::stdout(), "{text}"),
        };
    }

    pub(super) fn note(&self, text: &str) {
        self.line(&format!("{:>5.1} s   {text}", self.began.elapsed().as_secs_f64()));
    }

    pub(super) fn moment(&self, moment: &Moment) {
        let Moment { open, charged, repeated, leaders, answer } = moment;
        self.line(&format!(
            "{:>5.0} s {open:>6} {:>8} {repeated:>9} {:>15} {:>8.1} s   {}",
            self.began.elapsed().as_secs_f64(),
            grouped(*charged),
            leaders.changes,
            leaders.without.as_secs_f64(),
            answer.as_deref().unwrap_or("-"),
        ));
    }

    /// A figure below the table.
    pub(super) fn figure(&self, what: &str, text: &str) {
        self.line(&format!("{what:<42} {text}"));
    }

    pub(super) fn table(&self, verdict: &Verdict) {
        self.line("");
        self.line(&format!("{:<42} {:>12} {:>12}", "", "expected", "actual"));
        for Row { what, expected, actual } in &verdict.rows {
            let mark = if expected == actual { "ok" } else { "WRONG" };
            self.line(&format!("{what:<42} {:>12} {:>12}   {mark}", grouped(*expected), grouped(*actual)));
        }
        if !verdict.faults.is_empty() {
            self.line("");
            for fault in verdict.faults.iter().take(FAULTS_SHOWN_MAX) {
                self.line(&format!("fault: {fault}"));
            }
            if let Some(more) = verdict.faults.len().checked_sub(FAULTS_SHOWN_MAX).filter(|more| *more > 0) {
                self.line(&format!("and {more} more"));
            }
        }
        self.line("");
    }
}

/// A number as people read it: `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration as people read it: `1.4 s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1_000, 12_345, 1_234_567].map(grouped),
            ["0", "999", "1,000", "12,345", "1,234,567"]
        );
    }
}
