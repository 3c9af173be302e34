//! Objects in the key-value store itself, for nodes that share no disk and have no object store.
//!
//! An object is too large for one transaction. Its name row comes first, its pieces follow in transactions of about a
//! megabyte, and only then is the object there for whoever knows its name: nobody does before a reference is
//! committed. The transactions that write pieces read the name row, so that none of them can add to an object that
//! was swept meanwhile: pieces without a name would stay for ever.

use crate::error::blocking;
use crate::{Error, ObjectName, Objects, Pending};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use kv::Database;
use runtime::Timestamp;
use schema::Key;
use schema::keys::blob::{BlobObjectKey, BlobPieceKey, CHUNK, StoredObject};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Pieces written in one transaction: about 1 MB.
const BATCH: usize = 11;
/// Names read in one transaction.
const PAGE: usize = 1_000;

/// Objects as rows of pieces.
#[derive(Clone)]
pub(crate) struct ChunkObjects {
    db: Database,
}

impl ChunkObjects {
    pub(crate) fn new(db: Database) -> Self {
        ChunkObjects { db }
    }

    async fn write(&self, name: &ObjectName, bytes: Pending) -> Result<(), Error> {
        let object = stored(name);
        self.db
            .transact("blob.object", |txn| async move {
                txn.set(&BlobObjectKey { object }.encode(), b"");
                Ok::<_, Error>(())
            })
            .await?;
        let source = Arc::new(bytes);
        for first in (0..u32::MAX).step_by(BATCH) {
            let from = Arc::clone(&source);
            let batch = blocking(move || batch(&from, first)).await?;
            let last = batch.len() < BATCH;
            if !batch.is_empty() {
                self.write_batch(object, first, &batch).await?;
            }
            if last {
                break;
            }
        }
        Ok(())
    }

    async fn write_batch(&self, object: StoredObject, first: u32, batch: &[Bytes]) -> Result<(), Error> {
        let written = self.db.transact("blob.pieces", |txn| async move {
            if txn.get(&BlobObjectKey { object }.encode()).await?.is_none() {
                return Err(failed("write", object, io::ErrorKind::NotFound));
            }
            for (piece, index) in batch.iter().zip(first..) {
                txn.set_bytes(BlobPieceKey { object, index }.encode(), piece.clone());
            }
            Ok(())
        });
        written.await
    }

    async fn read(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, Error> {
        let object = stored(name);
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let piece = CHUNK as u64;
        let (first, last) = (range.start / piece, (range.end - 1) / piece);
        let rows = self.db.read("blob.pieces", |txn| async move {
            let mut rows = Vec::new();
            for index in first..=last {
                let row = txn.get_snapshot(&BlobPieceKey { object, index: index as u32 }.encode()).await?;
                rows.push(row.ok_or_else(|| failed("read", object, io::ErrorKind::NotFound))?);
            }
            Ok::<_, Error>(rows)
        });
        let all = Bytes::from(rows.await?.concat());
        let (start, end) = ((range.start - first * piece) as usize, (range.end - first * piece) as usize);
        if all.len() < end {
            return Err(failed("read", object, io::ErrorKind::UnexpectedEof));
        }
        Ok(all.slice(start..end))
    }

    async fn remove(&self, name: &ObjectName) -> Result<(), Error> {
        let object = stored(name);
        let removed = self.db.transact("blob.object.delete", |txn| async move {
            let (begin, end) = BlobPieceKey::range(object);
            txn.clear(&BlobObjectKey { object }.encode());
            txn.clear_range(&begin, &end);
            Ok::<_, Error>(())
        });
        removed.await
    }

    async fn names(&self, shard: u8) -> Result<Vec<ObjectName>, Error> {
        let (mut begin, end) = BlobObjectKey::shard_range(shard);
        let mut names = Vec::new();
        loop {
            let rows = self.db.read("blob.objects", |txn| {
                let (begin, end) = (begin.clone(), end.clone());
                async move { Ok::<_, Error>(txn.range(&begin, &end).snapshot().limit(PAGE).collect().await?) }
            });
            let rows = rows.await?;
            for (key, _) in &rows {
                let (hash, staged, nonce) = BlobObjectKey::decode(key)?.object;
                names.push(ObjectName { hash, staged: Timestamp(staged), nonce });
            }
            match rows.last() {
                Some((key, _)) if rows.len() == PAGE => begin = [key.as_ref(), b"\0"].concat(),
                _ => return Ok(names),
            }
        }
    }
}

/// The next pieces; fewer than [`BATCH`] at the end. Blocks.
fn batch(source: &Pending, first: u32) -> Result<Vec<Bytes>, Error> {
    let at = first as usize * CHUNK;
    let all = match source {
        Pending::Memory(bytes) => bytes.slice(at.min(bytes.len())..(at + BATCH * CHUNK).min(bytes.len())),
        Pending::Spilled(spill) => spill.piece(at as u64, BATCH * CHUNK)?.into(),
    };
    let cut = |start| all.slice(start..all.len().min(start + CHUNK));
    Ok((0..all.len()).step_by(CHUNK).map(cut).collect())
}

fn stored(name: &ObjectName) -> StoredObject {
    (name.hash, name.staged.millis(), name.nonce)
}

fn failed(action: &'static str, (hash, staged, nonce): StoredObject, kind: io::ErrorKind) -> Error {
    let name = ObjectName { hash, staged: Timestamp(staged), nonce };
    Error::Io { action, object: name.to_string(), source: kind.into() }
}

impl Objects for ChunkObjects {
    fn put<'a>(&'a self, name: &'a ObjectName, bytes: Pending) -> BoxFuture<'a, Result<(), Error>> {
        self.write(name, bytes).boxed()
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, Error>> {
        self.read(name, range).boxed()
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), Error>> {
        self.remove(name).boxed()
    }

    fn list(&self, shard: u8) -> BoxFuture<'_, Result<Vec<ObjectName>, Error>> {
        self.names(shard).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::keys;
    use schema::BlobHash;

    fn name(nonce: u64) -> ObjectName {
        ObjectName { hash: BlobHash([9; 32]), staged: Timestamp(300), nonce }
    }

    fn objects() -> ChunkObjects {
        ChunkObjects::new(kv::memory::database())
    }

    fn bytes(len: usize) -> Bytes {
        (0..len).map(|i| (i % 241) as u8).collect::<Vec<u8>>().into()
    }

    #[tokio::test]
    async fn objects_of_every_size_read_back() {
        let objects = objects();
        let edge = BATCH * CHUNK;
        for (len, nonce) in [1, CHUNK, CHUNK + 1, edge - 1, edge, edge + 1, 3 * edge + 5].into_iter().zip(0..)
        {
            objects.put(&name(nonce), Pending::Memory(bytes(len))).await.unwrap();
            assert_eq!(objects.get(&name(nonce), 0..len as u64).await.unwrap(), bytes(len));
            let short = objects.get(&name(nonce), 0..len as u64 + 1).await;
            assert!(matches!(short, Err(Error::Io { .. })), "{len}");
        }
        assert_eq!(objects.list(9).await.unwrap().len(), 7);
        assert_eq!(objects.list(8).await.unwrap(), []);
        for nonce in 0..7 {
            objects.delete(&name(nonce)).await.unwrap();
            objects.delete(&name(nonce)).await.unwrap();
        }
        assert_eq!(keys(&objects.db).await, [""; 0]);
        assert!(objects.get(&name(0), 0..1).await.unwrap_err().is_absent());
    }

    #[tokio::test]
    async fn a_spilled_body_goes_piece_by_piece() {
        let dir = tempfile::tempdir().unwrap();
        let mut spill = crate::Spill::create(dir.path(), 1).unwrap();
        let body = bytes(BATCH * CHUNK + 100_000);
        spill.append(&body).unwrap();
        let objects = objects();
        objects.put(&name(1), Pending::Spilled(spill)).await.unwrap();
        assert_eq!(objects.get(&name(1), 0..body.len() as u64).await.unwrap(), body);
        assert_eq!(objects.get(&name(1), 89_999..90_001).await.unwrap(), body[89_999..90_001]);
    }

    #[tokio::test]
    async fn no_piece_is_added_to_an_object_that_was_swept() {
        let objects = objects();
        let late = objects.write_batch(stored(&name(1)), 0, &[bytes(5)]).await;
        assert!(late.unwrap_err().is_absent());
        assert_eq!(keys(&objects.db).await, [""; 0]);
    }
}
