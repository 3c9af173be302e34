//! F5: the wall clock of one node of three is wrong: 5 minutes fast, 5 minutes slow, and stepped back by an hour. (Of that node
//! alone, in a build with the feature `faults`: the machine's clock is not touched.)
//!
//! Criterion: lost 0, duplicates 0, UIDs and modseqs ascend, no remote mail twice; no lease is lost for a clock, so sessions
//! are undisturbed and all nodes work; and all remote mail is sent within 10 s, whoever takes it and whoever sends it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use harness::NodeOptions;

use crate::Options;
use crate::backend::{Kind, Server};
use crate::fleet::{Fleet, NODES};
use crate::table::Table;

/// Whose clock is wrong.
const WRONG: usize = 1;
/// A message may take so long, whoever takes it and whoever sends it.
const LONGEST: Duration = Duration::from_secs(10);
/// Seconds, one after the other.
const STEPS: [i64; 4] = [300, -300, 0, -3600];

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    for kind in options.shared_stores() {
        let Some(server) = Server::start(kind) else {
            table.skip(kind.name(), "everything", "not installed");
            continue;
        };
        let outcome = steps(options, table, kind, server);
        table.ends(kind.name(), outcome);
    }
    Ok(())
}

fn steps(options: &Options, table: &mut Table, kind: Kind, server: Server) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let files: Vec<_> = (0..NODES).map(|node| dir.path().join(format!("faults{node}"))).collect();
    for file in &files {
        std::fs::write(file, "clock_s=0")?;
    }
    let environment = |node: usize| {
        let file = files.get(node).map(|file| file.display().to_string()).unwrap_or_default();
        NodeOptions { environment: vec![("GODWIT_FAULTS".to_owned(), file)], ..NodeOptions::default() }
    };
    let fleet = Fleet::with_each(server, environment)?;
    let file = files.get(WRONG).context("no file")?;
    let bustle = fleet.bustle()?;
    let before = fleet.rejoined()?;
    for step in STEPS {
        set(file, step)?;
        let begun = Instant::now();
        std::thread::sleep(options.span());
        let waited = bustle.waits(&fleet, begun);
        let figure = format!(
            "{} sent meanwhile, {} wait; the longest {:.1?}",
            waited.sent, waited.waiting, waited.longest
        );
        let criterion = format!("clock wrong by {step} s: remote mail is sent within 10 s");
        table.row(kind.name(), &criterion, &figure, waited.sent > 0 && waited.longest <= LONGEST);
    }
    set(file, 0)?;
    let lost = fleet.rejoined()? - before;
    table.row(kind.name(), "no node loses its lease for a clock", &format!("{lost} lost"), lost == 0);
    bustle.end(&fleet, table, kind, "a wrong clock")
}

fn set(file: &Path, seconds: i64) -> std::io::Result<()> {
    std::fs::write(file, format!("clock_s={seconds}"))
}
