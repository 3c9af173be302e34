//! `godwit dev --nodes N`: several demo nodes on one store, each a process of this program.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use futures::stream::{FuturesUnordered, StreamExt};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::dev::{self, Arguments, DemoAccount, HOST};
use crate::store;

/// Ports between the bases of two nodes.
const STEP: u16 = 100;

/// What a node says of itself, as `godwit dev --json` prints it.
#[derive(Debug, Clone, Deserialize)]
struct Announced {
    node: u32,
    listeners: BTreeMap<String, SocketAddr>,
    accounts: Vec<DemoAccount>,
}

/// A node as it is told of.
#[derive(Debug, Serialize)]
struct NodeAnnouncement<'a> {
    id: u32,
    pid: u32,
    listeners: &'a BTreeMap<String, SocketAddr>,
}

/// What is printed with `--json`: one document on one line.
#[derive(Debug, Serialize)]
struct Announcement<'a> {
    nodes: Vec<NodeAnnouncement<'a>>,
    accounts: &'a [DemoAccount],
    certificate: &'a Path,
}

/// A node that runs.
struct Running {
    number: u16,
    child: Child,
    announced: Announced,
    /// Its standard input: when this process is gone, however that came, it ends too.
    _input: Option<ChildStdin>,
}

/// How to begin a node.
struct Starter {
    program: PathBuf,
    arguments: Arguments,
    data: PathBuf,
}

/// Starts the nodes and stays until a signal ends them all.
///
/// # Errors
/// If the store serves one node only, or a node does not start; those that did are ended.
pub(crate) async fn run(arguments: Arguments, data: &Path, json: bool) -> anyhow::Result<()> {
    let count = arguments.nodes.unwrap_or(1);
    if count > 1 && !store::is_remote(&arguments.store(), data) {
        bail!(
            "the embedded store serves one node: name another with --store, as postgres://user@host:port/database"
        );
    }
    std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    // The nodes stand for one server, so they show one certificate.
    let certificate = net::self_signed(data, &crate::serve::names(HOST))?.certificate;
    let program = std::env::current_exe().context("where this program is")?;
    let restart = arguments.restart;
    let starter = Starter { program, data: data.to_owned(), arguments };
    // The first one prepares the store, the others find it so.
    let mut nodes = vec![starter.start(1, None).await?];
    let others: FuturesUnordered<_> = (2..=count).map(|number| starter.start(number, None)).collect();
    for node in others.collect::<Vec<_>>().await {
        nodes.push(node?);
    }
    nodes.sort_by_key(|node| node.number);
    announce(&nodes, &certificate, json)?;
    starter.watch(nodes, restart).await
}

fn announce(nodes: &[Running], certificate: &Path, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let accounts = nodes.first().map(|node| node.announced.accounts.as_slice()).unwrap_or_default();
    let told: Vec<NodeAnnouncement<'_>> = nodes.iter().map(Running::told).collect();
    if json {
        let announcement = Announcement { nodes: told, accounts, certificate };
        writeln!(out, "{}", serde_json::to_string(&announcement)?)?;
        return Ok(out.flush()?);
    }
    for node in told {
        writeln!(out, "NODE {}, process {}", node.id, node.pid)?;
        for (name, address) in node.listeners {
            writeln!(out, "  {name:<12}  {address}")?;
        }
    }
    dev::list_accounts(&mut out, accounts)?;
    writeln!(out, "\ncertificate  {}", certificate.display())?;
    Ok(out.flush()?)
}

impl Running {
    fn told(&self) -> NodeAnnouncement<'_> {
        let pid = self.child.id().unwrap_or_default();
        NodeAnnouncement { id: self.announced.node, pid, listeners: &self.announced.listeners }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        // One that has ended meanwhile hears nothing.
        pid.map(|pid| kill_process(pid, signal));
    }
}

impl Starter {
    /// Starts a node, where it listened before if it did, and returns when it has announced itself.
    async fn start(&self, number: u16, before: Option<&Announced>) -> anyhow::Result<Running> {
        let data = self.data.join(format!("n{number}"));
        std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        for file in ["certificate.pem", "key.pem"] {
            std::fs::copy(self.data.join(file), data.join(file))
                .with_context(|| data.display().to_string())?;
        }
        let mut command = Command::new(&self.program);
        command.args(["dev", "--json", "--with-parent", "--data"]).arg(&data);
        command.args(self.arguments.passed_on(number, self.port_base(number)?));
        if let Some(before) = before {
            let listen = before.listeners.iter().map(|(name, address)| format!("{name}={address}"));
            command.arg("--listen").arg(listen.collect::<Vec<_>>().join(","));
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = child.with_context(|| self.program.display().to_string())?;
        // Taken out, since waiting for the child would close it.
        let input = child.stdin.take();
        let stdout = child.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        match serde_json::from_str(&line) {
            Ok(announced) => Ok(Running { number, child, announced, _input: input }),
            // It has said why on standard error.
            Err(_) => bail!("node {number} did not start: {}", child.wait().await?),
        }
    }

    fn port_base(&self, number: u16) -> anyhow::Result<u16> {
        let base = self.arguments.port_base;
        let base = if base == 0 {
            Some(0)
        } else {
            (number - 1).checked_mul(STEP).and_then(|n| base.checked_add(n))
        };
        base.context("the port base is too high")
    }

    /// Waits for a signal, and for the nodes to end after it. A node that ends before stays so, unless it is to be
    /// restarted: always, or when SIGUSR1 asks for those that have ended.
    async fn watch(&self, mut nodes: Vec<Running>, restart: bool) -> anyhow::Result<()> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut again = signal(SignalKind::user_defined1())?;
        let mut away: Vec<Running> = Vec::new();
        loop {
            tokio::select! {
                ended = one_ended(&mut nodes) => {
                    let node = nodes.swap_remove(ended);
                    tracing::warn!(node = node.announced.node, "node has ended");
                    away.push(node);
                    if restart {
                        self.bring_back(&mut nodes, &mut away).await;
                    }
                }
                _ = again.recv() => self.bring_back(&mut nodes, &mut away).await,
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        // One that was stopped hears the first only after the second.
        for signal in [Signal::TERM, Signal::CONT] {
            nodes.iter().for_each(|node| node.signal(signal));
        }
        for node in &mut nodes {
            node.child.wait().await?;
        }
        Ok(())
    }
}

impl Starter {
    /// Starts those again that have ended, where they listened before.
    async fn bring_back(&self, nodes: &mut Vec<Running>, away: &mut Vec<Running>) {
        for node in std::mem::take(away) {
            match self.start(node.number, Some(&node.announced)).await {
                Ok(node) => nodes.push(node),
                Err(error) => {
                    tracing::error!(%error, node = node.announced.node, "node stays away");
                    away.push(node);
                }
            }
        }
    }
}

/// Resolves with the place of a node that has ended; never if there is none.
async fn one_ended(nodes: &mut [Running]) -> usize {
    let mut waits: FuturesUnordered<_> = nodes
        .iter_mut()
        .enumerate()
        .map(|(at, node)| async move {
            let _ = node.child.wait().await;
            at
        })
        .collect();
    match waits.next().await {
        Some(at) => at,
        None => std::future::pending().await,
    }
}
