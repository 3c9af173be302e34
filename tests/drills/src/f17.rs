//! F17: too few descriptors, too little memory, no more threads.
//!
//! Criterion: the node refuses what it has no room for and serves the rest; while out of descriptors its accept loops rest
//! (at most a tenth of a core); within 256 MB of memory, the cache of files included, the kernel ends nothing; and when there is
//! room again all is well without a restart: lost 0, duplicates 0.
//!
//! Memory and threads are limited by control groups (of either version's hierarchies, where this user may make them).

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use harness::wait::until;
use harness::{Imap, Node, NodeOptions, Smtp};

use crate::Options;
use crate::backend::{Kind, Server};
use crate::oracle::{Ledger, Mix};
use crate::table::Table;

const MIX: Mix = Mix { senders: 16, users: 4, size: 4_000, large: 1_500_000 };
const DESCRIPTORS: u32 = 256;
const MEMORY: u64 = 256 << 20;
/// Sessions that read meanwhile.
const READERS: usize = 24;

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    for kind in Kind::ALL.into_iter().filter(|kind| options.runs_on(*kind)) {
        let Some(server) = Server::start(kind) else {
            table.skip(kind.name(), "everything", "not installed");
            continue;
        };
        let outcome = descriptors(table, kind, &server.url("descriptors")).context("descriptors");
        table.ends(kind.name(), outcome);
        let outcome = memory(options, table, kind, &server.url("memory")).context("memory");
        table.ends(kind.name(), outcome);
        let outcome = threads(options, table, kind, &server.url("threads")).context("threads");
        table.ends(kind.name(), outcome);
    }
    Ok(())
}

fn start(store: &str, options: NodeOptions) -> anyhow::Result<Node> {
    Node::start(NodeOptions { users: MIX.users as u32, store: Some(store.to_owned()), ..options })
}

fn descriptors(table: &mut Table, kind: Kind, store: &str) -> anyhow::Result<()> {
    let node =
        start(store, NodeOptions { ulimit: Some(format!("-n {DESCRIPTORS}")), ..NodeOptions::default() })?;
    let mut ledger = Ledger::default();
    let listeners = ["smtp", "imap", "lmtp", "submission"].map(|name| node.listener(name).to_owned());
    let addresses = listeners.iter().cycle().take(3 * DESCRIPTORS as usize);
    let hogs: Vec<_> = addresses.filter_map(|address| TcpStream::connect(address).ok()).collect();
    // Time is what is measured: a listener that spins burns a core in it.
    std::thread::sleep(Duration::from_secs(1));
    let (before, begun) = (node.processor_time()?, Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let share = (node.processor_time()? - before) as f64 / 100.0 / begun.elapsed().as_secs_f64();
    let figure =
        format!("{} connections on {DESCRIPTORS} descriptors: {:.1} % of a core", hogs.len(), 100.0 * share);
    table.row(
        kind.name(),
        "out of descriptors: accept loops rest (at most 10 % of a core)",
        &figure,
        share <= 0.1,
    );
    drop(hogs);
    let begun = Instant::now();
    until("service again", || Ok(Smtp::connect(node.listener("smtp")).is_ok().then_some(())))?;
    let back = begun.elapsed();
    // One descriptor for each sender, one or two for what it sends.
    let load = ledger.load(&node, MIX);
    until("mail", || Ok((load.taken() >= 100).then_some(())))?;
    load.stop();
    finish(
        table,
        kind,
        &mut ledger,
        &node,
        &format!("descriptors: served again after {back:.1?}, without a restart"),
    )
}

fn memory(options: &Options, table: &mut Table, kind: Kind, store: &str) -> anyhow::Result<()> {
    let criterion = "256 MB: nothing is killed, mail flows";
    let Some(group) = Group::new("memory", &[("memory.limit_in_bytes", "memory.max")], MEMORY) else {
        table.skip(kind.name(), criterion, "no control group for memory can be made here");
        return Ok(());
    };
    let mut node = start(store, NodeOptions { groups: vec![group.path.clone()], ..NodeOptions::default() })?;
    let mut ledger = Ledger::default();
    let load = ledger.load(&node, Mix { senders: 48, ..MIX });
    let readers: Vec<_> = (0..READERS).map(|n| read_for(&node, n % MIX.users, options.span())).collect();
    let end = Instant::now() + options.span();
    let mut most = 0;
    while Instant::now() < end && node.ended()?.is_none() {
        most = most.max(node.resident().unwrap_or_default());
        std::thread::sleep(Duration::from_millis(100));
    }
    let lives = node.ended()?.is_none();
    let through = load.stop();
    let answered: usize = readers.into_iter().filter_map(|reader| reader.join().ok()).sum();
    let kills = group
        .number(&[("memory.oom_control", "oom_kill "), ("memory.events", "oom_kill ")])
        .unwrap_or_default();
    let figure = format!(
        "{kills} killed; {} MB resident at most; {} taken, {} deferred, {answered} mailboxes read",
        most >> 20,
        through.taken,
        through.deferred
    );
    table.row(kind.name(), criterion, &figure, lives && kills == 0 && through.taken > 0 && answered > 0);
    if lives {
        finish(table, kind, &mut ledger, &node, "256 MB")?;
    }
    Ok(())
}

/// Reads a mailbox again and again; how often all of it came.
fn read_for(node: &Node, user: usize, span: Duration) -> std::thread::JoinHandle<usize> {
    let (address, end) = (node.listener("imap").to_owned(), Instant::now() + span);
    std::thread::spawn(move || {
        let mut answered = 0;
        while Instant::now() < end {
            let read = || {
                let mut imap = Imap::login(&address, &format!("u{user}"), "secret")?;
                imap.must("SELECT INBOX")?;
                imap.must("FETCH 1:20 (FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
            };
            answered += usize::from(read().is_ok());
        }
        answered
    })
}

fn threads(options: &Options, table: &mut Table, kind: Kind, store: &str) -> anyhow::Result<()> {
    let criterion = "no more threads: the process lives, and refuses what it cannot do";
    let Some(group) = Group::new("pids", &[("pids.max", "pids.max")], u64::from(u32::MAX >> 12)) else {
        table.skip(kind.name(), criterion, "no control group for processes can be made here");
        return Ok(());
    };
    let mut node = start(store, NodeOptions { groups: vec![group.path.clone()], ..NodeOptions::default() })?;
    let mut ledger = Ledger::default();
    let now = std::fs::read_dir(format!("/proc/{}/task", node.pid()))?.count() as u64;
    group.limit(now)?;
    let load = ledger.load(&node, MIX);
    let readers: Vec<_> = (0..READERS).map(|n| read_for(&node, n % MIX.users, options.span())).collect();
    let end = Instant::now() + options.span();
    while Instant::now() < end && node.ended()?.is_none() {
        std::thread::sleep(Duration::from_millis(100));
    }
    let lives = node.ended()?.is_none();
    let through = load.stop();
    let answered: usize = readers.into_iter().filter_map(|reader| reader.join().ok()).sum();
    let failures = group.number(&[("pids.events", "max ")]).unwrap_or_default();
    let figure = format!(
        "{now} threads, {failures} more refused; {} taken, {} deferred, {answered} mailboxes read",
        through.taken, through.deferred
    );
    let panics = node.log()?.matches("panicked").count();
    table.row(kind.name(), criterion, &format!("{figure}; {panics} panics"), lives && panics == 0);
    if lives {
        group.limit(now + 600)?;
        finish(table, kind, &mut ledger, &node, "threads again")?;
    }
    Ok(())
}

/// With enough of everything: mail flows, and all is as the ledger has it.
fn finish(table: &mut Table, kind: Kind, ledger: &mut Ledger, node: &Node, when: &str) -> anyhow::Result<()> {
    let load = ledger.load(node, Mix { senders: 4, ..MIX });
    until("mail to flow", || Ok((load.taken() >= 20).then_some(())))?;
    load.stop();
    let (wrong, refused) = (ledger.check(node, MIX.users)?, ledger.refused());
    let figure =
        format!("{} messages acknowledged; wrong: {wrong:?}; 5xx: {refused:?}", ledger.acknowledged());
    let criterion = format!("{when}: lost 0, duplicates 0, no 5xx");
    table.row(kind.name(), &criterion, &figure, wrong.is_empty() && refused.is_empty());
    Ok(())
}

/// A control group of its own; gone when it is dropped.
struct Group {
    path: PathBuf,
    knob: PathBuf,
}

impl Group {
    /// With `limit` in the file of the first version's controller, or of the second's.
    fn new(controller: &str, knobs: &[(&str, &str)], limit: u64) -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("godwit-drill-{}", std::process::id());
        for (first, second) in knobs {
            for (folder, knob) in [(root.join(controller), first), (root.to_owned(), second)] {
                let path = folder.join(&name);
                if std::fs::create_dir(&path).is_err() {
                    continue;
                }
                let group = Group { knob: path.join(knob), path };
                if group.limit(limit).is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }

    fn limit(&self, limit: u64) -> std::io::Result<()> {
        std::fs::write(&self.knob, limit.to_string())
    }

    /// The number behind a word in the first of these files that has it.
    fn number(&self, files: &[(&str, &str)]) -> Option<u64> {
        files.iter().find_map(|(file, word)| {
            let text = std::fs::read_to_string(self.path.join(file)).ok()?;
            text.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The node is killed a moment later than this when both are dropped in the order in which they were made.
        for _ in 0..50 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
