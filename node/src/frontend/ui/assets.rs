//! The files of the UI, out of one folder and nothing outside of it.

use std::path::{Path, PathBuf};

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};

use crate::frontend::http::unescape;

/// What every path that is no file shows: the UI finds its way from there.
const INDEX: &str = "index.html";
/// Files below it never change; their names do.
const IMMUTABLE: &str = "_app/immutable/";
/// Here a file that is not there is a mistake, and no path of the UI.
const FILES_ONLY: &str = "_app/";
const FOREVER: &str = "public, max-age=31536000, immutable";

/// A folder of files. A cheap handle.
#[derive(Clone)]
pub(super) struct Assets {
    folder: PathBuf,
}

impl Assets {
    pub(super) fn new(folder: &Path) -> Assets {
        Assets { folder: folder.to_owned() }
    }

    pub(super) async fn answer(&self, path: &str) -> Response<Body> {
        let name = unescape(path.trim_start_matches('/')).filter(|name| is_plain(name));
        let bytes = match &name {
            Some(name) => self.read(name).await,
            None => None,
        };
        if let (Some(name), Some(bytes)) = (&name, bytes) {
            return file(name, bytes);
        }
        if name.is_none_or(|name| name.starts_with(FILES_ONLY)) {
            return text(StatusCode::NOT_FOUND, "404 page not found\n");
        }
        match self.read(INDEX).await {
            Some(bytes) => file(INDEX, bytes),
            None => text(
                StatusCode::NOT_FOUND,
                "The files of the Web UI are not in the folder that `ui.assets` names; `cargo x ui-assets` gets them.\n",
            ),
        }
    }

    /// A file of the folder, wherever its links lead, as long as that is in the folder.
    async fn read(&self, name: &str) -> Option<Vec<u8>> {
        let folder = tokio::fs::canonicalize(&self.folder).await.ok()?;
        let path = tokio::fs::canonicalize(folder.join(name)).await.ok()?;
        let is_inside = path.starts_with(&folder) && tokio::fs::metadata(&path).await.ok()?.is_file();
        if is_inside { tokio::fs::read(path).await.ok() } else { None }
    }
}

/// Whether a name can only mean what is below the folder.
fn is_plain(name: &str) -> bool {
    let is_plain =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0']);
    name.is_empty() || name.trim_end_matches('/').split('/').all(is_plain)
}

fn file(name: &str, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    let cached = if name.starts_with(IMMUTABLE) { FOREVER } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cached));
    response
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

/// By the name's ending; what is unknown is bytes, which no browser shows.
fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
