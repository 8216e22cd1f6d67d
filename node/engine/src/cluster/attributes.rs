//! Search attributes: which there are, of which type, and how custom ones are added to a namespace.

use std::{collections::BTreeMap, fmt};

use everlog_proto::api::enums::v1::IndexedValueType;

use super::{
    Cluster, Fact, Reply, SearchAttribute,
    namespace::{Namespace, put},
};
use crate::reject::Reject;

/// Custom search attributes of one type in one namespace. Fields are numbered with two digits.
const PER_TYPE_MAX: usize = 99;
const NAME_BYTES_MAX: usize = 1_000;
/// Names that begin like this belong to the system.
const RESERVED_PREFIX: &str = "Temporal";
/// Names of columns that are no search attributes, and cannot become any.
const RESERVED: [&str; 4] = ["NamespaceId", "MemoEncoding", "Memo", "VisibilityTaskKey"];

/// What values of a search attribute are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    Text,
    Keyword,
    Int,
    Double,
    Bool,
    Datetime,
    KeywordList,
}

/// Kept in the row of a run, in fields of their own.
const SYSTEM: [(&str, ValueType); 16] = [
    ("WorkflowId", ValueType::Keyword),
    ("RunId", ValueType::Keyword),
    ("WorkflowType", ValueType::Keyword),
    ("StartTime", ValueType::Datetime),
    ("ExecutionTime", ValueType::Datetime),
    ("CloseTime", ValueType::Datetime),
    ("ExecutionStatus", ValueType::Keyword),
    ("TaskQueue", ValueType::Keyword),
    ("HistoryLength", ValueType::Int),
    ("ExecutionDuration", ValueType::Int),
    ("StateTransitionCount", ValueType::Int),
    ("HistorySizeBytes", ValueType::Int),
    ("ParentWorkflowId", ValueType::Keyword),
    ("ParentRunId", ValueType::Keyword),
    ("RootWorkflowId", ValueType::Keyword),
    ("RootRunId", ValueType::Keyword),
];

/// Kept among the custom search attributes of a run, and set by the system.
const PREDEFINED: [(&str, ValueType); 17] = [
    ("TemporalChangeVersion", ValueType::KeywordList),
    ("BinaryChecksums", ValueType::KeywordList),
    ("BuildIds", ValueType::KeywordList),
    ("BatcherNamespace", ValueType::Keyword),
    ("BatcherUser", ValueType::Keyword),
    ("TemporalScheduledStartTime", ValueType::Datetime),
    ("TemporalScheduledById", ValueType::Keyword),
    ("TemporalSchedulePaused", ValueType::Bool),
    ("TemporalNamespaceDivision", ValueType::Keyword),
    ("TemporalPauseInfo", ValueType::KeywordList),
    ("TemporalReportedProblems", ValueType::KeywordList),
    ("TemporalWorkerDeploymentVersion", ValueType::Keyword),
    ("TemporalWorkflowVersioningBehavior", ValueType::Keyword),
    ("TemporalWorkerDeployment", ValueType::Keyword),
    ("TemporalUsedWorkerDeploymentVersions", ValueType::KeywordList),
    ("TemporalExternalPayloadCount", ValueType::Int),
    ("TemporalExternalPayloadSizeBytes", ValueType::Int),
];

pub fn system_attributes() -> &'static [(&'static str, ValueType)] {
    &SYSTEM
}

pub fn predefined_attributes() -> &'static [(&'static str, ValueType)] {
    &PREDEFINED
}

impl ValueType {
    pub fn from_api(value: i32) -> Option<ValueType> {
        Some(match IndexedValueType::try_from(value).ok()? {
            IndexedValueType::Unspecified => return None,
            IndexedValueType::Text => ValueType::Text,
            IndexedValueType::Keyword => ValueType::Keyword,
            IndexedValueType::Int => ValueType::Int,
            IndexedValueType::Double => ValueType::Double,
            IndexedValueType::Bool => ValueType::Bool,
            IndexedValueType::Datetime => ValueType::Datetime,
            IndexedValueType::KeywordList => ValueType::KeywordList,
        })
    }

    pub fn api(self) -> i32 {
        let value = match self {
            ValueType::Text => IndexedValueType::Text,
            ValueType::Keyword => IndexedValueType::Keyword,
            ValueType::Int => IndexedValueType::Int,
            ValueType::Double => IndexedValueType::Double,
            ValueType::Bool => IndexedValueType::Bool,
            ValueType::Datetime => IndexedValueType::Datetime,
            ValueType::KeywordList => IndexedValueType::KeywordList,
        };
        value as i32
    }

    pub fn name(self) -> &'static str {
        match self {
            ValueType::Text => "Text",
            ValueType::Keyword => "Keyword",
            ValueType::Int => "Int",
            ValueType::Double => "Double",
            ValueType::Bool => "Bool",
            ValueType::Datetime => "Datetime",
            ValueType::KeywordList => "KeywordList",
        }
    }
}

/// As the `type` in a payload's metadata and in the texts of the real server.
impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Namespace {
    /// The custom search attributes and their types.
    pub fn custom_attributes(&self) -> BTreeMap<String, ValueType> {
        self.search_attributes
            .iter()
            .filter_map(|(name, attribute)| Some((name.clone(), ValueType::from_api(attribute.value_type)?)))
            .collect()
    }
}

pub(super) fn add(
    cluster: &Cluster,
    namespace: &str,
    attributes: &BTreeMap<String, i32>,
) -> Result<(Vec<Fact>, Reply), Reject> {
    let before = find(cluster, namespace, attributes.is_empty())?;
    let mut namespace = (**before).clone();
    for (name, value_type) in attributes {
        if is_reserved(name) {
            return Err(invalid(format!("Search attribute {name} is reserved by system.")));
        }
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(invalid(format!("Search attribute name {name:?} is empty or too long.")));
        }
        let Some(value_type) = ValueType::from_api(*value_type) else {
            return Err(invalid(format!("Unknown search attribute type: {value_type}.")));
        };
        // As in the real server, an attribute that is there already is left alone, whatever its type.
        if !namespace.search_attributes.contains_key(name) {
            let field = free_field(&namespace.search_attributes, value_type)?;
            let attribute = SearchAttribute { value_type: value_type.api(), field };
            namespace.search_attributes.insert(name.clone(), attribute);
        }
    }
    Ok(if namespace == **before { (Vec::new(), Reply::Done) } else { put(namespace) })
}

pub(super) fn remove(
    cluster: &Cluster,
    namespace: &str,
    attributes: &[String],
) -> Result<(Vec<Fact>, Reply), Reject> {
    let before = find(cluster, namespace, attributes.is_empty())?;
    let mut namespace = (**before).clone();
    for name in attributes {
        if is_reserved(name) {
            return Err(invalid(format!("Unable to remove non-custom search attributes: {name}.")));
        }
        namespace.search_attributes.remove(name);
    }
    Ok(if namespace == **before { (Vec::new(), Reply::Done) } else { put(namespace) })
}

/// UpdateNamespace's way to name attributes: field to alias, no alias to free the field.
pub(super) fn change_aliases(
    attributes: &mut BTreeMap<String, SearchAttribute>,
    aliases: &BTreeMap<&String, &String>,
) -> Result<(), Reject> {
    let taken: Vec<String> = attributes.values().map(|attribute| attribute.field.clone()).collect();
    for (field, alias) in aliases {
        if alias.is_empty() {
            attributes.retain(|_, attribute| attribute.field != **field);
        } else if taken.contains(field) {
            return Err(invalid("Custom search attribute field name already allocated.".into()));
        } else if is_reserved(alias) {
            return Err(invalid(format!("Search attribute {alias} is reserved by system.")));
        } else if attributes.contains_key(*alias) {
            return Err(invalid(format!("Search attribute {alias} already exists.")));
        } else {
            let Some(value_type) = type_of_field(field) else {
                return Err(invalid(format!("Search attribute field {field} is not defined.")));
            };
            let attribute = SearchAttribute { value_type: value_type.api(), field: (*field).clone() };
            attributes.insert((*alias).clone(), attribute);
        }
    }
    Ok(())
}

fn find<'a>(
    cluster: &'a Cluster,
    namespace: &str,
    nothing_asked: bool,
) -> Result<&'a std::sync::Arc<Namespace>, Reject> {
    if nothing_asked {
        return Err(invalid("SearchAttributes are not set on request.".into()));
    }
    if namespace.is_empty() {
        return Err(invalid("Namespace is not set on request.".into()));
    }
    cluster.namespace(namespace)
}

/// Whether users may not define this name.
fn is_reserved(name: &str) -> bool {
    name.starts_with(RESERVED_PREFIX)
        || RESERVED.contains(&name)
        || SYSTEM.iter().chain(&PREDEFINED).any(|(reserved, _)| *reserved == name)
}

fn free_field(
    attributes: &BTreeMap<String, SearchAttribute>,
    value_type: ValueType,
) -> Result<String, Reject> {
    (1..=PER_TYPE_MAX)
        .map(|number| format!("{value_type}{number:02}"))
        .find(|field| attributes.values().all(|attribute| attribute.field != *field))
        .ok_or_else(|| {
            invalid(format!(
                "Unable to create search attributes: cannot have more than {PER_TYPE_MAX} search attribute \
                 of type {value_type}."
            ))
        })
}

fn type_of_field(field: &str) -> Option<ValueType> {
    let (name, number) = field.split_at_checked(field.len().checked_sub(2)?)?;
    let number: usize = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())??;
    let all = (1..=i32::from(u8::MAX)).map_while(ValueType::from_api);
    (number > 0).then(|| all.into_iter().find(|value_type| value_type.name() == name))?
}

fn invalid(message: String) -> Reject {
    Reject::InvalidArgument(message)
}
