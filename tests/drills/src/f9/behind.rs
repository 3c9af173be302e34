//! Nobody writes the index for as long as it takes to deliver more than is worth being looked at piece by piece: what an hour
//! of mail is to somebody who gets six messages a second.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::{Imap, Node, NodeOptions, Smtp};
use serde_json::Value;
use servers::PostgreSql;
use servers::postgres::QUICK;

use super::{SEARCH, ask};
use crate::oracle::{Ledger, Mix, Throughput};
use crate::table::Table;

/// What is in the index before, and what comes after: more than the 20,000 emails that are looked at behind a cursor.
const EARLY: usize = 500;
const LATE: usize = 21_000;
const MIX: Mix = Mix { senders: 8, users: 1, size: 400, large: 400 };
/// Everything of a node but the index.
const SERVING: &str = "smtp-in,submission,imap,jmap,delivery,tasks";
/// What IMAP gives a search that has to look at all messages.
const SCAN: Duration = Duration::from_secs(30);
/// A debug build on a busy machine takes some minutes for each part.
const PATIENCE: Duration = Duration::from_secs(1_200);

struct Scene {
    nodes: Vec<Node>,
    ledger: Ledger,
    marks: usize,
}

pub(super) fn run(table: &mut Table) -> anyhow::Result<()> {
    let Some(server) = PostgreSql::start(QUICK) else { return Ok(()) };
    let start = |roles| {
        let store = Some(server.url());
        Node::start(NodeOptions { users: 1, store, roles: Some(roles), ..NodeOptions::default() })
    };
    let nodes = vec![start(SERVING)?, start(SERVING)?];
    let mut writer = start("search")?;
    let mut scene = Scene { nodes, ledger: Ledger::default(), marks: 0 };
    let before = scene.deliver(EARLY)?;
    scene.caught_up()?;
    writer.kill()?;
    let behind = scene.deliver(LATE)?;
    let told = scene.explain()?;
    ensure!(told["scanned"] == "too_much_new", "it is not that far behind: {told}");
    scene.look(table, "the index is 21,000 messages behind", SCAN)?;
    delivery(table, "the index is 21,000 messages behind", &behind, &before);
    writer.start_again()?;
    let begun = Instant::now();
    scene.look(table, "it catches up", SCAN)?;
    scene.caught_up()?;
    let figure = format!("{:.1?}", begun.elapsed());
    table.row("postgres", "the index catches up with 21,000 messages", &figure, true);
    scene.look(table, "it has caught up", SEARCH)?;
    let node = scene.nodes.first().context("no node")?;
    let wrong = scene.ledger.check(node, MIX.users)?;
    let figure = format!("{} messages acknowledged; wrong: {wrong:?}", scene.ledger.acknowledged());
    // Marks are in no ledger.
    let fine = wrong.is_empty() || wrong == format!("phantoms {}", scene.marks);
    table.row("postgres", "an index that is behind: lost 0, duplicates 0", &figure, fine);
    Ok(())
}

fn delivery(table: &mut Table, part: &str, now: &Throughput, before: &Throughput) {
    let figure = format!(
        "{:.0} messages/s, p50 {:.1?}, p99 {:.1?}; before p50 {:.1?}, p99 {:.1?}",
        now.rate, now.p50, now.p99, before.p50, before.p99
    );
    table.row(
        "postgres",
        &format!("{part}: delivery at most twice as long"),
        &figure,
        now.p50 <= 2 * before.p50,
    );
}

impl Scene {
    fn node(&self, number: usize) -> anyhow::Result<&Node> {
        self.nodes.get(number).context("no such node")
    }

    /// So many messages, at all nodes.
    fn deliver(&self, count: usize) -> anyhow::Result<Throughput> {
        let addresses: Vec<String> = self.nodes.iter().map(|node| node.listener("smtp").to_owned()).collect();
        let (load, begun) = (self.ledger.load_at(&addresses, MIX), Instant::now());
        while load.taken() < count {
            ensure!(begun.elapsed() < PATIENCE, "only {} messages were taken", load.taken());
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(load.stop())
    }

    fn explain(&self) -> anyhow::Result<Value> {
        let node = self.node(0)?;
        ask(
            node.data(),
            node.listener("admin"),
            &["search", "explain", "--account", "u0@example.test", "X-Size"],
        )
    }

    /// Waits until everything is in the index.
    fn caught_up(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let told = self.explain()?;
            if told["scanned"].is_null() && told["tail"] == 0 {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "the index does not catch up: {told}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Marked mail at one node is found by the first search at the other, and so is all that came before.
    fn look(&mut self, table: &mut Table, part: &str, within: Duration) -> anyhow::Result<()> {
        let (mut missed, mut longest) = (0, Duration::ZERO);
        for (taker, reader) in [(0, 1), (1, 0), (0, 1)] {
            self.marks += 1;
            let n = self.marks;
            let mut smtp = Smtp::connect(self.node(taker)?.listener("smtp"))?;
            let mark = format!("Subject: mark {n}\r\n\r\nits word is w{n}x\r\n");
            let (code, text) = smtp.send("s@example.org", &["u0@example.test"], mark.as_bytes())?;
            ensure!(code == 250, "{code} {text:?}");
            let mut imap = Imap::login(self.node(reader)?.listener("imap"), "u0", "secret")?;
            imap.must("SELECT INBOX")?;
            let all = self.ledger.acknowledged();
            for (key, expected) in [(format!("BODY w{n}x"), 1), ("TEXT X-Size".to_owned(), all)] {
                let begun = Instant::now();
                let reply = imap.must(&format!("SEARCH {key}"))?.text();
                longest = longest.max(begun.elapsed());
                let line =
                    reply.iter().find_map(|line| line.strip_prefix("* SEARCH")).context("no answer")?;
                missed += usize::from(line.split_whitespace().count() != expected);
            }
        }
        let figure = format!("{missed} of 6 searches not exact, the longest {longest:.2?}");
        table.row(
            "postgres",
            &format!("{part}: every search is exact"),
            &figure,
            missed == 0 && longest <= within,
        );
        Ok(())
    }
}
