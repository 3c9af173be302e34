//! `godwit drill …`: the loss of a node, a zone or a region, rehearsed on the real thing.
//!
//! A plan ([`plan`]) says what is lost and how that is brought about: by commands of the operator's own, since balancers, DNS and
//! FoundationDB are no part of this program. `start` goes through steps ([`steps`]); each is written to a journal
//! ([`journal`]) before it begins and when it is done, so that whoever comes later knows what is to be undone. Meanwhile
//! probes ([`probes`]) do what users do. At the end stands what was unreachable for how long, and what of that which was
//! acknowledged is not there ([`measure`], [`report`]).
//!
//! # What holds
//! - One drill at a time: a row in the store says so.
//! - Whatever happens after a step began, it is undone: by the same process if it can, else by `abort`. Undoing twice does
//!   what undoing once does.

mod admins;
mod check;
mod imap;
mod journal;
mod measure;
mod plan;
mod probes;
mod report;
mod smtp;
mod steps;
mod wire;
mod world;

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;
use runtime::{CancellationToken, SharedClock, SystemClock};

use journal::{Event, Journal};
use plan::Plan;
use steps::{Ended, Log as _, Step};
use world::Real;

/// How often it is looked whether another process asks for the end.
const LOOK: Duration = Duration::from_millis(200);

/// `godwit drill …`
#[derive(Debug, Clone, Subcommand)]
pub enum Drill {
    /// Say whether the drill of a plan could begin, and what it would do
    Plan {
        /// The plan
        file: PathBuf,
    },
    /// Carry out the drill of a plan, and write a report
    Start {
        /// The plan
        file: PathBuf,
        /// Where journal and report go; a new folder drill-… here if absent
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Go back after this step, as if somebody had asked for it
        #[arg(long, hide = true)]
        abort_after: Option<Step>,
    },
    /// Return to the start, from wherever a drill is, or has broken off
    Abort {
        /// Its folder
        dir: PathBuf,
    },
    /// Print the report of a drill
    Report {
        /// Its folder
        dir: PathBuf,
    },
}

pub(crate) async fn run(command: Drill, json: bool) -> anyhow::Result<()> {
    let clock = SystemClock::shared();
    match command {
        Drill::Plan { file } => show(&file, &clock).await,
        Drill::Start { file, dir, abort_after } => start(&file, dir, abort_after, &clock).await,
        Drill::Abort { dir } => abort(&dir, &clock).await,
        Drill::Report { dir } => {
            let name = if json { report::JSON } else { report::MARKDOWN };
            let file = dir.join(name);
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("no drill has ended in {}", dir.display()))?;
            Ok(write!(std::io::stdout(), "{text}")?)
        }
    }
}

async fn show(file: &Path, clock: &SharedClock) -> anyhow::Result<()> {
    let plan = Plan::load(file)?;
    let found = check::look(&plan, clock).await?;
    let mut out = std::io::stdout().lock();
    write!(out, "{}", steps::table(&plan))?;
    found.print(&mut out)?;
    found.verdict()
}

async fn start(
    file: &Path,
    dir: Option<PathBuf>,
    abort_after: Option<Step>,
    clock: &SharedClock,
) -> anyhow::Result<()> {
    let plan = Plan::load(file)?;
    let found = check::look(&plan, clock).await?;
    found.print(&mut std::io::stderr())?;
    found.verdict()?;
    let now = clock.now().millis();
    let dir = dir.unwrap_or_else(|| PathBuf::from(format!("drill-{now}")));
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    if dir.join(journal::FILE).exists() {
        bail!("{} has another drill's journal", dir.display());
    }
    let _lock = lock(&dir)?.with_context(|| format!("a drill runs in {}", dir.display()))?;
    // What is undone later is undone by the plan as it was.
    plan.keep(&dir)?;
    let id = format!("d{now:x}");
    let mut journal = Journal::create(&dir, clock.clone())?;
    journal.note(&Event::Drill { id: id.clone(), before: found.before.clone() })?;
    let mut world = Real::new(plan.clone(), &dir, id, found.before, clock.clone())?;
    let stop = CancellationToken::new();
    let watching = tokio::spawn(watch_for_the_end(dir.clone(), stop.clone()));
    let ended = steps::run(&steps::sequence(&plan), &mut world, &mut journal, &stop, abort_after).await;
    watching.abort();
    finish(&world, &mut journal, &ended, &dir)
}

/// Writes the report, prints it, and says how it ended.
fn finish(world: &Real, journal: &mut Journal, ended: &Ended, dir: &Path) -> anyhow::Result<()> {
    let report = world.report(ended, journal.events());
    report.write(dir)?;
    write!(std::io::stdout(), "{}", report.markdown())?;
    journal.note(&Event::Ended { outcome: report.outcome.clone() })?;
    if report.passed() { Ok(()) } else { bail!("the drill has {}; see {}", report.outcome, dir.display()) }
}

/// Ctrl-C, SIGTERM, or `abort` of another process.
async fn watch_for_the_end(dir: PathBuf, stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminate {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    };
    let asked = async {
        while !dir.join(journal::ABORT).exists() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
        () = asked => {}
    }
    stop.cancel();
}

async fn abort(dir: &Path, clock: &SharedClock) -> anyhow::Result<()> {
    let events = journal::read(dir)?;
    let Some((id, before)) = journal::drill(&events) else {
        bail!("{}: not a drill's journal", dir.display())
    };
    // Who runs it sees this, goes back by itself, and lets the lock go.
    std::fs::write(dir.join(journal::ABORT), "")?;
    let _lock = loop {
        match lock(dir)? {
            Some(lock) => break lock,
            None => tokio::time::sleep(LOOK).await,
        }
    };
    let events = journal::read(dir)?;
    let left = journal::to_undo(&events);
    if left.is_empty() {
        return Ok(writeln!(std::io::stdout(), "all is as it was; nothing is left to undo")?);
    }
    let plan = Plan::load(&dir.join(plan::KEPT))?;
    let mut journal = Journal::open(dir, clock.clone(), events)?;
    let mut world = Real::new(plan, dir, id, before, clock.clone())?;
    steps::go_back(&left, &mut world, &mut journal).await?;
    let ended = Ended::WentBack { step: None, why: "broken off, and undone later".to_owned(), left: None };
    let report = world.report(&ended, journal.events());
    report.write(dir)?;
    journal.note(&Event::Ended { outcome: report.outcome.clone() })?;
    Ok(writeln!(std::io::stdout(), "all is as it was")?)
}

/// The folder's lock, which a drill that runs has.
fn lock(dir: &Path) -> anyhow::Result<Option<File>> {
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_drill_is_not_aborted_and_has_no_report() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_path_buf();
        assert!(run(Drill::Abort { dir: folder.clone() }, false).await.is_err());
        let error = run(Drill::Report { dir: folder }, false).await.unwrap_err().to_string();
        assert!(error.contains("no drill has ended"), "{error}");
        let error = run(Drill::Plan { file: dir.path().join("none.toml") }, false).await.unwrap_err();
        assert!(error.to_string().contains("none.toml"), "{error}");
    }

    #[test]
    fn one_process_has_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        assert!(first.is_some() && lock(dir.path()).unwrap().is_none());
        drop(first);
        assert!(lock(dir.path()).unwrap().is_some());
    }
}
