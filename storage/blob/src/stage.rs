//! Staging: a body comes in, is hashed and cut into blocks on the way, and is made durable if it is large.

use crate::block::{self, BLOCK, Layout};
use crate::error::blocking;
use crate::{Error, ObjectName, Pending, Spill, Store};
use bytes::Bytes;
use schema::BlobHash;
use std::sync::Arc;

/// A body of more bytes than this goes on in a spill file while it comes in.
pub const SPILL_AFTER: usize = 128 << 10;
/// So much of the beginning of a staged body is read without asking anybody.
pub const HEAD: usize = 64 << 10;
/// What takes less than about this many bytes of compressing is done at once, the rest off the async workers.
const AT_ONCE: usize = 32 << 10;

/// A body that a transaction may reference: in memory if it is small, else already durable.
///
/// It is to be referenced soon: a large one at the latest after half of the grace period.
#[derive(Clone, Debug)]
pub struct Staged {
    pub(crate) hash: BlobHash,
    pub(crate) size: u64,
    pub(crate) body: Body,
}

/// Where a staged body is.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Inline(Bytes, Option<Rows>),
    Object(Arc<Object>),
}

/// A small body as compressed blocks, one in a row.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) nonce: u64,
    pub(crate) blocks: Arc<Vec<Bytes>>,
}

/// A durable object and what is in it.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) name: ObjectName,
    pub(crate) layout: Layout,
    /// Its first [`HEAD`] bytes, for whoever is within a transaction and must not wait.
    pub(crate) head: Bytes,
}

impl Staged {
    /// BLAKE3 of the bytes.
    pub fn hash(&self) -> BlobHash {
        self.hash
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes, if they are small enough to lie in the key-value store.
    pub fn inline(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Inline(bytes, _) => Some(bytes),
            Body::Object(_) => None,
        }
    }
}

/// All bytes of a body that came in.
enum Received {
    /// As they are.
    Raw(Bytes),
    /// In a spill file, as blocks.
    Spilled(Spilled),
}

/// A spill file of blocks.
struct Spilled {
    spill: Spill,
    /// Of each block.
    stored: Vec<u32>,
    /// The first [`HEAD`] bytes.
    head: Bytes,
}

impl Store {
    /// Stages bytes that are in memory.
    pub async fn stage(&self, bytes: Bytes) -> Result<Staged, Error> {
        let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
        let size = bytes.len() as u64;
        self.settle(hash, size, self.options().inline_max, self.nonce(), Received::Raw(bytes)).await
    }

    /// Bodies of up to `inline_max` bytes stay in (or come back to) memory, larger ones become a durable object.
    async fn settle(
        &self,
        hash: BlobHash,
        size: u64,
        inline_max: u64,
        nonce: u64,
        received: Received,
    ) -> Result<Staged, Error> {
        let (compress, inline) = (self.options().compress, self.options().compress_inline);
        let body = match received {
            Received::Raw(bytes) if size <= inline_max => {
                if !inline || bytes.len() < block::WORTH_TRYING {
                    Body::Inline(bytes, None)
                } else if bytes.len() < AT_ONCE {
                    let blocks = block::encode_all(nonce, &bytes, true);
                    rows(nonce, bytes, blocks)
                } else {
                    blocking(move || {
                        let blocks = block::encode_all(nonce, &bytes, true);
                        Ok(rows(nonce, bytes, blocks))
                    })
                    .await?
                }
            }
            Received::Spilled(spilled) if size <= inline_max => {
                blocking(move || come_back(hash, size, (nonce, inline), spilled)).await?
            }
            received => {
                let name = ObjectName { hash, staged: self.now(), nonce };
                let (pending, stored, head) = blocking(move || pending(nonce, received, compress)).await?;
                self.objects().put(&name, pending).await?;
                Body::Object(Arc::new(Object { name, layout: Layout::new(size, stored), head }))
            }
        };
        Ok(Staged { hash, size, body })
    }

    /// Gives up a staged body that nothing references (its message was refused, or an equal body was there
    /// already), so that its object goes now and not with the next sweep. Does nothing while clones of it live.
    pub async fn discard(&self, staged: Staged) -> Result<(), Error> {
        let Body::Object(object) = staged.body else { return Ok(()) };
        // The only holder of the name: nobody can reference it between the look and the deletion.
        let Ok(Object { name, .. }) = Arc::try_unwrap(object) else { return Ok(()) };
        if self.is_live(&name).await? { Ok(()) } else { self.objects().delete(&name).await }
    }
}

/// A small body: compressed if that saves an eighth of it.
fn rows(nonce: u64, bytes: Bytes, blocks: Vec<Vec<u8>>) -> Body {
    let stored: usize = blocks.iter().map(Vec::len).sum();
    let pays = stored <= bytes.len() / 8 * 7;
    let rows = || Rows { nonce, blocks: Arc::new(blocks.into_iter().map(Bytes::from).collect()) };
    Body::Inline(bytes, pays.then(rows))
}

/// A body that was spilled and turns out to be small. Blocks.
fn come_back(
    hash: BlobHash,
    size: u64,
    (nonce, compress): (u64, bool),
    spilled: Spilled,
) -> Result<Body, Error> {
    let Spilled { mut spill, stored, .. } = spilled;
    let mut rest = Bytes::from(spill.read_back()?);
    let layout = Layout::new(size, stored);
    let all = layout.blocks(&(0..size));
    let raw = layout.decode(nonce, all.clone(), &rest).map_err(|what| Error::Corrupt { hash, what })?;
    if !compress {
        return Ok(Body::Inline(raw.into(), None));
    }
    let blocks = all.map(|index| rest.split_to(layout.stored(index).min(rest.len())).to_vec()).collect();
    Ok(rows(nonce, raw.into(), blocks))
}

/// The bytes of an object, how long its blocks are, and its beginning. Blocks.
fn pending(nonce: u64, received: Received, compress: bool) -> Result<(Pending, Vec<u32>, Bytes), Error> {
    Ok(match received {
        Received::Spilled(Spilled { spill, stored, head }) => (Pending::Spilled(spill), stored, head),
        Received::Raw(bytes) => {
            let blocks = block::encode_all(nonce, &bytes, compress);
            let stored = blocks.iter().map(|block| block.len() as u32).collect();
            (Pending::Memory(blocks.concat().into()), stored, head(&bytes))
        }
    })
}

fn head(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes.get(..HEAD).unwrap_or(bytes))
}

/// Takes in a body piece by piece, with at most about [`SPILL_AFTER`] bytes in memory.
pub struct Writer {
    store: Store,
    hasher: blake3::Hasher,
    len: u64,
    inline_max: u64,
    nonce: u64,
    buffer: Vec<u8>,
    spill: Spilling,
}

/// Where the bytes are that do not fit the buffer.
enum Spilling {
    NotYet,
    To(Spilled),
    /// A call failed or was cancelled, and bytes may be missing.
    Broken,
}

impl Writer {
    pub(crate) fn new(store: Store) -> Self {
        let (hasher, nonce, inline_max) = (blake3::Hasher::new(), store.nonce(), store.options().inline_max);
        Writer { store, hasher, len: 0, inline_max, nonce, buffer: Vec::new(), spill: Spilling::NotYet }
    }

    /// The body becomes an object however small it is: for who stages more than one transaction holds.
    #[must_use]
    pub fn outside(mut self) -> Self {
        self.inline_max = 0;
        self
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was written so far.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds bytes at the end. After an error, or if the future is dropped half-way, the body is lost.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for piece in bytes.chunks(SPILL_AFTER - BLOCK) {
            if self.buffer.len() + piece.len() > SPILL_AFTER {
                self.spill_blocks(self.buffer.len() / BLOCK * BLOCK).await?;
            }
            self.hasher.update(piece);
            self.len += piece.len() as u64;
            self.buffer.extend_from_slice(piece);
        }
        if matches!(self.spill, Spilling::Broken) { Err(Error::WriterBroken) } else { Ok(()) }
    }

    /// The end of the body: hashes, and makes it durable if it is large.
    pub async fn finish(mut self) -> Result<Staged, Error> {
        if !matches!(self.spill, Spilling::NotYet) {
            self.spill_blocks(self.buffer.len()).await?;
        }
        let hash = BlobHash(*self.hasher.finalize().as_bytes());
        let received = match self.spill {
            Spilling::NotYet => Received::Raw(self.buffer.into()),
            Spilling::To(spilled) => Received::Spilled(spilled),
            Spilling::Broken => return Err(Error::WriterBroken),
        };
        self.store.settle(hash, self.len, self.inline_max, self.nonce, received).await
    }

    /// Moves so many bytes of the buffer to the spill file, as blocks.
    async fn spill_blocks(&mut self, bytes: usize) -> Result<(), Error> {
        let spilled = match std::mem::replace(&mut self.spill, Spilling::Broken) {
            Spilling::NotYet => None,
            Spilling::To(spilled) => Some(spilled),
            Spilling::Broken => return Err(Error::WriterBroken),
        };
        let (dir, nonce, compress) =
            (self.store.spill().to_owned(), self.nonce, self.store.options().compress);
        let mut buffer = std::mem::take(&mut self.buffer);
        let (spilled, buffer) = blocking(move || {
            let create = || {
                let spill = Spill::create(&dir, nonce)?;
                Ok::<_, Error>(Spilled { spill, stored: Vec::new(), head: head(&buffer) })
            };
            let mut spilled = spilled.map_or_else(create, Ok)?;
            for raw in buffer.get(..bytes).unwrap_or_default().chunks(BLOCK) {
                let block = block::encode(nonce, spilled.stored.len() as u32, raw, compress);
                spilled.spill.append(&block)?;
                spilled.stored.push(block.len() as u32);
            }
            buffer.drain(..bytes.min(buffer.len()));
            Ok((spilled, buffer))
        })
        .await?;
        (self.spill, self.buffer) = (Spilling::To(spilled), buffer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Fixture;

    fn files(path: &std::path::Path) -> usize {
        std::fs::read_dir(path).unwrap().count()
    }

    #[tokio::test]
    async fn a_small_body_stays_in_memory() {
        let fixture = Fixture::new(1000);
        let mut writer = fixture.store.writer();
        assert!(writer.is_empty());
        writer.write(b"hello ").await.unwrap();
        writer.write(b"world").await.unwrap();
        assert_eq!(writer.len(), 11);
        let staged = writer.finish().await.unwrap();
        assert_eq!(staged.inline().unwrap(), "hello world");
        assert_eq!(staged.hash().0, *blake3::hash(b"hello world").as_bytes());
        let same = fixture.store.stage(Bytes::from_static(b"hello world")).await.unwrap();
        assert_eq!((same.hash(), same.size()), (staged.hash(), 11));
    }

    #[tokio::test]
    async fn a_spilled_body_comes_back_if_it_may_be_inline() {
        let fixture = Fixture::new(1 << 20);
        let body: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        let mut writer = fixture.store.writer();
        for piece in body.chunks(7001) {
            writer.write(piece).await.unwrap();
        }
        assert_eq!(files(fixture.store.spill()), 1);
        let staged = writer.finish().await.unwrap();
        assert_eq!(staged.inline().unwrap(), &body);
        assert_eq!(files(fixture.store.spill()), 0);
    }

    #[tokio::test]
    async fn a_large_body_becomes_an_object_and_memory_stays_bounded() {
        let fixture = Fixture::new(1000);
        let body = vec![7u8; 3 << 20];
        let mut writer = fixture.store.writer();
        writer.write(&body).await.unwrap();
        assert!(writer.buffer.capacity() <= 2 * SPILL_AFTER);
        let staged = writer.finish().await.unwrap();
        assert!(staged.inline().is_none());
        assert_eq!(fixture.store.read_staged(&staged, 0..u64::MAX).await.unwrap(), body);
        assert_eq!(files(fixture.store.spill()), 0);
        assert_eq!(fixture.store.objects().list(staged.hash().0[0]).await.unwrap().len(), 1);
        fixture.store.discard(staged.clone()).await.unwrap();
        assert_eq!(fixture.store.objects().list(staged.hash().0[0]).await.unwrap().len(), 1, "a clone lives");
        fixture.store.discard(staged.clone()).await.unwrap();
        let shard = staged.hash().0[0];
        fixture.store.discard(staged).await.unwrap();
        assert_eq!(fixture.store.objects().list(shard).await.unwrap(), []);
    }

    #[tokio::test]
    async fn the_beginning_of_a_staged_body_is_at_hand() {
        let fixture = Fixture::new(1000);
        let body: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        let mut writer = fixture.store.writer();
        writer.write(&body).await.unwrap();
        for staged in
            [writer.finish().await.unwrap(), fixture.store.stage(body.clone().into()).await.unwrap()]
        {
            let Body::Object(object) = &staged.body else { panic!("it is large") };
            fixture.store.objects().delete(&object.name).await.unwrap();
            let read = |range| fixture.store.read_staged(&staged, range);
            assert_eq!(read(10..HEAD as u64).await.unwrap(), body[10..HEAD]);
            assert!(read(10..HEAD as u64 + 1).await.is_err());
        }
    }

    #[tokio::test]
    async fn bodies_are_small_where_they_lie() {
        let fixture = Fixture::new(200_000);
        let text = b"a line of a message like many others\r\n".repeat(6_000);
        for len in [5_000, 20_000, 190_000, 220_000] {
            let staged = fixture.store.stage(Bytes::copy_from_slice(&text[..len])).await.unwrap();
            let stored = match &staged.body {
                Body::Inline(bytes, None) => bytes.len(),
                Body::Inline(_, Some(rows)) => rows.blocks.iter().map(Bytes::len).sum(),
                Body::Object(object) => object.layout.stored.iter().map(|len| *len as usize).sum(),
            };
            assert!(len == 5_000 || stored < len / 20, "{len}: {stored}");
            fixture.reference(&staged, crate::BlobOwner::Queue(schema::QueueId(1))).await.unwrap();
            assert_eq!(fixture.store.read(staged.hash(), 0..u64::MAX).await.unwrap(), text[..len]);
            assert_eq!(fixture.store.read(staged.hash(), 4_000..4_900).await.unwrap(), text[4_000..4_900]);
        }
    }

    #[tokio::test]
    async fn a_small_body_can_be_kept_outside() {
        let fixture = Fixture::new(1000);
        let mut writer = fixture.store.writer().outside();
        writer.write(b"hello").await.unwrap();
        let staged = writer.finish().await.unwrap();
        assert!(staged.inline().is_none());
        assert_eq!(fixture.store.read_staged(&staged, 0..u64::MAX).await.unwrap(), "hello");
    }

    #[tokio::test]
    async fn an_abandoned_writer_leaves_no_file() {
        let fixture = Fixture::new(1000);
        let mut writer = fixture.store.writer();
        writer.write(&vec![0; 2 * SPILL_AFTER]).await.unwrap();
        drop(writer);
        assert_eq!(files(fixture.store.spill()), 0);
    }

    #[tokio::test]
    async fn a_failed_writer_never_finishes() {
        let fixture = Fixture::new(1000);
        std::fs::remove_dir(fixture.store.spill()).unwrap();
        let mut writer = fixture.store.writer();
        let large = vec![0; 2 * SPILL_AFTER];
        assert!(matches!(writer.write(&large).await, Err(Error::Io { .. })));
        assert!(matches!(writer.write(&large).await, Err(Error::WriterBroken)));
        assert!(matches!(writer.finish().await, Err(Error::WriterBroken)));
    }
}
