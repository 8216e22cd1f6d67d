//! Keeps pages of other sites from acting for whoever has them open.
//!
//! A browser says where a request comes from. One that does not must bring the token that our pages read from
//! their cookie, which no other site can read.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use uuid::Uuid;

const COOKIE: &str = "_csrf";
const TOKEN_HEADER: &str = "x-csrf-token";
const COOKIE_AGE_MAX_SECONDS: u32 = 24 * 60 * 60;

/// Lets a request in, or says why not.
pub(super) fn check(
    method: &Method,
    headers: &HeaderMap,
    cookie: Option<&str>,
) -> Result<(), (StatusCode, &'static str)> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    match text("sec-fetch-site") {
        Some("same-origin" | "none") => return Ok(()),
        Some("cross-site") => return Err((StatusCode::FORBIDDEN, "cross-site request blocked by CSRF")),
        _ => {}
    }
    match text(TOKEN_HEADER) {
        None | Some("") => Err((StatusCode::BAD_REQUEST, "missing csrf token in request header")),
        given if given == cookie => Ok(()),
        _ => Err((StatusCode::FORBIDDEN, "invalid csrf token")),
    }
}

/// The token that the browser was given.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    pairs.flat_map(|value| value.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE && !value.is_empty()).then(|| value.to_owned())
    })
}

/// Gives the browser a token.
pub(super) fn new_cookie() -> HeaderValue {
    let token = Uuid::new_v4().simple();
    let cookie = format!("{COOKIE}={token}; Path=/; Max-Age={COOKIE_AGE_MAX_SECONDS}; SameSite=Strict");
    HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""))
}
