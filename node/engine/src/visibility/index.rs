//! The rows that find a run for lists and counts, besides its row in list order.
//!
//! Lists read slots a block at a time, so everything here lies at the first slot of the run's block:
//!
//! ```text
//! V namespace, sort key                            the run's row
//! I namespace, 'T', type, status, sort key         by type and status
//! I namespace, 'P', workflow id, sort key          by parent
//! I namespace, 'A', attribute, text, sort key      by a search attribute that is a text, or a list of texts
//! N namespace, type                                how many runs, by status
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    fields::NAMESPACE_DIVISION,
    json::{self, Json},
    row::Row,
};
use crate::{
    cluster::predefined_attributes,
    codec::{self, CodecError},
    key::block,
    planted,
    rows::{Kind, Rows, kind_start, push_text, take_text},
};

/// Longer texts are found by reading all rows.
pub(super) const INDEXED_TEXT_BYTES_MAX: usize = 2_048;
/// Of what the system sets, only what is asked for often: most runs have the rest.
const INDEXED_PREDEFINED: [&str; 1] = ["TemporalScheduledById"];

const TALLY_KIND: u8 = b'U';
const TALLY_VERSION: u8 = 1;

/// By what an index row finds a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Term<'a> {
    Class { workflow_type: &'a str, status: i32 },
    Parent(&'a str),
    Attribute { name: &'a str, text: &'a str },
}

impl Term<'_> {
    /// The index rows of this term lie behind this, in list order.
    pub(super) fn start(&self, slot: u16, namespace_id: &str) -> Vec<u8> {
        let mut key = kind_start(block(slot), Kind::Index);
        push_text(&mut key, namespace_id);
        match self {
            Term::Class { workflow_type, status } => {
                key.push(b'T');
                push_text(&mut key, workflow_type);
                key.push(*status as u8);
            }
            Term::Parent(workflow_id) => {
                key.push(b'P');
                push_text(&mut key, workflow_id);
            }
            Term::Attribute { name, text } => {
                key.push(b'A');
                push_text(&mut key, name);
                push_text(&mut key, text);
            }
        }
        key
    }
}

/// The run's row in list order, its key and value.
pub fn listed(slot: u16, row: &Row) -> (Vec<u8>, Vec<u8>) {
    let mut key = listed_start(slot, &row.namespace_id);
    key.extend(row.sort_key());
    (key, row.encode())
}

/// Rows of a namespace's runs in list order, those of the slot's block, lie behind this.
pub fn listed_start(slot: u16, namespace_id: &str) -> Vec<u8> {
    let mut key = kind_start(block(slot), Kind::Visibility);
    push_text(&mut key, namespace_id);
    key
}

/// The keys of all index rows of a run.
pub fn keys(slot: u16, row: &Row) -> BTreeSet<Vec<u8>> {
    let class = Term::Class { workflow_type: &row.workflow_type, status: row.status };
    let mut keys = BTreeSet::new();
    let sort_key = row.sort_key();
    let mut add = |term: Term<'_>| {
        keys.insert([term.start(slot, &row.namespace_id), sort_key.clone()].concat());
    };
    add(class);
    if let Some(parent) = row.parent.as_ref().filter(|parent| is_indexed_text(&parent.workflow_id)) {
        add(Term::Parent(&parent.workflow_id));
    }
    for name in row.search_attributes.keys().filter(|name| is_indexed(name)) {
        for text in texts(row, name) {
            add(Term::Attribute { name, text: &text });
        }
    }
    keys
}

pub(super) fn is_indexed(attribute: &str) -> bool {
    INDEXED_PREDEFINED.contains(&attribute)
        || !predefined_attributes().iter().any(|(predefined, _)| *predefined == attribute)
}

pub(super) fn is_indexed_text(text: &str) -> bool {
    text.len() <= INDEXED_TEXT_BYTES_MAX
}

/// The texts of an attribute that are worth a row each. What is found by them is looked at again.
fn texts(row: &Row, attribute: &str) -> Vec<String> {
    let Some(payload) = row.search_attribute(attribute) else { return Vec::new() };
    let value_type = payload.metadata.get("type").map_or(&b""[..], |value_type| &value_type[..]);
    if [&b"Text"[..], b"Datetime"].contains(&value_type) {
        return Vec::new();
    }
    let values = match json::parse(&payload.data) {
        Some(Json::List(values)) => values,
        Some(value) => vec![value],
        None => Vec::new(),
    };
    let text = |value| if let Json::Text(text) = value { Some(text) } else { None };
    values.into_iter().filter_map(text).filter(|text| is_indexed_text(text)).collect()
}

/// How many runs of one type there are in a block, by whether they have a namespace division and by status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    counts: BTreeMap<(bool, i32), i64>,
}

impl Tally {
    pub fn add(&mut self, row: &Row, by: i64) {
        let (_, division, status) = Tally::class(row);
        let count = self.counts.entry((division, status)).or_default();
        *count += by;
        if *count == 0 {
            self.counts.remove(&(division, status));
        }
    }

    /// As what a run is counted.
    fn class(row: &Row) -> (&str, bool, i32) {
        (row.workflow_type.as_str(), row.search_attributes.contains_key(NAMESPACE_DIVISION), row.status)
    }

    /// Whether the runs have a division, their status, and how many they are.
    pub(super) fn counts(&self) -> impl Iterator<Item = (bool, i32, i64)> + '_ {
        self.counts.iter().map(|((division, status), count)| (*division, *status, *count))
    }

    pub fn encode(&self) -> Vec<u8> {
        codec::encode(TALLY_KIND, TALLY_VERSION, self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Tally, CodecError> {
        codec::decode(TALLY_KIND, TALLY_VERSION, bytes)
    }
}

pub fn tally_key(slot: u16, row: &Row) -> Vec<u8> {
    let mut key = tally_start(slot, &row.namespace_id);
    push_text(&mut key, &row.workflow_type);
    key
}

/// The tallies of a namespace, those of the slot's block, lie behind this.
pub(super) fn tally_start(slot: u16, namespace_id: &str) -> Vec<u8> {
    let mut key = kind_start(block(slot), Kind::Tally);
    push_text(&mut key, namespace_id);
    key
}

/// The workflow type of a tally's key.
pub(super) fn tally_type<'a>(key: &'a [u8], start: &[u8]) -> Option<&'a str> {
    take_text(key.get(start.len()..)?).map(|(workflow_type, _)| workflow_type)
}

/// Makes the rows say what is so now.
pub(crate) fn replace(
    rows: &mut impl Rows,
    slot: u16,
    old: Option<&Row>,
    new: Option<&Row>,
) -> Result<(), CodecError> {
    let keys = |row: Option<&Row>| row.map(|row| self::keys(slot, row)).unwrap_or_default();
    let (had, has) = (keys(old), keys(new));
    if !planted::is("index_row_left") {
        for key in had.difference(&has) {
            rows.delete(key.clone());
        }
    }
    for key in has.difference(&had) {
        rows.put_new(key.clone(), Vec::new());
    }
    let (old_row, new_row) = (old.map(|row| listed(slot, row)), new.map(|row| listed(slot, row)));
    match (old_row, new_row) {
        (Some((old, _)), Some((new, row))) if old == new => rows.put(new, row),
        (old, new) => {
            if let Some((key, _)) = old {
                rows.delete(key);
            }
            if let Some((key, row)) = new {
                rows.put_new(key, row);
            }
        }
    }
    if old.map(Tally::class) == new.map(Tally::class) {
        return Ok(());
    }
    for (row, by) in old.map(|row| (row, -1)).into_iter().chain(new.map(|row| (row, 1))) {
        let key = tally_key(slot, row);
        let mut tally = rows.get(&key).map(|bytes| Tally::decode(&bytes)).transpose()?.unwrap_or_default();
        tally.add(row, by);
        if tally.counts.is_empty() {
            rows.delete(key);
        } else {
            rows.put(key, tally.encode());
        }
    }
    Ok(())
}
