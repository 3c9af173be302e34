//! Proof that nobody wrote.
//!
//! A chain of transactions, each of which counts as having read every row (but the tokens of the retry loop) and as having
//! written one key that nothing else touches. One begins before the one before it commits, so their times overlap
//! and leave nothing out; a commit of anybody else in that time is a conflict for one of them. It costs the store two
//! small commits a second, and costs the nodes nothing.

use crate::Error;
use kv::{ConflictKind, Database, idempotency, limits, prefix_end, successor};
use schema::Key;
use schema::keys::system::SealKey;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How long a link of the chain waits for the next one: well below [`limits::TRANSACTION_TIME`].
const LINK: Duration = Duration::from_millis(500);

/// Watches over a store.
pub struct Vigil {
    stop: CancellationToken,
    chain: AbortOnDropHandle<Result<(), Error>>,
}

impl Vigil {
    /// Watches from now on: what is committed after this is noticed.
    pub async fn begin(db: &Database) -> Result<Self, Error> {
        let stop = CancellationToken::new();
        let first = Link::begin(db.clone()).await?;
        let chain = AbortOnDropHandle::new(tokio::spawn(watch(db.clone(), first, stop.clone())));
        Ok(Vigil { stop, chain })
    }

    /// Whether somebody is known to have written.
    pub fn is_broken(&self) -> bool {
        self.chain.is_finished()
    }

    /// Fails if anybody has written since the beginning, or if that cannot be told.
    pub async fn end(self) -> Result<(), Error> {
        self.stop.cancel();
        self.chain.await.unwrap_or_else(|e| Err(Error::Worker(e.to_string())))
    }
}

async fn watch(db: Database, first: Link, stop: CancellationToken) -> Result<(), Error> {
    let mut link = first;
    loop {
        tokio::select! {
            () = stop.cancelled() => return link.end().await,
            () = tokio::time::sleep(LINK) => {}
        }
        let next = Link::begin(db.clone()).await?;
        link.end().await?;
        link = next;
    }
}

/// A transaction under way.
struct Link {
    done: Arc<Semaphore>,
    transaction: AbortOnDropHandle<Result<(), Error>>,
}

impl Link {
    /// Begins: what is committed from now on conflicts with it.
    async fn begin(db: Database) -> Result<Self, Error> {
        let (begun, done) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let (signal, wait) = (Arc::clone(&begun), Arc::clone(&done));
        let transaction = AbortOnDropHandle::new(tokio::spawn(hold(db, signal, wait)));
        begun.notified().await;
        Ok(Link { done, transaction })
    }

    /// Commits.
    async fn end(self) -> Result<(), Error> {
        self.done.add_permits(1);
        self.transaction.await.unwrap_or_else(|e| Err(Error::Worker(e.to_string())))
    }
}

async fn hold(db: Database, begun: Arc<Notify>, done: Arc<Semaphore>) -> Result<(), Error> {
    let (tried, begun, done) = (&AtomicBool::new(false), &begun, &done);
    let held = db.transact("transfer.vigil", |txn| async move {
        if tried.load(Ordering::Relaxed) {
            // There was a conflict, or what there was cannot be told.
            return Err(Error::Disturbed);
        }
        txn.read_version().await?;
        let tokens = [idempotency::TAG];
        let own = own_key();
        let rest = [(vec![], tokens.to_vec()), (prefix_end(&tokens).to_vec(), own.clone())];
        for (from, to) in rest {
            txn.add_conflict_range(ConflictKind::Read, &from, &to);
        }
        txn.add_conflict_range(ConflictKind::Read, &successor(&own), &[limits::SYSTEM_KEYS]);
        txn.add_conflict_key(ConflictKind::Write, &own);
        tried.store(true, Ordering::Relaxed);
        begun.notify_one();
        let _ = done.acquire().await;
        Ok(())
    });
    let outcome = held.await;
    // Whoever waits for the beginning is told by the end.
    begun.notify_one();
    outcome
}

/// A key that nothing has: beside the seal.
fn own_key() -> Vec<u8> {
    [&SealKey.encode()[..], b"!"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::contract::wrap;
    use kv::fault::Plan;

    async fn put(db: &Database, key: &[u8]) {
        let put = db.transact("test", |txn| async move {
            txn.set(key, b"v");
            Ok::<_, Error>(())
        });
        put.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_still_store_is_found_still() {
        let db = kv::memory::database();
        put(&db, b"before").await;
        let vigil = Vigil::begin(&db).await.unwrap();
        tokio::time::sleep(20 * LINK).await;
        // Tokens are everybody's.
        put(&db, b"Itoken").await;
        assert!(!vigil.is_broken());
        vigil.end().await.unwrap();
        put(&db, b"after").await;
    }

    #[tokio::test(start_paused = true)]
    async fn any_commit_is_noticed_whenever_it_comes() {
        for key in [&b""[..], b"A\x07", b"Sto", b"Stu", b"Sv", b"\xfe"] {
            for at in 0..8 {
                let db = kv::memory::database();
                let vigil = Vigil::begin(&db).await.unwrap();
                tokio::time::sleep(LINK / 4 * at).await;
                put(&db, key).await;
                tokio::time::sleep(LINK / 4 * (8 - at)).await;
                assert!(matches!(vigil.end().await, Err(Error::Disturbed)), "{key:?} at {at}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_right_before_the_end_is_noticed() {
        let db = kv::memory::database();
        let vigil = Vigil::begin(&db).await.unwrap();
        put(&db, b"A").await;
        assert!(vigil.end().await.is_err());
    }

    /// Faults may make it say that it cannot tell, never that nobody wrote.
    #[tokio::test(start_paused = true)]
    async fn faults_do_not_hide_a_commit() {
        let mut still = 0;
        for seed in 0..60 {
            let db = kv::memory::database();
            let (faulty, _faults) = wrap(&db, Plan::HARSH, seed);
            let Ok(vigil) = Vigil::begin(&faulty).await else { continue };
            tokio::time::sleep(3 * LINK).await;
            let wrote = seed % 2 == 0;
            if wrote {
                put(&db, b"A").await;
            }
            tokio::time::sleep(LINK).await;
            if vigil.end().await.is_ok() {
                assert!(!wrote, "seed {seed}");
                still += 1;
            }
        }
        println!("{still} of 30 still stores were found still");
    }
}
