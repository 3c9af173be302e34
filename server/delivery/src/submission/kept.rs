//! What is kept of a submission, written by the transaction that delivers and queues it.

use kv::Transaction;
use mail::{ObjectChange, make_submission_in, write_object_in};
use schema::keys::blob::BlobOwner;
use schema::keys::job::LaterKey;
use schema::keys::mail::ObjectKind;
use schema::records::object::{SubmissionRecipient, SubmissionRecord};
use schema::{AccountId, BlobHash, Key, QueueId, SubmissionId};

use crate::commit::Outcome;
use crate::{Error, Shared};

/// A submission that goes with a message.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) account: AccountId,
    pub(crate) id: SubmissionId,
    pub(crate) record: SubmissionRecord,
    /// When it was to be sent, if it waited.
    pub(crate) later: Option<i64>,
}

impl Kept {
    /// Of what waited: nobody took it back, and nobody else sends it.
    pub(crate) async fn claim_in(&self, shared: &Shared, txn: &Transaction) -> Result<(), Error> {
        let Some(time) = self.later else { return Ok(()) };
        let key = LaterKey { time, account: self.account, id: self.id }.encode();
        if txn.get(&key).await?.is_none() {
            return Err(Error::Withdrawn);
        }
        txn.clear(&key);
        release_body_in(shared, txn, self.account, &self.record).await
    }

    /// Writes it with what became of its recipients, which are those of the message.
    pub(crate) async fn write_in(
        &self,
        shared: &Shared,
        txn: &Transaction,
        outcomes: &[Outcome],
        queued: &[QueueId],
    ) -> Result<(), Error> {
        let (refused, waited) = (!outcomes.iter().any(|one| one.is_taken()), self.later.is_some());
        if refused && !waited {
            return Ok(());
        }
        let mut record = SubmissionRecord {
            sending: true,
            blob: Vec::new(),
            size: 0,
            header_size: 0,
            ..self.record.clone()
        };
        for (to, outcome) in record.recipients.iter_mut().zip(outcomes) {
            let (delivered, reply) = told(*outcome);
            to.delivered = delivered;
            reply.clone_into(&mut to.reply);
        }
        let now = shared.services.clock.now().secs();
        if waited {
            let at = (self.account, ObjectKind::Submission, self.id.0);
            write_object_in(txn, at, &ObjectChange::Updated(&record), now);
        } else {
            make_submission_in(txn, (self.account, self.id), &record, now);
        }
        for id in queued {
            shared.services.spool.link_in(txn, *id, self.account, self.id);
        }
        Ok(())
    }
}

/// Lets go the message of a submission that waits no longer.
pub(super) async fn release_body_in(
    shared: &Shared,
    txn: &Transaction,
    account: AccountId,
    record: &SubmissionRecord,
) -> Result<(), Error> {
    if let Ok(hash) = record.blob.as_slice().try_into().map(BlobHash) {
        let owner = BlobOwner::Upload { account, expires: record.kept_until };
        shared.services.mail.blobs().dereference_in(txn, hash, owner).await?;
    }
    Ok(())
}

/// RFC 8621 §7 `deliveryStatus`: what SMTP would have said.
fn told(outcome: Outcome) -> (u32, &'static str) {
    type To = SubmissionRecipient;
    match outcome {
        Outcome::Delivered => (To::DELIVERED, "250 2.1.5 Delivered"),
        Outcome::Queued => (To::QUEUED, "250 2.0.0 Queued"),
        Outcome::Partly => (To::DELIVERED, "250 2.0.0 Delivered in part"),
        Outcome::MailboxFull => (To::FAILED, "452 4.2.2 Mailbox full"),
        Outcome::Gone => (To::FAILED, "550 5.1.1 No such user here"),
        Outcome::Loop => (To::FAILED, "554 5.4.6 Loop"),
    }
}
