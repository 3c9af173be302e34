//! A whole store, or one account of it: looked through page by page from a visible cursor, and mended finding by finding.
//!
//! What is looked for lives with its domain (`mail`, `accounts`, `spool`, `blob`, `leases`); here is the way through all of it, what
//! two domains have to agree on, and the bytes of bodies, which no transaction holds.
//!
//! # What holds
//! - A page changes nothing. It ends soon, whatever the store holds, but for one mailbox that is counted: that takes as
//!   many transactions as it has pages of UIDs.
//! - A finding was found twice, by two transactions: the second looked at its row alone.
//! - What is mended was found again by the transaction that mends. What is lost is left as it is unless the caller says
//!   that it may go.

mod across;
mod cursor;
mod mend;
mod page;
mod place;

pub use cursor::{Cursor, InvalidCursor, Pass};
pub use findings::{Finding, Kind, Mended, Severity};
pub use page::Page;
pub use place::{Names, Where};

use kv::{Database, Priority, TransactError, TransactionOptions};
use schema::AccountId;

/// What is looked through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only this account: its mail, its place in the directory, the bodies that it holds.
    pub account: Option<AccountId>,
    /// Every body is read and compared to its hash. Without it only the end of each is looked for.
    pub bodies: bool,
}

/// Looks through a store, and mends it. A cheap handle.
#[derive(Clone)]
pub struct Verifier {
    db: Database,
    accounts: accounts::Accounts,
    mail: mail::Store,
    spool: spool::Spool,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store: trying again may help.
    #[error(transparent)]
    Kv(#[from] kv::Error),
    /// Mail.
    #[error(transparent)]
    Mail(#[from] mail::Error),
    /// The directory.
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
    /// Nodes and leases.
    #[error(transparent)]
    Leases(#[from] leases::Error),
    /// The queue.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// The index of mail.
    #[error(transparent)]
    Segments(#[from] segments::Error),
    /// A body: where bodies lie may be away.
    #[error(transparent)]
    Blob(#[from] blob::Error),
    /// A key that this version cannot read.
    #[error(transparent)]
    Key(#[from] schema::KeyError),
}

impl TransactError for Error {
    fn as_kv(&self) -> Option<&kv::Error> {
        match self {
            Error::Kv(error) => Some(error),
            Error::Mail(error) => error.as_kv(),
            Error::Accounts(error) => error.as_kv(),
            Error::Leases(error) => error.as_kv(),
            Error::Spool(error) => error.as_kv(),
            Error::Segments(error) => error.as_kv(),
            Error::Blob(error) => error.as_kv(),
            Error::Key(_) => None,
        }
    }
}

impl Verifier {
    /// Over the parts of a store. What this one reads itself gives way to what users ask for.
    pub fn new(accounts: accounts::Accounts, mail: mail::Store, spool: spool::Spool) -> Self {
        let db = mail.database().clone();
        let options = TransactionOptions { priority: Priority::Background, ..db.options() };
        Verifier { db: db.with_options(options), accounts, mail, spool }
    }

    /// The store's clock: for who paces what he asks.
    pub fn monotonic(&self) -> std::time::Duration {
        self.db.clock().monotonic()
    }
}
