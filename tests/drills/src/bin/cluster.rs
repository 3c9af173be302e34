//! `make cluster`: three nodes on a PostgreSQL of their own, behind HAProxy, until a signal ends all of it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;

use anyhow::Context;
use harness::{Cluster, ClusterOptions};
use servers::haproxy::SOURCE;
use servers::postgres::QUICK;
use servers::{HaProxy, PostgreSql};
use tokio::signal::unix::{SignalKind, signal};

/// First of the nodes' ports, as `godwit dev --port-base` has them; the next node's are 100 further.
const PORT_BASE: u16 = 2500;
/// The balancer's, with the same places behind it: smtp, submission, submissions, lmtp, imap, imaps, http, https.
const PORTS: [u16; 8] = [2425, 2487, 2465, 2424, 2443, 2493, 2480, 2444];
/// u0 to u9, beside the demo's people.
const USERS: u32 = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let store = PostgreSql::start(QUICK).context("PostgreSQL is not installed: `make cluster` does that")?;
    let options = ClusterOptions {
        nodes: 3,
        store: store.url(),
        users: USERS,
        proxy: Some(format!("{SOURCE}/32")),
        port_base: PORT_BASE,
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::start(&options)?;
    let nodes: &[_; 3] = cluster.nodes.as_slice().try_into().context("three nodes")?;
    let balancer = HaProxy::start_at(nodes.each_ref().map(|node| &node.listeners), PORTS);
    let balancer = balancer.context("HAProxy is not installed: `make cluster` does that")?;
    tell(&cluster, &balancer, &store.url())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    drop(balancer);
    cluster.stop().map(drop)
}

fn tell(cluster: &Cluster, balancer: &HaProxy, store: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "BALANCER (to any node)")?;
    list(&mut out, balancer.listeners())?;
    for (number, node) in cluster.nodes.iter().enumerate() {
        writeln!(out, "NODE {}, process {}, data in {}", node.id, node.pid, cluster.data(number).display())?;
        list(&mut out, &node.listeners)?;
    }
    writeln!(out, "\nACCOUNT               PASSWORD")?;
    for account in &cluster.accounts {
        writeln!(out, "{:<20}  {}", account.address, account.password)?;
    }
    writeln!(out, "{:<20}  secret", format!("u0 to u{}@example.test", USERS - 1))?;
    writeln!(out, "\ncertificate  {}", cluster.certificate.display())?;
    writeln!(out, "store        {store}")?;
    writeln!(out, "operators    godwit cluster level --data {}", cluster.data(0).display())?;
    writeln!(out, "ctrl-C ends all of it; what was stored goes with it")?;
    Ok(out.flush()?)
}

fn list<K: Display, V: Display>(out: &mut impl Write, listeners: &BTreeMap<K, V>) -> std::io::Result<()> {
    listeners.iter().try_for_each(|(name, address)| writeln!(out, "  {name:<12}  {address}"))
}
