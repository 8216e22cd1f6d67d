//! Activities that run on their own: start, describe, wait for, list, end.
//!
//! What workers and operators say about them comes through the methods that serve the activities of
//! workflows too ([`super::activity`], [`super::activity_operations`]).

use everlog_engine::{
    decide::activity::normalise_start,
    reply::Reply,
    standalone::{
        Kind, Standalone, StandaloneKey,
        activity::{self, Shown},
        request::{Asked, StandaloneRequest, Until},
    },
    time::Time,
};
use everlog_proto::api::{
    common::v1::{Link, link},
    enums::v1::{ActivityIdConflictPolicy, ActivityIdReusePolicy},
    workflowservice::v1::{
        CountActivityExecutionsRequest, CountActivityExecutionsResponse, DeleteActivityExecutionRequest,
        DeleteActivityExecutionResponse, DescribeActivityExecutionRequest, DescribeActivityExecutionResponse,
        ListActivityExecutionsRequest, ListActivityExecutionsResponse, PollActivityExecutionRequest,
        PollActivityExecutionResponse, RequestCancelActivityExecutionRequest,
        RequestCancelActivityExecutionResponse, StartActivityExecutionRequest,
        StartActivityExecutionResponse, TerminateActivityExecutionRequest,
        TerminateActivityExecutionResponse, count_activity_executions_response::AggregationGroup,
    },
};
use tonic::Status;

use super::{
    call::{Answer, Scope, encode},
    search_attributes,
    standalone::{
        SeenToken, ask_at_home, check_asked, check_length, check_metadata, check_named, check_run_id,
        name_request, patience_ms, tell,
    },
    validate, visibility,
};
use crate::route::{Failure, Repeat};

pub(super) fn key(scope: &Scope, activity_id: &str) -> StandaloneKey {
    StandaloneKey::new(Kind::Activity, scope.namespace_id(), activity_id)
}

pub(super) async fn start(mut scope: Scope, mut request: StartActivityExecutionRequest) -> Answer {
    let is_named = !name_request(&mut request.request_id);
    prepare_start(&scope, &mut request)?;
    if !is_named {
        scope.call.rewrite(&request);
    }
    let (namespace, activity_id) = (scope.namespace.name.clone(), request.activity_id.clone());
    let key = key(&scope, &activity_id);
    let start = StandaloneRequest::StartActivity(Box::new(request));
    ask_at_home(&scope, &key, Repeat::Safe, start, |reply| match reply {
        Reply::StandaloneStarted { run_id, started } => {
            let activity = link::Activity {
                namespace: namespace.clone(),
                activity_id: activity_id.clone(),
                run_id: run_id.clone(),
            };
            let link = Some(Link { variant: Some(link::Variant::Activity(activity)) });
            Some(encode(&StartActivityExecutionResponse { run_id, started, link }))
        }
        _ => None,
    })
    .await
}

/// The order of the checks is part of the contract: the first fault is the one that is reported.
fn prepare_start(scope: &Scope, request: &mut StartActivityExecutionRequest) -> Result<(), Status> {
    let invalid = |message: String| Status::invalid_argument(message);
    normalise_start(request, &scope.limits).map_err(invalid)?;
    check_length(scope, "request ID", &request.request_id)?;
    check_length(scope, "identity", &request.identity)?;
    if request.id_reuse_policy == ActivityIdReusePolicy::Unspecified as i32 {
        request.id_reuse_policy = ActivityIdReusePolicy::AllowDuplicate as i32;
    }
    if request.id_conflict_policy == ActivityIdConflictPolicy::Unspecified as i32 {
        request.id_conflict_policy = ActivityIdConflictPolicy::Fail as i32;
    }
    if validate::is_too_large(request.input.as_ref(), &scope.limits) {
        return Err(Status::invalid_argument("input exceeds length limit"));
    }
    check_metadata(request.user_metadata.as_ref(), &scope.limits)?;
    let on_conflict = request.on_conflict_options.as_ref();
    let attaches_request = on_conflict.is_some_and(|options| options.attach_request_id);
    if on_conflict.is_some_and(|options| options.attach_completion_callbacks) && !attaches_request {
        return Err(Status::invalid_argument(
            "on_conflict_options: attach_completion_callbacks requires attach_request_id to be set",
        ));
    }
    if attaches_request && request.completion_callbacks.is_empty() && request.links.is_empty() {
        return Err(Status::invalid_argument(
            "on_conflict_options: attach_request_id requires at least one completion callback or link",
        ));
    }
    search_attributes::check_new(scope, &mut request.search_attributes)?;
    if !request.completion_callbacks.is_empty() {
        return Err(Status::invalid_argument("completion callbacks are not enabled for this namespace"));
    }
    if ActivityIdReusePolicy::try_from(request.id_reuse_policy).is_err() {
        return Err(invalid(format!("unsupported ID reuse policy: {}", request.id_reuse_policy)));
    }
    if ActivityIdConflictPolicy::try_from(request.id_conflict_policy).is_err() {
        return Err(invalid(format!("unsupported ID conflict policy: {}", request.id_conflict_policy)));
    }
    validate::links(&request.links, scope.call.shared.api(&scope.namespace.name))
}

pub(super) async fn describe(scope: Scope, request: DescribeActivityExecutionRequest) -> Answer {
    check_named(&scope, "activity", &request.activity_id)?;
    if !request.long_poll_token.is_empty() && request.run_id.is_empty() {
        return Err(Status::invalid_argument("run id is required when long poll token is provided"));
    }
    check_run_id(&request.run_id)?;
    let key = key(&scope, &request.activity_id);
    let run_id = request.run_id.clone();
    let read = if request.long_poll_token.is_empty() {
        StandaloneRequest::Read { run_id }
    } else {
        let seen = SeenToken::seen(&request.long_poll_token, &key.run(&run_id))?;
        StandaloneRequest::Watch { run_id, until: Until::Changed { seen }, timeout_ms: patience_ms(&scope) }
    };
    let now = || scope.call.shared.backend.now();
    ask_at_home(&scope, &key, Repeat::Safe, read, |reply| match reply {
        Reply::Standalone(Some(state)) => Some(encode(&description(&state, &request, now()))),
        Reply::Standalone(None) => Some(encode(&DescribeActivityExecutionResponse::default())),
        _ => None,
    })
    .await
}

fn description(
    state: &Standalone,
    request: &DescribeActivityExecutionRequest,
    now: Time,
) -> DescribeActivityExecutionResponse {
    let shown = Shown {
        heartbeat_details: request.include_heartbeat_details,
        last_failure: request.include_last_failure,
    };
    let input = state.given.input.clone().filter(|_| request.include_input);
    DescribeActivityExecutionResponse {
        run_id: state.run_id().to_owned(),
        info: Some(activity::info(state, shown, now)),
        input: input.map(|input| input.0),
        outcome: activity::outcome(state).filter(|_| request.include_outcome),
        long_poll_token: SeenToken::of(state, now).encode(),
        ..Default::default()
    }
}

pub(super) async fn poll(scope: Scope, request: PollActivityExecutionRequest) -> Answer {
    check_named(&scope, "activity", &request.activity_id)?;
    check_run_id(&request.run_id)?;
    let key = key(&scope, &request.activity_id);
    let run_id = request.run_id;
    let watch = StandaloneRequest::Watch { run_id, until: Until::Closed, timeout_ms: patience_ms(&scope) };
    ask_at_home(&scope, &key, Repeat::Safe, watch, |reply| match reply {
        Reply::Standalone(Some(state)) => Some(encode(&PollActivityExecutionResponse {
            run_id: state.run_id().to_owned(),
            outcome: activity::outcome(&state),
        })),
        Reply::Standalone(None) => Some(encode(&PollActivityExecutionResponse::default())),
        _ => None,
    })
    .await
}

pub(super) async fn list(scope: Scope, request: ListActivityExecutionsRequest) -> Answer {
    let rows = visibility::page_rows(&scope, request.page_size);
    let backend = &scope.call.shared.backend;
    let page =
        backend.list_activities(scope.namespace_id(), &request.query, rows, &request.next_page_token).await;
    let page = page.map_err(|error| Failure::from(error).into_status())?;
    Ok(encode(&ListActivityExecutionsResponse {
        executions: page.executions,
        next_page_token: page.next_page_token,
    }))
}

pub(super) async fn count(scope: Scope, request: CountActivityExecutionsRequest) -> Answer {
    let counted = scope.call.shared.backend.count_activities(scope.namespace_id(), &request.query).await;
    let counted = counted.map_err(|error| Failure::from(error).into_status())?.response();
    let groups = counted
        .groups
        .into_iter()
        .map(|group| AggregationGroup { group_values: group.group_values, count: group.count })
        .collect();
    Ok(encode(&CountActivityExecutionsResponse { count: counted.count, groups }))
}

pub(super) async fn cancel(mut scope: Scope, mut request: RequestCancelActivityExecutionRequest) -> Answer {
    if name_request(&mut request.request_id) {
        scope.call.rewrite(&request);
    }
    let asked = Asked {
        run_id: request.run_id,
        request_id: request.request_id,
        identity: request.identity,
        reason: request.reason,
    };
    check_asked(&scope, "activity", &request.activity_id, &asked)?;
    let answer = encode(&RequestCancelActivityExecutionResponse {});
    let key = key(&scope, &request.activity_id);
    tell(&scope, &key, Repeat::Safe, StandaloneRequest::Cancel(asked), answer).await
}

pub(super) async fn terminate(mut scope: Scope, mut request: TerminateActivityExecutionRequest) -> Answer {
    if name_request(&mut request.request_id) {
        scope.call.rewrite(&request);
    }
    let asked = Asked {
        run_id: request.run_id,
        request_id: request.request_id,
        identity: request.identity,
        reason: request.reason,
    };
    check_asked(&scope, "activity", &request.activity_id, &asked)?;
    let answer = encode(&TerminateActivityExecutionResponse {});
    let key = key(&scope, &request.activity_id);
    tell(&scope, &key, Repeat::Safe, StandaloneRequest::Terminate(asked), answer).await
}

pub(super) async fn delete(scope: Scope, request: DeleteActivityExecutionRequest) -> Answer {
    check_named(&scope, "activity", &request.activity_id)?;
    check_run_id(&request.run_id)?;
    let key = key(&scope, &request.activity_id);
    let deletion = StandaloneRequest::Delete { run_id: request.run_id };
    tell(&scope, &key, Repeat::Unsafe, deletion, encode(&DeleteActivityExecutionResponse {})).await
}
