//! Staging: a body comes in, is hashed on the way, and is made durable if it is large.

use crate::error::blocking;
use crate::{Error, ObjectName, Pending, Spill, Store};
use bytes::Bytes;
use schema::BlobHash;
use std::sync::Arc;

/// A body of more bytes than this goes on in a spill file while it comes in.
pub const SPILL_AFTER: usize = 128 << 10;

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
    Inline(Bytes),
    Object(Arc<ObjectName>),
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
            Body::Inline(bytes) => Some(bytes),
            Body::Object(_) => None,
        }
    }
}

impl Store {
    /// Stages bytes that are in memory.
    pub async fn stage(&self, bytes: Bytes) -> Result<Staged, Error> {
        let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
        let size = bytes.len() as u64;
        self.settle(hash, size, self.options().inline_max, Pending::Memory(bytes)).await
    }

    /// Bodies of up to `inline_max` bytes stay in (or come back to) memory, larger ones become a durable object.
    async fn settle(
        &self,
        hash: BlobHash,
        size: u64,
        inline_max: u64,
        pending: Pending,
    ) -> Result<Staged, Error> {
        let body = match pending {
            Pending::Memory(bytes) if size <= inline_max => Body::Inline(bytes),
            Pending::Spilled(mut spill) if size <= inline_max => {
                Body::Inline(blocking(move || spill.read_back().map(Bytes::from)).await?)
            }
            pending => {
                let name = self.object_name(hash);
                self.objects().put(&name, pending).await?;
                Body::Object(Arc::new(name))
            }
        };
        Ok(Staged { hash, size, body })
    }

    /// Gives up a staged body that nothing references (its message was refused, or an equal body was there
    /// already), so that its object goes now and not with the next sweep. Does nothing while clones of it live.
    pub async fn discard(&self, staged: Staged) -> Result<(), Error> {
        let Body::Object(name) = staged.body else { return Ok(()) };
        // The only holder of the name: nobody can reference it between the look and the deletion.
        let Ok(name) = Arc::try_unwrap(name) else { return Ok(()) };
        if self.is_live(&name).await? { Ok(()) } else { self.objects().delete(&name).await }
    }
}

/// Takes in a body piece by piece, with at most about [`SPILL_AFTER`] bytes in memory.
pub struct Writer {
    store: Store,
    hasher: blake3::Hasher,
    len: u64,
    inline_max: u64,
    buffer: Vec<u8>,
    spill: Spilling,
}

/// Where the bytes are that do not fit the buffer.
enum Spilling {
    NotYet,
    To(Spill),
    /// A call failed or was cancelled, and bytes may be missing.
    Broken,
}

impl Writer {
    pub(crate) fn new(store: Store) -> Self {
        let inline_max = store.options().inline_max;
        let hasher = blake3::Hasher::new();
        Writer { store, hasher, len: 0, inline_max, buffer: Vec::new(), spill: Spilling::NotYet }
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
        for piece in bytes.chunks(SPILL_AFTER) {
            if self.buffer.len() + piece.len() > SPILL_AFTER {
                self.spill_buffer().await?;
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
            self.spill_buffer().await?;
        }
        let hash = BlobHash(*self.hasher.finalize().as_bytes());
        let pending = match self.spill {
            Spilling::NotYet => Pending::Memory(self.buffer.into()),
            Spilling::To(spill) => Pending::Spilled(spill),
            Spilling::Broken => return Err(Error::WriterBroken),
        };
        self.store.settle(hash, self.len, self.inline_max, pending).await
    }

    async fn spill_buffer(&mut self) -> Result<(), Error> {
        let spill = match std::mem::replace(&mut self.spill, Spilling::Broken) {
            Spilling::NotYet => None,
            Spilling::To(spill) => Some(spill),
            Spilling::Broken => return Err(Error::WriterBroken),
        };
        let (dir, nonce) = (self.store.spill().to_owned(), self.store.nonce());
        let mut buffer = std::mem::take(&mut self.buffer);
        let (spill, buffer) = blocking(move || {
            let mut spill = spill.map_or_else(|| Spill::create(&dir, nonce), Ok)?;
            spill.append(&buffer)?;
            buffer.clear();
            Ok((spill, buffer))
        })
        .await?;
        (self.spill, self.buffer) = (Spilling::To(spill), buffer);
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
