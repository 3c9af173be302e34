//! Rows of emails and threads.

use findings::{Kind, Report};
use kv::Transaction;
use schema::keys::blob::{BlobMetaKey, BlobOwner, BlobReferenceKey};
use schema::keys::job::EmptyKey;
use schema::keys::mail::*;
use schema::page::{PAGE_UIDS, Page, page_of};
use schema::records::blob::BlobMeta;
use schema::records::mail::{EmailRecord, SignatureRecord};
use schema::{AccountId, BlobHash, EmailId, Key, Record, ThreadId, Uid};

use super::Row;
use super::look::{Look, first, is_there, look, message, record, structure};
use crate::{Error, MailboxRef};

pub(super) async fn check(
    txn: &Transaction,
    account: AccountId,
    row: Row<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    let Row { key, value } = row;
    if let Ok(EmailKey { email, .. }) = EmailKey::decode(key) {
        check_email(txn, account, email, value, report).await
    } else if let Ok(copy) = MembershipKey::decode(key) {
        report.bytes::<0>(value);
        check_copy(txn, copy, report).await
    } else if let Ok(StructureKey { email, .. }) = StructureKey::decode(key) {
        if !is_there(txn, &EmailKey { account, email }).await? && !has_copies(txn, account, email).await? {
            report.add_here(Kind::StructureStale, "there is no such email");
        }
        Ok(())
    } else if let Ok(SignatureKey { email, .. }) = SignatureKey::decode(key) {
        drop(report.record::<SignatureRecord>(value));
        if !is_there(txn, &EmailKey { account, email }).await? {
            report.add_here(Kind::StructureStale, "there is no such email");
        }
        Ok(())
    } else if let Ok(key) = ThreadEmailKey::decode(key) {
        report.bytes::<0>(value);
        check_thread_email(txn, key, report).await
    } else if let Ok(key) = ThreadHashKey::decode(key) {
        report.bytes::<0>(value);
        check_thread_hash(txn, key, report).await
    } else {
        let ThreadReferenceKey { hash, .. } = ThreadReferenceKey::decode(key)?;
        let Some(thread) = report.bytes::<8>(value) else { return Ok(()) };
        let thread = ThreadId(u64::from_be_bytes(thread));
        let hash = ThreadHashKey { account, thread, hash };
        // What leads to a thread that ended leads nowhere, and may stay.
        if is_live(txn, account, thread).await? && !is_there(txn, &hash).await? {
            report.add(
                Kind::ThreadMissing,
                hash.encode(),
                "a key leads to the thread that does not know of it",
            );
        }
        Ok(())
    }
}

async fn has_copies(txn: &Transaction, account: AccountId, email: EmailId) -> Result<bool, Error> {
    Ok(first(txn, MembershipKey::range(account, email)).await?.is_some())
}

async fn check_email(
    txn: &Transaction,
    account: AccountId,
    email: EmailId,
    value: &[u8],
    report: &mut Report,
) -> Result<(), Error> {
    let Some(record) = report.record::<EmailRecord>(value) else { return Ok(()) };
    let Some(hash) = report.readable(record.blob_hash()) else { return Ok(()) };
    if !has_copies(txn, account, email).await? {
        report.add_here(Kind::EmailUnfiled, "it is in no mailbox");
    }
    let thread = ThreadEmailKey { account, thread: ThreadId(record.thread), email };
    if !is_there(txn, &thread).await? {
        report.add(Kind::ThreadMissing, thread.encode(), "the thread does not know of its email");
    }
    if structure(txn, account, email).await?.is_none() {
        report.add_here(Kind::StructureLost, "what was known of its parts is not there, or cannot be read");
    }
    check_body(txn, hash, BlobOwner::Email(account, email), record.size, report).await
}

/// A body is there, of the right length, and knows who holds it.
async fn check_body(
    txn: &Transaction,
    hash: BlobHash,
    owner: BlobOwner,
    size: u64,
    report: &mut Report,
) -> Result<(), Error> {
    report.holds(hash, false);
    match look(txn, &BlobMetaKey { hash }.encode(), BlobMeta::from_bytes).await? {
        Look::Unreadable => {}
        Look::Absent => {
            report.add(
                Kind::BodyLost,
                BlobMetaKey { hash }.encode(),
                "what is known of the body is not there",
            );
            return Ok(());
        }
        Look::Is(meta) if meta.size != size => {
            let detail = format!("{size} octets are said, and its body has {}", meta.size);
            report.add_here(Kind::BodyDamaged, detail);
        }
        Look::Is(_) => {}
    }
    let reference = BlobReferenceKey { hash, owner };
    if !is_there(txn, &reference).await? {
        report.add(Kind::BodyReferenceMissing, reference.encode(), "the body does not know who holds it");
    }
    Ok(())
}

/// Where an email is said to be, there it is.
async fn check_copy(txn: &Transaction, copy: MembershipKey, report: &mut Report) -> Result<(), Error> {
    let MembershipKey { account, email, mailbox, uid } = copy;
    let at = MailboxRef { account, mailbox };
    match message(txn, at, uid).await? {
        Look::Unreadable => {}
        Look::Is(row) if row.email == email => {}
        Look::Is(row) => report.add_here(Kind::CopyStale, format!("message {uid} is of email {}", row.email)),
        Look::Absent if is_there(txn, &EmptyKey { account, mailbox }).await? => {
            report.add_here(Kind::CopyStale, "the message left its mailbox");
        }
        Look::Absent if is_on_page(txn, at, uid).await? => {
            let key = MessageKey { account, mailbox, uid }.encode();
            report.add(Kind::MessageLost, key, format!("email {email} and the mailbox's page know of it"));
        }
        Look::Absent => report.add_here(Kind::CopyStale, "there is no such message"),
    }
    Ok(())
}

async fn is_on_page(txn: &Transaction, at: MailboxRef, uid: Uid) -> Result<bool, Error> {
    let MailboxRef { account, mailbox } = at;
    let key = PageKey { account, mailbox, page: page_of(uid.get()) }.encode();
    let page = look(txn, &key, Page::from_bytes).await?.known();
    Ok(page.is_some_and(|page| page.contains((uid.get() % PAGE_UIDS) as u16)))
}

async fn check_thread_email(
    txn: &Transaction,
    ThreadEmailKey { account, thread, email }: ThreadEmailKey,
    report: &mut Report,
) -> Result<(), Error> {
    match record::<EmailRecord>(txn, &EmailKey { account, email }).await? {
        Look::Unreadable => {}
        Look::Is(record) if record.thread == thread.0 => {}
        // Its message says that the email is lost.
        Look::Absent if has_copies(txn, account, email).await? => {}
        _ => report.add_here(Kind::ThreadStale, "the email is not there, or of another thread"),
    }
    Ok(())
}

async fn check_thread_hash(
    txn: &Transaction,
    ThreadHashKey { account, thread, hash }: ThreadHashKey,
    report: &mut Report,
) -> Result<(), Error> {
    let leads = txn.get(&ThreadReferenceKey { account, hash }.encode()).await?;
    if leads.is_none_or(|to| to.as_ref() != thread.0.to_be_bytes()) || !is_live(txn, account, thread).await? {
        report.add_here(Kind::ThreadStale, "the key leads elsewhere, or the thread has ended");
    }
    Ok(())
}

async fn is_live(txn: &Transaction, account: AccountId, thread: ThreadId) -> Result<bool, Error> {
    Ok(first(txn, ThreadEmailKey::range(account, thread)).await?.is_some())
}
