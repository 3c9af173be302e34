//! What a token is good for.
//!
//! RFC 8620 has no scopes. Here each capability's URN is one, and a token with it may use that capability, as whoever asks lists it
//! in `using`. `urn:ietf:params:jmap:core` and the WebSocket come with any other. Who has logged in with a password may all.

use accounts::oauth::{Bearer, Scope};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jmap_proto::mail::MAIL;
use jmap_proto::session::CORE;
use jmap_proto::websocket::WEBSOCKET;
use serde_json::json;

use crate::blobs::BLOB;
use crate::registry::CAPABILITIES;

/// Those that show what messages are made of.
const BODIES: [&str; 2] = [MAIL, BLOB];

/// The scopes that there are.
pub fn scopes() -> impl Iterator<Item = &'static str> {
    CAPABILITIES.iter().map(|one| one.urn).filter(|urn| *urn != WEBSOCKET)
}

/// Lets through who may use anything here.
pub(crate) async fn require(request: Request, next: Next) -> Response {
    let bearer = request.extensions().get::<Bearer>();
    let refused = bearer.is_some_and(|bearer| !scopes().any(|scope| bearer.scope.has(scope)));
    // What is downloaded is of messages.
    let download = request.uri().path().starts_with("/jmap/download/");
    let bodies = bearer.is_some_and(|bearer| !BODIES.iter().any(|scope| bearer.scope.has(scope)));
    match (refused, download && bodies) {
        (true, _) => insufficient(CORE),
        (false, true) => insufficient(BODIES[0]),
        (false, false) => next.run(request).await,
    }
}

/// The first of the capabilities that a token is not good for.
pub(crate) fn lacking<'a>(scope: Option<&Scope>, using: &'a [String]) -> Option<&'a str> {
    let scope = scope?;
    let may = |urn: &str| urn == CORE || urn == WEBSOCKET || scope.has(urn);
    using.iter().map(String::as_str).find(|urn| !may(urn))
}

/// RFC 6750 §3.1
pub(crate) fn insufficient(scope: &str) -> Response {
    let told = format!("Bearer realm=\"godwit\", error=\"insufficient_scope\", scope=\"{scope}\"");
    let detail = format!("the token is not good for {scope}");
    let body = json!({"type": "about:blank", "status": 403, "detail": detail}).to_string();
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
    let mut response = (StatusCode::FORBIDDEN, kind, body).into_response();
    if let Ok(told) = HeaderValue::try_from(told) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, told);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_what_it_says() {
        let scope = Scope::parse("urn:ietf:params:jmap:mail openid");
        let lacks = |urns: &[&str]| {
            let using: Vec<String> = urns.iter().map(|urn| format!("urn:ietf:params:jmap:{urn}")).collect();
            lacking(Some(&scope), &using).map(str::to_owned)
        };
        assert_eq!(lacks(&["core", "mail", "websocket"]), None);
        assert_eq!(lacks(&["core", "submission"]).as_deref(), Some("urn:ietf:params:jmap:submission"));
        assert_eq!(lacking(None, &["urn:ietf:params:jmap:submission".to_owned()]), None, "a password");
    }

    #[test]
    fn every_capability_is_a_scope() {
        let all: Vec<&str> = scopes().collect();
        assert!(all.contains(&CORE) && BODIES.iter().all(|body| all.contains(body)), "{all:?}");
        assert!(!all.contains(&WEBSOCKET));
    }
}
