//! Limits and switches under the names that users of the real server know.
//!
//! A key may have one value for everyone and others for single namespaces. Keys are compared without
//! regard to case, as the real server does. A key that is not known here is a warning and no error:
//! people bring the file that they have. A value that cannot be read is an error: a limit that is
//! silently not in force is worse than a node that doesn't start.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use everlog_engine::{deployment::request::DrainageTimes, limits::Limits};
use serde_json::Value;

use super::{backend::Namespace, rate::Rate};

/// All that can be set, as it is in force for one namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    pub limits: Limits,
    pub api: ApiLimits,
}

/// Limits of the public API itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiLimits {
    /// `frontend.namespaceRPS`, for each node. Zero, the default, admits everything: what the real
    /// server admits by default is a fraction of what a node of ours does.
    pub calls_per_second_max: f64,
    /// `frontend.namespaceBurstRatio`
    pub burst_seconds: f64,
    /// `frontend.namespaceRPS.visibility`, zero likewise.
    pub visibility_calls_per_second_max: f64,
    /// `frontend.namespaceCount`: calls of one method that may wait at once.
    pub waiting_calls_max: usize,
    /// `frontend.visibilityMaxPageSize`
    pub visibility_page_rows_max: usize,
    /// `frontend.historyMaxPageSize`
    pub history_page_rows_max: usize,
    /// `frontend.maxLinksPerRequest`
    pub links_max: usize,
    /// `frontend.linkMaxSize`
    pub link_bytes_max: usize,
    /// `limit.workerBuildIdSize`
    pub build_id_bytes_max: usize,
    /// `matching.longPollExpirationInterval`
    pub poll_timeout: Duration,
    /// `history.longPollExpirationInterval`
    pub history_poll_timeout: Duration,
    /// `system.enableTokenNamespaceEnforcement`
    pub token_namespace_enforced: bool,
    /// `frontend.disableListVisibilityByFilter`
    pub list_by_filter_disabled: bool,
    /// `frontend.MaxConcurrentBatchOperationPerNamespace`
    pub batches_max: usize,
    /// `system.namespaceMinRetentionLocal`: the shortest retention that a namespace may have.
    pub retention_min: Duration,
    /// `matching.wv.VersionDrainageStatusVisibilityGracePeriod`: how long after it got its last new workflow a
    /// version is looked at for the first time. The same for all namespaces.
    pub drainage_grace: Duration,
    /// `matching.wv.VersionDrainageStatusRefreshInterval`: how often after that.
    pub drainage_refresh: Duration,
    /// `nexusoperation.enableStandalone`
    pub standalone_nexus_operations: bool,
    /// `frontend.WorkflowPauseEnabled`
    pub workflow_pause: bool,
}

impl Default for ApiLimits {
    fn default() -> ApiLimits {
        ApiLimits {
            calls_per_second_max: 0.0,
            burst_seconds: 2.0,
            visibility_calls_per_second_max: 0.0,
            waiting_calls_max: 10_000,
            visibility_page_rows_max: 1000,
            history_page_rows_max: 256,
            links_max: 10,
            link_bytes_max: 4000,
            build_id_bytes_max: 255,
            poll_timeout: Duration::from_secs(60),
            history_poll_timeout: Duration::from_secs(20),
            token_namespace_enforced: true,
            list_by_filter_disabled: false,
            batches_max: 1,
            retention_min: Duration::from_secs(60 * 60),
            drainage_grace: Duration::from_secs(3 * 60),
            drainage_refresh: Duration::from_secs(3 * 60),
            standalone_nexus_operations: false,
            workflow_pause: false,
        }
    }
}

impl ApiLimits {
    pub fn rate(&self) -> Rate {
        Rate { calls_per_second: self.calls_per_second_max, burst_seconds: self.burst_seconds }
    }

    pub fn visibility_rate(&self) -> Rate {
        Rate { calls_per_second: self.visibility_calls_per_second_max, burst_seconds: 1.0 }
    }
}

#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Error {
    #[error("`{key}` is not a setting of this server")]
    UnknownKey { key: String },
    #[error("`{key}` cannot be {value}: {expected} is expected")]
    Value { key: String, value: String, expected: &'static str },
}

/// What was configured. It does not change while the node runs.
#[derive(Debug)]
pub struct DynamicConfig {
    everyone: Arc<Settings>,
    namespaces: HashMap<String, Arc<Settings>>,
    /// Limits with the retention of the namespace, by its name.
    limits: Mutex<HashMap<String, Arc<Limits>>>,
}

impl Default for DynamicConfig {
    fn default() -> DynamicConfig {
        DynamicConfig::build(Vec::new())
    }
}

impl DynamicConfig {
    /// Reads pairs as they are written in a file or on a command line. Unknown keys are returned for a
    /// warning. A value is a number, a word, a duration, or, as in the real server's files, a list of
    /// `{"value": .., "constraints": {"namespace": ".."}}`.
    pub fn read<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(DynamicConfig, Vec<String>), Error> {
        let mut values = Vec::new();
        let mut unknown = Vec::new();
        for (key, value) in pairs {
            let (key, text) = (key.as_ref(), value.as_ref());
            let Some(setting) = find(key) else {
                unknown.push(Error::UnknownKey { key: key.to_owned() }.to_string());
                continue;
            };
            let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
            match value {
                Value::Array(list) => {
                    for constrained in list {
                        let namespace = constrained["constraints"]["namespace"].as_str().map(str::to_owned);
                        values.push((setting, namespace, constrained["value"].clone()));
                    }
                }
                value => values.push((setting, None, value)),
            }
        }
        for (setting, _, value) in &values {
            (setting.set)(&mut Settings::default(), value).map_err(|expected| Error::Value {
                key: setting.key.to_owned(),
                value: value.to_string(),
                expected,
            })?;
        }
        Ok((DynamicConfig::build(values), unknown))
    }

    /// The settings for a namespace, by its name.
    pub fn settings(&self, namespace: &str) -> &Arc<Settings> {
        self.namespaces.get(namespace).unwrap_or(&self.everyone)
    }

    pub fn drainage(&self) -> DrainageTimes {
        DrainageTimes { grace: self.everyone.api.drainage_grace, refresh: self.everyone.api.drainage_refresh }
    }

    pub fn api(&self, namespace: &str) -> &ApiLimits {
        &self.settings(namespace).api
    }

    /// The limits that the engine works with, the namespace's own retention among them.
    pub fn limits(&self, namespace: &Namespace) -> Arc<Limits> {
        let mut cached = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limits) = cached.get(&namespace.name)
            && limits.retention == namespace.retention
        {
            return limits.clone();
        }
        let retention = namespace.retention;
        let limits = Arc::new(Limits { retention, ..self.settings(&namespace.name).limits.clone() });
        cached.insert(namespace.name.clone(), limits.clone());
        limits
    }

    fn build(values: Vec<(&'static Setting, Option<String>, Value)>) -> DynamicConfig {
        let mut everyone = Settings::default();
        for (setting, _, value) in values.iter().filter(|(_, namespace, _)| namespace.is_none()) {
            // Checked when it was read.
            let _ = (setting.set)(&mut everyone, value);
        }
        let mut namespaces: HashMap<String, Settings> = HashMap::new();
        for (setting, namespace, value) in values {
            let Some(namespace) = namespace else { continue };
            let settings = namespaces.entry(namespace).or_insert_with(|| everyone.clone());
            let _ = (setting.set)(settings, &value);
        }
        DynamicConfig {
            everyone: Arc::new(everyone),
            namespaces: namespaces.into_iter().map(|(name, settings)| (name, Arc::new(settings))).collect(),
            limits: Mutex::default(),
        }
    }
}

struct Setting {
    key: &'static str,
    /// Sets the value, or says what was expected.
    set: fn(&mut Settings, &Value) -> Result<(), &'static str>,
}

fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key.eq_ignore_ascii_case(key))
}

/// One line for each key: the field and how its value is read.
macro_rules! settings {
    ($($key:literal => $part:ident.$field:ident: $read:ident,)*) => {
        const SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            set: |settings, value| {
                settings.$part.$field = $read(value)?;
                Ok(())
            },
        }),*];
    };
}

settings! {
    "limit.blobSize.error" => limits.blob_bytes_max: count,
    "limit.memoSize.error" => limits.memo_bytes_max: count,
    "limit.maxIDLength" => limits.id_bytes_max: count,
    "limit.historyCount.error" => limits.history_events_max: signed_count,
    "limit.historySize.error" => limits.history_bytes_max: signed_count,
    "limit.historyCount.suggestContinueAsNew" => limits.suggest_continue_as_new_events: signed_count,
    "limit.historySize.suggestContinueAsNew" => limits.suggest_continue_as_new_bytes: signed_count,
    "limit.numPendingActivities.error" => limits.pending_activities_max: count,
    "limit.numPendingChildExecutions.error" => limits.pending_children_max: count,
    "limit.numPendingSignals.error" => limits.pending_signals_max: count,
    "limit.numPendingCancelRequests.error" => limits.pending_cancels_max: count,
    "limit.userMetadataSummarySize" => limits.summary_bytes_max: count,
    "limit.userMetadataDetailsSize" => limits.details_bytes_max: count,
    "limit.mutableStateSize.error" => limits.state_bytes_max: count,
    "history.maximumSignalsPerExecution" => limits.signals_max: signed_count,
    "history.maximumBufferedEventsBatch" => limits.buffered_events_max: count,
    "history.maximumBufferedEventsSizeInBytes" => limits.buffered_bytes_max: count,
    "history.MaxBufferedQueryCount" => limits.buffered_queries_max: count,
    "history.workflowTaskHeartbeatTimeout" => limits.workflow_task_heartbeat_max: duration,
    "history.defaultWorkflowTaskTimeout" => limits.workflow_task_timeout: duration,
    "history.maxWorkflowTaskTimeout" => limits.workflow_task_timeout_max: duration,
    "history.workflowTaskRetryMaxInterval" => limits.workflow_task_retry_interval_max: duration,
    "history.continueAsNewMinInterval" => limits.continue_as_new_interval_min: duration,
    "history.workflowIdReuseMinimalInterval" => limits.workflow_id_reuse_interval_min: duration,
    "system.enableEagerWorkflowStart" => limits.eager_workflow_start: switch,
    "system.enableCrossNamespaceCommands" => limits.cross_namespace_commands: switch,
    "system.enableActivityEagerExecution" => limits.eager_activities: switch,
    "history.maxInFlightUpdates" => limits.updates_in_flight_max: count,
    "history.maxInFlightUpdatePayloads" => limits.updates_in_flight_bytes_max: count,
    "history.maxTotalUpdates" => limits.updates_total_max: count,
    "history.maxTotalUpdates.suggestContinueAsNewThreshold" =>
        limits.suggest_continue_as_new_updates_part: number,
    "component.nexusoperations.limit.operation.concurrency" => limits.pending_nexus_operations_max: count,
    "component.nexusoperations.limit.header.size" => limits.nexus_header_bytes_max: count,
    "callback.maxPerExecution" => limits.callbacks_max: count,
    "frontend.searchAttributesNumberOfKeysLimit" => limits.search_attribute_keys_max: count,
    "frontend.searchAttributesSizeOfValueLimit" => limits.search_attribute_value_bytes_max: count,
    "frontend.searchAttributesTotalSizeLimit" => limits.search_attributes_bytes_max: count,
    "frontend.namespaceRPS" => api.calls_per_second_max: number,
    "frontend.namespaceBurstRatio" => api.burst_seconds: number,
    "frontend.namespaceRPS.visibility" => api.visibility_calls_per_second_max: number,
    "frontend.namespaceCount" => api.waiting_calls_max: count,
    "frontend.visibilityMaxPageSize" => api.visibility_page_rows_max: count,
    "frontend.historyMaxPageSize" => api.history_page_rows_max: count,
    "frontend.maxLinksPerRequest" => api.links_max: count,
    "frontend.linkMaxSize" => api.link_bytes_max: count,
    "frontend.disableListVisibilityByFilter" => api.list_by_filter_disabled: switch,
    "limit.workerBuildIdSize" => api.build_id_bytes_max: count,
    "matching.longPollExpirationInterval" => api.poll_timeout: duration,
    "history.longPollExpirationInterval" => api.history_poll_timeout: duration,
    "system.enableTokenNamespaceEnforcement" => api.token_namespace_enforced: switch,
    "frontend.MaxConcurrentBatchOperationPerNamespace" => api.batches_max: count,
    "system.namespaceMinRetentionLocal" => api.retention_min: duration,
    "matching.maxDeployments" => limits.deployments_max: count,
    "matching.maxVersionsInDeployment" => limits.versions_in_deployment_max: count,
    "matching.maxTaskQueuesInDeploymentVersion" => limits.queues_in_version_max: count,
    "matching.wv.VersionDrainageStatusVisibilityGracePeriod" => api.drainage_grace: duration,
    "matching.wv.VersionDrainageStatusRefreshInterval" => api.drainage_refresh: duration,
    "nexusoperation.enableStandalone" => api.standalone_nexus_operations: switch,
    "frontend.WorkflowPauseEnabled" => api.workflow_pause: switch,
}

fn number(value: &Value) -> Result<f64, &'static str> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite() && *number >= 0.0).ok_or("a number that is not negative")
}

fn signed_count(value: &Value) -> Result<i64, &'static str> {
    let number = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| *number >= 0).ok_or("a whole number that is not negative")
}

fn count(value: &Value) -> Result<usize, &'static str> {
    usize::try_from(signed_count(value)?).map_err(|_| "a smaller number")
}

fn switch(value: &Value) -> Result<bool, &'static str> {
    match value {
        Value::Bool(switch) => Ok(*switch),
        Value::String(text) => text.trim().parse().map_err(|_| "true or false"),
        _ => Err("true or false"),
    }
}

/// A number of seconds, or numbers with units as in `1h30m` or `1.5s`.
fn duration(value: &Value) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "a duration such as 10s, 500ms or 1h30m";
    let text = match value {
        Value::Number(_) => return Duration::try_from_secs_f64(number(value)?).map_err(|_| EXPECTED),
        Value::String(text) => text.trim(),
        _ => return Err(EXPECTED),
    };
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (amount, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let amount: f64 = amount.parse().map_err(|_| EXPECTED)?;
        let seconds = match unit {
            "d" => 24.0 * 60.0 * 60.0,
            "h" => 60.0 * 60.0,
            "m" => 60.0,
            "s" | "" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(EXPECTED),
        };
        let part = Duration::try_from_secs_f64(amount * seconds).map_err(|_| EXPECTED)?;
        total = total.checked_add(part).ok_or(EXPECTED)?;
        rest = tail;
    }
    if text.is_empty() { Err(EXPECTED) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use everlog_proto::api::enums::v1::NamespaceState;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<(DynamicConfig, Vec<String>), Error> {
        DynamicConfig::read(pairs.iter().copied())
    }

    #[test]
    fn keys_are_those_that_users_know() {
        let (config, unknown) = read(&[
            ("limit.blobSize.error", "1024"),
            ("LIMIT.MAXIDLENGTH", "10"),
            ("history.workflowTaskHeartbeatTimeout", "1m30s"),
            ("matching.longPollExpirationInterval", "\"2s\""),
            ("system.enableEagerWorkflowStart", "false"),
            ("frontend.namespaceRPS", "12.5"),
            ("frontend.unheardOf", "1"),
        ])
        .unwrap();
        let settings = config.settings("any");
        assert_eq!(settings.limits.blob_bytes_max, 1024);
        assert_eq!(settings.limits.id_bytes_max, 10);
        assert_eq!(settings.limits.workflow_task_heartbeat_max, Duration::from_secs(90));
        assert_eq!(settings.api.poll_timeout, Duration::from_secs(2));
        assert!(!settings.limits.eager_workflow_start);
        assert_eq!(settings.api.rate().calls_per_second, 12.5);
        assert_eq!(unknown, ["`frontend.unheardOf` is not a setting of this server"]);
    }

    /// A row is "| `key` | unit | `default` | what it is |".
    #[test]
    fn the_readme_lists_every_key_with_its_default() {
        let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
        let (_, rest) = readme.split_once("| key | unit | default | |").expect("the README has the table");
        let rows = rest.trim_start().lines().skip(1).take_while(|line| line.starts_with('|'));
        let mut told = Vec::new();
        for row in rows {
            let (key, default) = match row.split('`').collect::<Vec<_>>()[..] {
                [_, key, _, default, ..] => (key, default),
                _ => panic!("{row}"),
            };
            let (config, unknown) = read(&[(key, default)]).expect(row);
            assert_eq!(unknown, [""; 0], "{row}");
            assert_eq!(*config.everyone, Settings::default(), "{key} has another default");
            told.push(key);
        }
        told.sort_unstable();
        let mut keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
        keys.sort_unstable();
        assert_eq!(told, keys);
    }

    #[test]
    fn a_namespace_may_have_its_own_value() {
        let list = r#"[{"value": 5}, {"value": 7, "constraints": {"namespace": "big"}}]"#;
        let (config, _) = read(&[("limit.maxIDLength", list), ("frontend.namespaceCount", "3")]).unwrap();
        assert_eq!(config.settings("other").limits.id_bytes_max, 5);
        assert_eq!(config.settings("big").limits.id_bytes_max, 7);
        assert_eq!(config.api("big").waiting_calls_max, 3);
    }

    #[test]
    fn a_value_that_cannot_be_read_is_an_error() {
        for (key, value) in [
            ("limit.blobSize.error", "-1"),
            ("limit.blobSize.error", "much"),
            ("limit.blobSize.error", "[{\"constraints\": {}}]"),
            ("matching.longPollExpirationInterval", "10 parsecs"),
            ("matching.longPollExpirationInterval", ""),
            ("system.enableEagerWorkflowStart", "perhaps"),
            ("frontend.namespaceRPS", "-3"),
        ] {
            let error = read(&[(key, value)]).unwrap_err();
            assert!(matches!(error, Error::Value { .. }), "{key}={value}: {error}");
        }
    }

    #[test]
    fn the_engine_gets_the_retention_of_the_namespace() {
        let config = DynamicConfig::default();
        let mut namespace = Namespace {
            id: "id".into(),
            name: "n".into(),
            state: NamespaceState::Registered,
            description: String::new(),
            owner_email: String::new(),
            data: Default::default(),
            retention: Duration::from_secs(7),
        };
        assert_eq!(config.limits(&namespace).retention, Duration::from_secs(7));
        namespace.retention = Duration::from_secs(8);
        assert_eq!(config.limits(&namespace).retention, Duration::from_secs(8));
    }
}
