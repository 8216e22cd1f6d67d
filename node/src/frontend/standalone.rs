//! Asking what runs on its own, whatever its kind: where it lives, and for how long one may wait.

use std::time::Duration;

use bytes::Bytes;
use everlog_engine::{
    codec,
    limits::Limits,
    reply::Reply,
    standalone::{Standalone, StandaloneKey, StandaloneRun, request::StandaloneRequest},
    time::Time,
};
use everlog_proto::{
    api::{common::v1::Payload, sdk::v1::UserMetadata},
    prost::Message as _,
};
use serde::{Deserialize, Serialize};
use tonic::Status;
use uuid::Uuid;

use super::call::{Answer, Scope};
use crate::route::{Failure, ROUTE_TIMEOUT, Repeat, to_home};

/// A long poll is answered so long before its caller gives up, who would not get the answer otherwise.
const POLL_BUFFER: Duration = Duration::from_secs(1);

/// One question to something of a shard that this node leads.
pub(super) async fn ask(
    scope: &Scope,
    shard: u64,
    key: &StandaloneKey,
    request: StandaloneRequest,
) -> Result<Reply, Failure> {
    let deadline = scope.call.deadline_or(ROUTE_TIMEOUT);
    Ok(scope.call.shared.backend.call_standalone(shard, key.clone(), request, deadline).await?)
}

/// Asks where it lives.
pub(super) async fn ask_at_home(
    scope: &Scope,
    key: &StandaloneKey,
    repeat: Repeat,
    request: StandaloneRequest,
    answer: impl Fn(Reply) -> Option<Bytes> + Send + Sync,
) -> Answer {
    let (request, answer) = (&request, &answer);
    to_home(&scope.call, scope.namespace_id(), key.id(), repeat, |shard| async move {
        let reply = ask(scope, shard, key, request.clone()).await?;
        answer(reply).ok_or_else(|| super::workflow::unexpected(request.kind()).into())
    })
    .await
}

/// Asks for something that is answered with nothing but yes or no.
pub(super) async fn tell(
    scope: &Scope,
    key: &StandaloneKey,
    repeat: Repeat,
    request: StandaloneRequest,
    answer: Bytes,
) -> Answer {
    ask_at_home(scope, key, repeat, request, |_| Some(answer.clone())).await
}

/// How long a long poll may wait, in milliseconds.
pub(super) fn patience_ms(scope: &Scope) -> u64 {
    let longest = scope.call.shared.api(&scope.namespace.name).history_poll_timeout;
    let patience = scope.call.remaining().map_or(longest, |remaining| remaining.saturating_sub(POLL_BUFFER));
    patience.min(longest).as_millis() as u64
}

/// Named before anybody else sees it, so that this node may repeat it. True if it had no name.
pub(super) fn name_request(request_id: &mut String) -> bool {
    let is_new = request_id.is_empty();
    if is_new {
        *request_id = Uuid::new_v4().to_string();
    }
    is_new
}

const TOKEN_KIND: u8 = b'P';
const TOKEN_VERSION: u8 = 3;

/// What the reader of a description has seen.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SeenToken {
    run: StandaloneRun,
    changes: i64,
}

impl SeenToken {
    pub(super) fn of(state: &Standalone, now: Time) -> SeenToken {
        SeenToken { run: state.run.clone(), changes: state.changes(now) }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        codec::encode(TOKEN_KIND, TOKEN_VERSION, self)
    }

    /// What was seen, if the token is about the run that a request names.
    pub(super) fn seen(token: &[u8], run: &StandaloneRun) -> Result<i64, Status> {
        let token: SeenToken = codec::decode(TOKEN_KIND, TOKEN_VERSION, token)
            .map_err(|_| Status::invalid_argument("invalid long poll token"))?;
        if token.run != *run {
            return Err(Status::invalid_argument("long poll token does not match execution"));
        }
        Ok(token.changes)
    }
}

/// What every request checks that names something which runs on its own, and perhaps a run of it.
pub(super) fn check_named(scope: &Scope, what: &str, id: &str) -> Result<(), Status> {
    if id.is_empty() {
        return Err(Status::invalid_argument(format!("{what} ID is required")));
    }
    check_length(scope, &format!("{what} ID"), id)
}

pub(super) fn check_length(scope: &Scope, what: &str, value: &str) -> Result<(), Status> {
    let (length, limit) = (value.len(), scope.limits.id_bytes_max);
    if length > limit {
        let message = format!("{what} exceeds length limit. Length={length} Limit={limit}");
        return Err(Status::invalid_argument(message));
    }
    Ok(())
}

/// Summary and details that users give.
pub(super) fn check_metadata(metadata: Option<&UserMetadata>, limits: &Limits) -> Result<(), Status> {
    let Some(metadata) = metadata else { return Ok(()) };
    check_size("user_metadata.summary", metadata.summary.as_ref(), limits.summary_bytes_max)?;
    check_size("user_metadata.details", metadata.details.as_ref(), limits.details_bytes_max)
}

pub(super) fn check_size(what: &str, payload: Option<&Payload>, bytes_max: usize) -> Result<(), Status> {
    check_bytes(what, payload.map_or(0, Payload::encoded_len), bytes_max, "size")
}

pub(super) fn check_bytes(what: &str, bytes: usize, bytes_max: usize, measure: &str) -> Result<(), Status> {
    if bytes > bytes_max {
        let message = format!("{what} exceeds {measure} limit. Length={bytes} Limit={bytes_max}");
        return Err(Status::invalid_argument(message));
    }
    Ok(())
}

pub(super) fn check_run_id(run_id: &str) -> Result<(), Status> {
    if !run_id.is_empty() && Uuid::parse_str(run_id).is_err() {
        return Err(Status::invalid_argument("invalid run id: must be a valid UUID"));
    }
    Ok(())
}

pub(super) fn check_reason(scope: &Scope, reason: &str) -> Result<(), Status> {
    if reason.len() > scope.limits.blob_bytes_max {
        return Err(Status::invalid_argument("reason exceeds length limit"));
    }
    Ok(())
}

/// What a request checks that asks for an end, and says who asks and why.
pub(super) fn check_asked(
    scope: &Scope,
    what: &str,
    id: &str,
    asked: &everlog_engine::standalone::request::Asked,
) -> Result<(), Status> {
    check_named(scope, what, id)?;
    check_length(scope, "request ID", &asked.request_id)?;
    check_length(scope, "identity", &asked.identity)?;
    check_run_id(&asked.run_id)?;
    check_reason(scope, &asked.reason)
}
