//! Bodies outside of rows: carried from place to place, and read at the destination.

use crate::{Error, Source};
use blob::{Objects, Pending};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use kv::{Database, prefix_end, successor};
use runtime::Rng;
use schema::keys::blob::{BlobMetaKey, BlobPieceKey, BlobReferenceKey, CHUNK, TAG, body_range};
use schema::records::blob::BlobMeta;
use schema::{BlobHash, Key, Record};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where bodies are and where they go.
#[derive(Clone)]
pub struct Bodies {
    from: (String, Arc<dyn Objects>),
    to: (String, Arc<dyn Objects>),
    spill: PathBuf,
}

impl Bodies {
    /// From one place to another, each with its identity. `spill` is a folder for what is on its way, on the file system
    /// of a destination of files.
    pub fn new(from: (String, Arc<dyn Objects>), to: (String, Arc<dyn Objects>), spill: PathBuf) -> Self {
        Bodies { from, to, spill }
    }

    /// From where to where, in words.
    pub(crate) fn way(&self) -> String {
        format!("{} -> {}", self.from.0, self.to.0)
    }

    /// Carries the object that the row of a body names. A place that is away is waited for.
    pub(crate) async fn carry(
        &self,
        hash: BlobHash,
        meta: &BlobMeta,
        rng: &dyn Rng,
    ) -> Result<u64, blob::Error> {
        patiently(|| blob::carry(&*self.from.1, &*self.to.1, (hash, meta), &self.spill, rng.u64())).await
    }
}

/// How often a place is asked again that is away, and the pause in between: longer than its own circuit breaker's.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_secs(16);

/// Does it again while the place is away.
async fn patiently<T, F: Future<Output = Result<T, blob::Error>>>(
    work: impl Fn() -> F,
) -> Result<T, blob::Error> {
    let mut tries = 1;
    loop {
        match work().await {
            Err(error @ (blob::Error::Io { .. } | blob::Error::Unavailable))
                if !error.is_absent() && tries < TRIES =>
            {
                tracing::warn!(%error, "a place of bodies is away");
            }
            other => return other,
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Objects that lie in rows of a source; they can be read only.
pub struct Pieces(Arc<dyn Source>);

impl Pieces {
    /// Of this source.
    pub fn new(source: Arc<dyn Source>) -> Self {
        Pieces(source)
    }

    async fn read(&self, name: &blob::ObjectName, range: Range<u64>) -> Result<Bytes, blob::Error> {
        let failed = |source: io::Error| blob::Error::Io { action: "read", object: name.to_string(), source };
        let piece = CHUNK as u64;
        let object = (name.hash, name.staged.millis(), name.nonce);
        let key = |at: u64| BlobPieceKey { object, index: (at / piece) as u32 }.encode();
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (mut begin, end) = (key(range.start), successor(&key(range.end - 1)));
        let mut all = Vec::new();
        loop {
            let page = self.0.page(&begin, &end).await.map_err(|e| failed(io::Error::other(e)))?;
            page.rows.iter().for_each(|(_, value)| all.extend_from_slice(value));
            match page.rows.last() {
                Some((last, _)) if page.more => begin = successor(last).to_vec(),
                _ => break,
            }
        }
        let first = range.start / piece * piece;
        let wanted = (range.start - first) as usize..(range.end - first) as usize;
        match all.get(wanted) {
            Some(bytes) => Ok(Bytes::copy_from_slice(bytes)),
            None if all.is_empty() => Err(failed(io::ErrorKind::NotFound.into())),
            None => Err(failed(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

fn read_only<T>() -> Result<T, blob::Error> {
    let source = io::Error::from(io::ErrorKind::Unsupported);
    Err(blob::Error::Io { action: "change", object: "a store that is copied".to_owned(), source })
}

impl Objects for Pieces {
    fn put<'a>(&'a self, _: &'a blob::ObjectName, _: Pending) -> BoxFuture<'a, Result<(), blob::Error>> {
        Box::pin(std::future::ready(read_only()))
    }

    fn get<'a>(
        &'a self,
        name: &'a blob::ObjectName,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, blob::Error>> {
        Box::pin(self.read(name, range))
    }

    fn delete<'a>(&'a self, _: &'a blob::ObjectName) -> BoxFuture<'a, Result<(), blob::Error>> {
        Box::pin(std::future::ready(read_only()))
    }

    fn list(&self, _: u8) -> BoxFuture<'_, Result<Vec<blob::ObjectName>, blob::Error>> {
        Box::pin(std::future::ready(read_only()))
    }
}

/// What was read at the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Bodies that something holds.
    pub bodies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are damaged or missing.
    pub faults: u64,
    /// Which one, and what is wrong with it.
    pub first_fault: Option<String>,
}

/// Reads every body that something holds: it is there, of its length, and has its hash.
pub(crate) async fn verify(db: &Database, store: &blob::Store, workers: usize) -> Result<Verified, Error> {
    let counted = (AtomicU64::new(0), AtomicU64::new(0));
    let (bodies, bytes) = (&counted.0, &counted.1);
    let shards = stream::iter((0..=255u8).map(|shard| async move {
        let mut faults = Vec::new();
        let mut at = vec![TAG, b'h', shard];
        let end = prefix_end(&at);
        while let Some((next, hash, meta)) = next_held(db, &at, &end).await? {
            at = next;
            bodies.fetch_add(1, Ordering::Relaxed);
            match read(store, hash, meta).await? {
                Ok(read) => drop(bytes.fetch_add(read, Ordering::Relaxed)),
                Err(fault) => faults.push(format!("{hash}: {fault}")),
            }
        }
        Ok::<_, Error>(faults)
    }));
    let faults: Vec<String> = shards.buffer_unordered(workers.max(1)).try_concat().await?;
    Ok(Verified {
        bodies: bodies.load(Ordering::Relaxed),
        bytes: bytes.load(Ordering::Relaxed),
        faults: faults.len() as u64,
        first_fault: faults.into_iter().next(),
    })
}

type Held = (Vec<u8>, BlobHash, Option<BlobMeta>);

/// The first body from `at` on that something holds, and where the one behind it begins.
async fn next_held(db: &Database, at: &[u8], end: &[u8]) -> Result<Option<Held>, Error> {
    let mut from = at.to_vec();
    loop {
        let begin = &from;
        let found = db.read("transfer.bodies", |txn| async move {
            let Some((key, _)) = txn.range(begin, end).snapshot().first().await? else { return Ok(None) };
            let Some(hash) = hash_of(&key) else { return Err(Error::Key(schema::KeyError::Short)) };
            let (first, last) = BlobReferenceKey::range(hash);
            let held = txn.range(&first, &last).snapshot().first().await?.is_some();
            let meta = txn.get_snapshot(&BlobMetaKey { hash }.encode()).await?;
            let meta = meta.map(|bytes| BlobMeta::from_bytes(&bytes)).transpose()?;
            Ok(Some((body_range(hash).1, held, hash, meta)))
        });
        match found.await? {
            None => return Ok(None),
            Some((next, true, hash, meta)) => return Ok(Some((next, hash, meta))),
            Some((next, false, ..)) => from = next,
        }
    }
}

/// Of a row of a body: `B h` and the hash come first.
fn hash_of(key: &[u8]) -> Option<BlobHash> {
    key.get(2..34)?.try_into().ok().map(BlobHash)
}

/// The body's length, or what is wrong with it.
async fn read(
    store: &blob::Store,
    hash: BlobHash,
    meta: Option<BlobMeta>,
) -> Result<Result<u64, String>, Error> {
    let Some(meta) = meta else { return Ok(Err("it is held, and there is no such body".to_owned())) };
    let whole = || async move {
        let pieces = store.stream(hash, 0..u64::MAX);
        pieces.try_fold(0, |read, piece| std::future::ready(Ok(read + piece.len() as u64))).await
    };
    match patiently(whole).await {
        Ok(read) if read == meta.size => Ok(Ok(read)),
        Ok(read) => Ok(Err(format!("it has {read} bytes instead of {}", meta.size))),
        Err(e @ (blob::Error::Corrupt { .. } | blob::Error::NotFound(_))) => Ok(Err(e.to_string())),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_away_is_waited_for() {
        let tried = &Cell::new(0);
        let fails = |times: u32, error: fn() -> blob::Error| {
            tried.set(0);
            patiently(move || async move {
                tried.set(tried.get() + 1);
                if tried.get() <= times { Err(error()) } else { Ok(()) }
            })
        };
        let gone: fn() -> blob::Error = || blob::Error::Io {
            action: "read",
            object: "x".to_owned(),
            source: io::ErrorKind::NotFound.into(),
        };
        assert!(fails(5, || blob::Error::Unavailable).await.is_ok());
        assert!(fails(TRIES, || blob::Error::Unavailable).await.is_err());
        assert!(fails(1, gone).await.is_err(), "what is gone is not waited for");
        assert_eq!(tried.get(), 1);
    }
}
