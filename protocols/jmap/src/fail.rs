//! What the store says, as a method tells it.

use jmap_proto::{MethodError, SetError};

use mail::Refusal;

/// What ends a call: an error of the method, or the store's.
#[derive(Debug)]
pub(crate) enum Fail {
    Method(MethodError),
    Mail(mail::Error),
    Query(query::Error),
    Changes(changes::Error),
    Accounts(accounts::Error),
}

impl From<MethodError> for Fail {
    fn from(error: MethodError) -> Self {
        Fail::Method(error)
    }
}

impl From<mail::Error> for Fail {
    fn from(error: mail::Error) -> Self {
        Fail::Mail(error)
    }
}

impl From<query::Error> for Fail {
    fn from(error: query::Error) -> Self {
        Fail::Query(error)
    }
}

impl From<query::BudgetExceeded> for Fail {
    fn from(error: query::BudgetExceeded) -> Self {
        Fail::Query(error.into())
    }
}

impl From<changes::Error> for Fail {
    fn from(error: changes::Error) -> Self {
        Fail::Changes(error)
    }
}

impl From<accounts::Error> for Fail {
    fn from(error: accounts::Error) -> Self {
        Fail::Accounts(error)
    }
}

impl From<Fail> for MethodError {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Method(error) => error,
            Fail::Mail(error) | Fail::Query(query::Error::Mail(error)) => of_mail(&error),
            // RFC 8620 §5.5 has no name for it: the filter asks for more than it may.
            Fail::Query(query::Error::Budget(_)) => MethodError::UnsupportedFilter,
            Fail::Changes(changes::Error::CannotCalculate) => MethodError::CannotCalculateChanges,
            Fail::Changes(error) => of_mail(&error.into()),
            Fail::Accounts(error) => of_accounts(&error),
        }
    }
}

/// Who must act: the client later, or an operator.
fn of_mail(error: &mail::Error) -> MethodError {
    match error {
        mail::Error::Kv(kv) if kv.is_retryable() => MethodError::ServerUnavailable,
        // The account was removed under the call.
        mail::Error::NotFound => MethodError::AccountNotFound,
        _ => {
            tracing::error!(%error, "jmap call failed");
            MethodError::ServerFail("the store failed".to_owned())
        }
    }
}

fn of_accounts(error: &accounts::Error) -> MethodError {
    match error {
        accounts::Error::Kv(kv) if kv.is_retryable() => MethodError::ServerUnavailable,
        // The account was disabled or removed under the call.
        accounts::Error::NotFound(_) => MethodError::AccountNotFound,
        _ => {
            tracing::error!(%error, "jmap call failed");
            MethodError::ServerFail("the directory failed".to_owned())
        }
    }
}

/// Why one record is not set: what is the client's to mend. The rest ends the call.
pub(crate) fn set_error(error: mail::Error, name: &str) -> Result<SetError, Fail> {
    Ok(match error {
        mail::Error::NotFound => SetError::not_found(),
        mail::Error::AlreadyExists => {
            SetError::invalid_properties([name]).describe("there is another of this name")
        }
        mail::Error::HasChildren => SetError::new("mailboxHasChild"),
        mail::Error::HasMessages => SetError::new("mailboxHasEmail"),
        mail::Error::Reserved(text) => SetError::forbidden().describe(text),
        mail::Error::Invalid(text) | mail::Error::LimitReached(text) => {
            SetError::invalid_properties([name]).describe(text)
        }
        mail::Error::OverQuota => SetError::over_quota(),
        other => return Err(other.into()),
    })
}

/// Why an email is not changed.
pub(crate) fn refusal(refused: &Refusal) -> SetError {
    match refused {
        Refusal::NotFound => SetError::not_found(),
        Refusal::NoMailbox(_) => {
            SetError::invalid_properties(["mailboxIds"]).describe("there is no such mailbox")
        }
        Refusal::Homeless => {
            SetError::invalid_properties(["mailboxIds"]).describe("an email is in a mailbox at least")
        }
        Refusal::OverQuota => SetError::over_quota(),
    }
}
