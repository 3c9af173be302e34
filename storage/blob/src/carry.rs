//! Carrying an object from one place to another, as it is: its name and its blocks stay, so that the row that names it
//! is good there too.

use crate::block::Layout;
use crate::error::blocking;
use crate::reference::{layout_of, object_of};
use crate::{Error, ObjectName, Objects, Pending, Spill};
use bytes::Bytes;
use schema::BlobHash;
use schema::records::blob::BlobMeta;
use std::path::Path;

/// Blocks read at a time.
const BLOCKS: u32 = 8;
/// Bytes read at a time of what does not lie in blocks.
const PIECE: u64 = 1 << 20;
/// How often bytes are read that do not fit.
const READS: usize = 3;

/// Copies the object that the meta row of `hash` names, if it names one; returns its bytes. It is durable `to` the other
/// place when this resolves, and had the hash of its body on the way.
///
/// Memory is bounded: the object waits in a file in `spill`, which lies on the file system of a place of files. `nonce`
/// names the file.
pub async fn carry(
    from: &dyn Objects,
    to: &dyn Objects,
    (hash, meta): (BlobHash, &BlobMeta),
    spill: &Path,
    nonce: u64,
) -> Result<u64, Error> {
    let Some(name) = object_of(hash, meta) else { return Ok(0) };
    let (spill, mut hasher, mut carried) = (spill.to_owned(), blake3::Hasher::new(), 0);
    let mut spill = blocking(move || Spill::create(&spill, nonce)).await?;
    let mut at = 0;
    while at < meta.size {
        let (stored, raw, next) = match layout_of(meta) {
            Some(layout) => blocks(from, &name, &layout, at).await?,
            None => {
                let next = meta.size.min(at + PIECE);
                let bytes = from.get(&name, at..next).await?;
                (bytes.clone(), bytes, next)
            }
        };
        hasher.update(&raw);
        carried += stored.len() as u64;
        spill = blocking(move || spill.append(&stored).map(|()| spill)).await?;
        at = next;
    }
    if hasher.finalize() != hash.0 {
        return Err(Error::Corrupt { hash, what: "its bytes do not have its hash" });
    }
    to.put(&name, Pending::Spilled(spill)).await?;
    Ok(carried)
}

/// Some blocks from the one at `at` on: as they are stored, their raw bytes, and where the next one begins.
async fn blocks(
    from: &dyn Objects,
    name: &ObjectName,
    layout: &Layout,
    at: u64,
) -> Result<(Bytes, Bytes, u64), Error> {
    let next = layout.size.min(at + u64::from(BLOCKS) * u64::from(layout.block));
    let wanted = layout.blocks(&(at..next));
    let mut what = "its object is damaged";
    for _ in 0..READS {
        let stored = from.get(name, layout.extent(&wanted)).await?;
        match layout.decode(name.nonce, wanted.clone(), &stored) {
            Ok(raw) => return Ok((stored, raw.into(), next)),
            Err(damage) => what = damage,
        }
    }
    Err(Error::Corrupt { hash: name.hash, what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryObjects;
    use crate::reference::meta_in;
    use crate::store::tests::Fixture;
    use crate::{BlobOwner, Store};
    use kv::Database;
    use runtime::{Clock, Rng, SeededRng};
    use schema::QueueId;
    use std::sync::Arc;

    async fn meta(db: &Database, hash: BlobHash) -> BlobMeta {
        let meta = db.read("test", |txn| async move { meta_in(&txn, hash).await });
        meta.await.unwrap().unwrap()
    }

    /// Random, and so not to be compressed; or all the same.
    fn body(len: usize, random: bool) -> Bytes {
        let mut bytes = vec![7; len];
        if random {
            SeededRng::new(len as u64).fill(&mut bytes);
        }
        bytes.into()
    }

    #[tokio::test]
    async fn a_carried_object_is_read_where_it_is_now() {
        let fixture = Fixture::new(100);
        let to = Arc::new(MemoryObjects::default());
        for (len, random) in [(0, false), (50, true), (101, true), (90_000, false), (2_000_000, true)] {
            let staged = fixture.store.stage(body(len, random)).await.unwrap();
            fixture.reference(&staged, BlobOwner::Queue(QueueId(1))).await.unwrap();
            let (hash, meta) = (staged.hash(), meta(&fixture.db, staged.hash()).await);
            let from = fixture.store.objects();
            let carried = carry(from, &*to, (hash, &meta), fixture.store.spill(), len as u64).await.unwrap();
            assert_eq!(carried > 0, len > 100, "small bodies lie in rows");
            // The same rows over the other place.
            let (db, spill) = (fixture.db.clone(), fixture.store.spill());
            let clock: Arc<dyn Clock> = fixture.clock.clone();
            let there = Store::with_objects(
                to.clone(),
                spill,
                db,
                clock,
                Arc::new(SeededRng::new(3)),
                fixture.store.options().clone(),
            );
            assert_eq!(there.unwrap().read(hash, 0..u64::MAX).await.unwrap(), body(len, random));
        }
        assert_eq!(to.names().len(), 3);
    }

    #[tokio::test]
    async fn what_is_damaged_or_gone_is_not_carried() {
        let fixture = Fixture::new(0);
        let (from, to) = (MemoryObjects::default(), MemoryObjects::default());
        let staged = fixture.store.stage(body(200_000, true)).await.unwrap();
        fixture.reference(&staged, BlobOwner::Queue(QueueId(1))).await.unwrap();
        let (hash, meta) = (staged.hash(), meta(&fixture.db, staged.hash()).await);
        let carried = async |n| carry(&from, &to, (hash, &meta), fixture.store.spill(), n).await;
        assert!(carried(1).await.unwrap_err().is_absent());
        let name = object_of(hash, &meta).unwrap();
        from.damage(&name, body(200_100, true));
        assert!(matches!(carried(2).await, Err(Error::Corrupt { .. })));
        assert!(to.names().is_empty());
    }
}
