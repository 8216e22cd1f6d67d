//! Rules about lines.

use super::{Findings, Text};

/// Longer than the formatter's width only because it cannot break comments and strings.
const LINE_CHARS_MAX: usize = 120;
/// A file that grows beyond this holds two ideas.
const FILE_LINES_MAX: usize = 900;
const SELF_EVIDENT_LINES_MAX: usize = 3;

/// Words that tie the project to one machine or one mirror. They are put together here so that this
/// file doesn't contain them.
const FOREIGN: &[&str] = &[
    concat!("static.", "crates.io"),
    concat!("index.", "crates.io"),
    concat!("files.", "pythonhosted"),
    concat!("registry.", "npmjs"),
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/fa", "rm/"),
];

const EXPECTATION_BEGINS: &str = "expect![[";
const EXPECTATION_ENDS: &str = "]]";

const UNFINISHED: &[&str] = &[
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("TO", "DO:"),
    concat!("to", "do!("),
    concat!("unimplem", "ented!("),
    concat!("#[ig", "nore"),
    concat!("assert!(", "true)"),
];

pub fn foreign_words(texts: &[Text]) -> Findings {
    containing(texts, FOREIGN)
}

pub fn unfinished(texts: &[Text]) -> Findings {
    containing(texts, UNFINISHED)
}

fn containing(texts: &[Text], words: &[&str]) -> Findings {
    let mut findings = Findings::new();
    for text in texts.iter().filter(|text| !text.is_generated()) {
        for (number, line) in text.content.lines().enumerate() {
            findings.extend(
                words.iter().filter(|word| line.contains(*word)).map(|word| text.finding(number, word)),
            );
        }
    }
    findings
}

pub fn blanks(texts: &[Text]) -> Findings {
    let mut findings = Findings::new();
    for text in texts.iter().filter(|text| !text.is_generated()) {
        for (number, line) in written_lines(text) {
            if line.ends_with([' ', '\t', '\r']) {
                findings.push(text.finding(number, "ends with a blank"));
            }
            if text.path.ends_with(".rs") && line.contains('\t') {
                findings.push(text.finding(number, "contains a tab"));
            }
            if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
                findings.push(text.finding(number, "is a conflict marker"));
            }
        }
        if !text.content.is_empty() && !text.content.ends_with('\n') {
            findings.push(text.finding(text.content.lines().count(), "the last line has no end"));
        }
    }
    findings
}

/// The lines that a person wrote: without the expectations of stories, which a test run writes.
fn written_lines(text: &Text) -> impl Iterator<Item = (usize, &str)> {
    let mut expected = false;
    text.content.lines().enumerate().filter(move |(_, line)| {
        let was_expected = expected;
        expected = (expected || line.contains(EXPECTATION_BEGINS)) && !line.contains(EXPECTATION_ENDS);
        !was_expected
    })
}

pub fn long_lines(texts: &[Text]) -> Findings {
    let mut findings = Findings::new();
    for text in texts.iter().filter(|text| text.is_source() && !text.is_generated()) {
        for (number, line) in written_lines(text) {
            let chars = line.chars().count() - longest_literal(line);
            if chars > LINE_CHARS_MAX && !line.contains("://") {
                findings.push(text.finding(number, format!("{chars} characters, at most {LINE_CHARS_MAX}")));
            }
        }
    }
    findings
}

/// A message is found by searching for it, so it stays in one piece however long it is.
fn longest_literal(line: &str) -> usize {
    line.split('"').skip(1).step_by(2).map(|literal| literal.chars().count()).max().unwrap_or_default()
}

pub fn long_files(texts: &[Text]) -> Findings {
    texts
        .iter()
        .filter(|text| !text.is_generated())
        .filter(|text| text.content.lines().count() > FILE_LINES_MAX)
        .map(|text| text.finding(FILE_LINES_MAX, format!("more than {FILE_LINES_MAX} lines")))
        .collect()
}

/// A Rust source of our own opens with `//!`, unless it is so short that it says all by itself.
pub fn module_docs(texts: &[Text]) -> Findings {
    texts
        .iter()
        .filter(|text| text.path.ends_with(".rs") && !text.is_generated())
        .filter(|text| {
            !text.content.starts_with("//!") && text.content.lines().count() > SELF_EVIDENT_LINES_MAX
        })
        .map(|text| text.finding(0, "has no module documentation"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::Check, *};

    fn text(path: &str, content: &str) -> Vec<Text> {
        vec![Text { path: path.into(), content: content.into() }]
    }

    #[test]
    fn messages_and_what_a_test_run_wrote_may_be_long() {
        let long = "x".repeat(LINE_CHARS_MAX + 1);
        assert!(long_lines(&text("a/src/lib.rs", &format!("let message = \"{long}\";\n"))).is_empty());
        let story = format!("//! x\ncheck(expect![[r#\"\n    {long} \n\"#]]);\n");
        assert!(long_lines(&text("a/src/lib.rs", &story)).is_empty());
        assert!(blanks(&text("a/src/lib.rs", &story)).is_empty());
        assert!(!long_lines(&text("a/src/lib.rs", &format!("{story}// {long}\n"))).is_empty());
    }

    #[test]
    fn each_rule_finds_its_fault_and_passes_its_absence() {
        let good = text("a/src/lib.rs", "//! The idea.\nfn f() {}\n");
        let rules: [(Check, String); 8] = [
            (foreign_words, format!("//! See {}x\n", FOREIGN[4])),
            (unfinished, format!("//! {} later\n", UNFINISHED[0])),
            (blanks, "//! x \n".into()),
            (blanks, "//! x".into()),
            (blanks, "//! x\n<<<<<<< ours\n".into()),
            (long_lines, format!("//! {}\n", "x".repeat(LINE_CHARS_MAX))),
            (long_files, "//! x\n".repeat(FILE_LINES_MAX + 1)),
            (module_docs, "fn f() {}\n".repeat(SELF_EVIDENT_LINES_MAX + 1)),
        ];
        for (rule, bad) in rules {
            assert!(rule(&good).is_empty());
            assert!(!rule(&text("a/src/lib.rs", &bad)).is_empty(), "{bad:.40}");
        }
    }
}
