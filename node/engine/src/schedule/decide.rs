//! What a schedule does about a request.

use std::collections::BTreeMap;

use everlog_proto::api::{
    common::v1::{Memo, Payload, SearchAttributes, WorkflowExecution},
    enums::v1::WorkflowExecutionStatus,
    schedule::v1::{Schedule, ScheduleActionResult, ScheduleInfo, ScheduleState as ApiState},
    workflowservice::v1::{
        CreateScheduleRequest, DescribeScheduleResponse, PatchScheduleRequest, UpdateScheduleRequest,
    },
};
use prost::Message;

use super::{
    ask::{Asked, Closed, is_passing},
    fact::{Creation, ScheduleFact},
    request::{self, ScheduleReply, ScheduleRequest, parse_token, token_bytes},
    state::{Action, Backfill, Flags, Given},
    turn::ScheduleTurn,
};
use crate::{reject::Reject, time::Time, visibility::payload_bytes};

/// Times that one answer lists.
const MATCHING_TIMES_MAX: usize = 1000;
/// Backfills begin at their start time, so the search does so a moment earlier.
const BACKFILL_LEAD_NANOS: i64 = 1_000_000;

/// Decides a request. `exists` tells whether there is a state at all.
pub fn decide(
    turn: &mut ScheduleTurn<'_>,
    exists: bool,
    asked: &ScheduleRequest,
) -> Result<ScheduleReply, Reject> {
    let id = turn.state.key.schedule_id().to_owned();
    if let ScheduleRequest::Create(create) = asked {
        return self::create(turn, exists, create);
    }
    if !exists {
        return Err(request::not_found(&id));
    }
    match asked {
        // The specification of a schedule that has ended still has its times.
        ScheduleRequest::MatchingTimes { after, until } => matching_times(turn, *after, *until),
        ScheduleRequest::Describe if !turn.state.is_open() => Err(request::not_open()),
        _ if !turn.state.is_open() => Err(request::ended()),
        ScheduleRequest::Describe => Ok(ScheduleReply::Described(Box::new(describe(turn)))),
        ScheduleRequest::Update(update) => self::update(turn, update),
        ScheduleRequest::Patch(patch) => Ok(self::patch(turn, patch)),
        ScheduleRequest::Delete => {
            let keep_until = turn.stamp.now + turn.stamp.limits.retention;
            turn.fact(ScheduleFact::Ended { keep_until });
            Ok(ScheduleReply::Done)
        }
        ScheduleRequest::Create(_) => Err(request::exists(&id)),
    }
}

fn create(
    turn: &mut ScheduleTurn<'_>,
    exists: bool,
    create: &CreateScheduleRequest,
) -> Result<ScheduleReply, Reject> {
    let state = &turn.state;
    if exists && state.create_request_id == create.request_id {
        return Ok(ScheduleReply::Created { conflict_token: state.conflict_token });
    }
    if exists && state.is_open() {
        return Err(request::exists(state.key.schedule_id()));
    }
    let (definition, flags) = define(create.schedule.clone().unwrap_or_default());
    turn.fact(ScheduleFact::Created(Box::new(Creation {
        at: turn.stamp.now,
        namespace: create.namespace.clone(),
        incarnation: turn.stamp.uuid(),
        request_id: create.request_id.clone(),
        definition,
        flags,
        memo: create.memo.as_ref().map(|memo| given(&memo.fields)).unwrap_or_default(),
        search_attributes: create
            .search_attributes
            .as_ref()
            .map(|attributes| given(&attributes.indexed_fields))
            .unwrap_or_default(),
    })));
    let conflict_token = turn.state.conflict_token;
    if let Some(patch) = &create.initial_patch {
        apply_patch(turn, patch);
    }
    Ok(ScheduleReply::Created { conflict_token })
}

/// The part of a schedule that clients define, and the part that the engine changes too.
fn define(mut schedule: Schedule) -> (Given, Flags) {
    let state = schedule.state.take().unwrap_or_default();
    let flags = Flags {
        notes: state.notes,
        paused: state.paused,
        limited_actions: state.limited_actions,
        remaining_actions: state.remaining_actions,
    };
    (Given::from(schedule.encode_to_vec()), flags)
}

fn given<'a>(fields: impl IntoIterator<Item = (&'a String, &'a Payload)>) -> BTreeMap<String, Given> {
    fields.into_iter().map(|(name, payload)| (name.clone(), Given::from(payload_bytes(payload)))).collect()
}

fn update(turn: &mut ScheduleTurn<'_>, update: &UpdateScheduleRequest) -> Result<ScheduleReply, Reject> {
    if is_repeated(turn, &update.request_id) {
        return Ok(ScheduleReply::Done);
    }
    let token = parse_token(&update.conflict_token);
    if token != 0 && token != turn.state.conflict_token {
        return Err(Reject::FailedPrecondition("mismatched conflict token".to_owned()));
    }
    let (definition, flags) = define(update.schedule.clone().unwrap_or_default());
    let search_attributes =
        update.search_attributes.as_ref().map(|attributes| given(&attributes.indexed_fields));
    turn.fact(ScheduleFact::Updated { at: turn.stamp.now, definition, search_attributes });
    turn.fact(ScheduleFact::Flagged(flags));
    turn.process_times();
    Ok(ScheduleReply::Done)
}

fn patch(turn: &mut ScheduleTurn<'_>, request: &PatchScheduleRequest) -> ScheduleReply {
    if !is_repeated(turn, &request.request_id)
        && let Some(patch) = &request.patch
    {
        apply_patch(turn, patch);
    }
    ScheduleReply::Done
}

fn is_repeated(turn: &mut ScheduleTurn<'_>, request_id: &str) -> bool {
    if turn.state.request_ids.iter().any(|seen| seen == request_id) {
        return true;
    }
    if !request_id.is_empty() {
        turn.fact(ScheduleFact::RequestSeen(request_id.to_owned()));
    }
    false
}

fn apply_patch(turn: &mut ScheduleTurn<'_>, patch: &everlog_proto::api::schedule::v1::SchedulePatch) {
    if let Some(trigger) = &patch.trigger_immediately {
        let at = trigger.scheduled_time.as_ref().map_or(turn.stamp.now, Time::from_proto);
        if !turn.buffer(at, at, trigger.overlap_policy, true) {
            turn.fact(ScheduleFact::Dropped(1));
        }
    }
    for backfill in &patch.backfill_request {
        let time =
            |time: &Option<prost_types::Timestamp>| time.as_ref().map(Time::from_proto).unwrap_or_default();
        turn.add_backfill(Backfill {
            after: Time(time(&backfill.start_time).0.saturating_sub(BACKFILL_LEAD_NANOS)),
            until: time(&backfill.end_time),
            overlap: backfill.overlap_policy,
        });
    }
    for (notes, paused) in [(&patch.pause, true), (&patch.unpause, false)] {
        if !notes.is_empty() {
            turn.change_flags(|flags| {
                flags.paused = paused;
                flags.notes = notes.clone();
            });
        }
    }
}

fn matching_times(
    turn: &ScheduleTurn<'_>,
    after: Option<Time>,
    until: Option<Time>,
) -> Result<ScheduleReply, Reject> {
    let (Some(after), Some(until)) = (after, until) else { return Err(request::no_range()) };
    let spec = turn.compiled.spec.as_ref();
    let spec = spec.map_err(|error| Reject::InvalidArgument(format!("invalid schedule: {error}")))?;
    let times = spec.times(turn.compiled.seed, after, until, MATCHING_TIMES_MAX);
    Ok(ScheduleReply::Times(times.into_iter().map(|due| due.at).collect()))
}

fn describe(turn: &ScheduleTurn<'_>) -> DescribeScheduleResponse {
    let state = &turn.state;
    let mut schedule = turn.compiled.schedule.clone();
    schedule.state = Some(ApiState {
        notes: state.flags.notes.clone(),
        paused: state.flags.paused,
        limited_actions: state.flags.limited_actions,
        remaining_actions: state.flags.remaining_actions,
    });
    let execution = |workflow_id: &str, run_id: &str| WorkflowExecution {
        workflow_id: workflow_id.to_owned(),
        run_id: run_id.to_owned(),
    };
    #[allow(deprecated, reason = "older clients read what is wrong with a specification from there")]
    let info = ScheduleInfo {
        action_count: state.counts.actions,
        missed_catchup_window: state.counts.missed,
        overlap_skipped: state.counts.skipped,
        buffer_dropped: state.counts.dropped,
        buffer_size: state.buffered.len() as i64,
        running_workflows: state
            .running
            .iter()
            .map(|running| execution(&running.workflow_id, &running.run_id))
            .collect(),
        recent_actions: state.recent.iter().map(action_result).collect(),
        future_action_times: turn.described_times().into_iter().map(Time::proto).collect(),
        create_time: Some(state.create_time.proto()),
        update_time: state.update_time.map(Time::proto),
        invalid_schedule_error: turn
            .compiled
            .spec
            .as_ref()
            .err()
            .map(ToString::to_string)
            .unwrap_or_default(),
        ..ScheduleInfo::default()
    };
    DescribeScheduleResponse {
        schedule: Some(schedule),
        info: Some(info),
        memo: (!state.memo.is_empty()).then(|| Memo { fields: payloads(&state.memo) }),
        search_attributes: (!state.search_attributes.is_empty())
            .then(|| SearchAttributes { indexed_fields: payloads(&state.search_attributes) }),
        conflict_token: token_bytes(state.conflict_token),
    }
}

pub(super) fn action_result(action: &Action) -> ScheduleActionResult {
    ScheduleActionResult {
        schedule_time: Some(action.at.proto()),
        actual_time: Some(action.taken.proto()),
        start_workflow_result: Some(WorkflowExecution {
            workflow_id: action.workflow_id.clone(),
            run_id: action.run_id.clone(),
        }),
        start_workflow_status: action.status,
    }
}

fn payloads<M: FromIterator<(String, Payload)>>(given: &BTreeMap<String, Given>) -> M {
    given.iter().filter_map(|(name, bytes)| Some((name.clone(), Payload::decode(&bytes[..]).ok()?))).collect()
}

/// A workflow has answered a launch. Returns whether the question is to be asked again.
pub(crate) fn launch_answered(turn: &mut ScheduleTurn<'_>, number: u64, answer: &Asked) -> bool {
    let Some(launch) = turn.state.launching.iter().find(|launch| launch.start.number == number) else {
        return false;
    };
    match answer {
        Asked::Started { run_id } => {
            // It was started this moment: no need to look.
            turn.seen_running.insert(run_id.clone());
            turn.fact(ScheduleFact::Launched { number, run_id: run_id.clone(), at: turn.stamp.now });
            false
        }
        Asked::Refused(reject) if is_passing(reject) && launch.give_up_at > turn.stamp.now => true,
        _ => {
            turn.fact(ScheduleFact::LaunchFailed { number });
            false
        }
    }
}

/// A chain of runs that this schedule started has ended.
pub(crate) fn closed(turn: &mut ScheduleTurn<'_>, run_id: &str, closed: &Closed) {
    let Some(running) = turn.state.running.iter().find(|running| running.run_id == run_id) else { return };
    let workflow_id = running.workflow_id.clone();
    let result = closed.result.as_ref().map(|result| Given::from(result.encode_to_vec()));
    let failure = closed.failure.as_ref().map(|failure| Given::from(failure.encode_to_vec()));
    turn.fact(ScheduleFact::Closed { run_id: run_id.to_owned(), status: closed.status, result, failure });
    let policies = turn.compiled.schedule.policies.unwrap_or_default();
    if !policies.pause_on_failure || turn.state.flags.paused {
        return;
    }
    let notes = match WorkflowExecutionStatus::try_from(closed.status) {
        Ok(WorkflowExecutionStatus::Failed) => {
            let message = closed.failure.as_ref().map_or("", |failure| &failure.message);
            format!("paused due to workflow failure: {workflow_id}: {message}")
        }
        Ok(WorkflowExecutionStatus::TimedOut) => format!("paused due to workflow timeout: {workflow_id}"),
        _ => return,
    };
    turn.change_flags(|flags| {
        flags.paused = true;
        flags.notes = notes;
    });
}
