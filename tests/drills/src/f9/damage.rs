//! Files of the index are cut short, overwritten or taken away in the store itself, while it is searched.

use kv::{Database, Transaction};
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

/// What was damaged.
#[derive(Default)]
pub(super) struct Damaged {
    shard: u32,
    edition: u32,
    bodies: Vec<BlobHash>,
    /// Rows of these.
    pub(super) rows: usize,
}

/// Damages all files of the edition of a shard that answers.
pub(super) fn damage(url: &str, shard: u32, damage: Damage) -> anyhow::Result<Damaged> {
    in_store(url, async |db| {
        let damaged = db.transact("drill.damage", |txn| async move { damage_in(&txn, shard, damage).await });
        Ok(damaged.await?)
    })
}

/// Whether a search may still have to read what was damaged: files are of the edition that they were of, and among those that
/// answer.
pub(super) fn is_left(url: &str, damaged: &Damaged) -> anyhow::Result<bool> {
    in_store(url, async |db| {
        let shard = damaged.shard;
        let found = db.read("drill.damaged", |txn| async move { manifest_in(&txn, shard).await }).await?;
        let (known, bodies) = found;
        Ok(known.current == damaged.edition && bodies.iter().any(|body| damaged.bodies.contains(body)))
    })
}

fn in_store<T>(url: &str, work: impl AsyncFnOnce(&Database) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let db = backlog::open(url, &SystemClock::shared(), &SystemRng::shared()).await?;
        let done = work(&db).await?;
        db.close().await?;
        Ok(done)
    })
}

/// The shard, and the files of the edition that answers.
async fn manifest_in(txn: &Transaction, shard: u32) -> Result<(Shard, Vec<BlobHash>), segments::Error> {
    let known = txn.get(&ShardKey { shard }.encode()).await?.ok_or(segments::Error::NoShard(shard))?;
    let known = Shard::from_bytes(&known)?;
    let manifest = txn.get(&ManifestKey { shard, edition: known.current }.encode()).await?;
    let manifest = Manifest::from_bytes(&manifest.unwrap_or_default())?;
    let bodies = manifest.segments.iter().flat_map(|segment| &segment.bodies);
    let bodies = bodies.map(|body| body.hash()).collect::<Result<_, _>>()?;
    Ok((known, bodies))
}

async fn damage_in(txn: &Transaction, shard: u32, damage: Damage) -> Result<Damaged, segments::Error> {
    let (known, bodies) = manifest_in(txn, shard).await?;
    let edition = known.current;
    txn.set(&ShardKey { shard }.encode(), &Shard { begun: known.begun - OLD, ..known }.to_bytes());
    let mut rows = 0;
    for body in &bodies {
        rows += damage_body_in(txn, *body, damage).await?;
    }
    Ok(Damaged { shard, edition, bodies, rows })
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
