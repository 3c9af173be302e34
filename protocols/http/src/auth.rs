//! Login: Basic (RFC 7617) and Bearer (RFC 6750), decided by the same authenticator as every other protocol's. Who has come by
//! a token is told from who has not by a [`Bearer`] among the request's extensions, which says what for. By what anybody has come in
//! is a [`Proof`] among them.

use std::sync::Arc;

use accounts::oauth::Bearer;
use accounts::{AuthFailure, AuthRequest, Authenticator, Identity, Proof, Secret, TokenShown};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::site::RATE_LIMIT;
use crate::{Client, Problem};

/// Longest credentials, in octets.
const MAX: usize = 8 * 1024;

/// Lets in who may come in.
#[derive(Clone)]
pub struct Guard {
    /// Who decides.
    pub authenticator: Arc<dyn Authenticator>,
    /// Whether a password may cross a connection without TLS that comes from loopback. From anywhere else it never may.
    pub plaintext_from_loopback: bool,
    /// The path of what says where tokens come from (RFC 9728 §3); none where there are none.
    pub metadata: Option<&'static str>,
}

/// What a client shows.
enum Credentials {
    /// A login name and a password.
    Basic(String, Secret),
    /// A token.
    Bearer(Secret),
}

/// Somebody who may come in.
struct Admitted {
    identity: Identity,
    proof: Proof,
    bearer: Option<Bearer>,
}

/// Lets a request through with an [`Identity`], or answers why not.
pub(crate) async fn require(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let client = request.extensions().get::<Client>().copied();
    let shown = credentials(request.headers());
    let by_token = matches!(shown, Some(Credentials::Bearer(_)));
    match guard.decide(client, shown).await {
        Ok(Admitted { identity, proof, bearer }) => {
            request.extensions_mut().insert(identity);
            request.extensions_mut().insert(proof);
            if let Some(bearer) = bearer {
                request.extensions_mut().insert(bearer);
            }
            next.run(request).await
        }
        Err(problem) => {
            let mut response = problem.into_response();
            if response.status() == StatusCode::UNAUTHORIZED
                && let Some(told) = guard.bearer_challenge(request.uri(), by_token)
            {
                response.headers_mut().append(header::WWW_AUTHENTICATE, told);
            }
            response
        }
    }
}

impl Guard {
    async fn decide(&self, client: Option<Client>, shown: Option<Credentials>) -> Result<Admitted, Problem> {
        let client = client.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "who are you?"))?;
        let safe = client.tls || (self.plaintext_from_loopback && client.is_here());
        if !safe {
            return Err(Problem::new(StatusCode::FORBIDDEN, "use https to log in"));
        }
        let remote = client.peer.ip();
        let decision = match shown {
            None => return Err(challenge("log in first")),
            Some(Credentials::Basic(login, password)) => {
                let request = AuthRequest { mechanism: "BASIC", login: &login, password: &password, remote };
                self.authenticator.authenticate(request).await
            }
            Some(Credentials::Bearer(token)) => {
                let shown = TokenShown { token: &token, login: None, remote };
                let decision = self.authenticator.bearer(shown).await;
                let bearer = decision.map_err(|failure| match failure {
                    AuthFailure::Invalid => challenge("the token is not valid"),
                    other => failed(other),
                })?;
                let (identity, proof) = (bearer.identity.clone(), Proof::Token(bearer.grant));
                return Ok(Admitted { identity, proof, bearer: Some(bearer) });
            }
        };
        let admitted = |one: accounts::Admitted| {
            let (identity, proof) = (one.identity, one.proof);
            Admitted { identity, proof, bearer: None }
        };
        decision.map(admitted).map_err(failed)
    }

    /// The challenge for who is not let in (RFC 6750 §3), which says where tokens come from (RFC 9728 §5.1).
    fn bearer_challenge(&self, uri: &Uri, shown: bool) -> Option<HeaderValue> {
        let mut told = "Bearer realm=\"godwit\"".to_owned();
        if shown {
            // RFC 6750 §3.1
            told.push_str(", error=\"invalid_token\"");
        }
        match (self.metadata, uri.scheme_str(), uri.authority()) {
            (Some(path), Some(scheme), Some(authority)) => {
                told.push_str(&format!(", resource_metadata=\"{scheme}://{authority}{path}\""));
            }
            _ if !shown => return None,
            _ => {}
        }
        HeaderValue::try_from(told).ok()
    }
}
/// RFC 9110 §11.6.1: a 401 says how to log in.
fn challenge(detail: &str) -> Problem {
    let basic = "Basic realm=\"godwit\", charset=\"UTF-8\"";
    Problem::new(StatusCode::UNAUTHORIZED, detail).header(header::WWW_AUTHENTICATE, basic)
}

/// A wrong name and a wrong password are told alike.
fn failed(failure: AuthFailure) -> Problem {
    match failure {
        AuthFailure::Invalid => challenge("wrong name or password"),
        AuthFailure::Disabled => Problem::new(StatusCode::FORBIDDEN, "the account is disabled"),
        AuthFailure::RateLimited => {
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many attempts, wait a while");
            problem.header(header::RETRY_AFTER, "60").header(RATE_LIMIT, "\"login\";r=0;t=60")
        }
        AuthFailure::TemporarilyUnavailable => {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "try again later");
            problem.header(header::RETRY_AFTER, "5")
        }
    }
}

/// The credentials of a request; none for what is none, or more than one.
fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (fields.next()?, fields.next()) else { return None };
    let value = value.to_str().ok().filter(|value| value.len() <= MAX)?;
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return (!rest.is_empty()).then(|| Credentials::Bearer(Secret::new(rest)));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    // RFC 7617 §2: the name ends at the first colon; §2.1: both are UTF-8.
    let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (login, password) = text.split_once(':')?;
    Some(Credentials::Basic(login.to_owned(), Secret::new(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<Credentials> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        credentials(&headers)
    }

    /// RFC 7617 §2, §2.1
    #[test]
    fn the_rfcs_examples() {
        for (value, login, password) in [
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),
            ("bAsIc dGVzdDoxMjPCow==", "test", "123£"),
            ("Basic YTpiOmM=", "a", "b:c"),
        ] {
            let Some(Credentials::Basic(name, secret)) = read(value) else { panic!("{value}") };
            assert_eq!((name.as_str(), secret.expose()), (login, password));
        }
        assert!(matches!(read("Bearer mF_9.B5f-4.1JqM"), Some(Credentials::Bearer(_))));
        for bad in ["Basic", "Basic !", "Basic YQ==", "Basic /w==", "Bearer ", "Digest a=b", "Basic  "] {
            assert!(read(bad).is_none(), "{bad}");
        }
        let mut two = HeaderMap::new();
        two.append(header::AUTHORIZATION, "Basic YTpi".parse().unwrap());
        two.append(header::AUTHORIZATION, "Basic YTpj".parse().unwrap());
        assert!(credentials(&two).is_none());
    }
}
