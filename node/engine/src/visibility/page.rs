//! The order of lists, pages of them, and counts.
//!
//! Open runs come first, then those that closed last; among equals, those that started last. The order is
//! in the bytes of a key, so tables keep rows in list order, and a page token is the key to go on after.

use std::collections::BTreeMap;

use everlog_proto::api::{
    common::v1::Payload,
    enums::v1::WorkflowExecutionStatus,
    workflowservice::v1::{
        CountWorkflowExecutionsResponse, count_workflow_executions_response::AggregationGroup,
    },
};
use serde::{Deserialize, Serialize};

use super::{
    fields::{NAMESPACE_DIVISION, standalone_status_name},
    filter::{Filter, GroupBy, status_name},
    json,
    row::Row,
};
use crate::{codec, reject::Reject};

/// `frontend.visibilityMaxPageSize`
pub const PAGE_ROWS_MAX: usize = 1_000;
/// What a client gets that does not say how much it wants.
pub const PAGE_ROWS_DEFAULT: usize = 1_000;

const TOKEN_KIND: u8 = b'N';
const TOKEN_VERSION: u8 = 1;

/// How an open run's key begins: before that of every closed one.
const OPEN: [u8; 8] = [0; 8];

impl Row {
    /// Sorts as lists do.
    pub fn sort_key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(16 + self.run_id.len());
        match self.close_time {
            None => key.extend(OPEN),
            Some(close) => key.extend(latest_first(close).max(1).to_be_bytes()),
        }
        key.extend(latest_first(self.start_time).to_be_bytes());
        key.extend(self.run_id.as_bytes());
        key
    }
}

/// Whether a run of this status has a place among the closed ones.
pub(super) fn is_closed(status: i32) -> bool {
    use WorkflowExecutionStatus::{Paused, Running, Unspecified};
    ![Unspecified, Running, Paused].map(|open| open as i32).contains(&status)
}

/// Later moments get smaller numbers.
fn latest_first(nanos: i64) -> u64 {
    !((nanos as u64) ^ (1 << 63))
}

/// Part of a list's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SortKeys {
    pub(super) from: Vec<u8>,
    /// Not included.
    pub(super) to: Vec<u8>,
}

impl SortKeys {
    pub(super) fn all() -> SortKeys {
        SortKeys { from: Vec::new(), to: vec![u8::MAX; 9] }
    }

    /// What of it lies behind a key.
    pub(super) fn after(&self, key: &[u8]) -> Option<SortKeys> {
        let mut from = self.from.clone();
        if !key.is_empty() && *key >= *from {
            from = [key, &[0]].concat();
        }
        (from < self.to).then(|| SortKeys { from, to: self.to.clone() })
    }

    /// Whether only open runs are in it.
    pub(super) fn is_open(&self) -> bool {
        self.to.starts_with(&OPEN)
    }
}

/// Before the open runs that started at this moment, and behind those that started later.
pub(super) fn after_start(nanos: i64) -> Vec<u8> {
    [OPEN, latest_first(nanos).to_be_bytes()].concat()
}

/// The same for closed runs and when they closed.
pub(super) fn after_close(nanos: i64) -> Vec<u8> {
    latest_first(nanos).max(1).to_be_bytes().to_vec()
}

/// A run that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    #[serde(with = "serde_bytes")]
    pub sort_key: Vec<u8>,
    /// The encoded [`Row`].
    #[serde(with = "serde_bytes")]
    pub row: Vec<u8>,
}

/// Part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub rows: Vec<Found>,
    /// Everything up to this key is in `rows` or does not match; nothing if the list ends here.
    pub read_to: Option<Vec<u8>>,
}

/// The sort key after which a list goes on. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PageToken {
    #[serde(with = "serde_bytes")]
    pub after: Vec<u8>,
}

impl PageToken {
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(TOKEN_KIND, TOKEN_VERSION, self)
    }

    /// No bytes are no token: the list begins.
    pub fn decode(bytes: &[u8]) -> Result<Option<PageToken>, Reject> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let token = codec::decode(TOKEN_KIND, TOKEN_VERSION, bytes);
        token.map(Some).map_err(|_| Reject::InvalidArgument("Invalid NextPageToken.".to_owned()))
    }
}

/// Makes one part of those of several shards that were asked for the same. What lies behind the point up to
/// which one of them has read must wait.
pub fn merge(parts: Vec<Part>, size: usize) -> Part {
    let read_to = parts.iter().filter_map(|part| part.read_to.clone()).min();
    let mut rows: Vec<Found> = parts.into_iter().flat_map(|part| part.rows).collect();
    rows.sort_by(|a, b| a.sort_key.cmp(&b.sort_key));
    let ready = match &read_to {
        Some(read_to) => rows.partition_point(|found| found.sort_key <= *read_to),
        None => rows.len(),
    };
    let is_cut = ready > size && size > 0;
    let read_to = if is_cut { Some(rows[size - 1].sort_key.clone()) } else { read_to };
    rows.truncate(ready.min(size));
    Part { rows, read_to }
}

/// How many runs match, in groups if the query asks for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub total: i64,
    pub groups: BTreeMap<String, i64>,
}

impl Counts {
    /// Counts a row if it matches.
    pub fn add(&mut self, filter: &Filter, row: &Row) {
        if !filter.matches(row) {
            return;
        }
        let group = match filter.group_by() {
            None | Some(GroupBy::ExecutionStatus) => return self.add_runs(filter, row.status, 1),
            Some(GroupBy::StatusName) => standalone_status_name(row.status).to_owned(),
            Some(GroupBy::NamespaceDivision) => {
                let division = row.search_attribute(NAMESPACE_DIVISION);
                match division.and_then(|payload| json::parse(&payload.data)) {
                    Some(json::Json::Text(division)) => division,
                    _ => String::new(),
                }
            }
        };
        self.total += 1;
        *self.groups.entry(group).or_default() += 1;
    }

    /// Counts runs of one status, all of which match.
    pub(super) fn add_runs(&mut self, filter: &Filter, status: i32, runs: i64) {
        self.total += runs;
        if filter.group_by() == Some(GroupBy::ExecutionStatus) {
            let status = WorkflowExecutionStatus::try_from(status).unwrap_or_default();
            *self.groups.entry(status_name(status).to_owned()).or_default() += runs;
        }
    }

    pub fn merge(&mut self, other: &Counts) {
        self.total += other.total;
        for (group, count) in &other.groups {
            *self.groups.entry(group.clone()).or_default() += count;
        }
    }

    pub fn response(&self) -> CountWorkflowExecutionsResponse {
        let group = |(name, count): (&String, &i64)| AggregationGroup {
            group_values: vec![keyword(name)],
            count: *count,
        };
        CountWorkflowExecutionsResponse { count: self.total, groups: self.groups.iter().map(group).collect() }
    }
}

fn keyword(text: &str) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec()), ("type".to_owned(), b"Keyword".to_vec())]
            .into(),
        data: json::quote(text).into_bytes(),
        ..Payload::default()
    }
}
