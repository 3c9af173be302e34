//! The user info endpoint (OpenID Connect Core §5.3), which tokens open as they open any resource (RFC 6750).

use std::sync::Arc;

use accounts::oauth::Bearer;
use accounts::{AuthFailure, Secret, TokenShown};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use oauth_proto::{Error, ErrorCode, OPEN_ID, user_info};

use crate::answer::{self, Refused};
use crate::{Remote, Server};

/// Longest token, in octets.
const MAX: usize = 1024;

/// Why somebody is not told.
enum Denied {
    /// There is no token (RFC 6750 §3.1: then nothing is said of what is wrong).
    None,
    /// What is wrong with it.
    Token(Error),
    /// Otherwise.
    Refused(Refused),
}

impl std::convert::From<Refused> for Denied {
    fn from(refused: Refused) -> Self {
        Denied::Refused(refused)
    }
}

pub(crate) async fn show(
    State(server): State<Arc<Server>>,
    from: answer::From,
    request: Request,
) -> Response {
    let shown = match answer::safe(from) {
        Ok(remote) => server.user_info(remote, request.headers()).await,
        Err(refused) => Err(refused.into()),
    };
    match shown {
        Ok(response) => answer::give("userinfo", Ok(response)),
        Err(Denied::Refused(refused)) => answer::give("userinfo", Err(refused)),
        Err(Denied::None) => answer::count("userinfo", "no_token", challenge(None)),
        Err(Denied::Token(error)) => answer::count("userinfo", error.code.name(), challenge(Some(&error))),
    }
}

impl Server {
    async fn user_info(&self, remote: Remote, headers: &HeaderMap) -> Result<Response, Denied> {
        let token = shown(headers)?;
        let shown = TokenShown { token: &token, login: None, remote: remote.address };
        let bearer = self.services.authenticator.bearer(shown).await.map_err(|failure| match failure {
            AuthFailure::RateLimited => Refused::TooMany.into(),
            AuthFailure::TemporarilyUnavailable => Refused::Away.into(),
            AuthFailure::Invalid | AuthFailure::Disabled => {
                Denied::Token(Error::new(ErrorCode::InvalidToken, "the token is not good, or not any more"))
            }
        })?;
        let Bearer { identity, scope, .. } = bearer;
        if !scope.has(OPEN_ID) {
            let error = Error::new(ErrorCode::InsufficientScope, "the token is not good for openid");
            return Err(Denied::Token(error));
        }
        let subject = identity.account.to_string();
        let told = user_info(&subject, &identity.address, &identity.display_name, |one| scope.has(one));
        Ok(answer::json(StatusCode::OK, &told))
    }
}

/// The token, in the one place where it may be (RFC 6750 §2.1).
fn shown(headers: &HeaderMap) -> Result<Secret, Denied> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (field, other) = (fields.next().ok_or(Denied::None)?, fields.next());
    let bad = || Denied::Token(Error::new(ErrorCode::InvalidRequest, "one token is shown, as Bearer"));
    let text = field.to_str().map_err(|_| bad())?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Denied::None);
    }
    let token = token.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if other.is_some() || token.is_empty() || token.len() > MAX || !token.bytes().all(plain) {
        return Err(bad());
    }
    Ok(Secret::new(token))
}

/// RFC 6750 §3, §3.1
fn challenge(error: Option<&Error>) -> Response {
    let Some(error) = error else {
        let told = [(header::WWW_AUTHENTICATE, "Bearer realm=\"godwit\"")];
        return (StatusCode::UNAUTHORIZED, told).into_response();
    };
    let (status, scope) = match error.code {
        ErrorCode::InvalidRequest => (StatusCode::BAD_REQUEST, ""),
        ErrorCode::InsufficientScope => (StatusCode::FORBIDDEN, ", scope=\"openid\""),
        _ => (StatusCode::UNAUTHORIZED, ""),
    };
    let (name, detail) = (error.code.name(), &error.detail);
    let told = format!("Bearer realm=\"godwit\", error=\"{name}\", error_description=\"{detail}\"{scope}");
    let mut response = answer::json(status, &error.json());
    if let Ok(told) = HeaderValue::try_from(told) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, told);
    }
    response
}
