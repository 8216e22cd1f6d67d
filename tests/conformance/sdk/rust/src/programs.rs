//! The programs, a module for each subject.

use crate::harness::Case;

mod activity_operations;
mod async_completion;
mod cancellation;
mod chains;
mod children;
mod deployments;
mod determinism;
mod failures;
mod hello;
mod interceptors;
mod local_activities;
mod messages;
mod nexus;
mod policies;
mod retries;
mod schedules;
mod standalone_activities;
mod timers;
mod updates;
mod visibility;
mod worker_heartbeats;
mod workers;

pub const SUBJECTS: &[(&str, &[Case])] = &[
    ("activity_operations", activity_operations::CASES),
    ("async_completion", async_completion::CASES),
    ("cancellation", cancellation::CASES),
    ("chains", chains::CASES),
    ("children", children::CASES),
    ("deployments", deployments::CASES),
    ("determinism", determinism::CASES),
    ("failures", failures::CASES),
    ("hello", hello::CASES),
    ("interceptors", interceptors::CASES),
    ("local_activities", local_activities::CASES),
    ("messages", messages::CASES),
    ("nexus", nexus::CASES),
    ("policies", policies::CASES),
    ("retries", retries::CASES),
    ("schedules", schedules::CASES),
    ("standalone_activities", standalone_activities::CASES),
    ("timers", timers::CASES),
    ("updates", updates::CASES),
    ("visibility", visibility::CASES),
    ("worker_heartbeats", worker_heartbeats::CASES),
    ("workers", workers::CASES),
];
