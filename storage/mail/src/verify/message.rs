//! The row of a message, with all that must be there for it.

use findings::{Kind, Report};
use kv::Transaction;
use schema::keys::mail::*;
use schema::records::mail::{EmailRecord, MessageRecord};
use schema::{AccountId, Key, ModSeq, Stamp, Uid};

use super::Row;
use super::index::{flag_keys, highest, sort_keys};
use super::look::{Look, first, is_there, record};
use crate::{Error, MailboxRef};

pub(super) async fn check(
    txn: &Transaction,
    at: MailboxRef,
    row: Row<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    let Some((uid, message)) = check_copy(txn, at, row, report).await? else { return Ok(()) };
    let MailboxRef { account, mailbox } = at;
    let mut expected = flag_keys(at, uid, &message);
    expected.push(OrderKey { account, mailbox, stamp: message.stamp, uid }.encode());
    match sort_keys(txn, at, uid, &message).await? {
        Some(keys) => expected.extend(keys),
        None => {
            expected.push(ReceivedKey { account, mailbox, seconds: message.internal_date, uid }.encode());
            expected.push(SizeKey { account, mailbox, size: message.size, uid }.encode());
        }
    }
    for key in expected {
        if txn.get(&key).await?.is_none() {
            report.add(Kind::IndexMissing, key, format!("message {uid} is not found by it"));
        }
    }
    for &id in &message.keywords {
        let key = KeywordKey { account, id };
        if !is_there(txn, &key).await? {
            report.add(Kind::KeywordLost, key.encode(), format!("message {uid} has keyword {id}"));
        }
    }
    highest(txn, at, message.modseq(), report).await?;
    if !is_logged(txn, account, &message.stamp).await? {
        report
            .add_here(Kind::ChangeUnlogged, format!("the change log does not know of {}", message.modseq()));
    }
    Ok(())
}

/// A message as a copy of its email.
pub(super) async fn check_copy(
    txn: &Transaction,
    at: MailboxRef,
    row: Row<'_>,
    report: &mut Report,
) -> Result<Option<(Uid, MessageRecord)>, Error> {
    let MailboxRef { account, mailbox } = at;
    let uid = MessageKey::decode(row.key)?.uid;
    let Some(message) = report.readable(MessageRecord::from_bytes(row.value)) else { return Ok(None) };
    let email = message.email;
    let copy = MembershipKey { account, email, mailbox, uid };
    if !is_there(txn, &copy).await? {
        report.add(Kind::CopyMissing, copy.encode(), "the email does not know of this message");
    }
    match record::<EmailRecord>(txn, &EmailKey { account, email }).await? {
        Look::Unreadable => {}
        Look::Absent => {
            report.add(
                Kind::EmailLost,
                EmailKey { account, email }.encode(),
                format!("message {uid} is a copy of it"),
            );
        }
        Look::Is(record) => {
            if !is_copy(&message, &record) {
                report
                    .add_here(Kind::EmailDiffers, format!("email {email} has another body, size or thread"));
            }
        }
    }
    Ok(Some((uid, message)))
}

fn is_copy(message: &MessageRecord, email: &EmailRecord) -> bool {
    email.blob == message.blob.0 && (email.size, email.thread) == (message.size, message.thread.0)
}

/// Whether the change log has an entry of a commit, or does not reach back to it.
async fn is_logged(txn: &Transaction, account: AccountId, stamp: &Stamp) -> Result<bool, Error> {
    let begin = ChangeKey { account, stamp: *stamp, discriminator: 0 }.encode();
    let mut end = ChangeKey { account, stamp: *stamp, discriminator: u64::MAX }.encode();
    end.push(0);
    if first(txn, (begin, end)).await?.is_some() {
        return Ok(true);
    }
    // Read so that it conflicts, as all reads of a check do.
    let floor = txn.get(&ChangeFloorKey { account }.encode()).await?;
    let floor = floor.and_then(|value| value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)));
    Ok(ModSeq::of_stamp(stamp) <= ModSeq(floor.unwrap_or(0)))
}
