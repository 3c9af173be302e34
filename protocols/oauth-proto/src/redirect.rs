//! Redirect URIs: which a client may have, and which is one of them.

/// The hosts of RFC 8252 §7.3, where the port is any.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "[::1]"];

/// Longest URI, in octets.
const MAX: usize = 2048;

/// Schemes that no client can be reached by, or that mean something to a browser.
const FORBIDDEN: [&str; 9] =
    ["javascript", "data", "vbscript", "file", "about", "blob", "filesystem", "ws", "wss"];

/// What of a URI matters here.
struct Parts<'a> {
    scheme: &'a str,
    /// Behind `//`, if there is one: the authority.
    authority: Option<&'a str>,
    /// All behind scheme and authority.
    rest: &'a str,
}

fn parts(uri: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = uri.split_once(':')?;
    let mut letters = scheme.bytes();
    // RFC 3986 §3.1
    let named = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !named {
        return None;
    }
    Some(match rest.strip_prefix("//") {
        None => Parts { scheme, authority: None, rest },
        Some(rest) => {
            let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            Parts { scheme, authority: Some(authority), rest }
        }
    })
}

/// Host and port of an authority.
fn host(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Whether a URI leads to this machine's own programs (RFC 8252 §7.3): `http` and a loopback address.
pub fn is_loopback(uri: &str) -> bool {
    parts(uri).is_some_and(|parts| loopback(&parts).is_some())
}

/// What is behind the port of a loopback URI.
fn loopback<'a>(parts: &Parts<'a>) -> Option<(&'a str, &'a str)> {
    let (host, port) = host(parts.authority?);
    let here = parts.scheme == "http" && LOOPBACK.contains(&host) && port.is_none_or(is_port);
    here.then_some((host, parts.rest))
}

/// Why a client cannot have a redirect URI; none if it can.
pub fn register_problem(uri: &str) -> Option<&'static str> {
    if uri.len() > MAX || !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("a redirect URI is of printable ASCII, and not too long");
    }
    if uri.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}', '\'', ';', ',']) {
        return Some("a redirect URI has no such characters");
    }
    // RFC 6749 §3.1.2
    if uri.contains('#') {
        return Some("a redirect URI has no fragment");
    }
    let Some(parts) = parts(uri) else { return Some("a redirect URI is absolute") };
    let scheme = parts.scheme.to_ascii_lowercase();
    if parts.scheme != scheme || FORBIDDEN.contains(&scheme.as_str()) {
        return Some("a redirect URI does not have that scheme");
    }
    let authority = parts.authority.unwrap_or_default();
    match scheme.as_str() {
        "https" if authority.is_empty() || authority.contains('@') => Some("a redirect URI names its host"),
        "https" => None,
        "http" if loopback(&parts).is_some() => None,
        // RFC 9700 §4.1.3, RFC 8252 §8.3: `localhost` may be another's.
        "http" => Some("a redirect URI is https, or http to 127.0.0.1 or [::1]"),
        // RFC 8252 §7.1: a name that its developer has control of, in reverse.
        other if other.contains('.') => None,
        _ => Some("a scheme of its own is a domain name in reverse"),
    }
}

/// Whether a redirect URI is one that was registered: the same text (RFC 9700 §2.1), but for the port of a loopback address,
/// which a program cannot know beforehand (RFC 8252 §7.3).
pub fn matches(registered: &str, asked: &str) -> bool {
    if registered == asked {
        return true;
    }
    // What is asked for is as good as what may be registered.
    if register_problem(asked).is_some() {
        return false;
    }
    let both = parts(registered).as_ref().and_then(loopback).zip(parts(asked).as_ref().and_then(loopback));
    both.is_some_and(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_may_have() {
        for good in [
            "https://app.example/back",
            "https://app.example:8443/back?a=b",
            "http://127.0.0.1/back",
            "http://127.0.0.1:3000/back",
            "http://[::1]:3000/",
            "com.example.app:/back",
            "com.example.app://back",
        ] {
            assert_eq!(register_problem(good), None, "{good}");
        }
        for bad in [
            "",
            "/back",
            "https:/back",
            "https://",
            "https:///back",
            "https://app.example/#a",
            "https://user@app.example/",
            "http://app.example/",
            "http://localhost/back",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1:99999/",
            "http://127.0.0.1:x/",
            "http://127.0.0.1@evil.example/",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "app:/back",
            "https://app.example/a b",
            "https://app.example/\"x",
            "https://app.example/é",
            "1a.b:/x",
        ] {
            assert!(register_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn what_is_the_same() {
        assert!(matches("https://app.example/back", "https://app.example/back"));
        for other in [
            "https://app.example/back/",
            "https://app.example/BACK",
            "https://app.example/back?a",
            "https://APP.example/back",
            "https://app.example:443/back",
            "https://app.example/back/../evil",
            "http://app.example/back",
        ] {
            assert!(!matches("https://app.example/back", other), "{other}");
        }
        for here in ["http://127.0.0.1/b", "http://127.0.0.1:1/b", "http://127.0.0.1:65535/b"] {
            assert!(
                matches("http://127.0.0.1/b", here) && matches("http://127.0.0.1:8080/b", here),
                "{here}"
            );
        }
        for away in [
            "http://127.0.0.1:1/c",
            "http://127.0.0.2:1/b",
            "http://localhost:1/b",
            "http://[::1]:1/b",
            "http://127.0.0.1:1@evil.example/b",
            "http://127.0.0.1:70000/b",
            "https://127.0.0.1:1/b",
        ] {
            assert!(!matches("http://127.0.0.1/b", away), "{away}");
        }
    }
}
