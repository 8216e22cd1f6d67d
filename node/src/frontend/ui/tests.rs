//! The port of the Web UI, asked without a browser.

use std::fs;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;

use super::{Ui, markdown::rendered};
use crate::frontend::{http::Http, testing::Fake};

struct Port {
    ui: Ui,
    _folder: tempfile::TempDir,
}

impl Port {
    /// A port with a few files, and one beside their folder.
    fn new() -> Port {
        let folder = tempfile::tempdir().expect("a folder");
        let assets = folder.path().join("assets");
        fs::create_dir_all(assets.join("_app/immutable")).expect("a folder");
        fs::write(assets.join("index.html"), "<html>").expect("a file");
        fs::write(assets.join("_app/immutable/x.js"), "1").expect("a file");
        fs::write(folder.path().join("secret"), "secret").expect("a file");
        std::os::unix::fs::symlink(folder.path().join("secret"), assets.join("link")).expect("a link");
        let http = Http::new(Fake::default().serve().shared);
        Port { ui: Ui::new(http, &assets), _folder: folder }
    }

    async fn ask(&self, request: http::request::Builder, body: &'static str) -> (Response<()>, String) {
        let answer = self.ui.clone().serve(request.body(Body::from(body)).expect("a request")).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (Response::from_parts(head, ()), String::from_utf8_lossy(&body).into_owned())
    }

    async fn get(&self, path: &str) -> (Response<()>, String) {
        self.ask(Request::get(path), "").await
    }
}

#[tokio::test]
async fn files_are_served_and_every_other_path_is_the_page() {
    let port = Port::new();
    let (head, body) = port.get("/_app/immutable/x.js").await;
    assert_eq!((head.status(), body.as_str()), (StatusCode::OK, "1"));
    assert_eq!(head.headers()["content-type"], "text/javascript; charset=utf-8");
    assert!(head.headers()["cache-control"].to_str().expect("text").contains("immutable"));
    for path in ["/", "/namespaces/default/workflows", "/namespaces/default/workflows/a%2Fb/run/history"] {
        let (head, body) = port.get(path).await;
        assert_eq!((head.status(), body.as_str()), (StatusCode::OK, "<html>"), "{path}");
        assert_eq!(head.headers()["x-content-type-options"], "nosniff");
    }
    let (head, _) = port.get("/_app/nothing.js").await;
    assert_eq!(head.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nothing_outside_of_the_folder_is_served() {
    let port = Port::new();
    for path in [
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/_app/../../secret",
        "/_app/%2e%2e%2f%2e%2e%2fsecret",
        "/link",
        "/etc/passwd",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/_app/immutable/x.js%00",
        "/..\\secret",
    ] {
        let (_, body) = port.get(path).await;
        assert!(body == "<html>" || body.starts_with("404"), "{path}: {body}");
    }
}

#[tokio::test]
async fn pages_of_other_sites_may_not_act() {
    let port = Port::new();
    let path = "/api/v1/namespaces/default/workflows/w/signal/go";
    let post = || Request::builder().method(Method::POST).uri(path);
    let cookie = || post().header("cookie", "a=b; _csrf=abc");
    for (request, expected) in [
        (post(), StatusCode::BAD_REQUEST),
        (post().header("sec-fetch-site", "cross-site"), StatusCode::FORBIDDEN),
        (post().header("sec-fetch-site", "same-site"), StatusCode::BAD_REQUEST),
        (post().header("sec-fetch-site", "same-origin"), StatusCode::OK),
        (post().header("x-csrf-token", "abc"), StatusCode::FORBIDDEN),
        (cookie().header("x-csrf-token", "abd"), StatusCode::FORBIDDEN),
        (cookie().header("x-csrf-token", "abc"), StatusCode::OK),
        (
            cookie().header("x-csrf-token", "abc").header("sec-fetch-site", "cross-site"),
            StatusCode::FORBIDDEN,
        ),
    ] {
        let what = format!("{request:?}");
        let (head, body) = port.ask(request, "{}").await;
        assert_eq!(head.status(), expected, "{what}: {body}");
    }
    let (head, _) = port.get("/").await;
    let token = head.headers()["set-cookie"].to_str().expect("text");
    assert!(token.starts_with("_csrf=") && token.contains("SameSite=Strict"), "{token}");
}

#[tokio::test]
async fn the_api_is_written_for_the_ui() {
    let port = Port::new();
    let (head, body) = port.get("/api/v1/system-info").await;
    assert_eq!(head.headers()["content-type"], "application/json");
    assert!(body.starts_with("{\n  \"serverVersion\""), "{body}");
    let (_, body) = port.get("/api/v1/settings").await;
    assert!(body.contains("\"DisableWriteActions\":false"), "{body}");
    let (head, body) = port.get("/api/v1/nothing").await;
    assert_eq!(
        (head.status(), body.as_str()),
        (StatusCode::NOT_FOUND, "{\n  \"code\": 5,\n  \"message\": \"Not Found\"\n}")
    );
}

#[test]
fn html_in_markdown_is_text() {
    assert_eq!(rendered("# a <b>c</b>"), "<h1>a &lt;b&gt;c&lt;/b&gt;</h1>\n");
    assert_eq!(rendered("<script>x</script>"), "&lt;script&gt;x&lt;/script&gt;");
}
