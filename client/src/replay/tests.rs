//! The replay engine against histories in memory.
//!
//! [`sim::Sim`] plays the server for one workflow. After each workflow task it also replays the whole
//! history in a fresh run, with other hash seeds and none of the first one's state, and demands the same
//! commands. So every story here is a test of determinism too.

mod divergence;
mod guards;
mod sim;
mod stories;
