//! ZONE: a zone with two of three nodes is lost, rehearsed by `godwit drill` as an operator would (PostgreSQL, HAProxy).
//!
//! Criterion: as NODE, for a zone whose processes stop (SIGSTOP) and go on later, and for one that is evacuated and then killed.
//! And: aborted after each step, and by another process after the first was killed, a drill leaves all as it was.

use anyhow::ensure;
use harness::wait;

use crate::Options;
use crate::rehearsal::{Loss, Scene, Wanted, report, rows};
use crate::table::Table;

/// The steps of a planned loss of a zone.
const STEPS: [&str; 10] =
    ["lock", "probe", "evacuate", "fail", "recover", "restore", "rejoin", "settle", "judge", "unlock"];

fn wanted(loss: Loss, planned: bool, hold: u32, steady: u32) -> Wanted {
    Wanted { scope: "zone a".to_owned(), nodes: vec![0, 2], loss, planned, hold, steady }
}

pub(crate) fn run(_: &Options, table: &mut Table) -> anyhow::Result<()> {
    let Some(mut scene) = Scene::start()? else {
        table.skip("postgres", "everything", "HAProxy or PostgreSQL is not installed");
        return Ok(());
    };
    let report = scene.drill(&wanted(Loss::Stop, false, 10, 3), "stopped", &[])?;
    rows(table, "postgres", "a zone, SIGSTOP", &report);
    let report = scene.drill(&wanted(Loss::Kill, true, 10, 3), "planned", &[])?;
    rows(table, "postgres", "a zone, evacuated and killed", &report);
    aborted(&scene, table)?;
    killed(&scene, table)?;
    scene.cluster.stop()?;
    Ok(())
}

/// After each step.
fn aborted(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    let mut bad = Vec::new();
    for step in STEPS {
        let report = scene.drill(&wanted(Loss::Stop, true, 1, 1), step, &["--abort-after", step])?;
        let why = report["why"].as_str().unwrap_or_default();
        if report["outcome"] != "gone back"
            || !why.contains("told to end after it")
            || why.contains("not undone")
        {
            bad.push(format!("{step}: {} {why}", report["outcome"]));
        }
        if let Some(left) = scene.remains()? {
            bad.push(format!("{step}: {left}"));
        }
    }
    let figure = if bad.is_empty() { "all as before, each time".to_owned() } else { bad.join("; ") };
    table.row("postgres", "aborted after each of 10 steps", &figure, bad.is_empty());
    Ok(())
}

/// The drill's own process dies while the zone is lost.
fn killed(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    let (mut child, folder) = scene.begin(&wanted(Loss::Kill, true, 600, 1), "dead", &[])?;
    let begun = wait::until("the loss", || {
        let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap_or_default();
        ensure!(!journal.contains("\"failed\""), "{journal}");
        Ok(journal.contains("\"step\":\"recover\"").then_some(()))
    });
    child.kill()?;
    child.wait()?;
    scene.abort(&folder)?;
    begun?;
    let left = scene.remains()?;
    let outcome = report(&folder)?;
    let passed = left.is_none() && outcome["outcome"] == "gone back";
    let figure = left.unwrap_or_else(|| "all as before".to_owned());
    table.row("postgres", "the drill's process killed, and the drill aborted by another", &figure, passed);
    Ok(())
}
