//! Reading histories: rows of events, as they are served.

use everlog_engine::{
    key::RunKey,
    reply::HistorySpan,
    rows,
};
use everlog_proto::api::history::v1::{History, HistoryEvent};
use everlog_raft_store::Tables;
use prost::Message;

/// Events in one page of a history.
pub const PAGE_EVENTS_MAX: usize = 256;
/// Bytes in one page, so that a page always fits a message.
pub const PAGE_BYTES_MAX: usize = 2 << 20;

/// The stored events `from..=to` of a run, at most a page of them. A page ends at an event boundary.
pub fn read(tables: &Tables, run: &RunKey, from: i64, to: i64, events_max: usize) -> Vec<HistoryEvent> {
    let mut events: Vec<HistoryEvent> = Vec::new();
    if from > to {
        return events;
    }
    let mut bytes = 0;
    // The row that holds `from` may begin before it.
    let start = tables
        .scan_back(rows::history_key(run, 0), rows::history_key(run, from + 1))
        .take(1)
        .map(|(key, _)| key)
        .next()
        .unwrap_or_else(|| rows::history_key(run, from).into());
    for (_, value) in tables.scan(start.to_vec(), rows::history_key(run, to + 1)) {
        let value = value.to_bytes();
        let Ok(History { events: row }) = rows::decode_history(&value) else { break };
        for event in row {
            if event.event_id < from {
                continue;
            }
            if event.event_id > to || events.len() == events_max {
                return events;
            }
            bytes += event.encoded_len();
            if bytes > PAGE_BYTES_MAX && !events.is_empty() {
                return events;
            }
            events.push(event);
        }
    }
    events
}

/// The first page of what a worker is to get, and the id of the first event that did not fit.
pub fn first_page(tables: &Tables, span: &HistorySpan) -> (Vec<HistoryEvent>, Option<i64>) {
    let mut events = read(tables, &span.run, span.from, span.to, PAGE_EVENTS_MAX);
    let next = events.last().map_or(span.from, |last| last.event_id + 1);
    if next <= span.to {
        return (events, Some(next));
    }
    events.extend(span.suffix.iter().cloned());
    (events, None)
}

/// Tokens of history pages name the run they belong to, so that one cannot be used for another.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct PageToken {
    pub run_id: String,
    pub next_event_id: i64,
    /// The worker holds a task: the last page carries its events that are not written yet.
    pub for_task: bool,
}

const TOKEN_KIND: u8 = b'P';
const TOKEN_VERSION: u8 = 1;

impl PageToken {
    pub fn encode(&self) -> Vec<u8> {
        everlog_engine::codec::encode(TOKEN_KIND, TOKEN_VERSION, self)
    }

    pub fn decode(bytes: &[u8]) -> Option<PageToken> {
        everlog_engine::codec::decode(TOKEN_KIND, TOKEN_VERSION, bytes).ok()
    }
}

/// The token of a task's further pages.
pub fn page_token(run: &RunKey, next_event_id: i64) -> Vec<u8> {
    PageToken { run_id: run.run_id.to_string(), next_event_id, for_task: true }.encode()
}
