//! What notifications tell of submissions (RFC 8621 §7): which submission one is about, and what is kept of it.
//!
//! A notification is found by what it names: the ENVID, which is the submission's id unless the client gave another, or the
//! Message-ID. Names lead to submissions by rows of their own ([`SubmittedKey`]), written with a submission and removed with it, so
//! one look is enough however many there are.
//!
//! Anybody can forge one. So ids of those who came are kept up to a number, and a claim never changes what the queue knows:
//! it is kept beside it, and counts where the message was handed on.

use content_mail::notification::{Claim, Claimed, Kind, Notification};
use kv::Transaction;
use schema::keys::mail::{ObjectKey, ObjectKind, SubmittedKey};
use schema::records::mail::ChangeKind;
use schema::records::object::{SubmissionRecipient, SubmissionRecord};
use schema::{AccountId, EmailId, Key, ModSeq, Record, SubmissionId};

use crate::objects::{ObjectChange, log_object_in, write_object_in};
use crate::{Error, Store, removal};

/// Notifications of each kind that are kept of a submission.
const NOTICES: usize = 100;
/// Submissions of one name that are looked at, the newest: a message can be sent again and again.
const SAME: usize = 20;
/// Octets that are kept of a reply: what is kept of all recipients is one value.
const REPLY: usize = 200;

/// What notifications may name a submission by: the Message-ID of its message, without angle brackets, and its ENVID.
pub fn sent_names(message_id: Option<&str>, envelope_id: Option<&str>) -> Vec<u64> {
    let names = [message_id.map(|id| name(b'm', id)), envelope_id.map(|id| name(b'e', id))];
    names.into_iter().flatten().collect()
}

fn name(kind: u8, text: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind]).update(text.as_bytes());
    u64::from_be_bytes(hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default())
}

/// Writes a new submission, and makes its names lead to it. `now` is in seconds since the epoch.
pub fn make_submission_in(
    txn: &Transaction,
    (account, submission): (AccountId, SubmissionId),
    record: &SubmissionRecord,
    now: i64,
) {
    for name in &record.names {
        txn.set(&SubmittedKey { account, name: *name, submission }.encode(), b"");
    }
    let at = (account, ObjectKind::Submission, submission.0);
    write_object_in(txn, at, &ObjectChange::Created(record), now);
}

/// Removes a submission and its names, unless it still waits to be sent. Says whether it did.
pub(crate) fn remove_submission_in(
    txn: &Transaction,
    (account, submission): (AccountId, SubmissionId),
    record: &SubmissionRecord,
    now: i64,
) -> bool {
    if !record.sending && !record.canceled {
        return false;
    }
    for name in &record.names {
        txn.clear(&SubmittedKey { account, name: *name, submission }.encode());
    }
    let at = (account, ObjectKind::Submission, submission.0);
    write_object_in(txn, at, &ObjectChange::<SubmissionRecord>::Destroyed, now);
    true
}

impl Store {
    /// Removes a submission. Returns the email that it was of, and the commit; none if there is no such submission.
    ///
    /// # Errors
    /// [`Error::Reserved`] for one that still waits to be sent, [`Error::NotFound`] if the account is gone; else the store's.
    pub async fn remove_submission(
        &self,
        account: AccountId,
        id: SubmissionId,
    ) -> Result<Option<(EmailId, ModSeq)>, Error> {
        let (email, version) = self
            .db
            .transact_versioned("mail.object", |txn| async move {
                removal::alive_in(&txn, account).await?;
                let found = self.object_in(&txn, account, ObjectKind::Submission, id.0).await?;
                let Some(record): Option<SubmissionRecord> = found else { return Ok(None) };
                if !remove_submission_in(&txn, (account, id), &record, self.now_secs()) {
                    return Err(Error::Reserved("it is still to be sent: take it back first"));
                }
                Ok(Some(EmailId(record.email)))
            })
            .await?;
        let Some(email) = email else { return Ok(None) };
        self.tell_objects(account, version);
        Ok(Some((email, ModSeq(version.version()))))
    }

    /// Notes a notification, which is an email now, with the submission that it is about, if it is about one.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_notification_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        notification: &Notification,
        email: EmailId,
    ) -> Result<(), Error> {
        let Some((id, mut record)) = self.told_of_in(txn, account, notification).await? else {
            return Ok(());
        };
        if !note(&mut record, notification, email) {
            return Ok(());
        }
        let kind = ObjectKind::Submission;
        txn.set(&ObjectKey { account, kind, id: id.0 }.encode(), &record.to_bytes());
        // By the email: what the submission's own transaction logs of it is another entry, perhaps of this very commit.
        log_object_in(txn, (account, kind, id.0), ChangeKind::ObjectUpdated, email.0, self.now_secs());
        Ok(())
    }

    /// The submission that a notification is about: that of its ENVID, or else of its Message-ID; of several the newest that has
    /// one of the recipients.
    async fn told_of_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        about: &Notification,
    ) -> Result<Option<(SubmissionId, SubmissionRecord)>, Error> {
        let envelope_id = about.envelope_id.as_deref();
        let mut candidates = Vec::new();
        for name in sent_names(None, envelope_id) {
            candidates.extend(named_in(txn, account, name).await?);
        }
        // Ours, where the client gave none.
        candidates.extend(envelope_id.and_then(|id| id.parse::<SubmissionId>().ok()));
        for name in sent_names(about.message_id.as_deref(), None) {
            candidates.extend(named_in(txn, account, name).await?);
        }
        let mut found = None;
        for id in candidates {
            let record: Option<SubmissionRecord> =
                self.object_in(txn, account, ObjectKind::Submission, id.0).await?;
            let Some(record) = record.filter(|record| record.sending) else { continue };
            let is_named = |to: &SubmissionRecipient| about.recipients.iter().any(|one| is_of(one, to));
            if record.recipients.iter().any(is_named) {
                return Ok(Some((id, record)));
            }
            found.get_or_insert((id, record));
        }
        Ok(found)
    }
}

/// The newest submissions of a name.
async fn named_in(txn: &Transaction, account: AccountId, name: u64) -> Result<Vec<SubmissionId>, Error> {
    let (begin, end) = SubmittedKey::range(account, name);
    let rows = txn.range(&begin, &end).reverse().limit(SAME).collect().await?;
    rows.iter().map(|(key, _)| Ok(SubmittedKey::decode(key)?.submission)).collect()
}

fn is_of(claimed: &Claimed, to: &SubmissionRecipient) -> bool {
    claimed.addresses.iter().any(|address| address.eq_ignore_ascii_case(&to.address))
}

/// Notes what a notification says. Whether that is anything new.
fn note(record: &mut SubmissionRecord, notification: &Notification, email: EmailId) -> bool {
    let notices = match notification.kind {
        Kind::Delivery => &mut record.delivery_notices,
        Kind::Disposition => &mut record.disposition_notices,
    };
    let mut changed = notices.len() < NOTICES;
    if changed {
        notices.push(email.0);
    }
    for claimed in &notification.recipients {
        for to in record.recipients.iter_mut().filter(|to| is_of(claimed, to)) {
            changed |= claim(to, claimed);
        }
    }
    changed
}

/// RFC 8621 §7 `deliveryStatus`: delivered and failed are final, so the first that says either is believed.
fn claim(to: &mut SubmissionRecipient, claimed: &Claimed) -> bool {
    let told = match claimed.claim {
        Claim::Delivered => SubmissionRecipient::DELIVERED,
        Claim::Failed => SubmissionRecipient::FAILED,
        Claim::Displayed => return !std::mem::replace(&mut to.displayed, true),
        Claim::Other => return false,
    };
    if to.told != 0 {
        return false;
    }
    to.told = told;
    to.told_reply.clone_from(&claimed.reply);
    to.told_reply.truncate(to.told_reply.floor_char_boundary(REPLY));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(kind: Kind, claims: &[(&str, Claim)]) -> Notification {
        let one = |(address, claim): &(&str, Claim)| Claimed {
            addresses: vec![(*address).to_owned()],
            claim: *claim,
            reply: "550 x".repeat(100),
        };
        let recipients = claims.iter().map(one).collect();
        Notification { kind, envelope_id: None, message_id: None, recipients }
    }

    #[test]
    fn what_is_told_first_is_believed_and_so_many_are_kept() {
        let to = SubmissionRecipient { address: "B@example".into(), ..SubmissionRecipient::default() };
        let mut record = SubmissionRecord { recipients: vec![to], ..SubmissionRecord::default() };
        let failed =
            notification(Kind::Delivery, &[("b@EXAMPLE", Claim::Failed), ("c@example", Claim::Other)]);
        assert!(note(&mut record, &failed, EmailId(1)));
        let delivered = notification(Kind::Delivery, &[("b@example", Claim::Delivered)]);
        assert!(note(&mut record, &delivered, EmailId(2)));
        let to = &record.recipients[0];
        assert_eq!((to.told, to.told_reply.len()), (SubmissionRecipient::FAILED, REPLY));
        assert_eq!((to.delivered, to.displayed), (SubmissionRecipient::QUEUED, false));
        for email in 3..=NOTICES as u64 {
            assert!(note(&mut record, &delivered, EmailId(email)));
        }
        assert!(!note(&mut record, &delivered, EmailId(500)));
        assert_eq!((record.delivery_notices[0], record.delivery_notices.len()), (1, NOTICES));
        let seen = notification(Kind::Disposition, &[("b@example", Claim::Displayed)]);
        assert!(note(&mut record, &seen, EmailId(501)) && record.recipients[0].displayed);
        assert_eq!(record.disposition_notices, [501]);
    }

    #[test]
    fn names_of_one_kind_are_none_of_the_other() {
        assert_ne!(sent_names(Some("x"), None), sent_names(None, Some("x")));
        assert!(sent_names(None, None).is_empty());
    }
}
