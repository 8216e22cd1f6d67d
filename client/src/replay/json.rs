//! Histories as JSON, in the form in which the `temporal` command line and the web interface export them.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use everlog_proto::PUBLIC_DESCRIPTORS;
use everlog_proto::api::history::v1::History;
use prost::Message as _;
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};

use super::HistoryError;

const HISTORY: &str = "temporal.api.history.v1.History";

/// Reads an export. Fields that this version does not know are passed over.
pub(crate) fn read(text: &str) -> Result<History, HistoryError> {
    let unreadable = |error: &dyn std::fmt::Display| HistoryError::Unreadable(error.to_string());
    let mut json = serde_json::Deserializer::from_str(text);
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let message = DynamicMessage::deserialize_with_options(descriptor()?, &mut json, &options)
        .map_err(|error| unreadable(&error))?;
    History::decode(message.encode_to_vec().as_slice()).map_err(|error| unreadable(&error))
}

fn descriptor() -> Result<MessageDescriptor, HistoryError> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    let pool = POOL.get_or_init(load);
    let found = pool.as_ref().and_then(|pool| pool.get_message_by_name(HISTORY));
    found.ok_or_else(|| HistoryError::Unreadable(format!("the descriptor of {HISTORY} is missing")))
}

/// The descriptors of the public API. Files that only define annotations are not among them, so what
/// imports such a file must not say so.
fn load() -> Option<DescriptorPool> {
    let mut files = FileDescriptorSet::decode(PUBLIC_DESCRIPTORS).ok()?;
    let present: BTreeSet<String> = files.file.iter().map(|file| file.name().to_owned()).collect();
    for file in &mut files.file {
        file.dependency.retain(|name| present.contains(name));
        // These are positions in the list that has just changed; nobody asks for them here.
        file.public_dependency.clear();
        file.weak_dependency.clear();
    }
    match DescriptorPool::from_file_descriptor_set(files) {
        Ok(pool) => Some(pool),
        Err(error) => {
            tracing::error!(%error, "the descriptors of the public API do not fit together");
            None
        }
    }
}
