//! Requests to the token endpoint (RFC 6749 §3.2), and how clients show who they are.

use crate::authorize::scope;
use crate::form::Form;
use crate::{Challenge, DEVICE_CODE, Error, ErrorCode, pkce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a client wants tokens for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenRequest {
    /// RFC 6749 §4.1.3
    Code {
        /// What the user was sent back with.
        code: String,
        /// Where to; must be the same as before.
        redirect_uri: Option<String>,
        /// What the verifier shows.
        challenge: Challenge,
    },
    /// RFC 6749 §6
    Refresh {
        /// The newest one.
        token: String,
        /// Less than was granted, or the same.
        scope: Option<String>,
    },
    /// RFC 8628 §3.4
    Device {
        /// What the device was given.
        code: String,
    },
}

impl TokenRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// `invalid_request`, `unsupported_grant_type`, `invalid_grant`.
    pub fn read(form: &Form) -> Result<TokenRequest, Error> {
        match form.need("grant_type")? {
            "authorization_code" => {
                let verifier = form.need("code_verifier")?;
                let challenge = pkce::challenge_of(verifier).ok_or_else(|| {
                    Error::new(ErrorCode::InvalidRequest, "code_verifier has 43 to 128 characters")
                })?;
                let redirect_uri = form.get("redirect_uri").map(str::to_owned);
                Ok(TokenRequest::Code { code: form.need("code")?.to_owned(), redirect_uri, challenge })
            }
            "refresh_token" => {
                let token = form.need("refresh_token")?.to_owned();
                Ok(TokenRequest::Refresh { token, scope: scope(form)? })
            }
            DEVICE_CODE => Ok(TokenRequest::Device { code: form.need("device_code")?.to_owned() }),
            _ => Err(Error::new(ErrorCode::UnsupportedGrantType, "that grant type is not known here")),
        }
    }

    /// The grant type.
    pub fn grant_type(&self) -> &'static str {
        match self {
            TokenRequest::Code { .. } => "authorization_code",
            TokenRequest::Refresh { .. } => "refresh_token",
            TokenRequest::Device { .. } => DEVICE_CODE,
        }
    }
}

/// A client's id and secret in `Authorization` (RFC 6749 §2.3.1): both are encoded as in a form before they become Basic's.
pub fn client_of_basic(field: &str) -> Option<(String, String)> {
    let (scheme, rest) = field.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || rest.len() > 4096 {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let read = |text: &str| {
        let form = Form::parse(format!("a={text}").as_bytes()).ok()?;
        form.get("a").map(str::to_owned)
    };
    Some((read(id)?, read(secret).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn read(text: &str) -> Result<TokenRequest, ErrorCode> {
        TokenRequest::read(&Form::parse(text.as_bytes()).unwrap()).map_err(|error| error.code)
    }

    #[test]
    fn requests_are_read() {
        let code = read(&format!("grant_type=authorization_code&code=x&code_verifier={VERIFIER}")).unwrap();
        assert_eq!(code.grant_type(), "authorization_code");
        let refresh = read("grant_type=refresh_token&refresh_token=x&scope=a").unwrap();
        assert_eq!(refresh, TokenRequest::Refresh { token: "x".into(), scope: Some("a".into()) });
    }

    #[test]
    fn each_parameter_is_looked_at() {
        use ErrorCode::*;
        for (text, code) in [
            ("", InvalidRequest),
            ("grant_type=", InvalidRequest),
            ("grant_type=password&username=a&password=b", UnsupportedGrantType),
            ("grant_type=client_credentials", UnsupportedGrantType),
            ("grant_type=authorization_code", InvalidRequest),
            ("grant_type=authorization_code&code=x", InvalidRequest),
            ("grant_type=authorization_code&code=x&code_verifier=short", InvalidRequest),
            ("grant_type=refresh_token", InvalidRequest),
            ("grant_type=urn:ietf:params:oauth:grant-type:device_code", InvalidRequest),
            ("grant_type=refresh_token&refresh_token=x&scope=%22", InvalidScope),
        ] {
            assert_eq!(read(text), Err(code), "{text}");
        }
        let without = format!("grant_type=authorization_code&code_verifier={VERIFIER}");
        assert_eq!(read(&without), Err(InvalidRequest));
    }

    /// RFC 6749 §2.3.1's example.
    #[test]
    fn a_client_in_basic() {
        let found = client_of_basic("Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW");
        assert_eq!(found, Some(("s6BhdRkqt3".into(), "gX1fBat3bV".into())));
        let encoded = STANDARD.encode("a%3Ab:c%2Bd");
        assert_eq!(client_of_basic(&format!("basic {encoded}")), Some(("a:b".into(), "c+d".into())));
        for bad in ["", "Basic", "Basic !", "Bearer czZCaGRSa3F0MzpnWDFmQmF0M2JW", "Basic YQ==", "Basic Og=="]
        {
            assert_eq!(client_of_basic(bad), None, "{bad}");
        }
    }
}
