//! What happened, as a hash always and as text when somebody wants to read it.

use std::fmt::Write as _;

use everlog_engine::time::Time;
use xxhash_rust::xxh3::Xxh3;

use crate::{agenda::Event, sim::BEGIN};

#[derive(Default)]
pub struct Trace {
    hasher: Xxh3,
    /// None if only the hash is wanted.
    lines: Option<Vec<Line>>,
    buffer: String,
    full_hash: bool,
}

pub struct Line {
    pub at: Time,
    pub workflow: Option<String>,
    pub text: String,
}

impl Trace {
    /// A trace that is only compared. `full` hashes events with every word in them.
    pub fn hash_only(full: bool) -> Trace {
        Trace { full_hash: full, ..Trace::default() }
    }

    pub fn with_text() -> Trace {
        Trace { lines: Some(Vec::new()), ..Trace::default() }
    }

    pub fn hash(&mut self, now: Time, event: &Event) {
        self.hasher.update(&now.0.to_le_bytes());
        if self.full_hash {
            self.buffer.clear();
            let _ = write!(self.buffer, "{event:?}");
            for word in words_of(&self.buffer) {
                self.hasher.update(word.as_bytes());
                self.hasher.update(b" ");
            }
        }
    }

    pub fn say(&mut self, now: Time, workflow: Option<&str>, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(Line { at: now, workflow: workflow.map(str::to_owned), text: text() });
        }
    }

    pub fn digest(&self) -> u64 {
        self.hasher.digest()
    }

    /// The lines that concern one workflow or nobody in particular; all of them for None.
    pub fn text(&self, workflow: Option<&str>) -> String {
        let mut text = String::new();
        for line in self.lines.iter().flatten() {
            let wanted =
                workflow.is_none() || line.workflow.is_none() || line.workflow.as_deref() == workflow;
            if wanted {
                let of = line.workflow.as_deref().unwrap_or("-");
                let seconds = line.at.since(BEGIN).as_secs_f64();
                let _ = writeln!(text, "{seconds:>10.4}  {of:<8} {}", line.text);
            }
        }
        text
    }
}

/// The words of a printed event, in an order of their own. Maps inside messages have none: each time they are
/// printed, or become the bytes of which a history's hash is made, it may be another one.
fn words_of(event: &str) -> Vec<&str> {
    let mut words: Vec<&str> = event
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .scan("", |before, word| Some((std::mem::replace(before, word), word)))
        .filter(|(before, _)| *before != "history_hash")
        .map(|(_, word)| word)
        .collect();
    words.sort_unstable();
    words
}
