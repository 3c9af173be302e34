//! The store of bodies: its parts and options.

use crate::{Error, Objects, Place, Writer, spill};
use kv::Database;
use runtime::{SharedClock, SharedRng, Timestamp};
use schema::records::system::BodyPlace;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// The largest body that may be configured to lie in the key-value store, in bytes: it must leave room for
/// others in a transaction of 10 MB.
const INLINE_MAX_LIMIT: u64 = 4 << 20;

/// How a [`Store`] behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bodies up to so many bytes lie in the key-value store, written in the transaction that references them.
    /// At most 4 MiB. The default of 512 kB suits the embedded engine, which keeps large values in its log,
    /// written once.
    pub inline_max: u64,
    /// How long a body without a reference is kept: longer than any transaction and any backup runs.
    pub grace: Duration,
    /// Whether bodies are compressed where that saves an eighth of their bytes.
    pub compress: bool,
    /// The same for bodies in the key-value store: not where that compresses its values itself.
    pub compress_inline: bool,
    /// How long one request to an object store may take; it is tried a few times.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            inline_max: 512 << 10,
            grace: Duration::from_secs(24 * 3600),
            compress: true,
            compress_inline: true,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Where bodies are staged, referenced, read and collected. A cheap handle.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: Database,
    objects: Arc<dyn Objects>,
    /// As it is noted in the store; unknown where objects are handed in.
    place: Option<BodyPlace>,
    spill: PathBuf,
    clock: SharedClock,
    rng: SharedRng,
    options: Options,
    /// The shard that is swept next.
    next_shard: AtomicU8,
}

impl Store {
    /// Opens the store whose larger bodies are files in `dir`, which is created. Blocks for a few file operations.
    pub fn open(
        dir: &Path,
        db: Database,
        clock: SharedClock,
        rng: SharedRng,
        options: Options,
    ) -> Result<Self, Error> {
        Self::open_at(&Place::Files, dir, db, clock, rng, options)
    }

    /// Opens the store whose larger bodies lie in `place`; `dir` is this node's own folder for what is coming in, and
    /// is created. Blocks for a few file operations.
    pub fn open_at(
        place: &Place,
        dir: &Path,
        db: Database,
        clock: SharedClock,
        rng: SharedRng,
        options: Options,
    ) -> Result<Self, Error> {
        let spill = dir.join("spill");
        fs::create_dir_all(&spill).map_err(|e| Error::io("create", &spill, e))?;
        let objects = place.open(dir, &spill, &db, &clock, options.timeout)?;
        Self::assemble((objects, Some(place.record())), &spill, db, clock, rng, options)
    }

    /// A store whose larger bodies lie in `objects`; `spill` is an existing folder for bodies that are coming in.
    pub fn with_objects(
        objects: Arc<dyn Objects>,
        spill: &Path,
        db: Database,
        clock: SharedClock,
        rng: SharedRng,
        options: Options,
    ) -> Result<Self, Error> {
        Self::assemble((objects, None), spill, db, clock, rng, options)
    }

    fn assemble(
        (objects, place): (Arc<dyn Objects>, Option<BodyPlace>),
        spill: &Path,
        db: Database,
        clock: SharedClock,
        rng: SharedRng,
        mut options: Options,
    ) -> Result<Self, Error> {
        options.inline_max = options.inline_max.min(INLINE_MAX_LIMIT);
        let removed = spill::remove_abandoned(spill, clock.now())?;
        if removed > 0 {
            tracing::info!(removed, "abandoned spill files removed");
        }
        let spill = spill.to_owned();
        // Anywhere: several nodes begin at different shards, and one that restarts often gets round as well.
        let next_shard = AtomicU8::new(rng.u64() as u8);
        Ok(Store { inner: Arc::new(Inner { db, objects, place, spill, clock, rng, options, next_shard }) })
    }

    /// Takes in a body piece by piece.
    pub fn writer(&self) -> Writer {
        Writer::new(self.clone())
    }

    /// How the store behaves.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// The place of larger bodies, as it is noted in the store.
    pub(crate) fn place(&self) -> Option<&BodyPlace> {
        self.inner.place.as_ref()
    }

    /// What is wrong with the place of larger bodies, as far as the last operations told: they can be neither taken in nor
    /// read until it is mended.
    pub fn trouble(&self) -> Option<String> {
        self.inner.objects.trouble()
    }

    pub(crate) fn db(&self) -> &Database {
        &self.inner.db
    }

    pub(crate) fn objects(&self) -> &dyn Objects {
        &*self.inner.objects
    }

    pub(crate) fn spill(&self) -> &Path {
        &self.inner.spill
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub(crate) fn nonce(&self) -> u64 {
        self.inner.rng.u64()
    }

    pub(crate) fn next_shard(&self) -> u8 {
        self.inner.next_shard.fetch_add(1, Ordering::Relaxed)
    }

    /// A name for a new object.
    #[cfg(test)]
    pub(crate) fn object_name(&self, hash: schema::BlobHash) -> crate::ObjectName {
        crate::ObjectName { hash, staged: self.now(), nonce: self.nonce() }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{BlobOwner, Staged};
    use runtime::{Clock, ManualClock, SeededRng, SystemClock};
    use schema::BlobHash;

    /// A store in a temporary folder, over the reference backend.
    pub(crate) struct Fixture {
        pub(crate) store: Store,
        pub(crate) db: Database,
        pub(crate) clock: Arc<ManualClock>,
        dir: tempfile::TempDir,
    }

    impl Fixture {
        pub(crate) fn new(inline_max: u64) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
            let (db, rng) = (kv::memory::database(), Arc::new(SeededRng::new(1)));
            let options = Options { inline_max, ..Options::default() };
            let store = Store::open(dir.path(), db.clone(), clock.clone(), rng, options).unwrap();
            Fixture { store, db, clock, dir }
        }

        /// Opens the folder again, as a new process does.
        pub(crate) fn reopen(&self) -> Store {
            let rng = Arc::new(SeededRng::new(2));
            let options = self.store.options().clone();
            Store::open(self.dir.path(), self.db.clone(), self.clock.clone(), rng, options).unwrap()
        }

        pub(crate) async fn reference(&self, staged: &Staged, owner: BlobOwner) -> Result<(), Error> {
            self.db
                .transact("test", |txn| async move { self.store.reference_in(&txn, staged, owner).await })
                .await
        }

        pub(crate) async fn dereference(&self, hash: BlobHash, owner: BlobOwner) {
            let done = self
                .db
                .transact("test", |txn| async move { self.store.dereference_in(&txn, hash, owner).await });
            done.await.unwrap();
        }

        /// All keys of the store, read back.
        pub(crate) async fn keys(&self) -> Vec<String> {
            keys(&self.db).await
        }

        pub(crate) fn past_grace(&self) {
            self.clock.advance(self.store.options().grace + Duration::from_secs(1));
        }
    }

    pub(crate) async fn keys(db: &Database) -> Vec<String> {
        let rows = db.read("test", |txn| async move { txn.range(b"B", b"C").collect().await });
        rows.await.unwrap().iter().map(|(key, _)| schema::explain(key)).collect()
    }

    #[test]
    fn inline_bodies_have_a_limit() {
        assert_eq!(Fixture::new(u64::MAX).store.options().inline_max, INLINE_MAX_LIMIT);
    }
}
