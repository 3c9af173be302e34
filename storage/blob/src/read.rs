//! Reading bodies: whole (and verified), a range, or as a stream of bounded pieces.
//!
//! What lies in blocks is checked block by block, so that a range is as good as the whole. A block that does not fit
//! is read again before it counts as damaged: it may have been damaged on its way.

use crate::block::{BLOCK, Layout};
use crate::reference::{layout_of, meta_in, object_of};
use crate::stage::Body;
use crate::{Error, ObjectName, Staged, Store};
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use kv::Transaction;
use schema::keys::blob::BlobChunkKey;
use schema::records::blob::BlobMeta;
use schema::{BlobHash, Key};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

/// The largest piece of a stream, in bytes: whole blocks.
const PIECE: u64 = 3 * BLOCK as u64;
/// How often blocks are read that do not fit.
const READS: usize = 3;

impl Store {
    /// The bytes of `range`, cut at the end of the body. A whole body is verified against its hash.
    pub async fn read(&self, hash: BlobHash, range: Range<u64>) -> Result<Bytes, Error> {
        let (meta, rows) = self.meta_with_rows(hash, &range).await?;
        let range = clip(range, meta.size);
        let bytes = if let Some(rows) = rows {
            from_rows(hash, &meta, rows, &range)?
        } else if range.end - range.start <= PIECE {
            self.read_piece(hash, &meta, range.clone()).await?
        } else {
            let mut all = BytesMut::new();
            for piece in pieces(range.clone()) {
                all.extend_from_slice(&self.read_piece(hash, &meta, piece).await?);
            }
            all.freeze()
        };
        if range == (0..meta.size) && blake3::hash(&bytes) != hash.0 {
            return Err(Error::Corrupt { hash, what: WRONG });
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
            let meta = Arc::new(store.meta(hash).await?);
            let range = clip(range, meta.size);
            let hasher = (range == (0..meta.size)).then(|| Box::new(blake3::Hasher::new()));
            let ahead = if meta.chunk == 0 { store.objects().ahead() } else { 1 };
            let read = move |piece| {
                let (store, meta) = (store.clone(), meta.clone());
                async move { store.read_piece(hash, &meta, piece).await }
            };
            let pieces = stream::iter(pieces(range)).map(read).buffered(ahead).boxed();
            Ok::<_, Error>(stream::try_unfold(Reader { hash, pieces, hasher }, Reader::next))
        };
        futures::TryStreamExt::try_flatten(stream::once(open))
    }

    /// The bytes of `range` of a body that may not be referenced yet, cut at its end.
    pub async fn read_staged(&self, staged: &Staged, range: Range<u64>) -> Result<Bytes, Error> {
        let range = clip(range, staged.size);
        match &staged.body {
            Body::Inline(bytes, _) => Ok(bytes.slice(range.start as usize..range.end as usize)),
            _ if range.is_empty() => Ok(Bytes::new()),
            Body::Object(object) if range.end <= object.head.len() as u64 => {
                Ok(object.head.slice(range.start as usize..range.end as usize))
            }
            Body::Object(object) => self.read_blocks(&object.name, &object.layout, range).await,
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

    /// The meta row and, if the body is a small one of which no more than a piece is wanted, the rows with that: in one
    /// transaction, since most bodies are read so, and a transaction costs a round of its own.
    async fn meta_with_rows(
        &self,
        hash: BlobHash,
        range: &Range<u64>,
    ) -> Result<(BlobMeta, Option<Vec<Bytes>>), Error> {
        let read = self.db().read("blob.read", |txn| async move {
            let meta = meta_in(&txn, hash).await?.ok_or(Error::NotFound(hash))?;
            let range = clip(range.clone(), meta.size);
            let in_rows = object_of(hash, &meta).is_none();
            if !in_rows || range.is_empty() || range.end - range.start > PIECE {
                return Ok((meta, None));
            }
            let rows = rows_in(&txn, hash, plain(&meta).blocks(&range)).await?;
            Ok((meta, Some(rows)))
        });
        read.await
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
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let Some(name) = object_of(hash, meta) else { return self.read_rows(hash, meta, range).await };
        let read = match layout_of(meta) {
            None => self.objects().get(&name, range).await,
            Some(layout) => self.read_blocks(&name, &layout, range).await,
        };
        match read {
            // Collected between the two looks, or lost?
            Err(error) if error.is_absent() => match self.is_live(&name).await? {
                true => Err(Error::Corrupt { hash, what: "its object is not there" }),
                false => Err(Error::NotFound(hash)),
            },
            other => other,
        }
    }

    async fn read_blocks(
        &self,
        name: &ObjectName,
        layout: &Layout,
        range: Range<u64>,
    ) -> Result<Bytes, Error> {
        let blocks = layout.blocks(&range);
        let extent = layout.extent(&blocks);
        let mut what = "its object is damaged";
        for _ in 0..READS {
            let bytes = self.objects().get(name, extent.clone()).await?;
            match layout.decode(name.nonce, blocks.clone(), &bytes) {
                Ok(raw) => return Ok(cut(&raw.into(), layout, &blocks, &range)),
                Err(damage) => what = damage,
            }
            tracing::warn!(object = %name, ?extent, what, "bytes of a body are not what was stored");
            metrics::counter!("blob_damaged_reads_total").increment(1);
        }
        Err(Error::Corrupt { hash: name.hash, what })
    }

    /// From the rows of a small body.
    async fn read_rows(&self, hash: BlobHash, meta: &BlobMeta, range: Range<u64>) -> Result<Bytes, Error> {
        let wanted = &plain(meta).blocks(&range);
        let rows =
            self.db().read("blob.chunks", |txn| async move { rows_in(&txn, hash, wanted.clone()).await });
        from_rows(hash, meta, rows.await?, &range)
    }
}

/// The pieces of a small body as they are without compression.
fn plain(meta: &BlobMeta) -> Layout {
    Layout { size: meta.size, block: meta.chunk, stored: Vec::new() }
}

async fn rows_in(
    txn: &Transaction,
    hash: BlobHash,
    wanted: RangeInclusive<u32>,
) -> Result<Vec<Bytes>, Error> {
    let mut rows = Vec::new();
    for index in wanted {
        let row = txn.get_snapshot(&BlobChunkKey { hash, index }.encode()).await?;
        rows.push(row.ok_or(Error::NotFound(hash))?);
    }
    Ok(rows)
}

/// The wanted bytes of the rows that have them.
fn from_rows(hash: BlobHash, meta: &BlobMeta, rows: Vec<Bytes>, range: &Range<u64>) -> Result<Bytes, Error> {
    let plain = plain(meta);
    let wanted = plain.blocks(range);
    if let Some(layout) = layout_of(meta) {
        let mut raw = Vec::new();
        for (row, index) in rows.iter().zip(wanted.clone()) {
            let decoded = crate::block::decode(meta.nonce, index, row, layout.raw(index), &mut raw);
            decoded.map_err(|what| Error::Corrupt { hash, what })?;
        }
        return Ok(cut(&raw.into(), &layout, &wanted, range));
    }
    if rows.iter().zip(wanted.clone()).any(|(row, index)| row.len() != plain.raw(index)) {
        return Err(Error::Corrupt { hash, what: "a piece does not have its length" });
    }
    let all = match <[Bytes; 1]>::try_from(rows) {
        Ok([only]) => only,
        Err(rows) => rows.concat().into(),
    };
    Ok(cut(&all, &plain, &wanted, range))
}

const WRONG: &str = "its bytes do not have its hash";

/// A body on its way out.
struct Reader {
    hash: BlobHash,
    pieces: BoxStream<'static, Result<Bytes, Error>>,
    /// Verifies a whole body.
    hasher: Option<Box<blake3::Hasher>>,
}

impl Reader {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        let Some(piece) = self.pieces.next().await.transpose()? else {
            let wrong = self.hasher.is_some_and(|hasher| hasher.finalize() != self.hash.0);
            return if wrong { Err(Error::Corrupt { hash: self.hash, what: WRONG }) } else { Ok(None) };
        };
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&piece);
        }
        Ok(Some((piece, self)))
    }
}

/// The wanted bytes of whole blocks.
fn cut(all: &Bytes, layout: &Layout, blocks: &RangeInclusive<u32>, range: &Range<u64>) -> Bytes {
    let first = u64::from(*blocks.start()) * u64::from(layout.block);
    let at = |n: u64| (n.saturating_sub(first) as usize).min(all.len());
    all.slice(at(range.start)..at(range.end))
}

/// A range in pieces that end where blocks do.
fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let end = range.end.min((at / PIECE + 1) * PIECE);
        let piece = at..end;
        at = end;
        (!piece.is_empty()).then_some(piece)
    })
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
    use futures::TryStreamExt;
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
    async fn rows_as_they_are_and_objects_as_they_are_are_still_read() {
        let fixture = Fixture::new(0);
        let bytes = Bytes::from(body(200));
        let name = fixture.store.object_name(BlobHash(*blake3::hash(&bytes).as_bytes()));
        fixture.store.objects().put(&name, crate::Pending::Memory(bytes.clone())).await.unwrap();
        let staged = (name.staged.millis(), name.nonce);
        let meta = BlobMeta { size: 200, staged: staged.0, nonce: staged.1, ..BlobMeta::default() };
        let key = schema::keys::blob::BlobMetaKey { hash: name.hash }.encode();
        let row = &schema::Record::to_bytes(&meta);
        let key = &key;
        let write = fixture.db.transact("test", |txn| async move {
            txn.set(key, row);
            Ok::<_, Error>(())
        });
        write.await.unwrap();
        assert_eq!(fixture.store.read(name.hash, 0..300).await.unwrap(), bytes);
        assert_eq!(fixture.store.read(name.hash, 7..9).await.unwrap(), bytes[7..9]);
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

        objects.damage(&name, vec![0; 23].into());
        assert!(matches!(store.read(hash, 0..10).await, Err(Error::Corrupt { .. })));
        let mut pieces: Vec<_> = store.stream(hash, 0..10).collect().await;
        assert!(matches!(pieces.pop(), Some(Err(Error::Corrupt { .. }))));
        assert!(matches!(store.read(hash, 3..5).await, Err(Error::Corrupt { .. })), "a range as well");
        objects.damage(&name, vec![0; 5].into());
        assert!(matches!(store.read(hash, 3..8).await, Err(Error::Io { .. })));
        objects.delete(&name).await.unwrap();
        assert!(matches!(store.read(hash, 0..10).await, Err(Error::Corrupt { .. })));
    }
}
