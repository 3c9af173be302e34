//! F13: a node dies while the queue is long.
//!
//! Criterion: with so many entries in the queue (`--entries`), what was the dead node's to send is tried by another within 5 s
//! of the kill at p99; nothing lost; and it holds as well with the next node, when one is left.

use std::time::{Duration, Instant};

use harness::NodeOptions;

use crate::Options;
use crate::backend::Kind;
use crate::fleet::{Fleet, percentiles};
use crate::remote::fill;
use crate::sink::HELD;
use crate::table::Table;

/// Destinations that put off what is for them.
const DOMAINS: usize = 2_000;
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
    let entries = fill(fleet.node(0)?, options.entries, |n| format!("{HELD}{}.example.net", n % DOMAINS))?;
    eprintln!("{entries} entries after {:.0?}", begun.elapsed());
    let bustle = fleet.bustle()?;
    let mut times = Vec::new();
    for round in 0..KILLS {
        let number = round % fleet.nodes.len();
        let at = fleet.kill(number)?;
        times.extend(bustle.takeover(&fleet, number, at)?);
        fleet.revive(number)?;
        fleet.wait_for_remote(Instant::now())?;
    }
    let (p50, p99, last) = percentiles(&mut times);
    let figure = format!(
        "{entries} entries, {KILLS} kills, {} destinations: p50 {p50:.2?}, p99 {p99:.2?}, last {last:.2?}",
        times.len()
    );
    let criterion = "a long queue: what was a dead node's is tried by others within 5 s at p99";
    table.row(kind.name(), criterion, &figure, p99 <= Duration::from_secs(5));
    bustle.end(&fleet, table, kind, "a long queue")
}
