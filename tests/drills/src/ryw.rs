//! RYW: read your writes behind a balancer that knows nothing (three nodes on PostgreSQL, HAProxy, round robin by connection).
//!
//! Criterion: of a million random operations by many at once, over all nodes, every answer is one that real time allows: after a
//! tagged OK or a 250 of one node, whoever asks any node sees what was done. And: of answers that are replaced by old
//! ones on purpose, some are noticed.

use std::time::Duration;

use anyhow::Context;
use consistency::{Endpoints, Report};
use harness::{Cluster, ClusterOptions};
use servers::haproxy::SOURCE;
use servers::postgres::QUICK;
use servers::{HaProxy, PostgreSql};

use crate::Options;
use crate::table::Table;

/// Several workers for each account, so that they meet.
const ACCOUNTS: usize = 12;
const WORKERS: usize = 32;
/// What is enough to see that the checker sees.
const PLANTED: u64 = 5_000;
/// Lines of progress come with so many operations.
const STEP: u64 = 50_000;

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    let Some(found) = checked(options, PLANTED, 10)? else {
        table.skip("postgres", "everything", "HAProxy or PostgreSQL is not installed");
        return Ok(());
    };
    let criterion = "answers that are out of date on purpose are noticed";
    let figure = format!("{} answers replaced, {} violations", found.planted, found.violations);
    table.row("postgres", criterion, &figure, found.planted > 0 && found.violations > 0);
    let Some(report) = checked(options, options.operations, 0)? else { return Ok(()) };
    let criterion = format!("{} operations through a balancer: no violation, no refusal", options.operations);
    let figure = format!(
        "{} operations in {:.0?} ({:.0}/s) over {} connections, {} violations, {} refused, {} unavailable, {} sent away",
        report.total(),
        report.took,
        report.total() as f64 / report.took.as_secs_f64(),
        report.connections,
        report.violations,
        report.refused,
        report.unavailable,
        report.sent_away,
    );
    let passed = report.violations == 0 && report.refused == 0 && report.total() >= options.operations;
    table.row("postgres", &criterion, &figure, passed);
    eprintln!("{:#?} {:#?}", report.operations, report.told);
    Ok(())
}

fn checked(options: &Options, operations: u64, plant: u64) -> anyhow::Result<Option<Report>> {
    let Some(server) = PostgreSql::start(QUICK) else { return Ok(None) };
    let wanted = ClusterOptions {
        nodes: 3,
        store: server.url(),
        users: ACCOUNTS as u32,
        proxy: Some(format!("{SOURCE}/32")),
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::start(&wanted)?;
    let nodes: &[_; 3] = cluster.nodes.as_slice().try_into().context("three nodes")?;
    let Some(balancer) = HaProxy::start(nodes.each_ref().map(|node| &node.listeners)) else {
        return Ok(None);
    };
    let [imap, smtp, lmtp] = ["imap", "smtp", "lmtp"].map(|name| balancer.listener(name));
    let (seed, time) = (options.seed, Duration::from_secs(options.longest));
    let checker =
        consistency::Options { seed, operations, time, workers: WORKERS, accounts: ACCOUNTS, plant };
    let mut told = 0;
    let report = consistency::run(Endpoints { imap, smtp, lmtp }, &checker, &mut |judged, violations| {
        if judged / STEP > told {
            told = judged / STEP;
            eprintln!("{judged} operations, {violations} violations");
        }
    });
    cluster.stop()?;
    let log = cluster.log()?;
    if report.refused > 0 && !log.is_empty() {
        eprintln!("{log}");
    }
    Ok(Some(report))
}
