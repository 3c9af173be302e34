//! F4: a store that is far away, and one that fails often.
//!
//! Criterion, with answers of the store 10, 100 and 1,000 ms later: as many messages a second as Little's law allows for so
//! many senders (with R seconds for a message before, and [`WAYS`] ways to the store and back for it, N senders send
//! N / (R + WAYS × delay)); the slowest hundredth of answers takes at most three times as long as that; memory at most doubles,
//! and what cannot be served is answered with 4xx. With 5 % of reads and commits failing as too old, not committed, away or of
//! unknown outcome: mail flows. Always: lost 0, duplicates 0.
//!
//! PostgreSQL is reached through a proxy that is late. FoundationDB's clients go straight to the processes, and the embedded
//! store is in the process: there each read takes longer, within the node. Faults are injected within the node as well, which is
//! built for that (`GODWIT_FAULTS`).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use harness::wait::until;
use harness::{Node, NodeOptions};
use servers::Fault;

use crate::Options;
use crate::backend::{Kind, Server};
use crate::oracle::{Ledger, Mix, Throughput};
use crate::table::Table;

/// A sender each, so that nothing but the store is waited for.
const MIX: Mix = Mix { senders: 32, users: 32, size: 3_000, large: 30_000 };
/// Ways to the store and back for one message: its recipient is looked up at RCPT and at DATA, then it waits for the commit
/// that is under way, and for its own.
const WAYS: u32 = 32;
/// A transaction that lives longer is over: with [`WAYS`] this late no mail can be taken.
const HOPELESS: Duration = Duration::from_millis(500);
/// Within which even then everybody is answered.
const PATIENCE: Duration = Duration::from_secs(60);
const DELAYS: [u64; 3] = [10, 100, 1_000];
/// 5 % of everything.
const FAULTS: &str = "conflict=50 too_old=50 unavailable=50 unknown=50";

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    for kind in Kind::ALL.into_iter().filter(|kind| options.runs_on(*kind)) {
        let Some(server) = Server::start(kind) else {
            table.skip(kind.name(), "everything", "not installed");
            continue;
        };
        let outcome = late(options, table, kind, &server).context("late");
        table.ends(kind.name(), outcome);
        let outcome = failing(options, table, kind, &server).context("failing");
        table.ends(kind.name(), outcome);
    }
    Ok(())
}

/// A node, and the file with the faults between it and its store.
struct World {
    node: Node,
    faults: PathBuf,
    _dir: tempfile::TempDir,
}

impl World {
    fn start(store: String) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let faults = dir.path().join("faults");
        std::fs::write(&faults, "")?;
        let environment = vec![("GODWIT_FAULTS".to_owned(), faults.display().to_string())];
        let options = NodeOptions {
            users: MIX.users as u32,
            store: Some(store),
            environment,
            ..NodeOptions::default()
        };
        Ok(World { node: Node::start(options)?, faults, _dir: dir })
    }

    /// The node looks at it several times a second.
    fn set(&self, faults: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(&self.faults, faults)?)
    }
}

fn late(options: &Options, table: &mut Table, kind: Kind, server: &Server) -> anyhow::Result<()> {
    let (proxy, store) = server.behind_proxy("late").unzip();
    let world = World::start(store.unwrap_or_else(|| server.url("late")))?;
    let set = |delay: Duration| match &proxy {
        Some(proxy) if delay.is_zero() => {
            proxy.set(Fault::None);
            Ok(())
        }
        Some(proxy) => {
            proxy.set(Fault::Late(delay));
            Ok(())
        }
        None => world.set(&format!("read_ms={}", delay.as_millis())),
    };
    let mut ledger = Ledger::default();
    let (before, memory_before) = measured(options, &ledger, &world.node)?;
    let each = MIX.senders as f64 / before.rate.max(0.1);
    table.row(kind.name(), "as it is", &shown(&before), before.deferred == 0 && before.taken > 0);
    for delay in DELAYS.map(Duration::from_millis) {
        set(delay)?;
        if delay < HOPELESS {
            settled(&ledger, &world.node)?;
        }
        let (after, memory) = measured(options, &ledger, &world.node)?;
        judge(table, kind, delay, each, &after);
        let growth = memory as f64 / memory_before as f64;
        let criterion = format!("answers {delay:?} later: memory at most twice");
        table.row(
            kind.name(),
            &criterion,
            &format!("{growth:.2} times {} MB", memory_before >> 20),
            growth <= 2.0,
        );
    }
    set(Duration::ZERO)?;
    recovered(table, kind, &mut ledger, &world.node, "after all delays")
}

/// Connections that broke when the delay came are forgotten, and mail flows as it will.
fn settled(ledger: &Ledger, node: &Node) -> anyhow::Result<()> {
    let load = ledger.load(node, Mix { senders: 2, ..MIX });
    until("mail to flow", || Ok((load.taken() > 3).then_some(())))?;
    load.stop();
    Ok(())
}

/// The load of a while, and the most memory that the node had meanwhile.
fn measured(options: &Options, ledger: &Ledger, node: &Node) -> anyhow::Result<(Throughput, u64)> {
    let load = ledger.load(node, MIX);
    let (end, mut memory) = (Instant::now() + options.span(), 0);
    while Instant::now() < end {
        memory = memory.max(node.resident()?);
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((load.stop(), memory))
}

fn judge(table: &mut Table, kind: Kind, delay: Duration, each: f64, after: &Throughput) {
    if delay > HOPELESS {
        let criterion =
            format!("answers {delay:?} later: all are answered within {PATIENCE:?}, with 250 or 4xx");
        let answered = after.taken + after.deferred;
        table.row(kind.name(), &criterion, &shown(after), answered > 0 && after.unanswered == 0);
        return;
    }
    let expected = each + f64::from(WAYS) * delay.as_secs_f64();
    let least = MIX.senders as f64 / expected;
    let criterion = format!(
        "answers {delay:?} later: at least {least:.1}/s by Little's law, p99 at most {:.1} s",
        3.0 * expected
    );
    let passed = after.rate >= least && after.p99.as_secs_f64() <= 3.0 * expected;
    table.row(kind.name(), &criterion, &shown(after), passed);
}

fn shown(load: &Throughput) -> String {
    format!(
        "{:.1}/s, p50 {:.0?}, p99 {:.0?}, {} deferred, {} unanswered",
        load.rate, load.p50, load.p99, load.deferred, load.unanswered
    )
}

fn failing(options: &Options, table: &mut Table, kind: Kind, server: &Server) -> anyhow::Result<()> {
    let mut world = World::start(server.url("failing"))?;
    let mut ledger = Ledger::default();
    world.set(&format!("seed={} {FAULTS}", options.seed))?;
    settled(&ledger, &world.node)?;
    let (during, _) = measured(options, &ledger, &world.node)?;
    let criterion = "5 % too old, not committed, away, of unknown outcome: mail flows";
    table.row(kind.name(), criterion, &shown(&during), during.taken > 0 && during.longest < PATIENCE);
    world.node.kill()?;
    world.set("")?;
    world.node.start_again()?;
    recovered(table, kind, &mut ledger, &world.node, "after faults and a kill")
}

fn recovered(
    table: &mut Table,
    kind: Kind,
    ledger: &mut Ledger,
    node: &Node,
    when: &str,
) -> anyhow::Result<()> {
    until("mail to flow as before", || {
        let load = ledger.load(node, Mix { senders: 4, ..MIX });
        std::thread::sleep(Duration::from_millis(500));
        Ok((load.stop().deferred == 0).then_some(()))
    })?;
    let wrong = ledger.check(node, MIX.users)?;
    let refused = ledger.refused();
    let figure =
        format!("{} messages acknowledged; wrong: {wrong:?}; 5xx: {refused:?}", ledger.acknowledged());
    let criterion = format!("{when}: lost 0, duplicates 0, no 5xx, all as the ledger has it");
    table.row(kind.name(), &criterion, &figure, wrong.is_empty() && refused.is_empty());
    Ok(())
}
