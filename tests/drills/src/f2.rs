//! F2: power cuts and failing syncs under the embedded store.
//!
//! Criterion: after each of 200 cuts the store opens by itself, in at most 5 s at 10 GB, and has all that was acknowledged,
//! once. A failed sync ends the process, which asks the disk for nothing more.
//!
//! Twice: the engine on a simulated disk, where what was not synced survives in part, in any order, torn; and a whole node on a
//! file system that is shut down under it ([`Disk`]), whose writes and syncs fail from then on. What is acknowledged while it is
//! being shut down does not count: Linux tells some of the syncs that are under way in those milliseconds that they succeeded and
//! drops their data, as a program that does nothing but `pwrite` and `fdatasync` sees too.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use harness::wait::until;
use harness::{Node, NodeOptions};
use kv::Database;
use kv_embedded::power::{self, Figures};
use runtime::{Rng, SeededRng, SystemClock, SystemRng};

use crate::Options;
use crate::backend::Kind;
use crate::disk::Disk;
use crate::oracle::{Ledger, Mix};
use crate::table::Table;

const EMBEDDED: &str = "embedded";
/// Cuts on one disk before another is begun.
const CUTS_OF_A_DISK: u64 = 10;
/// The longest that opening may take at [`LARGEST`].
const OPENING: Duration = Duration::from_secs(5);
/// Megabytes.
const LARGEST: u64 = 10_000;

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    if !options.runs_on(Kind::Embedded) {
        return Ok(());
    }
    simulated(options, table);
    opening(options, table)?;
    let Some(disk) = Disk::mount(2_000)? else {
        table.skip(EMBEDDED, "power cuts under a node", "needs root, loop devices, ext4 and python3");
        return Ok(());
    };
    nodes(options, table, &disk)
}

fn simulated(options: &Options, table: &mut Table) {
    let mut all = Figures::default();
    let runs = options.cuts.div_ceil(CUTS_OF_A_DISK);
    let outcome = (0..runs).try_for_each(|run| {
        let figures = power::cuts(options.seed.wrapping_mul(1_000) + run, CUTS_OF_A_DISK)?;
        all.cuts += figures.cuts;
        all.acknowledged += figures.acknowledged;
        all.slowest_open = all.slowest_open.max(figures.slowest_open);
        Ok::<_, String>(())
    });
    let criterion = "simulated disk: nothing acknowledged lost or torn, opens by itself";
    let figure =
        format!("{} cuts, {} commits, slowest open {:.0?}", all.cuts, all.acknowledged, all.slowest_open);
    match outcome {
        Ok(()) => table.row(EMBEDDED, criterion, &figure, true),
        Err(why) => table.row(EMBEDDED, criterion, &why, false),
    }
    let criterion = "simulated disk: a failed sync is fatal and never tried again";
    match power::changes_after_a_failed_sync() {
        Ok(changes) => {
            let figure = format!("{changes} changes asked for after it");
            table.row(EMBEDDED, criterion, &figure, changes == 0);
        }
        Err(why) => table.row(EMBEDDED, criterion, &why, false),
    }
}

/// A whole node whose disk loses power under load.
fn nodes(options: &Options, table: &mut Table, disk: &Disk) -> anyhow::Result<()> {
    let mix = Mix { senders: 8, users: 8, size: 3_000, large: 700_000 };
    let rng = SeededRng::new(options.seed);
    let (data, store) = (Some(disk.path().join("data")), Some("embedded:".to_owned()));
    let mut node = Node::start(NodeOptions { users: 8, data, store, ..NodeOptions::default() })?;
    let mut ledger = Ledger::default();
    let (mut slowest_end, mut slowest_open, mut ended) = (Duration::ZERO, Duration::ZERO, 0);
    let mut wrong = String::new();
    for cut in 0..options.cuts {
        let load = ledger.load(&node, mix);
        let enough = 1 + rng.below(60) as usize;
        until("some mail", || Ok((load.taken() >= enough).then_some(())))?;
        let cut_at = disk.cut()?;
        let begun = Instant::now();
        let died = until("the process to end", || node.ended());
        slowest_end = slowest_end.max(begun.elapsed());
        load.stop();
        ledger.doubt(cut_at, SystemTime::now());
        ended += u64::from(matches!(died, Ok(false)));
        node.kill().ok();
        disk.restore()?;
        let begun = Instant::now();
        node.start_again().with_context(|| format!("after cut {cut}"))?;
        slowest_open = slowest_open.max(begun.elapsed());
        // A look at everything after each cut would take longer than all the rest.
        if cut % 20 == 19 || cut + 1 == options.cuts {
            wrong = ledger.check(&node, mix.users)?;
            if !wrong.is_empty() {
                wrong = format!("after cut {cut}: {wrong}");
                break;
            }
        }
    }
    let figure = format!(
        "{} messages acknowledged; wrong: {}; {} that were acknowledged during a cut are missing",
        ledger.acknowledged(),
        or_none(&wrong),
        ledger.doubtful()
    );
    table.row(EMBEDDED, "node on ext4: lost 0, duplicates 0, nothing damaged", &figure, wrong.is_empty());
    let figure = format!("{ended} of {} ended by themselves, in at most {slowest_end:.0?}", options.cuts);
    table.row(
        EMBEDDED,
        "node on ext4: a failed write or sync ends the process",
        &figure,
        ended == options.cuts,
    );
    let figure = format!("slowest start to listeners {slowest_open:.0?}");
    table.row(EMBEDDED, "node on ext4: opens by itself within 5 s", &figure, slowest_open <= OPENING);
    Ok(())
}

fn or_none(wrong: &str) -> &str {
    if wrong.is_empty() { "nothing" } else { wrong }
}

/// How long a large store takes to open after its process was killed while it wrote: at two sizes, and what follows for 10 GB.
fn opening(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let sizes = [options.megabytes / 3 * 2, options.megabytes];
    let mut points = Vec::new();
    for size in sizes {
        let died = fill_until(dir.path(), size)?;
        ensure!(died, "the process that fills ended by itself");
        // What a cold start reads comes from the disk. Where that is not permitted it comes from the cache.
        let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
        let begun = Instant::now();
        let store = open(dir.path())?;
        points.push((megabytes_of(dir.path())?, begun.elapsed().as_secs_f64()));
        drop(store);
    }
    let [(small, quick), (large, slow)] = points[..] else { return Ok(()) };
    let slope = ((slow - quick) / (large - small).max(1) as f64).max(0.0);
    let projected = slow + slope * LARGEST.saturating_sub(large) as f64;
    let figure =
        format!("{quick:.2} s at {small} MB, {slow:.2} s at {large} MB: {projected:.2} s at {LARGEST} MB");
    let criterion = "opening after a kill under load, at most 5 s at 10 GB";
    table.row(EMBEDDED, criterion, &figure, projected <= OPENING.as_secs_f64());
    Ok(())
}

/// Has another process write until the folder has so many megabytes, and kills it. Whether it was alive until then.
fn fill_until(folder: &Path, megabytes: u64) -> anyhow::Result<bool> {
    let mut child =
        Command::new(std::env::current_exe()?).arg("fill").arg(folder).stdin(Stdio::null()).spawn()?;
    while megabytes_of(folder)? < megabytes && child.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    Ok(child.wait()?.signal() == Some(9))
}

fn megabytes_of(folder: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut blocks = 0;
    for entry in std::fs::read_dir(folder)? {
        // One may be removed meanwhile.
        blocks += entry?.metadata().map_or(0, |metadata| metadata.blocks());
    }
    Ok(blocks * 512 / 1_000_000)
}

fn open(folder: &Path) -> anyhow::Result<Database> {
    let options = kv_embedded::Options::new(SystemClock::shared(), SystemRng::shared());
    let store = kv_embedded::open(folder, options)?;
    Ok(Database::new(store, SystemClock::shared(), SystemRng::shared()))
}

/// Writes as mail does, rows of all sizes, until it is killed.
pub(crate) fn fill(folder: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let db = open(folder)?;
        let writers: Vec<_> = (0..16_u64).map(|writer| tokio::spawn(write_on(db.clone(), writer))).collect();
        for writer in writers {
            writer.await??;
        }
        Ok(())
    })
}

async fn write_on(db: Database, writer: u64) -> Result<(), kv::Error> {
    let rng = Arc::new(SystemRng);
    let mut body = vec![0; 60_000];
    loop {
        rng.fill(&mut body);
        let (body, id) = (&body, rng.u64());
        db.transact("fill", |txn| async move {
            txn.set(&[b"body".to_vec(), id.to_be_bytes().to_vec()].concat(), body);
            for row in 0..12_u64 {
                txn.set(&[b"row".to_vec(), (id ^ row << 40).to_be_bytes().to_vec()].concat(), &body[..200]);
            }
            txn.add_i64(&writer.to_be_bytes(), 1);
            Ok::<_, kv::Error>(())
        })
        .await?;
    }
}
