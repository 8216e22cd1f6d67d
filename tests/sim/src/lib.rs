//! Ring 1 of the proof: the real engine, simulated bit by bit.
//!
//! One seed decides everything: how many nodes and shards, which workflows, who crashes when, which
//! message gets lost. The shards and queues are those of the server; the log, the network, the clocks,
//! the clients and the workers are simulated, in one thread and without real time. When a run has come
//! to rest, checkers compare what was promised to callers with what the histories say.

pub mod agenda;
pub mod check;
pub mod coverage;
pub mod deployments;
pub mod faults;
pub mod handler;
pub mod log;
pub mod machine;
pub mod node;
pub mod pauses;
pub mod program;
pub mod raft;
pub mod random;
pub mod record;
pub mod resets;
pub mod rpc;
pub mod run;
pub mod schedules;
pub mod session;
pub mod settings;
pub mod shell;
pub mod sim;
pub mod standalone;
pub mod standalone_operation;
pub mod story;
pub mod trace;
pub mod updates;
pub mod worker;

pub use coverage::Coverage;
pub use run::{Failure, Outcome, many, one, story};
