//! The public API: gRPC in, one question to the right place, gRPC out.
//!
//! Every call takes the same way. [`service`] reads the message, admits it (namespace, token, rate) and
//! hands it to its handler; the handler validates in the order and with the words of the real server,
//! and asks the [`backend::Backend`], here or, through [`crate::route`], where the key lives. There is
//! no trait with a method for each call in between: a call stays bytes until its handler decodes it, so
//! it can be forwarded as it came, and an answer with history is put together from stored bytes.
//!
//! What is deliberately absent: the log, actors, queues. The frontend doesn't know what a log is.

pub mod backend;
pub mod call;
pub mod dynamic_config;
pub mod http;
pub mod metrics;
pub mod rate;
pub mod service;
pub mod status;
pub mod version;
mod versioning;
pub mod wire;

mod activity;
mod activity_execution;
mod activity_operations;
mod batch;
mod callbacks;
mod deployment;
mod describe;
mod events;
mod gzip;
mod history;
mod namespace;
mod nexus_endpoint;
mod nexus_operation;
mod nexus_task;
mod off;
mod older_versioning;
mod operator;
mod pause;
mod poll;
mod query;
mod reset;
mod schedule;
mod search_attributes;
mod standalone;
mod start;
mod system;
mod task_queue;
mod ui;
mod update;
mod update_with_start;
mod url;
mod validate;
mod visibility;
mod worker;
mod workflow;
mod workflow_task;

#[cfg(test)]
mod stories;
#[cfg(test)]
mod testing;

use std::{path::Path, sync::Arc, time::Duration};

use self::http::Http;
use backend::{Backend, Namespace};
use dynamic_config::{ApiLimits, DynamicConfig};
use everlog_proto::PUBLIC_DESCRIPTORS;
use rate::RateLimits;
use service::{OPERATOR_SERVICE, OperatorApi, WORKFLOW_SERVICE, WorkflowApi};
use tonic::{Status, codec::CompressionEncoding, server::NamedService, service::Routes};
use tonic_health::{pb::health_server::HealthServer, server::HealthService};
use tonic_reflection::server::Error as ReflectionError;
use ui::Ui;

/// Counts and times the calls. The figures are `service_requests`, `service_latency` and
/// `service_error_with_type`, by operation.
pub trait Observer: Send + Sync + 'static {
    fn began(&self, operation: &'static str);
    /// `error` is the name of the gRPC code, if the call failed.
    fn ended(&self, operation: &'static str, took: Duration, error: Option<&'static str>);
}

/// An observer that sees nothing.
pub struct NoObserver;

impl Observer for NoObserver {
    fn began(&self, _operation: &'static str) {}
    fn ended(&self, _operation: &'static str, _took: Duration, _error: Option<&'static str>) {}
}

/// What all calls share.
pub struct Shared {
    pub backend: Arc<dyn Backend>,
    pub dynamic: Arc<DynamicConfig>,
    pub observer: Arc<dyn Observer>,
    pub rates: RateLimits,
}

impl Shared {
    pub fn api(&self, namespace: &str) -> &ApiLimits {
        self.dynamic.api(namespace)
    }

    /// A namespace by its name. One that this node has not heard of may be new, so the cluster is asked.
    pub async fn namespace(&self, name: &str) -> Result<Arc<Namespace>, Status> {
        if let Some(namespace) = self.backend.namespace(name) {
            return Ok(namespace);
        }
        self.backend
            .refresh_cluster()
            .await
            .map_err(|error| crate::route::Failure::from(error).into_status())?;
        self.backend.namespace(name).ok_or_else(|| status::namespace_not_found(name))
    }

    pub async fn namespace_by_id(&self, id: &str) -> Result<Arc<Namespace>, Status> {
        if let Some(namespace) = self.backend.namespace_by_id(id) {
            return Ok(namespace);
        }
        self.backend
            .refresh_cluster()
            .await
            .map_err(|error| crate::route::Failure::from(error).into_status())?;
        self.backend.namespace_by_id(id).ok_or_else(|| status::namespace_not_found(id))
    }
}

/// The public API of one node. A cheap handle.
#[derive(Clone)]
pub struct Frontend {
    shared: Arc<Shared>,
}

impl Frontend {
    pub fn new(
        backend: Arc<dyn Backend>,
        dynamic: Arc<DynamicConfig>,
        observer: Arc<dyn Observer>,
    ) -> Frontend {
        Frontend { shared: Arc::new(Shared { backend, dynamic, observer, rates: RateLimits::default() }) }
    }

    /// The services of the public port: the API and reflection. Health is the node's own.
    pub fn routes(&self) -> Result<Routes, ReflectionError> {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(PUBLIC_DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .with_service_name(WORKFLOW_SERVICE)
                .with_service_name(OPERATOR_SERVICE)
                .with_service_name(<HealthServer<HealthService> as NamedService>::NAME)
        };
        // Official clients compress whatever they send.
        macro_rules! compressed {
            ($service:expr) => {
                $service
                    .accept_compressed(CompressionEncoding::Gzip)
                    .send_compressed(CompressionEncoding::Gzip)
            };
        }
        let mut routes = Routes::builder();
        routes
            .add_service(WorkflowApi::public(self.shared.clone()))
            .add_service(OperatorApi::public(self.shared.clone()))
            .add_service(compressed!(reflection().build_v1()?))
            .add_service(compressed!(reflection().build_v1alpha()?));
        Ok(routes.routes())
    }

    /// The API over HTTP with JSON.
    pub fn http(&self) -> axum::Router {
        let http = Http::new(self.shared.clone());
        axum::Router::new().fallback(move |request| http.clone().serve(request))
    }

    /// The Web UI: its files from a folder, and the API as it expects it.
    pub fn ui(&self, assets: &Path) -> axum::Router {
        let ui = Ui::new(Http::new(self.shared.clone()), assets);
        axum::Router::new().fallback(move |request| ui.clone().serve(request))
    }

    /// The services for calls that other nodes forward. They must not be reachable by clients.
    pub fn forwarded_routes(&self) -> Routes {
        let mut routes = Routes::builder();
        routes
            .add_service(WorkflowApi::forwarded(self.shared.clone()))
            .add_service(OperatorApi::forwarded(self.shared.clone()));
        routes.routes()
    }
}
