//! Requests that an earlier run of the workflow has answered.
//!
//! A client repeats a request whose answer was lost, with the same request id. A run remembers the requests that
//! it took; but by then it may have continued as new, or have ended and another one may have begun, and the
//! repetition would be taken for a new request by that one: a signal twice, a second chain of runs. So the runs
//! before the current one are asked as well, as far back as a repetition can reach, and not more than a few: an id
//! that is used again and again must not make each request read all that went before.

use std::{sync::Arc, time::Duration};

use super::{super::World, Actor};
use crate::{
    decide::start,
    execution::Execution,
    message::{Body, Message},
    planted,
    reply::Reply,
    request::Request,
    time::Time,
};

/// For so long clients repeat a request at most; the official ones give up sooner.
const CLIENTS_REPEAT_FOR: Duration = Duration::from_secs(5 * 60);
/// So many earlier runs are asked for a client.
const RUNS_ASKED_MAX: usize = 16;
/// How far the clocks of nodes may lie apart where it matters for what was heard before.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(60);

/// Whether an earlier run has heard this message, which its sender repeats because the answer was lost. Only
/// runs that were there after it was first sent can have.
pub(super) fn was_heard(actor: &Actor, run_id: &str, message: &Message, world: &dyn World) -> bool {
    let (request_id, since) = match &message.body {
        Body::Signal { request, since, .. } => (&request.request_id, *since),
        Body::Cancel { request, since, .. } => (&request.request_id, *since),
        _ => return false,
    };
    if !message.to_run.is_empty() || planted::is("message_heard_twice") {
        return false;
    }
    earlier_runs(actor, run_id, since, world)
        .any(|run| run.signal_request_ids.contains(request_id) || run.cancel_request_id == *request_id)
}

/// What an earlier run has answered to this request of a client.
pub(super) fn answer(actor: &Actor, request: &Request, now: Time, world: &dyn World) -> Option<Reply> {
    let current = actor.current.as_deref()?;
    if planted::is("repetition_unseen") {
        return None;
    }
    let means_current = |of: &Option<everlog_proto::api::common::v1::WorkflowExecution>| {
        of.as_ref().is_none_or(|execution| execution.run_id.is_empty())
    };
    if actor.runs.get(current).is_some_and(|run| knows(&run.execution, request)) {
        return None;
    }
    let mut earlier = earlier_runs(actor, current, now - CLIENTS_REPEAT_FOR, world).take(RUNS_ASKED_MAX);
    match request {
        Request::Start(of) => earlier.find_map(|run| start::repeated_of(&run, &of.request_id)),
        Request::SignalWithStart(of) if !of.request_id.is_empty() => {
            let run = earlier.find(|run| run.signal_request_ids.contains(&of.request_id))?;
            Some(start::signaled_already(&run))
        }
        Request::Signal(of) if !of.request_id.is_empty() && means_current(&of.workflow_execution) => {
            let run = earlier.find(|run| run.signal_request_ids.contains(&of.request_id))?;
            Some(Reply::Signaled { run_id: run.run_id().to_owned() })
        }
        Request::Cancel(of) if !of.request_id.is_empty() && means_current(&of.workflow_execution) => {
            earlier.find(|run| run.cancel_request_id == of.request_id)?;
            Some(Reply::Done)
        }
        _ => None,
    }
}

/// Whether this run has taken the request itself, and answers it.
fn knows(run: &Execution, request: &Request) -> bool {
    match request {
        Request::Start(of) => {
            run.create_request_id == of.request_id || run.request_ids.contains_key(&of.request_id)
        }
        Request::SignalWithStart(of) => run.signal_request_ids.contains(&of.request_id),
        Request::Signal(of) => run.signal_request_ids.contains(&of.request_id),
        Request::Cancel(of) => run.cancel_request_id == of.request_id,
        _ => true,
    }
}

/// The runs before this one that were open at `since` or later, the latest first.
fn earlier_runs<'a>(
    actor: &'a Actor,
    run_id: &str,
    since: Time,
    world: &'a dyn World,
) -> impl Iterator<Item = Arc<Execution>> + 'a {
    let known = |run_id: &str| actor.runs.get(run_id).map(|run| run.execution.arc());
    let mut next = known(run_id);
    std::iter::from_fn(move || {
        let run = next.take()?;
        if run.start_time + CLOCKS_APART_MAX < since || run.previous_run_id.is_empty() {
            return None;
        }
        let previous = &run.previous_run_id;
        next = known(previous).or_else(|| world.execution(&actor.workflow.run(previous)));
        next.clone()
    })
}
