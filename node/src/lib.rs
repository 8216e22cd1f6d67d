//! The shells around the engine: everything with an effect.
//!
//! The engine decides and has no effects; this crate has the effects and decides nothing. It runs the
//! consensus groups, the ports and the process itself, and carries the engine's outputs to the log, to
//! the tables, to other nodes and to clients.

pub mod admin;
pub mod ask;
pub mod backend;
pub mod batches;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod demo;
pub mod deployments;
pub mod dev;
pub mod everlog;
pub mod frontend;
pub mod history;
pub mod internal;
pub mod list;
pub mod machine;
pub mod metrics;
pub mod nexus;
pub mod node;
pub mod peer;
pub mod post;
pub mod queue;
pub mod raft;
pub mod route;
pub mod router;
pub mod shard;
pub mod workers;
