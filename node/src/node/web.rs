//! The ports that speak plain HTTP: the API's JSON, and the Web UI.
//!
//! Each request gets an answer, also when the node stops, and also when it has a bug, as at the edge of the
//! gRPC port.

use std::{panic::AssertUnwindSafe, time::Duration};

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

/// Serves until `stop` becomes true, and ends what is in flight some time after `stopping` does.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    stopping: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let routes = routes.layer(middleware::from_fn_with_state(stopping, answered));
    let stopped = async move {
        risen(&mut stop).await;
    };
    axum::serve(listener, routes).with_graceful_shutdown(stopped).await
}

async fn answered(State(mut stopping): State<watch::Receiver<bool>>, request: Request, next: Next) -> Response {
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
        let mut router = router.layer(middleware::from_fn_with_state(stopping, answered));
        let answer = router.call(Request::new(Body::empty())).await.expect("an answer");
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waits_ends_when_the_node_stops() {
        let (_stop, stopping) = watch::channel(true);
        let never = Router::new().fallback(|| std::future::pending::<()>());
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
}
