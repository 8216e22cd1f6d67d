//! Reading histories: rows of events, as they are stored and served.

use std::time::Duration;

use bytes::Bytes;
use everlog_engine::{key::RunKey, reject::Reject, rows};
use everlog_raft_store::Tables;

use crate::{
    frontend::backend::{HistoryRead, Order},
    machine,
};

/// How long this node may take to apply what another one has told it of.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);
const CATCH_UP_PAUSE: Duration = Duration::from_millis(1);

/// Rows of a run's history: each a `History` message with the events of one commit.
pub async fn read(tables: &Tables, run: &RunKey, read: HistoryRead) -> Result<Vec<Bytes>, Reject> {
    if read.to < read.from {
        return Ok(Vec::new());
    }
    catch_up(tables, run, read.to).await?;
    // The row that holds the first event may begin before it.
    let first = tables
        .scan_back(rows::history_key(run, 0), rows::history_key(run, read.from.saturating_add(1)))
        .next()
        .map_or_else(|| rows::history_key(run, read.from), |(key, _)| key);
    let end = rows::history_key(run, read.to.saturating_add(1));
    let rows = match read.order {
        Order::Forward => tables.scan(first, end),
        Order::Backward => tables.scan_back(first, end),
    };
    let mut found = Vec::new();
    let mut bytes = 0;
    for (_, value) in rows {
        let value = value.to_bytes();
        bytes += value.len();
        found.push(value);
        if found.len() >= read.rows_max || bytes >= read.bytes_max {
            break;
        }
    }
    Ok(found)
}

/// Waits until this node has applied the run up to an event. Its shard's leader may be another node.
async fn catch_up(tables: &Tables, run: &RunKey, event_id: i64) -> Result<(), Reject> {
    let deadline = tokio::time::Instant::now() + CATCH_UP_TIMEOUT;
    loop {
        let execution =
            tables.get(&rows::execution_key(run)).and_then(|value| machine::execution_of(value).ok());
        if execution.is_some_and(|execution| execution.history_length() >= event_id) {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(Reject::Unavailable("this node is behind, please retry".into()));
        }
        tokio::time::sleep(CATCH_UP_PAUSE).await;
    }
}
