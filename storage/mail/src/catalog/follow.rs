//! A catalogue brought up to date by the change log.

use std::collections::BTreeSet;

use kv::Transaction;
use schema::records::mail::ChangeKind;
use schema::{AccountId, EmailId, MailboxId, ModSeq};

use super::{Delta, Remembered};
use crate::emails::emails_in;
use crate::{Error, Store};

/// Entries of the log read by one transaction, and the emails after which it ends.
const ENTRIES: usize = 500;
const EMAILS: usize = 2_000;

impl Store {
    /// Brings a catalogue up to date; says whether that was possible, and worth it.
    pub(super) async fn follow_catalog(&self, account: AccountId, one: &Remembered) -> Result<bool, Error> {
        loop {
            let Some(since) = one.as_of() else { return Ok(false) };
            match self.follow_once(account, one, since).await? {
                Some(Followed::Some) => {}
                Some(Followed::All) => return Ok(true),
                Some(Followed::Worn) | None => return Ok(false),
            }
        }
    }

    /// Goes on from a catalogue's moment as far as one transaction reads; none if the log does not say how.
    pub(super) async fn follow_once(
        &self,
        account: AccountId,
        one: &Remembered,
        since: ModSeq,
    ) -> Result<Option<Followed>, Error> {
        let read = self.db.read("mail.catalog", |txn| async move { delta_in(&txn, account, since).await });
        let Some(delta) = read.await? else { return Ok(None) };
        let more = delta.more;
        let worn = one.catalog.write().as_mut().is_some_and(|catalog| {
            let columns = &mut catalog.columns;
            delta.deleted.iter().for_each(|mailbox| columns.remove_mailbox(*mailbox));
            columns.replace(&delta.changed, &delta.emails);
            (catalog.as_of, catalog.whole) = (delta.upto, !more);
            columns.is_worn()
        });
        Ok(Some(if more {
            Followed::Some
        } else if worn {
            Followed::Worn
        } else {
            Followed::All
        }))
    }
}

/// How far a catalogue has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// There is more to follow.
    Some,
    /// It is up to date.
    All,
    /// It is, and should be made anew.
    Worn,
}

/// What the log says of what changed, and emails that did as they are now: what changes after that, the log will tell.
/// None if it does not say.
async fn delta_in(txn: &Transaction, account: AccountId, since: ModSeq) -> Result<Option<Delta>, Error> {
    let state = ModSeq(changes::log::state_in(txn, account).await?.version());
    // Below what it was: the account was removed.
    if state < since || since < changes::log::floor_in(txn, account).await? {
        return Ok(None);
    }
    let read = changes::log::read_in(txn, account, since, ENTRIES).await?;
    let mut delta = Delta {
        upto: read.upto,
        more: read.more,
        changed: BTreeSet::new(),
        emails: Vec::new(),
        deleted: BTreeSet::new(),
    };
    let mut last = since;
    for (stamp, entry) in &read.entries {
        let commit = ModSeq(stamp.version());
        if commit != last && delta.changed.len() >= EMAILS {
            (delta.upto, delta.more) = (last, true);
            break;
        }
        last = commit;
        delta.changed.extend(entry.emails.iter().map(|id| EmailId(*id)));
        if entry.kind == ChangeKind::MailboxDestroyed as i32 {
            delta.deleted.extend(entry.mailboxes.iter().map(|id| MailboxId(*id)));
        }
    }
    let changed: Vec<EmailId> = delta.changed.iter().copied().collect();
    delta.emails = emails_in(txn, account, &changed).await?;
    Ok(Some(delta))
}
