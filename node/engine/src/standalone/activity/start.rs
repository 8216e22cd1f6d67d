//! The start of an activity.

use everlog_proto::api::{
    history::v1::ActivityTaskScheduledEventAttributes, workflowservice::v1::StartActivityExecutionRequest,
};

use crate::{
    codec::Proto,
    reject::Reject,
    stamp::Stamp,
    standalone::{
        fact::{Creation, Subject},
        key::StandaloneKey,
        start::{self, Policies, Start, Started},
        state::{Given, Standalone},
    },
    time::duration,
};

/// The request has been validated, and everything that it leaves open filled in.
pub fn start<'a>(
    stamp: &'a Stamp<'a>,
    key: &StandaloneKey,
    current: Option<&Standalone>,
    request: &StartActivityExecutionRequest,
) -> Result<Started<'a>, Reject> {
    let attaches = request.on_conflict_options.as_ref().is_some_and(|options| options.attach_links);
    let wanted = Start {
        request_id: &request.request_id,
        policies: Policies::of_activity(request.id_reuse_policy(), request.id_conflict_policy()),
        attached_links: if attaches { &request.links } else { &[] },
    };
    start::start(stamp, key, current, &wanted, || creation(stamp, request))
}

fn creation(stamp: &Stamp<'_>, request: &StartActivityExecutionRequest) -> Creation {
    let attributes = request.search_attributes.as_ref().map(|attributes| &attributes.indexed_fields);
    let given = Given {
        input: request.input.clone().map(Proto),
        header: request.header.clone().map(Proto),
        user_metadata: request.user_metadata.clone().map(Proto),
        search_attributes: attributes
            .into_iter()
            .flatten()
            .map(|(name, payload)| (name.clone(), Proto(payload.clone())))
            .collect(),
    };
    let scheduled = ActivityTaskScheduledEventAttributes {
        activity_id: request.activity_id.clone(),
        activity_type: request.activity_type.clone(),
        task_queue: request.task_queue.clone(),
        schedule_to_close_timeout: request.schedule_to_close_timeout,
        schedule_to_start_timeout: request.schedule_to_start_timeout,
        start_to_close_timeout: request.start_to_close_timeout,
        heartbeat_timeout: request.heartbeat_timeout,
        retry_policy: request.retry_policy.clone(),
        priority: request.priority.clone(),
        ..Default::default()
    };
    Creation {
        at: stamp.now,
        request_id: request.request_id.clone(),
        given,
        links: request.links.iter().cloned().map(Proto).collect(),
        subject: Subject::Activity {
            scheduled: Proto(scheduled),
            start_delay: request.start_delay.map(|delay| duration(Some(&delay))),
        },
    }
}
