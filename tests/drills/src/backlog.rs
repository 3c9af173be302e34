//! A long queue: entries written into the store as a node would, but by the hundred, so that a million take minutes.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use kv::{Backend, Database, TransactionOptions};
use runtime::{SharedClock, SharedRng, SystemClock, SystemRng};
use spool::{BodyType, NewEntry, NewRecipient, Notify, Ret, Spool};

/// Entries that one transaction writes.
const EACH: usize = 250;
/// Transactions at a time.
const AT_ONCE: usize = 4;
/// How long an entry is tried.
const LIFETIME: Duration = Duration::from_secs(5 * 86_400);

/// Writes so many entries that are due at some time within `spread`, evenly; which domain each is for is said.
pub(crate) fn write(
    url: &str,
    entries: usize,
    spread: Duration,
    domain: impl Fn(usize) -> String + Sync,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let (clock, rng, dir) = (SystemClock::shared(), SystemRng::shared(), tempfile::tempdir()?);
        let db = open(url, &clock, &rng).await?;
        // Nobody is in a hurry here, and the store has others to serve.
        let options = TransactionOptions { timeout: Duration::from_secs(60), ..db.options() };
        let db = db.with_options(options);
        let queue = Queue::new(&db, dir.path(), &clock, &rng)?;
        let (begun, now) = (Instant::now(), clock.now());
        let due = |n: usize| now + spread.mul_f64((n as f64 + 1.0) / entries as f64);
        for first in (0..entries).step_by(EACH * AT_ONCE) {
            let batches = (first..entries.min(first + EACH * AT_ONCE)).step_by(EACH);
            let write = |from: usize| {
                let range = from..entries.min(from + EACH);
                queue.write(range.map(|n| (domain(n), due(n))).collect())
            };
            futures::future::try_join_all(batches.map(write)).await?;
            if first % 50_000 == 0 {
                eprintln!("{first} entries after {:.0?}", begun.elapsed());
            }
        }
        Ok(db.close().await?)
    })
}

/// A store that several nodes have.
pub(crate) async fn open(url: &str, clock: &SharedClock, rng: &SharedRng) -> anyhow::Result<Database> {
    let (to_clock, to_rng) = (Arc::clone(clock), Arc::clone(rng));
    let backend: Arc<dyn Backend> = match url.split_once(':') {
        Some(("fdb", rest)) => {
            let (file, prefix) = rest.split_once("?prefix=").context("no prefix")?;
            let options = kv_fdb::Options {
                cluster_file: Some(file.into()),
                prefix: prefix.into(),
                ..kv_fdb::Options::default()
            };
            kv_fdb::open(options).await?
        }
        Some(("postgres" | "postgresql", _)) => {
            kv_postgres::open(url, kv_postgres::Options::default(), to_clock, to_rng).await?
        }
        _ => bail!("{url}: not a store that several nodes have"),
    };
    Ok(Database::new(backend, Arc::clone(clock), Arc::clone(rng)))
}

struct Queue {
    db: Database,
    spool: Spool,
}

impl Queue {
    fn new(db: &Database, dir: &Path, clock: &SharedClock, rng: &SharedRng) -> anyhow::Result<Self> {
        let (to_clock, to_rng) = (Arc::clone(clock), Arc::clone(rng));
        let blobs = blob::Store::open(dir, db.clone(), to_clock, to_rng, blob::Options::default())?;
        let spool = Spool::new(db.clone(), blobs, Arc::clone(clock), Arc::clone(rng));
        Ok(Queue { db: db.clone(), spool })
    }

    async fn write(&self, entries: Vec<(String, runtime::Timestamp)>) -> anyhow::Result<()> {
        let body = "From: u0@example.test\r\nSubject: waiting\r\n\r\nbody\r\n";
        let staged = self.spool.blobs().stage(body.as_bytes().into()).await?;
        let new = |(domain, due): (String, runtime::Timestamp)| NewEntry {
            return_path: "u0@example.test".to_owned(),
            recipients: vec![NewRecipient {
                address: format!("r@{domain}"),
                notify: Notify::default(),
                orcpt: None,
            }],
            domain,
            staged: staged.clone(),
            envid: None,
            ret: Ret::Headers,
            smtputf8: false,
            body: BodyType::SevenBit,
            header_8bit: false,
            body_8bit: false,
            submitter: None,
            lifetime: LIFETIME,
            not_before: Some(due),
        };
        let (entries, spool): (Vec<NewEntry>, _) = (entries.into_iter().map(new).collect(), &self.spool);
        let entries = &entries;
        let written = self.db.transact("drill.backlog", |txn| async move {
            let all = entries.iter().map(|entry| spool.enqueue_in(&txn, entry));
            futures::future::try_join_all(all).await.map(drop)
        });
        Ok(written.await.map_err(|error: spool::Error| error)?)
    }
}
