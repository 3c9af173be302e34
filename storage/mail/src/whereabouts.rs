//! Which emails there are, and where in a mailbox they lie: for who knows them by what they say.

use futures::future::try_join_all;
use kv::Transaction;
use schema::keys::mail::{EmailKey, MembershipKey, emails_range};
use schema::{AccountId, EmailId, Key};

use crate::{Error, Gathering, MailboxRef, Store, UidSet};

/// So many emails are looked for one by one though the mailbox is remembered.
const LISTED: usize = 8;
/// So many are while it is not; for more of them the mailbox is read, and remembered.
const FEW: usize = 2_000;
/// Emails looked for by one transaction.
const BATCH: usize = 250;
/// Rows of a mailbox read at once.
const PAGE: usize = 1_000;

impl Store {
    /// The UIDs under which emails lie in a mailbox, of those that do. `emails` is in order.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the mailbox is gone; else the store's.
    pub async fn uids_of(&self, at: MailboxRef, emails: &[EmailId]) -> Result<UidSet, Error> {
        if emails.len() > LISTED
            && let Some(listing) = self.listing(at).await?
        {
            return Ok(listing.uids_of(emails));
        }
        if emails.len() > FEW {
            return self.uids_of_many(at, emails).await;
        }
        let mut uids = Vec::with_capacity(emails.len());
        for batch in emails.chunks(BATCH) {
            let found = self.db.read("mail.uids_of", |txn| async move { uids_in(&txn, at, batch).await });
            uids.extend(found.await?);
        }
        Ok(uids.into_iter().collect())
    }

    async fn uids_of_many(&self, at: MailboxRef, emails: &[EmailId]) -> Result<UidSet, Error> {
        let opened = self.open(at).await?;
        let mut gathering = Gathering::new(at, opened.as_of);
        let (mut uids, mut next) = (UidSet::new(), Some(1));
        while let Some(first) = next {
            let page = self.messages(at, first..=u32::MAX, PAGE).await?;
            for row in page.rows.iter().filter(|row| emails.binary_search(&row.email).is_ok()) {
                uids.insert(row.uid);
            }
            gathering.add(&page.rows);
            next = page.next;
        }
        if opened.uids.is_listable() {
            self.remember(gathering);
        }
        Ok(uids)
    }

    /// The emails of an account by their ids, from behind `after` on.
    ///
    /// # Errors
    /// The store's.
    pub async fn email_ids(
        &self,
        account: AccountId,
        after: EmailId,
        limit: usize,
    ) -> Result<Vec<EmailId>, Error> {
        let begin = EmailKey { account, email: EmailId(after.0.saturating_add(1)) }.encode();
        let (begin, end) = (&begin, &emails_range(account).1);
        self.db
            .read("mail.email_ids", |txn| async move {
                let mut rows = txn.range(begin, end).snapshot();
                let mut ids = Vec::new();
                while let Some((key, _)) = rows.try_next().await? {
                    if let Ok(EmailKey { email, .. }) = EmailKey::decode(&key) {
                        ids.push(email);
                    }
                    if ids.len() >= limit {
                        break;
                    }
                }
                Ok(ids)
            })
            .await
    }
}

async fn uids_in(txn: &Transaction, at: MailboxRef, emails: &[EmailId]) -> Result<Vec<u32>, Error> {
    let one = |email: EmailId| async move {
        let (begin, end) = MembershipKey::range_in(at.account, email, at.mailbox);
        txn.range(&begin, &end).snapshot().collect().await
    };
    let rows = try_join_all(emails.iter().map(|email| one(*email))).await?;
    rows.into_iter().flatten().map(|(key, _)| Ok(MembershipKey::decode(&key)?.uid.get())).collect()
}
