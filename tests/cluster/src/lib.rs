//! What the process tests are made of.
//!
//! A test starts three processes of the server ([`cluster`]), sets clients and workers on them
//! ([`load`]) that write down every call and what came of it ([`record`]), kills or stops processes, heals, and
//! then compares what was promised with what is there ([`check`]).
//!
//! The workflows are small programs that know their own result ([`program`]), so that "it finished"
//! can be told from "it finished rightly". The checker sees only values and is tested by itself: for
//! each invariant a trace that keeps it and one that breaks it.

pub mod api;
pub mod check;
pub mod cluster;
pub mod history;
pub mod load;
pub mod messages;
pub mod mix;
pub mod past;
pub mod program;
pub mod record;
pub mod scenario;
pub mod unique;
