//! F9: who writes the index is killed and killed again, the index is made anew under load, its files are damaged, and nobody
//! writes it for so long that its tail is not worth being looked at.
//!
//! Criterion: every search is exact at all times (each message is found by the first search after its 250, on another node), and
//! answers within 5 s, or 30 s where all of a mailbox has to be looked at; delivery is not slower than twice what it was; what
//! is damaged is made anew by itself, unless who has it in memory has merged it into what is whole, and a node that has nothing in
//! memory answers; when somebody writes the index again it catches up. Three nodes on PostgreSQL.

mod behind;
mod damage;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::wait::until;
use harness::{Cluster, ClusterOptions, Imap, Smtp, binary};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use servers::PostgreSql;
use servers::postgres::QUICK;

use self::damage::{Damage, damage, is_left};
use crate::Options;
use crate::backend::Kind;
use crate::table::Table;

/// A search that takes longer has failed.
const SEARCH: Duration = Duration::from_secs(5);
/// What is damaged is found out by who reads it, which is whoever has nothing of it in memory.
const ANEW: Duration = Duration::from_secs(120);

/// What was seen in a part of the drill.
#[derive(Default)]
struct Seen {
    sent: usize,
    missed: usize,
    deliveries: Vec<Duration>,
    searches: Vec<Duration>,
}

struct Scene {
    cluster: Cluster,
    next: usize,
}

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    if !options.runs_on(Kind::Postgres) {
        return Ok(());
    }
    let Some(server) = PostgreSql::start(QUICK) else {
        table.skip("postgres", "everything", "no PostgreSQL");
        return Ok(());
    };
    let nodes = ClusterOptions { nodes: 3, store: server.url(), users: 1, ..ClusterOptions::default() };
    let mut scene = Scene { cluster: Cluster::start(&nodes)?, next: 0 };
    let outcome = parts(options, table, &mut scene);
    let outcome = outcome.and_then(|killed| damaged(options, table, &mut scene, killed, &server.url()));
    table.ends("postgres", outcome);
    drop(scene);
    let outcome = behind::run(table);
    table.ends("postgres", outcome);
    Ok(())
}

/// Returns the node that was killed.
fn parts(options: &Options, table: &mut Table, scene: &mut Scene) -> anyhow::Result<usize> {
    let before = scene.flow(&[0, 1, 2], options.span())?;
    tell(table, "all is well", &before, None);
    scene.command(1, &["search", "rebuild"])?;
    let renewed = scene.flow(&[0, 1, 2], options.span())?;
    tell(table, "the index is made anew", &renewed, Some(&before));
    let owner = scene.owner(1)?;
    // It stands still for longer than its lease: somebody else takes the shard, and it can publish nothing.
    let left = others(owner);
    scene.cluster.signal(owner, Signal::STOP)?;
    let paused = scene.flow(&left, options.span())?;
    scene.cluster.signal(owner, Signal::CONT)?;
    tell(table, "who writes it stands still", &paused, None);
    scene.cluster.signal(owner, Signal::KILL)?;
    let killed = scene.flow(&left, options.span())?;
    tell(table, "who writes it is killed", &killed, None);
    let begun = Instant::now();
    let caught_up = until("the index to catch up", || {
        let told = scene.explain(left[0], "drill")?;
        Ok((told["tail"] == 0 && told["sure"] == scene.next).then_some(()))
    });
    let figure = format!("{} messages, {:.1?}", scene.next, begun.elapsed());
    table.row("postgres", "the index catches up", &figure, caught_up.is_ok());
    Ok(owner)
}

/// The nodes but one.
fn others(node: usize) -> [usize; 2] {
    [(node + 1) % 3, (node + 2) % 3]
}

/// Files are damaged under everybody who reads and writes them. A node is started then: all that the others have read they may have
/// in memory, and need not read again.
fn damaged(
    options: &Options,
    table: &mut Table,
    scene: &mut Scene,
    killed: usize,
    url: &str,
) -> anyhow::Result<()> {
    let all = [killed].into_iter().chain(others(killed));
    for (kind, again) in Damage::ALL.into_iter().zip(all) {
        let left = &others(again);
        if again != killed {
            scene.cluster.signal(again, Signal::KILL)?;
        }
        let before = scene.flow(left, options.span() / 2)?;
        let told = scene.explain(left[0], "drill")?;
        let shard = u32::try_from(told["shard"].as_u64().context("no shard")?)?;
        let damaged = damage(url, shard, kind)?;
        ensure!(damaged.rows > 0, "nothing was damaged: {told}");
        let begun = Instant::now();
        scene.start_again(again)?;
        let mut seen = scene.flow(left, options.span())?;
        let anew = loop {
            let now = scene.explain(again, "drill")?;
            // Who has all of a file in memory may have merged it into one that is whole.
            if now["scanned"].is_null() && !is_left(url, &damaged)? {
                break Some(begun.elapsed());
            }
            if begun.elapsed() > ANEW {
                break None;
            }
            seen.add(scene.flow(left, Duration::from_secs(1))?);
        };
        tell(table, kind.name(), &seen, Some(&before));
        let rows = damaged.rows;
        let figure = format!("{rows} rows damaged, answers again after {anew:.1?} at most");
        table.row(
            "postgres",
            &format!("{}: it is made anew by itself", kind.name()),
            &figure,
            anew.is_some(),
        );
    }
    Ok(())
}

fn tell(table: &mut Table, part: &str, seen: &Seen, before: Option<&Seen>) {
    let longest = seen.searches.iter().max().copied().unwrap_or_default();
    let figure = format!(
        "{} messages, {} not found at once, the longest search {longest:.2?}",
        seen.sent, seen.missed
    );
    let criterion = format!("{part}: every search is exact");
    table.row("postgres", &criterion, &figure, seen.sent > 0 && seen.missed == 0 && longest <= SEARCH);
    let Some(before) = before else { return };
    let (now, then) = (middle(&seen.deliveries), middle(&before.deliveries));
    let figure = format!("p50 {now:.1?}, before {then:.1?}");
    table.row("postgres", &format!("{part}: delivery at most twice as long"), &figure, now <= 2 * then);
}

fn middle(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

impl Seen {
    fn add(&mut self, more: Seen) {
        self.sent += more.sent;
        self.missed += more.missed;
        self.deliveries.extend(more.deliveries);
        self.searches.extend(more.searches);
    }
}

/// What a command of an operator's says.
fn ask(data: &Path, admin: &str, words: &[&str]) -> anyhow::Result<Value> {
    let mut command = Command::new(binary()?);
    command.args(words).args(["--json", "--data"]).arg(data).args(["--admin", &format!("http://{admin}")]);
    let answer = command.output()?;
    ensure!(answer.status.success(), "{words:?}: {}", String::from_utf8_lossy(&answer.stderr));
    Ok(serde_json::from_slice(&answer.stdout)?)
}

impl Scene {
    /// Sends at one node and searches at another, one message after the other.
    fn flow(&mut self, nodes: &[usize], span: Duration) -> anyhow::Result<Seen> {
        let (mut seen, begun) = (Seen::default(), Instant::now());
        while begun.elapsed() < span {
            let n = self.next;
            let (taker, reader) = (nodes[n % nodes.len()], nodes[(n + 1) % nodes.len()]);
            let (sent, mut smtp) = (Instant::now(), Smtp::connect(self.cluster.listener(taker, "smtp"))?);
            let message = format!("Subject: drill {n}\r\n\r\nits word is w{n}x\r\n");
            let (code, text) = smtp.send("s@example.org", &["u0@example.test"], message.as_bytes())?;
            if code != 250 {
                // Not taken: nobody waits for it.
                ensure!(code / 100 == 4, "{code} {text:?}");
                continue;
            }
            seen.deliveries.push(sent.elapsed());
            self.next += 1;
            seen.sent += 1;
            let searched = Instant::now();
            let one = self.found(reader, &format!("BODY w{n}x"))?;
            seen.searches.push(searched.elapsed());
            let all = self.found(reader, "SUBJECT drill")?;
            seen.missed += usize::from(one != 1 || all != self.next);
        }
        Ok(seen)
    }

    fn found(&self, node: usize, key: &str) -> anyhow::Result<usize> {
        let mut imap = Imap::login(self.cluster.listener(node, "imap"), "u0", "secret")?;
        imap.must("SELECT INBOX")?;
        let reply = imap.must(&format!("SEARCH {key}"))?.text();
        let line = reply.iter().find_map(|line| line.strip_prefix("* SEARCH")).context("no answer")?;
        Ok(line.split_whitespace().count())
    }

    /// Starts a node again that has ended, and waits until it answers.
    fn start_again(&self, node: usize) -> anyhow::Result<()> {
        let parent = Pid::from_raw(i32::try_from(self.cluster.parent())?).context("no parent")?;
        until("the node that was killed", || {
            // Again and again: the parent may not know yet that it has ended.
            kill_process(parent, Signal::USR1)?;
            Ok(self.explain(node, "drill").ok())
        })?;
        Ok(())
    }

    fn command(&self, node: usize, words: &[&str]) -> anyhow::Result<Value> {
        ask(&self.cluster.data(node), self.cluster.listener(node, "admin"), words)
    }

    fn explain(&self, node: usize, query: &str) -> anyhow::Result<Value> {
        self.command(node, &["search", "explain", "--account", "u0@example.test", query])
    }

    /// Who writes the account's shard.
    fn owner(&self, node: usize) -> anyhow::Result<usize> {
        let shard = self.explain(node, "x")?["shard"].clone();
        let leases = harness::Http::new(self.cluster.listener(node, "admin")).get("/cluster/leases")?.json();
        let duties = leases["duties"].as_array().context("no duties")?;
        let duty = duties.iter().find(|duty| duty["duty"] == format!("search shard {shard}"));
        let holder = &duty.context("no such duty")?["node"];
        let owner = self.cluster.nodes.iter().position(|node| *holder == node.id);
        owner.context("nobody has it")
    }
}
