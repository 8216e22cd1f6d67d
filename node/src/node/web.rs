//! The ports that speak plain HTTP: the API's JSON, and the Web UI.
//!
//! Each request gets an answer, also when the node stops, and also when it has a bug, as at the edge of the
//! gRPC port.
//!
//! A port that only this machine can reach answers only to names of this machine: a page of another site could
//! otherwise have its own name lead here, and its visitors' browsers would take the answers for that site's own.

use std::{net::IpAddr, panic::AssertUnwindSafe, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures::FutureExt as _;
use http::{StatusCode, header};
use tokio::{net::TcpListener, sync::watch};

use super::risen;

/// A call that still waits then ends, so that it is repeated elsewhere.
const CALLS_END_AFTER: Duration = Duration::from_secs(1);

/// What each request is met with.
#[derive(Clone, Debug)]
struct Edge {
    stopping: watch::Receiver<bool>,
    /// Only names of this machine are answered to.
    is_local: bool,
}

/// Serves until `stop` becomes true, and ends what is in flight some time after `stopping` does.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    any_host: bool,
    stopping: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let is_local = !any_host && listener.local_addr()?.ip().is_loopback();
    let routes = routes.layer(middleware::from_fn_with_state(Edge { stopping, is_local }, answered));
    let stopped = async move {
        risen(&mut stop).await;
    };
    axum::serve(listener, routes).with_graceful_shutdown(stopped).await
}

async fn answered(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    if edge.is_local && host.is_some_and(|host| !is_of_this_machine(host)) {
        return refused(StatusCode::FORBIDDEN, 7, "Host not allowed");
    }
    let mut stopping = edge.stopping;
    let over = async {
        risen(&mut stopping).await;
        tokio::time::sleep(CALLS_END_AFTER).await;
    };
    tokio::select! {
        answer = AssertUnwindSafe(next.run(request)).catch_unwind() => answer.unwrap_or_else(|_| {
            refused(StatusCode::INTERNAL_SERVER_ERROR, 13, "this is a bug of the server")
        }),
        () = over => refused(StatusCode::SERVICE_UNAVAILABLE, 14, "this node is stopping, try another one"),
    }
}

/// Whether a name, with or without a port, can only mean this machine: an address is nobody's name.
fn is_of_this_machine(host: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && !name.ends_with(':') => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let name = name.to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

/// What went wrong, as the API says it.
fn refused(status: StatusCode, code: u32, why: &str) -> Response {
    let json = format!(r#"{{"code":{code},"message":"{why}"}}"#);
    (status, [(header::CONTENT_TYPE, "application/json")], Body::from(json)).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tower::Service as _;

    use super::*;

    async fn ask(router: Router, stopping: watch::Receiver<bool>) -> (StatusCode, String) {
        let edge = Edge { stopping, is_local: true };
        let mut router = router.layer(middleware::from_fn_with_state(edge, answered));
        let answer = router.call(Request::new(Body::empty())).await.expect("an answer");
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waits_ends_when_the_node_stops() {
        let (_stop, stopping) = watch::channel(true);
        let never = Router::new().fallback(std::future::pending::<()>);
        let (status, body) = ask(never, stopping).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, r#"{"code":14,"message":"this node is stopping, try another one"}"#);
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_too() {
        let (_stop, stopping) = watch::channel(false);
        async fn panics() -> StatusCode {
            panic!("as it is meant to")
        }
        let panics = Router::new().fallback(panics);
        let (status, _) = ask(panics, stopping).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn only_names_of_this_machine_are_answered_to() {
        for host in [
            "localhost",
            "LOCALHOST:7243",
            "a.localhost:1",
            "127.0.0.1:7243",
            "[::1]:7243",
            "::1",
            "10.0.0.1",
        ] {
            assert!(is_of_this_machine(host), "{host}");
        }
        for host in [
            "",
            "example.org",
            "example.org:7243",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "notlocalhost",
        ] {
            assert!(!is_of_this_machine(host), "{host}");
        }
    }
}
