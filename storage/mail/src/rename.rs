//! RENAME (RFC 9051 §6.3.6): a mailbox and all below it get another path; INBOX gives its messages away.

use std::collections::BTreeMap;

use changes::Kinds;
use kv::Transaction;
use schema::AccountId;

use crate::mailbox::resolve_in;
use crate::moving::{NewPlace, Subscribed, hold_tree_in};
use crate::{Error, Mailbox, MailboxPath, MailboxRef, Store, arrange};

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

    async fn rename_in(
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
        hold_tree_in(txn, account).await?;
        let parent = match to.parent() {
            None => None,
            Some(above) => match resolve_in(txn, account, &above).await? {
                Some(parent) => Some(parent.id),
                None => Some(self.create_in(txn, account, &above, None).await?.id),
            },
        };
        let place = NewPlace { parent, name: to.leaf().to_owned() };
        self.move_in(txn, account, &BTreeMap::from([(old.id, place)]), Subscribed::Name).await?;
        arrange::by_id_in(txn, account, old.id).await
    }
}
