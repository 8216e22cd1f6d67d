//! What the disk is doing: the figures of the store, read when somebody asks.

use std::sync::Arc;

use everlog_raft_store::Store;
use prometheus_client::metrics::gauge::Gauge;

use super::Metrics;

/// Reports the figures of a node's store from now on.
pub fn report(metrics: &Metrics, store: Arc<Store>) {
    let trouble = gauge(metrics, "store_trouble", "1 while the store can't go on, as on a full disk");
    let log_syncs = gauge(metrics, "raft_log_syncs", "Times the log was synced to disk");
    let log_bytes = gauge(metrics, "raft_log_bytes", "Bytes written to the log");
    let log_segments = gauge(metrics, "raft_log_segments", "Segments of the log on disk");
    let overlay_bytes =
        gauge(metrics, "store_overlay_bytes", "Bytes of rows that no checkpoint has moved yet");
    let checkpoints = gauge(metrics, "store_checkpoints", "Checkpoints made");
    let checkpoints_failed = gauge(metrics, "store_checkpoints_failed", "Checkpoints that failed");
    let checkpoint_bytes = gauge(metrics, "store_checkpoint_bytes", "Bytes of rows moved by checkpoints");
    metrics.on_scrape(move || {
        let now = store.metrics();
        trouble.set(i64::from(store.trouble().is_some()));
        log_syncs.set(now.log_syncs as i64);
        log_bytes.set(now.log_bytes as i64);
        log_segments.set(now.log_segments as i64);
        overlay_bytes.set(now.overlay_bytes as i64);
        checkpoints.set(now.checkpoints as i64);
        checkpoints_failed.set(now.checkpoints_failed as i64);
        checkpoint_bytes.set(now.checkpoint_bytes as i64);
    });
}

fn gauge(metrics: &Metrics, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    metrics.register(|registry| registry.register(name, help, gauge.clone()));
    gauge
}
