//! AUTHENTICATE (RFC 9051 §6.2.2) with the initial response (RFC 4959).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Body;
use crate::Problem;
use crate::cursor::{Cursor, Result};

/// The start of a SASL exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticate {
    /// The mechanism's name, in capitals.
    pub mechanism: String,
    /// The initial response, decoded; empty for `=` (RFC 4959 §3).
    pub initial: Option<Vec<u8>>,
}

/// The client's line in a running exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientResponse {
    /// A response, decoded.
    Data(Vec<u8>),
    /// `*`: the client gives up; answer BAD (RFC 9051 §6.2.2).
    Cancel,
}

/// `authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp] *(CRLF base64)`;
/// `initial-resp = (base64 / "=")`; `auth-type = atom` (RFC 9051 §9)
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Body> {
    cursor.space()?;
    let mechanism = cursor.atom()?.to_ascii_uppercase();
    let mut initial = None;
    if cursor.eat(b' ') {
        let text = cursor.take_while(|b| b != b' ');
        // RFC 4959 §3: "=" is a response of no bytes.
        initial = Some(if text == b"=" { Vec::new() } else { decode(text)? });
    }
    Ok(Body::Authenticate(Authenticate { mechanism, initial }))
}

/// A line of [`crate::framer::Framer::next_line`]: `base64` or `*` (RFC 9051 §6.2.2).
pub fn parse_response(line: &[u8]) -> Result<ClientResponse> {
    if line == b"*" { Ok(ClientResponse::Cancel) } else { decode(line).map(ClientResponse::Data) }
}

fn decode(text: &[u8]) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|_| Problem::Syntax("invalid base64"))
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;

    /// RFC 9051 §6.2.2, RFC 4959 §4.
    #[test]
    fn known_answers() {
        let with = |mechanism: &str, initial: Option<&[u8]>| {
            Ok(Body::Authenticate(Authenticate {
                mechanism: mechanism.into(),
                initial: initial.map(<[u8]>::to_vec),
            }))
        };
        assert_eq!(body("AUTHENTICATE GSSAPI"), with("GSSAPI", None));
        assert_eq!(body("AUTHENTICATE plain dGVzdAB0ZXN0AHRlc3Q="), with("PLAIN", Some(b"test\0test\0test")));
        assert_eq!(body("AUTHENTICATE EXTERNAL ="), with("EXTERNAL", Some(b"")));
        assert_eq!(body("AUTHENTICATE SCRAM-SHA-256"), with("SCRAM-SHA-256", None));
    }

    #[test]
    fn responses() {
        assert_eq!(parse_response(b"*"), Ok(ClientResponse::Cancel));
        assert_eq!(parse_response(b""), Ok(ClientResponse::Data(Vec::new())));
        assert_eq!(parse_response(b"dGVzdA=="), Ok(ClientResponse::Data(b"test".to_vec())));
        assert!(parse_response(b"dGVzdA").is_err());
        assert!(parse_response(b"** *").is_err());
    }

    #[test]
    fn refused() {
        for bad in
            ["AUTHENTICATE", "AUTHENTICATE \"PLAIN\"", "AUTHENTICATE PLAIN dGVzdA", "AUTHENTICATE PLAIN = ="]
        {
            assert!(body(bad).is_err(), "{bad}");
        }
    }
}
