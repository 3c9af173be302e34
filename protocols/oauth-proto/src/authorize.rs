//! The authorization request (RFC 6749 §4.1.1) and its answers.

use crate::form::encode;
use crate::{Challenge, Error, ErrorCode, Form, pkce};

/// Longest `state` and `nonce`, in octets.
const MAX_STATE: usize = 2048;

/// Where the answer goes, and what the client wants to see in it. Read first: as long as it is not known nobody is sent
/// anywhere (RFC 6749 §4.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// Who asks.
    pub client: String,
    /// Where the answer goes; the only one that the client has registered, if it names none.
    pub redirect_uri: Option<String>,
    /// To be given back as it is.
    pub state: Option<String>,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorize {
    /// Who must show the verifier.
    pub challenge: Challenge,
    /// What for, as text.
    pub scope: Option<String>,
    /// To be given back in an id token.
    pub nonce: Option<String>,
    /// As whom the client thinks that the user logs in.
    pub login_hint: Option<String>,
    /// No page is to be shown (OpenID Connect Core §3.1.2.1).
    pub silent: bool,
    /// An id token of whom the client expects (OpenID Connect Core §3.1.2.1), not looked at.
    pub id_token_hint: Option<String>,
    /// For which servers the token is to be (RFC 8707).
    pub resource: Option<String>,
}

impl Stated {
    /// Reads who asks.
    ///
    /// # Errors
    /// What a page tells the user.
    pub fn read(form: &Form) -> Result<Stated, Error> {
        let text = |name| form.get(name).map(str::to_owned);
        let client = form.need("client_id")?.to_owned();
        Ok(Stated { client, redirect_uri: text("redirect_uri"), state: text("state") })
    }

    /// Where the user is sent with an answer: `redirect_uri` with parameters added (RFC 6749 §4.1.2), and who has answered
    /// (RFC 9207 §2).
    pub fn answer(&self, redirect_uri: &str, issuer: &str, parameters: &[(&str, &str)]) -> String {
        let mut out = redirect_uri.to_owned();
        let state = self.state.as_deref().map(|state| ("state", state));
        for (name, value) in parameters.iter().copied().chain(state).chain([("iss", issuer)]) {
            out.push(if out.contains('?') { '&' } else { '?' });
            out.push_str(name);
            out.push('=');
            encode(value, &mut out);
        }
        out
    }

    /// The same with an error (RFC 6749 §4.1.2.1).
    pub fn refusal(&self, redirect_uri: &str, issuer: &str, error: &Error) -> String {
        let parameters = [("error", error.code.name()), ("error_description", &error.detail)];
        self.answer(redirect_uri, issuer, &parameters)
    }
}

impl Authorize {
    /// Reads what is asked for.
    ///
    /// # Errors
    /// What the client is told.
    pub fn read(form: &Form) -> Result<Authorize, Error> {
        let invalid = |detail| Error::new(ErrorCode::InvalidRequest, detail);
        if form.get("request").is_some() {
            return Err(Error::new(ErrorCode::RequestNotSupported, "request is not supported"));
        }
        if form.get("request_uri").is_some() {
            return Err(Error::new(ErrorCode::RequestUriNotSupported, "request_uri is not supported"));
        }
        if form.get("registration").is_some() {
            return Err(Error::new(ErrorCode::RegistrationNotSupported, "registration is not supported"));
        }
        if form.need("response_type")? != "code" {
            return Err(Error::new(ErrorCode::UnsupportedResponseType, "response_type is code"));
        }
        if form.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(invalid("response_mode is query"));
        }
        // RFC 7636 §4.3: without a method it would be `plain`.
        if form.get("code_challenge").is_some() && form.get("code_challenge_method") != Some("S256") {
            return Err(invalid("code_challenge_method is S256"));
        }
        let challenge = pkce::challenge(form.need("code_challenge")?);
        let challenge = challenge.ok_or_else(|| invalid("code_challenge is not SHA-256 in base64url"))?;
        for name in ["state", "nonce"] {
            if form.get(name).is_some_and(|value| value.len() > MAX_STATE) {
                return Err(invalid("state or nonce is too long"));
            }
        }
        // Who logs in does so now, whatever the age is that is asked for.
        if form.get("max_age").is_some_and(|age| age.parse::<u32>().is_err()) {
            return Err(invalid("max_age is a number of seconds"));
        }
        let silent = silent(form.get("prompt").unwrap_or_default())?;
        let text = |name| form.get(name).map(str::to_owned);
        let scope = scope(form)?;
        let (nonce, login_hint, resource) = (text("nonce"), text("login_hint"), text("resource"));
        let id_token_hint = text("id_token_hint");
        Ok(Authorize { challenge, scope, nonce, login_hint, silent, id_token_hint, resource })
    }
}

/// Whether no page is to be shown (OpenID Connect Core §3.1.2.1): not together with anything that takes one. What is shown otherwise
/// asks for login and consent always; prompts that are not known ask for nothing.
fn silent(prompt: &str) -> Result<bool, Error> {
    let silent = prompt.split(' ').any(|one| one == "none");
    match silent && prompt != "none" {
        true => Err(Error::new(ErrorCode::InvalidRequest, "prompt none stands alone")),
        false => Ok(silent),
    }
}

/// What is asked for: RFC 6749 §3.3, `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`.
///
/// # Errors
/// `invalid_scope`.
pub fn scope(form: &Form) -> Result<Option<String>, Error> {
    let Some(text) = form.get("scope") else { return Ok(None) };
    let is_token = |byte: u8| byte == 0x21 || (0x23..=0x5b).contains(&byte) || (0x5d..=0x7e).contains(&byte);
    if text.len() > MAX_STATE || !text.bytes().all(|byte| byte == b' ' || is_token(byte)) {
        return Err(Error::new(ErrorCode::InvalidScope, "scope has characters that it cannot have"));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn form(parameters: &[(&str, &str)]) -> Form {
        let mut text = String::new();
        for (name, value) in parameters {
            text.push_str(name);
            text.push('=');
            encode(value, &mut text);
            text.push('&');
        }
        Form::parse(text.as_bytes()).unwrap()
    }

    fn read(changed: &[(&str, &str)]) -> Result<Authorize, Error> {
        let mut all = vec![
            ("response_type", "code"),
            ("client_id", "c"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("scope", "a b"),
        ];
        all.retain(|(name, _)| changed.iter().all(|(other, _)| other != name));
        all.extend(changed);
        Authorize::read(&form(&all))
    }

    #[test]
    fn a_request_is_read() {
        let asked = read(&[("nonce", "n"), ("prompt", "none"), ("login_hint", "a@b")]).unwrap();
        assert_eq!((asked.scope.as_deref(), asked.nonce.as_deref()), (Some("a b"), Some("n")));
        assert!(asked.silent);
        for more in [("prompt", "login consent"), ("prompt", "unknown"), ("max_age", "0"), ("claims", "{")] {
            assert!(!read(&[more]).unwrap().silent, "{more:?}");
        }
    }

    #[test]
    fn each_parameter_is_looked_at() {
        use ErrorCode::*;
        let long = "x".repeat(2049);
        for (name, value, code) in [
            ("response_type", "", InvalidRequest),
            ("response_type", "token", UnsupportedResponseType),
            ("response_type", "code id_token", UnsupportedResponseType),
            ("response_mode", "fragment", InvalidRequest),
            ("code_challenge", "", InvalidRequest),
            ("code_challenge", "short", InvalidRequest),
            ("code_challenge_method", "", InvalidRequest),
            ("code_challenge_method", "plain", InvalidRequest),
            ("scope", "a \"b\"", InvalidScope),
            ("scope", "é", InvalidScope),
            ("scope", &long, InvalidScope),
            ("state", &long, InvalidRequest),
            ("nonce", &long, InvalidRequest),
            ("request", "x", RequestNotSupported),
            ("request_uri", "x", RequestUriNotSupported),
            ("registration", "x", RegistrationNotSupported),
            ("prompt", "login none", InvalidRequest),
            ("max_age", "-1", InvalidRequest),
            ("max_age", "x", InvalidRequest),
        ] {
            assert_eq!(read(&[(name, value)]).unwrap_err().code, code, "{name} {value}");
        }
    }

    /// RFC 6749 §4.1.2, RFC 9207 §2
    #[test]
    fn an_answer_is_added_to_what_is_there() {
        let form =
            form(&[("client_id", "c"), ("state", "x&y=z"), ("redirect_uri", "https://a.example/?b=c")]);
        let stated = Stated::read(&form).unwrap();
        let to = stated.redirect_uri.clone().unwrap();
        assert_eq!(
            stated.answer(&to, "https://i.example", &[("code", "SplxlOBe")]),
            "https://a.example/?b=c&code=SplxlOBe&state=x%26y%3Dz&iss=https%3A%2F%2Fi.example"
        );
        let error = Error::new(ErrorCode::AccessDenied, "the user said no");
        assert_eq!(
            Stated { state: None, ..stated }.refusal("com.example:/b", "https://i.example", &error),
            "com.example:/b?error=access_denied&error_description=the%20user%20said%20no\
             &iss=https%3A%2F%2Fi.example"
        );
        assert_eq!(Stated::read(&Form::default()).unwrap_err().code, ErrorCode::InvalidRequest);
    }
}
