//! A store of bodies whose larger ones lie in an object store behind a proxy that can fail.

use bytes::Bytes;
use godwit_blob::{BlobOwner, Error, Options, Place, Staged, Store};
use kv::Database;
use runtime::{Clock, ManualClock, Rng, SeededRng, SystemClock};
use schema::QueueId;
use servers::Proxy;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) db: Database,
    pub(crate) proxy: Proxy,
    /// Stands still, but for the breaker's pauses.
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) rng: SeededRng,
    _dir: TempDir,
}

impl World {
    pub(crate) fn new(proxy: Proxy, place: &Place, timeout: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
        let db = kv::memory::database();
        let options = Options { inline_max: 10_000, timeout, ..Options::default() };
        let rng = Arc::new(SeededRng::new(7));
        let store = Store::open_at(place, dir.path(), db.clone(), clock.clone(), rng, options).unwrap();
        World { store, db, proxy, clock, rng: SeededRng::new(8), _dir: dir }
    }

    /// A body of lines, half of which cannot be compressed; never the same twice.
    pub(crate) fn body(&self, len: usize) -> Bytes {
        let mut out = Vec::with_capacity(len + 80);
        let mut noise = [0; 40];
        while out.len() < len {
            self.rng.fill(&mut noise);
            out.extend_from_slice(&noise);
            out.extend_from_slice(b"a line that is like many other lines\r\n\r\n");
        }
        out.truncate(len);
        out.into()
    }

    /// Takes a body in as it comes over a connection.
    pub(crate) async fn stage(&self, body: &Bytes) -> Result<Staged, Error> {
        let mut writer = self.store.writer();
        for piece in body.chunks(30_000) {
            writer.write(piece).await?;
        }
        writer.finish().await
    }

    pub(crate) async fn hold(&self, staged: &Staged, id: u64) -> Result<(), Error> {
        let owner = BlobOwner::Queue(QueueId(id));
        let done =
            self.db.transact("test", |txn| async move { self.store.reference_in(&txn, staged, owner).await });
        done.await
    }

    pub(crate) async fn let_go(&self, staged: &Staged, id: u64) {
        let (hash, owner) = (staged.hash(), BlobOwner::Queue(QueueId(id)));
        let done =
            self.db.transact("test", |txn| async move { self.store.dereference_in(&txn, hash, owner).await });
        done.await.unwrap();
    }

    pub(crate) fn past_grace(&self) {
        self.clock.advance(self.store.options().grace + Duration::from_secs(1));
    }
}
