//! What a client is told of its user (OpenID Connect Core 1.0).

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::jws::encoded;

/// The scopes of OpenID Connect (Core §5.4) that there are.
pub const OPEN_ID_SCOPES: [&str; 3] = [OPEN_ID, "email", "profile"];

/// Without it a request is none of OpenID Connect (Core §3.1.2.1).
pub const OPEN_ID: &str = "openid";

/// What an id token says (Core §2).
#[derive(Clone, Copy, Debug)]
pub struct IdToken<'a> {
    /// By which name the provider is known to the client.
    pub issuer: &'a str,
    /// Who the user is: the same for ever, and nobody else's.
    pub subject: &'a str,
    /// For whom it is.
    pub client: &'a str,
    /// In seconds since the epoch.
    pub issued: i64,
    /// In seconds since the epoch.
    pub expires: i64,
    /// When the user logged in, in seconds since the epoch.
    pub authenticated: i64,
    /// What the client wants to see again.
    pub nonce: Option<&'a str>,
    /// The access token that comes with it.
    pub access: &'a str,
    /// Whether a code was shown besides the password.
    pub second: bool,
}

impl IdToken<'_> {
    /// As it is signed.
    pub fn claims(&self) -> Value {
        let mut claims = json!({
            "iss": self.issuer,
            "sub": self.subject,
            "aud": self.client,
            "azp": self.client,
            "iat": self.issued,
            "exp": self.expires,
            "auth_time": self.authenticated,
            "at_hash": half_hash(self.access),
        });
        if let Some(nonce) = self.nonce {
            claims["nonce"] = json!(nonce);
        }
        if self.second {
            // RFC 8176 §2
            claims["amr"] = json!(["pwd", "otp", "mfa"]);
        }
        claims
    }
}

/// `at_hash`: the left half of the hash that the signature's algorithm has (Core §3.1.3.6).
fn half_hash(token: &str) -> String {
    let hash = digest(&SHA256, token.as_bytes());
    encoded(hash.as_ref().get(..16).unwrap_or_default())
}

/// What the user info endpoint tells (Core §5.1, §5.3.2) who has been allowed these scopes (§5.4).
pub fn user_info(subject: &str, address: &str, name: &str, has: impl Fn(&str) -> bool) -> Value {
    let mut told = json!({"sub": subject});
    if has("email") {
        told["email"] = json!(address);
        // It is an address of this server, and what is sent there gets to nobody else.
        told["email_verified"] = json!(true);
    }
    if has("profile") && !name.is_empty() {
        told["name"] = json!(name);
    }
    if has("profile") {
        told["preferred_username"] = json!(address);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: IdToken<'_> = IdToken {
        issuer: "https://i.example",
        subject: "A1",
        client: "c",
        issued: 10,
        expires: 20,
        authenticated: 5,
        nonce: Some("n"),
        // The example of Core §A.3.
        access: "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
        second: false,
    };

    #[test]
    fn an_id_token_says_who_for_whom_and_since_when() {
        let claims = TOKEN.claims();
        let expected = json!({
            "iss": "https://i.example", "sub": "A1", "aud": "c", "azp": "c", "iat": 10, "exp": 20, "auth_time": 5,
            "nonce": "n", "at_hash": "77QmUPtjPfzWtF2AnpK9RQ",
        });
        assert_eq!(claims, expected);
        let claims = IdToken { nonce: None, second: true, ..TOKEN }.claims();
        assert_eq!((claims.get("nonce"), &claims["amr"]), (None, &json!(["pwd", "otp", "mfa"])));
    }

    #[test]
    fn a_client_is_told_what_it_was_allowed() {
        let told = |scopes: &[&str]| user_info("A1", "a@b.test", "Alice", |scope| scopes.contains(&scope));
        assert_eq!(told(&["openid"]), json!({"sub": "A1"}));
        assert_eq!(told(&["email"]), json!({"sub": "A1", "email": "a@b.test", "email_verified": true}));
        let profile = json!({"sub": "A1", "name": "Alice", "preferred_username": "a@b.test"});
        assert_eq!(told(&["profile"]), profile);
        assert_eq!(user_info("A1", "a@b.test", "", |scope| scope == "profile").get("name"), None);
    }
}
