//! The port of the public API.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

use super::edge::Edge;
use crate::metrics::Health;
use crate::node::risen;
use crate::peer::{CLUSTER_ID, FORWARDED, FROM, TARGET};

/// How often health is asked for the health service's watchers.
const HEALTH_EVERY: Duration = Duration::from_millis(100);
/// The services whose health clients ask for, besides that of the server as a whole.
const HEALTH_SERVICES: [&str; 3] = [
    "",
    "temporal.api.workflowservice.v1.WorkflowService",
    "temporal.api.operatorservice.v1.OperatorService",
];

/// Serves the public API and its health until `stop` becomes true, and ends what is in flight some time
/// after `stopping` does.
pub(super) async fn serve(
    listener: TcpListener,
    api: Routes,
    health: Health,
    stopping: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    let (reporter, service) = tonic_health::server::health_reporter();
    // Official clients compress whatever they send.
    let service =
        service.accept_compressed(CompressionEncoding::Gzip).send_compressed(CompressionEncoding::Gzip);
    let routes = api.add_service(service);
    let reporting = tokio::spawn(async move {
        loop {
            let status = if health.ready().0 { ServingStatus::Serving } else { ServingStatus::NotServing };
            for name in HEALTH_SERVICES {
                reporter.set_service_status(name, status).await;
            }
            tokio::time::sleep(HEALTH_EVERY).await;
        }
    });
    let served = tonic::transport::Server::builder()
        .layer(Unmark)
        .layer(Edge { stopping })
        .add_routes(routes)
        // The builder's own `tcp_nodelay` is ignored for a listener that is handed over.
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
            risen(&mut stop).await;
        })
        .await;
    reporting.abort();
    served
}

/// Removes what only nodes may say: a client that marks its call as forwarded would not be routed.
#[derive(Clone, Copy, Debug)]
struct Unmark;

#[derive(Clone, Debug)]
struct Unmarked<S>(S);

impl<S> tower::Layer<S> for Unmark {
    type Service = Unmarked<S>;

    fn layer(&self, inner: S) -> Unmarked<S> {
        Unmarked(inner)
    }
}

impl<S, B> tower::Service<http::Request<B>> for Unmarked<S>
where
    S: tower::Service<http::Request<B>, Error = Infallible>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> S::Future {
        for mark in [CLUSTER_ID, TARGET, FROM, FORWARDED] {
            request.headers_mut().remove(mark);
        }
        self.0.call(request)
    }
}
