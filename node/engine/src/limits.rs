//! Every bound has a name, its unit last. The values are the real server's defaults, and each carries the
//! dynamic-config key under which users know it. Which of them users may change is the node's to say, and
//! which are checked yet the README's.

use std::time::Duration;

/// The limits in force for one namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// `limit.blobSize.error`
    pub blob_bytes_max: usize,
    /// `limit.blobSize.warn`: what an oversized failure is cut to.
    pub blob_bytes_warn: usize,
    /// `limit.mutableStateActivityFailureSize.error`: what is kept of the failure of an attempt.
    pub activity_failure_bytes_max: usize,
    /// `limit.memoSize.error`
    pub memo_bytes_max: usize,
    /// `limit.maxIDLength`
    pub id_bytes_max: usize,
    /// `limit.historyCount.error`
    pub history_events_max: i64,
    /// `limit.historySize.error`
    pub history_bytes_max: i64,
    /// `limit.historyCount.suggestContinueAsNew`
    pub suggest_continue_as_new_events: i64,
    /// `limit.historySize.suggestContinueAsNew`
    pub suggest_continue_as_new_bytes: i64,
    /// `limit.numPendingActivities.error`
    pub pending_activities_max: usize,
    /// `limit.numPendingChildExecutions.error`
    pub pending_children_max: usize,
    /// `limit.numPendingSignals.error`
    pub pending_signals_max: usize,
    /// `limit.numPendingCancelRequests.error`
    pub pending_cancels_max: usize,
    /// Whether commands may name other namespaces than their workflow's own.
    pub cross_namespace_commands: bool,
    /// `history.maximumSignalsPerExecution`
    pub signals_max: i64,
    /// `history.maximumBufferedEventsBatch`
    pub buffered_events_max: usize,
    /// `history.maximumBufferedEventsSizeInBytes`
    pub buffered_bytes_max: usize,
    /// `history.MaxBufferedQueryCount`
    pub buffered_queries_max: usize,
    /// `history.workflowTaskHeartbeatTimeout`
    pub workflow_task_heartbeat_max: Duration,
    /// `history.defaultWorkflowTaskTimeout`
    pub workflow_task_timeout: Duration,
    /// `history.maxWorkflowTaskTimeout`
    pub workflow_task_timeout_max: Duration,
    /// `history.workflowTaskRetryMaxInterval`
    pub workflow_task_retry_interval_max: Duration,
    /// `history.workflowTaskCriticalAttempts` and beyond: the time-out grows with each further attempt.
    pub workflow_task_attempts_before_backoff: i32,
    /// `history.defaultActivityRetryPolicy` and `history.defaultWorkflowRetryPolicy`, initial interval.
    pub retry_initial_interval: Duration,
    /// The same, backoff coefficient.
    pub retry_backoff_coefficient: f64,
    /// The same, maximum interval as a multiple of the initial one.
    pub retry_maximum_interval_coefficient: f64,
    /// `limit.userMetadataSummarySize`
    pub summary_bytes_max: usize,
    /// `limit.userMetadataDetailsSize`
    pub details_bytes_max: usize,
    /// `limit.mutableStateSize.error`
    pub state_bytes_max: usize,
    /// `history.continueAsNewMinInterval`
    pub continue_as_new_interval_min: Duration,
    /// `history.workflowIdReuseMinimalInterval`; off, as in the real development server.
    pub workflow_id_reuse_interval_min: Duration,
    /// `frontend.searchAttributesNumberOfKeysLimit`
    pub search_attribute_keys_max: usize,
    /// `frontend.searchAttributesSizeOfValueLimit`
    pub search_attribute_value_bytes_max: usize,
    /// `frontend.searchAttributesTotalSizeLimit`
    pub search_attributes_bytes_max: usize,
    /// How long a closed run is kept; the namespace's own setting.
    pub retention: Duration,
    /// `system.enableEagerWorkflowStart`
    pub eager_workflow_start: bool,
    /// `system.enableActivityEagerExecution`
    pub eager_activities: bool,
    /// `history.maxInFlightUpdates`: updates of a run that are not completed yet. Zero is no limit.
    pub updates_in_flight_max: usize,
    /// `history.maxInFlightUpdatePayloads`: what the requests of updates that wait weigh together. Zero is no
    /// limit.
    pub updates_in_flight_bytes_max: usize,
    /// `history.maxTotalUpdates`: updates that a run may have in its life. Zero is no limit.
    pub updates_total_max: usize,
    /// `history.maxTotalUpdates.suggestContinueAsNewThreshold`: which part of them may be used up before
    /// workers are advised to continue as new.
    pub suggest_continue_as_new_updates_part: f64,
    /// `component.nexusoperations.limit.operation.concurrency`
    pub pending_nexus_operations_max: usize,
    /// `component.nexusoperations.limit.header.size`
    pub nexus_header_bytes_max: usize,
    /// `callback.maxPerExecution`
    pub callbacks_max: usize,
    /// `matching.maxDeployments`, of one namespace
    pub deployments_max: usize,
    /// `matching.maxVersionsInDeployment`
    pub versions_in_deployment_max: usize,
    /// `matching.maxTaskQueuesInDeploymentVersion`
    pub queues_in_version_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        const KIB: usize = 1 << 10;
        const MIB: usize = 1 << 20;
        Limits {
            blob_bytes_max: 2 * MIB,
            blob_bytes_warn: 512 * KIB,
            activity_failure_bytes_max: 4 * KIB,
            memo_bytes_max: 2 * MIB,
            id_bytes_max: 1000,
            history_events_max: 50 * 1024,
            history_bytes_max: 50 * MIB as i64,
            suggest_continue_as_new_events: 4 * 1024,
            suggest_continue_as_new_bytes: 4 * MIB as i64,
            pending_activities_max: 2000,
            pending_children_max: 2000,
            pending_signals_max: 2000,
            pending_cancels_max: 2000,
            cross_namespace_commands: false,
            signals_max: 10_000,
            buffered_events_max: 100,
            buffered_bytes_max: 2 * MIB,
            buffered_queries_max: 1,
            workflow_task_heartbeat_max: Duration::from_secs(30 * 60),
            workflow_task_timeout: Duration::from_secs(10),
            workflow_task_timeout_max: Duration::from_secs(120),
            workflow_task_retry_interval_max: Duration::from_secs(10 * 60),
            workflow_task_attempts_before_backoff: 3,
            retry_initial_interval: Duration::from_secs(1),
            retry_backoff_coefficient: 2.0,
            retry_maximum_interval_coefficient: 100.0,
            summary_bytes_max: 400,
            details_bytes_max: 20_000,
            state_bytes_max: 8 * MIB,
            continue_as_new_interval_min: Duration::from_secs(1),
            workflow_id_reuse_interval_min: Duration::ZERO,
            search_attribute_keys_max: 100,
            search_attribute_value_bytes_max: 2 * KIB,
            search_attributes_bytes_max: 40 * KIB,
            retention: Duration::from_secs(24 * 60 * 60),
            eager_workflow_start: true,
            eager_activities: true,
            updates_in_flight_max: 10,
            updates_in_flight_bytes_max: 20 * MIB,
            updates_total_max: 2000,
            suggest_continue_as_new_updates_part: 0.9,
            pending_nexus_operations_max: 30,
            nexus_header_bytes_max: 8 * KIB,
            callbacks_max: 2000,
            deployments_max: 100,
            versions_in_deployment_max: 100,
            queues_in_version_max: 100,
        }
    }
}
