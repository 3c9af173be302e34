//! Which thread a message joins (RFC 8621 §3): one that shares a message id with it under the same base subject.

use kv::Transaction;
use schema::keys::mail::{ThreadEmailKey, ThreadHashKey, ThreadReferenceKey};
use schema::{AccountId, EmailId, Key, ThreadId};

use crate::Error;
use content_mail::Summary;

/// Message ids of one message that are looked at; the newest references count.
const MAX_IDS: usize = 50;

/// The keyed hashes of a message's ids under its subject.
pub(crate) fn hashes(summary: &Summary) -> Vec<[u8; 8]> {
    let ids = &summary.message_ids;
    let all = ids.message_id.iter().chain(&ids.in_reply_to).chain(ids.references.iter().rev());
    let mut hashes: Vec<[u8; 8]> = all.take(MAX_IDS).map(|id| hash(id, &summary.base_subject)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

fn hash(id: &str, subject: &str) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new_derive_key("godwit thread reference 1");
    hasher.update(id.as_bytes());
    hasher.update(&[0]);
    hasher.update(subject.as_bytes());
    let mut out = [0; 8];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    out
}

/// The thread that the message joins or begins, with its ids noted. Of several threads that it would join the oldest
/// is taken; the others stay as they are.
pub(crate) async fn join_in(
    txn: &Transaction,
    account: AccountId,
    email: EmailId,
    hashes: &[[u8; 8]],
) -> Result<(ThreadId, bool), Error> {
    let mut found: Option<ThreadId> = None;
    let mut missing = Vec::new();
    for hash in hashes {
        let value = txn.get(&ThreadReferenceKey { account, hash: *hash }.encode()).await?;
        match value.and_then(|v| v.first_chunk().map(|b| ThreadId(u64::from_be_bytes(*b)))) {
            Some(thread) => found = Some(found.map_or(thread, |f| f.min(thread))),
            None => missing.push(*hash),
        }
    }
    let thread = found.unwrap_or(ThreadId(email.0));
    for hash in missing {
        txn.set(&ThreadReferenceKey { account, hash }.encode(), &thread.0.to_be_bytes());
        txn.set(&ThreadHashKey { account, thread, hash }.encode(), b"");
    }
    txn.set(&ThreadEmailKey { account, thread, email }.encode(), b"");
    Ok((thread, found.is_none()))
}

/// Takes an email out of its thread; the thread goes with its last one. Says whether it did.
pub(crate) async fn leave_in(
    txn: &Transaction,
    account: AccountId,
    thread: ThreadId,
    email: EmailId,
) -> Result<bool, Error> {
    txn.clear(&ThreadEmailKey { account, thread, email }.encode());
    let (begin, end) = ThreadEmailKey::range(account, thread);
    if txn.range(&begin, &end).first().await?.is_some() {
        return Ok(false);
    }
    let (begin, end) = ThreadHashKey::range(account, thread);
    for (key, _) in txn.range(&begin, &end).collect().await? {
        let hash = ThreadHashKey::decode(&key)?.hash;
        txn.clear(&ThreadReferenceKey { account, hash }.encode());
    }
    txn.clear_range(&begin, &end);
    Ok(true)
}
