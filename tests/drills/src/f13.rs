//! F13: a node dies while the queue is long.
//!
//! Criterion: with so many entries in the queue (`--entries`), some of which are tried and put off all the time (`--held`), no node
//! turns clients away or loses its lease but by its death; what was the dead node's to send is tried by another within 5 s of
//! the kill at p99; nothing lost; and it holds as well with the next node, when one is left.

use std::time::{Duration, Instant};

use harness::NodeOptions;
use harness::wait::until;

use crate::Options;
use crate::backend::Kind;
use crate::backlog;
use crate::fleet::{Fleet, percentiles};
use crate::remote::fill;
use crate::sink::HELD;
use crate::table::Table;

/// Destinations that put off what is for them.
const DOMAINS: usize = 2_000;
/// Entries that wait are due within it.
const SPREAD: Duration = Duration::from_secs(5 * 86_400);
/// Destinations that a node has to have worked on before it dies.
const OWN: usize = 8;
/// Nodes that are killed, one after the other, and started again.
const KILLS: usize = 6;

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    for kind in options.shared_stores() {
        let Some(fleet) = Fleet::start(kind, &NodeOptions::default())? else {
            table.skip(kind.name(), "everything", "not installed");
            continue;
        };
        let outcome = deaths(options, table, kind, fleet);
        table.ends(kind.name(), outcome);
    }
    Ok(())
}

fn deaths(options: &Options, table: &mut Table, kind: Kind, mut fleet: Fleet) -> anyhow::Result<()> {
    let begun = Instant::now();
    let domain = |n: usize| format!("{HELD}{}.example.net", n % DOMAINS);
    let entries = options.entries;
    backlog::write(&fleet.store.url("fleet"), entries, SPREAD, domain)?;
    let held = fill(fleet.node(0)?, options.held, domain)?;
    eprintln!("{entries} entries, and {held} that are put off, after {:.0?}", begun.elapsed());
    let lost = fleet.rejoined()?;
    let bustle = fleet.bustle()?;
    let mut times = Vec::new();
    for round in 0..KILLS {
        let number = round % fleet.nodes.len();
        until("work of the node that dies", || {
            let workers = fleet.sinks.workers(Instant::now());
            let own = workers.iter().filter(|(domain, node)| **node == number && !domain.starts_with(HELD));
            Ok((own.count() >= OWN).then_some(()))
        })?;
        let at = fleet.kill(number)?;
        times.extend(bustle.takeover(&fleet, number, at)?);
        fleet.revive(number)?;
        fleet.wait_for_remote(Instant::now())?;
    }
    let (p50, p99, last) = percentiles(&mut times);
    let figure = format!(
        "{entries} entries and {held} put off, {KILLS} kills, {} destinations: p50 {p50:.2?}, p99 {p99:.2?}, last {last:.2?}",
        times.len()
    );
    let criterion = "a long queue: what was a dead node's is tried by others within 5 s at p99";
    table.row(kind.name(), criterion, &figure, p99 <= Duration::from_secs(5));
    let lost = fleet.rejoined()? - lost;
    let criterion = "a long queue: no node loses its lease but by its death";
    table.row(kind.name(), criterion, &format!("{lost} lost"), lost == 0);
    bustle.end(&fleet, table, kind, "a long queue")
}
