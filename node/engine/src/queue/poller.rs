//! Polls that wait, and who has polled lately.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use everlog_proto::api::{
    common::v1::WorkerVersionCapabilities, deployment::v1::WorkerDeploymentOptions, taskqueue::v1::PollerInfo,
};

use super::{LONG_POLL, LONG_POLL_MARGIN};
use crate::time::Time;

/// For how long a poller is listed after its last poll.
const POLLER_LISTED: Duration = Duration::from_secs(5 * 60);
/// Pollers that one queue lists.
const POLLERS_LISTED_MAX: usize = 1_000;
/// What the list says of a poller that has set no rate: the real server's default.
pub const RATE_PER_SECOND_DEFAULT: f64 = 100_000.0;

/// Given by the shell, each greater than the one before: that is the order in which polls are served.
pub type PollId = u64;

/// A worker's call that waits for a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Poller {
    pub id: PollId,
    pub identity: String,
    /// Empty for workers that don't send it.
    pub worker_instance_key: String,
    /// Names this poll, so that a repeated start of the same task for it gets the same answer.
    pub request_id: String,
    /// When the caller stops to listen.
    pub deadline: Option<Time>,
    /// The worker's wish for the whole queue; only activity queues heed it.
    pub max_tasks_per_second: Option<f64>,
    pub version_capabilities: Option<WorkerVersionCapabilities>,
    pub deployment_options: Option<WorkerDeploymentOptions>,
    /// The worker's client, as its calls name it.
    pub sdk_name: String,
    pub sdk_version: String,
}

impl Poller {
    pub(super) fn is_of(&self, worker_instance_key: &str) -> bool {
        !worker_instance_key.is_empty() && self.worker_instance_key == worker_instance_key
    }
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    polls: BTreeMap<PollId, Place>,
    ends: BTreeSet<(Time, PollId)>,
}

#[derive(Debug)]
struct Place {
    since: Time,
    end: Time,
    poller: Poller,
}

impl Waiting {
    pub(super) fn insert(&mut self, now: Time, poller: Poller) {
        let patience = poller.deadline.map_or(Time::NEVER, |deadline| deadline - LONG_POLL_MARGIN);
        let end = patience.min(now + LONG_POLL);
        self.remove(poller.id);
        self.ends.insert((end, poller.id));
        self.polls.insert(poller.id, Place { since: now, end, poller });
    }

    /// The poll that is to be served next, and since when it has waited.
    pub(super) fn pop(&mut self) -> Option<(Time, Poller)> {
        let (id, place) = self.polls.first_key_value()?;
        let (id, since) = (*id, place.since);
        Some((since, self.remove(id)?))
    }

    /// Takes out a poll whose time is over.
    pub(super) fn pop_ended(&mut self, now: Time) -> Option<Poller> {
        let (end, id) = *self.ends.first()?;
        if end > now { None } else { self.remove(id) }
    }

    pub(super) fn remove(&mut self, id: PollId) -> Option<Poller> {
        let place = self.polls.remove(&id)?;
        self.ends.remove(&(place.end, id));
        Some(place.poller)
    }

    pub(super) fn remove_where(&mut self, mut condition: impl FnMut(&Poller) -> bool) -> Vec<Poller> {
        let ids: Vec<PollId> =
            self.polls.iter().filter(|(_, place)| condition(&place.poller)).map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    pub(super) fn first_end(&self) -> Option<Time> {
        self.ends.first().map(|(end, _)| *end)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.polls.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.polls.len()
    }
}

/// Who has polled lately, by identity.
#[derive(Debug, Default)]
pub(super) struct PollerHistory {
    pollers: BTreeMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    at: Time,
    version_capabilities: Option<WorkerVersionCapabilities>,
    deployment_options: Option<WorkerDeploymentOptions>,
}

impl PollerHistory {
    pub(super) fn seen(&mut self, now: Time, poller: &Poller) {
        if let Some(seen) = self.pollers.get_mut(&poller.identity) {
            seen.at = now;
            return;
        }
        if self.pollers.len() >= POLLERS_LISTED_MAX {
            self.pollers.retain(|_, seen| now < seen.at + POLLER_LISTED);
        }
        if self.pollers.len() >= POLLERS_LISTED_MAX {
            return;
        }
        let seen = Seen {
            at: now,
            version_capabilities: poller.version_capabilities.clone(),
            deployment_options: poller.deployment_options.clone(),
        };
        self.pollers.insert(poller.identity.clone(), seen);
    }

    pub(super) fn len(&self) -> usize {
        self.pollers.len()
    }

    pub(super) fn forget(&mut self, identity: &str) {
        self.pollers.remove(identity);
    }

    /// As DescribeTaskQueue shows them, the latest first.
    pub(super) fn list(&self, now: Time, rate: Option<f64>) -> Vec<PollerInfo> {
        let mut seen: Vec<_> =
            self.pollers.iter().filter(|(_, seen)| now < seen.at + POLLER_LISTED).collect();
        seen.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.at));
        seen.into_iter().map(|(identity, seen)| info(identity, seen, rate)).collect()
    }
}

#[expect(deprecated, reason = "older workers send and show worker_version_capabilities")]
fn info(identity: &str, seen: &Seen, rate: Option<f64>) -> PollerInfo {
    PollerInfo {
        last_access_time: Some(seen.at.proto()),
        identity: identity.to_owned(),
        rate_per_second: rate.unwrap_or(RATE_PER_SECOND_DEFAULT),
        worker_version_capabilities: seen.version_capabilities.clone(),
        deployment_options: seen.deployment_options.clone(),
    }
}
