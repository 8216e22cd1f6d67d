//! Schedules: workflows that start by the calendar.
//!
//! A schedule is a state of its own in the shard of its id, not a workflow behind the scenes: its facts are
//! folded like those of a run, its next time is a wake-up row, and while it sleeps it costs no memory.
//! [`spec`] says *when*: pure arithmetic on calendars, intervals and time zones, which the cron schedules of
//! workflows share ([`cron::next_cron_time`]).

pub mod ask;
mod calendar;
pub mod cron;
mod cron_string;
pub mod decide;
mod error;
pub mod fact;
pub mod list;
mod overlap;
mod ranges;
pub mod request;
pub mod rows;
pub mod spec;
pub mod start;
pub mod state;
pub mod turn;
mod zone;

#[cfg(test)]
mod spec_stories;
#[cfg(test)]
mod stories;

pub use self::{error::SpecError, spec::Spec, state::ScheduleKey};
