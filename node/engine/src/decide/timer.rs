//! Durable timers.

use everlog_proto::api::{
    command::v1::{CancelTimerCommandAttributes, Command, StartTimerCommandAttributes},
    enums::v1::{EventType, WorkflowTaskFailedCause},
    history::v1::{
        TimerCanceledEventAttributes, TimerFiredEventAttributes, TimerStartedEventAttributes,
        history_event::Attributes,
    },
};

use crate::{
    decide::{BadCommand, command::too_long},
    execution::event_type,
    fact::Record,
    time::{DURATION_MAX, duration, is_negative, proto_duration},
    turn::Turn,
};

pub fn start(
    turn: &mut Turn<'_>,
    command: &Command,
    attributes: &StartTimerCommandAttributes,
    completed_event_id: i64,
) -> Result<(), BadCommand> {
    let bad = |message: String| BadCommand::new(WorkflowTaskFailedCause::BadStartTimerAttributes, message);
    if attributes.timer_id.is_empty() {
        return Err(bad("TimerId is not set on StartTimerCommand.".into()));
    }
    if attributes.timer_id.len() > turn.stamp.limits.id_bytes_max {
        return Err(bad(too_long("TimerId", "StartTimer", &attributes.timer_id, turn.stamp.limits)));
    }
    if is_negative(attributes.start_to_fire_timeout.as_ref()) {
        return Err(bad(format!(
            "An invalid StartToFireTimeout is set on StartTimerCommand: negative duration. TimerId={}",
            attributes.timer_id
        )));
    }
    let timeout = duration(attributes.start_to_fire_timeout.as_ref());
    if turn.execution.timers.contains_key(&attributes.timer_id) {
        let message = illegal("add-timer-started-event", &attributes.timer_id);
        return Err(BadCommand::new(WorkflowTaskFailedCause::StartTimerDuplicateId, message));
    }
    let started = Attributes::TimerStartedEventAttributes(TimerStartedEventAttributes {
        timer_id: attributes.timer_id.clone(),
        start_to_fire_timeout: Some(proto_duration(timeout.min(DURATION_MAX))),
        workflow_task_completed_event_id: completed_event_id,
    });
    turn.full_event(turn.stamp.now, started, command.user_metadata.clone(), Vec::new());
    Ok(())
}

pub fn cancel(
    turn: &mut Turn<'_>,
    attributes: &CancelTimerCommandAttributes,
    completed_event_id: i64,
    identity: &str,
) -> Result<(), BadCommand> {
    let bad = |message: String| BadCommand::new(WorkflowTaskFailedCause::BadCancelTimerAttributes, message);
    if attributes.timer_id.is_empty() {
        return Err(bad("TimerId is not set on CancelTimerCommand.".into()));
    }
    if attributes.timer_id.len() > turn.stamp.limits.id_bytes_max {
        return Err(bad(too_long("TimerId", "CancelTimer", &attributes.timer_id, turn.stamp.limits)));
    }
    let started_event_id = match turn.execution.timers.get(&attributes.timer_id) {
        Some(timer) => timer.started_event_id,
        // It fired while this task was running: the worker never saw that, so it did not happen.
        None => take_back_firing(turn, &attributes.timer_id)
            .ok_or_else(|| bad(illegal("add-timer-canceled-event", &attributes.timer_id)))?,
    };
    turn.event(Attributes::TimerCanceledEventAttributes(TimerCanceledEventAttributes {
        timer_id: attributes.timer_id.clone(),
        started_event_id,
        workflow_task_completed_event_id: completed_event_id,
        identity: identity.to_owned(),
    }));
    Ok(())
}

/// What the real server says of a timer that is not there, or is there already.
fn illegal(action: &str, timer_id: &str) -> String {
    format!("invalid history builder state for action: {action}, TimerID: {timer_id}")
}

fn take_back_firing(turn: &mut Turn<'_>, timer_id: &str) -> Option<i64> {
    let fired =
        turn.execution.buffered.iter().enumerate().find_map(|(index, event)| match &event.attributes {
            Some(Attributes::TimerFiredEventAttributes(a))
                if event_type(event) == EventType::TimerFired && a.timer_id == timer_id =>
            {
                Some((index as u32, a.started_event_id))
            }
            _ => None,
        })?;
    turn.record(Record::Unbuffered { index: fired.0 });
    turn.unseen = turn.unseen.saturating_sub(1);
    Some(fired.1)
}

/// Fires what is due, in the order in which it fell due. Returns whether anything fired.
pub fn wake(turn: &mut Turn<'_>) -> bool {
    let now = turn.stamp.now;
    let mut due: Vec<_> = turn
        .execution
        .timers
        .iter()
        .filter(|(_, timer)| timer.fire_at <= now)
        .map(|(id, timer)| (timer.fire_at, timer.started_event_id, id.clone()))
        .collect();
    due.sort();
    for (_, started_event_id, timer_id) in &due {
        turn.event(Attributes::TimerFiredEventAttributes(TimerFiredEventAttributes {
            timer_id: timer_id.clone(),
            started_event_id: *started_event_id,
        }));
    }
    !due.is_empty()
}
