//! Markdown that users wrote, as a page that the UI shows in a frame.
//!
//! Whoever may start a workflow may write it, so the page can do nothing: no script, no form, nothing that it
//! would fetch, and HTML within the Markdown is text.

use axum::body::Body;
use http::{HeaderValue, Response, header};
use pulldown_cmark::{Event, Options, Parser, html};
use uuid::Uuid;

use crate::frontend::http::parameter;

const STYLE: &str = "body { margin: 0; padding: 1rem; font-family: sans-serif; overflow-wrap: break-word; \
     overscroll-behavior: none; } h1 { font-size: 2em; } code, pre { font-family: monospace; } \
     pre { padding: 0.25rem; overflow-x: auto; } blockquote { margin: 0; padding-left: 0.5rem; \
     border-left: 4px solid #92a4c3; } table { border-collapse: collapse; } td, th { border: 1px solid; \
     padding: 0.25rem; } body[data-theme^='light'] { background: #fff; color: #121416; } \
     body[data-theme^='dark'] { background: #141414; color: #f8fafc; } \
     body[data-theme^='dark'] a { color: #8098f9; }";

/// The page of the Markdown in a query.
pub(super) fn page(query: &str) -> Response<Body> {
    let content = parameter(query, "content").unwrap_or_default();
    let theme = parameter(query, "theme").filter(|theme| is_word(theme)).unwrap_or_default();
    let nonce = Uuid::new_v4().simple();
    let page = format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"><base target=\"_blank\">\
         <style nonce=\"{nonce}\">{STYLE}</style></head>\n<body data-theme=\"{theme}\">{}</body></html>\n",
        rendered(&content)
    );
    let policy = format!(
        "base-uri 'self'; default-src 'none'; style-src 'nonce-{nonce}'; frame-ancestors 'self'; \
         form-action 'none'; sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"
    );
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

pub(super) fn rendered(content: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(content, options).map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        other => other,
    });
    let mut page = String::new();
    html::push_html(&mut page, events);
    page
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
