//! Reading bodies: whole (and verified), a range, or as a stream of bounded pieces.

use crate::reference::{meta_in, object_of};
use crate::stage::Body;
use crate::{Error, ObjectName, Staged, Store};
use bytes::{Bytes, BytesMut};
use futures::Stream;
use schema::keys::blob::BlobChunkKey;
use schema::records::blob::BlobMeta;
use schema::{BlobHash, Key};
use std::ops::Range;

/// The largest piece of a stream, in bytes.
const PIECE: u64 = 256 << 10;

impl Store {
    /// The bytes of `range`, cut at the end of the body. A whole body is verified against its hash.
    pub async fn read(&self, hash: BlobHash, range: Range<u64>) -> Result<Bytes, Error> {
        let meta = self.meta(hash).await?;
        let range = clip(range, meta.size);
        let bytes = self.read_piece(hash, &meta, range.clone()).await?;
        if range == (0..meta.size) && blake3::hash(&bytes) != hash.0 {
            return Err(Error::Corrupt { hash, what: "its bytes do not have its hash" });
        }
        Ok(bytes)
    }

    /// The bytes of `range` in bounded pieces. When a whole body was streamed and turns out to be damaged, the
    /// last item is an error.
    pub fn stream(
        &self,
        hash: BlobHash,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
        let store = self.clone();
        let open = async move {
            let meta = store.meta(hash).await?;
            let range = clip(range, meta.size);
            let hasher = (range == (0..meta.size)).then(|| Box::new(blake3::Hasher::new()));
            Ok::<_, Error>(Reader { store, hash, meta, range, hasher })
        };
        let pieces = async { Ok::<_, Error>(futures::stream::try_unfold(open.await?, Reader::next)) };
        futures::TryStreamExt::try_flatten(futures::stream::once(pieces))
    }

    /// The bytes of `range` of a body that may not be referenced yet, cut at its end.
    pub async fn read_staged(&self, staged: &Staged, range: Range<u64>) -> Result<Bytes, Error> {
        let range = clip(range, staged.size);
        match &staged.body {
            Body::Inline(bytes) => Ok(bytes.slice(range.start as usize..range.end as usize)),
            Body::Object(name) => self.objects().get(name, range).await,
        }
    }

    /// In bytes.
    pub async fn size(&self, hash: BlobHash) -> Result<u64, Error> {
        Ok(self.meta(hash).await?.size)
    }

    async fn meta(&self, hash: BlobHash) -> Result<BlobMeta, Error> {
        let read = self.db().read("blob.meta", move |txn| async move { meta_in(&txn, hash).await });
        read.await?.ok_or(Error::NotFound(hash))
    }

    /// Whether the meta row of its body names this object.
    pub(crate) async fn is_live(&self, name: &ObjectName) -> Result<bool, Error> {
        let name = *name;
        self.db()
            .read("blob.is_live", move |txn| async move {
                let meta = meta_in(&txn, name.hash).await?;
                Ok(meta.is_some_and(|meta| object_of(name.hash, &meta) == Some(name)))
            })
            .await
    }

    async fn read_piece(&self, hash: BlobHash, meta: &BlobMeta, range: Range<u64>) -> Result<Bytes, Error> {
        match object_of(hash, meta) {
            _ if range.is_empty() => Ok(Bytes::new()),
            None => self.read_chunks(hash, u64::from(meta.chunk), range).await,
            Some(name) => match self.objects().get(&name, range).await {
                // Collected between the two looks, or lost?
                Err(error) if error.is_absent() => match self.is_live(&name).await? {
                    true => Err(Error::Corrupt { hash, what: "its object is not there" }),
                    false => Err(Error::NotFound(hash)),
                },
                other => other,
            },
        }
    }

    async fn read_chunks(&self, hash: BlobHash, chunk: u64, range: Range<u64>) -> Result<Bytes, Error> {
        let (first, last) = (range.start / chunk, (range.end - 1) / chunk);
        let rows = self.db().read("blob.chunks", move |txn| async move {
            let mut rows = Vec::new();
            for index in first..=last {
                let row = txn.get_snapshot(&BlobChunkKey { hash, index: index as u32 }.encode()).await?;
                rows.push(row.ok_or(Error::NotFound(hash))?);
            }
            Ok::<_, Error>(rows)
        });
        let rows = rows.await?;
        let (start, end) = ((range.start - first * chunk) as usize, (range.end - first * chunk) as usize);
        let all = match <[Bytes; 1]>::try_from(rows) {
            Ok([only]) => only,
            Err(rows) => rows
                .iter()
                .fold(BytesMut::new(), |mut all, row| {
                    all.extend_from_slice(row);
                    all
                })
                .freeze(),
        };
        if all.len() < end {
            return Err(Error::Corrupt { hash, what: "a piece is too short" });
        }
        Ok(all.slice(start..end))
    }
}

/// A body on its way out.
struct Reader {
    store: Store,
    hash: BlobHash,
    meta: BlobMeta,
    range: Range<u64>,
    /// Verifies a whole body.
    hasher: Option<Box<blake3::Hasher>>,
}

impl Reader {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        if self.range.is_empty() {
            let wrong = self.hasher.is_some_and(|hasher| hasher.finalize() != self.hash.0);
            let error = Error::Corrupt { hash: self.hash, what: "its bytes do not have its hash" };
            return if wrong { Err(error) } else { Ok(None) };
        }
        let end = self.range.end.min(self.range.start + PIECE);
        let piece = self.store.read_piece(self.hash, &self.meta, self.range.start..end).await?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&piece);
        }
        self.range.start = end;
        Ok(Some((piece, self)))
    }
}

fn clip(range: Range<u64>, size: u64) -> Range<u64> {
    let end = range.end.min(size);
    range.start.min(end)..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Fixture;
    use crate::{BlobOwner, Objects, Options, memory::MemoryObjects};
    use futures::{StreamExt, TryStreamExt};
    use schema::QueueId;
    use schema::keys::blob::CHUNK;
    use std::sync::Arc;

    const OWNER: BlobOwner = BlobOwner::Queue(QueueId(1));

    fn body(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 253) as u8).collect()
    }

    async fn stored(inline_max: u64, len: usize) -> (Fixture, BlobHash) {
        let fixture = Fixture::new(inline_max);
        let staged = fixture.store.stage(body(len).into()).await.unwrap();
        fixture.reference(&staged, OWNER).await.unwrap();
        (fixture, staged.hash())
    }

    #[tokio::test]
    async fn ranges_of_small_and_large_bodies() {
        let len = 3 * CHUNK + 100;
        for inline_max in [0, 1 << 20] {
            let (fixture, hash) = stored(inline_max, len).await;
            let chunk = CHUNK as u64;
            for range in [
                0..u64::MAX,
                0..1,
                5..5,
                chunk - 1..chunk + 1,
                chunk..2 * chunk,
                chunk + 7..3 * chunk + 9,
                3 * chunk + 99..u64::MAX,
                u64::MAX - 1..u64::MAX,
            ] {
                let read = fixture.store.read(hash, range.clone()).await.unwrap();
                let expected = clip(range.clone(), len as u64);
                assert_eq!(read, body(len)[expected.start as usize..expected.end as usize], "{range:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_stream_is_the_body_in_bounded_pieces() {
        for inline_max in [0, 4 << 20] {
            let (fixture, hash) = stored(inline_max, 700_000).await;
            let pieces: Vec<Bytes> = fixture.store.stream(hash, 0..u64::MAX).try_collect().await.unwrap();
            assert!(pieces.iter().all(|piece| piece.len() as u64 <= PIECE) && pieces.len() == 3);
            assert_eq!(pieces.concat(), body(700_000));
            let some: Vec<Bytes> = fixture.store.stream(hash, 10..300_000).try_collect().await.unwrap();
            assert_eq!(some.concat(), body(700_000)[10..300_000]);
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_found() {
        let fixture = Fixture::new(0);
        let hash = BlobHash([1; 32]);
        assert!(matches!(fixture.store.read(hash, 0..1).await, Err(Error::NotFound(_))));
        let mut stream = Box::pin(fixture.store.stream(hash, 0..1));
        assert!(matches!(stream.next().await, Some(Err(Error::NotFound(_)))));
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn damage_is_found() {
        let objects = Arc::new(MemoryObjects::default());
        let fixture = Fixture::new(0);
        let options = Options { inline_max: 0, ..Options::default() };
        let rng = Arc::new(runtime::SeededRng::new(1));
        let parts = (objects.clone(), fixture.db.clone(), fixture.clock.clone());
        let store =
            Store::with_objects(parts.0, fixture.store.spill(), parts.1, parts.2, rng, options).unwrap();
        let staged = store.stage(body(10).into()).await.unwrap();
        fixture.reference(&staged, OWNER).await.unwrap();
        let (hash, name) = (staged.hash(), objects.names()[0]);

        objects.damage(&name, vec![0; 10].into());
        assert!(matches!(store.read(hash, 0..10).await, Err(Error::Corrupt { .. })));
        let mut pieces: Vec<_> = store.stream(hash, 0..10).collect().await;
        assert!(matches!(pieces.pop(), Some(Err(Error::Corrupt { .. }))));
        assert_eq!(store.read(hash, 0..9).await.unwrap(), vec![0; 9], "a range cannot be verified");
        objects.damage(&name, vec![0; 5].into());
        assert!(matches!(store.read(hash, 3..8).await, Err(Error::Io { .. })), "but its length can");
        objects.delete(&name).await.unwrap();
        assert!(matches!(store.read(hash, 0..10).await, Err(Error::Corrupt { .. })));
    }
}
