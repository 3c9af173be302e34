//! F10: gossip is lost, a node is there twice, a node sleeps for longer than its lease.
//!
//! Criterion: nothing depends on gossip: with none of it, and with a third of it lost, mail flows, what one node has answered
//! all see, who waits hears of it within 2 s, and a dead node's work is taken over within 5 s. Of two processes of one name
//! the older ends. A node that slept finishes nothing that others have begun since, and serves again by itself. Lost 0,
//! duplicates 0, remote mail twice only where a node slept between the answer and its record.
//!
//! Gossip that is repeated and out of order is simulated in `cluster/membership`; so is what ownership makes of it, in
//! `cluster/ownership`.

use std::time::{Duration, Instant};

use anyhow::Context;
use harness::wait::until;
use harness::{Node, NodeOptions};
use rustix::process::Signal;

use crate::Options;
use crate::backend::Kind;
use crate::fleet::{Bustle, Fleet, MIX, NODES, percentiles};
use crate::table::Table;

/// How long a node sleeps: its lease lasts 3 s.
const SLEEP: Duration = Duration::from_secs(8);
/// Naps.
const NAPS: usize = 4;
/// Pushes that are timed.
const PUSHES: usize = 10;

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    for kind in options.shared_stores() {
        let Some(mut fleet) = Fleet::start(kind, &NodeOptions::default())? else {
            table.skip(kind.name(), "everything", "not installed");
            continue;
        };
        let bustle = fleet.bustle()?;
        let outcome =
            naps(table, kind, &mut fleet, &bustle).and_then(|()| twins(table, kind, &mut fleet, &bustle));
        table.ends(kind.name(), outcome);
        let outcome = bustle.end(&fleet, table, kind, "sleep and clones");
        table.ends(kind.name(), outcome);
    }
    if options.runs_on(Kind::Postgres) {
        let outcome = gossip(table);
        table.ends(Kind::Postgres.name(), outcome);
    }
    table.skip(
        "-",
        "gossip repeated and out of order",
        "simulated: tests of cluster/membership and cluster/ownership",
    );
    Ok(())
}

/// Nodes sleep.
fn naps(table: &mut Table, kind: Kind, fleet: &mut Fleet, bustle: &Bustle) -> anyhow::Result<()> {
    let (mut taken, mut back) = (Vec::new(), Vec::new());
    for round in 0..NAPS {
        let number = round % NODES;
        // What it was told as it fell asleep it cannot write down.
        let at = fleet.hit(number, Duration::from_secs(1));
        fleet.node(number)?.signal(Signal::STOP)?;
        taken.extend(bustle.takeover(fleet, number, at)?);
        std::thread::sleep(SLEEP.saturating_sub(at.elapsed()));
        let woken = Instant::now();
        fleet.node(number)?.signal(Signal::CONT)?;
        until("the node", || {
            anyhow::ensure!(fleet.node_mut(number)?.ended()?.is_none(), "it has ended");
            Ok((fleet.ready(number)? == 200).then_some(()))
        })?;
        back.push(woken.elapsed());
        fleet.over(number);
        fleet.wait_for_remote(woken)?;
    }
    let (p50, p99, last) = percentiles(&mut taken);
    let figure = format!("{} destinations: p50 {p50:.2?}, p99 {p99:.2?}, last {last:.2?}", taken.len());
    let criterion = "asleep for 8 s: others try what was its own within 5 s at p99";
    table.row(kind.name(), criterion, &figure, p99 <= Duration::from_secs(5));
    let (_, _, last) = percentiles(&mut back);
    let figure = format!("{NAPS} times, after {last:.2?} at most");
    table.row(
        kind.name(),
        "awake again: serves by itself within 5 s",
        &figure,
        last <= Duration::from_secs(5),
    );
    Ok(())
}

/// A second process under the name of one that runs: nodes of a demo are called by their folder.
fn twins(table: &mut Table, kind: Kind, fleet: &mut Fleet, bustle: &Bustle) -> anyhow::Result<()> {
    let number = NODES - 1;
    let begun = fleet.hit(number, Duration::from_secs(5));
    let (data, url) = (fleet.node(number)?.data().to_owned(), fleet.store.url("fleet"));
    let relay = Some(fleet.sinks.open(number)?);
    let twin = Node::start(NodeOptions {
        users: MIX.users as u32,
        data: Some(data),
        store: Some(url),
        relay,
        ..NodeOptions::default()
    })?;
    let ended = until("the older one's end", || fleet.node_mut(number)?.ended()).map(|_| begun.elapsed());
    let same = twin.announced.node == fleet.node(number)?.announced.node;
    let figure = format!("{ended:.2?} after the other began; the same node: {same}");
    table.row(kind.name(), "two processes of one name: the older ends", &figure, ended.is_ok() && same);
    let sent = bustle.ledger.send_one(&mut harness::Smtp::connect(twin.listener("smtp"))?, 0, MIX.size)?;
    let work = Instant::now();
    fleet.wait_for_remote(work).context("remote mail, by the younger one too")?;
    table.row(
        kind.name(),
        "the younger one serves, and works on what was the older one's",
        &format!("{sent}"),
        sent,
    );
    drop(twin);
    fleet.revive(number)?;
    fleet.wait_for_remote(Instant::now())
}

/// Gossip is lost.
fn gossip(table: &mut Table) -> anyhow::Result<()> {
    let kind = Kind::Postgres;
    let Some(mut fleet) = Fleet::start_apart(None)? else {
        table.skip(kind.name(), "gossip lost", "no network namespaces here");
        return Ok(());
    };
    let bustle = fleet.bustle()?;
    for percent in [30, 100] {
        for node in 0..NODES {
            fleet.networks.as_ref().context("no networks")?.lose_gossip(node, percent)?;
        }
        // Long enough for nodes that are not heard of to be thought dead.
        std::thread::sleep(Duration::from_secs(10));
        let mut pushes = Vec::new();
        for n in 0..PUSHES {
            pushes.push(fleet.push(&bustle.ledger, n % NODES, (n + 1) % NODES)?);
        }
        let at = fleet.kill(1)?;
        let mut taken = bustle.takeover(&fleet, 1, at)?;
        fleet.revive(1)?;
        fleet.networks.as_ref().context("no networks")?.heal()?;
        let ((p50, _, push), (_, p99, _)) = (percentiles(&mut pushes), percentiles(&mut taken));
        let figure = format!("pushes p50 {p50:.2?}, last {push:.2?}; takeover p99 {p99:.2?}");
        let criterion = format!(
            "{percent} % of gossip lost: who waits hears within 2 s (and a look's time), takeover within 5 s"
        );
        let passed = push <= Duration::from_millis(2_500) && p99 <= Duration::from_secs(5);
        table.row(kind.name(), &criterion, &figure, passed);
        // Who hears of nobody leaves what it has to nobody: work is spread again once they hear of each other.
        fleet.wait_for_remote(Instant::now())?;
    }
    bustle.end(&fleet, table, kind, "gossip lost")
}
