//! `/metrics`, `/livez` and `/readyz` on their own port.
//!
//! Alive means that the process answers; it does not ask for a quorum, or a minority that was cut off
//! would be killed for no fault of its own. Ready means that the named checks pass: every shard has a
//! leader and has applied nearly all that is committed, and the node is not about to stop.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

use super::Metrics;
use crate::node::risen;

/// The named checks that decide whether the node should get requests.
#[derive(Clone, Default)]
pub struct Health {
    checks: Arc<Mutex<Vec<(&'static str, Check)>>>,
}

type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

impl Health {
    /// Adds a check. It must not block.
    pub fn check(&self, name: &'static str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).push((name, Box::new(check)));
    }

    /// Whether all checks pass, and a line for each.
    pub fn ready(&self) -> (bool, String) {
        let mut all = true;
        let mut lines = String::new();
        for (name, check) in self.checks.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            match check() {
                Ok(()) => lines.push_str(&format!("[+]{name} ok\n")),
                Err(why) => {
                    all = false;
                    lines.push_str(&format!("[-]{name} failed: {why}\n"));
                }
            }
        }
        (all, lines)
    }
}

/// Serves until `stop` becomes true. Returns the address it listens on.
pub async fn serve(
    listen: SocketAddr,
    metrics: Metrics,
    health: Health,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/metrics", get(read_metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(read_ready))
        .with_state((metrics, health));
    tokio::spawn(async move {
        let stopped = async move {
            risen(&mut stop).await;
        };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
            tracing::error!(%error, "the metrics port stopped");
        }
    });
    Ok(address)
}

async fn read_metrics(State((metrics, _)): State<(Metrics, Health)>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.text())
}

async fn read_ready(
    State((_, health)): State<(Metrics, Health)>,
    RawQuery(query): RawQuery,
) -> impl IntoResponse {
    let verbose =
        query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose")));
    match health.ready() {
        (true, lines) if verbose => (StatusCode::OK, lines + "ready\n"),
        (true, _) => (StatusCode::OK, "ready\n".to_owned()),
        // Who is told no wants to know why, asked or not.
        (false, lines) => (StatusCode::SERVICE_UNAVAILABLE, lines + "not ready\n"),
    }
}
