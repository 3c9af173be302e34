//! Reads of what a row refers to.

use kv::Transaction;
use schema::keys::mail::{AllocationKey, MessageKey, StructureKey};
use schema::records::mail::{AllocationRecord, MessageRecord};
use schema::records::structure::StructureRecord;
use schema::{AccountId, EmailId, Key, MailboxId, Record, RecordError, Uid};

use crate::{Error, MailboxRef, mailbox};

/// What a key holds. What cannot be read is that row's own fault, and told where it is checked.
pub(super) enum Look<T> {
    Absent,
    Unreadable,
    Is(T),
}

impl<T> Look<T> {
    pub(super) fn known(self) -> Option<T> {
        match self {
            Look::Is(value) => Some(value),
            _ => None,
        }
    }
}

/// All reads conflict: the same check decides in the transaction that mends.
pub(super) async fn look<T>(
    txn: &Transaction,
    key: &[u8],
    read: impl FnOnce(&[u8]) -> Result<T, RecordError>,
) -> Result<Look<T>, Error> {
    Ok(match txn.get(key).await? {
        None => Look::Absent,
        Some(value) => read(&value).map_or(Look::Unreadable, Look::Is),
    })
}

pub(super) async fn record<R: Record>(txn: &Transaction, key: &impl Key) -> Result<Look<R>, Error> {
    look(txn, &key.encode(), R::from_bytes).await
}

pub(super) async fn is_there(txn: &Transaction, key: &impl Key) -> Result<bool, Error> {
    Ok(txn.get(&key.encode()).await?.is_some())
}

/// The first key of a range.
pub(super) async fn first(
    txn: &Transaction,
    (begin, end): (Vec<u8>, Vec<u8>),
) -> Result<Option<kv::Row>, Error> {
    Ok(txn.range(&begin, &end).first().await?)
}

pub(super) async fn message(
    txn: &Transaction,
    at: MailboxRef,
    uid: Uid,
) -> Result<Look<MessageRecord>, Error> {
    let key = MessageKey { account: at.account, mailbox: at.mailbox, uid }.encode();
    look(txn, &key, MessageRecord::from_bytes).await
}

/// The mailbox that a name or role leads to.
pub(super) async fn mailbox_at(txn: &Transaction, key: &impl Key) -> Result<Option<MailboxId>, Error> {
    Ok(txn.get(&key.encode()).await?.and_then(|value| mailbox::id_of(&value)))
}

pub(super) async fn allocation(txn: &Transaction, account: AccountId) -> Result<AllocationRecord, Error> {
    Ok(record(txn, &AllocationKey { account }).await?.known().unwrap_or_default())
}

/// The structure of an email, if it is there and can be read.
pub(super) async fn structure(
    txn: &Transaction,
    account: AccountId,
    email: EmailId,
) -> Result<Option<StructureRecord>, Error> {
    let (begin, end) = StructureKey::range(account, email);
    let pieces = txn.range(&begin, &end).collect().await?;
    let whole: Vec<u8> = pieces.iter().flat_map(|(_, piece)| piece.iter().copied()).collect();
    Ok(StructureRecord::from_bytes(&whole).ok())
}
