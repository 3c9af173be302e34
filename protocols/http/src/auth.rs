//! Login: Basic (RFC 7617) and Bearer (RFC 6750), decided by the same authenticator as every other protocol's.

use std::sync::Arc;

use accounts::{AuthFailure, AuthRequest, Authenticator, Identity, Secret};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

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
}

/// What a client shows.
enum Credentials {
    /// A login name and a password.
    Basic(String, Secret),
    /// A token.
    Bearer(Secret),
}

/// Lets a request through with an [`Identity`], or answers why not.
pub(crate) async fn require(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let client = request.extensions().get::<Client>().copied();
    let shown = credentials(request.headers());
    match guard.decide(client, shown).await {
        Ok(identity) => {
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl Guard {
    async fn decide(&self, client: Option<Client>, shown: Option<Credentials>) -> Result<Identity, Problem> {
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
                return self.authenticator.bearer(&token, remote).await.map_err(|failure| match failure {
                    // RFC 6750 §3.1
                    AuthFailure::Invalid => {
                        let told = "Bearer realm=\"godwit\", error=\"invalid_token\"";
                        challenge("the token is not valid").header(header::WWW_AUTHENTICATE, told)
                    }
                    other => failed(other),
                });
            }
        };
        decision.map_err(failed)
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
            problem.header(header::RETRY_AFTER, "60")
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
