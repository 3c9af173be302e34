//! Which thread a message joins (RFC 8621 §3): one that shares a message id with it under the same base subject.
//!
//! Each (message id, base subject) that a message names is a key that leads to a thread. A new message joins the
//! oldest thread its keys lead to, or begins one, and its keys that lead nowhere yet lead there from then on.
//!
//! A message that joins two threads, since mail came out of order, does not make one of them: the thread of an email
//! never changes (RFC 8621 §4.1.1). But the keys of the younger thread lead to the older one from then on, so that
//! whatever comes later is of one thread.
//!
//! A key that leads to a thread without emails leads nowhere: when a thread ends, some of its keys may stay behind, since
//! senders decide how many there are and a transaction takes only so many. The next message that has such a key takes it.
//!
//! Keys are hashed with a secret of the account: nobody can make messages whose keys are those of others.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use kv::Transaction;
use schema::keys::mail::{AllocationKey, ThreadEmailKey, ThreadHashKey, ThreadReferenceKey};
use schema::records::mail::AllocationRecord;
use schema::{AccountId, EmailId, Key, Record, ThreadId};

use crate::Error;
use content_mail::Summary;

/// Message ids of one message that are looked at; the newest references count.
const MAX_IDS: usize = 50;

/// Keys of a thread that are led over to another; what is beyond keeps leading to the younger one.
const MAX_REDIRECTED: usize = 256;

/// Keys of a thread that go with it.
const MAX_CLEARED: usize = 1_000;

/// The account's secret. It is made with the account's first mailbox and never changes, so that a snapshot read is
/// enough and conflicts with nothing.
pub(crate) async fn secret_in(txn: &Transaction, account: AccountId) -> Result<u64, Error> {
    let value = txn.get_snapshot(&AllocationKey { account }.encode()).await?;
    Ok(value.map(|v| AllocationRecord::from_bytes(&v)).transpose()?.unwrap_or_default().thread_secret)
}

/// The keyed hashes of a message's ids under its subject; case in subjects does not matter (RFC 5256 §3).
pub(crate) fn hashes(secret: u64, summary: &Summary) -> Vec<[u8; 8]> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&secret.to_le_bytes());
    let subject = summary.base_subject.to_lowercase();
    let ids = &summary.message_ids;
    let all = ids.message_id.iter().chain(&ids.in_reply_to).chain(ids.references.iter().rev());
    let mut hashes: Vec<[u8; 8]> = all.take(MAX_IDS).map(|id| hash(&key, id, &subject)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

fn hash(key: &[u8; 32], id: &str, subject: &str) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(id.as_bytes());
    hasher.update(&[0]);
    hasher.update(subject.as_bytes());
    let mut out = [0; 8];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    out
}

/// The thread that the message joins or begins, with its ids noted, and whether it begins it.
pub(crate) async fn join_in(
    txn: &Transaction,
    account: AccountId,
    email: EmailId,
    hashes: &[[u8; 8]],
) -> Result<(ThreadId, bool), Error> {
    let (mut leads, mut missing) = (BTreeMap::<ThreadId, Vec<[u8; 8]>>::new(), Vec::new());
    let keys: Vec<_> = hashes.iter().map(|&hash| ThreadReferenceKey { account, hash }.encode()).collect();
    let values = try_join_all(keys.iter().map(|key| txn.get(key))).await?;
    for (&hash, value) in hashes.iter().zip(values) {
        match value.and_then(|v| v.first_chunk().map(|b| ThreadId(u64::from_be_bytes(*b)))) {
            Some(thread) => leads.entry(thread).or_default().push(hash),
            None => missing.push(hash),
        }
    }
    let mut found = Vec::with_capacity(leads.len());
    for (thread, hashes) in leads {
        if is_live_in(txn, account, thread).await? {
            found.push(thread);
        } else {
            missing.extend(hashes);
        }
    }
    let (thread, begun) = match found.first() {
        Some(oldest) => (*oldest, false),
        None => (ThreadId(email.0), true),
    };
    missing.into_iter().for_each(|hash| lead_in(txn, account, hash, thread));
    for younger in found.into_iter().skip(1) {
        redirect_in(txn, account, younger, thread).await?;
    }
    txn.set(&ThreadEmailKey { account, thread, email }.encode(), b"");
    Ok((thread, begun))
}

/// Whether a thread has emails. Its end conflicts.
async fn is_live_in(txn: &Transaction, account: AccountId, thread: ThreadId) -> Result<bool, Error> {
    let (begin, end) = ThreadEmailKey::range(account, thread);
    Ok(txn.range(&begin, &end).first().await?.is_some())
}

/// Makes a key lead to a thread.
fn lead_in(txn: &Transaction, account: AccountId, hash: [u8; 8], thread: ThreadId) {
    txn.set(&ThreadReferenceKey { account, hash }.encode(), &thread.0.to_be_bytes());
    txn.set(&ThreadHashKey { account, thread, hash }.encode(), b"");
}

/// Makes the keys of one thread lead to another.
async fn redirect_in(
    txn: &Transaction,
    account: AccountId,
    from: ThreadId,
    to: ThreadId,
) -> Result<(), Error> {
    let (begin, end) = ThreadHashKey::range(account, from);
    for (key, _) in txn.range(&begin, &end).limit(MAX_REDIRECTED).collect().await? {
        txn.clear(&key);
        lead_in(txn, account, ThreadHashKey::decode(&key)?.hash, to);
    }
    Ok(())
}

/// Takes an email out of its thread, which may end with it ([`end_in`]).
pub(crate) fn leave_in(txn: &Transaction, account: AccountId, thread: ThreadId, email: EmailId) {
    txn.clear(&ThreadEmailKey { account, thread, email }.encode());
}

/// Ends a thread if its last email has left. Says whether it has.
pub(crate) async fn end_in(txn: &Transaction, account: AccountId, thread: ThreadId) -> Result<bool, Error> {
    if is_live_in(txn, account, thread).await? {
        return Ok(false);
    }
    let (begin, end) = ThreadHashKey::range(account, thread);
    for (key, _) in txn.range(&begin, &end).limit(MAX_CLEARED).collect().await? {
        let hash = ThreadHashKey::decode(&key)?.hash;
        txn.clear(&ThreadReferenceKey { account, hash }.encode());
    }
    txn.clear_range(&begin, &end);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use content_mail::{Limits, summarize};

    const ACCOUNT: AccountId = AccountId(1);

    fn of(secret: u64, id: &str, references: &str, subject: &str) -> Vec<[u8; 8]> {
        let text = format!("Message-ID: <{id}>\r\nReferences: {references}\r\nSubject: {subject}\r\n\r\n");
        hashes(secret, &summarize(text.as_bytes(), &Limits::default()))
    }

    async fn add(db: &kv::Database, email: u64, hashes: &[[u8; 8]]) -> (ThreadId, bool) {
        db.transact("test", |txn| async move { join_in(&txn, ACCOUNT, EmailId(email), hashes).await })
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn answers_join_and_other_subjects_do_not() {
        let db = kv::memory::database();
        assert_eq!(add(&db, 1, &of(7, "a", "", "Lunch")).await, (ThreadId(1), true));
        assert_eq!(add(&db, 2, &of(7, "b", "<a>", "RE: lunch")).await, (ThreadId(1), false));
        assert_eq!(add(&db, 3, &of(7, "c", "<a> <b>", "Dinner?")).await, (ThreadId(3), true));
        assert_eq!(add(&db, 4, &of(7, "d", "<x> <b>", "Fwd: Lunch")).await, (ThreadId(1), false));
    }

    #[tokio::test]
    async fn what_joins_two_threads_leads_both_to_the_older() {
        let db = kv::memory::database();
        add(&db, 1, &of(7, "a", "", "s")).await;
        assert_eq!(add(&db, 2, &of(7, "b", "", "s")).await, (ThreadId(2), true));
        assert_eq!(add(&db, 3, &of(7, "m", "<a> <b>", "s")).await, (ThreadId(1), false));
        assert_eq!(add(&db, 4, &of(7, "e", "<b>", "s")).await, (ThreadId(1), false));
    }

    #[tokio::test]
    async fn threads_that_ended_leave_nothing() {
        let db = kv::memory::database();
        add(&db, 1, &of(7, "a", "", "s")).await;
        add(&db, 2, &of(7, "b", "", "s")).await;
        add(&db, 3, &of(7, "m", "<a> <b>", "s")).await;
        for (email, thread, ends) in [(2, 2, true), (1, 1, false), (3, 1, true)] {
            let ended = db
                .transact("test", |txn| async move {
                    leave_in(&txn, ACCOUNT, ThreadId(thread), EmailId(email));
                    end_in(&txn, ACCOUNT, ThreadId(thread)).await
                })
                .await
                .unwrap();
            assert_eq!(ended, ends);
        }
        let (begin, end) = schema::keys::mail::account_range(ACCOUNT);
        let (begin, end) = (&begin, &end);
        let left =
            db.read("test", |txn| async move { Ok::<_, Error>(txn.range(begin, end).collect().await?) });
        assert_eq!(left.await.unwrap(), []);
    }

    /// Many mails with one id in common and many of their own: the end of the thread takes a transaction that is small
    /// however many there were, and what stays behind leads nobody anywhere.
    #[tokio::test]
    async fn the_end_of_a_thread_is_bounded() {
        let db = kv::memory::database();
        let references = |n: u32| (0..49).map(|i| format!("<{n}-{i}> ")).collect::<String>() + "<common>";
        for n in 1..=80 {
            let of = of(7, "common", &references(n), "s");
            assert_eq!(add(&db, u64::from(n), &of).await.0, ThreadId(1));
        }
        let size = db.transact("test", |txn| async move {
            for n in 1..=80 {
                leave_in(&txn, ACCOUNT, ThreadId(1), EmailId(n));
                assert_eq!(end_in(&txn, ACCOUNT, ThreadId(1)).await?, n == 80);
            }
            Ok::<_, Error>(txn.size())
        });
        assert!(size.await.unwrap() < 100 * MAX_CLEARED, "some bytes for each key that goes");

        let mut leads = 0;
        for n in 1..=80 {
            let email = u64::from(n) * 100;
            let joined = add(&db, email, &of(7, &format!("new-{n}"), &references(n), "s")).await;
            leads += u32::from(joined == (ThreadId(100), false));
        }
        assert_eq!(leads, 79, "what comes later is of a thread that begins then");
    }

    #[test]
    fn accounts_do_not_share_keys() {
        assert_ne!(of(1, "a", "", "s"), of(2, "a", "", "s"));
    }
}
