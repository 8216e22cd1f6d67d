//! Settings of task queues: rates and weights that operators set. The texts are the real server's.

use std::{collections::BTreeMap, sync::Arc};

use everlog_proto::api::{
    enums::v1::TaskQueueType,
    taskqueue::v1::{ConfigMetadata, RateLimit, RateLimitConfig, TaskQueueConfig},
    workflowservice::v1::{UpdateTaskQueueConfigRequest, update_task_queue_config_request::RateLimitUpdate},
};
use serde::{Deserialize, Serialize};

use super::{Cluster, Fact, Reply};
use crate::{reject::Reject, stamp::Stamp, time::Time};

/// Queues with settings of their own, in all namespaces.
pub const TASK_QUEUES_SET_MAX: usize = 10_000;
/// `matching.maxFairnessKeyWeightOverrides`: keys with a weight of their own, in a request and at a queue.
const WEIGHTS_MAX: usize = 1_000;
/// Reasons and identities.
const TEXT_BYTES_MAX: usize = 1_000;
/// As in the priorities of tasks.
const FAIRNESS_KEY_BYTES_MAX: usize = 64;
/// Names that begin so are parts of queues and not queues.
const PARTITION_PREFIX: &str = "/_sys/";

/// Namespace id, name and the API's `TaskQueueType`.
pub type TaskQueueId = (String, String, i32);

/// Stored as it is, in facts and in snapshots: frozen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskQueueSettings {
    pub namespace_id: String,
    pub name: String,
    /// The API's `TaskQueueType`.
    pub kind: i32,
    pub queue_rate: Option<RateSetting>,
    pub key_rate: Option<RateSetting>,
    pub weights: BTreeMap<String, f32>,
}

/// A rate that was set, or taken away, with who did it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RateSetting {
    /// Tasks a second. None: the rate was taken away.
    pub per_second: Option<f32>,
    pub reason: String,
    pub identity: String,
    pub at: Time,
}

impl TaskQueueSettings {
    pub fn id(&self) -> TaskQueueId {
        (self.namespace_id.clone(), self.name.clone(), self.kind)
    }

    /// As the API shows them.
    pub fn config(&self) -> TaskQueueConfig {
        TaskQueueConfig {
            queue_rate_limit: self.queue_rate.as_ref().map(RateSetting::config),
            fairness_keys_rate_limit_default: self.key_rate.as_ref().map(RateSetting::config),
            fairness_weight_overrides: self.weights.clone().into_iter().collect(),
        }
    }
}

impl RateSetting {
    fn config(&self) -> RateLimitConfig {
        RateLimitConfig {
            rate_limit: self.per_second.map(|requests_per_second| RateLimit { requests_per_second }),
            metadata: Some(ConfigMetadata {
                reason: self.reason.clone(),
                update_identity: self.identity.clone(),
                update_time: Some(self.at.proto()),
            }),
        }
    }
}

pub(super) fn configure(
    cluster: &Cluster,
    namespace_id: &str,
    request: &UpdateTaskQueueConfigRequest,
    stamp: &Stamp,
) -> Result<(Vec<Fact>, Reply), Reject> {
    check(request)?;
    let id = (namespace_id.to_owned(), request.task_queue.clone(), request.task_queue_type);
    let before = cluster.task_queues.get(&id);
    if before.is_none() && cluster.task_queues.len() >= TASK_QUEUES_SET_MAX {
        return Err(Reject::FailedPrecondition(format!(
            "there are {TASK_QUEUES_SET_MAX} task queues with settings of their own already"
        )));
    }
    let mut settings = before.map_or_else(TaskQueueSettings::default, |before| (**before).clone());
    (settings.namespace_id, settings.name, settings.kind) = id;
    let setting = |update: &RateLimitUpdate| RateSetting {
        per_second: update.rate_limit.as_ref().map(|limit| limit.requests_per_second),
        reason: update.reason.clone(),
        identity: request.identity.clone(),
        at: stamp.now,
    };
    if let Some(update) = &request.update_queue_rate_limit {
        settings.queue_rate = Some(setting(update));
    }
    if let Some(update) = &request.update_fairness_key_rate_limit_default {
        settings.key_rate = Some(setting(update));
    }
    settings.weights.retain(|key, _| !request.unset_fairness_weight_overrides.contains(key));
    settings.weights.extend(request.set_fairness_weight_overrides.iter().map(|(k, w)| (k.clone(), *w)));
    if settings.weights.len() > WEIGHTS_MAX {
        return Err(invalid("fairness weight overrides update rejected: exceeding maximum key size".into()));
    }
    let reply = Reply::TaskQueue(Box::new(settings.clone()));
    Ok((vec![Fact::TaskQueue(settings)], reply))
}

/// What can be said without looking at the queue, in the real server's order.
fn check(request: &UpdateTaskQueueConfigRequest) -> Result<(), Reject> {
    let rates = [
        ("UpdateQueueRateLimit", "rate limit", &request.update_queue_rate_limit),
        (
            "UpdateFairnessKeyRateLimitDefault",
            "fairness key rate limit",
            &request.update_fairness_key_rate_limit_default,
        ),
    ];
    if request.task_queue_type == TaskQueueType::Workflow as i32
        && let Some((_, what, _)) = rates.iter().find(|(_, _, update)| update.is_some())
    {
        return Err(invalid(format!("Setting {what} on workflow task queues is not allowed.")));
    }
    for (field, _, update) in rates {
        let Some(update) = update else { continue };
        if update.rate_limit.as_ref().is_some_and(|limit| limit.requests_per_second < 0.0) {
            return Err(invalid(format!("RequestsPerSecond for {field} rate limit must be non-negative.")));
        }
        check_text(&format!("{field}.Reason"), &update.reason)?;
    }
    check_text("Identity", &request.identity)?;
    check_weights(request)?;
    if request.task_queue.starts_with(PARTITION_PREFIX) {
        let name = &request.task_queue;
        return Err(invalid(format!("task queue family name cannot have prefix {PARTITION_PREFIX} {name}")));
    }
    Ok(())
}

fn check_text(field: &str, text: &str) -> Result<(), Reject> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(invalid(format!("{field} field too long (max {TEXT_BYTES_MAX} characters).")));
    }
    Ok(())
}

fn check_weights(request: &UpdateTaskQueueConfigRequest) -> Result<(), Reject> {
    let (set, unset) = (&request.set_fairness_weight_overrides, &request.unset_fairness_weight_overrides);
    let count = set.len() + unset.len();
    if count > WEIGHTS_MAX {
        return Err(invalid(format!(
            "too many fairness weight overrides in request: got {count}, maximum {WEIGHTS_MAX}"
        )));
    }
    let mut weights: Vec<_> = set.iter().collect();
    weights.sort_unstable_by_key(|(key, _)| *key);
    for (key, weight) in weights {
        check_key(key)?;
        if *weight <= 0.0 {
            return Err(invalid(format!(
                "invalid fairness weight weight for key {key:?}: must be greater than zero"
            )));
        }
    }
    for key in unset {
        check_key(key)?;
    }
    match unset.iter().find(|key| set.contains_key(*key)) {
        Some(twice) => Err(invalid(format!(
            "fairness weight override key {twice:?} present in both set and unset lists"
        ))),
        None => Ok(()),
    }
}

fn check_key(key: &str) -> Result<(), Reject> {
    match key.len() {
        0 => Err(invalid("fairness weight override key must not be empty".into())),
        1..=FAIRNESS_KEY_BYTES_MAX => Ok(()),
        _ => Err(invalid("fairness key length exceeds limit".into())),
    }
}

fn invalid(message: String) -> Reject {
    Reject::InvalidArgument(message)
}

impl Cluster {
    /// What was set for a queue.
    pub fn task_queue(
        &self,
        namespace_id: &str,
        name: &str,
        kind: TaskQueueType,
    ) -> Option<&Arc<TaskQueueSettings>> {
        self.task_queues.get(&(namespace_id.to_owned(), name.to_owned(), kind as i32))
    }
}
