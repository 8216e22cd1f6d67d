//! How large search attributes may be, each and together.

use std::collections::BTreeMap;

use everlog_proto::api::{
    common::v1::{Payload, SearchAttributes},
    enums::v1::WorkflowTaskFailedCause as Cause,
};
use prost::Message;

use crate::{decide::BadCommand, evolve::is_null, execution::Execution, limits::Limits};

/// Where a payload says of which type its value is: noted by the server, and not counted.
const TYPE_METADATA: &str = "type";

/// What is too large, in the words of the real server.
pub fn too_large(attributes: &SearchAttributes, limits: &Limits) -> Option<String> {
    let sizes: BTreeMap<&String, usize> =
        attributes.indexed_fields.iter().map(|(name, payload)| (name, payload.data.len())).collect();
    let most = limits.search_attribute_value_bytes_max;
    if let Some((name, size)) = sizes.into_iter().find(|(_, size)| *size > most) {
        return Some(format!("search attribute {name} value size {size} exceeds size limit {most}"));
    }
    let (size, most) = (attributes.encoded_len(), limits.search_attributes_bytes_max);
    (size > most).then(|| format!("total size of search attributes {size} exceeds size limit {most}"))
}

/// Those with which a command begins a run.
pub(super) fn check_new(
    given: Option<&SearchAttributes>,
    limits: &Limits,
    cause: Cause,
) -> Result<(), BadCommand> {
    refuse(too_large(&as_given(given), limits), cause)
}

/// Those that a run has, and what a command adds: they count together.
pub(super) fn check_upserted(
    execution: &Execution,
    given: &SearchAttributes,
    limits: &Limits,
) -> Result<(), BadCommand> {
    let mut all = SearchAttributes::default();
    for (name, payload) in execution.shown_search_attributes() {
        let is_ours = execution.search_attributes.get(&name) != Some(&payload);
        all.indexed_fields.insert(name, if is_ours { payload.0 } else { without_type(&payload.0) });
    }
    for (name, payload) in as_given(Some(given)).indexed_fields {
        if is_null(&payload) {
            all.indexed_fields.remove(&name);
        } else {
            all.indexed_fields.insert(name, payload);
        }
    }
    refuse(too_large(&all, limits), Cause::BadSearchAttributes)
}

fn refuse(fault: Option<String>, cause: Cause) -> Result<(), BadCommand> {
    fault.map_or(Ok(()), |fault| Err(BadCommand::too_large(cause, fault)))
}

fn as_given(given: Option<&SearchAttributes>) -> SearchAttributes {
    let fields = given.iter().flat_map(|given| &given.indexed_fields);
    SearchAttributes {
        indexed_fields: fields.map(|(name, payload)| (name.clone(), without_type(payload))).collect(),
    }
}

fn without_type(payload: &Payload) -> Payload {
    let mut payload = payload.clone();
    payload.metadata.remove(TYPE_METADATA);
    payload
}
