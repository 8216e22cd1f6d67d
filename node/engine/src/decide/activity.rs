//! placeholder until the verb is merged
use crate::{
    codec::Proto,
    decide::{BadCommand, Decided},
    request::*,
    turn::Turn,
};
use everlog_proto::api::{command::v1::*, common::v1::Payloads, workflowservice::v1::*};
pub fn schedule(
    _: &mut Turn<'_>,
    _: &Command,
    _: &ScheduleActivityTaskCommandAttributes,
    _: i64,
) -> Result<i64, BadCommand> {
    unreachable!()
}
pub fn start_eagerly(_: &mut Turn<'_>, _: i64, _: &str, _: &str) -> Option<PollActivityTaskQueueResponse> {
    None
}
pub fn request_cancel(
    _: &mut Turn<'_>,
    _: &RequestCancelActivityTaskCommandAttributes,
    _: i64,
    _: &str,
) -> Result<bool, BadCommand> {
    unreachable!()
}
pub fn take(_: &mut Turn<'_>, _: &TakeActivityTask) -> Decided {
    unreachable!()
}
pub fn complete(_: &mut Turn<'_>, _: &ActivityRef, _: &RespondActivityTaskCompletedRequest) -> Decided {
    unreachable!()
}
pub fn fail(_: &mut Turn<'_>, _: &ActivityRef, _: &RespondActivityTaskFailedRequest) -> Decided {
    unreachable!()
}
pub fn cancel(_: &mut Turn<'_>, _: &ActivityRef, _: &RespondActivityTaskCanceledRequest) -> Decided {
    unreachable!()
}
pub fn heartbeat(_: &mut Turn<'_>, _: &ActivityRef, _: Option<&Proto<Payloads>>, _: &str) -> Decided {
    unreachable!()
}
pub fn wake(_: &mut Turn<'_>) -> bool {
    false
}
pub fn must_be_durable_before_dispatch(_: &crate::execution::Activity) -> bool {
    false
}
