//! The mail model: mailboxes and messages, one verb, one file.
//!
//! Every verb is one transaction, or a page of one with a cursor (`next`); forms ending in `_in` work inside the
//! caller's. What a verb touches is listed in `schema::keys::mail`.
//!
//! # What holds
//! - modseq is the commit version: rows and indexes carry the versionstamp of the commit that wrote them.
//! - UID, row, indexes, thread, quota and change log of a message are written by one transaction. Two inserts into one
//!   mailbox conflict on its UIDNEXT, and nothing else does.
//! - Counters equal what they count, pages equal rows, indexes equal rows: [`verify`] recounts.
//! - Every verb that writes reads what the removal of its account clears, so that one of the two conflicts: nothing is
//!   written for an account that is gone, and what was written before is purged.
//! - A cache is never trusted: keyword names are looked up in the transaction that uses them, and a [`Listing`] of a mailbox
//!   and the [`Catalog`] of an account are brought up to the moment of each use.

mod arrange;
mod catalog;
mod clearing;
mod convert;
mod copy;
mod counters;
mod edit;
mod emails;
mod emptying;
mod error;
mod expunge;
mod flags;
mod head;
mod index;
mod ingest;
mod keywords;
mod listing;
mod mailbox;
mod messages;
mod moving;
mod objects;
mod open;
mod pace;
mod path;
mod purge;
mod quota;
mod removal;
mod rename;
mod sharing;
mod signatures;
mod since;
mod submissions;
mod subscriptions;
mod tally;
#[cfg(test)]
mod tests;
mod thread;
mod transfer;
mod trim;
mod uidset;
mod uploads;
mod verify;
mod whereabouts;

pub use arrange::{MailboxEdit, NewMailbox};
pub use catalog::{Catalog, Listed, Part, Ranked, Remembered, RowSet, Traits};
pub use clearing::Step;
pub use copy::Copied;
pub use edit::{Edited, EmailEdit, Place, Refusal};
pub use emails::{Email, EmailCopy};
pub use error::Error;
pub use expunge::Expunged;
pub use flags::{FlagChange, StoreOutcome};
pub use head::Head;
pub use index::{Order, Run, SortKey};
pub use ingest::{Appended, Incoming, NewMessage, PendingAppend};
pub use listing::{Gathering, Lineage, Listing};
pub use mailbox::{Mailbox, Role};
pub use messages::{MessageRow, Page};
pub use objects::{ObjectChange, write_object_in};
pub use open::{Opened, Status};
pub use path::MailboxPath;
pub use purge::Purge;
pub use quota::Usage;
pub use sharing::{Lists, SHARE_NOTIFICATIONS, ShareEdit};
pub use signatures::{DueSignatures, Signature};
pub use since::Delta;
pub use submissions::{make_submission_in, sent_names};
pub use tally::Tally;
pub use uidset::{UidBits, UidSet};
pub use uploads::UploadLimits;
pub use verify::{check_row_in, ranges, verify};

use std::sync::Arc;

use changes::{Change, Kinds, Sink};
use kv::{Database, Versionstamp};
use runtime::{SharedClock, SharedRng};
use schema::{AccountId, MailboxId};

/// A mailbox of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxRef {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub mailbox: MailboxId,
}

/// The mail store. A cheap handle.
#[derive(Clone)]
pub struct Store {
    db: Database,
    blobs: blob::Store,
    sink: Arc<dyn Sink>,
    clock: SharedClock,
    rng: SharedRng,
    listings: listing::Listings,
    catalogs: catalog::Catalogs,
}

impl Store {
    /// The mail in a database, its bodies in a blob store; `sink` is told of every committed change.
    pub fn new(
        db: Database,
        blobs: blob::Store,
        sink: Arc<dyn Sink>,
        clock: SharedClock,
        rng: SharedRng,
    ) -> Self {
        let (listings, catalogs) = (listing::Listings::new(), catalog::Catalogs::new());
        Self { db, blobs, sink, clock, rng, listings, catalogs }
    }

    /// Where the bodies are.
    pub fn blobs(&self) -> &blob::Store {
        &self.blobs
    }

    /// The database, for verbs of other crates that compose with these in one transaction.
    pub fn database(&self) -> &Database {
        &self.db
    }

    fn now_secs(&self) -> i64 {
        self.clock.now().secs()
    }

    /// Tells who waits.
    fn tell(&self, account: AccountId, mailboxes: &[MailboxId], version: Versionstamp, kinds: Kinds) {
        self.sink.committed(&Change {
            account,
            mailboxes: mailboxes.iter().copied().collect(),
            version,
            kinds,
        });
    }
}
