//! Tests of the store as a whole: as openraft uses it, and as disks treat it.

mod log;
mod power_cut;
mod snapshots;
mod suite;
mod support;
mod tables;
