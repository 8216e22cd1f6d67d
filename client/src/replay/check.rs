//! Comparing what the code asks for with what it asked for the first time.

use everlog_proto::api::enums::v1::EventType;
use everlog_proto::api::history::v1::HistoryEvent;
use everlog_proto::api::history::v1::history_event::Attributes;

use super::command::{
    Command, HEAD_DETAIL, LOCAL_MARKER, MarkerHead, PATCH_DETAIL, PATCH_MARKER, PatchData, VALUE_MARKER,
};
use super::history::Closing;
use crate::codec;

/// The place where the code of a workflow and its history part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// The event at which they part.
    pub event_id: i64,
    /// What the history has there.
    pub recorded: String,
    /// What the code asks for instead.
    pub produced: String,
    /// The last durable call of the code before that.
    pub after: String,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { event_id, recorded, produced, after } = self;
        write!(
            f,
            "non-deterministic workflow: the history has {recorded} (event {event_id}), but the code now \
             produces {produced} (last durable call: {after})"
        )
    }
}

impl std::error::Error for Divergence {}

/// Compares in order. Returns the numbers of the futures that the events began, with the events' ids.
pub(crate) fn check(
    produced: &[Command],
    recorded: &Closing,
    after: &str,
) -> Result<Vec<(u64, i64)>, Box<Divergence>> {
    let diverge = |event_id, recorded: String, produced: String| {
        Err(Box::new(Divergence { event_id, recorded, produced, after: after.to_owned() }))
    };
    let mut begun = Vec::new();
    let mut commands = produced.iter().peekable();
    for event in &recorded.commands {
        // A patch that the history marks as deprecated may have left the code; one that the code calls
        // deprecated may never have been in the history.
        while let Some(Command::Patch { deprecated: true, .. }) = commands.peek() {
            if commands.peek().is_some_and(|command| fits(command, event)) {
                break;
            }
            commands.next();
        }
        match commands.peek() {
            Some(command) if fits(command, event) => {
                begun.extend(command.begins().map(|seq| (seq, event.event_id)));
                commands.next();
            }
            _ if is_deprecated_patch(event) => {}
            Some(command) => return diverge(event.event_id, describe(event), command.to_string()),
            None => return diverge(event.event_id, describe(event), "nothing".into()),
        }
    }
    match commands.find(|command| !matches!(command, Command::Patch { deprecated: true, .. })) {
        None => Ok(begun),
        Some(command) => diverge(recorded.last_event_id(), "no further command".into(), command.to_string()),
    }
}

/// What an event is, in a few words.
pub(crate) fn describe(event: &HistoryEvent) -> String {
    let kind = match EventType::try_from(event.event_type) {
        Ok(kind) => camel(kind.as_str_name().trim_start_matches("EVENT_TYPE_")),
        Err(_) => format!("event type {}", event.event_type),
    };
    let detail = match &event.attributes {
        Some(Attributes::TimerStartedEventAttributes(a)) => format!("id {}", a.timer_id),
        Some(Attributes::TimerFiredEventAttributes(a)) => format!("id {}", a.timer_id),
        Some(Attributes::TimerCanceledEventAttributes(a)) => format!("id {}", a.timer_id),
        Some(Attributes::ActivityTaskScheduledEventAttributes(a)) => {
            let name = a.activity_type.as_ref().map_or("", |kind| kind.name.as_str());
            format!("{name}, id {}", a.activity_id)
        }
        Some(Attributes::MarkerRecordedEventAttributes(a)) => match (patch(event), head(event)) {
            (Some(patch), _) => format!("patch {:?}", patch.id),
            (_, Some(head)) => format!("{} {:?}, id {}", a.marker_name, head.name, head.seq),
            _ => a.marker_name.clone(),
        },
        Some(Attributes::ActivityTaskCancelRequestedEventAttributes(a)) => {
            format!("of event {}", a.scheduled_event_id)
        }
        _ => String::new(),
    };
    if detail.is_empty() { kind } else { format!("{kind}({detail})") }
}

/// The patch that a marker records.
pub(crate) fn patch(event: &HistoryEvent) -> Option<PatchData> {
    marker_detail(event, PATCH_MARKER, PATCH_DETAIL)
}

/// What a marker of ours belongs to.
pub(crate) fn head(event: &HistoryEvent) -> Option<MarkerHead> {
    marker_detail(event, VALUE_MARKER, HEAD_DETAIL)
        .or_else(|| marker_detail(event, LOCAL_MARKER, HEAD_DETAIL))
}

fn marker_detail<T: serde::de::DeserializeOwned>(
    event: &HistoryEvent,
    name: &str,
    detail: &str,
) -> Option<T> {
    let Some(Attributes::MarkerRecordedEventAttributes(marker)) = &event.attributes else { return None };
    if marker.marker_name != name {
        return None;
    }
    codec::decode_one(marker.details.get(detail)).ok()
}

fn is_deprecated_patch(event: &HistoryEvent) -> bool {
    patch(event).is_some_and(|patch| patch.deprecated)
}

/// Whether `event` is what `command` leaves in a history. Arguments are not compared: they may
/// change between versions of the code without harm to what follows.
fn fits(command: &Command, event: &HistoryEvent) -> bool {
    let Some(attributes) = &event.attributes else { return false };
    match (command, attributes) {
        (Command::StartTimer { seq, .. }, Attributes::TimerStartedEventAttributes(a)) => {
            a.timer_id == seq.to_string()
        }
        (Command::CancelTimer { seq }, Attributes::TimerCanceledEventAttributes(a)) => {
            a.timer_id == seq.to_string()
        }
        (Command::ScheduleActivity(s), Attributes::ActivityTaskScheduledEventAttributes(a)) => {
            a.activity_id == s.seq.to_string() && a.activity_type.as_ref().is_some_and(|t| t.name == s.name)
        }
        (
            Command::CancelActivity { scheduled_event_id, .. },
            Attributes::ActivityTaskCancelRequestedEventAttributes(a),
        ) => a.scheduled_event_id == *scheduled_event_id,
        (Command::Patch { id, .. }, Attributes::MarkerRecordedEventAttributes(_)) => {
            patch(event).is_some_and(|patch| patch.id == *id)
        }
        (Command::Value { seq, name, .. }, Attributes::MarkerRecordedEventAttributes(a)) => {
            a.marker_name == VALUE_MARKER && head(event).is_some_and(|h| h.seq == *seq && h.name == *name)
        }
        (Command::LocalResult { seq, name, .. }, Attributes::MarkerRecordedEventAttributes(a)) => {
            a.marker_name == LOCAL_MARKER && head(event).is_some_and(|h| h.seq == *seq && h.name == *name)
        }
        (Command::SearchAttributes(fields), Attributes::UpsertWorkflowSearchAttributesEventAttributes(a)) => {
            let recorded = a.search_attributes.as_ref().map(|s| &s.indexed_fields);
            recorded
                .is_some_and(|r| r.len() == fields.len() && fields.keys().all(|name| r.contains_key(name)))
        }
        (Command::Complete(_), Attributes::WorkflowExecutionCompletedEventAttributes(_))
        | (Command::Fail(_), Attributes::WorkflowExecutionFailedEventAttributes(_))
        | (Command::CancelWorkflow, Attributes::WorkflowExecutionCanceledEventAttributes(_)) => true,
        (Command::ContinueAsNew(next), Attributes::WorkflowExecutionContinuedAsNewEventAttributes(a)) => {
            a.workflow_type.as_ref().is_some_and(|kind| kind.name == next.workflow)
        }
        _ => false,
    }
}

/// `TimerStarted` of `TIMER_STARTED`.
fn camel(name: &str) -> String {
    name.split('_')
        .flat_map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.chars().chain(rest.to_ascii_lowercase().chars().collect::<Vec<_>>())
        })
        .collect()
}
