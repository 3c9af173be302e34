//! Entries of submissions (RFC 8621 §7): what becomes of their recipients is noted where the client looks.

use kv::Transaction;
use schema::keys::mail::{ObjectKey, ObjectKind};
use schema::keys::queue::QueueLinkKey;
use schema::records::mail::{ChangeKind, ChangeRecord};
use schema::records::object::{SubmissionRecipient, SubmissionRecord};
use schema::records::queue as records;
use schema::{AccountId, Key, QueueId, Record, SubmissionId};

use crate::settle::Outcome;
use crate::{Error, Reply, Spool};

/// Octets that are kept of a reply: what is kept of all recipients is one value.
const REPLY_MAX: usize = 200;

impl Spool {
    /// Notes of which submission an entry is.
    pub fn link_in(&self, txn: &Transaction, id: QueueId, account: AccountId, submission: SubmissionId) {
        let link = records::Link { account: account.0, submission: submission.0 };
        txn.set_bytes(QueueLinkKey { id }.encode(), link.to_bytes());
    }

    /// Notes with the entry's submission, if it is of one, what became of recipients.
    pub(crate) async fn tell_submission_in(
        &self,
        txn: &Transaction,
        id: QueueId,
        recipients: &[records::Recipient],
        outcomes: &[(usize, Outcome)],
    ) -> Result<(), Error> {
        let Some(link) = txn.get(&QueueLinkKey { id }.encode()).await? else { return Ok(()) };
        let link = records::Link::from_bytes(&link)?;
        let account = AccountId(link.account);
        let key = ObjectKey { account, kind: ObjectKind::Submission, id: link.submission }.encode();
        // The client may have removed it.
        let Some(value) = txn.get(&key).await? else { return Ok(()) };
        let mut record = SubmissionRecord::from_bytes(&value)?;
        for (number, outcome) in outcomes {
            let Some(recipient) = recipients.get(*number) else { continue };
            let named = |to: &&mut SubmissionRecipient| to.address.eq_ignore_ascii_case(&recipient.address);
            if let Some(to) = record.recipients.iter_mut().find(named) {
                let (delivered, reply) = match outcome {
                    Outcome::Delivered(reply) => (SubmissionRecipient::HANDED_ON, reply),
                    Outcome::Failed(reply) => (SubmissionRecipient::FAILED, reply),
                    Outcome::Deferred(reply) => (SubmissionRecipient::QUEUED, reply),
                };
                (to.delivered, to.reply) = (delivered, line(reply));
            }
        }
        txn.set_bytes(key, record.to_bytes());
        let about = (ObjectKind::Submission, link.submission);
        let log = ChangeRecord::of_object(ChangeKind::ObjectUpdated, about, self.clock.now().secs());
        changes::log::record_in(txn, account, link.submission, &log);
        Ok(())
    }
}

/// A reply on one line; where no server was reached, as one would have said it.
fn line(reply: &Reply) -> String {
    let code = if reply.code == 0 { 451 } else { reply.code };
    let mut line = match reply.enhanced.as_str() {
        "" => format!("{code} {}", reply.text),
        enhanced => format!("{code} {enhanced} {}", reply.text),
    };
    line.truncate(line.floor_char_boundary(REPLY_MAX));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_lines() {
        let reply = |code, enhanced: &str, text: &str| Reply {
            code,
            enhanced: enhanced.into(),
            text: text.into(),
            ..Reply::default()
        };
        assert_eq!(line(&reply(250, "2.0.0", "ok")), "250 2.0.0 ok");
        assert_eq!(line(&reply(0, "", "no route")), "451 no route");
        assert_eq!(line(&reply(550, "", &"\u{e4}".repeat(300))).len(), 200);
    }
}
