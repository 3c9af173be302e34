//! Messages accepted and delivered by a node on each store.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use harness::{Node, NodeOptions};
use serde_json::Value;

use crate::store::Store;
use crate::table::Table;

const USERS: u32 = 64;
const ROUNDS: usize = 3;

/// A row for each size and number of connections; nodes take turns.
pub(crate) fn rows(table: &Table, stores: &[Store]) -> anyhow::Result<()> {
    let nodes: Vec<(String, Node)> = stores.iter().map(start).collect::<Result<_, _>>()?;
    for (size, connections, count) in [(4096, 1, 300), (4096, 16, 3000), (4096, 64, 3000), (100_000, 16, 800)]
    {
        let mut rates: Vec<Vec<Rate>> = nodes.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            for ((_, node), rates) in nodes.iter().zip(&mut rates) {
                rates.push(load(node, size, connections, count)?);
            }
        }
        let figures: Vec<(String, String)> =
            nodes.iter().zip(rates).map(|((name, _), rates)| (name.clone(), median(rates))).collect();
        table.named(&format!("delivered/s, {} kB, {connections} connections", size / 1000), &figures);
    }
    Ok(())
}

fn start(store: &Store) -> anyhow::Result<(String, Node)> {
    let options = NodeOptions { users: USERS, store: Some(store.url.clone()), ..NodeOptions::default() };
    Ok((store.name.clone(), Node::start(options)?))
}

struct Rate {
    delivered: f64,
    p50: f64,
    p99: f64,
}

fn median(mut rates: Vec<Rate>) -> String {
    rates.sort_by(|a, b| a.delivered.total_cmp(&b.delivered));
    rates
        .get(rates.len() / 2)
        .map_or(String::new(), |r| format!("{:.0} ({:.1}, {:.1})", r.delivered, r.p50, r.p99))
}

/// What the generator of `tests/bench` says: delivered a second, and from the final dot to its 250.
fn load(node: &Node, size: usize, connections: usize, count: usize) -> anyhow::Result<Rate> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("smtp_load.py");
    let output = Command::new("python3")
        .arg(script)
        .args(["--to", node.listener("smtp"), "--imap", node.listener("imap"), "--rcpt", "u%d@example.test"])
        .args(["--users", &USERS.to_string(), "--count", &count.to_string(), "--size", &size.to_string()])
        .args(["--conns", &connections.to_string(), "--settle", "180", "--pid", &node.pid().to_string()])
        .output()
        .context("python3")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let told: Value = serde_json::from_str(last)?;
    ensure!(told["errors"].as_object().is_some_and(serde_json::Map::is_empty), "{}", told["errors"]);
    let figure = |value: &Value| value.as_f64().with_context(|| format!("no figure in {last}"));
    Ok(Rate {
        delivered: figure(&told["delivered"]["per_s"])?,
        p50: figure(&told["dot_to_250"]["p50_ms"])?,
        p99: figure(&told["dot_to_250"]["p99_ms"])?,
    })
}
