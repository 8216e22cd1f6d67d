//! Settings that can be changed while the cluster runs, under the keys that users of the real server know.

use std::{fmt::Display, str::FromStr, time::Duration};

use super::{
    Cluster, Fact, Reply, SETTINGS_MAX,
    namespace::{Namespace, put},
};
use crate::{go_duration, limits::Limits, reject::Reject};

/// Longer values are no limits of anything.
const VALUE_BYTES_MAX: usize = 256;

pub(super) fn set(
    cluster: &Cluster,
    namespace: Option<&str>,
    key: &str,
    value: Option<&str>,
) -> Result<(Vec<Fact>, Reply), Reject> {
    apply(&mut Limits::default(), key, value).map_err(Reject::InvalidArgument)?;
    let Some(name) = namespace else {
        if cluster.settings.get(key).map(String::as_str) == value {
            return Ok((Vec::new(), Reply::Done));
        }
        check_room(cluster.settings.len(), value)?;
        return Ok((
            vec![Fact::Setting { key: key.to_owned(), value: value.map(str::to_owned) }],
            Reply::Done,
        ));
    };
    let before = cluster.namespace(name)?;
    let mut namespace = (**before).clone();
    check_room(namespace.settings.len(), value)?;
    match value {
        Some(value) => namespace.settings.insert(key.to_owned(), value.to_owned()),
        None => namespace.settings.remove(key),
    };
    Ok(if namespace == **before { (Vec::new(), Reply::Done) } else { put(namespace) })
}

pub(super) fn limits(cluster: &Cluster, namespace: Option<&Namespace>) -> Limits {
    let mut limits = Limits::default();
    let own = namespace.into_iter().flat_map(|namespace| &namespace.settings);
    for (key, value) in cluster.settings.iter().chain(own) {
        // A key that an older release accepted and this one does not know has no effect.
        let _ = apply(&mut limits, key, Some(value));
    }
    if let Some(namespace) = namespace {
        limits.retention = namespace.retention;
    }
    limits
}

fn check_room(settings: usize, value: Option<&str>) -> Result<(), Reject> {
    if value.is_some() && settings >= SETTINGS_MAX {
        return Err(Reject::FailedPrecondition(format!("there are {SETTINGS_MAX} settings already")));
    }
    Ok(())
}

/// Sets the limit that `key` names, or only checks the key if there is no value.
fn apply(limits: &mut Limits, key: &str, value: Option<&str>) -> Result<(), String> {
    let setting = Setting { key, value };
    match key {
        "limit.blobSize.error" => setting.number(&mut limits.blob_bytes_max, 1),
        "limit.blobSize.warn" => setting.number(&mut limits.blob_bytes_warn, 1),
        "limit.mutableStateActivityFailureSize.error" => {
            setting.number(&mut limits.activity_failure_bytes_max, 1)
        }
        "limit.memoSize.error" => setting.number(&mut limits.memo_bytes_max, 1),
        "limit.maxIDLength" => setting.number(&mut limits.id_bytes_max, 1),
        "limit.historyCount.error" => setting.number(&mut limits.history_events_max, 1),
        "limit.historySize.error" => setting.number(&mut limits.history_bytes_max, 1),
        "limit.historyCount.suggestContinueAsNew" => {
            setting.number(&mut limits.suggest_continue_as_new_events, 1)
        }
        "limit.historySize.suggestContinueAsNew" => {
            setting.number(&mut limits.suggest_continue_as_new_bytes, 1)
        }
        "limit.numPendingActivities.error" => setting.number(&mut limits.pending_activities_max, 0),
        "limit.numPendingChildExecutions.error" => setting.number(&mut limits.pending_children_max, 0),
        "limit.numPendingSignals.error" => setting.number(&mut limits.pending_signals_max, 0),
        "limit.numPendingCancelRequests.error" => setting.number(&mut limits.pending_cancels_max, 0),
        "history.maximumSignalsPerExecution" => setting.number(&mut limits.signals_max, 0),
        "history.maximumBufferedEventsBatch" => setting.number(&mut limits.buffered_events_max, 1),
        "history.maximumBufferedEventsSizeInBytes" => setting.number(&mut limits.buffered_bytes_max, 1),
        "history.MaxBufferedQueryCount" => setting.number(&mut limits.buffered_queries_max, 0),
        "history.workflowTaskHeartbeatTimeout" => setting.duration(&mut limits.workflow_task_heartbeat_max),
        "history.defaultWorkflowTaskTimeout" => setting.duration(&mut limits.workflow_task_timeout),
        "history.maxWorkflowTaskTimeout" => setting.duration(&mut limits.workflow_task_timeout_max),
        "history.workflowTaskRetryMaxInterval" => {
            setting.duration(&mut limits.workflow_task_retry_interval_max)
        }
        "history.workflowTaskCriticalAttempts" => {
            setting.number(&mut limits.workflow_task_attempts_before_backoff, 1)
        }
        "limit.userMetadataSummarySize" => setting.number(&mut limits.summary_bytes_max, 0),
        "limit.userMetadataDetailsSize" => setting.number(&mut limits.details_bytes_max, 0),
        "limit.mutableStateSize.error" => setting.number(&mut limits.state_bytes_max, 1),
        "history.continueAsNewMinInterval" => setting.duration(&mut limits.continue_as_new_interval_min),
        "history.workflowIdReuseMinimalInterval" => {
            setting.duration(&mut limits.workflow_id_reuse_interval_min)
        }
        "frontend.searchAttributesNumberOfKeysLimit" => {
            setting.number(&mut limits.search_attribute_keys_max, 0)
        }
        "frontend.searchAttributesSizeOfValueLimit" => {
            setting.number(&mut limits.search_attribute_value_bytes_max, 0)
        }
        "frontend.searchAttributesTotalSizeLimit" => {
            setting.number(&mut limits.search_attributes_bytes_max, 0)
        }
        "system.enableEagerWorkflowStart" => setting.bool(&mut limits.eager_workflow_start),
        "component.nexusoperations.limit.operation.concurrency" => {
            setting.number(&mut limits.pending_nexus_operations_max, 0)
        }
        "component.nexusoperations.limit.header.size" => {
            setting.number(&mut limits.nexus_header_bytes_max, 0)
        }
        "callback.maxPerExecution" => setting.number(&mut limits.callbacks_max, 0),
        "system.enableActivityEagerExecution" => setting.bool(&mut limits.eager_activities),
        _ => Err(format!("there is no setting {key:?}")),
    }
}

struct Setting<'a> {
    key: &'a str,
    value: Option<&'a str>,
}

impl Setting<'_> {
    fn number<N: FromStr + PartialOrd + Display>(&self, limit: &mut N, least: N) -> Result<(), String> {
        self.parse(limit, &format!("a number of at least {least}"), |text| {
            text.parse().ok().filter(|number| *number >= least)
        })
    }

    fn duration(&self, limit: &mut Duration) -> Result<(), String> {
        self.parse(limit, "a duration such as 10s", |text| {
            go_duration::parse(text).and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos)
        })
    }

    fn bool(&self, limit: &mut bool) -> Result<(), String> {
        self.parse(limit, "true or false", |text| text.parse().ok())
    }

    fn parse<T>(&self, limit: &mut T, wanted: &str, parse: impl Fn(&str) -> Option<T>) -> Result<(), String> {
        let Some(text) = self.value else { return Ok(()) };
        match parse(text).filter(|_| text.len() <= VALUE_BYTES_MAX) {
            Some(value) => {
                *limit = value;
                Ok(())
            }
            None => Err(format!("{} must be {wanted}", self.key)),
        }
    }
}
