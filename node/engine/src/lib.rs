//! Every decision of Everlog and no effect.
//!
//! A workflow run is the fold of its facts ([`execution`], [`evolve`]). A request is decided against that
//! state (`decide`) and yields new facts ([`fact`]); what the state still owes is computed from it
//! ([`todo`]). There is no clock here, no chance, no disk, no network and no task: the same inputs give
//! the same outputs, byte for byte. Time, seeds and limits arrive as a [`stamp::Stamp`].

pub mod cluster;
pub mod codec;
pub mod decide;
pub mod deployment;
pub mod event;
pub mod evolve;
pub mod execution;
pub mod fact;
pub mod go_duration;
pub mod key;
pub mod limits;
pub mod message;
pub mod nexus;
mod outputs;
pub mod planted;
pub mod queue;
pub mod reject;
pub mod reply;
pub mod request;
pub mod rows;
pub mod schedule;
pub mod shard;
pub mod shared;
pub mod stamp;
pub mod standalone;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod todo;
pub mod token;
pub mod turn;
pub mod versioning;
pub mod visibility;
pub mod volatile;
pub mod worker;
