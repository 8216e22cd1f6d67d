//! Which rows a list or a count has to read, so that it reads few.
//!
//! A plan is found in what a query demands in any case (its conditions joined by AND). It never decides
//! whether a run matches: whatever is read is asked the whole query.

use everlog_proto::api::enums::v1::WorkflowExecutionStatus;

use super::{
    fields::Source,
    filter::{Comparison, Condition, Filter},
    index::{is_indexed, is_indexed_text},
    page::{SortKeys, after_close, after_start, is_closed},
    row::Row,
    value::Value,
};

const TYPE: &str = "WorkflowType";
const STATUS: &str = "ExecutionStatus";

/// Values of an `IN (...)` that are looked up one by one.
const VALUES_MAX: usize = 64;

/// By how much the clocks of two leaders may differ.
const CLOCKS_APART_MAX_NANOS: i64 = 60 * 60 * 1_000_000_000;

/// Where the matching runs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Anywhere.
    All,
    /// Among the runs of these workflow ids.
    Ids(Vec<String>),
    /// Among those of workflow ids that begin like this.
    IdsFrom(String),
    Parents(Vec<String>),
    Attribute {
        name: String,
        texts: Vec<String>,
    },
}

/// Part of a query that depends on type and status alone.
#[derive(Clone, Debug)]
pub(super) struct Classes<'a> {
    demands: Vec<&'a Condition>,
    /// No more is demanded than that.
    pub(super) is_all: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Plan<'a> {
    pub(super) path: Path,
    /// Parts of the list in which the matching runs are, in list order.
    pub(super) within: Vec<SortKeys>,
    pub(super) classes: Classes<'a>,
}

impl<'a> Plan<'a> {
    pub(super) fn of(filter: &'a Filter) -> Plan<'a> {
        let mut demands = Vec::new();
        if let Some(condition) = &filter.condition {
            flatten(condition, &mut demands);
        }
        let of_class: Vec<&Condition> =
            demands.iter().copied().filter(|demand| is_about(demand, &[TYPE, STATUS])).collect();
        let is_all = of_class.len() == demands.len();
        let path = demands.iter().filter_map(|demand| path(demand)).min_by_key(rank).unwrap_or(Path::All);
        Plan { path, within: within(&demands), classes: Classes { demands: of_class, is_all } }
    }
}

impl Classes<'_> {
    /// Whether nothing is demanded of type or status.
    pub(super) fn is_any(&self) -> bool {
        self.demands.is_empty()
    }

    /// Whether a run of this type and status can match.
    pub(super) fn hold(&self, workflow_type: &str, status: i32) -> bool {
        let row = Row { workflow_type: workflow_type.to_owned(), status, ..Row::default() };
        self.demands.iter().all(|demand| demand.holds(&row) == Some(true))
    }
}

fn flatten<'a>(condition: &'a Condition, into: &mut Vec<&'a Condition>) {
    match condition {
        Condition::And(left, right) => {
            flatten(left, into);
            flatten(right, into);
        }
        demand => into.push(demand),
    }
}

/// The most selective comes first.
fn rank(path: &Path) -> u8 {
    match path {
        Path::Ids(_) => 0,
        Path::Parents(_) => 1,
        Path::Attribute { .. } => 2,
        Path::IdsFrom(_) => 3,
        Path::All => 4,
    }
}

fn path(demand: &Condition) -> Option<Path> {
    let (field, texts) = match demand {
        Condition::StartsWith { field, not: false, prefix } => {
            return field.is_system("WorkflowId").then(|| Path::IdsFrom(prefix.clone()));
        }
        Condition::Compare { field, comparison: Comparison::Equal, value: Value::Text(text) } => {
            (field, vec![text.clone()])
        }
        Condition::In { field, not: false, values } => {
            let text = |value: &Value| if let Value::Text(text) = value { Some(text.clone()) } else { None };
            (field, values.iter().map(text).collect::<Option<Vec<_>>>()?)
        }
        Condition::ListHas { field, not: false, values } => (field, values.clone()),
        _ => return None,
    };
    if texts.len() > VALUES_MAX || !texts.iter().all(|text| is_indexed_text(text)) {
        return None;
    }
    match &field.source {
        Source::System("WorkflowId") => Some(Path::Ids(texts)),
        Source::System("ParentWorkflowId") => Some(Path::Parents(texts)),
        Source::Attribute(name) if is_indexed(name) => Some(Path::Attribute { name: name.clone(), texts }),
        _ => None,
    }
}

/// Whether a condition depends on nothing but these fields.
fn is_about(condition: &Condition, fields: &[&str]) -> bool {
    match condition {
        Condition::And(left, right) | Condition::Or(left, right) => {
            is_about(left, fields) && is_about(right, fields)
        }
        Condition::Not(inner) => is_about(inner, fields),
        Condition::Compare { field, .. }
        | Condition::In { field, .. }
        | Condition::Between { field, .. }
        | Condition::StartsWith { field, .. }
        | Condition::IsNull { field, .. }
        | Condition::ListHas { field, .. }
        | Condition::TextHas { field, .. } => fields.iter().any(|name| field.is_system(name)),
    }
}

/// Moments, both included.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: i64,
    to: i64,
}

impl Span {
    const ALWAYS: Span = Span { from: i64::MIN, to: i64::MAX };

    fn is_always(self) -> bool {
        (self.from, self.to) == (i64::MIN, i64::MAX)
    }

    /// What a demand says of a field, if it says anything.
    fn narrow(&mut self, demand: &Condition, name: &str) {
        let (from, to) = match demand {
            Condition::Compare { field, comparison, value: Value::Int(value) } if field.is_system(name) => {
                match comparison {
                    Comparison::Equal => (*value, *value),
                    Comparison::Less | Comparison::LessOrEqual => (i64::MIN, *value),
                    Comparison::Greater | Comparison::GreaterOrEqual => (*value, i64::MAX),
                    Comparison::NotEqual => return,
                }
            }
            Condition::Between { field, not: false, from: Value::Int(from), to: Value::Int(to) }
                if field.is_system(name) =>
            {
                (*from, *to)
            }
            _ => return,
        };
        self.from = self.from.max(from);
        self.to = self.to.min(to);
    }
}

/// The open runs come first, by their start; then the closed ones, by their close.
fn within(demands: &[&Condition]) -> Vec<SortKeys> {
    let (mut start, mut close) = (Span::ALWAYS, Span::ALWAYS);
    let (mut open, mut closed) = (may_be(demands, false), may_be(demands, true));
    for demand in demands {
        start.narrow(demand, "StartTime");
        close.narrow(demand, "CloseTime");
        if let Condition::IsNull { field, not } = demand
            && field.is_system("CloseTime")
        {
            open &= !not;
            closed &= *not;
        }
    }
    open &= close.is_always();
    if open && closed && start.is_always() {
        return vec![SortKeys::all()];
    }
    let mut within = Vec::new();
    if open {
        within.push(SortKeys { from: after_start(start.to), to: after_start(start.from.saturating_sub(1)) });
    }
    if closed {
        // Nothing closes before it starts, by a clock that is right.
        let from = close.from.max(start.from.saturating_sub(CLOCKS_APART_MAX_NANOS));
        within.push(SortKeys { from: after_close(close.to), to: after_close(from.saturating_sub(1)) });
    }
    within.retain(|keys| keys.from < keys.to);
    within
}

/// Whether any status of open, or of closed, runs is one that the query allows.
fn may_be(demands: &[&Condition], closed: bool) -> bool {
    let demands: Vec<&Condition> =
        demands.iter().copied().filter(|demand| is_about(demand, &[STATUS])).collect();
    (0..)
        .map_while(|status| WorkflowExecutionStatus::try_from(status).ok())
        .map(|status| status as i32)
        .filter(|status| is_closed(*status) == closed)
        .any(|status| Classes { demands: demands.clone(), is_all: false }.hold("", status))
}
