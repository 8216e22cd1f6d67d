//! What runs on its own, without a workflow around it: standalone activities and Nexus operations.
//!
//! Each is a state of its own in the shard of its id, folded from facts like a run ([`fact`], [`state`]). The
//! shell around it is the same for every kind: ids and their policies ([`start`]), ends ([`control`]), rows,
//! lists, long polls, retention. What is particular to a kind is its [`state::Body`] and the folder of its
//! name. Of an activity, the attempts are those of a workflow's activities, and so is the code that decides
//! on retries and time-outs; of an operation, the calls are those of a workflow's operations.

pub mod activity;
pub mod control;
pub mod fact;
pub mod key;
pub mod list;
pub mod operation;
pub mod request;
pub mod rows;
pub mod start;
pub mod state;
pub mod turn;

#[cfg(test)]
mod stories;

pub use self::{
    key::{Kind, StandaloneKey, StandaloneRun},
    state::Standalone,
};
