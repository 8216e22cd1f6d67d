//! The shells around the engine: everything with an effect.
//!
//! The engine decides and has no effects; this crate has the effects and decides nothing. It runs the
//! consensus groups, the ports and the process itself, and carries the engine's outputs to the log, to
//! the tables, to other nodes and to clients.

pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dev;
pub mod metrics;
pub mod node;
pub mod peer;
pub mod raft;
