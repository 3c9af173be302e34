//! An embedded store in a folder: one account, its mailbox, its shard.

use std::path::Path;
use std::sync::Arc;

use changes::LocalFeed;
use godwit_shard::{Indexer, NoAttachments, Options, Searcher, Shard};
use index::FileCache;
use kv::Database;
use leases::{Leases, Node};
use mail::{MailboxPath, MailboxRef};
use runtime::{SharedClock, SystemClock, SystemRng};
use schema::keys::account::LastIdKey;
use schema::records::account::LastId;
use schema::{AccountId, Duty, Key, Record, level};
use segments::Segments;

const ACCOUNT: AccountId = AccountId(7);
/// MiB of an index that are kept in memory, as a node has them by default.
const CACHE: u64 = 256;

pub(crate) struct World {
    pub(crate) db: Database,
    pub(crate) blobs: blob::Store,
    pub(crate) mail: mail::Store,
    pub(crate) segments: Segments,
    pub(crate) clock: SharedClock,
    pub(crate) at: MailboxRef,
}

impl World {
    pub(crate) async fn open(dir: &Path) -> World {
        let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
        let store = dir.join("store");
        std::fs::create_dir_all(&store).unwrap();
        let backend =
            kv_embedded::open(&store, kv_embedded::Options::new(clock.clone(), rng.clone())).unwrap();
        let db = Database::new(backend, clock.clone(), rng);
        let (options, bodies) = (blob::Options::default(), dir.join("bodies"));
        let blobs =
            blob::Store::open(&bodies, db.clone(), clock.clone(), SystemRng::shared(), options).unwrap();
        let segments = Segments::open(db.clone(), blobs.clone(), clock.clone()).await.unwrap();
        let mail = mail_store(&db, &blobs, &clock);
        let at = inbox(&db, &mail).await;
        World { db, blobs, mail, segments, clock, at }
    }

    pub(crate) async fn count(&self) -> u32 {
        self.mail.open(self.at).await.unwrap().uids.len()
    }

    /// A store of mail and a reader of the index that remember nothing yet.
    pub(crate) fn fresh(&self, cache: FileCache) -> (mail::Store, Searcher) {
        let mail = mail_store(&self.db, &self.blobs, &self.clock);
        (mail.clone(), Searcher::new(self.segments.clone(), mail, cache, self.clock.clone()))
    }

    /// The writer of the account's shard.
    pub(crate) async fn writer(&self) -> Shard {
        let leases = Leases::new(self.db.clone(), self.clock.clone());
        let name = format!("searches-{}", self.clock.now().millis());
        let node = Node { name, level_min: 1, level_max: level::SEARCH, ..Node::default() };
        let me = leases.join(&node).await.unwrap();
        let duty = Duty::search(self.segments.shard_of(ACCOUNT));
        // A run before this one has held it to its end.
        let held = leases.situation(&[duty.kind]).await.unwrap().fence(duty);
        leases.release(held.as_slice()).await.unwrap();
        let fence = leases.take(me, &[duty]).await.unwrap()[0];
        let (cache, attachments) = (of_files(), Arc::new(NoAttachments));
        let (segments, clock) = (self.segments.clone(), self.clock.clone());
        Indexer::new(segments, self.mail.clone(), cache, attachments, clock, Options::default()).shard(fence)
    }
}

/// What keeps parts of files and no answers: each search is made.
pub(crate) fn of_files() -> FileCache {
    FileCache::of_files(bytes())
}

/// As a node has it.
pub(crate) fn of_all() -> FileCache {
    FileCache::new(bytes())
}

fn bytes() -> u64 {
    let mib = std::env::var("GODWIT_SEARCHES_CACHE").ok().and_then(|mib| mib.parse().ok()).unwrap_or(CACHE);
    mib << 20
}

fn mail_store(db: &Database, blobs: &blob::Store, clock: &SharedClock) -> mail::Store {
    let feed = Arc::new(LocalFeed::new());
    mail::Store::new(db.clone(), blobs.clone(), feed, clock.clone(), SystemRng::shared())
}

/// The account's, which is made if it is absent.
async fn inbox(db: &Database, mail: &mail::Store) -> MailboxRef {
    let path = MailboxPath::parse("INBOX").unwrap();
    if !mail.exists(ACCOUNT).await.unwrap() {
        let made = db.transact("bench", |txn| async move {
            txn.set(&LastIdKey::Account.encode(), &LastId { id: ACCOUNT.0 }.to_bytes());
            mail.provision_in(&txn, ACCOUNT).await
        });
        made.await.unwrap();
    }
    let known = mail.resolve(ACCOUNT, &path).await.unwrap().unwrap();
    MailboxRef { account: ACCOUNT, mailbox: known.id }
}
