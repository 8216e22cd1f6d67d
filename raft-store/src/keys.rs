//! Where rows and our own records stand in the one ordered table, so that they don't mix.
//!
//! ```text
//! a group      how far the rows of a group reflect its log
//! i group      the rows of a group are being replaced by a snapshot's
//! u key        a row of the machine
//! ```
//!
//! What a table implementation adds below this (pieces of large values) is its own business.

use crate::table::KeyRange;

const APPLIED: u8 = b'a';
const INSTALLING: u8 = b'i';
const USER: u8 = b'u';

/// A row of the machine.
pub(crate) fn user(key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(1 + key.len());
    stored.push(USER);
    stored.extend_from_slice(key);
    stored
}

/// The machine's key of a stored row.
pub(crate) fn user_back(mut stored: Vec<u8>) -> Vec<u8> {
    stored.remove(0);
    stored
}

pub(crate) fn applied(group: u64) -> Vec<u8> {
    of_group(APPLIED, group)
}

pub(crate) fn all_applied() -> KeyRange {
    all(APPLIED)
}

pub(crate) fn installing(group: u64) -> Vec<u8> {
    of_group(INSTALLING, group)
}

pub(crate) fn all_installing() -> KeyRange {
    all(INSTALLING)
}

/// The group of a key that [`applied`] or [`installing`] made.
pub(crate) fn group(stored: &[u8]) -> Option<u64> {
    stored.get(1..)?.try_into().ok().map(u64::from_be_bytes)
}

fn of_group(prefix: u8, group: u64) -> Vec<u8> {
    [&[prefix], &group.to_be_bytes()[..]].concat()
}

fn all(prefix: u8) -> KeyRange {
    KeyRange { from: vec![prefix], to: vec![prefix + 1] }
}
