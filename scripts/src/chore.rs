//! The chores, each in a file of its own and of the same shape: `run` does it and says how many tests ran.

pub mod bench;
pub mod bench_wal;
pub mod chaos;
pub mod client;
pub mod cluster;
pub mod conformance;
pub mod deny;
pub mod fmt;
pub mod lint;
pub mod planted;
pub mod power_cut;
pub mod purity;
pub mod sim;
pub mod test;
pub mod tidy;
pub mod ui;
pub mod unit;
