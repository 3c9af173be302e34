//! F7: the store of bodies down, slow and wrong.
//!
//! Criterion, for S3 and Azure Blob Storage: while it refuses, stalls, is slow, cuts requests or answers short, or changes bytes,
//! each message is answered with 250 and durable, or with 4xx; small mail flows all the time; what cannot be read is NO
//! [UNAVAILABLE] (changed bytes: NO [CORRUPTION] or none at all), never wrong bytes. When it is back, everything that was
//! deferred is taken when its senders come again, and lost 0, duplicates 0, nothing damaged.
//!
//! Lists that are stale matter to the collector alone, which works by the day: `storage/blob` simulates it.

use std::time::{Duration, Instant};

use harness::bodies::Bodies;
use harness::wait::until;
use harness::{Imap, Node, NodeOptions};
use servers::Fault;

use crate::Options;
use crate::backend::{Kind, Server};
use crate::oracle::{Ledger, Mix};
use crate::table::Table;

/// Each tenth is larger than what lies in the store.
const MIX: Mix = Mix { senders: 8, users: 4, size: 4_000, large: 900_000 };
/// Larger bodies only.
const LARGE: Mix = Mix { senders: 4, size: 900_000, ..MIX };
const SLOW: Duration = Duration::from_millis(20);

const FAULTS: [(&str, Fault); 7] = [
    ("refuses", Fault::Refuse),
    ("stalls", Fault::Stall),
    ("slow", Fault::Slow(SLOW)),
    ("cuts requests", Fault::CutRequests),
    ("cuts answers", Fault::Cut),
    ("changes requests", Fault::GarbleRequests),
    ("changes answers", Fault::Garble),
];

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    for kind in Kind::ALL.into_iter().filter(|kind| options.runs_on(*kind)) {
        let Some(server) = Server::start(kind) else {
            table.skip(kind.name(), "everything", "not installed");
            continue;
        };
        for (name, bodies) in [("s3", Bodies::s3()?), ("azure", Bodies::azure()?)] {
            let place = format!("{}, {name}", kind.name());
            match bodies {
                None => table.skip(&place, "everything", "not installed"),
                Some(bodies) => {
                    let outcome = drill(options, table, &place, &server.url(name), &bodies);
                    table.ends(&place, outcome);
                }
            }
        }
    }
    Ok(())
}

fn drill(
    options: &Options,
    table: &mut Table,
    place: &str,
    store: &str,
    bodies: &Bodies,
) -> anyhow::Result<()> {
    let (store, blob) = (Some(store.to_owned()), Some(bodies.settings().to_owned()));
    let node = Node::start(NodeOptions { users: MIX.users as u32, store, blob, ..NodeOptions::default() })?;
    let mut ledger = Ledger::default();
    // It may have to make itself ready at its first object.
    until("larger mail", || {
        let load = ledger.load(&node, LARGE);
        std::thread::sleep(Duration::from_millis(500));
        Ok((load.stop().taken > 0).then_some(()))
    })?;
    for (name, fault) in FAULTS {
        bodies.proxy.set(fault);
        let load = ledger.load(&node, MIX);
        let (taken, longest_gap) = watch(&load_taken(&load), options.span());
        let read = read_all(&node)?;
        let through = load.stop();
        let figure =
            format!("{taken} taken, {} deferred, p99 {:.1?}; reads: {read}", through.deferred, through.p99);
        let criterion = format!("{name}: 250 or 4xx, small mail flows, reads are right or refused");
        let right = ledger.refused().is_empty() && read.wrong == 0 && taken > 0;
        table.row(place, &criterion, &format!("{figure}; longest pause {longest_gap:.1?}"), right);
        bodies.proxy.set(Fault::None);
        let begun = Instant::now();
        drain(&ledger, &node)?;
        let figure = format!("{:.1?}", begun.elapsed());
        table.row(place, &format!("{name}: the backlog drains when it is back"), &figure, true);
    }
    let wrong = ledger.check(&node, MIX.users)?;
    let figure = format!("{} messages acknowledged; wrong: {wrong:?}", ledger.acknowledged());
    table.row(
        place,
        "lost 0, duplicates 0, nothing damaged, all as the ledger has it",
        &figure,
        wrong.is_empty(),
    );
    Ok(())
}

/// Until nothing is deferred, as long as it becomes less.
fn drain(ledger: &Ledger, node: &Node) -> anyhow::Result<()> {
    let mut left = usize::MAX;
    while left > 0 {
        left = until("what was deferred to be taken", || {
            let now = ledger.send_deferred(node)?;
            Ok((now < left).then_some(now))
        })?;
    }
    Ok(())
}

fn load_taken(load: &crate::oracle::Load) -> impl Fn() -> usize + '_ {
    || load.taken()
}

/// How many were taken in a while, and the longest time in which none was.
fn watch(taken: &dyn Fn() -> usize, span: Duration) -> (usize, Duration) {
    let end = Instant::now() + span;
    let (mut last, mut since, mut longest) = (taken(), Instant::now(), Duration::ZERO);
    while Instant::now() < end {
        let now = taken();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        longest = longest.max(since.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    (last, longest)
}

/// What became of attempts to read larger bodies.
#[derive(Debug, Default)]
struct Reads {
    right: usize,
    refused: usize,
    wrong: usize,
    /// What was said instead.
    said: String,
}

impl std::fmt::Display for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} right, {} refused, {} wrong {}", self.right, self.refused, self.wrong, self.said)
    }
}

/// Reads the first larger bodies of an account.
fn read_all(node: &Node) -> anyhow::Result<Reads> {
    let mut reads = Reads::default();
    let mut imap = Imap::login(node.listener("imap"), "u0", "secret")?;
    imap.must("SELECT INBOX")?;
    let found = imap.must("SEARCH LARGER 600000")?.text();
    // Other lines have numbers too, of new mail.
    let found = found.iter().find_map(|line| line.strip_prefix("* SEARCH")).unwrap_or_default();
    let numbers: Vec<&str> = found.split_whitespace().take(4).collect();
    for number in numbers {
        let reply = imap.command(&format!("FETCH {number} (UID BODY.PEEK[])"))?;
        let body = reply.untagged.iter().find(|line| line.contains(&b'{'));
        let whole = body
            .map(|line| crate::oracle::uid_and_body(line).map(|(_, body)| crate::message::recognize(body)));
        match (reply.ok(), whole.transpose()?) {
            (true, Some(Some((_, true)))) => reads.right += 1,
            (false, None)
                if ["NO [UNAVAILABLE]", "NO [CORRUPTION]"].iter().any(|no| reply.status.starts_with(no)) =>
            {
                reads.refused += 1;
            }
            (_, body) => {
                reads.wrong += 1;
                reads.said = format!("({}; {body:?})", reply.status);
            }
        }
    }
    Ok(reads)
}
