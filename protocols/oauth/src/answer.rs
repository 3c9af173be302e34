//! Answers to programs: JSON, and errors as RFC 6749 §5.2 has them; and how a body is read.

use crate::Remote;
use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use oauth_proto::{Error, ErrorCode, Form, MAX_FORM};
use serde_json::Value;

/// Who sent a request, if whoever serves it has said so.
pub(crate) type From = Option<Extension<Remote>>;

/// Why there is no better answer.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The client has to do it otherwise.
    Client(Error),
    /// It has not shown who it is, and tried to by `Authorization` (RFC 6749 §5.2).
    Unknown { by_header: bool },
    /// Others could read along.
    Unsafe,
    /// It comes too often.
    TooMany,
    /// The store does not answer; the log says why.
    Away,
}

impl std::convert::From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Client(error)
    }
}

impl std::convert::From<accounts::Error> for Refused {
    fn from(error: accounts::Error) -> Self {
        tracing::error!(%error, "grants could not be read or written");
        Refused::Away
    }
}

impl Refused {
    /// What is wrong, in one word, for counting.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Refused::Client(error) => error.code.name(),
            Refused::Unknown { .. } => ErrorCode::InvalidClient.name(),
            Refused::Unsafe => "unsafe",
            Refused::TooMany => "limited",
            Refused::Away => "unavailable",
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Refused::Client(error) => json(StatusCode::BAD_REQUEST, &error.json()),
            Refused::Unknown { by_header } => {
                let error = Error::new(ErrorCode::InvalidClient, "the client is not known");
                let mut response = json(StatusCode::UNAUTHORIZED, &error.json());
                if by_header {
                    let told = HeaderValue::from_static("Basic realm=\"godwit\", charset=\"UTF-8\"");
                    response.headers_mut().insert(header::WWW_AUTHENTICATE, told);
                }
                response
            }
            Refused::Unsafe => {
                let error = Error::new(ErrorCode::InvalidRequest, "use https");
                json(StatusCode::FORBIDDEN, &error.json())
            }
            Refused::TooMany => later(StatusCode::TOO_MANY_REQUESTS, "60", "too many requests"),
            Refused::Away => later(StatusCode::SERVICE_UNAVAILABLE, "5", "try again later"),
        }
    }
}

fn later(status: StatusCode, seconds: &'static str, detail: &'static str) -> Response {
    let mut response = json(status, &Error::new(ErrorCode::TemporarilyUnavailable, detail).json());
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
    response
}

/// JSON that nobody keeps (RFC 6749 §5.1).
pub(crate) fn json(status: StatusCode, value: &Value) -> Response {
    let fields = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    (status, fields, Body::from(value.to_string())).into_response()
}

/// Counts and gives an answer.
pub(crate) fn give(endpoint: &'static str, answer: Result<Response, Refused>) -> Response {
    let outcome = answer.as_ref().map_or_else(Refused::name, |_| "ok");
    count(endpoint, outcome, answer.into_response())
}

/// Counts an answer by what came of it, in one word.
pub(crate) fn count(endpoint: &'static str, outcome: &'static str, answer: Response) -> Response {
    metrics::counter!("oauth_answers_total", "endpoint" => endpoint, "outcome" => outcome).increment(1);
    answer
}

/// Where a request came from, if nobody could read along.
pub(crate) fn safe(from: From) -> Result<Remote, Refused> {
    from.map(|Extension(remote)| remote).filter(|remote| remote.safe).ok_or(Refused::Unsafe)
}

/// A body of a type, whole.
pub(crate) async fn body(request: Request, kind: &str) -> Result<Vec<u8>, Error> {
    let bad = |detail| Error::new(ErrorCode::InvalidRequest, detail);
    if !is(request.headers(), kind) {
        return Err(bad("the body is of another type"));
    }
    let read = axum::body::to_bytes(request.into_body(), MAX_FORM).await;
    Ok(read.map_err(|_| bad("the body is too long, or did not come"))?.to_vec())
}

/// The type of a form.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// A form in a body.
pub(crate) async fn form(request: Request) -> Result<Form, Error> {
    Form::parse(&body(request, FORM).await?)
}

fn is(headers: &HeaderMap, kind: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|said| said.trim().eq_ignore_ascii_case(kind))
}
