//! Rows of messages, their summaries and bodies.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use kv::Transaction;
use schema::keys::mail::{MessageKey, StructureKey};
use schema::records::mail::MessageRecord;
use schema::records::structure::StructureRecord;
use schema::{AccountId, BlobHash, EmailId, Flags, Key, ModSeq, Record, ThreadId, Uid};

use crate::index::SortValues;
use crate::keywords::Names;
use crate::{Error, MailboxRef, Store, convert};
use content_mail::Summary;

/// A message as it stands in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Its UID.
    pub uid: u32,
    /// The commit that changed it last.
    pub modseq: ModSeq,
    /// The email that it is a copy of.
    pub email: EmailId,
    /// Its thread.
    pub thread: ThreadId,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE, seconds since the epoch.
    pub internal_date: i64,
    /// When it came into this mailbox, seconds since the epoch (RFC 8514).
    pub save_date: i64,
    /// Octets.
    pub size: u64,
    /// Its body.
    pub blob: BlobHash,
}

/// Some of many.
#[derive(Debug, Clone, Default)]
pub struct Page<T> {
    /// In order.
    pub rows: Vec<T>,
    /// The first UID of the next page; none at the end.
    pub next: Option<u32>,
}

/// UIDs that lie so close, on average, are read with those between them.
const DENSE: usize = 4;

/// Summaries read at once.
const SUMMARIES: usize = 100;

/// Largest piece of a structure record: below the store's limit of a value.
const PIECE: usize = 90_000;

impl Store {
    /// Messages with UIDs in a range, at most `limit` of them.
    ///
    /// # Errors
    /// The store's.
    pub async fn messages(
        &self,
        at: MailboxRef,
        uids: RangeInclusive<u32>,
        limit: usize,
    ) -> Result<Page<MessageRow>, Error> {
        let uids = &uids;
        self.db
            .read("mail.messages", |txn| async move {
                let (begin, end) = MessageKey::range(at.account, at.mailbox, *uids.start(), *uids.end());
                let mut rows = txn.range(&begin, &end).snapshot().limit(limit.saturating_add(1));
                let mut names = Names::default();
                let mut page = Page { rows: Vec::new(), next: None };
                while let Some((key, value)) = rows.try_next().await? {
                    let uid = MessageKey::decode(&key)?.uid;
                    if page.rows.len() == limit {
                        page.next = Some(uid.get());
                        break;
                    }
                    page.rows.push(row(&txn, at.account, uid, &value, &mut names).await?);
                }
                Ok(page)
            })
            .await
    }

    /// Those of a mailbox's messages that have these UIDs, which are in order: no more than a page of them.
    ///
    /// # Errors
    /// The store's.
    pub async fn messages_at(&self, at: MailboxRef, uids: &[u32]) -> Result<Vec<MessageRow>, Error> {
        let (Some(first), Some(last)) = (uids.first(), uids.last()) else { return Ok(Vec::new()) };
        let span = usize::try_from(last - first).unwrap_or(usize::MAX);
        if span / DENSE <= uids.len() {
            let mut rows = self.messages(at, *first..=*last, usize::MAX - 1).await?.rows;
            rows.retain(|row| uids.binary_search(&row.uid).is_ok());
            return Ok(rows);
        }
        self.db
            .read("mail.messages_at", |txn| async move {
                let key = |uid: Uid| MessageKey { account: at.account, mailbox: at.mailbox, uid }.encode();
                let keys: Vec<_> = uids.iter().filter_map(|uid| Uid::new(*uid)).collect();
                let read = keys.iter().map(|uid| {
                    let (txn, key) = (&txn, key(*uid));
                    async move { txn.get_snapshot(&key).await }
                });
                let (mut names, mut rows) = (Names::default(), Vec::with_capacity(keys.len()));
                for (uid, value) in keys.iter().zip(try_join_all(read).await?) {
                    if let Some(value) = value {
                        rows.push(row(&txn, at.account, *uid, &value, &mut names).await?);
                    }
                }
                Ok(rows)
            })
            .await
    }

    /// One message.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else the store's.
    pub async fn message(&self, at: MailboxRef, uid: u32) -> Result<MessageRow, Error> {
        let page = self.messages(at, uid..=uid, 1).await?;
        page.rows.into_iter().next().ok_or(Error::NotFound)
    }

    /// What is known of an email without reading its body.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else the store's.
    pub async fn summary(&self, account: AccountId, email: EmailId) -> Result<Arc<Summary>, Error> {
        self.db
            .read("mail.summary", |txn| async move {
                Ok(Arc::new(convert::from_record(structure_in(&txn, account, email).await?)))
            })
            .await
    }

    /// What is known of emails without reading their bodies, in the order asked for; none of those that are not there.
    ///
    /// # Errors
    /// The store's.
    pub async fn summaries(
        &self,
        account: AccountId,
        emails: &[EmailId],
    ) -> Result<Vec<Option<Arc<Summary>>>, Error> {
        self.structures(account, emails, |row| {
            Ok(Arc::new(convert::from_record(StructureRecord::from_bytes(row)?)))
        })
        .await
    }

    /// What their structure records say of emails, in the order asked for; none of those that are not there.
    pub(crate) async fn structures<T>(
        &self,
        account: AccountId,
        emails: &[EmailId],
        said: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<Vec<Option<T>>, Error> {
        let mut all = Vec::with_capacity(emails.len());
        for page in emails.chunks(SUMMARIES) {
            let read = self.db.read("mail.summaries", |txn| async move {
                let txn = &txn;
                try_join_all(page.iter().map(|email| structure_bytes_in(txn, account, *email))).await
            });
            for row in read.await? {
                all.push(row.map(|row| said(&row)).transpose()?);
            }
        }
        Ok(all)
    }

    /// Octets of a body.
    ///
    /// # Errors
    /// The blob store's.
    pub async fn body(&self, blob: BlobHash, range: Range<u64>) -> Result<Bytes, Error> {
        Ok(self.blobs.read(blob, range).await?)
    }
}

/// A message with all that copying or removing it needs.
pub(crate) struct Whole {
    pub(crate) uid: Uid,
    pub(crate) record: MessageRecord,
    pub(crate) values: SortValues,
}

/// Messages, those that are there, read so that their changes conflict; each kind of row at once.
pub(crate) async fn wholes_in(txn: &Transaction, at: MailboxRef, uids: &[Uid]) -> Result<Vec<Whole>, Error> {
    let rows = try_join_all(uids.iter().map(|uid| record_in(txn, at, *uid))).await?;
    let there: Vec<_> = uids.iter().zip(rows).filter_map(|(uid, row)| Some((*uid, row?))).collect();
    let structures = there.iter().map(|(_, record)| structure_in(txn, at.account, record.email));
    let structures = try_join_all(structures).await?;
    let whole = |((uid, record), structure): ((Uid, MessageRecord), _)| {
        let values = SortValues::of(&convert::from_record(structure), record.internal_date, record.size);
        Whole { uid, record, values }
    };
    Ok(there.into_iter().zip(structures).map(whole).collect())
}

pub(crate) async fn structure_in(
    txn: &Transaction,
    account: AccountId,
    email: EmailId,
) -> Result<StructureRecord, Error> {
    let row = structure_bytes_in(txn, account, email).await?.ok_or(Error::NotFound)?;
    Ok(StructureRecord::from_bytes(&row)?)
}

/// The bytes of a structure record, if the email is there.
async fn structure_bytes_in(
    txn: &Transaction,
    account: AccountId,
    email: EmailId,
) -> Result<Option<Bytes>, Error> {
    let first = txn.get_snapshot(&StructureKey { account, email, part: 0 }.encode()).await?;
    // To look up a key takes less than to read a range, and nearly all records are one piece.
    if first.as_ref().is_none_or(|first| first.len() < PIECE) {
        return Ok(first);
    }
    let (begin, end) = StructureKey::range(account, email);
    let pieces = txn.range(&begin, &end).snapshot().collect().await?;
    Ok(Some(pieces.iter().flat_map(|(_, piece)| piece.to_vec()).collect()))
}

/// Writes a structure record, in pieces where it is larger than a value.
pub(crate) fn write_structure_in(txn: &Transaction, account: AccountId, email: EmailId, summary: &Summary) {
    let bytes = Bytes::from(convert::to_record(summary).to_bytes());
    for (part, start) in (0..=u8::MAX).zip((0..bytes.len()).step_by(PIECE)) {
        let piece = bytes.slice(start..bytes.len().min(start + PIECE));
        txn.set_bytes(StructureKey { account, email, part }.encode(), piece);
    }
}

/// Bytes of a structure record.
pub(crate) fn structure_size(summary: &Summary) -> usize {
    convert::to_record(summary).to_bytes().len()
}

/// A row of stored bytes.
pub(crate) async fn row(
    txn: &Transaction,
    account: AccountId,
    uid: Uid,
    value: &[u8],
    names: &mut Names,
) -> Result<MessageRow, Error> {
    let record = MessageRecord::from_bytes(value)?;
    let flags = names.flags(txn, account, record.system, &record.keywords).await?;
    Ok(row_of(uid, &record, flags))
}

pub(crate) fn row_of(uid: Uid, record: &MessageRecord, flags: Flags) -> MessageRow {
    MessageRow {
        uid: uid.get(),
        modseq: record.modseq(),
        email: record.email,
        thread: record.thread,
        flags,
        internal_date: record.internal_date,
        save_date: record.save_date,
        size: record.size,
        blob: record.blob,
    }
}

/// A message's record, read so that its change conflicts.
pub(crate) async fn record_in(
    txn: &Transaction,
    at: MailboxRef,
    uid: Uid,
) -> Result<Option<MessageRecord>, Error> {
    let key = MessageKey { account: at.account, mailbox: at.mailbox, uid }.encode();
    let value = txn.get(&key).await?;
    Ok(value.map(|v| MessageRecord::from_bytes(&v)).transpose()?)
}
