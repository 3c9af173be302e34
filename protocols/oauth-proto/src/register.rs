//! What a client says of itself (RFC 7591 §2), and what it is told (§3.2.1).

use crate::jws::ALGORITHM;
use crate::{Error, ErrorCode, redirect};
use serde::Deserialize;
use serde_json::{Value, json};

/// Most redirect URIs.
const MAX_URIS: usize = 16;
/// Longest name and URI, in octets.
const MAX_TEXT: usize = 256;
/// Longest scope, in octets.
const MAX_SCOPE: usize = 1024;
/// Ways to show a secret; the last one is to have none.
const METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];
/// Grant types that there are.
const GRANT_TYPES: [&str; 3] = ["authorization_code", "refresh_token", DEVICE_CODE];

/// The grant type of devices (RFC 8628 §3.4).
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A client, as it wants to be known. What is not known here is passed over (RFC 7591 §2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Registration {
    /// Where users may be sent back to.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// How it shows its secret.
    #[serde(default)]
    pub token_endpoint_auth_method: Option<String>,
    /// The grant types that it uses.
    #[serde(default)]
    pub grant_types: Option<Vec<String>>,
    /// What it wants from the authorization endpoint.
    #[serde(default)]
    pub response_types: Option<Vec<String>>,
    /// For people to read.
    #[serde(default)]
    pub client_name: Option<String>,
    /// Its page.
    #[serde(default)]
    pub client_uri: Option<String>,
    /// What it may ask for.
    #[serde(default)]
    pub scope: Option<String>,
    /// By which algorithm id tokens are signed for it (OpenID Connect Registration §2).
    #[serde(default)]
    pub id_token_signed_response_alg: Option<String>,
    /// Whether users are known to it by the same names as to others (OpenID Connect Registration §2).
    #[serde(default)]
    pub subject_type: Option<String>,
}

impl Registration {
    /// Reads a registration, and fills in what RFC 7591 §2 has for what is not said.
    ///
    /// # Errors
    /// `invalid_redirect_uri`, `invalid_client_metadata`.
    pub fn read(body: &[u8]) -> Result<Registration, Error> {
        let invalid = |detail| Error::new(ErrorCode::InvalidClientMetadata, detail);
        let mut read: Registration =
            serde_json::from_slice(body).map_err(|_| invalid("that is no client metadata"))?;
        let method = read.token_endpoint_auth_method.get_or_insert_with(|| METHODS[0].to_owned());
        if !METHODS.contains(&method.as_str()) {
            return Err(invalid("that token_endpoint_auth_method is not known here"));
        }
        let types = read.grant_types.get_or_insert_with(|| vec![GRANT_TYPES[0].to_owned()]);
        types.sort();
        types.dedup();
        if types.iter().any(|one| !GRANT_TYPES.contains(&one.as_str())) {
            return Err(invalid("a grant type is not known here"));
        }
        let codes = types.iter().any(|one| one == GRANT_TYPES[0]);
        let devices = types.iter().any(|one| one == DEVICE_CODE);
        let wanted = if codes { vec!["code".to_owned()] } else { Vec::new() };
        let responses = read.response_types.get_or_insert_with(|| wanted.clone());
        // RFC 7591 §2.1
        if *responses != wanted || !(codes || devices) {
            return Err(invalid("the grant type authorization_code and the response type code go together"));
        }
        let other = |said: &Option<String>, only: &str| said.as_ref().is_some_and(|said| said != only);
        if other(&read.id_token_signed_response_alg, ALGORITHM) || other(&read.subject_type, "public") {
            return Err(invalid("id tokens are signed by RS256, and subjects are public"));
        }
        read.check_texts()?;
        read.check_uris(codes)?;
        Ok(read)
    }

    fn check_texts(&self) -> Result<(), Error> {
        let invalid = |detail| Error::new(ErrorCode::InvalidClientMetadata, detail);
        let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > MAX_TEXT);
        let scope = self.scope.as_ref().is_some_and(|scope| scope.len() > MAX_SCOPE);
        if long(&self.client_name) || long(&self.client_uri) || scope {
            return Err(invalid("client_name, client_uri or scope is too long"));
        }
        if self.client_name.as_ref().is_some_and(|name| name.chars().any(misleads)) {
            return Err(invalid("client_name has characters that are not seen"));
        }
        let uri = self.client_uri.as_deref().unwrap_or("https://a");
        if !uri.starts_with("https://") || !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid("client_uri is https"));
        }
        if self.scope.as_ref().is_some_and(|scope| !scope.bytes().all(|b| b == b' ' || b.is_ascii_graphic()))
        {
            return Err(invalid("scope has characters that it cannot have"));
        }
        Ok(())
    }

    fn check_uris(&self, needed: bool) -> Result<(), Error> {
        let invalid = |detail| Error::new(ErrorCode::InvalidRedirectUri, detail);
        if (needed && self.redirect_uris.is_empty()) || self.redirect_uris.len() > MAX_URIS {
            return Err(invalid("there are 1 to 16 redirect_uris"));
        }
        match self.redirect_uris.iter().find_map(|uri| redirect::register_problem(uri)) {
            Some(problem) => Err(invalid(problem)),
            None => Ok(()),
        }
    }
}

/// Characters that change what is read before or behind them, or are not seen.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What a client is told that has been registered (RFC 7591 §3.2.1).
pub fn registered(id: &str, secret: Option<&str>, issued_seconds: i64, says: &Registration) -> Value {
    let mut told = json!({
        "client_id": id,
        "client_id_issued_at": issued_seconds,
        "redirect_uris": says.redirect_uris,
        "token_endpoint_auth_method": says.token_endpoint_auth_method,
        "grant_types": says.grant_types,
        "response_types": says.response_types,
    });
    let texts = [
        ("client_name", &says.client_name),
        ("client_uri", &says.client_uri),
        ("scope", &says.scope),
        ("id_token_signed_response_alg", &says.id_token_signed_response_alg),
        ("subject_type", &says.subject_type),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            told[name] = json!(value);
        }
    }
    if let Some(secret) = secret {
        told["client_secret"] = json!(secret);
        // It does not expire.
        told["client_secret_expires_at"] = json!(0);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &Value) -> Result<Registration, ErrorCode> {
        Registration::read(value.to_string().as_bytes()).map_err(|error| error.code)
    }

    #[test]
    fn what_is_not_said_is_filled_in() {
        let short = read(&json!({"redirect_uris": ["https://a.example/b"], "jwks": 5})).unwrap();
        assert_eq!(short.token_endpoint_auth_method.as_deref(), Some("client_secret_basic"));
        assert_eq!(short.grant_types.as_deref(), Some(&["authorization_code".to_owned()][..]));
        let device = read(&json!({"grant_types": [DEVICE_CODE]})).unwrap();
        assert_eq!((device.response_types.as_deref(), device.redirect_uris.len()), (Some(&[][..]), 0));
        let told = registered("id", Some("s"), 5, &short);
        assert_eq!((&told["client_secret"], &told["client_secret_expires_at"]), (&json!("s"), &json!(0)));
        assert_eq!((&told["response_types"], &told["client_name"]), (&json!(["code"]), &Value::Null));
    }

    #[test]
    fn each_value_is_looked_at() {
        use ErrorCode::*;
        let uris = json!(["https://a.example/b"]);
        for (name, value, code) in [
            ("redirect_uris", json!([]), InvalidRedirectUri),
            ("redirect_uris", json!(["http://a.example/"]), InvalidRedirectUri),
            ("redirect_uris", json!(vec!["https://a.example/b"; 17]), InvalidRedirectUri),
            ("redirect_uris", json!("https://a.example/b"), InvalidClientMetadata),
            ("token_endpoint_auth_method", json!("private_key_jwt"), InvalidClientMetadata),
            ("grant_types", json!(["password"]), InvalidClientMetadata),
            ("grant_types", json!(["refresh_token"]), InvalidClientMetadata),
            ("grant_types", json!([]), InvalidClientMetadata),
            ("response_types", json!(["token"]), InvalidClientMetadata),
            ("client_name", json!("a".repeat(257)), InvalidClientMetadata),
            ("client_name", json!("moc.elgoog\u{202e}"), InvalidClientMetadata),
            ("client_uri", json!("javascript:x"), InvalidClientMetadata),
            ("scope", json!("é"), InvalidClientMetadata),
            ("id_token_signed_response_alg", json!("none"), InvalidClientMetadata),
            ("subject_type", json!("pairwise"), InvalidClientMetadata),
        ] {
            let mut all = json!({"redirect_uris": uris});
            all[name] = value;
            assert_eq!(read(&all).unwrap_err(), code, "{all}");
        }
        assert_eq!(Registration::read(b"\xff").unwrap_err().code, InvalidClientMetadata);
        assert_eq!(Registration::read("[".repeat(5000).as_bytes()).unwrap_err().code, InvalidClientMetadata);
    }
}
