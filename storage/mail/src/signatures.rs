//! What was found of signatures (S/MIME, RFC 9219), kept so that it is not found out for each who asks, and so that the change log
//! says when it is another: certificates end, and authorities come and go, while nobody touches an email.
//!
//! Who looks at a signature is elsewhere. What it found is kept here from the first time that somebody asked for it, together with
//! when it is to be looked at again; a row in that order leads to it, which upkeep follows ([`Store::due_signatures`]).

use std::collections::BTreeSet;

use changes::Kinds;
use kv::Transaction;
use schema::keys::mail::{AuthoritiesKey, SignatureDueKey, SignatureKey};
use schema::records::mail::{ChangeKind, ChangeRecord, SignatureRecord, SignatureStatus};
use schema::{AccountId, EmailId, Key, MailboxId, Record};

use crate::emails::emails_in;
use crate::{Email, Error, Store, removal};

/// Seconds for which it is told what was found (RFC 9219 §4.1: 24 hours at most).
const FRESH: i64 = 86_400;
/// Seconds after which it is looked at again, whatever was found.
const LATEST: i64 = 30 * 86_400;
/// Rows that one transaction looks through.
const PAGE: usize = 500;

/// What was found of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What it is worth.
    pub status: SignatureStatus,
    /// What it was worth when the email came.
    pub at_delivery: SignatureStatus,
    /// Why it failed.
    pub errors: Vec<String>,
    /// When that was found, in seconds since the epoch.
    pub verified: i64,
    /// When it may be another, in seconds since the epoch, as long as the same authorities are trusted.
    pub until: i64,
    /// Which authorities were trusted.
    pub authorities: u64,
}

impl Signature {
    fn of(record: SignatureRecord) -> Option<Self> {
        Some(Signature {
            status: SignatureStatus::try_from(record.status).ok()?,
            at_delivery: SignatureStatus::try_from(record.at_delivery).ok()?,
            errors: record.errors,
            verified: record.verified,
            until: record.due,
            authorities: record.authorities,
        })
    }

    fn record(&self) -> SignatureRecord {
        SignatureRecord {
            status: self.status as i32,
            at_delivery: self.at_delivery as i32,
            errors: self.errors.clone(),
            verified: self.verified,
            due: self.until,
            authorities: self.authorities,
        }
    }

    fn is_due(&self, now: i64) -> bool {
        self.until <= now
    }

    /// RFC 9219 §4.3: whether clients are to hear that it was another before.
    fn differs(&self, before: &Signature) -> bool {
        self.status != before.status || self.at_delivery != before.at_delivery || self.errors != before.errors
    }
}

/// Signatures that are to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSignatures {
    /// Their emails.
    pub emails: Vec<EmailId>,
    /// Where to go on; none at the end.
    pub next: Option<SignatureDueKey>,
    /// Whether all of the account are, since they were looked at by other authorities: [`Store::signatures_are_by`] is to be told
    /// once they were.
    pub by_others: bool,
}

impl Store {
    /// What was found of an email's signature, if that can be told still.
    ///
    /// # Errors
    /// The store's.
    pub async fn signature(&self, account: AccountId, email: EmailId) -> Result<Option<Signature>, Error> {
        let now = self.now_secs();
        let kept =
            self.db.read("mail.signature", |txn| async move { kept_in(&txn, account, email).await }).await?;
        Ok(kept.filter(|kept| !kept.is_due(now) && now - kept.verified < FRESH))
    }

    /// Keeps what was found of an email's signature, and logs that the email was updated if clients were told otherwise. Returns
    /// what is kept now.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the email is gone; else the store's.
    pub async fn keep_signature(
        &self,
        account: AccountId,
        email: EmailId,
        found: &Signature,
    ) -> Result<Signature, Error> {
        let ((kept, updated), version) = self
            .db
            .transact_versioned("mail.keep_signature", |txn| async move {
                self.keep_signature_in(&txn, account, email, found).await
            })
            .await?;
        if let Some(mailboxes) = updated {
            self.tell(account, &Vec::from_iter(mailboxes), version, Kinds::FLAGS);
        }
        Ok(kept)
    }

    /// What is kept now, and the mailboxes of the email if it was updated by that.
    async fn keep_signature_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        id: EmailId,
        found: &Signature,
    ) -> Result<(Signature, Option<BTreeSet<MailboxId>>), Error> {
        removal::alive_in(txn, account).await?;
        // Read so that the two conflict: nothing is kept of an email that went.
        let email = emails_in(txn, account, &[id]).await?.pop().ok_or(Error::NotFound)?;
        let mut kept = found.clone();
        kept.until = kept.until.min(kept.verified + LATEST);
        let before = kept_in(txn, account, id).await?;
        if let Some(before) = &before {
            if before.verified > found.verified {
                // Somebody else looked at it meanwhile.
                return Ok((before.clone(), None));
            }
            // RFC 9219 §4.1: that an authority is trusted no longer does not change what was.
            if before.at_delivery == SignatureStatus::Verified {
                kept.at_delivery = before.at_delivery;
            }
            txn.clear(&SignatureDueKey { account, due: before.until, email: id }.encode());
        }
        txn.set(&SignatureKey { account, email: id }.encode(), &kept.record().to_bytes());
        txn.set(&SignatureDueKey { account, due: kept.until, email: id }.encode(), b"");
        let updated = before.filter(|before| kept.differs(before)).map(|_| email.mailboxes());
        if updated.is_some() {
            self.log_update_in(txn, account, &email);
        }
        Ok((kept, updated))
    }

    fn log_update_in(&self, txn: &Transaction, account: AccountId, email: &Email) {
        let log = ChangeRecord {
            kind: ChangeKind::EmailUpdated as i32,
            at: self.now_secs(),
            emails: vec![email.id.0],
            threads: vec![email.thread.0],
            mailboxes: email.mailboxes().into_iter().map(|mailbox| mailbox.0).collect(),
            ..ChangeRecord::default()
        };
        changes::log::record_in(txn, account, email.id.0, &log);
    }

    /// Signatures of an account that are to be looked at again, from behind `after` on: those that may be another by now, and all
    /// that other authorities than these stood for. What leads to an email that went is cleared.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the account is gone; else the store's.
    pub async fn due_signatures(
        &self,
        account: AccountId,
        authorities: u64,
        after: Option<SignatureDueKey>,
    ) -> Result<DueSignatures, Error> {
        let now = self.now_secs();
        self.db
            .transact("mail.due_signatures", |txn| async move {
                removal::alive_in(&txn, account).await?;
                let stood = txn.get_snapshot(&AuthoritiesKey { account }.encode()).await?;
                let by_others = stood.as_deref() != Some(&authorities.to_be_bytes());
                let (mut begin, mut end) = SignatureDueKey::range(account);
                if let Some(after) = after {
                    begin = after.encode();
                    begin.push(0);
                }
                if !by_others {
                    end = SignatureDueKey { account, due: now + 1, email: EmailId(0) }.encode();
                }
                let rows = txn.range(&begin, &end).snapshot().limit(PAGE).collect().await?;
                let mut due = DueSignatures { emails: Vec::new(), next: None, by_others: false };
                for (key, _) in &rows {
                    let row = SignatureDueKey::decode(key)?;
                    match kept_in(&txn, account, row.email).await? {
                        Some(kept) if kept.until == row.due => {
                            due.by_others = by_others;
                            if kept.is_due(now) || kept.authorities != authorities {
                                due.emails.push(row.email);
                            }
                        }
                        _ => txn.clear(key),
                    }
                    due.next = Some(row).filter(|_| rows.len() == PAGE);
                }
                Ok(due)
            })
            .await
    }

    /// Notes that all signatures of an account were looked at by these authorities.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the account is gone; else the store's.
    pub async fn signatures_are_by(&self, account: AccountId, authorities: u64) -> Result<(), Error> {
        self.db
            .transact("mail.signatures_are_by", |txn| async move {
                removal::alive_in(&txn, account).await?;
                txn.set(&AuthoritiesKey { account }.encode(), &authorities.to_be_bytes());
                Ok(())
            })
            .await
    }
}

/// What is kept of an email's signature. What cannot be read is found out anew, and overwritten.
async fn kept_in(txn: &Transaction, account: AccountId, email: EmailId) -> Result<Option<Signature>, Error> {
    let value = txn.get(&SignatureKey { account, email }.encode()).await?;
    Ok(value.and_then(|value| SignatureRecord::from_bytes(&value).ok()).and_then(Signature::of))
}
