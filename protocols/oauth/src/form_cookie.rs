//! Shows that a form comes from the page that was shown to the same browser (RFC 6749 §10.12, RFC 9700 §4.7).
//!
//! The page sets a random cookie and has the same value in its form. Another site can neither read the cookie nor, thanks to its
//! prefix, set one (RFC 6265bis §4.1.3.2). It stands for nobody: no node has to know it.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::Rng;
use subtle::ConstantTimeEq;

/// Bytes of random.
const LENGTH: usize = 32;

/// The value, in a form and in a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormCookie(String);

impl FormCookie {
    /// The browser's, or a new one.
    pub(crate) fn of(headers: &HeaderMap, secure: bool, rng: &dyn Rng) -> Self {
        Self::shown(headers, secure).unwrap_or_else(|| {
            let mut random = [0; LENGTH];
            rng.fill(&mut random);
            FormCookie(URL_SAFE_NO_PAD.encode(random))
        })
    }

    /// The browser's.
    pub(crate) fn shown(headers: &HeaderMap, secure: bool) -> Option<Self> {
        let value = one_cookie(headers, Self::name(secure))?;
        let whole = URL_SAFE_NO_PAD.decode(value).is_ok_and(|bytes| bytes.len() == LENGTH);
        whole.then(|| FormCookie(value.to_owned()))
    }

    /// As the form has it.
    pub(crate) fn value(&self) -> &str {
        &self.0
    }

    /// Whether a form has it.
    pub(crate) fn is(&self, value: &str) -> bool {
        self.0.as_bytes().ct_eq(value.as_bytes()).into()
    }

    /// The field that sets it. Without TLS, which is on this machine only, browsers take no cookie with the prefix.
    pub(crate) fn field(&self, secure: bool) -> Option<HeaderValue> {
        let more = if secure { "; Secure" } else { "" };
        let text = format!("{}={}; Path=/; HttpOnly; SameSite=Lax{more}", Self::name(secure), self.0);
        HeaderValue::try_from(text).ok()
    }

    fn name(secure: bool) -> &'static str {
        if secure { "__Host-godwit-form" } else { "godwit-form" }
    }
}

/// The value of a browser's cookie. Of two of a name one is not ours: then there is none.
pub(crate) fn one_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| value);
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::SeededRng;

    fn headers(cookies: &[String]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, cookie.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_comes_back() {
        let rng = SeededRng::new(1);
        let new = FormCookie::of(&HeaderMap::new(), true, &rng);
        let pair = format!("__Host-godwit-form={}", new.value());
        assert_eq!(new.field(true).unwrap(), format!("{pair}; Path=/; HttpOnly; SameSite=Lax; Secure"));
        for cookies in [vec![pair.clone()], vec!["a=b".into(), format!("c=d; {pair}")]] {
            assert_eq!(FormCookie::of(&headers(&cookies), true, &rng), new);
        }
        assert!(new.is(new.value()) && !new.is("") && !new.is(&new.value()[1..]));
        // Two of a name: one of them is not ours. And what is none.
        for bad in [vec![pair.clone(), pair.clone()], vec!["__Host-godwit-form=x".into()], vec![]] {
            assert_eq!(FormCookie::shown(&headers(&bad), true), None);
        }
        assert_eq!(FormCookie::shown(&headers(&[pair]), false), None, "another name");
    }
}
