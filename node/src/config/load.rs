//! Puts the layers of a configuration on top of each other.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Config;

/// The first part of every variable that is ours.
pub const ENVIRONMENT_PREFIX: &str = "EVERLOG__";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{origin}: {message}")]
    Parse { origin: String, message: String },
    #[error("`{0}` is not of the form key=value")]
    NotAnAssignment(String),
    #[error("`{key}` from {origin} goes through `{part}`, which is a value and not a section")]
    NotASection { key: String, origin: &'static str, part: String },
    #[error("{key} {why}")]
    Invalid { key: &'static str, why: &'static str },
    #[error("cannot render the configuration: {0}")]
    Render(String),
}

/// Reads the file if there is one, then lays the environment and the assignments `a.b=value` over it.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    assignments: &[String],
) -> Result<Config, Error> {
    let mut table = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| Error::Read { path: path.to_owned(), source })?;
            parse(&text, &path.display().to_string())?
        }
        None => Table::new(),
    };
    for (name, value) in environment {
        if let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) {
            // The names below `dynamic` are the only ones with capitals.
            let key = match rest.split_once("__") {
                Some((section, name)) if section.eq_ignore_ascii_case("dynamic") => format!("dynamic.{name}"),
                _ => rest.to_lowercase().replace("__", "."),
            };
            set(&mut table, &key, scalar(&value), "the environment")?;
        }
    }
    for assignment in assignments {
        let (key, value) =
            assignment.split_once('=').ok_or_else(|| Error::NotAnAssignment(assignment.clone()))?;
        set(&mut table, key.trim(), scalar(value.trim()), "the command line")?;
    }
    let config: Config = Value::Table(table)
        .try_into()
        .map_err(|error| Error::Parse { origin: "configuration".to_owned(), message: error.to_string() })?;
    config.validate()?;
    Ok(config)
}

fn parse(text: &str, origin: &str) -> Result<Table, Error> {
    // Parsed once as the whole type as well: then an error names the line of the file.
    let wrong = |message: String| Error::Parse { origin: origin.to_owned(), message };
    toml::from_str::<Config>(text).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(text).map_err(|error| wrong(error.to_string()))
}

/// Puts a value where a dotted key points. Below `dynamic` the rest is one key, dots included.
fn set(table: &mut Table, key: &str, value: Value, origin: &'static str) -> Result<(), Error> {
    let mut at = table;
    let mut rest = key;
    while let Some((section, after)) = rest.split_once('.') {
        let entry = at.entry(section).or_insert_with(|| Value::Table(Table::new()));
        at = entry.as_table_mut().ok_or_else(|| Error::NotASection {
            key: key.to_owned(),
            origin,
            part: section.to_owned(),
        })?;
        rest = after;
        if section == "dynamic" {
            break;
        }
    }
    at.insert(rest.to_owned(), value);
    Ok(())
}

/// A value as the file would have it: a number, a truth, an array; anything else is a string.
fn scalar(text: &str) -> Value {
    toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn later_layers_win() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "node_id = 2\n[raft]\nshards = 4\nheartbeat_ms = 100\n")
            .expect("written");
        let config = load(
            Some(file.path()),
            environment(&[("EVERLOG__RAFT__SHARDS", "8"), ("OTHER", "1"), ("EVERLOG__LOG__LEVEL", "debug")]),
            &["raft.shards=3".to_owned(), "dynamic.limit.blobSize.error=100".to_owned()],
        )
        .expect("loads");
        assert_eq!((config.node_id, config.raft.shards, config.raft.heartbeat_ms), (2, 3, 100));
        assert_eq!(config.log.level, "debug");
        assert_eq!(config.dynamic["limit.blobSize.error"].as_integer(), Some(100));
    }

    #[test]
    fn unknown_keys_are_errors_in_every_layer() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "[raft]\nshardz = 4\n").expect("written");
        let error = load(Some(file.path()), [], &[]).expect_err("unknown key").to_string();
        assert!(error.contains("shardz"), "{error}");
        let error =
            load(None, environment(&[("EVERLOG__RAFT__SHARDZ", "4")]), &[]).expect_err("unknown").to_string();
        assert!(error.contains("shardz"), "{error}");
        assert!(load(None, [], &["colour=red".to_owned()]).is_err());
        assert!(matches!(load(None, [], &["colour".to_owned()]), Err(Error::NotAnAssignment(_))));
    }

    #[test]
    fn a_value_is_not_a_section() {
        let error = load(None, [], &["node_id.x=1".to_owned(), "node_id.x.y=1".to_owned()])
            .expect_err("not a section");
        assert!(matches!(error, Error::NotASection { .. } | Error::Parse { .. }));
    }
}
