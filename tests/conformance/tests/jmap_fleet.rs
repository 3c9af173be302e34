//! All transcripts of JMAP once more, on three nodes behind a balancer: each request goes to another node than the one before.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use harness::{Fleet, NodeOptions, Tenant, jmap};

/// Transcripts that are played at a time, each by people of its own.
const PLAYERS: usize = 4;

#[test]
fn transcripts_are_played_on_three_nodes_at_once() -> anyhow::Result<()> {
    let Some(fleet) = Fleet::start(NodeOptions::default())? else { return Ok(()) };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/jmap");
    let mut files: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    anyhow::ensure!(files.len() > PLAYERS, "no transcripts");
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(number) else { return };
                    let played = play(&fleet, number, file).with_context(|| file.display().to_string());
                    failed.lock().unwrap_or_else(|broken| broken.into_inner()).extend(played.err());
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(|broken| broken.into_inner());
    anyhow::ensure!(failed.is_empty(), "{} of {}: {failed:#?}", failed.len(), files.len());
    Ok(())
}

fn play(fleet: &Fleet, number: usize, file: &Path) -> anyhow::Result<()> {
    jmap::play(&Tenant::create(fleet, number)?, &std::fs::read_to_string(file)?)
}
