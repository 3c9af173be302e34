//! The cookie that stands for a visit (RFC 6265bis).
//!
//! No script reads it, no other site has it sent (`SameSite=Strict`: not by a link either, so who follows one logs in), none can
//! set it (the prefix), and the browser forgets it when it is closed.

use accounts::Secret;
use axum::http::{HeaderMap, HeaderValue};

use crate::form_cookie::one_cookie;

/// What the browser shows.
pub(super) fn shown(headers: &HeaderMap, secure: bool) -> Option<Secret> {
    one_cookie(headers, name(secure)).map(Secret::new)
}

/// The field that sets it; without a word: that has the browser forget it. Without TLS, which is on this machine only, browsers take
/// no cookie with the prefix.
pub(super) fn field(word: Option<&Secret>, secure: bool) -> Option<HeaderValue> {
    let (name, more) = (name(secure), if secure { "; Secure" } else { "" });
    let (word, over) = word.map_or(("", "; Max-Age=0"), |word| (word.expose(), ""));
    let text = format!("{name}={word}; Path=/; HttpOnly; SameSite=Strict{more}{over}");
    let mut field = HeaderValue::try_from(text).ok()?;
    field.set_sensitive(true);
    Some(field)
}

fn name(secure: bool) -> &'static str {
    if secure { "__Host-godwit-visit" } else { "godwit-visit" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_set_comes_back_and_is_forgotten() {
        let word = Secret::new("gwv_word");
        let set = field(Some(&word), true).unwrap();
        assert_eq!(set, "__Host-godwit-visit=gwv_word; Path=/; HttpOnly; SameSite=Strict; Secure");
        assert!(set.is_sensitive());
        let none = field(None, true).unwrap();
        assert_eq!(none, "__Host-godwit-visit=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0");
        let mut headers = HeaderMap::new();
        headers.insert("cookie", "a=b; __Host-godwit-visit=gwv_word".parse().unwrap());
        assert_eq!(shown(&headers, true).unwrap().expose(), "gwv_word");
        assert!(shown(&headers, false).is_none(), "another name");
        headers.append("cookie", "__Host-godwit-visit=gwv_other".parse().unwrap());
        assert!(shown(&headers, true).is_none(), "one of them is not ours");
    }
}
