//! Mends what was found: each finding in a transaction that looks at it again first.

mod messages;
mod tree;

use changes::Kinds;
use findings::{Finding, Kind, Mended, place_of};
use futures::StreamExt;
use kv::{Transaction, Versionstamp};
use schema::keys::mail::{EmailKey, PageKey};
use schema::page::page_of;
use schema::records::mail::EmailRecord;
use schema::{AccountId, Key, Uid};

use super::look::{is_there, record};
use super::{check_row_in, count, head};
use crate::{Error, MailboxRef, Store};
use content_mail::{Limits, Summarizer, Summary};

impl Store {
    /// Mends a finding of an account's mail, if it still stands. What clients see of it they are told. With `drop_lost`
    /// also what nothing is left of is taken away.
    ///
    /// # Errors
    /// The store's.
    pub async fn mend(&self, finding: &Finding, drop_lost: bool) -> Result<Mended, Error> {
        let place = place_of(&finding.key);
        let source = place_of(&finding.source).account;
        let account = head(&finding.key).map(|(account, _)| account).or(place.account).or(source);
        let Some(account) = account else { return Ok(Mended::kept(finding.kind.remedy())) };
        let mailbox = place.mailbox.map(|mailbox| MailboxRef { account, mailbox });
        match (finding.kind, mailbox) {
            (Kind::CountersWrong | Kind::UidNextLow, Some(at)) => self.mend_count(at, finding).await,
            (Kind::QuotaWrong, _) => self.mend_quota(account).await,
            (Kind::BodyLost, _) if drop_lost => self.drop_email(finding).await,
            (Kind::StructureLost, _) => self.mend_structure(account, finding).await,
            _ => self.mend_standing(account, finding, None).await,
        }
    }

    async fn mend_count(&self, at: MailboxRef, finding: &Finding) -> Result<Mended, Error> {
        let found = self.count(at, true).await?.map(|count| count.findings).unwrap_or_default();
        let was_there = found.iter().any(|other| other.kind == finding.kind && other.key == finding.key);
        Ok(if was_there { Mended::done(format!("{}: set right", finding.detail)) } else { Mended::Gone })
    }

    /// In one transaction: looks again, mends, and tells after the commit.
    async fn mend_standing(
        &self,
        account: AccountId,
        finding: &Finding,
        summary: Option<&Summary>,
    ) -> Result<Mended, Error> {
        let (mended, version) = self
            .db
            .transact_versioned("verify.mend", |txn| async move {
                if !stands_in(&txn, finding).await? {
                    return Ok(Mended::Gone);
                }
                self.mend_in(&txn, account, finding, summary).await
            })
            .await?;
        self.tell_of_mending(account, &mended, version);
        Ok(mended)
    }

    fn tell_of_mending(&self, account: AccountId, mended: &Mended, version: Versionstamp) {
        if matches!(mended, Mended::Done(_)) {
            let mailboxes: Vec<_> = Vec::new();
            self.tell(
                account,
                &mailboxes,
                version,
                Kinds::MAILBOXES | Kinds::MESSAGES | Kinds::FLAGS | Kinds::EXPUNGE,
            );
        }
    }

    async fn mend_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        finding: &Finding,
        summary: Option<&Summary>,
    ) -> Result<Mended, Error> {
        match finding.kind {
            Kind::EmailLost
            | Kind::StructureLost
            | Kind::StructureStale
            | Kind::BodyReferenceMissing
            | Kind::MessageLost
            | Kind::EmailDiffers
            | Kind::CopyMissing
            | Kind::CopyStale
            | Kind::VanishedIsThere
            | Kind::PageLacks
            | Kind::PageGhost
            | Kind::EmailUnfiled
            | Kind::IndexMissing
            | Kind::ChangeUnlogged
            | Kind::IndexStale
            | Kind::ThreadMissing
            | Kind::ThreadStale => self.mend_message_in(txn, account, finding, summary).await,
            _ => self.mend_tree_in(txn, account, finding).await,
        }
    }

    /// Parses the body again: outside of the transaction, which a large one would outlive.
    async fn mend_structure(&self, account: AccountId, finding: &Finding) -> Result<Mended, Error> {
        let Ok(key) = EmailKey::decode(&finding.key) else { return Ok(Mended::Gone) };
        let email = self
            .db
            .read("verify.email", |txn| async move { record::<EmailRecord>(&txn, &key).await })
            .await?;
        let Some(hash) = email.known().and_then(|email| email.blob_hash().ok()) else {
            return Ok(Mended::kept("its email cannot be read"));
        };
        let mut summarizer = Summarizer::new(Limits::default());
        let mut body = Box::pin(self.blobs.stream(hash, 0..u64::MAX));
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) => summarizer.push(&piece),
                Err(blob::Error::NotFound(_) | blob::Error::Corrupt { .. }) => {
                    return Ok(Mended::kept("its body is lost as well"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let summary = summarizer.finish();
        self.mend_standing(account, finding, Some(&summary)).await
    }

    /// Removes what is left of an email whose body is lost, if it still is.
    async fn drop_email(&self, finding: &Finding) -> Result<Mended, Error> {
        match EmailKey::decode(&finding.source) {
            Ok(key) => self.drop_copies(key, Some(finding)).await,
            Err(_) => Ok(Mended::kept(finding.kind.remedy())),
        }
    }

    /// Removes what is left of an email whose body is known to be lost, mailbox by mailbox, as an expunge does.
    ///
    /// # Errors
    /// The store's.
    pub async fn drop_lost(&self, email: EmailKey) -> Result<Mended, Error> {
        self.drop_copies(email, None).await
    }

    async fn drop_copies(
        &self,
        EmailKey { account, email }: EmailKey,
        finding: Option<&Finding>,
    ) -> Result<Mended, Error> {
        let mut removed = 0;
        loop {
            let (gone, version) = self
                .db
                .transact_versioned("verify.drop", |txn| async move {
                    // Without its last message the email is gone, and so is the finding.
                    let stands = match finding {
                        Some(finding) => stands_in(&txn, finding).await?,
                        None => is_there(&txn, &EmailKey { account, email }).await?,
                    };
                    if !stands {
                        return Ok(None);
                    }
                    self.drop_copies_in(&txn, account, email).await.map(Some)
                })
                .await?;
            match gone {
                None if removed == 0 => return Ok(Mended::Gone),
                None => return Ok(Mended::done(format!("its {removed} messages were removed"))),
                Some(0) => return Ok(Mended::kept("it is in no mailbox that is there")),
                Some(count) => {
                    removed += count;
                    self.tell_of_mending(account, &Mended::done(""), version);
                }
            }
        }
    }
}

/// Whether a finding stands in this transaction's view; what decides it conflicts.
async fn stands_in(txn: &Transaction, finding: &Finding) -> Result<bool, Error> {
    let found = if let (Kind::PageLacks | Kind::PageGhost, Ok(page)) =
        (finding.kind, PageKey::decode(&finding.source))
    {
        let at = MailboxRef { account: page.account, mailbox: page.mailbox };
        count::check_page_in(txn, at, page.page).await?
    } else {
        match txn.get(&finding.source).await? {
            None => return Ok(false),
            Some(value) => check_row_in(txn, &finding.source, &value).await?.findings,
        }
    };
    Ok(found.iter().any(|other| other.is_same(finding)))
}

/// The page that a message is on.
fn page_key(at: MailboxRef, uid: Uid) -> PageKey {
    PageKey { account: at.account, mailbox: at.mailbox, page: page_of(uid.get()) }
}
