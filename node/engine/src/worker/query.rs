//! The filter of lists of workers: the grammar of other lists, on what a heartbeat says.
//!
//! The real server reads the whole query first, and refuses one that is no SQL. What makes no sense for a
//! worker, such as an unknown name or an operator that a field does not have, it notices only while it
//! looks at one, and then that worker is not found. So do we.

use everlog_proto::api::{enums::v1::WorkerStatus, worker::v1::WorkerHeartbeat};

use crate::{
    reject::Reject,
    time::Time,
    visibility::syntax::{self, Expr},
};

/// A query, ready to be asked of workers.
#[derive(Debug)]
pub struct WorkerQuery {
    condition: Option<Expr>,
}

impl WorkerQuery {
    pub fn parse(query: &str) -> Result<WorkerQuery, Reject> {
        if query.is_empty() {
            return Ok(WorkerQuery { condition: None });
        }
        let first = query.split_whitespace().next().unwrap_or_default();
        let is_statement = ["where", "select"].iter().any(|word| first.eq_ignore_ascii_case(word));
        if is_statement && query.trim().len() > first.len() {
            return Err(Reject::InvalidArgument(format!("invalid filter: {query}")));
        }
        let statement = syntax::parse_condition(query)
            .map_err(|error| Reject::InvalidArgument(format!("malformed query: {}", error.reason())))?;
        if statement.has_limit {
            return Err(Reject::InvalidArgument("operation is not supported: 'limit' clause".to_owned()));
        }
        Ok(WorkerQuery { condition: statement.condition })
    }

    pub fn matches(&self, worker: &WorkerHeartbeat) -> bool {
        self.condition.as_ref().is_none_or(|condition| holds(condition, worker) == Some(true))
    }
}

/// None if the question makes no sense.
fn holds(expr: &Expr, worker: &WorkerHeartbeat) -> Option<bool> {
    match expr {
        Expr::And(left, right) => Some(holds(left, worker)? && holds(right, worker)?),
        Expr::Or(left, right) => Some(holds(left, worker)? || holds(right, worker)?),
        Expr::Paren(inner) => holds(inner, worker),
        Expr::Compare { operator, left, right } => match Field::of(left)?.value(worker) {
            Value::Text(found) => compare_texts(operator, &found, text(right)?),
            // A moment that was not given counts as the beginning of time.
            Value::Moment(found) => compare_moments(operator, found.unwrap_or(0), moment(right)?),
        },
        Expr::Between { not, left, from, to } => match Field::of(left)?.value(worker) {
            Value::Text(_) => None,
            Value::Moment(found) => {
                let (from, to) = (moment(from)?, moment(to)?);
                Some(found.is_some_and(|found| (from <= found && found <= to) != *not))
            }
        },
        Expr::Is { left, not, is_null: true } => match Field::of(left)?.value(worker) {
            Value::Text(found) => Some(found.is_empty() != *not),
            Value::Moment(found) => Some(found.is_none() != *not),
        },
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Field {
    InstanceKey,
    Identity,
    HostName,
    TaskQueue,
    DeploymentName,
    BuildId,
    SdkName,
    SdkVersion,
    Status,
    StartTime,
    HeartbeatTime,
}

enum Value {
    Text(String),
    /// Nanoseconds since the epoch.
    Moment(Option<i64>),
}

impl Field {
    fn of(expr: &Expr) -> Option<Field> {
        let Expr::Column(name) = expr else { return None };
        Some(match name.as_str() {
            "WorkerInstanceKey" => Field::InstanceKey,
            "WorkerIdentity" => Field::Identity,
            "HostName" => Field::HostName,
            "TaskQueue" => Field::TaskQueue,
            "DeploymentName" => Field::DeploymentName,
            "BuildId" => Field::BuildId,
            "SdkName" => Field::SdkName,
            "SdkVersion" => Field::SdkVersion,
            "WorkerStatus" | "status" => Field::Status,
            "StartTime" => Field::StartTime,
            "HeartbeatTime" => Field::HeartbeatTime,
            _ => return None,
        })
    }

    fn value(self, worker: &WorkerHeartbeat) -> Value {
        let host = worker.host_info.as_ref();
        let deployment = worker.deployment_version.as_ref();
        let moment = |time: &Option<prost_types::Timestamp>| {
            Value::Moment(time.as_ref().map(|time| Time::from_proto(time).0))
        };
        Value::Text(match self {
            Field::InstanceKey => worker.worker_instance_key.clone(),
            Field::Identity => worker.worker_identity.clone(),
            Field::HostName => host.map(|host| host.host_name.clone()).unwrap_or_default(),
            Field::TaskQueue => worker.task_queue.clone(),
            Field::DeploymentName => deployment.map(|d| d.deployment_name.clone()).unwrap_or_default(),
            Field::BuildId => deployment.map(|d| d.build_id.clone()).unwrap_or_default(),
            Field::SdkName => worker.sdk_name.clone(),
            Field::SdkVersion => worker.sdk_version.clone(),
            Field::Status => status_name(worker.status),
            Field::StartTime => return moment(&worker.start_time),
            Field::HeartbeatTime => return moment(&worker.heartbeat_time),
        })
    }
}

fn status_name(status: i32) -> String {
    match WorkerStatus::try_from(status) {
        Ok(WorkerStatus::Unspecified) => "Unspecified".to_owned(),
        Ok(WorkerStatus::Running) => "Running".to_owned(),
        Ok(WorkerStatus::ShuttingDown) => "ShuttingDown".to_owned(),
        Ok(WorkerStatus::Shutdown) => "Shutdown".to_owned(),
        Err(_) => status.to_string(),
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// A moment in a query: RFC 3339, or nanoseconds since the epoch.
fn moment(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Text(text) => crate::visibility::parse_datetime(text),
        Expr::Number(number) => number.parse().ok(),
        _ => None,
    }
}

fn compare_texts(operator: &str, found: &str, wanted: &str) -> Option<bool> {
    match operator {
        "=" => Some(found == wanted),
        "!=" => Some(found != wanted),
        "STARTS_WITH" => Some(found.starts_with(wanted)),
        "NOT STARTS_WITH" => Some(!found.starts_with(wanted)),
        _ => None,
    }
}

fn compare_moments(operator: &str, found: i64, wanted: i64) -> Option<bool> {
    match operator {
        "=" => Some(found == wanted),
        "!=" => Some(found != wanted),
        "<" => Some(found < wanted),
        "<=" => Some(found <= wanted),
        ">" => Some(found > wanted),
        ">=" => Some(found >= wanted),
        _ => None,
    }
}
