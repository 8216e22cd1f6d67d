//! One run in lists.

use std::collections::BTreeMap;

use everlog_proto::api::{
    common::v1::{Memo, Payload, SearchAttributes, WorkflowExecution, WorkflowType},
    workflow::v1::WorkflowExecutionInfo,
};
use prost::Message;
use serde::{Deserialize, Serialize};

use super::{
    fields::OfOperation,
    json::{self, Json},
};
use crate::{
    codec::{self, CodecError, Proto},
    execution::Execution,
    time::{Time, proto_duration},
};

const ROW_KIND: u8 = b'V';
const ROW_VERSION: u8 = 1;

/// Version 1 of the stored form, frozen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub namespace_id: String,
    pub workflow_id: String,
    pub run_id: String,
    pub workflow_type: String,
    pub task_queue: String,
    /// The API's `WorkflowExecutionStatus`.
    pub status: i32,
    /// Times are nanoseconds since the Unix epoch.
    pub start_time: i64,
    pub execution_time: i64,
    pub close_time: Option<i64>,
    /// What is known only once the run is closed.
    pub closed: Option<Closed>,
    /// Encoded payloads by name, each always in the same bytes.
    pub memo: BTreeMap<String, Bytes>,
    pub search_attributes: BTreeMap<String, Bytes>,
    pub parent: Option<Parent>,
    pub root_workflow_id: String,
    pub root_run_id: String,
    pub first_run_id: String,
}

pub(super) type Bytes = serde_bytes::ByteBuf;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    pub history_length: i64,
    pub history_size_bytes: i64,
    pub state_transition_count: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub namespace_id: String,
    pub workflow_id: String,
    pub run_id: String,
}

impl Row {
    pub fn of(execution: &Execution) -> Row {
        let key = execution.key();
        let start = &execution.start;
        let own = || (key.workflow.workflow_id.to_string(), key.run_id.to_string());
        let named = |execution: &WorkflowExecution| (execution.workflow_id.clone(), execution.run_id.clone());
        let root = start.root_workflow_execution.as_ref().filter(|root| !root.workflow_id.is_empty());
        let (root_workflow_id, root_run_id) = root.map_or_else(own, named);
        let parent = start.parent_workflow_execution.as_ref().filter(|parent| !parent.workflow_id.is_empty());
        Row {
            namespace_id: key.workflow.namespace_id.to_string(),
            workflow_id: key.workflow.workflow_id.to_string(),
            run_id: key.run_id.to_string(),
            workflow_type: execution.workflow_type().to_owned(),
            task_queue: execution.task_queue().to_owned(),
            status: execution.status,
            start_time: execution.start_time.0,
            execution_time: execution.execution_time.0,
            close_time: execution.close_time.map(|time| time.0),
            closed: execution.close_time.map(|_| Closed {
                history_length: execution.history_length(),
                history_size_bytes: execution.history_bytes,
                state_transition_count: execution.state_transitions,
            }),
            memo: encode_payloads(&execution.memo),
            search_attributes: encode_payloads(&execution.shown_search_attributes()),
            parent: parent.map(|parent| Parent {
                namespace_id: start.parent_workflow_namespace_id.clone(),
                workflow_id: parent.workflow_id.clone(),
                run_id: parent.run_id.clone(),
            }),
            root_workflow_id,
            root_run_id,
            first_run_id: start.first_execution_run_id.clone(),
        }
    }

    /// Whether two states of a run have the same row. Most changes of a run show in no list; what its first
    /// event said never changes.
    pub fn is_same(before: &Execution, after: &Execution) -> bool {
        before.status == after.status
            && before.close_time == after.close_time
            && before.start_time == after.start_time
            && before.execution_time == after.execution_time
            // Only a closed run shows how long it has become.
            && (after.close_time.is_none() || before.version == after.version)
            && before.memo == after.memo
            && before.search_attributes == after.search_attributes
            && before.build_ids == after.build_ids
            && before.versioning == after.versioning
            && before.reset_points == after.reset_points
            && before.pause_info == after.pause_info
    }

    /// What lists show of the run.
    pub fn info(&self) -> WorkflowExecutionInfo {
        let closed = self.closed.unwrap_or_default();
        WorkflowExecutionInfo {
            execution: Some(execution(&self.workflow_id, &self.run_id)),
            r#type: Some(WorkflowType { name: self.workflow_type.clone() }),
            start_time: Some(Time(self.start_time).proto()),
            execution_time: Some(Time(self.execution_time).proto()),
            close_time: self.close_time.map(|time| Time(time).proto()),
            execution_duration: self
                .close_time
                .map(|close| proto_duration(Time(close).since(Time(self.execution_time)))),
            status: self.status,
            history_length: closed.history_length,
            history_size_bytes: closed.history_size_bytes,
            state_transition_count: closed.state_transition_count,
            parent_namespace_id: self.parent.as_ref().map(|p| p.namespace_id.clone()).unwrap_or_default(),
            parent_execution: self.parent.as_ref().map(|p| execution(&p.workflow_id, &p.run_id)),
            root_execution: Some(execution(&self.root_workflow_id, &self.root_run_id)),
            memo: Some(Memo { fields: decode_payloads(&self.memo) }),
            search_attributes: Some(SearchAttributes {
                indexed_fields: decode_payloads(&self.search_attributes),
            }),
            task_queue: self.task_queue.clone(),
            ..WorkflowExecutionInfo::default()
        }
    }

    /// The search attribute of this name, as it was set.
    pub(super) fn search_attribute(&self, name: &str) -> Option<Payload> {
        Payload::decode(self.search_attributes.get(name)?.as_slice()).ok()
    }

    /// What only an operation has, in whose row it is.
    pub fn of_operation(&self, own: OfOperation) -> Option<String> {
        let payload = Payload::decode(self.memo.get(own.key())?.as_slice()).ok()?;
        match json::parse(&payload.data)? {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The time that the run took; none while it is open.
    pub(super) fn execution_duration(&self) -> Option<i64> {
        self.close_time.map(|close| close.saturating_sub(self.execution_time))
    }

    pub fn encode(&self) -> Vec<u8> {
        codec::encode(ROW_KIND, ROW_VERSION, self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Row, CodecError> {
        codec::decode(ROW_KIND, ROW_VERSION, bytes)
    }
}

fn execution(workflow_id: &str, run_id: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id: run_id.to_owned() }
}

fn encode_payloads(payloads: &BTreeMap<String, Proto<Payload>>) -> BTreeMap<String, Bytes> {
    payloads.iter().map(|(name, payload)| (name.clone(), Bytes::from(payload_bytes(payload)))).collect()
}

/// The bytes of a payload, with its metadata in order: replicas must write the same bytes, and a hash map
/// is in a different order on each. Messages put end to end are one message, so each entry is written as
/// a message of its own.
pub fn payload_bytes(payload: &Payload) -> Vec<u8> {
    let metadata: BTreeMap<&String, &Vec<u8>> = payload.metadata.iter().collect();
    let mut bytes = Vec::with_capacity(payload.encoded_len());
    for (key, value) in metadata {
        let entry = Payload { metadata: [(key.clone(), value.clone())].into(), ..Payload::default() };
        bytes.extend(entry.encode_to_vec());
    }
    let rest = Payload {
        data: payload.data.clone(),
        external_payloads: payload.external_payloads.clone(),
        ..Payload::default()
    };
    bytes.extend(rest.encode_to_vec());
    bytes
}

fn decode_payloads<M: FromIterator<(String, Payload)>>(payloads: &BTreeMap<String, Bytes>) -> M {
    payloads
        .iter()
        .filter_map(|(name, bytes)| Some((name.clone(), Payload::decode(bytes.as_slice()).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_one_encoding() {
        let metadata = [("type", "Keyword"), ("encoding", "json/plain"), ("a", "b"), ("z", "y")];
        let payload = |entries: Vec<(&str, &str)>| Payload {
            metadata: entries.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect(),
            data: b"\"x\"".to_vec(),
            ..Payload::default()
        };
        let (one, other) = (payload(metadata.to_vec()), payload(metadata.iter().rev().copied().collect()));
        assert_eq!(payload_bytes(&one), payload_bytes(&other));
        assert_eq!(Payload::decode(payload_bytes(&one).as_slice()).unwrap(), one);
    }

    #[test]
    fn rows_read_back() {
        let row = Row {
            workflow_id: "w".to_owned(),
            close_time: Some(5),
            closed: Some(Closed { history_length: 3, ..Closed::default() }),
            memo: [("m".to_owned(), Bytes::from(payload_bytes(&Payload::default())))].into(),
            ..Row::default()
        };
        assert_eq!(Row::decode(&row.encode()).unwrap(), row);
    }

    /// Rows that were once written are read for ever: these bytes must never change.
    #[test]
    fn stored_rows_keep_their_bytes() {
        let bytes = |text: &str| Bytes::from(text.as_bytes().to_vec());
        let row = Row {
            namespace_id: "n".to_owned(),
            workflow_id: "w".to_owned(),
            run_id: "r".to_owned(),
            workflow_type: "t".to_owned(),
            task_queue: "q".to_owned(),
            status: 2,
            start_time: 1,
            execution_time: 2,
            close_time: Some(3),
            closed: Some(Closed { history_length: 4, history_size_bytes: 5, state_transition_count: 6 }),
            memo: [("m".to_owned(), bytes("7"))].into(),
            search_attributes: [("s".to_owned(), bytes("8"))].into(),
            parent: Some(Parent {
                namespace_id: "pn".to_owned(),
                workflow_id: "pw".to_owned(),
                run_id: "pr".to_owned(),
            }),
            root_workflow_id: "rw".to_owned(),
            root_run_id: "rr".to_owned(),
            first_run_id: "f".to_owned(),
        };
        let lines: Vec<String> = row
            .encode()
            .chunks(40)
            .map(|chunk| chunk.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            .collect();
        expect_test::expect![[r#"
            560101000000000000006e0100000000000000770100000000000000720100000000000000740100
            00000000000071020000000100000000000000020000000000000001030000000000000001040000
            000000000005000000000000000600000000000000010000000000000001000000000000006d0100
            00000000000037010000000000000001000000000000007301000000000000003801020000000000
            0000706e020000000000000070770200000000000000707202000000000000007277020000000000
            00007272010000000000000066"#]]
        .assert_eq(&lines.join("\n"));
        assert_eq!(Row::decode(&row.encode()).unwrap(), row);
    }
}
