//! F1: a node of three is killed at seeded points (in the middle of DATA, of a commit, of a delivery, and at any time), and
//! started again.
//!
//! Criterion: lost 0, duplicates 0; remote mail twice only where the node died between the answer and its record; the first
//! banner of the same node within 1 s (of a release build; else it is told); sessions on other nodes undisturbed; and where
//! the node stays away, the first attempt of others at what was its own within 5 s at p99.

use std::time::{Duration, Instant};

use anyhow::Context;
use harness::wait::until;
use harness::{NodeOptions, binary};
use runtime::{Rng, SeededRng};

use crate::Options;
use crate::backend::Kind;
use crate::fleet::{Bustle, Fleet, MIX, NODES, percentiles};
use crate::sink::What;
use crate::table::Table;

/// In each so many-th round the node stays away until others have what was its own.
const AWAY: usize = 5;
/// How long a moment in a node's life is waited for.
const MOMENT: Duration = Duration::from_secs(2);

/// When a node is killed.
#[derive(Debug, Clone, Copy)]
enum Point {
    AnyTime,
    Data,
    Commit,
    Delivery,
}

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    for kind in options.shared_stores() {
        let Some(fleet) = Fleet::start(kind, &NodeOptions::default())? else {
            table.skip(kind.name(), "everything", "not installed");
            continue;
        };
        let outcome = rounds(options, table, kind, fleet);
        table.ends(kind.name(), outcome);
    }
    Ok(())
}

fn rounds(options: &Options, table: &mut Table, kind: Kind, mut fleet: Fleet) -> anyhow::Result<()> {
    let rng = SeededRng::new(options.seed);
    let bustle = fleet.bustle()?;
    let (mut banners, mut takeovers, mut points) = (Vec::new(), Vec::new(), [0; 4]);
    for round in 0..options.rounds {
        let number = usize::try_from(rng.below(NODES as u64)).unwrap_or_default();
        let point = *[Point::AnyTime, Point::Data, Point::Commit, Point::Delivery]
            .get(usize::try_from(rng.below(4)).unwrap_or_default())
            .context("four points")?;
        *points.get_mut(point as usize).context("four points")? += 1;
        let at = kill_at(point, &rng, &mut fleet, &bustle, number)?;
        if round % AWAY == AWAY - 1 {
            takeovers.extend(bustle.takeover(&fleet, number, at)?);
        }
        banners.push(fleet.revive(number)?);
        if round % AWAY == AWAY - 1 {
            fleet.wait_for_remote(Instant::now())?;
        }
        if round % 25 == 24 {
            eprintln!("{} kills", round + 1);
        }
    }
    let (p50, _, last) = percentiles(&mut banners);
    let release = binary()?.components().any(|part| part.as_os_str() == "release");
    let figure = format!("{} kills {points:?}: p50 {p50:.2?}, last {last:.2?}", banners.len());
    let criterion = "first banner of the same node within 1 s";
    match release {
        true => table.row(kind.name(), criterion, &figure, last <= Duration::from_secs(1)),
        false => table.skip(kind.name(), criterion, &format!("no release build: {figure}")),
    }
    let (p50, p99, last) = percentiles(&mut takeovers);
    let figure = format!("{} destinations: p50 {p50:.2?}, p99 {p99:.2?}, last {last:.2?}", takeovers.len());
    table.row(
        kind.name(),
        "others try what was a dead node's within 5 s at p99",
        &figure,
        p99 <= Duration::from_secs(5),
    );
    bustle.end(&fleet, table, kind, "kill −9")
}

/// Kills the node when it is at that point.
fn kill_at(
    point: Point,
    rng: &SeededRng,
    fleet: &mut Fleet,
    bustle: &Bustle,
    number: usize,
) -> anyhow::Result<Instant> {
    let node = fleet.node(number)?;
    let open = match point {
        Point::AnyTime => {
            // Chance is what this point is.
            std::thread::sleep(Duration::from_millis(rng.below(500)));
            None
        }
        Point::Data => Some(bustle.ledger.send_part(node, MIX, false)?),
        Point::Commit => {
            let open = bustle.ledger.send_part(node, MIX, true)?;
            std::thread::sleep(Duration::from_micros(rng.below(12_000)));
            Some(open)
        }
        Point::Delivery => {
            let (begun, end) = (Instant::now(), Instant::now() + MOMENT);
            let told = || {
                let events = fleet.sinks.since(begun);
                events
                    .iter()
                    .rev()
                    .find(|event| event.node == number)
                    .is_some_and(|event| event.what == What::Dot)
            };
            until("a final dot", || Ok((told() || Instant::now() > end).then_some(())))?;
            None
        }
    };
    let at = fleet.kill(number);
    drop(open);
    at
}
