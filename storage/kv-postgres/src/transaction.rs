//! A transaction: one snapshot, own writes on top, and what it read and wrote for the check at commit.

use crate::group::Attempt;
use crate::lane::Lane;
use crate::position::Position;
use crate::session::Session;
use bytes::Bytes;
use futures::future::BoxFuture;
use kv::overlay::{Lookup, Merge};
use kv::{
    AtomicOp, BackendTransaction, Buffer, ConflictKind, Error, RangePage, RangeRequest, ReadFuture,
    Versionstamp, Watch, Write,
};
use parking_lot::Mutex;
use std::sync::Arc;

pub(crate) struct PostgresTransaction {
    lane: Arc<Lane>,
    /// Whether nobody waits for it.
    background: bool,
    /// The snapshot, from the first read on until the commit.
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buffer: Buffer,
    /// Where something was declared as read before there was a snapshot.
    declared: Option<Position>,
    has_session: bool,
    watches: Vec<Wanted>,
}

/// A watch before the commit.
struct Wanted {
    watch: Watch,
    /// What makes the value seen of the one that the snapshot holds, if that must be known.
    on_store: Option<Vec<(AtomicOp, Bytes)>>,
    /// What was known to be committed when it was asked for, if that was before there was a snapshot.
    since: Option<Position>,
}

impl PostgresTransaction {
    pub(crate) fn new(lane: Arc<Lane>, background: bool) -> Self {
        PostgresTransaction {
            lane,
            background,
            session: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }
    }

    async fn session(&self) -> Result<Arc<Session>, Error> {
        let mut session = self.session.lock().await;
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let turn = if self.background { Some(self.lane.turn().await?) } else { None };
        let begun = Arc::new(Session::begin(&self.lane, turn).await?);
        self.state.lock().has_session = true;
        *session = Some(Arc::clone(&begun));
        Ok(begun)
    }

    async fn read_stored(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.session().await?.get(key).await
    }

    async fn read_range(&self, request: RangeRequest) -> Result<RangePage, Error> {
        let session = self.session().await?;
        let mut merge = Merge::new(&request);
        while let Some(rest) = merge.rest() {
            let stored = session.scan(rest).await?;
            merge.add(&self.state.lock().buffer.overlay, stored)?;
        }
        let page = merge.into_page();
        self.state.lock().buffer.note_page(&request, &page)?;
        Ok(page)
    }

    fn write(&self, write: Write) {
        self.state.lock().buffer.write(write);
    }

    async fn commit_now(&self) -> Result<Versionstamp, Error> {
        let (mut attempt, declared, wanted) = {
            let state = &mut *self.state.lock();
            let attempt = Attempt {
                base: None,
                reads: std::mem::take(&mut state.buffer.reads),
                writes: std::mem::take(&mut state.buffer.writes),
                claims: std::mem::take(&mut state.buffer.claims),
                least_version: 0,
            };
            (attempt, state.declared.take(), std::mem::take(&mut state.watches))
        };
        let watches = self.seen(wanted).await?;
        // From here on nothing is read, and somebody else can use the connection.
        let session = self.session.lock().await.take();
        let writes = !(attempt.writes.is_empty() && attempt.claims.is_empty());
        if writes && !attempt.reads.is_empty() {
            let snapshot = match &session {
                Some(session) => Some(session.head().await?.position),
                None => None,
            };
            attempt.base = [snapshot, declared].into_iter().flatten().min();
        }
        drop(session);
        let stamp = if writes { self.lane.submit(attempt).await? } else { Versionstamp::ZERO };
        watches.into_iter().for_each(|watch| self.lane.common.watches.add(watch));
        Ok(stamp)
    }

    /// The watches with what this transaction saw. One that was asked for before there was a snapshot, and for
    /// which something was committed in between, wakes at once.
    async fn seen(&self, wanted: Vec<Wanted>) -> Result<Vec<Watch>, Error> {
        let on_store = wanted.iter().filter(|wanted| wanted.on_store.is_some());
        let keys: Vec<&[u8]> = on_store.map(|wanted| &wanted.watch.key[..]).collect();
        if keys.is_empty() {
            return Ok(wanted.into_iter().map(|wanted| wanted.watch).collect());
        }
        let session = self.session().await?;
        let stored = session.get_many(&keys).await?;
        let snapshot = session.head().await?.position;
        let mut watches = Vec::new();
        for Wanted { mut watch, on_store, since } in wanted {
            if let Some(operations) = on_store {
                if since.is_some_and(|since| since < snapshot) {
                    watch.wake();
                    continue;
                }
                watch.seen = AtomicOp::apply_all(&operations, stored.get(&watch.key).cloned());
            }
            watches.push(watch);
        }
        Ok(watches)
    }
}

impl BackendTransaction for PostgresTransaction {
    fn read_version(&self) -> ReadFuture<'_, u64> {
        ReadFuture::boxed(async { Ok(self.session().await?.head().await?.position.version) })
    }

    fn get(&self, key: &[u8], snapshot: bool) -> ReadFuture<'_, Option<Bytes>> {
        let state = &mut *self.state.lock();
        let operations = match state.buffer.overlay.lookup(key) {
            Lookup::Unreadable => return ReadFuture::ready(Err(Error::unreadable())),
            Lookup::Known(value) => return ReadFuture::ready(Ok(value)),
            Lookup::OnStore(operations) => operations.to_vec(),
        };
        if !snapshot {
            state.buffer.note_key(key);
        }
        let key = Bytes::copy_from_slice(key);
        ReadFuture::boxed(async move { Ok(AtomicOp::apply_all(&operations, self.read_stored(&key).await?)) })
    }

    fn range(&self, request: &RangeRequest) -> ReadFuture<'_, RangePage> {
        ReadFuture::boxed(self.read_range(request.clone()))
    }

    fn set_bytes(&self, key: Bytes, value: Bytes) {
        self.write(Write::Set(key, value));
    }

    fn clear(&self, key: &[u8]) {
        self.write(Write::Clear(Bytes::copy_from_slice(key)));
    }

    fn clear_range(&self, begin: &[u8], end: &[u8]) {
        self.write(Write::ClearRange(Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end)));
    }

    fn atomic(&self, op: AtomicOp, key: &[u8], operand: &[u8]) {
        self.write(Write::Atomic(op, Bytes::copy_from_slice(key), Bytes::copy_from_slice(operand)));
    }

    fn add_conflict_range(&self, kind: ConflictKind, begin: &[u8], end: &[u8]) {
        let state = &mut *self.state.lock();
        if kind == ConflictKind::Read && !state.has_session {
            // "Read" means since now, at the latest: without a snapshot, since what is known here to be committed.
            state.declared.get_or_insert_with(|| self.lane.common.known.get());
        }
        state.buffer.declare(kind, begin, end);
    }

    fn watch(&self, key: &[u8]) -> BoxFuture<'static, Result<(), Error>> {
        let state = &mut *self.state.lock();
        let (seen, on_store) = match state.buffer.overlay.lookup(key) {
            Lookup::Unreadable => return Box::pin(std::future::ready(Err(Error::unreadable()))),
            Lookup::Known(value) => (value, None),
            Lookup::OnStore(operations) => (None, Some(operations.to_vec())),
        };
        let since = (!state.has_session).then(|| self.lane.common.known.get());
        let (watch, woken) = Watch::new(key, seen);
        state.watches.push(Wanted { watch, on_store, since });
        woken
    }

    fn commit(&self) -> BoxFuture<'_, Result<Versionstamp, Error>> {
        Box::pin(self.commit_now())
    }

    fn size(&self) -> usize {
        self.state.lock().buffer.size()
    }
}
