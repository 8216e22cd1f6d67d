//! Tests of the store as a whole: as openraft uses it, and as disks treat it.

mod log;
mod suite;
mod support;
