//! Schedules: what a client gives is brought into its canonical form here, then the schedule decides.
//!
//! The order of the checks and their words are those of the real server, where a schedule is a workflow with
//! a prefixed id; clients see that in some of the texts.

use everlog_engine::{
    schedule::{
        ScheduleKey,
        request::{ScheduleReply, ScheduleRequest, token_bytes},
        spec, start,
        turn::fill_in_policies,
    },
    time::Time,
};
use everlog_proto::api::{
    enums::v1::WorkflowIdReusePolicy,
    schedule::v1::{Schedule, schedule_action::Action},
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::{
        CountSchedulesRequest, CountSchedulesResponse, CreateScheduleRequest, CreateScheduleResponse,
        DeleteScheduleRequest, DeleteScheduleResponse, DescribeScheduleRequest,
        ListScheduleMatchingTimesRequest, ListScheduleMatchingTimesResponse, ListSchedulesRequest,
        ListSchedulesResponse, PatchScheduleRequest, PatchScheduleResponse, UpdateScheduleRequest,
        UpdateScheduleResponse,
    },
};
use everlog_proto::prost::{Message as _, encoding::encoded_len_varint};
use tonic::Status;
use uuid::Uuid;

use super::{
    call::{Answer, Scope, encode},
    search_attributes, validate, visibility, workflow,
};
use crate::route::{Failure, ROUTE_TIMEOUT, Repeat, to_home};

const NOTES_BYTES_MAX: usize = 1000;
/// What the real server puts in front of a schedule's id to make a workflow id of it.
const ID_PREFIX: &str = "temporal-sys-scheduler:";
/// What the arguments of that workflow are called; those of an update have a name as long.
const ARGUMENTS_TYPE: &str = "temporal.server.api.schedule.v1.StartScheduleArgs";
/// As long as what is added to the workflow ids of actions.
const NOMINAL_TIME: &str = "-2009-11-10T23:00:00Z";

pub(super) async fn create(mut scope: Scope, mut request: CreateScheduleRequest) -> Answer {
    if request.request_id.is_empty() {
        return Err(Status::invalid_argument("RequestId is not set on request."));
    }
    validate::request_id(&request.request_id, &scope.limits)?;
    check_id(&request.schedule_id)?;
    let mut schedule = request.schedule.take().unwrap_or_default();
    check_action(&scope, &mut schedule)?;
    validate::new_workflow_id(&format!("{ID_PREFIX}{}", request.schedule_id), &scope.limits)?;
    let bytes = define(&mut schedule)?;
    search_attributes::check_new(&scope, &mut request.search_attributes)?;
    validate::memo(&mut request.memo, &scope.limits)?;
    request.schedule = Some(schedule);
    check_told(told_of_creation(&scope, &request, bytes), &scope)?;
    scope.call.rewrite(&request);
    let id = request.schedule_id.clone();
    ask(&scope, &id, Repeat::Safe, ScheduleRequest::Create(Box::new(request)), |reply| match reply {
        ScheduleReply::Created { conflict_token } => {
            Some(encode(&CreateScheduleResponse { conflict_token: token_bytes(conflict_token) }))
        }
        _ => None,
    })
    .await
}

pub(super) async fn update(mut scope: Scope, mut request: UpdateScheduleRequest) -> Answer {
    validate::request_id(&request.request_id, &scope.limits)?;
    check_id(&request.schedule_id)?;
    let mut schedule = request.schedule.take().unwrap_or_default();
    if start::action(&schedule).is_none() {
        return Err(Status::invalid_argument("Only StartWorkflow action is supported for schedules"));
    }
    check_action(&scope, &mut schedule)?;
    let bytes = define(&mut schedule)?;
    search_attributes::check(&scope, request.search_attributes.as_mut())?;
    request.schedule = Some(schedule);
    check_told(told_of_update(&request, bytes), &scope)?;
    name_request(&mut request.request_id);
    scope.call.rewrite(&request);
    let id = request.schedule_id.clone();
    let done = encode(&UpdateScheduleResponse {});
    ask(&scope, &id, Repeat::Safe, ScheduleRequest::Update(Box::new(request)), |_| Some(done.clone())).await
}

pub(super) async fn patch(mut scope: Scope, mut request: PatchScheduleRequest) -> Answer {
    validate::request_id(&request.request_id, &scope.limits)?;
    let Some(patch) = &mut request.patch else {
        return Err(Status::invalid_argument("Patch is not set on request."));
    };
    if patch.pause.len() > NOTES_BYTES_MAX || patch.unpause.len() > NOTES_BYTES_MAX {
        return Err(Status::invalid_argument("Schedule notes exceeds limit."));
    }
    if let Some(trigger) = &mut patch.trigger_immediately
        && trigger.scheduled_time.is_none()
    {
        trigger.scheduled_time = Some(scope.call.shared.backend.now().proto());
    }
    validate::blob(request.patch.as_ref(), &scope.limits)?;
    check_id(&request.schedule_id)?;
    name_request(&mut request.request_id);
    scope.call.rewrite(&request);
    let id = request.schedule_id.clone();
    let done = encode(&PatchScheduleResponse {});
    ask(&scope, &id, Repeat::Safe, ScheduleRequest::Patch(Box::new(request)), |_| Some(done.clone())).await
}

pub(super) async fn delete(scope: Scope, request: DeleteScheduleRequest) -> Answer {
    check_id(&request.schedule_id)?;
    let done = encode(&DeleteScheduleResponse {});
    ask(&scope, &request.schedule_id, Repeat::Unsafe, ScheduleRequest::Delete, |_| Some(done.clone())).await
}

pub(super) async fn describe(scope: Scope, request: DescribeScheduleRequest) -> Answer {
    check_id(&request.schedule_id)?;
    ask(&scope, &request.schedule_id, Repeat::Safe, ScheduleRequest::Describe, |reply| match reply {
        ScheduleReply::Described(described) => Some(encode(&*described)),
        _ => None,
    })
    .await
}

pub(super) async fn matching_times(scope: Scope, request: ListScheduleMatchingTimesRequest) -> Answer {
    check_id(&request.schedule_id)?;
    let asked = ScheduleRequest::MatchingTimes {
        after: request.start_time.as_ref().map(Time::from_proto),
        until: request.end_time.as_ref().map(Time::from_proto),
    };
    ask(&scope, &request.schedule_id, Repeat::Safe, asked, |reply| match reply {
        ScheduleReply::Times(times) => Some(encode(&ListScheduleMatchingTimesResponse {
            start_time: times.into_iter().map(Time::proto).collect(),
        })),
        _ => None,
    })
    .await
}

pub(super) async fn list(scope: Scope, request: ListSchedulesRequest) -> Answer {
    visibility::check_filter_allowed(&scope)?;
    let rows = visibility::page_rows(&scope, request.maximum_page_size);
    let backend = &scope.call.shared.backend;
    let page =
        backend.list_schedules(scope.namespace_id(), &request.query, rows, &request.next_page_token).await;
    let page = page.map_err(|error| Failure::from(error).into_status())?;
    Ok(encode(&ListSchedulesResponse { schedules: page.schedules, next_page_token: page.next_page_token }))
}

pub(super) async fn count(scope: Scope, request: CountSchedulesRequest) -> Answer {
    let counted = scope.call.shared.backend.count_schedules(scope.namespace_id(), &request.query).await;
    let count = counted.map_err(|error| Failure::from(error).into_status())?;
    Ok(encode(&CountSchedulesResponse { count, ..CountSchedulesResponse::default() }))
}

/// Asks a schedule where it lives.
async fn ask(
    scope: &Scope,
    schedule_id: &str,
    repeat: Repeat,
    request: ScheduleRequest,
    answer: impl Fn(ScheduleReply) -> Option<bytes::Bytes> + Send + Sync,
) -> Answer {
    let key = &ScheduleKey::new(scope.namespace_id(), schedule_id);
    let (request, answer) = (&request, &answer);
    to_home(&scope.call, scope.namespace_id(), schedule_id, repeat, |shard| async move {
        let deadline = scope.call.deadline_or(ROUTE_TIMEOUT);
        let backend = &scope.call.shared.backend;
        let reply = backend.call_schedule(shard, key.clone(), request.clone(), deadline).await?;
        answer(reply).ok_or_else(|| workflow::unexpected(request.kind()).into())
    })
    .await
}

fn check_id(schedule_id: &str) -> Result<(), Status> {
    if schedule_id.is_empty() {
        return Err(Status::invalid_argument("Can't load workflow execution. WorkflowId not set."));
    }
    Ok(())
}

/// Named before anybody else sees it, so that this node may repeat it.
fn name_request(request_id: &mut String) {
    if request_id.is_empty() {
        *request_id = Uuid::new_v4().to_string();
    }
}

/// The workflow that a schedule is to start, as a start would be checked.
fn check_action(scope: &Scope, schedule: &mut Schedule) -> Result<(), Status> {
    let Some(Action::StartWorkflow(action)) =
        schedule.action.as_mut().and_then(|action| action.action.as_mut())
    else {
        return Ok(());
    };
    let NewWorkflowExecutionInfo { workflow_id, workflow_type, task_queue, .. } = &mut *action;
    let limits = &scope.limits;
    validate::new_workflow_id(&format!("{workflow_id}{NOMINAL_TIME}"), limits)?;
    validate::workflow_type(workflow_type.as_ref(), limits)?;
    validate::start_queue(task_queue, limits)?;
    validate::timeout(&mut action.workflow_execution_timeout, "WorkflowExecutionTimeoutSeconds")?;
    validate::timeout(&mut action.workflow_run_timeout, "WorkflowRunTimeoutSeconds")?;
    validate::timeout(&mut action.workflow_task_timeout, "WorkflowTaskTimeoutSeconds")?;
    if !action.cron_schedule.is_empty() {
        return Err(Status::invalid_argument("Scheduled workflow must not contain CronSchedule"));
    }
    let allowed = [WorkflowIdReusePolicy::Unspecified, WorkflowIdReusePolicy::AllowDuplicate];
    if !allowed.contains(&action.workflow_id_reuse_policy()) {
        return Err(Status::invalid_argument("Scheduled workflow must not contain WorkflowIDReusePolicy"));
    }
    search_attributes::check(scope, action.search_attributes.as_mut())?;
    Ok(())
}

/// Brings the rest of a schedule into the form in which it is kept and shown. Returns how large it is without what
/// nobody has given.
fn define(schedule: &mut Schedule) -> Result<usize, Status> {
    let canonical = spec::canonical(schedule.spec.get_or_insert_default());
    let spec =
        canonical.map_err(|error| Status::invalid_argument(format!("Invalid schedule spec: {error}")))?;
    schedule.spec = Some(spec);
    let bytes = schedule.encoded_len();
    schedule.action.get_or_insert_default();
    fill_in_policies(schedule.policies.get_or_insert_default());
    schedule.state.get_or_insert_default();
    Ok(bytes)
}

/// The real server measures what it tells its own workflow: a schedule, what is to be done to it at once, and how it
/// is called.
fn told_of_creation(scope: &Scope, request: &CreateScheduleRequest, schedule_bytes: usize) -> usize {
    let names = [&scope.namespace.name, scope.namespace_id(), &request.schedule_id];
    let state = names.iter().map(|name| field_len(name.len())).sum::<usize>() + field_len_of_number(1);
    let patch = request.initial_patch.as_ref().map_or(0, |patch| field_len(patch.encoded_len()));
    field_len(schedule_bytes) + patch + field_len(state)
}

fn told_of_update(request: &UpdateScheduleRequest, schedule_bytes: usize) -> usize {
    let token = request.conflict_token.as_slice().try_into().map_or(0, u64::from_be_bytes);
    let attributes = request.search_attributes.as_ref().map_or(0, |given| field_len(given.encoded_len()));
    field_len(schedule_bytes) + field_len_of_number(token) + attributes
}

/// Whether what a workflow is to be told fits, as a payload among payloads.
fn check_told(bytes: usize, scope: &Scope) -> Result<(), Status> {
    let metadata = [("encoding", "binary/protobuf"), ("messageType", ARGUMENTS_TYPE)];
    let metadata =
        metadata.iter().map(|(name, value)| field_len(field_len(name.len()) + field_len(value.len())));
    if field_len(metadata.sum::<usize>() + field_len(bytes)) > scope.limits.blob_bytes_max {
        return Err(Status::invalid_argument("Blob data size exceeds limit."));
    }
    Ok(())
}

/// A field of a message that is a text or a message itself.
fn field_len(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}

fn field_len_of_number(number: u64) -> usize {
    if number == 0 { 0 } else { 1 + encoded_len_varint(number) }
}
