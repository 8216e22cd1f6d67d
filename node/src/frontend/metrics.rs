//! Figures of the public API, under the names that dashboards of the real server have.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Unit,
};

use super::Observer;
use crate::metrics::{Metrics, seconds_histogram};

/// Counts and times the calls of one node. Labels are methods and codes, never what users chose.
pub struct ApiMetrics {
    requests: Family<Operation, Counter>,
    latency: Family<Operation, Histogram, fn() -> Histogram>,
    errors: Family<OperationError, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationError {
    operation: &'static str,
    error_type: &'static str,
}

impl ApiMetrics {
    pub fn new(metrics: &Metrics) -> ApiMetrics {
        let figures = ApiMetrics {
            requests: Family::default(),
            latency: Family::new_with_constructor(seconds_histogram),
            errors: Family::default(),
        };
        metrics.register(|registry| {
            registry.register("service_requests", "Calls of the public API", figures.requests.clone());
            registry.register_with_unit(
                "service_latency",
                "How long calls of the public API took, long polls included",
                Unit::Seconds,
                figures.latency.clone(),
            );
            registry.register(
                "service_error_with_type",
                "Calls of the public API that were refused or failed, by gRPC code",
                figures.errors.clone(),
            );
        });
        figures
    }
}

impl Observer for ApiMetrics {
    fn began(&self, operation: &'static str) {
        self.requests.get_or_create(&Operation { operation }).inc();
    }

    fn ended(&self, operation: &'static str, took: Duration, error: Option<&'static str>) {
        self.latency.get_or_create(&Operation { operation }).observe(took.as_secs_f64());
        if let Some(error_type) = error {
            self.errors.get_or_create(&OperationError { operation, error_type }).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_and_timed() {
        let metrics = Metrics::new();
        let api = ApiMetrics::new(&metrics);
        api.began("StartWorkflowExecution");
        api.ended("StartWorkflowExecution", Duration::from_millis(3), Some("not_found"));
        let text = metrics.text();
        for line in [
            "service_requests_total{operation=\"StartWorkflowExecution\"} 1",
            "service_latency_seconds_count{operation=\"StartWorkflowExecution\"} 1",
            "service_error_with_type_total{operation=\"StartWorkflowExecution\",error_type=\"not_found\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
