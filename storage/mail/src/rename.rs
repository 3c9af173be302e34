//! RENAME (RFC 9051 §6.3.6): a mailbox and all below it get another path; INBOX gives its messages away.

use changes::Kinds;
use futures::future::try_join_all;
use kv::Transaction;
use schema::keys::mail::{AllocationKey, MailboxKey, MailboxNameKey, TreeKey};
use schema::records::mail::{ChangeKind, MailboxRecord};
use schema::{AccountId, Key, MailboxId, Record};

use crate::mailbox::{mailbox_of, resolve_in, retire_in, retired, tree_in};
use crate::{Error, Mailbox, MailboxPath, MailboxRef, Store, keywords, pace};

/// Most mailboxes that one RENAME takes along: each is looked at, in one transaction.
const MAX_RENAMED: usize = 10_000;

impl Store {
    /// Gives a mailbox, with all below it, another path; what is missing above it is made. INBOX keeps its name: its
    /// messages move to a new mailbox, in steps (RFC 9051 §6.3.6).
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::AlreadyExists`], [`Error::Reserved`], [`Error::LimitReached`]; else the store's.
    pub async fn rename(
        &self,
        account: AccountId,
        from: &MailboxPath,
        to: &MailboxPath,
    ) -> Result<Mailbox, Error> {
        if to.is_inbox() {
            return Err(Error::Reserved("INBOX keeps its name"));
        }
        if from.is_inbox() {
            return self.empty_inbox(account, to).await;
        }
        if to.is_below(from) {
            return Err(Error::Reserved("a mailbox cannot be moved below itself"));
        }
        let (renamed, version) =
            self.db
                .transact_versioned("mail.rename", |txn| async move {
                    self.rename_in(&txn, account, from, to).await
                })
                .await?;
        self.tell(account, &[renamed.id], version, Kinds::MAILBOXES);
        Ok(renamed)
    }

    /// A new mailbox gets all messages that are in INBOX now. What a crash leaves behind stays in INBOX.
    async fn empty_inbox(&self, account: AccountId, to: &MailboxPath) -> Result<Mailbox, Error> {
        let inbox = self.resolve(account, &MailboxPath::inbox()).await?.ok_or(Error::NotFound)?;
        let made = self.create(account, to, None).await?;
        let from = MailboxRef { account, mailbox: inbox.id };
        let to = MailboxRef { account, mailbox: made.id };
        let uids = self.open(from).await?.uids;
        let (_, outcome) = self.move_all(from, &uids, to).await;
        outcome.map(|()| made)
    }

    pub(crate) async fn rename_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        from: &MailboxPath,
        to: &MailboxPath,
    ) -> Result<Mailbox, Error> {
        let old = resolve_in(txn, account, from).await?.ok_or(Error::NotFound)?;
        if resolve_in(txn, account, to).await?.is_some() {
            return Err(Error::AlreadyExists);
        }
        // Any other change of the tree conflicts: what lies below is read without conflicts.
        txn.get(&TreeKey { account }.encode()).await?;
        let tree = tree_in(txn, account).await?;
        let moved: Vec<&Mailbox> =
            tree.iter().filter(|one| one.id == old.id || one.path.is_below(from)).collect();
        self.show_at_in(txn, account, &moved, from, to).await?;
        self.note_subscriptions_in(txn, account, &moved, from, to).await?;
        let parent = match to.parent() {
            None => None,
            Some(above) => match resolve_in(txn, account, &above).await? {
                Some(parent) => Some(parent.id),
                None => Some(self.create_in(txn, account, &above, None).await?.id),
            },
        };
        let key = MailboxKey { account, mailbox: old.id }.encode();
        let value = txn.get(&key).await?.ok_or(Error::NotFound)?;
        let mut record = MailboxRecord::from_bytes(&value)?;
        txn.clear(&MailboxNameKey { account, parent: old.parent, name: record.name.clone() }.encode());
        record.parent = parent.map(|p| p.0);
        to.leaf().clone_into(&mut record.name);
        txn.set(&key, &record.to_bytes());
        txn.set(
            &MailboxNameKey { account, parent, name: record.name.clone() }.encode(),
            &old.id.0.to_le_bytes(),
        );
        self.log_tree_in(txn, account, ChangeKind::MailboxUpdated, old.id);
        mailbox_of(old.id, &record, to.clone())
    }

    /// Notes which UIDVALIDITY each mailbox of a tree that moves has shown where it was, and gives it a new one if its
    /// new path once showed a higher one: it never goes down for a name (RFC 9051 §2.3.1.1).
    async fn show_at_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        moved: &[&Mailbox],
        from: &MailboxPath,
        to: &MailboxPath,
    ) -> Result<(), Error> {
        if moved.len() > MAX_RENAMED {
            return Err(Error::LimitReached("too many mailboxes lie below this one"));
        }
        for window in moved.chunks(pace::WINDOW) {
            let mut keys = Vec::with_capacity(window.len());
            for mailbox in window {
                let below = mailbox.path.names().get(from.names().len()..).unwrap_or_default();
                let names = [to.names(), below].concat();
                if names.len() > MailboxPath::MAX_DEPTH {
                    return Err(Error::LimitReached("the path is too deep"));
                }
                keys.push(retired(account, &MailboxPath::of_names(names)));
            }
            let shown = try_join_all(keys.iter().map(|key| txn.get(key))).await?;
            for (mailbox, shown) in window.iter().zip(shown) {
                let shown = shown.and_then(|v| v.first_chunk().map(|b| u64::from_le_bytes(*b)));
                let own = mailbox.uid_validity.get();
                if shown.is_some_and(|shown| shown > own.into()) {
                    validate_anew_in(txn, account, mailbox.id).await?;
                }
                retire_in(txn, account, &mailbox.path, own);
            }
        }
        Ok(())
    }
}

/// Gives a mailbox a UIDVALIDITY above all that its account has given out.
async fn validate_anew_in(txn: &Transaction, account: AccountId, mailbox: MailboxId) -> Result<(), Error> {
    let mut allocation = keywords::allocation_in(txn, account).await?;
    allocation.uid_validity = allocation.uid_validity.saturating_add(1);
    txn.set(&AllocationKey { account }.encode(), &allocation.to_bytes());
    let key = MailboxKey { account, mailbox }.encode();
    let value = txn.get(&key).await?.ok_or(Error::NotFound)?;
    let record =
        MailboxRecord { uid_validity: allocation.uid_validity, ..MailboxRecord::from_bytes(&value)? };
    txn.set(&key, &record.to_bytes());
    Ok(())
}
