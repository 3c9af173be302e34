//! A transaction: one snapshot, own writes on top, and what it read and wrote for the check at commit.

use crate::error;
use crate::group::{Attempt, Write};
use crate::position::Position;
use crate::session::Session;
use crate::watch::Watch;
use crate::{Request, Shared};
use bytes::Bytes;
use futures::future::BoxFuture;
use kv::overlay::{Lookup, Merge, Overlay};
use kv::{
    AtomicOp, BackendTransaction, ConflictKind, Error, RangePage, RangeRequest, RangeSet, ReadFuture,
    Versionstamp,
};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

pub(crate) struct PostgresTransaction {
    shared: Arc<Shared>,
    /// The snapshot, from the first read on until the commit.
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    overlay: Overlay,
    writes: Vec<Write>,
    claims: Vec<(Bytes, Bytes)>,
    reads: RangeSet,
    /// Where something was declared as read before there was a snapshot.
    declared: Option<Position>,
    has_session: bool,
    watches: Vec<Wanted>,
    size: usize,
}

/// A watch before the commit.
struct Wanted {
    key: Bytes,
    seen: Seen,
    /// What was known to be committed when it was asked for, if that was before there was a snapshot.
    since: Option<Position>,
    wake: oneshot::Sender<Result<(), Error>>,
}

enum Seen {
    Value(Option<Bytes>),
    /// These operations on what the snapshot holds.
    OnStore(Vec<(AtomicOp, Bytes)>),
}

impl PostgresTransaction {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        PostgresTransaction { shared, session: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    async fn session(&self) -> Result<Arc<Session>, Error> {
        let mut session = self.session.lock().await;
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let shared = &self.shared;
        let begun = Arc::new(Session::begin(&shared.pool, &shared.sql, &shared.known).await?);
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
            merge.add(&self.state.lock().overlay, stored)?;
        }
        let page = merge.into_page();
        let (begin, end) = request.covered(&page);
        let state = &mut *self.state.lock();
        if state.overlay.is_unreadable(&begin, &end) {
            return Err(Error::unreadable());
        }
        if !request.snapshot {
            state.size += begin.len() + end.len();
            state.reads.insert(begin, end);
        }
        Ok(page)
    }

    fn write(&self, write: Write) {
        let state = &mut *self.state.lock();
        match &write {
            Write::Set(key, value) => {
                state.size += 3 * key.len() + 1 + value.len();
                state.overlay.set(key.clone(), Some(value.clone()));
            }
            Write::Clear(key) => {
                state.size += 4 * key.len() + 2;
                state.overlay.set(key.clone(), None);
            }
            Write::ClearRange(begin, end) => {
                state.size += 2 * (begin.len() + end.len());
                state.overlay.clear_range(begin, end);
            }
            Write::Atomic(op, key, operand) => {
                state.size += 3 * key.len() + 1 + operand.len();
                state.overlay.atomic(*op, key.clone(), operand.clone());
            }
        }
        state.writes.push(write);
    }

    async fn commit_now(&self) -> Result<Versionstamp, Error> {
        let (mut attempt, declared, wanted) = {
            let state = &mut *self.state.lock();
            let attempt = Attempt {
                base: None,
                reads: std::mem::take(&mut state.reads),
                writes: std::mem::take(&mut state.writes),
                claims: std::mem::take(&mut state.claims),
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
        let stamp = if writes { self.submit(attempt).await? } else { Versionstamp::ZERO };
        watches.into_iter().for_each(|watch| self.shared.watches.add(watch));
        Ok(stamp)
    }

    async fn submit(&self, attempt: Attempt) -> Result<Versionstamp, Error> {
        let (answer, answered) = oneshot::channel();
        self.shared.commits.send(Request { attempt, answer }).map_err(|_| error::closed())?;
        // The committer answers everything it takes; if it was killed nobody knows how far it got.
        answered.await.unwrap_or_else(|_| Err(Error::maybe_committed()))
    }

    /// The watches with what this transaction saw. One that was asked for before there was a snapshot, and for
    /// which something was committed in between, wakes at once.
    async fn seen(&self, wanted: Vec<Wanted>) -> Result<Vec<Watch>, Error> {
        let on_store = |wanted: &&Wanted| matches!(wanted.seen, Seen::OnStore(_));
        let keys: Vec<&[u8]> = wanted.iter().filter(on_store).map(|wanted| &wanted.key[..]).collect();
        if keys.is_empty() {
            let value = |seen| if let Seen::Value(value) = seen { value } else { None };
            return Ok(wanted
                .into_iter()
                .map(|Wanted { key, seen, wake, .. }| Watch { key, seen: value(seen), wake })
                .collect());
        }
        let session = self.session().await?;
        let stored = session.get_many(&keys).await?;
        let snapshot = session.head().await?.position;
        let mut watches = Vec::new();
        for Wanted { key, seen, since, wake } in wanted {
            let seen = match seen {
                Seen::Value(value) => value,
                Seen::OnStore(_) if since.is_some_and(|since| since < snapshot) => {
                    let _ = wake.send(Ok(()));
                    continue;
                }
                Seen::OnStore(operations) => AtomicOp::apply_all(&operations, stored.get(&key).cloned()),
            };
            watches.push(Watch { key, seen, wake });
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
        let operations = match state.overlay.lookup(key) {
            Lookup::Unreadable => return ReadFuture::ready(Err(Error::unreadable())),
            Lookup::Known(value) => return ReadFuture::ready(Ok(value)),
            Lookup::OnStore(operations) => operations.to_vec(),
        };
        if !snapshot {
            state.reads.insert_key(key);
            state.size += 2 * key.len() + 1;
        }
        let key = Bytes::copy_from_slice(key);
        ReadFuture::boxed(async move { Ok(AtomicOp::apply_all(&operations, self.read_stored(&key).await?)) })
    }

    fn range(&self, request: &RangeRequest) -> ReadFuture<'_, RangePage> {
        ReadFuture::boxed(self.read_range(request.clone()))
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.set_bytes(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
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
        let (begin, end) = (Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end));
        state.size += begin.len() + end.len();
        match kind {
            ConflictKind::Read => {
                // "Read" means since now, at the latest: without a snapshot, since what is known here to be
                // committed.
                if !state.has_session {
                    state.declared.get_or_insert_with(|| self.shared.known.get());
                }
                state.reads.insert(begin, end);
            }
            ConflictKind::Write => state.claims.push((begin, end)),
        }
    }

    fn watch(&self, key: &[u8]) -> BoxFuture<'static, Result<(), Error>> {
        let state = &mut *self.state.lock();
        let seen = match state.overlay.lookup(key) {
            Lookup::Unreadable => return Box::pin(std::future::ready(Err(Error::unreadable()))),
            Lookup::Known(value) => Seen::Value(value),
            Lookup::OnStore(operations) => Seen::OnStore(operations.to_vec()),
        };
        let since = (!state.has_session).then(|| self.shared.known.get());
        let (wake, woken) = oneshot::channel();
        state.watches.push(Wanted { key: Bytes::copy_from_slice(key), seen, since, wake });
        Box::pin(async move {
            woken.await.unwrap_or_else(|_| Err(Error::unavailable("watch ended without a commit")))
        })
    }

    fn commit(&self) -> BoxFuture<'_, Result<Versionstamp, Error>> {
        Box::pin(self.commit_now())
    }

    fn size(&self) -> usize {
        self.state.lock().size
    }
}
