//! Messages accepted and delivered by one, two and three nodes on one store: what a node more costs each message.
//!
//! All of it is on one machine, generators and store included, so the rate says little and the CPU per message says much.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use harness::{Cluster, ClusterOptions, Imap};
use serde_json::Value;
use servers::{PostgreSql, foundationdb};

/// Many, so that nodes meet in one mailbox as rarely as they do in life.
const USERS: u32 = 300;
const CONNECTIONS: usize = 48;
const MESSAGES: usize = 6_000;
const SIZE: usize = 4_096;

/// Prints a row for each store that is installed and each number of nodes.
pub(crate) fn rows(wanted: &[String]) -> anyhow::Result<()> {
    let wants = |name| wanted.is_empty() || wanted.iter().any(|own| own == name);
    println!(
        "\n| store, nodes | delivered/s | p50, p99 ms to the 250 | CPU of all nodes, µs per message | delivered per CPU second |"
    );
    println!("|---|---|---|---|---|");
    for nodes in 1..=3 {
        // With fsync, as it is by itself.
        if let Some(server) = wants("postgres").then(|| PostgreSql::start(&["max_connections=200"])).flatten()
        {
            row("PostgreSQL", nodes, server.url())?;
        }
        if let Some(cluster) =
            wants("foundationdb").then(|| foundationdb::cluster(1, 1, "single ssd")).flatten()
        {
            row("FoundationDB", nodes, cluster.url())?;
        }
    }
    Ok(())
}

fn row(name: &str, nodes: u32, store: String) -> anyhow::Result<()> {
    let options = ClusterOptions { nodes, store, users: USERS, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(&options)?;
    // The first round warms up.
    load(&cluster, MESSAGES / 4)?;
    let sum = load(&cluster, MESSAGES)?;
    let there = delivered(&cluster)?;
    ensure!(there == MESSAGES + MESSAGES / 4, "{there} messages are there");
    ensure!(cluster.stop()?, "{}", cluster.log()?);
    println!(
        "| {name}, {nodes} | {:.0} | {:.1}, {:.1} | {:.0} | {:.0} |",
        sum.rate,
        sum.p50,
        sum.p99,
        sum.cpu * 1e6 / MESSAGES as f64,
        MESSAGES as f64 / sum.cpu
    );
    Ok(())
}

#[derive(Default)]
struct Sum {
    rate: f64,
    /// Seconds.
    cpu: f64,
    /// The worst generator's.
    p50: f64,
    p99: f64,
}

/// A generator for each node, all at once.
fn load(cluster: &Cluster, messages: usize) -> anyhow::Result<Sum> {
    let nodes = cluster.nodes.len();
    let generators: Vec<Child> =
        (0..nodes).map(|node| generator(cluster, node, messages / nodes)).collect::<Result<_, _>>()?;
    let mut sum = Sum::default();
    for generator in generators {
        let output = generator.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let last =
            text.lines().last().with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        let told: Value = serde_json::from_str(last)?;
        ensure!(told["errors"].as_object().is_some_and(serde_json::Map::is_empty), "{}", told["errors"]);
        let figure = |value: &Value| value.as_f64().with_context(|| format!("no figure in {last}"));
        sum.rate += figure(&told["msgs_per_s"])?;
        sum.cpu += figure(&told["server"]["cpu_s"])?;
        sum.p50 = sum.p50.max(figure(&told["dot_to_250"]["p50_ms"])?);
        sum.p99 = sum.p99.max(figure(&told["dot_to_250"]["p99_ms"])?);
    }
    Ok(sum)
}

fn generator(cluster: &Cluster, node: usize, messages: usize) -> anyhow::Result<Child> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("smtp_load.py");
    let pid = cluster.nodes.get(node).context("no such node")?.pid;
    let connections = CONNECTIONS / cluster.nodes.len();
    Command::new("python3")
        .arg(script)
        .args(["--to", cluster.listener(node, "smtp"), "--rcpt", "u%d@example.test"])
        .args(["--users", &USERS.to_string(), "--count", &messages.to_string(), "--size", &SIZE.to_string()])
        .args(["--conns", &connections.to_string(), "--pid", &pid.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("python3")
}

/// In the mailboxes of all users.
fn delivered(cluster: &Cluster) -> anyhow::Result<usize> {
    let mut sum = 0;
    for user in 0..USERS {
        let mut imap = Imap::login(cluster.listener(0, "imap"), &format!("u{user}"), "secret")?;
        let status = imap.must("STATUS INBOX (MESSAGES)")?.text().join(" ");
        let count = status
            .split("MESSAGES ")
            .nth(1)
            .and_then(|rest| rest.split(')').next()?.trim().parse::<usize>().ok());
        sum += count.with_context(|| status.clone())?;
    }
    Ok(sum)
}
