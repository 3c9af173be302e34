//! What can go wrong in the directory, and who must act.

use crate::{HashError, InvalidAddress, Kind};
use kv::TransactError;

/// What can go wrong in the directory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store: retried by the retry loop if it can be.
    #[error(transparent)]
    Kv(#[from] kv::Error),
    /// A key that this version cannot read: the operator must look.
    #[error(transparent)]
    Key(#[from] schema::KeyError),
    /// A record that this version cannot read: the operator must look.
    #[error(transparent)]
    Record(#[from] schema::RecordError),
    /// The caller sent what is no address.
    #[error("{text:?}: {error}")]
    InvalidAddress {
        /// What was sent.
        text: String,
        /// Why it is none.
        error: InvalidAddress,
    },
    /// The caller sent a value that is not allowed.
    #[error("{0}")]
    Invalid(&'static str),
    /// The caller named something that is not there.
    #[error("there is no such {0}")]
    NotFound(What),
    /// The name or address is taken.
    #[error("{0} exists already")]
    AlreadyExists(String),
    /// The domain still has addresses.
    #[error("the domain still has addresses")]
    DomainInUse,
    /// The verb is not for accounts of this kind.
    #[error("the account is no {0}")]
    WrongKind(Kind),
    /// A list leads to more recipients than are allowed.
    #[error("more than {0} recipients")]
    TooManyRecipients(usize),
    /// There are as many as there may be: the caller removes some first.
    #[error("there are {0} already")]
    TooMany(usize),
    /// What is asked for came with a feature level, and a node that does not know it may be there: the operator must raise the level
    /// first.
    #[error("the cluster is at feature level {0}, this takes {needs}: `godwit cluster level raise`", needs = schema::level::LOGINS)]
    Level(u32),
    /// The feature level cannot be read: the operator must look.
    #[error(transparent)]
    Leases(#[from] leases::Error),
    /// The password could not be hashed: the operator must correct the configured cost.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The process is going down.
    #[error("interrupted")]
    Interrupted,
}

/// What was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A domain.
    Domain,
    /// An account.
    Account,
    /// An address.
    Address,
    /// A member of a group or list.
    Member,
    /// A second factor.
    SecondFactor,
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            What::Domain => "domain",
            What::Account => "account",
            What::Address => "address",
            What::Member => "member",
            What::SecondFactor => "second factor",
        })
    }
}

impl TransactError for Error {
    fn as_kv(&self) -> Option<&kv::Error> {
        match self {
            Error::Kv(error) => Some(error),
            Error::Leases(error) => error.as_kv(),
            _ => None,
        }
    }
}
