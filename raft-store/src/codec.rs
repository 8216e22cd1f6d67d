//! How what we persist is encoded.
//!
//! An entry is written by hand: its payload is bytes already, and it is on the path of every answer. The
//! rest is small and rare, and is bincode behind a version.

use bincode::Options as _;
use bytes::Bytes;
use openraft::{
    EntryPayload,
    type_config::alias::{EntryOf, LogIdOf},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    types::{Payload, Types},
    wal::record::Head,
};

const VERSION: u8 = 1;
/// Nothing that goes through here is larger: votes, log ids, memberships, notes.
const BYTES_MAX: u64 = 1 << 20;

const BLANK: u8 = 0;
const NORMAL: u8 = 1;
const MEMBERSHIP: u8 = 2;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a record of version {0}, which this release can't read")]
    Version(u8),
    #[error("a record that doesn't decode: {0}")]
    Malformed(String),
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::InvalidData, error)
    }
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = vec![VERSION];
    options().serialize_into(&mut out, value).map_err(malformed)?;
    Ok(out)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    options().deserialize(versioned(bytes)?).map_err(malformed)
}

/// Writes what an entry's record doesn't say already: version, kind, the leader's node, the payload.
pub(crate) fn encode_entry(entry: &EntryOf<Types>, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut put = |kind: u8| {
        out.extend_from_slice(&[VERSION, kind]);
        out.extend_from_slice(&entry.log_id.leader_id.node_id.to_le_bytes());
    };
    match &entry.payload {
        EntryPayload::Blank => put(BLANK),
        EntryPayload::Normal(payload) => {
            put(NORMAL);
            out.extend_from_slice(&payload.bytes);
        }
        EntryPayload::Membership(membership) => {
            put(MEMBERSHIP);
            options().serialize_into(out, membership).map_err(malformed)?;
        }
    }
    Ok(())
}

pub(crate) fn decode_entry(head: &Head, body: &[u8]) -> Result<EntryOf<Types>, Error> {
    let short = || Error::Malformed("it is too short".to_owned());
    let (&kind, rest) = versioned(body)?.split_first().ok_or_else(short)?;
    let (node_id, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let leader_id =
        openraft::impls::leader_id_adv::LeaderId { term: head.term, node_id: u64::from_le_bytes(*node_id) };
    let payload = match kind {
        BLANK if rest.is_empty() => EntryPayload::Blank,
        NORMAL => EntryPayload::Normal(Payload::new(Bytes::copy_from_slice(rest))),
        MEMBERSHIP => EntryPayload::Membership(options().deserialize(rest).map_err(malformed)?),
        _ => return Err(Error::Malformed(format!("an entry of kind {kind}"))),
    };
    Ok(EntryOf::<Types> { log_id: LogIdOf::<Types> { leader_id, index: head.index }, payload })
}

fn versioned(bytes: &[u8]) -> Result<&[u8], Error> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some((&other, _)) => Err(Error::Version(other)),
        None => Err(Error::Malformed("it is empty".to_owned())),
    }
}

fn malformed(error: bincode::Error) -> Error {
    Error::Malformed(error.to_string())
}

fn options() -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().reject_trailing_bytes().with_limit(BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openraft::Membership;

    use super::*;
    use crate::{types::Member, wal::record::Kind};

    fn round_trip(payload: EntryPayload<Payload, u64, Member>) {
        let leader_id = openraft::impls::leader_id_adv::LeaderId { term: 3, node_id: 2 };
        let entry = EntryOf::<Types> { log_id: LogIdOf::<Types> { leader_id, index: 9 }, payload };
        let mut body = Vec::new();
        encode_entry(&entry, &mut body).expect("it encodes");
        let head = Head { group: 1, kind: Kind::Entry, term: 3, index: 9 };
        assert_eq!(decode_entry(&head, &body).expect("it decodes"), entry);
    }

    #[test]
    fn entries_of_every_kind_read_back() {
        round_trip(EntryPayload::Blank);
        round_trip(EntryPayload::Normal(Payload::new("some bytes")));
        let member = Member { peer_address: "peer:1".to_owned(), api_address: "api:2".to_owned() };
        let nodes: BTreeMap<u64, Member> = [(1, member.clone()), (2, member)].into();
        let configs = vec![[1].into(), [1, 2].into()];
        round_trip(EntryPayload::Membership(Membership::new(configs, nodes).expect("a membership")));
    }

    #[test]
    fn what_is_malformed_is_an_error() {
        let head = Head { group: 1, kind: Kind::Entry, term: 3, index: 9 };
        for body in [&[][..], &[9, 1], &[1, 7, 0, 0, 0, 0, 0, 0, 0, 0], &[1, 1, 0]] {
            assert!(decode_entry(&head, body).is_err(), "{body:?}");
        }
        assert!(decode::<u64>(&[1, 2, 3]).is_err());
    }

    /// What earlier releases wrote must be read for ever.
    #[test]
    fn the_bytes_of_an_entry_are_what_they_were() {
        let leader_id = openraft::impls::leader_id_adv::LeaderId { term: 3, node_id: 2 };
        let log_id = LogIdOf::<Types> { leader_id, index: 9 };
        let entry = EntryOf::<Types> { log_id, payload: EntryPayload::Normal(Payload::new("ab")) };
        let mut body = Vec::new();
        encode_entry(&entry, &mut body).expect("it encodes");
        assert_eq!(body, [1, 1, 2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b']);
        let log_id = encode(&Some(log_id)).expect("it encodes");
        assert_eq!(
            log_id,
            [&[1, 1][..], &[3, 0, 0, 0, 0, 0, 0, 0], &[2, 0, 0, 0, 0, 0, 0, 0], &[9, 0, 0, 0, 0, 0, 0, 0]]
                .concat()
        );
    }
}
