//! Task tokens: what a worker hands back to say which task it means.
//!
//! A token names the run, the event, the attempt and one particular start of it. It is opaque to
//! workers; a damaged or invented one does not decode.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    codec::{self},
    key::{RunKey, WorkflowKey},
    reject::Reject,
    time::Time,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskToken {
    pub run: RunKey,
    pub task: TokenTask,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TokenTask {
    Workflow {
        scheduled_event_id: i64,
        started_event_id: i64,
        attempt: i32,
        nonce: u64,
    },
    Activity {
        scheduled_event_id: i64,
        attempt: i32,
        activity_id: String,
        started: Time,
        request_id: String,
        /// Which count of attempts the attempt belongs to.
        generation: u32,
    },
    Query {
        id: u64,
        nonce: u64,
    },
    /// An attempt of an activity that runs on its own; `run` names that activity.
    StandaloneActivity {
        attempt: i32,
        started: Time,
        request_id: String,
        /// Which count of attempts the attempt belongs to.
        generation: u32,
    },
}

const TOKEN_KIND: u8 = b'T';
const TOKEN_VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

impl TaskToken {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = codec::encode(TOKEN_KIND, TOKEN_VERSION, self);
        let checksum = xxh3_64(&bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<TaskToken, Reject> {
        let forged = || Reject::InvalidArgument("Error deserializing task token.".into());
        let at = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or_else(forged)?;
        let (body, checksum) = bytes.split_at(at);
        if xxh3_64(body).to_le_bytes() != checksum {
            return Err(forged());
        }
        codec::decode(TOKEN_KIND, TOKEN_VERSION, body).map_err(|_| forged())
    }

    pub fn workflow(&self) -> &WorkflowKey {
        &self.run.workflow
    }
}
