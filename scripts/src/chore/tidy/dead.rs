//! A Rust file that no `mod` names is not compiled: it looks alive and is not.

use std::collections::BTreeSet;

use super::{Findings, Text};

const LEFTOVERS: &[&str] = &[".orig", ".rej", ".bak", ".swp", ".log", ".tmp"];

/// File names that cargo finds by itself.
const ROOTS: &[&str] = &["src/lib.rs", "src/main.rs", "build.rs"];
const ROOT_FOLDERS: &[&str] = &["src/bin", "tests", "benches", "examples"];

pub fn files(texts: &[Text]) -> Findings {
    let crates: BTreeSet<&str> =
        texts.iter().filter_map(|text| text.path.strip_suffix("Cargo.toml")).collect();
    let mut findings: Findings = texts
        .iter()
        .filter(|text| LEFTOVERS.iter().any(|ending| text.path.ends_with(ending)))
        .map(|text| format!("{}: left over", text.path))
        .collect();
    for text in texts.iter().filter(|text| text.path.ends_with(".rs")) {
        let Some(home) =
            crates.iter().filter(|folder| text.path.starts_with(**folder)).max_by_key(|f| f.len())
        else {
            findings.push(format!("{}: belongs to no crate", text.path));
            continue;
        };
        let inside = &text.path[home.len()..];
        if !is_root(inside) && !is_declared(texts, home, inside) {
            findings.push(format!("{}: no `mod` names it", text.path));
        }
    }
    findings
}

fn is_root(inside: &str) -> bool {
    let folder = inside.rsplit_once('/').map_or("", |(folder, _)| folder);
    ROOTS.contains(&inside) || ROOT_FOLDERS.contains(&folder) || inside.ends_with("/main.rs")
}

/// Whether the file that owns the folder says `mod name;`.
fn is_declared(texts: &[Text], home: &str, inside: &str) -> bool {
    let path = inside.strip_suffix("/mod.rs").or_else(|| inside.strip_suffix(".rs")).unwrap_or(inside);
    let Some((folder, name)) = path.rsplit_once('/') else { return false };
    let owners = ["/lib.rs", "/main.rs", "/mod.rs", ".rs"].map(|ending| format!("{home}{folder}{ending}"));
    let declarations = [format!("mod {name};"), format!("mod r#{name};")];
    // `#[path]` names the file itself; and a root file in `tests/` owns its neighbours' folders.
    let neighbours = format!("{home}{folder}/");
    texts.iter().any(|text| {
        let may_own = owners.contains(&text.path)
            || (ROOT_FOLDERS.contains(&folder) && text.path.starts_with(&neighbours));
        (may_own || text.content.contains("#[path"))
            && text.content.lines().any(|line| {
                let line = line.trim();
                declarations.iter().any(|declaration| line.ends_with(declaration.as_str()))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Findings {
        let texts: Vec<Text> = files
            .iter()
            .map(|(path, content)| Text { path: (*path).into(), content: (*content).into() })
            .collect();
        super::files(&texts)
    }

    #[test]
    fn a_file_is_alive_if_its_owner_declares_it() {
        let tree = [
            ("node/Cargo.toml", ""),
            ("node/src/main.rs", "mod raft;\n"),
            ("node/src/raft.rs", "pub mod wire;\n"),
            ("node/src/raft/wire.rs", ""),
            ("node/tests/all.rs", ""),
        ];
        assert!(found(&tree).is_empty());
    }

    #[test]
    fn a_file_that_nobody_declares_is_dead() {
        let tree = [("node/Cargo.toml", ""), ("node/src/lib.rs", "mod raft;"), ("node/src/rafts.rs", "")];
        assert_eq!(found(&tree), ["node/src/rafts.rs: no `mod` names it"]);
        assert_eq!(found(&[("a.rs.orig", "")]), ["a.rs.orig: left over"]);
    }
}
