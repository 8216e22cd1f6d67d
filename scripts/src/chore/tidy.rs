//! `cargo x tidy`: what no compiler checks and a review forgets.
//!
//! Each rule is one test, over every file that is or could be committed.

use anyhow::Result;

use crate::{tally::Tally, workspace::Workspace};

mod dead;
mod layers;
mod text;

/// What a rule found, a line each: `file:line: what`.
type Findings = Vec<String>;
type Check = fn(&[Text]) -> Findings;

/// A file that can be read as text.
struct Text {
    path: String,
    content: String,
}

/// A rule and what it calls itself when it fails.
struct Rule {
    name: &'static str,
    check: Check,
}

const RULES: &[Rule] = &[
    Rule { name: "no registry hosts and no paths of one machine", check: text::foreign_words },
    Rule { name: "no marks of unfinished work", check: text::unfinished },
    Rule { name: "no conflict markers, stray blanks or missing last newline", check: text::blanks },
    Rule { name: "no long lines", check: text::long_lines },
    Rule { name: "no long files", check: text::long_files },
    Rule { name: "every source begins with the idea", check: text::module_docs },
    Rule { name: "no dead files", check: dead::files },
    Rule { name: "every crate takes the lints and the version of the workspace", check: layers::manifests },
    Rule { name: "every crate depends only on what lies below it", check: layers::edges },
];

/// Most findings shown of one rule.
const SHOWN_MAX: usize = 20;

pub fn run(workspace: &Workspace, _: &[String]) -> Result<Tally> {
    let files = workspace.files()?;
    let texts: Vec<Text> = files
        .into_iter()
        .filter_map(|path| Some(Text { content: String::from_utf8(read(workspace, &path)?).ok()?, path }))
        .collect();
    let mut tally = Tally::default();
    for rule in RULES {
        let findings = (rule.check)(&texts);
        for finding in findings.iter().take(SHOWN_MAX) {
            println!("    {finding}");
        }
        if findings.len() > SHOWN_MAX {
            println!("    and {} more", findings.len() - SHOWN_MAX);
        }
        tally.check(findings.is_empty(), format!("tidy: {}", rule.name));
    }
    Ok(tally)
}

fn read(workspace: &Workspace, path: &str) -> Option<Vec<u8>> {
    std::fs::read(workspace.path(path)).ok()
}

impl Text {
    fn is_source(&self) -> bool {
        [".rs", ".py", ".js", ".sh", ".proto"].iter().any(|ending| self.path.ends_with(ending))
            || self.path.starts_with(".ci/")
    }

    /// Written by a program, or a fixture whose bytes are the point.
    fn is_generated(&self) -> bool {
        self.path.ends_with("Cargo.lock")
            || self.path.starts_with("tests/golden/")
            || self.path.contains("/testdata/")
    }

    /// Code that must not compile, which its tests find by the name of the folder.
    fn is_specimen(&self) -> bool {
        self.path.contains("/compile_fail/")
    }

    fn finding(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{}: {what}", self.path, line + 1)
    }
}
