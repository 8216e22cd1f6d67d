//! Rules about manifests: who may depend on whom.
//!
//! The engine decides, the node acts, the store keeps bytes. An arrow in the wrong direction compiles
//! happily and costs the design.

use super::{Findings, Text};

/// Our crates, each with those of ours that it may use outside its tests.
const EDGES: &[(&str, &[&str])] = &[
    ("everlog-proto", &[]),
    ("everlog-raft-store", &[]),
    ("everlog-engine", &["everlog-proto"]),
    ("everlog-client-macros", &[]),
    ("everlog-client", &["everlog-client-macros", "everlog-proto"]),
    ("everlog-node", &["everlog-client", "everlog-engine", "everlog-proto", "everlog-raft-store"]),
    ("everlog-scripts", &[]),
    // A test may know the engine, or only what a stranger sees.
    ("everlog-sim", &["everlog-engine", "everlog-proto"]),
    ("everlog-cluster-tests", &["everlog-proto"]),
];

const INHERITED: &[&str] = &[
    "version.workspace = true",
    "edition.workspace = true",
    "license.workspace = true",
    "publish.workspace = true",
];

pub fn manifests(texts: &[Text]) -> Findings {
    let mut findings = Findings::new();
    for text in members(texts) {
        for line in INHERITED.iter().filter(|line| !text.content.contains(**line)) {
            findings.push(format!("{}: misses `{line}`", text.path));
        }
        if section(&text.content, "[lints]").all(|line| line != "workspace = true") {
            findings.push(format!("{}: misses the lints of the workspace", text.path));
        }
    }
    findings
}

pub fn edges(texts: &[Text]) -> Findings {
    let mut findings = Findings::new();
    for text in members(texts) {
        let name = section(&text.content, "[package]")
            .find_map(|line| line.strip_prefix("name = "))
            .map_or("", |name| name.trim_matches('"'));
        let Some((_, allowed)) = EDGES.iter().find(|(of, _)| *of == name) else {
            findings.push(format!("{}: {name} has no place among the layers yet", text.path));
            continue;
        };
        findings.extend(
            section(&text.content, "[dependencies]")
                .filter_map(|line| line.split(['.', ' ', '=']).next())
                .filter(|used| used.starts_with("everlog") && !allowed.contains(used))
                .map(|used| format!("{}: {name} may not use {used}", text.path)),
        );
    }
    findings
}

/// Manifests of the workspace's crates: not of a package that is a workspace of its own.
fn members(texts: &[Text]) -> impl Iterator<Item = &Text> {
    texts.iter().filter(|text| text.path.ends_with("/Cargo.toml") && !text.content.contains("[workspace]"))
}

/// The lines of one section.
fn section<'a>(content: &'a str, header: &'a str) -> impl Iterator<Item = &'a str> {
    content
        .lines()
        .map(str::trim)
        .skip_while(move |line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(content: &str) -> Vec<Text> {
        vec![Text { path: "raft-store/Cargo.toml".into(), content: content.into() }]
    }

    #[test]
    fn an_arrow_upwards_is_found() {
        let upwards =
            "[package]\nname = \"everlog-raft-store\"\n[dependencies]\neverlog-engine.workspace = true\n";
        assert_eq!(
            edges(&manifest(upwards)),
            ["raft-store/Cargo.toml: everlog-raft-store may not use everlog-engine"]
        );
        let in_tests =
            "[package]\nname = \"everlog-raft-store\"\n[dev-dependencies]\neverlog-engine.workspace = true\n";
        assert!(edges(&manifest(in_tests)).is_empty());
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let without = INHERITED.join("\n");
        assert_eq!(manifests(&manifest(&without)).len(), 1);
        assert!(manifests(&manifest(&format!("{without}\n[lints]\nworkspace = true\n"))).is_empty());
    }
}
