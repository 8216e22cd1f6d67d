//! The start of an operation.

use everlog_proto::api::{
    history::v1::NexusOperationScheduledEventAttributes,
    workflowservice::v1::StartNexusOperationExecutionRequest,
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
};

/// The request has been validated, and everything that it leaves open filled in. What it would attach to a run
/// that is used instead of its own the real server ignores.
pub fn start<'a>(
    stamp: &'a Stamp<'a>,
    key: &StandaloneKey,
    current: Option<&Standalone>,
    request: &StartNexusOperationExecutionRequest,
    endpoint_id: &str,
) -> Result<Started<'a>, Reject> {
    let wanted = Start {
        request_id: &request.request_id,
        policies: Policies::of_operation(request.id_reuse_policy(), request.id_conflict_policy()),
        attached_links: &[],
    };
    start::start(stamp, key, current, &wanted, || creation(stamp, request, endpoint_id))
}

fn creation(stamp: &Stamp<'_>, request: &StartNexusOperationExecutionRequest, endpoint_id: &str) -> Creation {
    let attributes = request.search_attributes.as_ref().map(|attributes| &attributes.indexed_fields);
    let given = Given {
        user_metadata: request.user_metadata.clone().map(Proto),
        search_attributes: attributes
            .into_iter()
            .flatten()
            .map(|(name, payload)| (name.clone(), Proto(payload.clone())))
            .collect(),
        ..Given::default()
    };
    let scheduled = NexusOperationScheduledEventAttributes {
        endpoint: request.endpoint.clone(),
        endpoint_id: endpoint_id.to_owned(),
        service: request.service.clone(),
        operation: request.operation.clone(),
        input: request.input.clone(),
        schedule_to_close_timeout: request.schedule_to_close_timeout,
        schedule_to_start_timeout: request.schedule_to_start_timeout,
        start_to_close_timeout: request.start_to_close_timeout,
        nexus_header: request.nexus_header.clone(),
        // Handlers know it by this one, and never see what clients call their requests.
        request_id: stamp.uuid(),
        ..Default::default()
    };
    Creation {
        at: stamp.now,
        request_id: request.request_id.clone(),
        given,
        links: Vec::new(),
        subject: Subject::Operation { scheduled: Proto(scheduled), identity: request.identity.clone() },
    }
}
