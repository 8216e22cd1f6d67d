//! The names that a query may use, and where the value of each is found in a row.

use std::collections::BTreeMap;

use everlog_proto::api::enums::v1::ActivityExecutionStatus;

use super::{datetime, json, json::Json, row::Row, value::Value};
use crate::cluster::{ValueType, predefined_attributes, system_attributes};

/// Sets runs apart that are not users' own. Lists leave such runs out unless the query mentions it.
pub(crate) const NAMESPACE_DIVISION: &str = "TemporalNamespaceDivision";

const RESERVED_PREFIX: &str = "Temporal";
const SCHEDULE_ID: &str = "ScheduleId";
const SCHEDULE_PAUSED: &str = "TemporalSchedulePaused";

/// A name of a query, resolved.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// As the query wrote it, for messages.
    pub(super) alias: String,
    pub(super) value_type: ValueType,
    pub(super) source: Source,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// A field of every row, by its name.
    System(&'static str),
    /// The status of what runs on its own, by its name.
    StatusName,
    /// What only operations have.
    OfOperation(OfOperation),
    /// Known, and in no row.
    Nothing,
    /// Among the search attributes of the row.
    Attribute(String),
}

/// What only a Nexus operation that runs on its own has. Its row keeps it where that of a workflow has the memo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfOperation {
    Endpoint,
    Service,
    Operation,
    RequestId,
}

impl OfOperation {
    const ALL: [OfOperation; 4] =
        [OfOperation::Endpoint, OfOperation::Service, OfOperation::Operation, OfOperation::RequestId];

    /// Its name, in rows and in queries.
    pub(crate) fn key(self) -> &'static str {
        match self {
            OfOperation::Endpoint => "Endpoint",
            OfOperation::Service => "Service",
            OfOperation::Operation => "Operation",
            OfOperation::RequestId => "RequestId",
        }
    }
}

impl Field {
    /// Activities have names of their own for what workflows call otherwise.
    pub(super) fn resolve_of_activity(name: &str, custom: &BTreeMap<String, ValueType>) -> Option<Field> {
        let source = match name {
            "ActivityId" => Source::System("WorkflowId"),
            "ActivityType" => Source::System("WorkflowType"),
            "ExecutionStatus" => Source::StatusName,
            "WorkflowType" => Source::Nothing,
            _ => return Field::resolve(name, custom),
        };
        Some(Field { alias: name.to_owned(), value_type: ValueType::Keyword, source })
    }

    /// So have Nexus operations.
    pub(super) fn resolve_of_operation(name: &str, custom: &BTreeMap<String, ValueType>) -> Option<Field> {
        let own = OfOperation::ALL.into_iter().find(|own| own.key() == name);
        let source = match (name, own) {
            (_, Some(own)) => Source::OfOperation(own),
            ("OperationId", _) => Source::System("WorkflowId"),
            ("ExecutionStatus", _) => Source::StatusName,
            ("WorkflowType" | "TaskQueue", _) => Source::Nothing,
            _ => return Field::resolve(name, custom),
        };
        Some(Field { alias: name.to_owned(), value_type: ValueType::Keyword, source })
    }

    /// Custom attributes come first, then what the system defines, then the latter with or without the
    /// prefix `Temporal`.
    pub(super) fn resolve(name: &str, custom: &BTreeMap<String, ValueType>) -> Option<Field> {
        let found = system(name)
            .or_else(|| Some((Source::Attribute(name.to_owned()), *custom.get(name)?)))
            .or_else(|| predefined(name))
            .or_else(|| predefined(&format!("{RESERVED_PREFIX}{name}")))
            .or_else(|| {
                let short = name.strip_prefix(RESERVED_PREFIX)?;
                system(short).or_else(|| predefined(short)).or_else(|| schedule_id(short))
            })
            .or_else(|| schedule_id(name))?;
        Some(Field { alias: name.to_owned(), value_type: found.1, source: found.0 })
    }

    pub(super) fn is_system(&self, name: &str) -> bool {
        matches!(&self.source, Source::System(field) if *field == name)
    }

    pub(super) fn is_status_name(&self) -> bool {
        self.source == Source::StatusName
    }

    pub(super) fn is_namespace_division(&self) -> bool {
        matches!(&self.source, Source::Attribute(name) if name == NAMESPACE_DIVISION)
    }

    /// Whether a schedule has it: its id, whether it is paused, and what its users gave it.
    pub(super) fn is_of_schedules(&self, custom: &BTreeMap<String, ValueType>) -> bool {
        match &self.source {
            Source::System(_) => self.alias == SCHEDULE_ID,
            Source::StatusName | Source::OfOperation(_) | Source::Nothing => false,
            Source::Attribute(name) => name == SCHEDULE_PAUSED || custom.contains_key(name),
        }
    }

    pub(super) fn value(&self, row: &Row) -> Option<Value> {
        match &self.source {
            Source::System(name) => system_value(name, row),
            Source::StatusName => Some(Value::Text(standalone_status_name(row.status).to_owned())),
            Source::OfOperation(own) => row.of_operation(*own).map(Value::Text),
            Source::Nothing => None,
            Source::Attribute(name) => attribute_value(name, self.value_type, row),
        }
    }
}

/// How users write the status of what runs on its own. Those of operations have the numbers of activities'.
pub(super) fn standalone_status_name(status: i32) -> &'static str {
    match ActivityExecutionStatus::try_from(status).unwrap_or_default() {
        ActivityExecutionStatus::Unspecified => "Unspecified",
        ActivityExecutionStatus::Running => "Running",
        ActivityExecutionStatus::Completed => "Completed",
        ActivityExecutionStatus::Failed => "Failed",
        ActivityExecutionStatus::Canceled => "Canceled",
        ActivityExecutionStatus::Terminated => "Terminated",
        ActivityExecutionStatus::TimedOut => "TimedOut",
        ActivityExecutionStatus::Paused => "Paused",
    }
}

fn system(name: &str) -> Option<(Source, ValueType)> {
    let (name, value_type) = system_attributes().iter().find(|(system, _)| *system == name)?;
    Some((Source::System(name), *value_type))
}

fn predefined(name: &str) -> Option<(Source, ValueType)> {
    let (name, value_type) = predefined_attributes().iter().find(|(predefined, _)| *predefined == name)?;
    Some((Source::Attribute((*name).to_owned()), *value_type))
}

/// A schedule is a run whose workflow id is the schedule's.
fn schedule_id(name: &str) -> Option<(Source, ValueType)> {
    if name == SCHEDULE_ID { system("WorkflowId") } else { None }
}

fn system_value(name: &str, row: &Row) -> Option<Value> {
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let closed = |number: fn(&super::row::Closed) -> i64| row.closed.as_ref().map(number).map(Value::Int);
    match name {
        "WorkflowId" => text(&row.workflow_id),
        "RunId" => text(&row.run_id),
        "WorkflowType" => text(&row.workflow_type),
        "TaskQueue" => text(&row.task_queue),
        "StartTime" => Some(Value::Int(row.start_time)),
        "ExecutionTime" => Some(Value::Int(row.execution_time)),
        "CloseTime" => row.close_time.map(Value::Int),
        // Compared by number, as the real server does, so that `>` has a meaning.
        "ExecutionStatus" => Some(Value::Int(i64::from(row.status))),
        "ExecutionDuration" => row.execution_duration().map(Value::Int),
        "HistoryLength" => closed(|closed| closed.history_length),
        "HistorySizeBytes" => closed(|closed| closed.history_size_bytes),
        "StateTransitionCount" => closed(|closed| closed.state_transition_count),
        "ParentWorkflowId" => row.parent.as_ref().and_then(|parent| text(&parent.workflow_id)),
        "ParentRunId" => row.parent.as_ref().and_then(|parent| text(&parent.run_id)),
        "RootWorkflowId" => text(&row.root_workflow_id),
        "RootRunId" => text(&row.root_run_id),
        _ => None,
    }
}

/// A value that is not of the attribute's type counts as none.
fn attribute_value(name: &str, value_type: ValueType, row: &Row) -> Option<Value> {
    let json = json::parse(&row.search_attribute(name)?.data)?;
    // Some clients wrap every value in a list.
    let json = match json {
        Json::List(mut values) if value_type != ValueType::KeywordList && values.len() == 1 => {
            values.remove(0)
        }
        json => json,
    };
    Some(match (value_type, json) {
        (ValueType::Keyword | ValueType::Text, Json::Text(text)) => Value::Text(text),
        (ValueType::Int, Json::Number(number)) => Value::Int(number.parse().ok()?),
        (ValueType::Double, Json::Number(number)) => Value::Double(number.parse().ok()?),
        (ValueType::Bool, Json::Bool(value)) => Value::Bool(value),
        (ValueType::Datetime, Json::Text(text)) => Value::Int(datetime::parse(&text)?),
        (ValueType::KeywordList, Json::Text(text)) => Value::List(vec![text]),
        (ValueType::KeywordList, Json::List(values)) if !values.is_empty() => {
            let text = |value: Json| if let Json::Text(text) = value { Some(text) } else { None };
            Value::List(values.into_iter().map(text).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}
