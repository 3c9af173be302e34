//! Searches, cold and warm.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use godwit_shard::Searcher;
use mail::UidSet;
use query::{Budget, Filter, Needle, NoIndex, Query, SearchIndex, search};
use rustix::fs::{Advice, fadvise};

use crate::figures::{Took, Watch, cells, memory, read};
use crate::filling::new;
use crate::mails::Mails;
use crate::needles::{Kind, kinds};
use crate::world::{World, of_all, of_files};

/// Needles of a kind that are asked for by a reader that has read nothing.
const COLD: usize = 10;
/// Messages that came after the index was made.
const NEWER: usize = 200;
/// Up to so many messages, some answers are compared with those of a scan.
const SCANNED: usize = 100_000;

pub(crate) async fn ask(dir: &Path, count: usize, only_warm: bool) {
    let (mails, world) = (Mails::read(), World::open(dir).await);
    let within = world.mail.open(world.at).await.unwrap().uids;
    println!("memory of a process that has opened the store: {:.0} MB", memory("VmRSS"));
    let mut kinds = kinds(&mails, count);
    if let Ok(name) = std::env::var("GODWIT_SEARCHES_KIND") {
        kinds.retain(|kind| kind.name.contains(&name));
        if let Some(needle) = name.strip_prefix('=') {
            kinds = vec![Kind { name: "this one", needles: vec![needle.to_owned(); 50] }];
        }
        return slowest(&world, &within, &kinds).await;
    }
    if !only_warm {
        head("cold");
        for kind in &kinds {
            cold(&world, dir, &within, kind).await;
        }
    }
    let (mail, searcher) = world.fresh(of_files());
    warm(&world, (&mail, &searcher), &within, &kinds, "warm").await;
    println!("memory: {:.0} MB, {:.0} MB at most", memory("VmRSS"), memory("VmHWM"));
    let (remembering, searches) = world.fresh(of_all());
    warm(&world, (&remembering, &searches), &within, &kinds, "warm, asked again").await;
    if only_warm {
        return;
    }
    newer(&world, &mails, count, (&mail, &searcher), &kinds[1]).await;
    if count <= SCANNED {
        compare(&world, (&mail, &searcher), &within, &kinds).await;
    }
}

async fn found(
    world: &World,
    mail: &mail::Store,
    index: &dyn SearchIndex,
    within: &UidSet,
    needle: &str,
) -> (UidSet, Took) {
    let budget = Budget { bytes: u64::MAX, time: Duration::from_secs(600) };
    let query = Query { store: mail, index, mailbox: world.at, within, budget, clock: world.clock.clone() };
    let filter = Filter::Body(Needle::new(needle));
    let watch = Watch::start();
    let found = search(&query, &filter).await.unwrap();
    (found, watch.stop())
}

async fn cold(world: &World, dir: &Path, within: &UidSet, kind: &Kind) {
    let (mut times, mut hits, mut bytes) = (Vec::new(), 0, 0);
    for needle in kind.needles.iter().take(COLD) {
        let (mail, searcher) = world.fresh(of_files());
        forget(&dir.join("bodies"));
        let before = read();
        let (uids, took) = found(world, &mail, &searcher, within, needle).await;
        bytes += read() - before;
        hits += uids.len();
        times.push(took);
    }
    row(kind.name, hits as usize / COLD, &times, bytes / COLD as u64);
}

/// Each needle after all were asked for once.
async fn warm(world: &World, with: (&mail::Store, &Searcher), within: &UidSet, kinds: &[Kind], how: &str) {
    for needle in kinds.iter().flat_map(|kind| &kind.needles) {
        found(world, with.0, with.1, within, needle).await;
    }
    head(how);
    let mut all = Vec::new();
    for kind in kinds {
        let (mut times, mut hits, before) = (Vec::new(), 0, read());
        for needle in &kind.needles {
            let (uids, took) = found(world, with.0, with.1, within, needle).await;
            hits += uids.len() as usize;
            times.push(took);
        }
        let asked = kind.needles.len().max(1);
        row(kind.name, hits / asked, &times, (read() - before) / asked as u64);
        all.append(&mut times);
    }
    row("all", 0, &all, 0);
}

/// What takes longest, needle by needle: three times each, so that a profile has something of it.
async fn slowest(world: &World, within: &UidSet, kinds: &[Kind]) {
    let (mail, searcher) = world.fresh(of_files());
    let mut all = Vec::new();
    for round in 0..4 {
        for needle in kinds.iter().flat_map(|kind| &kind.needles) {
            let (uids, took) = found(world, &mail, &searcher, within, needle).await;
            if round > 0 {
                all.push((took.wall, took.cpu, uids.len(), needle));
            }
        }
    }
    all.sort_by_key(|one| std::cmp::Reverse(one.0));
    for (wall, cpu, found, needle) in all.iter().step_by(3) {
        println!("{:8.2} {:8.2} {found:8} {needle}", wall.as_secs_f64() * 1e3, cpu.as_secs_f64() * 1e3);
    }
}

/// With mail that is not in the index yet: it is found, and what that costs.
async fn newer(world: &World, mails: &Mails, count: usize, with: (&mail::Store, &Searcher), kind: &Kind) {
    for at in count..count + NEWER {
        let mut message = mails.nth(at);
        message.extend_from_slice(format!("newest{at}x\r\n").as_bytes());
        let message = new(world, message, 1_900_000_000).await;
        world.mail.append_all(world.at, &[message]).await.unwrap();
    }
    let within = world.mail.open(world.at).await.unwrap().uids;
    // A store that was kept has such messages of former runs too.
    let newest = within.iter().last().unwrap();
    for (at, uid) in [(count, newest + 1 - NEWER as u32), (count + NEWER - 1, newest)] {
        let (uids, _) = found(world, with.0, with.1, &within, &format!("newest{at}x")).await;
        assert!(uids.contains(uid), "the newest mail is found");
    }
    let name = format!("{}, {NEWER} messages newer than the index", kind.name);
    let needles = kind.needles.clone();
    let mut times = Vec::new();
    for needle in &needles {
        times.push(found(world, with.0, with.1, &within, needle).await.1);
    }
    row(&name, 0, &times, 0);
}

/// A needle of each kind by a scan as well.
async fn compare(world: &World, with: (&mail::Store, &Searcher), within: &UidSet, kinds: &[Kind]) {
    let mut times = Vec::new();
    for kind in kinds {
        let needle = &kind.needles[0];
        let (by_scan, took) = found(world, with.0, &NoIndex, within, needle).await;
        let (by_index, _) = found(world, with.0, with.1, within, needle).await;
        assert_eq!(by_index, by_scan, "{needle:?}");
        times.push(took);
    }
    row("the first of each kind by a scan, which finds the same", 0, &times, 0);
}

fn head(how: &str) {
    println!(
        "\n| kind of needle, {how} | found | p50 ms | p99 ms | longest | CPU: p50 | p99 | longest | MB read |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
}

fn row(name: &str, found: usize, times: &[Took], bytes: u64) {
    let wall = cells(times.iter().map(|took| took.wall).collect());
    let cpu = cells(times.iter().map(|took| took.cpu).collect());
    println!("| {name} | {found} | {wall} | {cpu} | {:.2} |", bytes as f64 / 1e6);
}

/// Has the system forget what it keeps of files.
fn forget(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => forget(&entry.path()),
            _ => drop(File::open(entry.path()).map(|file| fadvise(&file, 0, None, Advice::DontNeed))),
        }
    }
}
