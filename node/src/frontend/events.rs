//! Histories as bytes.
//!
//! Events are stored as they are served: encoded, several to a row, each row a `History` message of its
//! own. Put end to end, rows are one longer `History`. So a history is cut and joined here without
//! decoding an event; all that is read is where each one begins and which id it has.

use bytes::Bytes;
use everlog_engine::{key::RunKey, reply::WorkflowTaskReply};
use everlog_proto::api::history::v1::HistoryEvent;
use prost::{
    Message,
    encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field},
};
use tonic::Status;

use super::{
    Shared,
    backend::{HistoryRead, Order},
    history::Token,
};
use crate::route::Failure;

/// `History.events`
const EVENTS: u32 = 1;
/// `HistoryEvent.event_id`
const EVENT_ID: u32 = 1;
/// `PollWorkflowTaskQueueResponse.history`
const POLL_HISTORY: u32 = 8;

/// Rows of a page at most. A row is what one commit wrote, so a page has about so many events.
pub(super) const PAGE_ROWS_MAX: usize = 256;
/// Bytes after which a page ends.
pub(super) const PAGE_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, thiserror::Error)]
enum Damaged {
    #[error("an event is cut short")]
    Cut,
    #[error(transparent)]
    Wire(#[from] prost::DecodeError),
}

/// Some events of a run, in the encoding of `History`.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) history: Vec<u8>,
    /// The ids of the first and the last event, in the order of reading. None if the page is empty.
    pub(super) span: Option<(i64, i64)>,
}

impl Page {
    pub(super) fn push(&mut self, event: &HistoryEvent) {
        encode_key(EVENTS, WireType::LengthDelimited, &mut self.history);
        encode_varint(event.encoded_len() as u64, &mut self.history);
        event.encode_raw(&mut self.history);
        let first = self.span.map_or(event.event_id, |(first, _)| first);
        self.span = Some((first, event.event_id));
    }

    fn push_raw(&mut self, event: &RawEvent<'_>) {
        self.history.extend_from_slice(event.bytes);
        let first = self.span.map_or(event.id, |(first, _)| first);
        self.span = Some((first, event.id));
    }
}

/// Reads events `from..=to` in an order, as far as one page goes.
pub(super) async fn read_page(
    shared: &Shared,
    run: &RunKey,
    from: i64,
    to: i64,
    order: Order,
    rows_max: usize,
) -> Result<Page, Failure> {
    let read = HistoryRead { from, to, order, rows_max, bytes_max: PAGE_BYTES_MAX };
    let rows = shared.backend.history(run, read).await?;
    let mut page = Page { history: Vec::with_capacity(rows.iter().map(Bytes::len).sum()), span: None };
    for row in &rows {
        let events = RawEvent::all(row).map_err(|error| damaged(run, &error))?;
        let wanted = |event: &&RawEvent<'_>| (from..=to).contains(&event.id);
        match order {
            Order::Forward => events.iter().filter(wanted).for_each(|event| page.push_raw(event)),
            Order::Backward => events.iter().rev().filter(wanted).for_each(|event| page.push_raw(event)),
        }
    }
    Ok(page)
}

fn damaged(run: &RunKey, error: &Damaged) -> Status {
    tracing::error!(?run, %error, "a history row is damaged");
    Status::data_loss("history is corrupted")
}

/// The encoded answer of a poll: the response with the history that goes with it. A history that is too
/// long for one message is continued with `GetWorkflowExecutionHistory`.
pub(super) async fn workflow_task(shared: &Shared, task: &WorkflowTaskReply) -> Result<Bytes, Failure> {
    let span = &task.history;
    let mut response = task.response.clone();
    let mut page = Page::default();
    let mut next = span.from;
    if span.from <= span.to {
        page = read_page(shared, &span.run, span.from, span.to, Order::Forward, PAGE_ROWS_MAX).await?;
        let Some((_, last)) = page.span else {
            return Err(Status::data_loss("no events in workflow history").into());
        };
        next = last + 1;
    }
    if next > span.to {
        span.suffix.iter().for_each(|event| page.push(event));
    } else {
        response.next_page_token = Token::forward(&span.run.run_id, next).encode();
    }
    Ok(with_message(&response, POLL_HISTORY, Some(&page.history)))
}

/// A message with one more field, which is encoded already.
pub(super) fn with_message(message: &impl Message, field: u32, encoded: Option<&[u8]>) -> Bytes {
    let mut bytes = Vec::with_capacity(message.encoded_len() + encoded.map_or(0, |bytes| bytes.len() + 12));
    // Into a vector, which grows, nothing fails to fit.
    message.encode_raw(&mut bytes);
    if let Some(encoded) = encoded {
        encode_key(field, WireType::LengthDelimited, &mut bytes);
        encode_varint(encoded.len() as u64, &mut bytes);
        bytes.extend_from_slice(encoded);
    }
    bytes.into()
}

/// One event inside a `History`, with its key and length.
struct RawEvent<'a> {
    id: i64,
    bytes: &'a [u8],
}

impl RawEvent<'_> {
    fn all(history: &[u8]) -> Result<Vec<RawEvent<'_>>, Damaged> {
        let mut events = Vec::new();
        let mut rest = history;
        while !rest.is_empty() {
            let start = rest;
            let (field, wire_type) = decode_key(&mut rest)?;
            if field != EVENTS || wire_type != WireType::LengthDelimited {
                skip_field(wire_type, field, &mut rest, Default::default())?;
                continue;
            }
            let length = usize::try_from(decode_varint(&mut rest)?).unwrap_or(usize::MAX);
            let Some((event, after)) = rest.split_at_checked(length) else {
                return Err(Damaged::Cut);
            };
            rest = after;
            let bytes = &start[..start.len() - rest.len()];
            events.push(RawEvent { id: event_id(event)?, bytes });
        }
        Ok(events)
    }
}

/// The id is the first field as we encode it, but any order is legal.
fn event_id(mut event: &[u8]) -> Result<i64, Damaged> {
    while !event.is_empty() {
        let (field, wire_type) = decode_key(&mut event)?;
        if field == EVENT_ID && wire_type == WireType::Varint {
            return Ok(decode_varint(&mut event)? as i64);
        }
        skip_field(wire_type, field, &mut event, Default::default())?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use everlog_proto::api::{history::v1::History, workflowservice::v1::PollWorkflowTaskQueueResponse};

    use super::*;

    fn event(event_id: i64) -> HistoryEvent {
        HistoryEvent { event_id, task_id: 7, worker_may_ignore: true, ..HistoryEvent::default() }
    }

    #[test]
    fn events_are_found_without_decoding_them() {
        let history = History { events: [3, 4, 300].map(event).to_vec() };
        let bytes = history.encode_to_vec();
        let raw = RawEvent::all(&bytes).unwrap();
        assert_eq!(raw.iter().map(|event| event.id).collect::<Vec<_>>(), [3, 4, 300]);
        let joined: Vec<u8> = raw.iter().rev().flat_map(|event| event.bytes).copied().collect();
        assert_eq!(History::decode(joined.as_slice()).unwrap().events, [300, 4, 3].map(event));
        assert!(RawEvent::all(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn a_page_is_a_history() {
        let mut page = Page::default();
        page.push(&event(5));
        page.push(&event(6));
        assert_eq!(page.span, Some((5, 6)));
        let response = PollWorkflowTaskQueueResponse { task_token: vec![1], ..Default::default() };
        let bytes = with_message(&response, POLL_HISTORY, Some(&page.history));
        let decoded = PollWorkflowTaskQueueResponse::decode(bytes).unwrap();
        assert_eq!(decoded.task_token, [1]);
        assert_eq!(decoded.history.unwrap().events, [5, 6].map(event));
    }
}
