//! A store with two accounts of one shard, somebody who writes it, and somebody who searches.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use blob::{Error as BlobError, ObjectName, Objects, Pending};
use bytes::Bytes;
use content_mail::{Limits, summarize};
use futures::future::BoxFuture;
use godwit_shard::{Indexer, NoAttachments, Options, Searcher, Shard, Turn};
use index::FileCache;
use kv::Database;
use leases::{Fence, Leases, Node, Standing};
use mail::{FlagChange, Incoming, MailboxPath, MailboxRef, UidSet};
use query::{Budget, Filter, NoIndex, Query, SearchIndex, search};
use runtime::{ManualClock, SeededRng, SharedClock, Timestamp};
use schema::keys::account::LastIdKey;
use schema::records::account::LastId;
use schema::{AccountId, Duty, Flags, Key, Record, SystemFlags, level};
use segments::Segments;

pub(crate) const ALICE: AccountId = AccountId(3);
/// In the same shard, and in another slot.
pub(crate) const BOB: AccountId = AccountId(19);
pub(crate) const SHARD: u32 = 3;

/// Objects that can be out of reach.
#[derive(Default)]
pub(crate) struct Far {
    pub(crate) objects: blob::memory::MemoryObjects,
    away: AtomicBool,
}

impl Far {
    fn check(&self) -> Result<(), BlobError> {
        if self.away.load(Ordering::Relaxed) { Err(BlobError::Unavailable) } else { Ok(()) }
    }
}

impl Objects for Far {
    fn put<'a>(&'a self, name: &'a ObjectName, bytes: Pending) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move {
            self.check()?;
            self.objects.put(name, bytes).await
        })
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, BlobError>> {
        Box::pin(async move {
            self.check()?;
            self.objects.get(name, range).await
        })
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), BlobError>> {
        self.objects.delete(name)
    }

    fn list(&self, shard: u8) -> BoxFuture<'_, Result<Vec<ObjectName>, BlobError>> {
        self.objects.list(shard)
    }
}

pub(crate) struct World {
    pub(crate) db: Database,
    pub(crate) mail: mail::Store,
    pub(crate) segments: Segments,
    pub(crate) leases: Leases,
    pub(crate) indexer: Indexer,
    pub(crate) searcher: Searcher,
    pub(crate) far: Arc<Far>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) me: Standing,
    _dir: tempfile::TempDir,
}

impl World {
    /// Bodies of more than 3,000 bytes are objects.
    pub(crate) async fn new(seed: u64, batch: u64) -> World {
        let (db, dir) = (kv::memory::database(), tempfile::tempdir().unwrap());
        let manual = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let clock: SharedClock = manual.clone();
        let rng = Arc::new(SeededRng::new(seed));
        let far = Arc::new(Far::default());
        let options = blob::Options { inline_max: 3_000, ..blob::Options::default() };
        let objects: Arc<dyn Objects> = far.clone();
        let blobs =
            blob::Store::with_objects(objects, dir.path(), db.clone(), clock.clone(), rng.clone(), options);
        let blobs = blobs.unwrap();
        let feed = Arc::new(changes::LocalFeed::new());
        let mail = mail::Store::new(db.clone(), blobs.clone(), feed, clock.clone(), rng);
        let made = &mail;
        db.transact("test", |txn| async move {
            txn.set(&LastIdKey::Account.encode(), &LastId { id: 40 }.to_bytes());
            made.provision_in(&txn, ALICE).await?;
            made.provision_in(&txn, BOB).await
        })
        .await
        .unwrap();
        let segments = Segments::open(db.clone(), blobs, clock.clone()).await.unwrap();
        let leases = Leases::new(db.clone(), clock.clone());
        let node = Node { name: "a".into(), level_min: 1, level_max: level::SEARCH, ..Node::default() };
        let me = leases.join(&node).await.unwrap();
        let cache = FileCache::new(1 << 20);
        let options = Options { interval: Duration::ZERO, batch };
        let attachments = Arc::new(NoAttachments);
        let indexer =
            Indexer::new(segments.clone(), mail.clone(), cache.clone(), attachments, clock.clone(), options);
        let searcher = Searcher::new(segments.clone(), mail.clone(), cache, clock);
        World { db, mail, segments, leases, indexer, searcher, far, clock: manual, me, _dir: dir }
    }

    pub(crate) async fn take(&self, by: Standing) -> Fence {
        self.leases.take(by, &[Duty::search(SHARD)]).await.unwrap()[0]
    }

    pub(crate) async fn shard(&self) -> Shard {
        self.indexer.shard(self.take(self.me).await)
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.far.away.store(away, Ordering::Relaxed);
        // What failed a moment ago is asked again.
        self.clock.advance(Duration::from_secs(6));
    }

    pub(crate) async fn inbox(&self, account: AccountId) -> MailboxRef {
        self.mailbox(account, "INBOX").await
    }

    pub(crate) async fn mailbox(&self, account: AccountId, name: &str) -> MailboxRef {
        let path = MailboxPath::parse(name).unwrap();
        let known = self.mail.resolve(account, &path).await.unwrap();
        let mailbox = match known {
            Some(known) => known.id,
            None => self.mail.create(account, &path, None).await.unwrap().id,
        };
        MailboxRef { account, mailbox }
    }

    pub(crate) async fn append(&self, at: MailboxRef, message: String) -> u32 {
        let summary = Arc::new(summarize(message.as_bytes(), &Limits::default()));
        let staged = self.mail.blobs().stage(message.into()).await.unwrap();
        let incoming = Incoming { staged, summary };
        self.mail.append(at, &incoming, &Flags::none(), 1_800_000_000).await.unwrap().uid
    }

    /// Expunges messages.
    pub(crate) async fn remove(&self, at: MailboxRef, uids: &[u32]) {
        let flags = Flags { system: SystemFlags::DELETED, ..Flags::none() };
        let uids: UidSet = uids.iter().copied().collect();
        self.mail.store_flags(at, &uids, &FlagChange::Add(flags), None).await.unwrap();
        self.mail.expunge(at, None).await.unwrap();
    }

    /// What a search finds for at most so many bytes.
    pub(crate) async fn found(
        &self,
        index: &dyn SearchIndex,
        at: MailboxRef,
        filter: &Filter,
        bytes: u64,
    ) -> Result<UidSet, query::Error> {
        let within = &self.mail.open(at).await.unwrap().uids;
        let budget = Budget { bytes, ..Budget::default() };
        let clock = self.clock.clone();
        search(&Query { store: &self.mail, index, mailbox: at, within, budget, clock }, filter).await
    }

    /// Both ways find the same; returns it.
    pub(crate) async fn agree(&self, at: MailboxRef, filter: &Filter, context: &str) -> UidSet {
        self.agree_with(&self.searcher, at, filter, context).await
    }

    /// The same for another reader.
    pub(crate) async fn agree_with(
        &self,
        searcher: &Searcher,
        at: MailboxRef,
        filter: &Filter,
        context: &str,
    ) -> UidSet {
        let by_scan = self.found(&NoIndex, at, filter, u64::MAX).await.unwrap();
        let by_index = self.found(searcher, at, filter, u64::MAX).await.unwrap();
        let list = |uids: &UidSet| uids.iter().collect::<Vec<_>>();
        assert_eq!(list(&by_index), list(&by_scan), "{context}: {filter:?}");
        by_scan
    }
}

/// Turns until nothing is left to do.
pub(crate) async fn settle(shard: &mut Shard) {
    while shard.turn().await.unwrap() == Turn::More {}
}
