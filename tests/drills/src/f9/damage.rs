//! Files of the index are cut short, overwritten or taken away in the store itself, while it is searched.

use kv::Transaction;
use runtime::{SystemClock, SystemRng};
use schema::keys::blob::BlobChunkKey;
use schema::keys::search::{ManifestKey, ShardKey};
use schema::{BlobHash, Key, Record};
use segments::{Manifest, Shard};

use crate::backlog;

/// An edition is older than this when it is damaged: one that was made just now is not made anew at once.
const OLD: i64 = 3_600_000;

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Damage {
    Cut,
    Overwritten,
    Missing,
}

impl Damage {
    pub(super) const ALL: [Damage; 3] = [Damage::Cut, Damage::Overwritten, Damage::Missing];

    pub(super) fn name(self) -> &'static str {
        match self {
            Damage::Cut => "files of the index are cut short",
            Damage::Overwritten => "files of the index are overwritten",
            Damage::Missing => "files of the index are gone",
        }
    }

    /// What is left of a row.
    fn of(self, row: &[u8]) -> Option<Vec<u8>> {
        match self {
            Damage::Cut => Some(row.iter().take(row.len() / 2).copied().collect()),
            Damage::Overwritten => Some(row.iter().map(|byte| byte ^ 0x40).collect()),
            Damage::Missing => None,
        }
    }
}

/// Damages all files of the edition of a shard that answers; says how many rows those were.
pub(super) fn damage(url: &str, shard: u32, damage: Damage) -> anyhow::Result<usize> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let db = backlog::open(url, &SystemClock::shared(), &SystemRng::shared()).await?;
        let damaged = db.transact("drill.damage", |txn| async move { damage_in(&txn, shard, damage).await });
        let rows = damaged.await?;
        db.close().await?;
        Ok(rows)
    })
}

async fn damage_in(txn: &Transaction, shard: u32, damage: Damage) -> Result<usize, segments::Error> {
    let key = ShardKey { shard }.encode();
    let known = txn.get(&key).await?.ok_or(segments::Error::NoShard(shard))?;
    let known = Shard::from_bytes(&known)?;
    let edition = known.current;
    txn.set(&key, &Shard { begun: known.begun - OLD, ..known }.to_bytes());
    let manifest = txn.get(&ManifestKey { shard, edition }.encode()).await?.unwrap_or_default();
    let manifest = Manifest::from_bytes(&manifest)?;
    let mut rows = 0;
    for body in manifest.segments.iter().flat_map(|segment| &segment.bodies) {
        rows += damage_body_in(txn, body.hash()?, damage).await?;
    }
    Ok(rows)
}

/// Small bodies are rows beside their meta row, which stays.
async fn damage_body_in(txn: &Transaction, hash: BlobHash, damage: Damage) -> Result<usize, segments::Error> {
    let begin = BlobChunkKey { hash, index: 0 }.encode();
    let end = BlobChunkKey { hash, index: u32::MAX }.encode();
    let rows = txn.range(&begin, &end).collect().await?;
    for (key, row) in &rows {
        match damage.of(row) {
            Some(left) => txn.set(key, &left),
            None => txn.clear(key),
        }
    }
    Ok(rows.len())
}
