//! A query that makes sense: names are resolved, values are of their names' types.
//!
//! Logic has three values, as in SQL: a comparison with an attribute that a run does not have is neither
//! true nor false, and its negation is no better. Lists and texts are the exception, as they are in the
//! real server: a list that is not there does not contain anything.

use std::{cmp::Ordering, collections::BTreeMap};

use everlog_proto::api::enums::v1::WorkflowExecutionStatus;

use super::{
    datetime,
    fields::Field,
    row::Row,
    syntax::{self, Expr},
    value::{Value, text_contains},
};
use crate::{cluster::ValueType, go_duration, reject::Reject};

/// A query, ready to be asked of rows.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(super) condition: Option<Condition>,
    /// Runs with a namespace division are left out unless the query mentions it.
    pub(super) all_divisions: bool,
    group_by: Option<GroupBy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    ExecutionStatus,
    StatusName,
    NamespaceDivision,
}

/// What the rows of a list are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Workflows,
    Activities,
    Operations,
}

/// How the complaint about a query begins that cannot be read.
const MALFORMED: &str = "malformed SQL query: ";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid query: {0}")]
pub struct FilterError(String);

impl From<FilterError> for Reject {
    fn from(error: FilterError) -> Reject {
        Reject::InvalidArgument(error.to_string())
    }
}

impl FilterError {
    /// What is wrong, without where it was found.
    pub fn reason(&self) -> &str {
        self.0.strip_prefix(MALFORMED).unwrap_or(&self.0)
    }

    pub(super) fn malformed(message: String) -> FilterError {
        FilterError(format!("{MALFORMED}{message}"))
    }

    pub(super) fn invalid(message: String) -> FilterError {
        FilterError(format!("invalid expression: {message}"))
    }

    fn unsupported(message: String) -> FilterError {
        FilterError(format!("operation is not supported: {message}"))
    }
}

#[derive(Clone, Debug)]
pub(super) enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    Compare { field: Field, comparison: Comparison, value: Value },
    In { field: Field, not: bool, values: Vec<Value> },
    Between { field: Field, not: bool, from: Value, to: Value },
    StartsWith { field: Field, not: bool, prefix: String },
    IsNull { field: Field, not: bool },
    ListHas { field: Field, not: bool, values: Vec<String> },
    TextHas { field: Field, not: bool, words: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Filter {
    /// Reads a query. `custom` are the namespace's own search attributes.
    pub fn parse(query: &str, custom: &BTreeMap<String, ValueType>) -> Result<Filter, FilterError> {
        Filter::parse_of(Subject::Workflows, query, custom)
    }

    /// The same for a list of something else.
    pub fn parse_of(
        subject: Subject,
        query: &str,
        custom: &BTreeMap<String, ValueType>,
    ) -> Result<Filter, FilterError> {
        let statement = syntax::parse(query)?;
        if statement.has_limit {
            return Err(FilterError::unsupported("'LIMIT' clause".to_owned()));
        }
        let all_divisions = subject != Subject::Workflows;
        let mut reader = Reader { subject, custom, all_divisions, fields: Vec::new() };
        let condition = statement.condition.as_ref().map(|expr| reader.condition(expr)).transpose()?;
        let group_by = reader.group_by(&statement.group_by)?;
        reader.order_by(&statement.order_by)?;
        Ok(Filter { condition, all_divisions: reader.all_divisions, group_by })
    }

    /// Reads a query about schedules, which may only speak of what schedules have.
    pub fn parse_for_schedules(query: &str, custom: &BTreeMap<String, ValueType>) -> Result<Filter, Reject> {
        let statement = syntax::parse(query)?;
        let subject = Subject::Workflows;
        let mut reader = Reader { subject, custom, all_divisions: false, fields: Vec::new() };
        statement.condition.as_ref().map(|expr| reader.condition(expr)).transpose()?;
        for expr in statement.group_by.iter().chain(&statement.order_by) {
            reader.field(expr)?;
        }
        match reader.fields.iter().find(|field| !field.is_of_schedules(custom)) {
            Some(field) => Err(Reject::InvalidArgument(format!(
                "invalid query filter for schedules: cannot filter on {:?}",
                field.alias
            ))),
            None => Ok(Filter::parse(query, custom)?),
        }
    }

    pub fn matches(&self, row: &Row) -> bool {
        (self.all_divisions || !row.search_attributes.contains_key(super::fields::NAMESPACE_DIVISION))
            && self.condition.as_ref().is_none_or(|condition| condition.holds(row) == Some(true))
    }

    pub fn group_by(&self) -> Option<GroupBy> {
        self.group_by
    }
}

impl Condition {
    /// Neither true nor false where something is not known.
    pub(super) fn holds(&self, row: &Row) -> Option<bool> {
        match self {
            Condition::And(left, right) => match (left.holds(row), right.holds(row)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (left, right) => Some(left? && right?),
            },
            Condition::Or(left, right) => match (left.holds(row), right.holds(row)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (left, right) => Some(left? || right?),
            },
            Condition::Not(inner) => inner.holds(row).map(|holds| !holds),
            Condition::Compare { field, comparison, value } => {
                Some(comparison.holds(field.value(row)?.compare(value)?))
            }
            Condition::In { field, not, values } => {
                let found = field.value(row)?;
                Some(values.iter().any(|value| found.compare(value) == Some(Ordering::Equal)) != *not)
            }
            Condition::Between { field, not, from, to } => {
                let found = field.value(row)?;
                let is_between = found.compare(from)?.is_ge() && found.compare(to)?.is_le();
                Some(is_between != *not)
            }
            Condition::StartsWith { field, not, prefix } => match field.value(row)? {
                Value::Text(text) => Some(text.starts_with(prefix.as_str()) != *not),
                _ => None,
            },
            Condition::IsNull { field, not } => Some(field.value(row).is_none() != *not),
            Condition::ListHas { field, not, values } => {
                let has = match field.value(row) {
                    Some(Value::List(list)) => list.iter().any(|item| values.contains(item)),
                    _ => false,
                };
                Some(has != *not)
            }
            Condition::TextHas { field, not, words } => {
                let has = match field.value(row) {
                    Some(Value::Text(text)) => text_contains(&text, words),
                    _ => false,
                };
                Some(has != *not)
            }
        }
    }
}

impl Comparison {
    fn of(operator: &str) -> Option<Comparison> {
        Some(match operator {
            "=" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        })
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// Turns syntax into conditions.
struct Reader<'a> {
    subject: Subject,
    custom: &'a BTreeMap<String, ValueType>,
    all_divisions: bool,
    /// What the query mentions.
    fields: Vec<Field>,
}

impl Reader<'_> {
    fn condition(&mut self, expr: &Expr) -> Result<Condition, FilterError> {
        Ok(match expr {
            Expr::Paren(inner) => self.condition(inner)?,
            Expr::Not(inner) => Condition::Not(Box::new(self.condition(inner)?)),
            Expr::And(left, right) => {
                Condition::And(Box::new(self.condition(left)?), Box::new(self.condition(right)?))
            }
            Expr::Or(left, right) => {
                Condition::Or(Box::new(self.condition(left)?), Box::new(self.condition(right)?))
            }
            Expr::Compare { operator, left, right } => self.comparison(operator, left, right)?,
            Expr::Between { not, left, from, to } => self.between(*not, left, from, to)?,
            Expr::Is { left, not, is_null } => {
                let field = self.field(left)?;
                if !is_null {
                    return Err(FilterError::invalid(
                        "'IS' operator can only be used as 'IS NULL' or 'IS NOT NULL'".to_owned(),
                    ));
                }
                Condition::IsNull { field, not: *not }
            }
            Expr::Function => return Err(FilterError::unsupported("function expression".to_owned())),
            Expr::Column(_) => return Err(FilterError::invalid("incomplete expression".to_owned())),
            other => {
                return Err(FilterError::unsupported(format!("expression of type {}", other.type_name())));
            }
        })
    }

    fn comparison(&mut self, operator: &str, left: &Expr, right: &Expr) -> Result<Condition, FilterError> {
        let field = self.field(left)?;
        let values = match right {
            Expr::Tuple(values) => {
                values.iter().map(|value| value_of(&field, value)).collect::<Result<Vec<_>, _>>()?
            }
            value => vec![value_of(&field, value)?],
        };
        let is_in = matches!(operator, "IN" | "NOT IN");
        let not = operator.starts_with("NOT ") || operator == "!=";
        let supported = match field.value_type {
            ValueType::KeywordList => is_in || matches!(operator, "=" | "!="),
            ValueType::Text => matches!(operator, "=" | "!="),
            ValueType::Keyword => {
                is_in || operator.ends_with("STARTS_WITH") || Comparison::of(operator).is_some()
            }
            _ => is_in || Comparison::of(operator).is_some(),
        };
        if !supported {
            return Err(FilterError::unsupported(format!(
                "operator '{operator}' not supported for {} type search attribute '{}'",
                field.value_type, field.alias
            )));
        }
        if !is_in && matches!(right, Expr::Tuple(_)) {
            return Err(FilterError::invalid(format!("unexpected value type {}", right.type_name())));
        }
        Ok(match field.value_type {
            ValueType::KeywordList => Condition::ListHas { field, not, values: texts(values) },
            ValueType::Text => Condition::TextHas { field, not, words: texts(values).join(" ") },
            _ if is_in => Condition::In { field, not, values },
            _ => Condition::single(field, operator, not, values.into_iter().next()),
        })
    }

    fn between(&mut self, not: bool, left: &Expr, from: &Expr, to: &Expr) -> Result<Condition, FilterError> {
        let field = self.field(left)?;
        if matches!(field.value_type, ValueType::Bool | ValueType::KeywordList | ValueType::Text) {
            return Err(FilterError::invalid(format!(
                "cannot do range condition on search attribute '{}' of type {}",
                field.alias, field.value_type
            )));
        }
        let (from, to) = (value_of(&field, from)?, value_of(&field, to)?);
        Ok(Condition::Between { field, not, from, to })
    }

    fn group_by(&mut self, exprs: &[Expr]) -> Result<Option<GroupBy>, FilterError> {
        let expr = match exprs {
            [] => return Ok(None),
            [expr] => expr,
            _ => {
                return Err(FilterError::unsupported(
                    "'GROUP BY' clause supports only a single field".to_owned(),
                ));
            }
        };
        let field = self.field(expr)?;
        if field.is_system("ExecutionStatus") {
            Ok(Some(GroupBy::ExecutionStatus))
        } else if field.is_status_name() {
            Ok(Some(GroupBy::StatusName))
        } else if field.is_namespace_division() {
            Ok(Some(GroupBy::NamespaceDivision))
        } else {
            Err(FilterError::unsupported(format!(
                "'GROUP BY' clause is not supported for search attribute {}",
                field.alias
            )))
        }
    }

    /// Lists have one order.
    fn order_by(&mut self, exprs: &[Expr]) -> Result<(), FilterError> {
        for expr in exprs {
            let field = self.field(expr)?;
            if field.value_type == ValueType::Text {
                return Err(FilterError::unsupported(
                    "unable to sort by search attribute type Text".to_owned(),
                ));
            }
        }
        match exprs {
            [] => Ok(()),
            _ => Err(FilterError::unsupported("'ORDER BY' clause".to_owned())),
        }
    }

    fn field(&mut self, expr: &Expr) -> Result<Field, FilterError> {
        let Expr::Column(name) = expr else {
            return Err(FilterError::invalid(format!("must be a column name but was {}", expr.type_name())));
        };
        let field = match self.subject {
            Subject::Workflows => Field::resolve(name, self.custom),
            Subject::Activities => Field::resolve_of_activity(name, self.custom),
            Subject::Operations => Field::resolve_of_operation(name, self.custom),
        };
        let field = field.ok_or_else(|| FilterError(format!("invalid search attribute: {name}")))?;
        self.all_divisions |= field.is_namespace_division();
        self.fields.push(field.clone());
        Ok(field)
    }
}

impl Condition {
    fn single(field: Field, operator: &str, not: bool, value: Option<Value>) -> Condition {
        match (Comparison::of(operator), value) {
            (Some(comparison), Some(value)) => Condition::Compare { field, comparison, value },
            (None, Some(Value::Text(prefix))) => Condition::StartsWith { field, not, prefix },
            // A status is a number and has no beginning; in front of a whole status that means equality.
            (_, value) => Condition::In { field, not, values: value.into_iter().collect() },
        }
    }
}

fn texts(values: Vec<Value>) -> Vec<String> {
    let text = |value| if let Value::Text(text) = value { Some(text) } else { None };
    values.into_iter().filter_map(text).collect()
}

/// The value of the right side of a comparison, checked against the type of the left side.
fn value_of(field: &Field, expr: &Expr) -> Result<Value, FilterError> {
    match expr {
        Expr::Text(text) => typed(field, Value::Text(text.clone())),
        Expr::Number(number) => typed(field, number_of(number)?),
        Expr::Bool(value) => {
            let is_bool = field.value_type == ValueType::Bool;
            is_bool.then_some(Value::Bool(*value)).ok_or_else(|| wrong_type(field, &Value::Bool(*value)))
        }
        Expr::Unary(operator @ ("~" | "!"), _) => {
            Err(FilterError::unsupported(format!("unary operator {operator:?}")))
        }
        Expr::Unary(operator, operand) => {
            let operand = match &**operand {
                Expr::Text(text) => format!("'{text}'"),
                Expr::Column(name) => name.clone(),
                other => other.type_name().to_owned(),
            };
            Err(FilterError::invalid(format!("unary operator not supported in \"{operator}{operand}\"")))
        }
        Expr::Function => Err(FilterError::unsupported("nested func".to_owned())),
        Expr::Column(name) => Err(FilterError::unsupported(format!(
            "column name on the right side of comparison expression (did you forget to quote {name:?}?)"
        ))),
        other => Err(FilterError::invalid(format!("unexpected value type {}", other.type_name()))),
    }
}

fn number_of(text: &str) -> Result<Value, FilterError> {
    let int = text.parse().map(Value::Int);
    int.or_else(|_| text.parse().map(Value::Double))
        .map_err(|_| FilterError::invalid(format!("unable to parse value {text:?}")))
}

fn typed(field: &Field, value: Value) -> Result<Value, FilterError> {
    if field.is_system("ExecutionStatus") {
        return status(field, value);
    }
    if field.is_system("ExecutionDuration") {
        return duration(field, value);
    }
    match (field.value_type, value) {
        (ValueType::Int | ValueType::Double, value @ (Value::Int(_) | Value::Double(_))) => Ok(value),
        (ValueType::Keyword | ValueType::KeywordList, value @ Value::Text(_)) => Ok(value),
        (ValueType::Datetime, Value::Int(nanos)) => Ok(Value::Int(nanos)),
        (ValueType::Datetime, Value::Text(text)) => datetime::parse(&text)
            .map(Value::Int)
            .ok_or_else(|| FilterError::invalid(format!("unable to parse datetime '{text}'"))),
        (ValueType::Text, Value::Text(text)) if text.trim().is_empty() => Err(FilterError::invalid(format!(
            "no tokens found filtering on Text type search attribute {}",
            field.alias
        ))),
        (ValueType::Text, value @ Value::Text(_)) => Ok(value),
        (_, value) => Err(wrong_type(field, &value)),
    }
}

fn status(field: &Field, value: Value) -> Result<Value, FilterError> {
    let found = match &value {
        Value::Int(number) => {
            i32::try_from(*number).ok().and_then(|n| WorkflowExecutionStatus::try_from(n).ok())
        }
        Value::Text(name) => status_of(name),
        other => return Err(unexpected_type(field, other)),
    };
    match (found, value) {
        (Some(status), _) => Ok(Value::Int(status as i64)),
        (None, Value::Text(name)) => {
            Err(FilterError::invalid(format!("invalid {} value '{name}'", field.alias)))
        }
        (None, value) => {
            Err(FilterError::invalid(format!("invalid {} value {}", field.alias, in_go(&value))))
        }
    }
}

/// By the name that users see, or by the API's.
fn status_of(name: &str) -> Option<WorkflowExecutionStatus> {
    let named =
        |status: &WorkflowExecutionStatus| status_name(*status) == name || status.as_str_name() == name;
    (0..=i32::from(u8::MAX)).map_while(|n| WorkflowExecutionStatus::try_from(n).ok()).find(named)
}

/// How users write a status.
pub(super) fn status_name(status: WorkflowExecutionStatus) -> &'static str {
    match status {
        WorkflowExecutionStatus::Unspecified => "Unspecified",
        WorkflowExecutionStatus::Running => "Running",
        WorkflowExecutionStatus::Completed => "Completed",
        WorkflowExecutionStatus::Failed => "Failed",
        WorkflowExecutionStatus::Canceled => "Canceled",
        WorkflowExecutionStatus::Terminated => "Terminated",
        WorkflowExecutionStatus::ContinuedAsNew => "ContinuedAsNew",
        WorkflowExecutionStatus::TimedOut => "TimedOut",
        WorkflowExecutionStatus::Paused => "Paused",
    }
}

fn duration(field: &Field, value: Value) -> Result<Value, FilterError> {
    match value {
        Value::Int(nanos) => Ok(Value::Int(nanos)),
        Value::Text(text) => text
            .parse()
            .ok()
            .or_else(|| go_duration::parse(&text))
            .or_else(|| go_duration::parse_clock(&text))
            .map(Value::Int)
            .ok_or_else(|| {
                FilterError::invalid(format!(
                    "invalid duration value for search attribute {}: {text}",
                    field.alias
                ))
            }),
        other => Err(unexpected_type(field, &other)),
    }
}

fn unexpected_type(field: &Field, value: &Value) -> FilterError {
    FilterError::invalid(format!(
        "unexpected value type {} for search attribute {}",
        go_type(value),
        field.alias
    ))
}

fn wrong_type(field: &Field, value: &Value) -> FilterError {
    FilterError::invalid(format!(
        "invalid value type for search attribute {} of type {}: {} (type: {})",
        field.alias,
        field.value_type,
        in_go(value),
        go_type(value)
    ))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "string",
        Value::Int(_) => "int64",
        Value::Double(_) => "float64",
        Value::Bool(_) => "bool",
        Value::List(_) => "[]string",
    }
}

/// As the real server prints values.
fn in_go(value: &Value) -> String {
    const EXPONENT_FROM: f64 = 1e21;
    const EXPONENT_BELOW: f64 = 1e-4;
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Int(int) => int.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::List(list) => format!("{list:?}"),
        Value::Double(double) if *double == 0.0 => "0".to_owned(),
        Value::Double(double) if (EXPONENT_BELOW..EXPONENT_FROM).contains(&double.abs()) => {
            double.to_string()
        }
        Value::Double(double) => {
            let text = format!("{double:e}");
            match text.split_once('e') {
                Some((digits, exponent)) => {
                    let (sign, exponent) =
                        exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
                    format!("{digits}e{sign}{exponent:0>2}")
                }
                None => text,
            }
        }
    }
}
