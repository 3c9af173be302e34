//! Errors as problem details (RFC 9457).

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// What went wrong, for the client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What kind of problem it is.
    pub title: String,
    /// This one in particular.
    pub detail: String,
}

impl Problem {
    /// A problem with a status.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Self { status: status.as_u16(), title, detail: detail.into() }
    }

    /// The request says something that cannot be.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(self)).into_response()
    }
}

/// What the store says: try again later, or an operator has to look.
pub(crate) fn from_store(error: &kv::Error) -> Problem {
    if error.is_retryable() {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    }
    tracing::error!(%error, "admin request failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the store failed; see the log")
}

impl From<accounts::Error> for Problem {
    fn from(error: accounts::Error) -> Self {
        use accounts::Error as E;
        match error {
            E::Kv(error) => from_store(&error),
            E::NotFound(_) => Problem::not_found(error.to_string()),
            E::AlreadyExists(_) | E::DomainInUse | E::TooMany(_) | E::Level(_) => {
                Problem::new(StatusCode::CONFLICT, error.to_string())
            }
            E::InvalidAddress { .. } | E::Invalid(_) | E::WrongKind(_) | E::TooManyRecipients(_) => {
                Problem::invalid(error.to_string())
            }
            E::Interrupted => Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            E::Key(_) | E::Record(_) | E::Hash(_) | E::Leases(_) => {
                tracing::error!(%error, "admin request failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the directory failed; see the log")
            }
        }
    }
}

impl From<mail::Error> for Problem {
    fn from(error: mail::Error) -> Self {
        match error {
            mail::Error::Kv(error) => from_store(&error),
            mail::Error::NotFound => Problem::not_found(error.to_string()),
            _ => {
                tracing::error!(%error, "admin request failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the mail store failed; see the log")
            }
        }
    }
}

impl From<segments::Error> for Problem {
    fn from(error: segments::Error) -> Self {
        match error {
            segments::Error::Kv(error) => from_store(&error),
            segments::Error::NoShard(_) => Problem::not_found(error.to_string()),
            segments::Error::Level(_) => Problem::new(StatusCode::CONFLICT, error.to_string()),
            _ => {
                tracing::error!(%error, "admin request failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the index failed; see the log")
            }
        }
    }
}

impl From<spool::Error> for Problem {
    fn from(error: spool::Error) -> Self {
        match error {
            spool::Error::Kv(error) => from_store(&error),
            spool::Error::NotFound(_) => Problem::not_found(error.to_string()),
            _ => {
                tracing::error!(%error, "admin request failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the queue failed; see the log")
            }
        }
    }
}
