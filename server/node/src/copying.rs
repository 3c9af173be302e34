//! `godwit store copy`: a store to another one, of any kind, while its nodes serve; and the hand-over.

mod sides;
mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use kv::Database;
use runtime::{ByteSize, SharedClock, SharedRng, SystemClock, SystemRng};
use tokio_util::task::AbortOnDropHandle;
use transfer::{Copy, Error, Options, Report, Vigil};

use crate::config::Config;
use sides::{Destination, Origin};
use words::Words;

/// Passes after which the rest is left to the last one, however much still changes.
const PASSES: u32 = 6;
/// Fewer changes than this, or than one row in a thousand, are few: the last pass makes up for them.
const FEW: u64 = 1_000;
/// How long nodes that see the seal are waited for, and how long it has to be quiet.
const LEAVE: Duration = Duration::from_secs(180);
const QUIET: Duration = Duration::from_secs(3);
/// Pause between words about progress.
const TELL: Duration = Duration::from_secs(2);

/// What `godwit store copy` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Configuration of a node of the store that is copied. Its nodes may serve meanwhile
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Configuration of a node of the store that it is copied to: one that is empty, or has an unfinished copy
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Make the last pass and hand over. The nodes of the store that is copied must have been stopped
    #[arg(long, conflicts_with = "abandon")]
    finish: bool,
    /// Go back: the store that was copied may be served again, and the copy may not. What was stored in the copy since
    /// it was finished stays there
    #[arg(long)]
    abandon: bool,
    /// Most bytes a second, as "50 MB"; as fast as it goes if absent
    #[arg(long)]
    rate: Option<ByteSize>,
    /// Parts of the store that are worked on at a time
    #[arg(long, default_value_t = 8)]
    workers: usize,
    /// Take over bodies that are damaged or missing in the store that is copied, instead of ending there
    #[arg(long)]
    accept_damaged: bool,
    /// With --finish: do not read all bodies of the copy once more. Each had its hash when it was carried
    #[arg(long)]
    skip_bodies: bool,
}

/// What everything here works on.
struct Work {
    arguments: Arguments,
    from: Config,
    to: Config,
    words: Words,
    clock: SharedClock,
    rng: SharedRng,
}

/// Runs the command.
pub(crate) async fn run(arguments: Arguments, json: bool) -> anyhow::Result<()> {
    let load = |file: &PathBuf| Config::load(file).with_context(|| file.display().to_string());
    let (from, to) = (load(&arguments.from)?, load(&arguments.to)?);
    // A copy is nobody else's to read.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
    let words = Words::new(json, &arguments.from, &arguments.to);
    let work = Work { arguments, from, to, words, clock, rng };
    let origin = work.origin().await?;
    let destination = work.destination().await?;
    let outcome = match (work.arguments.abandon, work.arguments.finish) {
        (true, _) => work.abandon(&origin, &destination).await,
        (_, true) => work.finish(&origin, &destination).await,
        _ => work.copy(&origin, &destination).await,
    };
    // Also after an error: the next run finds the stores closed.
    let closed = destination.db.close().await;
    origin.close().await?;
    outcome?;
    closed.context("closing the store that is copied to")
}

impl Work {
    /// Passes while nodes serve.
    async fn copy(&self, origin: &Origin, destination: &Destination) -> anyhow::Result<()> {
        let copy = match self.begin(origin, destination).await {
            Err(Error::Finished) => return self.words.finished_before(),
            other => other?,
        };
        let _teller = self.tell(&copy);
        for _ in 0..PASSES {
            let report = copy.pass().await?;
            self.words.passed(&report)?;
            if report.changes() == 0 || (report.pass > 1 && is_few(&report)) {
                break;
            }
        }
        self.words.what_next(origin.is_embedded())
    }

    /// The last pass and the hand-over.
    async fn finish(&self, origin: &Origin, destination: &Destination) -> anyhow::Result<()> {
        let source = self.open_here(origin)?;
        let copy = match self.begin(origin, destination).await {
            Err(Error::Finished) => return self.words.finished_before(),
            other => other?,
        };
        let heir = format!("the store of {}", self.arguments.to.display());
        transfer::seal(source, &heir, &*self.clock).await?;
        if !origin.is_embedded() {
            self.wait_for_nodes(source).await?;
        }
        let _teller = self.tell(&copy);
        let reader = self.reader(destination)?;
        let reader = Some(&reader).filter(|_| !self.arguments.skip_bodies);
        let finished = copy.finish(source, &heir, reader).await;
        let finished = finished.with_context(|| self.words.what_after_failure())?;
        self.words.finished(&finished)
    }

    async fn abandon(&self, origin: &Origin, destination: &Destination) -> anyhow::Result<()> {
        let source = self.open_here(origin)?;
        transfer::abandon(source, &destination.db, &*self.clock).await?;
        self.words.abandoned()
    }

    async fn begin(&self, origin: &Origin, destination: &Destination) -> Result<Arc<Copy>, Error> {
        let options = Options {
            workers: self.arguments.workers,
            rate: self.arguments.rate.map(|rate| rate.bytes()),
            accept_damaged: self.arguments.accept_damaged,
        };
        let bodies = self.bodies(origin, destination).map_err(|e| Error::Source(format!("{e:#}")))?;
        let (clock, rng) = (self.clock.clone(), self.rng.clone());
        let copy = Copy::begin(origin.rows(), &destination.db, bodies, options, clock, rng).await?;
        // Nodes of the copy must not look for them elsewhere.
        if copy.has_larger_bodies().await? {
            let place = self.to.body_place().map_err(|e| Error::Source(format!("{e:#}")))?;
            place.hold(&destination.db).await?;
        }
        self.words.begun(copy.has_passed()).map_err(|e| Error::Source(e.to_string()))?;
        Ok(copy)
    }

    /// The source, if this process has it open: what changes it, or has to know that nobody does, needs that.
    fn open_here<'a>(&self, origin: &'a Origin) -> anyhow::Result<&'a Database> {
        match origin {
            Origin::Open { db, .. } => Ok(db),
            Origin::Node(_) => bail!(
                "the node of {} is running and has the embedded store to itself: stop it, and run this again",
                self.arguments.from.display()
            ),
        }
    }

    /// Nodes end when they see the seal. Whether one is left shows in that it writes.
    async fn wait_for_nodes(&self, source: &Database) -> anyhow::Result<()> {
        let begun = self.clock.monotonic();
        loop {
            let vigil = Vigil::begin(source).await?;
            tokio::time::sleep(QUIET).await;
            match vigil.end().await {
                Ok(()) => return Ok(()),
                Err(Error::Disturbed) if self.clock.monotonic().saturating_sub(begun) < LEAVE => {
                    self.words.waiting()?;
                }
                Err(error) => return Err(error).with_context(|| self.words.what_after_failure()),
            }
        }
    }

    /// Tells how far it is, until the value is dropped.
    fn tell(&self, copy: &Arc<Copy>) -> AbortOnDropHandle<()> {
        let (copy, words, clock) = (Arc::clone(copy), self.words.clone(), self.clock.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let (mut last, mut at) = (copy.report(), clock.monotonic());
            loop {
                tokio::time::sleep(TELL).await;
                let (report, now) = (copy.report(), clock.monotonic());
                words.progress(&last, &report, now.saturating_sub(at));
                (last, at) = (report, now);
            }
        }))
    }
}

fn is_few(report: &Report) -> bool {
    report.changes() <= FEW.max(report.rows / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_few_goes_with_the_size() {
        let few = |written, rows| is_few(&Report { written, rows, ..Report::default() });
        assert!(few(0, 0) && few(1_000, 10) && few(5_000, 5_000_000));
        assert!(!few(1_001, 1_000_000) && !few(5_001, 5_000_000));
    }
}
