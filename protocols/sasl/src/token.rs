//! What clients say who show a token (RFC 7628 §3.1; XOAUTH2 as Google has described it), and what they are told if it is no good.

use crate::Secret;
use crate::exchange::{Credentials, Failure, text};

/// `kvsep` (RFC 7628 §3.1).
const SEPARATOR: u8 = 1;

/// Why a token does not let anybody in (RFC 7628 §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// `invalid_token`, or `insufficient_scope`.
    status: &'static str,
    /// What the token would have to be good for.
    scope: Option<&'a str>,
    /// Where it is said where tokens come from.
    metadata: &'a str,
}

impl<'a> Refusal<'a> {
    /// The token is not good, whyever. `metadata`: where it is said where tokens come from.
    pub fn invalid(metadata: &'a str) -> Self {
        Refusal { status: "invalid_token", scope: None, metadata }
    }

    /// The token is not for this, but for something else.
    pub fn scope(scope: &'a str, metadata: &'a str) -> Self {
        Refusal { status: "insufficient_scope", scope: Some(scope), metadata }
    }

    /// RFC 7628 §3.2.2: `status`, `scope`, `openid-configuration`.
    pub(crate) fn json(&self) -> String {
        let scope = self.scope.map(|scope| format!(",\"scope\":\"{}\"", escaped(scope)));
        let (status, scope) = (self.status, scope.unwrap_or_default());
        format!("{{\"status\":\"{status}\"{scope},\"openid-configuration\":\"{}\"}}", escaped(self.metadata))
    }
}

/// A name of ours or an operator's URL, as a JSON string has it.
fn escaped(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != '"' && *c != '\\').collect()
}

/// RFC 7628 §3.1:
/// `client-resp = (gs2-header kvsep *kvpair kvsep) / kvsep`; `kvpair = key "=" value kvsep`.
pub(crate) fn oauth_bearer(response: &[u8]) -> Result<Credentials, Failure> {
    let at = response.iter().position(|byte| *byte == SEPARATOR).ok_or(Failure::Malformed)?;
    let (header, rest) = response.split_at(at);
    let login = authorization(header)?;
    let token = bearer(rest.get(1..).unwrap_or_default())?;
    Ok(Credentials::Token { login, token })
}

/// `user=` name, then as in RFC 7628.
pub(crate) fn xoauth2(response: &[u8]) -> Result<Credentials, Failure> {
    let rest = response.strip_prefix(b"user=").ok_or(Failure::Malformed)?;
    let at = rest.iter().position(|byte| *byte == SEPARATOR).ok_or(Failure::Malformed)?;
    let (login, rest) = rest.split_at(at);
    let login = text(login).ok_or(Failure::Malformed)?.to_owned();
    let token = bearer(rest.get(1..).unwrap_or_default())?;
    Ok(Credentials::Token { login: Some(login), token })
}

/// `gs2-header = [ "F," ] gs2-cb-flag "," [ "a=" saslname ] ","` (RFC 5801 §4). There is no channel binding (RFC 7628 §3.1).
fn authorization(header: &[u8]) -> Result<Option<String>, Failure> {
    let header = std::str::from_utf8(header).map_err(|_| Failure::Malformed)?;
    let mut parts = header.split(',');
    let (Some("n" | "y"), Some(name), Some(""), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Failure::Malformed);
    };
    if name.is_empty() {
        return Ok(None);
    }
    let name = name.strip_prefix("a=").ok_or(Failure::Malformed)?;
    // RFC 5801 §4: `=2C` for a comma, `=3D` for an equals sign, and no other equals sign.
    let mut plain = String::with_capacity(name.len());
    let mut pieces = name.split('=');
    plain.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (sign, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(Failure::Malformed),
        };
        plain.push(sign);
        plain.push_str(rest);
    }
    text(plain.as_bytes()).ok_or(Failure::Malformed)?;
    Ok(Some(plain))
}

/// The token among the pairs, which end with an empty one. Who shows an empty `auth` wants to be told where tokens come from
/// (RFC 7628 §4.3): that is one that is not good.
fn bearer(pairs: &[u8]) -> Result<Secret, Failure> {
    let pairs = std::str::from_utf8(pairs).map_err(|_| Failure::Malformed)?;
    let pairs = pairs.strip_suffix("\u{1}\u{1}").ok_or(Failure::Malformed)?;
    let mut found = None;
    for pair in pairs.split('\u{1}') {
        let (key, value) = pair.split_once('=').ok_or(Failure::Malformed)?;
        // `key = 1*(ALPHA)`; those that are not known are skipped.
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(Failure::Malformed);
        }
        if key == "auth" && found.replace(value).is_some() {
            return Err(Failure::Malformed);
        }
    }
    let value = found.ok_or(Failure::Malformed)?;
    if value.is_empty() {
        return Ok(Secret::new(String::new()));
    }
    let (scheme, token) = value.split_once(' ').ok_or(Failure::Malformed)?;
    // RFC 7628 §3.1: the scheme is in any case, as in RFC 9110 §11.1.
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Failure::Malformed);
    }
    Ok(Secret::new(token.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Exchange, Mechanism, Step};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn token(login: Option<&str>, token: &str) -> Result<Credentials, Failure> {
        let login = login.map(str::to_owned);
        Ok(Credentials::Token { login, token: Secret::new(token.to_owned()) })
    }

    #[test]
    fn the_rfcs_examples() {
        // RFC 7628 §4.1, §4.2, §4.3.
        let first = "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}\
                     auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\u{1}\u{1}";
        let known = token(Some("user@example.com"), "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        assert_eq!(oauth_bearer(first.as_bytes()), known);
        let second = first.replace("143", "587");
        assert_eq!(oauth_bearer(second.as_bytes()), known);
        let asks = "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}auth=\u{1}\u{1}";
        assert_eq!(oauth_bearer(asks.as_bytes()), token(Some("user@example.com"), ""));
    }

    #[test]
    fn names_are_unescaped() {
        for (header, login) in [("n,,", None), ("y,,", None), ("n,a=a=2Cb=3Dc,", Some("a,b=c"))] {
            let response = format!("{header}\u{1}auth=bearer x\u{1}\u{1}");
            assert_eq!(oauth_bearer(response.as_bytes()), token(login, "x"), "{header}");
        }
    }

    #[test]
    fn xoauth2_names_its_user() {
        let shown = "user=someuser@example.com\u{1}auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\u{1}\u{1}";
        let known = token(Some("someuser@example.com"), "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
        assert_eq!(xoauth2(shown.as_bytes()), known);
        for bad in ["", "user=", "user=\u{1}auth=Bearer x\u{1}\u{1}", "auth=Bearer x\u{1}\u{1}", "user=a"] {
            assert_eq!(xoauth2(bad.as_bytes()), Err(Failure::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn malformed_responses() {
        let auth = "auth=Bearer x";
        for bad in [
            "",
            "\u{1}",
            "n,,",
            "n,,\u{1}",
            "n,,\u{1}\u{1}",
            &format!("n,\u{1}{auth}\u{1}\u{1}"),
            &format!("p=tls-exporter,,\u{1}{auth}\u{1}\u{1}"),
            &format!("n,user,\u{1}{auth}\u{1}\u{1}"),
            &format!("n,a=,\u{1}{auth}\u{1}\u{1}"),
            &format!("n,a=a=2,\u{1}{auth}\u{1}\u{1}"),
            &format!("n,,\u{1}{auth}\u{1}"),
            &format!("n,,\u{1}{auth}"),
            &format!("n,,\u{1}{auth}\u{1}{auth}\u{1}\u{1}"),
            "n,,\u{1}auth=Basic eA==\u{1}\u{1}",
            "n,,\u{1}auth=x\u{1}\u{1}",
            "n,,\u{1}a1=x\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}host=x\u{1}\u{1}",
        ] {
            assert_eq!(oauth_bearer(bad.as_bytes()), Err(Failure::Malformed), "{bad:?}");
        }
        assert_eq!(oauth_bearer(b"n,,\x01auth=Bearer \xff\x01\x01"), Err(Failure::Malformed));
    }

    /// RFC 7628 §4.3: the error, the client's answer, the end.
    #[test]
    fn who_is_refused_is_told_why_and_answers() {
        for (mechanism, shown, dummy) in [
            (Mechanism::OauthBearer, "n,,\u{1}auth=Bearer x\u{1}\u{1}", "AQ=="),
            (Mechanism::XOauth2, "user=a\u{1}auth=Bearer x\u{1}\u{1}", ""),
        ] {
            let (mut exchange, step) = Exchange::begin(mechanism, Some(STANDARD.encode(shown).as_bytes()));
            assert!(matches!(step, Step::Done(Credentials::Token { .. })));
            let Step::Challenge(told) = exchange.refuse(&Refusal::scope("s", "https://i/m")) else {
                panic!()
            };
            let told = String::from_utf8(STANDARD.decode(&*told).unwrap()).unwrap();
            let known = r#"{"status":"insufficient_scope","scope":"s","openid-configuration":"https://i/m"}"#;
            assert_eq!(told, known);
            assert_eq!(exchange.respond(dummy.as_bytes()), Step::Failed(Failure::Refused));
            assert_eq!(exchange.respond(dummy.as_bytes()), Step::Failed(Failure::Malformed));
        }
        let known = r#"{"status":"invalid_token","openid-configuration":"https://i/m"}"#;
        assert_eq!(Refusal::invalid("https://i/m\"").json(), known);
    }

    #[test]
    fn a_password_is_refused_without_a_word_and_nothing_is_answered_before_the_look() {
        let (mut exchange, _) = Exchange::begin(Mechanism::Plain, Some(STANDARD.encode("\0a\0b").as_bytes()));
        assert_eq!(exchange.refuse(&Refusal::invalid("m")), Step::Failed(Failure::Refused));
        let shown = STANDARD.encode("n,,\u{1}auth=Bearer x\u{1}\u{1}");
        let (mut exchange, _) = Exchange::begin(Mechanism::OauthBearer, Some(shown.as_bytes()));
        assert_eq!(exchange.respond(b"AQ=="), Step::Failed(Failure::Malformed));
    }
}
