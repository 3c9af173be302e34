//! The mailbox is filled, and indexed.

use std::collections::BTreeMap;
use std::sync::Arc;

use content_mail::{Limits, decode, summarize};
use godwit_shard::Turn;
use mail::{Incoming, NewMessage};
use schema::Flags;
use segments::Segment;

use crate::figures::{Watch, memory};
use crate::mails::Mails;
use crate::world::World;

/// Messages that one transaction stores.
const BATCH: usize = 200;
/// When the first of them came.
const BEGIN: i64 = 1_577_836_800;

pub(crate) async fn fill(world: &World, mails: &Mails, count: usize) {
    let watch = Watch::start();
    for begin in (0..count).step_by(BATCH) {
        let mut batch = Vec::with_capacity(BATCH);
        for at in begin..count.min(begin + BATCH) {
            batch.push(new(world, mails.nth(at), BEGIN + i64::try_from(at).unwrap()).await);
        }
        world.mail.append_all(world.at, &batch).await.unwrap();
    }
    let took = watch.stop();
    println!(
        "stored in {:.0} s, {:.0} s of them of a processor",
        took.wall.as_secs_f64(),
        took.cpu.as_secs_f64()
    );
}

pub(crate) async fn new(world: &World, message: Vec<u8>, internal_date: i64) -> NewMessage {
    let summary = Arc::new(summarize(&message, &Limits::default()));
    let staged = world.blobs.stage(message.into()).await.unwrap();
    NewMessage { incoming: Incoming { staged, summary }, flags: Flags::none(), internal_date }
}

/// Makes the index, anew where there is one, and says what it cost.
pub(crate) async fn index(world: &World, mails: &Mails, count: usize) {
    let shard = world.segments.shard_of(world.at.account);
    // The first node of a store raises its feature level.
    let mut writer = world.writer().await;
    let anew = world.segments.rebuild(shard, "a bench", 0).await.unwrap();
    let watch = Watch::start();
    settle(&mut writer).await;
    let took = watch.stop();
    let merging = Watch::start();
    // The first turn that has nothing to do looks whether there is anything, the others merge.
    while settle(&mut writer).await {}
    let merged = merging.stop();
    let state = world.segments.editions().await.unwrap().swap_remove(shard as usize);
    let bytes: u64 = state.current.segments.iter().map(bytes).sum();
    let text = text(mails, count);
    let (count, cpu) = (count as f64, took.cpu.as_secs_f64());
    println!(
        "indexed{} in {:.0} s, {cpu:.0} s of a processor: {:.0} messages/s, {:.2} MB of header and text/s",
        if anew { " anew" } else { "" },
        took.wall.as_secs_f64(),
        count / cpu,
        text / 1e6 / cpu
    );
    println!(
        "merged in {:.0} s of a processor: {:.0} messages/s with it; {} segments, {:.1} MB of index, {:.1} MB of header and \
         text: {:.3} of it; memory {:.0} MB at most",
        merged.cpu.as_secs_f64(),
        count / (cpu + merged.cpu.as_secs_f64()),
        state.current.segments.len(),
        bytes as f64 / 1e6,
        text / 1e6,
        bytes as f64 / text,
        memory("VmHWM")
    );
    println!("of it: {}", by_kind(&state.current.segments, text));
}

/// Says whether there was anything to do.
async fn settle(writer: &mut godwit_shard::Shard) -> bool {
    let mut did = false;
    while writer.turn().await.unwrap() == Turn::More {
        did = true;
    }
    did
}

fn bytes(segment: &Segment) -> u64 {
    segment.bodies.iter().flat_map(|body| &body.files).map(|file| file.length).sum()
}

/// The share of each kind of file.
fn by_kind(segments: &[Segment], text: f64) -> String {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for file in segments.iter().flat_map(|segment| &segment.bodies).flat_map(|body| &body.files) {
        *kinds.entry(file.suffix.trim_start_matches('.')).or_default() += file.length;
    }
    let each = kinds.iter().map(|(kind, bytes)| format!("{kind} {:.4}", *bytes as f64 / text));
    each.collect::<Vec<_>>().join(", ")
}

/// Bytes of header and decoded text of all messages: of a share of them where they are many.
fn text(mails: &Mails, count: usize) -> f64 {
    let step = count.div_ceil(10_000);
    let (mut sum, mut looked_at) = (0, 0);
    for at in (0..count).step_by(step) {
        let message = mails.nth(at);
        let summary = summarize(&message, &Limits::default());
        sum += usize::try_from(summary.header_size).unwrap();
        decode::each_text(&message, &summary.structure, &mut |text| {
            sum += text.len();
            true
        });
        looked_at += 1;
    }
    sum as f64 / f64::from(looked_at) * count as f64
}
