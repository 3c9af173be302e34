//! Rows of a mailbox: what is kept per mailbox, and the indexes of its messages.

use findings::{Kind, Report, place_of};
use kv::Transaction;
use schema::keys::job::EmptyKey;
use schema::keys::mail::*;
use schema::page::{Page, decode_ranges};
use schema::records::mail::MessageRecord;
use schema::{AccountId, Key, KeyReader, MailboxId, ModSeq, Uid};

use super::look::{Look, first, is_there, look, message, structure};
use super::{Row, account, message as rows};
use crate::index::{SortValues, flag_numbers};
use crate::{Error, MailboxRef, convert};

pub(super) async fn check(
    txn: &Transaction,
    account: AccountId,
    row: Row<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    let Some((mailbox, tag)) = head(row.key) else {
        report.add_here(Kind::UnknownKey, "no key of this version");
        return Ok(());
    };
    let at = MailboxRef { account, mailbox };
    if !is_there(txn, &MailboxKey { account, mailbox }).await? {
        if !is_there(txn, &EmptyKey { account, mailbox }).await? {
            return account::orphaned(txn, at, row, report).await;
        }
        // Of a mailbox that is being emptied, what is left of its messages has its emails; the rest may be gone.
        if tag == b'r' {
            rows::check_copy(txn, at, row, report).await?;
        }
        return Ok(());
    }
    match tag {
        b'r' => rows::check(txn, at, row, report).await?,
        b'x' => vanished(txn, at, row, report).await?,
        b'p' => drop(report.readable(Page::from_bytes(row.value))),
        b'C' => drop(report.bytes::<20>(row.value)),
        b'N' => drop(report.bytes::<4>(row.value)),
        b'V' => drop(report.bytes::<8>(row.value)),
        b'H' => {
            if let Some(stamp) = report.bytes::<10>(row.value) {
                account::check_past(txn, &stamp, report).await?;
            }
        }
        _ => indexed(txn, at, tag, row, report).await?,
    }
    Ok(())
}

fn head(key: &[u8]) -> Option<(MailboxId, u8)> {
    let mut reader = KeyReader::new(key);
    reader.tag(TAG).ok()?;
    reader.uint32().ok()?;
    reader.tag(b'm').ok()?;
    let mailbox = MailboxId(reader.uint32().ok()?);
    Some((mailbox, reader.peek()?))
}

/// A row of an index belongs to a message that says the same.
async fn indexed(
    txn: &Transaction,
    at: MailboxRef,
    tag: u8,
    row: Row<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    report.bytes::<0>(row.value);
    let Some(uid) = place_of(row.key).uid else { return Ok(()) };
    let detail = match message(txn, at, uid).await? {
        Look::Unreadable => return Ok(()),
        Look::Absent => "there is no such message",
        Look::Is(record) => match keys(txn, at, uid, tag, &record).await? {
            Some(keys) if !keys.iter().any(|key| key == row.key) => "the message says otherwise",
            _ => return Ok(()),
        },
    };
    report.add_here(Kind::IndexStale, detail);
    Ok(())
}

/// The rows that a message has in the indexes with a tag; none if that is not known.
async fn keys(
    txn: &Transaction,
    at: MailboxRef,
    uid: Uid,
    tag: u8,
    record: &MessageRecord,
) -> Result<Option<Vec<Vec<u8>>>, Error> {
    let MailboxRef { account, mailbox } = at;
    Ok(match tag {
        b'o' => Some(vec![OrderKey { account, mailbox, stamp: record.stamp, uid }.encode()]),
        b'g' => Some(flag_keys(at, uid, record)),
        // Those that need no structure.
        b'd' => Some(vec![ReceivedKey { account, mailbox, seconds: record.internal_date, uid }.encode()]),
        b'z' => Some(vec![SizeKey { account, mailbox, size: record.size, uid }.encode()]),
        _ => sort_keys(txn, at, uid, record).await?,
    })
}

pub(super) fn flag_keys(at: MailboxRef, uid: Uid, record: &MessageRecord) -> Vec<Vec<u8>> {
    let MailboxRef { account, mailbox } = at;
    let numbers = flag_numbers(record.system, &record.keywords);
    numbers.into_iter().map(|flag| FlagKey { account, mailbox, flag, uid }.encode()).collect()
}

/// All rows of a message in the sort indexes, if its structure is there.
pub(super) async fn sort_keys(
    txn: &Transaction,
    at: MailboxRef,
    uid: Uid,
    record: &MessageRecord,
) -> Result<Option<Vec<Vec<u8>>>, Error> {
    let Some(structure) = structure(txn, at.account, record.email).await? else { return Ok(None) };
    let summary = convert::from_record(structure);
    Ok(Some(SortValues::of(&summary, record.internal_date, record.size).keys(at, uid).into()))
}

/// UIDs that vanished are not used again.
async fn vanished(txn: &Transaction, at: MailboxRef, row: Row<'_>, report: &mut Report) -> Result<(), Error> {
    let MailboxRef { account, mailbox } = at;
    let key = VanishedKey::decode(row.key)?;
    let Some(ranges) = report.readable(decode_ranges(row.value)) else { return Ok(()) };
    highest(txn, at, ModSeq::of_stamp(&key.stamp), report).await?;
    for range in ranges {
        let there = MessageKey::range(account, mailbox, *range.start(), *range.end());
        if let Some((key, _)) = first(txn, there).await? {
            report.add(Kind::VanishedIsThere, key.to_vec(), "clients were told that it is gone");
        }
    }
    Ok(())
}

/// HIGHESTMODSEQ is not below what changed.
pub(super) async fn highest(
    txn: &Transaction,
    at: MailboxRef,
    changed: ModSeq,
    report: &mut Report,
) -> Result<(), Error> {
    let key = HighestKey { account: at.account, mailbox: at.mailbox }.encode();
    let read = |value: &[u8]| {
        let stamp = value.try_into().map_err(|_| schema::RecordError::Short)?;
        Ok(ModSeq::of_stamp(&stamp))
    };
    match look(txn, &key, read).await? {
        Look::Unreadable => {}
        Look::Is(highest) if highest >= changed => {}
        _ => report.add(Kind::HighestLow, key, format!("a change has the number {changed}")),
    }
    Ok(())
}
