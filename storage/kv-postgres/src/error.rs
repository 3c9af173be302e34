//! PostgreSQL's errors as the store's.

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use kv::{Error, limits};
use std::fmt::Write;
use std::future::Future;
use std::time::Duration;
use tokio_postgres::error::{Severity, SqlState};

/// The message with all its causes.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        // Some errors print their cause themselves.
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// An error at a point where nothing can have been committed.
pub(crate) fn harmless(error: &tokio_postgres::Error) -> Error {
    let why = || format!("PostgreSQL: {}", describe(error));
    let Some(code) = error.code() else {
        return if is_caller(error) { Error::fatal(why()) } else { Error::unavailable(why()) };
    };
    match (code, &code.code()[..2]) {
        (&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED, _) => Error::conflict(),
        // Nothing of it was kept, and reads go on.
        (&SqlState::DISK_FULL, _) => Error::out_of_space(),
        // A standby, a server that starts or stops, one without memory or connections, locks not had in
        // time, queries stopped for their length, and what follows an error in the same transaction.
        (&SqlState::READ_ONLY_SQL_TRANSACTION, _) => Error::unavailable(why()),
        (_, "08" | "25" | "40" | "53" | "55" | "57") => Error::unavailable(why()),
        _ => Error::fatal(why()),
    }
}

/// Whether the mistake is in the configuration or in this crate.
fn is_caller(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    ["invalid configuration", "authentication error", "error serializing", "error deserializing"]
        .iter()
        .any(|kind| text.starts_with(kind))
}

/// An error of a statement behind which a COMMIT had been sent already.
///
/// An ERROR ends the transaction before it gets there. Anything else (a lost connection, a server that goes
/// down) leaves open how far it got.
pub(crate) fn before_commit(error: &tokio_postgres::Error) -> Error {
    if is_plain(error) { harmless(error) } else { Error::maybe_committed() }
}

/// An error of COMMIT itself.
///
/// Only what PostgreSQL documents as a rollback is one.
pub(crate) fn of_commit(error: &tokio_postgres::Error) -> Error {
    let as_other = harmless(error);
    if is_plain(error) && as_other.is_conflict() { as_other } else { Error::maybe_committed() }
}

fn is_plain(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|e| e.parsed_severity() == Some(Severity::Error))
}

/// An error of the pool: nothing has been asked yet.
pub(crate) fn of_pool(error: &PoolError) -> Error {
    match error {
        PoolError::Backend(e) | PoolError::PostCreateHook(HookError::Backend(e)) => harmless(e),
        PoolError::PostCreateHook(HookError::Message(why)) => Error::fatal(why.clone().into_owned()),
        PoolError::Closed => closed(),
        PoolError::Timeout(TimeoutType::Wait) => {
            Error::unavailable("PostgreSQL: no connection became free in time")
        }
        PoolError::Timeout(_) => silent(),
        other => Error::unavailable(format!("PostgreSQL: {other}")),
    }
}

/// The store was closed before.
pub(crate) fn closed() -> Error {
    Error::fatal("store is closed")
}

/// How long an answer may take: longer than a transaction may live and the server lets a statement wait for a
/// lock.
const ANSWER: Duration = limits::TRANSACTION_TIME.saturating_add(Duration::from_secs(2));

/// The answer to what cannot have committed anything. A server that stands still is as good as one that is away.
pub(crate) async fn answered<T>(
    ask: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    let answer = tokio::time::timeout(ANSWER, ask).await.map_err(|_| silent())?;
    answer.map_err(|e| harmless(&e))
}

/// No answer came.
pub(crate) fn silent() -> Error {
    Error::unavailable("PostgreSQL: no answer in time")
}
