//! The engine against a plain map, against damage, full disks and failing ones.

use super::disk::Disk;
use super::simdisk::SimDisk;
use super::{Batch, Engine, Fatality, LogEngine, Op, Settings, Snapshot, Value};
use crate::Error;
use crate::power::settings;
use bytes::Bytes;
use kv::RangeRequest;
use proptest::prelude::*;
use runtime::{SeededRng, SharedRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn open(disk: &SimDisk) -> Result<Arc<LogEngine>, Error> {
    open_with(disk, settings())
}

fn open_with(disk: &SimDisk, settings: Settings) -> Result<Arc<LogEngine>, Error> {
    let rng: SharedRng = Arc::new(SeededRng::new(7));
    LogEngine::open(Arc::new(disk.clone()), settings, &rng)
}

fn set(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Op {
    Op::Set(key.into(), Value::prepare(value.into()))
}

/// Bytes that do not compress.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    runtime::Rng::fill(&SeededRng::new(seed), &mut out);
    out
}

/// Applies `ops` as the next commit.
fn write(engine: &LogEngine, ops: Vec<Op>) -> Result<(), Error> {
    engine.apply(&[Batch { version: engine.last_version() + 1, ops }])
}

fn all(snapshot: &dyn Snapshot) -> Vec<(Bytes, Bytes)> {
    let end = Bytes::from_static(b"\xFF");
    let (limit, target_bytes) = (usize::MAX, usize::MAX);
    let request = RangeRequest { limit, target_bytes, ..RangeRequest::new(Bytes::new(), end) };
    snapshot.scan(&request).unwrap().rows
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u8, Option<u8>)>),
    ClearRange(u8, u8),
    Checkpoint,
    Reopen { killed: bool },
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec((0u8..60, prop::option::of(0u8..9)), 1..12).prop_map(Step::Write),
        3 => (0u8..60, 0u8..60).prop_map(|(b, e)| Step::ClearRange(b, e)),
        2 => Just(Step::Checkpoint),
        1 => any::<bool>().prop_map(|killed| Step::Reopen { killed }),
        2 => Just(Step::Snapshot),
    ]
}

fn value(kind: u8, key: u8) -> Vec<u8> {
    match kind {
        0 => Vec::new(),
        1..6 => vec![kind; 10 * usize::from(kind)],
        6 => vec![key; 5000],
        _ => noise(u64::from(kind) * 256 + u64::from(key), 1024 + 300 * usize::from(kind)),
    }
}

type Model = BTreeMap<Bytes, Bytes>;

fn check_against(snapshot: &dyn Snapshot, model: &Model) {
    let rows: Vec<_> = model.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    assert_eq!(all(snapshot), rows);
    for key in 0..60u8 {
        assert_eq!(snapshot.get(&[key]).unwrap().as_ref(), model.get(&[key][..]));
    }
    let (begin, end) = (Bytes::from_static(&[10]), Bytes::from_static(&[45]));
    for (reverse, limit) in [(false, 1), (true, 1), (false, 7), (true, 7), (true, 100)] {
        let request = RangeRequest { limit, reverse, ..RangeRequest::new(begin.clone(), end.clone()) };
        let found = snapshot.scan(&request).unwrap();
        let range = model.range(begin.clone()..end.clone()).map(|(k, v)| (k.clone(), v.clone()));
        let expected: Vec<_> =
            if reverse { range.rev().take(limit).collect() } else { range.take(limit).collect() };
        assert_eq!(found.rows, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn behaves_as_a_map(steps in prop::collection::vec(step(), 1..40)) {
        let mut disk = SimDisk::default();
        let mut engine = open(&disk).unwrap();
        let mut model = Model::new();
        let mut kept: Vec<(Arc<dyn Snapshot>, Model)> = Vec::new();
        for step in steps {
            match step {
                Step::Write(writes) => {
                    let mut ops = Vec::new();
                    for (key, kind) in writes {
                        let key_bytes = Bytes::copy_from_slice(&[key]);
                        match kind {
                            Some(kind) => {
                                let value = Bytes::from(value(kind, key));
                                model.insert(key_bytes.clone(), value.clone());
                                ops.push(set(key_bytes, value));
                            }
                            None => {
                                model.remove(&key_bytes);
                                ops.push(Op::Clear(key_bytes));
                            }
                        }
                    }
                    write(&engine, ops).unwrap();
                }
                Step::ClearRange(b, e) => {
                    let (begin, end) = (Bytes::copy_from_slice(&[b]), Bytes::copy_from_slice(&[e]));
                    model.retain(|key, _| *key < begin || *key >= end);
                    write(&engine, vec![Op::ClearRange(begin, end)]).unwrap();
                }
                Step::Checkpoint => engine.checkpoint().unwrap(),
                Step::Snapshot => kept.push((engine.snapshot(), model.clone())),
                Step::Reopen { killed } => {
                    kept.clear();
                    if killed {
                        disk = disk.after_kill();
                    } else {
                        engine.close().unwrap();
                    }
                    drop(engine);
                    engine = open(&disk).unwrap();
                }
            }
            check_against(&*engine.snapshot(), &model);
        }
        for (snapshot, model) in &kept {
            check_against(&**snapshot, model);
        }
    }
}

#[test]
fn versions_go_on_after_reopening() {
    let disk = SimDisk::default();
    let engine = open(&disk).unwrap();
    engine.apply(&[Batch { version: 1_000_000, ops: vec![set("a", "1")] }]).unwrap();
    let copy = disk.after_kill();
    assert_eq!(open(&copy).unwrap().last_version(), 1_000_000);
    engine.close().unwrap();
    assert!(matches!(engine.apply(&[Batch { version: 1_000_001, ops: vec![] }]), Err(Error::Closed)));
    drop(engine);
    assert_eq!(open(&disk).unwrap().last_version(), 1_000_000);
}

#[test]
fn only_one_opens_a_store() {
    let disk = SimDisk::default();
    let engine = open(&disk).unwrap();
    assert!(matches!(open(&disk), Err(Error::Locked)));
    drop(engine);
    open(&disk).unwrap();
}

/// A log of several groups that is not in the index, as a killed process leaves it.
fn killed_with_a_log() -> SimDisk {
    let disk = SimDisk::default();
    let engine = open(&disk).unwrap();
    for i in 0..60u64 {
        write(&engine, vec![set(format!("k{i}"), noise(i, 3000)), set(format!("s{i}"), "small")]).unwrap();
    }
    disk.after_kill()
}

pub(crate) fn segment(number: u64) -> String {
    super::segment::name(number)
}

#[test]
fn damage_in_the_middle_is_reported_with_its_place() {
    // In the header and the meta of the first group, and of a later one.
    for at in [33, 60, 3090, 3083 + 40] {
        let disk = killed_with_a_log();
        disk.damage(&segment(1), |data| data[at] ^= 1);
        match open(&disk) {
            Err(Error::Corrupt { file, offset, .. }) => {
                assert_eq!(file, segment(1));
                assert!(offset <= at as u64 && at as u64 - offset < 3200, "{at} in the group at {offset}");
            }
            other => panic!("damage at {at}: {:?}", other.map(|engine| engine.last_version())),
        }
    }
}

#[test]
fn a_value_damaged_in_the_log_is_an_error_for_who_reads_it() {
    let disk = killed_with_a_log();
    disk.damage(&segment(1), |data| data[100] ^= 1);
    let now = open(&disk).unwrap().snapshot();
    assert!(matches!(now.get(b"k0"), Err(Error::Corrupt { offset: 80, .. })));
    assert_eq!(now.get(b"k1").unwrap().unwrap(), noise(1, 3000));
}

#[test]
fn a_lost_segment_is_reported() {
    let disk = killed_with_a_log();
    assert!(disk.list().unwrap().contains(&segment(3)));
    disk.remove(&segment(2)).unwrap();
    assert!(matches!(open(&disk), Err(Error::Corrupt { file, .. }) if file == segment(2)));
    let disk = killed_with_a_log();
    disk.damage(&segment(1), |data| data[0] = 0);
    assert!(matches!(open(&disk), Err(Error::Corrupt { file, .. }) if file == segment(1)));
}

#[test]
fn a_torn_tail_is_cut_off_and_the_log_goes_on() {
    let disk = killed_with_a_log();
    let last = disk.list().unwrap().into_iter().filter(|name| name.starts_with("log-")).max().unwrap();
    disk.damage(&last, |data| {
        let end = data.iter().rposition(|byte| *byte != 0).unwrap();
        data[end - 20] ^= 0xFF;
    });
    let engine = open(&disk).unwrap();
    let now = engine.snapshot();
    assert_eq!(now.get(b"s59").unwrap(), None);
    assert_eq!(now.get(b"k58").unwrap().unwrap(), noise(58, 3000));
    write(&engine, vec![set("after", "x")]).unwrap();
    let engine = open(&disk.after_kill()).unwrap();
    assert_eq!(engine.snapshot().get(b"after").unwrap().unwrap(), "x");
}

#[test]
fn a_damaged_value_is_an_error_for_who_reads_it() {
    let disk = SimDisk::default();
    let engine = open(&disk).unwrap();
    write(&engine, vec![set("big", noise(1, 5000)), set("other", noise(2, 5000))]).unwrap();
    engine.close().unwrap();
    drop(engine);
    disk.damage(&segment(1), |data| data[2000] ^= 1);
    let engine = open(&disk).unwrap();
    assert!(matches!(engine.snapshot().get(b"big"), Err(Error::Corrupt { .. })));
    assert_eq!(engine.snapshot().get(b"other").unwrap().unwrap(), noise(2, 5000));
}

#[test]
fn a_failed_fsync_stops_the_engine() {
    let disk = SimDisk::default();
    let told = Arc::new(AtomicBool::new(false));
    let tell = told.clone();
    let fatality = Fatality::call(move |_| tell.store(true, Ordering::SeqCst));
    let engine = open_with(&disk, Settings { fatality, ..settings() }).unwrap();
    write(&engine, vec![set("a", "1")]).unwrap();
    disk.faults(|faults| faults.sync_fails = true);
    assert!(matches!(write(&engine, vec![set("b", "2")]), Err(Error::Stopped(_))));
    assert!(told.load(Ordering::SeqCst));
    disk.faults(|faults| faults.sync_fails = false);
    assert!(matches!(write(&engine, vec![set("c", "3")]), Err(Error::Stopped(_))), "never tried again");
    assert_eq!(engine.snapshot().get(b"b").unwrap(), None, "what may not be durable is not shown");
    assert!(matches!(engine.close(), Err(Error::Stopped(_))));
}

#[test]
fn a_full_disk_fails_commits_until_there_is_space() {
    let disk = SimDisk::default();
    let engine = open(&disk).unwrap();
    write(&engine, vec![set("a", noise(1, 2000))]).unwrap();
    let used: usize = disk.list().unwrap().iter().map(|name| disk.len(name)).sum();
    disk.faults(|faults| faults.capacity = Some(used + 10_000));
    let mut acknowledged = 0;
    let full = loop {
        match write(&engine, vec![set(format!("n{acknowledged}"), noise(acknowledged, 2000))]) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::OutOfSpace), "{full}");
    assert!(matches!(write(&engine, vec![set("x", noise(9, 30_000))]), Err(Error::OutOfSpace)));
    assert_eq!(engine.snapshot().get(b"a").unwrap().unwrap(), noise(1, 2000), "reads go on");
    let killed = disk.after_kill();
    assert_eq!(all(&*open(&killed).unwrap().snapshot()).len() as u64, acknowledged + 1);
    disk.faults(|faults| faults.capacity = None);
    write(&engine, vec![set("z", "again")]).unwrap();
    let engine = open(&disk.after_kill()).unwrap();
    assert_eq!(engine.snapshot().get(b"z").unwrap().unwrap(), "again");
    assert_eq!(engine.snapshot().get(b"x").unwrap(), None);
    assert_eq!(all(&*engine.snapshot()).len() as u64, acknowledged + 2);
}

#[test]
fn the_index_waits_for_space_and_closing_does_not() {
    let disk = SimDisk::default();
    let roomy =
        Settings { memtable_bytes: 1 << 30, log_bytes: 1 << 30, segment_bytes: 32 << 20, ..settings() };
    let engine = open_with(&disk, roomy).unwrap();
    write(&engine, (0..4000).map(|i| set(format!("a{i}"), noise(i, 900))).collect()).unwrap();
    engine.checkpoint().unwrap();
    write(&engine, (0..9000).map(|i| set(format!("k{i}"), noise(i, 900))).collect()).unwrap();
    disk.faults(|faults| faults.capacity = Some(0));
    assert!(matches!(engine.checkpoint(), Err(Error::OutOfSpace)));
    assert_eq!(all(&*engine.snapshot()).len(), 13_000, "reads go on, from the index too");
    disk.faults(|faults| faults.capacity = None);
    while engine.checkpoint().is_err() {
        std::thread::yield_now();
    }
    assert_eq!(all(&*engine.snapshot()).len(), 13_000);
    write(&engine, (0..9000).map(|i| set(format!("l{i}"), noise(i, 900))).collect()).unwrap();
    disk.faults(|faults| faults.capacity = Some(0));
    engine.close().unwrap();
    drop(engine);
    disk.faults(|faults| faults.capacity = None);
    assert_eq!(all(&*open(&disk).unwrap().snapshot()).len(), 22_000);
}

/// Checkpoints, and lets the index thread run until `done`.
fn checkpoint_until(engine: &LogEngine, done: impl Fn() -> bool) {
    for i in 0..2000 {
        write(engine, vec![set("tick", i.to_string())]).unwrap();
        engine.checkpoint().unwrap();
        if done() {
            return;
        }
    }
    panic!("not in a long time");
}

fn segments(disk: &SimDisk) -> usize {
    disk.list().unwrap().iter().filter(|name| name.starts_with("log-")).count()
}

#[test]
fn space_is_given_back_once_no_snapshot_needs_it() {
    let disk = SimDisk::default();
    let engine = open(&disk).unwrap();
    for i in 0..40u64 {
        write(&engine, vec![set(format!("k{i:02}"), noise(i, 20_000))]).unwrap();
    }
    assert!(segments(&disk) > 10);
    let before = engine.snapshot();
    // One value in two stays: holes. Then all go: whole segments.
    for i in (0..40).step_by(2) {
        write(&engine, vec![Op::Clear(format!("k{i:02}").into())]).unwrap();
    }
    engine.checkpoint().unwrap();
    assert_eq!(before.get(b"k04").unwrap().unwrap(), noise(4, 20_000), "an old snapshot reads on");
    drop(before);
    checkpoint_until(&engine, || disk.punched() > 100_000);
    assert_eq!(engine.snapshot().get(b"k05").unwrap().unwrap(), noise(5, 20_000));
    write(&engine, vec![Op::ClearRange(Bytes::from_static(b"k"), Bytes::from_static(b"l"))]).unwrap();
    checkpoint_until(&engine, || segments(&disk) <= 2);
    drop(engine);
    assert_eq!(all(&*open(&disk).unwrap().snapshot()).len(), 1);
}

#[test]
fn a_segment_of_mostly_dead_values_is_rewritten() {
    let disk = SimDisk::default();
    disk.faults(|faults| faults.no_holes = true);
    let engine = open(&disk).unwrap();
    for i in 0..400u64 {
        write(&engine, vec![set(format!("k{i:03}"), noise(i, 2000))]).unwrap();
    }
    let many = segments(&disk);
    for i in (0..400u64).filter(|i| i % 5 != 0) {
        write(&engine, vec![Op::Clear(format!("k{i:03}").into())]).unwrap();
    }
    checkpoint_until(&engine, || segments(&disk) < many / 2);
    for i in (0..400u64).step_by(5) {
        assert_eq!(engine.snapshot().get(format!("k{i:03}").as_bytes()).unwrap().unwrap(), noise(i, 2000));
    }
    let engine = open(&disk.after_kill()).unwrap();
    assert_eq!(all(&*engine.snapshot()).len(), 81);
}

#[test]
fn a_group_larger_than_a_segment_has_one_of_its_own() {
    let disk = SimDisk::default();
    let engine = open(&disk).unwrap();
    for round in 0..3u64 {
        write(&engine, (0..5).map(|i| set(format!("{round}.{i}"), noise(round * 5 + i, 90_000))).collect())
            .unwrap();
    }
    let engine = open(&disk.after_kill()).unwrap();
    assert_eq!(engine.snapshot().get(b"1.3").unwrap().unwrap(), noise(8, 90_000));
    assert_eq!(all(&*engine.snapshot()).len(), 15);
}
