//! The steps on the real thing.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use runtime::SharedClock;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::admins::Admins;
use super::journal::{Before, Line};
use super::measure::{Kept, Part, still_out};
use super::plan::{Plan, Scope};
use super::probes::Probes;
use super::report::{Findings, Report};
use super::steps::{Ended, Step, World};

/// How often it is looked whether what is waited for has come.
const LOOK: Duration = Duration::from_millis(250);

/// The nodes, through their admin APIs, the operator's commands, and what users reach.
pub(crate) struct Real {
    plan: Plan,
    dir: PathBuf,
    id: String,
    before: Before,
    clock: SharedClock,
    admins: Admins,
    probes: Probes,
    /// When the loss began, and when it began to be undone, in monotonic time.
    lost: Option<Duration>,
    returning: Option<Duration>,
    settled: Option<Duration>,
    kept: BTreeMap<Part, Kept>,
}

impl Real {
    pub(crate) fn new(
        plan: Plan,
        dir: &Path,
        id: String,
        before: Before,
        clock: SharedClock,
    ) -> anyhow::Result<Self> {
        let admins = Admins::new(&plan.admin)?;
        let probes = Probes::new(plan.clone(), admins.clone(), id.clone(), dir, clock.clone())?;
        let (lost, returning, settled, kept) = (None, None, None, BTreeMap::new());
        // Hooks may go elsewhere.
        let dir = std::path::absolute(dir)?;
        Ok(Real { plan, dir, id, before, clock, admins, probes, lost, returning, settled, kept })
    }

    /// What is known by now.
    pub(crate) fn report(&self, ended: &Ended, journal: &[Line]) -> Report {
        let now = self.clock.monotonic();
        let returning = self.returning.unwrap_or(now);
        let findings = Findings {
            loss: self.lost.map(|lost| (lost, returning)),
            back: self.returning.map(|returning| (returning, self.settled.unwrap_or(now))),
            samples: self.probes.samples(),
            kept: self.kept.clone(),
        };
        Report::new(&self.id, &self.plan, ended, journal, &findings)
    }

    async fn hook(&self, name: &str, command: Option<&str>) -> anyhow::Result<()> {
        let Some(command) = command else { return Ok(()) };
        let log = OpenOptions::new().create(true).append(true).open(self.dir.join("hooks.log"))?;
        let (kind, of) = self.plan.scope.parts();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        shell
            .env("GODWIT_DRILL_ID", &self.id)
            .env("GODWIT_DRILL_HOOK", name)
            .env("GODWIT_DRILL_DIR", &self.dir);
        shell.env("GODWIT_DRILL_SCOPE", kind).env("GODWIT_DRILL_NAME", of);
        shell.env("GODWIT_DRILL_NODES", self.before.lost.join(" "));
        shell.env("GODWIT_DRILL_PLANNED", if self.plan.planned { "1" } else { "0" });
        let longest = self.plan.hooks.timeout();
        let ended = timeout(longest, shell.status()).await;
        let ended = ended.with_context(|| format!("hooks.{name} takes longer than {longest:?}"))??;
        ensure!(ended.success(), "hooks.{name}: {ended}; see {}", self.dir.join("hooks.log").display());
        Ok(())
    }

    async fn restore(&self) -> anyhow::Result<()> {
        self.hook("restore", self.plan.hooks.restore.as_deref()).await
    }

    /// Waits until nothing is wrong any more.
    async fn wait(&self, mut wrong: impl AsyncFnMut() -> Option<String>) -> anyhow::Result<()> {
        let longest = self.clock.monotonic() + self.plan.patience.0;
        while let Some(why) = wrong().await {
            if self.clock.monotonic() >= longest {
                bail!("not within {}: {why}", self.plan.patience);
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    async fn all_succeeds(&self, from: Duration, least: Duration) -> anyhow::Result<()> {
        let steady = self.plan.steady.0.max(least.min(self.unsettled()));
        self.wait(async || {
            let now = self.clock.monotonic();
            let early = (now < from + least).then(|| "it is too early".to_owned());
            still_out(&self.probes.samples(), from, now, steady).or(early)
        })
        .await
    }

    /// For how long all has to be well so that it is: a probe that hangs is known to have failed only then.
    fn unsettled(&self) -> Duration {
        self.plan.steady.0 + self.plan.timeout.0 + self.plan.queue.late()
    }

    async fn evacuate(&mut self) -> anyhow::Result<()> {
        let begun = self.clock.monotonic();
        self.lost = Some(begun);
        self.admins.evacuate(&self.id, &self.plan.scope).await?;
        if let Scope::Node(_) = &self.plan.scope {
            self.wait(async || self.still_there().await).await?;
        }
        self.all_succeeds(begun, self.plan.steady.0).await
    }

    /// Which of the nodes that are to leave has not.
    async fn still_there(&self) -> Option<String> {
        let nodes = match self.admins.nodes().await {
            Ok(nodes) => nodes,
            Err(error) => return Some(format!("{error:#}")),
        };
        let stays = |node: &&admin::api::Node| self.before.lost.contains(&node.name) && node.state != "left";
        nodes.iter().find(stays).map(|node| format!("{} is {}", node.name, node.state))
    }

    /// What is not as it was.
    async fn differs(&self) -> Option<String> {
        let (nodes, sites) = match tokio::try_join!(self.admins.nodes(), self.admins.sites()) {
            Ok(found) => found,
            Err(error) => return Some(format!("{error:#}")),
        };
        let online: Vec<&str> =
            nodes.iter().filter(|n| n.state == "online").map(|n| n.name.as_str()).collect();
        if let Some(away) = self.before.nodes.iter().find(|name| !online.contains(&name.as_str())) {
            return Some(format!("node {away} is not online"));
        }
        if let Some(site) = sites.iter().find(|site| site.state != "online") {
            return Some(format!("{} {} is {}", site.kind, site.name, site.state));
        }
        let unready = self.admins.unready().await;
        (!unready.is_empty()).then(|| unready.join("; "))
    }

    async fn judge(&mut self) -> anyhow::Result<()> {
        self.probes.end().await;
        self.kept = self.probes.kept(self.plan.patience.0).await?;
        Ok(())
    }
}

impl World for Real {
    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        let now = self.clock.monotonic();
        match step {
            Step::Lock => self.admins.begin(&self.id, &self.plan).await,
            Step::Before => self.hook("before", self.plan.hooks.before.as_deref()).await,
            Step::Probe => {
                self.probes.begin().await?;
                self.all_succeeds(now, self.plan.steady.0).await
            }
            Step::Evacuate => self.evacuate().await,
            Step::Fail => {
                self.lost.get_or_insert(now);
                self.hook("fail", self.plan.hooks.fail.as_deref()).await
            }
            Step::Recover => self.all_succeeds(now, self.plan.hold.0.max(self.unsettled())).await,
            Step::Restore => {
                self.returning.get_or_insert(now);
                self.restore().await
            }
            Step::Rejoin => {
                self.returning.get_or_insert(now);
                self.admins.online(&self.id, &self.plan.scope).await
            }
            Step::Settle => {
                self.as_before().await?;
                self.all_succeeds(self.returning.unwrap_or(now), self.unsettled()).await?;
                self.settled = Some(self.clock.monotonic());
                Ok(())
            }
            Step::Judge => self.judge().await,
            Step::After => self.hook("after", self.plan.hooks.after.as_deref()).await,
            Step::Unlock => self.admins.end(&self.id).await,
        }
    }

    async fn undo(&mut self, step: Step) -> anyhow::Result<()> {
        if matches!(step, Step::Evacuate | Step::Fail) {
            self.returning.get_or_insert(self.clock.monotonic());
        }
        match (step, &self.plan.scope) {
            (Step::Lock, _) => self.admins.end(&self.id).await,
            (Step::Before, _) => self.hook("after", self.plan.hooks.after.as_deref()).await,
            (Step::Probe, _) => {
                self.probes.end().await;
                Ok(())
            }
            (Step::Evacuate, Scope::Node(_)) | (Step::Fail, _) => self.restore().await,
            (Step::Evacuate, site) => self.admins.online(&self.id, site).await,
            _ => Ok(()),
        }
    }

    async fn as_before(&mut self) -> anyhow::Result<()> {
        self.wait(async || self.differs().await).await
    }
}
