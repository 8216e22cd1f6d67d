//! `cargo x purity`: the engine decides and performs no effect.
//!
//! Same inputs, same outputs, byte for byte, is what replication and simulation stand on. A review
//! cannot keep watch over that, so a machine does, three times: what the engine depends on, what its
//! sources name, and (in `node/engine/clippy.toml`, seen by `cargo x lint`) what it calls.
//!
//! `temporalio-protos` is pruned from the tree: its generated code needs tonic even without clients.
//! Nothing of that is within the engine's reach, because tonic is not among its direct dependencies.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{process::output, tally::Tally, workspace::Workspace};

const ENGINE: &str = "everlog-engine";
const SOURCES: &str = "node/engine/src/";

/// All that the engine may name in its manifest. `time`, `regex` and the like have no place here:
/// each addition is a decision, made by changing this line.
const DIRECT_ALLOWED: &[&str] = &[
    "bincode",
    "bytes",
    "everlog-proto",
    // Time zones from a database that is compiled in: neither the clock nor the disk is reachable, for that
    // takes its feature `std`.
    "jiff",
    "prost",
    "prost-wkt-types",
    "serde",
    "serde_bytes",
    "thiserror",
    "xxhash-rust",
];

/// Optional dependencies, which only the feature `testing` brings in; the server must be built without it.
const TESTING_ONLY: &[&str] = &["expect-test"];

/// What must not be anywhere below it: runtimes, networks, disks, clocks and chance.
const TREE_FORBIDDEN: &[&str] = &[
    "ahash",
    "async-std",
    "fastrand",
    "getrandom",
    "hyper",
    "mio",
    "openraft",
    "rand",
    "rand_core",
    "rayon",
    "sled",
    "smol",
    "socket2",
    "tokio",
    "tonic",
    "tower",
    "uuid",
];

const PRUNED: &str = "temporalio-protos";

/// Modules of the standard library that are effects.
const STD_FORBIDDEN: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread"];

/// Names that are clocks, chance, or an iteration order that differs from run to run.
const WORDS_FORBIDDEN: &[&str] =
    &["HashMap", "HashSet", "Instant", "RandomState", "SystemTime", "println", "eprintln", "dbg", "unsafe"];

/// Where a forbidden word is right, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "decide/query.rs",
    "HashMap",
    "the API's own type for a query's results; it goes to a worker and is never stored nor iterated to decide",
)];

pub fn run(workspace: &Workspace, _: &[String]) -> Result<Tally> {
    let mut tally = Tally::default();
    let strangers = direct_strangers(workspace)?;
    tally.check(strangers.is_empty(), format!("purity: {ENGINE} depends on {}", strangers.join(", ")));
    let effects = tree_effects(workspace)?;
    let served = tree(workspace, "everlog-node", &[])?;
    tally.check(
        TESTING_ONLY.iter().all(|name| !served.contains(*name)),
        "purity: the server is built with the engine's feature `testing`",
    );
    tally.check(effects.is_empty(), format!("purity: below {ENGINE} there is {}", effects.join(", ")));
    tally.check(
        workspace.has("node/engine/clippy.toml"),
        "purity: node/engine/clippy.toml, which bans what this cannot see, is gone",
    );

    let mut used_exceptions = BTreeSet::new();
    let files: Vec<String> = workspace
        .files()?
        .into_iter()
        .filter(|file| file.starts_with(SOURCES) && file.ends_with(".rs"))
        .collect();
    tally.check(!files.is_empty(), format!("purity: no sources in {SOURCES}"));
    for file in files {
        let found: Vec<String> = impurities(&workspace.read(&file)?)
            .into_iter()
            .filter(|found| {
                let excepted = EXCEPTIONS
                    .iter()
                    .position(|(at, word, _)| file.ends_with(at) && found.ends_with(&format!(" {word}")));
                used_exceptions.extend(excepted);
                excepted.is_none()
            })
            .collect();
        tally.check(found.is_empty(), format!("purity: {file}: {}", found.join("; ")));
    }
    for (index, (file, word, _)) in EXCEPTIONS.iter().enumerate() {
        tally.check(
            used_exceptions.contains(&index),
            format!("purity: the exception for {word} in {file} is no longer needed; remove it"),
        );
    }
    Ok(tally)
}

/// Normal dependencies in the engine's manifest that are not on the list.
fn direct_strangers(workspace: &Workspace) -> Result<Vec<String>> {
    let metadata = output(&mut workspace.cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let engine = packages
        .iter()
        .find(|package| package["name"] == ENGINE)
        .context("the engine is not in the workspace")?;
    let dependencies = engine["dependencies"].as_array().context("the engine lists no dependencies")?;
    Ok(dependencies
        .iter()
        .filter(|dependency| dependency["kind"].is_null())
        .filter_map(|dependency| Some((dependency["name"].as_str()?, dependency["optional"] == true)))
        .filter(|(name, optional)| {
            !(DIRECT_ALLOWED.contains(name) || *optional && TESTING_ONLY.contains(name))
        })
        .map(|(name, _)| name.to_owned())
        .collect())
}

/// Forbidden crates anywhere below the engine, outside the pruned one.
fn tree_effects(workspace: &Workspace) -> Result<Vec<String>> {
    let names = tree(workspace, ENGINE, &["--prune", PRUNED])?;
    Ok(TREE_FORBIDDEN.iter().filter(|name| names.contains(**name)).map(|name| (*name).to_owned()).collect())
}

/// The names of all crates that a package is built from.
fn tree(workspace: &Workspace, package: &str, options: &[&str]) -> Result<BTreeSet<String>> {
    let mut command =
        workspace.cargo(["tree", "--edges", "normal", "--prefix", "none", "--package", package]);
    let tree = output(command.args(options))?;
    Ok(tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// `line N: word` for everything forbidden in a source file, comments aside.
fn impurities(source: &str) -> Vec<String> {
    let code: String = source.lines().map(without_comment).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (start, word) in words(&code) {
        if WORDS_FORBIDDEN.contains(&word) {
            found.push((start, word));
        }
        if word == "std" {
            found.extend(
                std_modules(&code, start + word.len())
                    .into_iter()
                    .filter(|(_, module)| STD_FORBIDDEN.contains(module)),
            );
        }
    }
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .map(|(start, word)| format!("line {}: {word}", code[..start].matches('\n').count() + 1))
        .collect()
}

fn without_comment(line: &str) -> &str {
    line.find("//").map_or(line, |at| &line[..at])
}

/// Identifiers and where they begin.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr() as usize - code.as_ptr() as usize, word))
}

/// The modules right below `std` in `std::fs::..` or `std::{fs, time::{..}}`.
fn std_modules(code: &str, after_std: usize) -> Vec<(usize, &str)> {
    let Some(path) = code[after_std..].strip_prefix("::") else { return Vec::new() };
    let base = after_std + 2;
    let Some(group) = path.strip_prefix('{') else {
        return words(path).next().map(|(at, word)| (base + at, word)).into_iter().collect();
    };
    let (mut depth, mut expect_name, mut found) = (0, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expect_name = true,
            c if depth == 0 && expect_name && (c.is_alphanumeric() || c == '_') => {
                expect_name = false;
                found.extend(words(&group[at..]).next().map(|(_, word)| (base + 1 + at, word)));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::impurities;

    #[test]
    fn effects_are_found_however_they_are_imported() {
        assert_eq!(impurities("use std::fs;"), ["line 1: fs"]);
        assert_eq!(
            impurities(
                "use std::{\n    collections::{BTreeMap, HashMap as Map},\n    time::Instant,\n    net,\n};"
            ),
            ["line 2: HashMap", "line 3: Instant", "line 4: net"]
        );
        assert_eq!(impurities("fn f() {\n    std::thread::yield_now()\n}"), ["line 2: thread"]);
    }

    #[test]
    fn what_only_looks_like_an_effect_is_not_one() {
        assert!(
            impurities("use std::{collections::BTreeMap, time::Duration}; // no HashMap, no std::fs")
                .is_empty()
        );
        assert!(impurities("let fs = file.net; InstantNoodles; crate::thread::x()").is_empty());
        assert!(impurities("use std::{sync::Arc, collections::btree_map::{self, net}};").is_empty());
    }
}
