//! What servers say of themselves (RFC 8414, OpenID Connect Discovery, RFC 9728).

use serde_json::{Value, json};

use crate::id_token::OPEN_ID_SCOPES;
use crate::jws::ALGORITHM;

/// Paths of endpoints.
#[derive(Clone, Copy, Debug)]
pub struct Endpoints {
    /// RFC 6749 §3.1
    pub authorize: &'static str,
    /// RFC 6749 §3.2
    pub token: &'static str,
    /// RFC 7009
    pub revoke: &'static str,
    /// RFC 7662
    pub introspect: &'static str,
    /// RFC 7591
    pub register: &'static str,
    /// RFC 8628 §3.1
    pub device: &'static str,
    /// OpenID Connect Core §5.3
    pub user_info: &'static str,
    /// RFC 7517
    pub keys: &'static str,
}

/// The provider of OpenID Connect (Discovery §3): all that [`server`] says, and more.
pub fn provider<'a>(issuer: &str, at: &Endpoints, scopes: impl Iterator<Item = &'a str>) -> Value {
    let mut told = server(issuer, at, scopes.chain(OPEN_ID_SCOPES));
    let more = [
        ("userinfo_endpoint", json!(format!("{issuer}{}", at.user_info))),
        ("jwks_uri", json!(format!("{issuer}{}", at.keys))),
        ("subject_types_supported", json!(["public"])),
        ("id_token_signing_alg_values_supported", json!([ALGORITHM])),
        ("claim_types_supported", json!(["normal"])),
        ("claims_supported", json!(CLAIMS)),
        ("claims_parameter_supported", json!(false)),
        ("prompt_values_supported", json!(["none", "login", "consent"])),
    ];
    for (name, value) in more {
        told[name] = value;
    }
    told
}

/// What clients may be told of users, in id tokens and by the user info endpoint.
const CLAIMS: [&str; 14] = [
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "at_hash",
    "amr",
    "email",
    "email_verified",
    "name",
    "preferred_username",
];

/// The authorization server (RFC 8414 §2).
pub fn server<'a>(issuer: &str, at: &Endpoints, scopes: impl Iterator<Item = &'a str>) -> Value {
    let methods = json!(["client_secret_basic", "client_secret_post", "none"]);
    let scopes: Vec<&str> = scopes.collect();
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}{}", at.authorize),
        "token_endpoint": format!("{issuer}{}", at.token),
        "revocation_endpoint": format!("{issuer}{}", at.revoke),
        "introspection_endpoint": format!("{issuer}{}", at.introspect),
        "registration_endpoint": format!("{issuer}{}", at.register),
        "device_authorization_endpoint": format!("{issuer}{}", at.device),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", crate::DEVICE_CODE],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        // RFC 9207 §3
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    })
}

/// What tokens are for (RFC 9728 §2).
pub fn protected_resource<'a>(resource: &str, issuer: &str, scopes: impl Iterator<Item = &'a str>) -> Value {
    let scopes: Vec<&str> = scopes.collect();
    json!({
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": scopes,
        "bearer_methods_supported": ["header"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_below_the_issuer() {
        let (authorize, token, revoke, introspect) = ("/a", "/t", "/r", "/i");
        let (register, device, user_info, keys) = ("/c", "/d", "/u", "/k");
        let at = Endpoints { authorize, token, revoke, introspect, register, device, user_info, keys };
        let told = server("https://i.example", &at, ["s"].into_iter());
        assert_eq!(told["issuer"], "https://i.example");
        assert_eq!(told["token_endpoint"], "https://i.example/t");
        assert_eq!(told["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!((&told["scopes_supported"], told.get("jwks_uri")), (&json!(["s"]), None));
        let told = provider("https://i.example", &at, ["s"].into_iter());
        assert_eq!(told["jwks_uri"], "https://i.example/k");
        assert_eq!(told["userinfo_endpoint"], "https://i.example/u");
        assert_eq!(told["id_token_signing_alg_values_supported"], json!(["RS256"]));
        assert_eq!(told["scopes_supported"], json!(["s", "openid", "email", "profile"]));
        // Core §6: what is not said is that it is.
        assert_eq!(told["request_uri_parameter_supported"], json!(false));
        let told = protected_resource("https://r.example", "https://i.example", ["s"].into_iter());
        assert_eq!(
            (&told["resource"], &told["scopes_supported"]),
            (&json!("https://r.example"), &json!(["s"]))
        );
    }
}
