//! The order of lists, pages of them, and counts.
//!
//! Open runs come first, then those that closed last; among equals, those that started last. The order is
//! in the bytes of a key, so tables keep rows in list order, and a page token is the key to go on after.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use everlog_proto::api::{
    common::v1::Payload,
    enums::v1::WorkflowExecutionStatus,
    workflowservice::v1::{
        CountWorkflowExecutionsResponse, count_workflow_executions_response::AggregationGroup,
    },
};
use serde::{Deserialize, Serialize};

use super::{
    fields::{NAMESPACE_DIVISION, activity_status_name},
    filter::{Filter, GroupBy, status_name},
    json,
    row::Row,
};
use crate::{
    codec::{self, CodecError},
    reject::Reject,
};

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

/// Later moments get smaller numbers.
fn latest_first(nanos: i64) -> u64 {
    !((nanos as u64) ^ (1 << 63))
}

/// Part of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    pub rows: Vec<Row>,
    /// Everything up to this key is in `rows` or does not match; nothing if the list ends here.
    pub next: Option<PageToken>,
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

/// Reads encoded rows from sources that are each in list order, such as one range of the tables per slot,
/// until `size` rows match or `reads_max` rows were read. Sources are read no further than needed.
pub fn scan<S, B>(sources: Vec<S>, filter: &Filter, size: usize, reads_max: usize) -> Result<Page, CodecError>
where
    S: Iterator<Item = (Vec<u8>, B)>,
    B: AsRef<[u8]>,
{
    let mut sources = sources;
    let mut values: Vec<Option<B>> = Vec::with_capacity(sources.len());
    let mut heads = BinaryHeap::with_capacity(sources.len());
    for (i, source) in sources.iter_mut().enumerate() {
        values.push(source.next().map(|(key, value)| {
            heads.push(Reverse((key, i)));
            value
        }));
    }
    let only_open = filter.is_only_open();
    let (mut page, mut reads) = (Page::default(), 0);
    let mut last = Vec::new();
    while let Some(Reverse((key, i))) = heads.pop() {
        if only_open && !key.starts_with(&OPEN) {
            break;
        }
        if page.rows.len() >= size || reads >= reads_max {
            page.next = Some(PageToken { after: last });
            break;
        }
        reads += 1;
        if let Some(value) = values[i].take() {
            let row = Row::decode(value.as_ref())?;
            if filter.matches(&row) {
                page.rows.push(row);
            }
        }
        last = key;
        values[i] = sources[i].next().map(|(key, value)| {
            heads.push(Reverse((key, i)));
            value
        });
    }
    Ok(page)
}

/// Makes one page of the pages of several shards that were asked for the same. What lies behind the point
/// up to which one of them has read must wait.
pub fn merge(pages: Vec<Page>, size: usize) -> Page {
    let read_up_to = pages.iter().filter_map(|page| page.next.clone()).min();
    let mut rows: Vec<(Vec<u8>, Row)> =
        pages.into_iter().flat_map(|page| page.rows).map(|row| (row.sort_key(), row)).collect();
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    let ready = match &read_up_to {
        Some(token) => rows.partition_point(|(key, _)| *key <= token.after),
        None => rows.len(),
    };
    let next = if ready > size && size > 0 {
        Some(PageToken { after: rows[size - 1].0.clone() })
    } else {
        read_up_to
    };
    rows.truncate(ready.min(size));
    Page { rows: rows.into_iter().map(|(_, row)| row).collect(), next }
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
        self.total += 1;
        let group = match filter.group_by() {
            None => return,
            Some(GroupBy::ExecutionStatus) => {
                let status = WorkflowExecutionStatus::try_from(row.status).unwrap_or_default();
                status_name(status).to_owned()
            }
            Some(GroupBy::ActivityStatus) => activity_status_name(row.status).to_owned(),
            Some(GroupBy::NamespaceDivision) => {
                let division = row.search_attribute(NAMESPACE_DIVISION);
                match division.and_then(|payload| json::parse(&payload.data)) {
                    Some(json::Json::Text(division)) => division,
                    _ => String::new(),
                }
            }
        };
        *self.groups.entry(group).or_default() += 1;
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
