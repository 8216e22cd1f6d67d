//! Facts, requests and histories as a reader of a failure wants them: one line each.

use std::fmt::Write as _;

use everlog_engine::{
    execution::event_type,
    fact::{Fact, Record},
    request::Request,
};
use everlog_proto::api::history::v1::{HistoryEvent, history_event::Attributes};

use crate::{machine::text_of, sim::Sim};

pub fn fact(fact: &Fact) -> String {
    match fact {
        Fact::Event(event) => event_line(&event.event),
        Fact::Flushed(event) => format!("flushed {}", event_line(&event.event)),
        Fact::Record(Record::Buffered(event)) => format!("buffered {}", event_line(event)),
        Fact::Record(record) => {
            let text = format!("{record:?}");
            let end = text.find([' ', '(']).unwrap_or(text.len());
            text[..end].to_owned()
        }
    }
}

pub fn request(request: &Request) -> String {
    match request {
        Request::TakeWorkflowTask(take) => {
            format!(
                "take_workflow_task {} attempt {} for {}",
                take.scheduled_event_id, take.attempt, take.request_id
            )
        }
        Request::TakeActivityTask(take) => {
            format!(
                "take_activity_task {} attempt {} for {}",
                take.scheduled_event_id, take.attempt, take.request_id
            )
        }
        Request::Signal(signal) => format!("signal {}", signal.request_id),
        _ => request.kind().to_owned(),
    }
}

pub fn event_line(event: &HistoryEvent) -> String {
    let mut line =
        format!("{}.{}", event.event_id, event_type(event).as_str_name().trim_start_matches("EVENT_TYPE_"));
    let more = match &event.attributes {
        Some(Attributes::WorkflowExecutionSignaledEventAttributes(a)) => {
            a.input.as_ref().map(text_of).unwrap_or_default()
        }
        Some(Attributes::ActivityTaskScheduledEventAttributes(a)) => a.activity_id.clone(),
        Some(Attributes::ActivityTaskStartedEventAttributes(a)) => {
            format!("of {} attempt {}", a.scheduled_event_id, a.attempt)
        }
        Some(Attributes::ActivityTaskCompletedEventAttributes(a)) => {
            format!("of {} {}", a.scheduled_event_id, a.result.as_ref().map(text_of).unwrap_or_default())
        }
        Some(Attributes::TimerStartedEventAttributes(a)) => a.timer_id.clone(),
        Some(Attributes::TimerFiredEventAttributes(a)) => a.timer_id.clone(),
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(a)) => {
            a.result.as_ref().map(text_of).unwrap_or_default()
        }
        #[allow(deprecated, reason = "names the worker's answer")]
        Some(Attributes::WorkflowTaskCompletedEventAttributes(a)) => a.binary_checksum.clone(),
        _ => String::new(),
    };
    if !more.is_empty() {
        let _ = write!(line, " {more}");
    }
    line
}

/// All runs of a workflow, as they ended up in the log.
pub fn histories(sim: &Sim, workflow: &str) -> String {
    let mut text = String::new();
    for log in &sim.logs {
        let mut executions = log.truth.executions();
        executions.sort_by_key(|execution| execution.start_time);
        for execution in executions.iter().filter(|execution| execution.workflow_id() == workflow) {
            let _ = writeln!(text, "-- run {} {:?}", execution.run_id(), execution.status());
            for event in log.truth.history(execution.key()) {
                let _ = writeln!(text, "   {}", event_line(&event));
            }
            if !execution.buffered.is_empty() {
                let _ = writeln!(text, "   and {} buffered", execution.buffered.len());
            }
        }
    }
    text
}
