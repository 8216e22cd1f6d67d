//! As much of Go's `url.Parse` as decides whether a URL is taken, and in which words it is not.

/// The scheme in small letters, empty if there is none; or what is wrong with the URL.
pub(super) fn scheme(url: &str) -> Result<String, String> {
    let fault = |what: &str| Err(format!("parse {}: {what}", quoted(url)));
    if url.bytes().any(|byte| byte < b' ' || byte == 0x7F) {
        return fault("net/url: invalid control character in URL");
    }
    let (url_without_fragment, fragment) = url.split_once('#').unwrap_or((url, ""));
    let Some((scheme, rest)) = split_scheme(url_without_fragment) else {
        return fault("missing protocol scheme");
    };
    let rest = rest.split('?').next().unwrap_or_default();
    if scheme.is_empty() && !rest.starts_with('/') {
        let first = rest.split('/').next().unwrap_or_default();
        if first.contains(':') {
            return fault("first path segment in URL cannot contain colon");
        }
    }
    if !scheme.is_empty() && !rest.starts_with('/') {
        // Opaque: nothing of it is looked at.
        return Ok(scheme.to_ascii_lowercase());
    }
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    for (text, is_host) in [(authority, true), (path, false), (fragment, false)] {
        let faulty = if is_host { authority_fault(text) } else { escape_fault(text) };
        if let Some(what) = faulty {
            return fault(&what);
        }
    }
    Ok(scheme.to_ascii_lowercase())
}

/// None if the URL begins with its colon.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    for (at, byte) in url.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return None,
            b':' => return Some((&url[..at], &url[at + 1..])),
            _ => break,
        }
    }
    Some(("", url))
}

fn authority_fault(authority: &str) -> Option<String> {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = if host.starts_with('[') {
        let Some(end) = host.rfind(']') else { return Some("missing ']' in host".into()) };
        &host[end + 1..]
    } else {
        host.rfind(':').map_or("", |at| &host[at..])
    };
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_port {
        return Some(format!("invalid port {} after host", quoted(port)));
    }
    let bad = host
        .chars()
        .find(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_.~!$&'()*+,;=:[]<>\"%".contains(*c));
    bad.map(|bad| format!("invalid character {} in host name", quoted(&bad.to_string())))
        .or_else(|| escape_fault(host))
}

fn escape_fault(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices('%') {
        let escaped = bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        if !escaped {
            let end = (at + 3).min(bytes.len());
            let shown = String::from_utf8_lossy(&bytes[at..end]);
            return Some(format!("invalid URL escape {}", quoted(&shown)));
        }
    }
    None
}

/// As Go quotes a string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_and_refused_as_by_the_real_server() {
        for (url, expected) in [
            ("http://localhost:1/nexus", "http"),
            ("HTTP://host", "http"),
            ("http:/path", "http"),
            ("http://", "http"),
            ("ftp://host/", "ftp"),
            ("host", ""),
            ("//host/path", ""),
            ("http://host/a b", "http"),
            ("mailto:somebody", "mailto"),
        ] {
            assert_eq!(scheme(url).as_deref(), Ok(expected), "{url}");
        }
        for (url, fault) in [
            ("http://host:port/", r#"invalid port ":port" after host"#),
            ("http://[::1/", "missing ']' in host"),
            ("http://a b/", r#"invalid character " " in host name"#),
            ("http://host/%zz", r#"invalid URL escape "%zz""#),
            (":no-scheme", "missing protocol scheme"),
            ("1http://host", "first path segment in URL cannot contain colon"),
        ] {
            assert_eq!(scheme(url), Err(format!("parse {url:?}: {fault}")));
        }
    }
}
