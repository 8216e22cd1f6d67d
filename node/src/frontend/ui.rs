//! The official Web UI on a port of its own: its files, and the paths that its own server has.
//!
//! Its files are no part of this tree; they come from a folder. Its calls of the API go the way of the HTTP
//! API, written as the UI expects them: payloads in full, and over several lines.
//!
//! `guard` keeps pages of other sites out, `assets` reads files, `markdown` shows what users wrote.

use std::path::Path;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::json;

use super::http::{Http, Style};

mod assets;
mod guard;
mod markdown;

use assets::Assets;

/// The release of the UI that this was tried with; it shows it, and says it when it calls.
const UI_VERSION: &str = "2.54.1";
const CLIENT_NAME: &str = "temporal-ui";
const API: &str = "/api/v1/";
const STYLE: Style = Style {
    reads_shorthand: false,
    writes_shorthand: false,
    is_pretty: true,
    content_type: "application/json",
};

/// The Web UI of one node. A cheap handle.
#[derive(Clone)]
pub(super) struct Ui {
    http: Http,
    assets: Assets,
}

impl Ui {
    pub(super) fn new(http: Http, assets: &Path) -> Ui {
        Ui { http, assets: Assets::new(assets) }
    }

    pub(super) async fn serve(self, request: Request<Body>) -> Response<Body> {
        let cookie = guard::cookie(request.headers());
        let mut response = match guard::check(request.method(), request.headers(), cookie.as_deref()) {
            Ok(()) => self.answer(request).await,
            Err((status, why)) => json(status, &json!({ "message": why })),
        };
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
        if cookie.is_none() {
            headers.insert(header::SET_COOKIE, guard::new_cookie());
        }
        response
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path();
        if path == "/api/v1/settings" {
            return json(StatusCode::OK, &settings());
        }
        if path.starts_with(API) {
            return self.call(request).await;
        }
        if request.method() != Method::GET {
            return json(StatusCode::METHOD_NOT_ALLOWED, &json!({ "message": "Method Not Allowed" }));
        }
        match path {
            "/healthz" => json(StatusCode::OK, &json!({ "status": "OK" })),
            "/render" => markdown::page(request.uri().query().unwrap_or_default()),
            path => self.assets.answer(path).await,
        }
    }

    async fn call(self, request: Request<Body>) -> Response<Body> {
        let mut headers = HeaderMap::new();
        headers.insert("client-name", HeaderValue::from_static(CLIENT_NAME));
        headers.insert("client-version", HeaderValue::from_static(UI_VERSION));
        if let Some(timeout) = request.headers().get("grpc-timeout") {
            headers.insert("grpc-timeout", timeout.clone());
        }
        match raw_history(request.uri().path()) {
            Some(path) if request.method() == Method::GET => self.http.history(&path, headers, STYLE).await,
            _ => self.http.call(request, headers, STYLE).await,
        }
    }
}

/// The path of a run's history in the API, if the path is that of all its events in one piece:
/// `/api/v1/namespaces/N/workflows/W/run/R/history.json`.
fn raw_history(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.strip_prefix(API)?.split('/').collect();
    match parts.as_slice() {
        ["namespaces", namespace, "workflows", workflow, "run", run, "history.json"] => {
            let api = format!("{API}namespaces/{namespace}/workflows/{workflow}/history");
            Some(format!("{api}?execution.runId={run}"))
        }
        _ => None,
    }
}

/// What the UI asks before anything else: what it may show.
fn settings() -> serde_json::Value {
    json!({
        "Auth": { "Enabled": false, "Options": null, "RedirectToProvider": false },
        "DefaultNamespace": "",
        "ShowTemporalSystemNamespace": false,
        "NavCollapsedByDefault": false,
        "FeedbackURL": "",
        // A server should not make its users' browsers call somebody else.
        "DisableNewsFetch": true,
        "Codec": {
            "Endpoint": "",
            "PassAccessToken": false,
            "IncludeCredentials": false,
            "DefaultErrorMessage": "",
            "DefaultErrorLink": "",
        },
        "Version": UI_VERSION,
        "DisableWriteActions": false,
        "WorkflowTerminateDisabled": false,
        "WorkflowCancelDisabled": false,
        "WorkflowSignalDisabled": false,
        "WorkflowUpdateDisabled": false,
        "WorkflowResetDisabled": false,
        "WorkflowPauseDisabled": false,
        "BatchActionsDisabled": false,
        "StartWorkflowDisabled": false,
        "HideWorkflowQueryErrors": false,
        "RefreshWorkflowCountsDisabled": false,
        "ActivityCommandsDisabled": false,
    })
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
