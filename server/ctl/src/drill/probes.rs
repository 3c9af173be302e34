//! What users do, done over and over while a drill goes on.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use runtime::{CancellationToken, SharedClock};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::admins::Admins;
use super::imap::Imap;
use super::measure::{Kept, Part, Sample, kept};
use super::plan::Plan;
use super::smtp;
use super::wire::{Stage, Trust};

/// What each probe has come to, a line of JSON each.
const FILE: &str = "probes.jsonl";

/// Probes of a part that may hang at a time.
const AT_A_TIME: usize = 16;

/// How often it is looked whether something has arrived.
const LOOK: Duration = Duration::from_millis(100);

/// The probes of a drill.
pub(crate) struct Probes {
    shared: Arc<Shared>,
    end: CancellationToken,
    running: JoinSet<()>,
}

struct Shared {
    plan: Plan,
    trust: Trust,
    admins: Admins,
    clock: SharedClock,
    id: String,
    number: AtomicU64,
    /// Of the message that is searched for, or of one that came right after it.
    known_uid: AtomicU32,
    file: Mutex<File>,
    samples: Mutex<Vec<Sample>>,
    ledger: Mutex<Ledger>,
}

/// What was acknowledged.
#[derive(Default)]
struct Ledger {
    mail: Vec<String>,
    queue: Vec<String>,
    bodies: Vec<(String, u32)>,
}

impl Probes {
    /// Those of a drill, whose folder has a line for each.
    pub(crate) fn new(
        plan: Plan,
        admins: Admins,
        id: String,
        dir: &Path,
        clock: SharedClock,
    ) -> anyhow::Result<Self> {
        let trust = Trust::new(plan.mail.ca.as_deref())?;
        let path = dir.join(FILE);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = Mutex::new(file.with_context(|| path.display().to_string())?);
        let (samples, ledger) = (Mutex::default(), Mutex::default());
        let (number, known_uid) = (AtomicU64::new(0), AtomicU32::new(0));
        let shared = Shared { plan, trust, admins, clock, id, number, known_uid, file, samples, ledger };
        Ok(Probes { shared: Arc::new(shared), end: CancellationToken::new(), running: JoinSet::new() })
    }

    /// Begins: first with the message that is searched for.
    pub(crate) async fn begin(&mut self) -> anyhow::Result<()> {
        let shared = &self.shared;
        smtp::deliver(&shared.plan, &shared.trust, &shared.known()).await.context("the first message")?;
        shared.ledger.lock().mail.push(shared.known());
        let uid = Imap::login(&shared.plan, &shared.trust).await?.newest().await?;
        shared.known_uid.store(uid, Ordering::Relaxed);
        for part in Part::ALL {
            self.running.spawn(Arc::clone(shared).keep_on(part, self.end.clone()));
        }
        Ok(())
    }

    /// Ends them, and waits for those under way.
    pub(crate) async fn end(&mut self) {
        self.end.cancel();
        while self.running.join_next().await.is_some() {}
    }

    /// What they have seen so far.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.shared.samples.lock().clone()
    }

    /// Looks for what was acknowledged.
    pub(crate) async fn kept(&self, patience: Duration) -> anyhow::Result<BTreeMap<Part, Kept>> {
        let shared = &self.shared;
        let queue = shared.queue_kept(patience).await;
        let mut imap = Imap::login(&shared.plan, &shared.trust).await?;
        let there = imap.ids().await?;
        let (mail, bodies) = {
            let ledger = shared.ledger.lock();
            (kept(&ledger.mail, &there), ledger.bodies.clone())
        };
        let mut read = Kept { acknowledged: bodies.len() as u64, ..Kept::default() };
        for (id, uid) in bodies {
            let same = imap.body(uid).await.is_ok_and(|body| body == shared.large(&id));
            read.lost += u64::from(!same);
        }
        Ok([(Part::MailIn, mail), (Part::Queue, queue), (Part::Bodies, read)].into())
    }
}

impl Shared {
    /// The id of the message that is searched for.
    fn known(&self) -> String {
        format!("{}known", self.id)
    }

    fn next(&self, letter: char) -> String {
        format!("{}{letter}{}", self.id, self.number.fetch_add(1, Ordering::Relaxed))
    }

    fn large(&self, id: &str) -> Vec<u8> {
        let size = usize::try_from(self.plan.mail.large.0).unwrap_or(usize::MAX);
        smtp::message(&self.plan, &self.plan.mail.account, id, size).into_bytes()
    }

    /// Probes a part until the end. One that hangs does not keep others from beginning.
    async fn keep_on(self: Arc<Self>, part: Part, end: CancellationToken) {
        let mut running: JoinSet<()> = JoinSet::new();
        let mut tick = interval(self.plan.pace.0);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => break,
                _ = tick.tick() => {}
            }
            while running.try_join_next().is_some() {}
            if running.len() < AT_A_TIME {
                running.spawn(Arc::clone(&self).sample(part));
            }
        }
        while running.join_next().await.is_some() {}
    }

    async fn sample(self: Arc<Self>, part: Part) {
        let begun = self.clock.monotonic();
        let longest =
            self.plan.timeout.0 + if part == Part::Queue { self.plan.queue.late() } else { Duration::ZERO };
        let stage = Stage::default();
        let failure = match timeout(longest, self.probe(part, &self.trust.noting(&stage))).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(_) => Some(format!("nothing within {longest:?}, waiting for {}", stage.lock())),
        };
        let ended = self.clock.monotonic();
        let sample = Sample { part, begun, ended, failure };
        // The report needs what is in memory; the file is for people who want to see more.
        let _ = self.file.lock().write_all(sample.line(self.clock.now().millis()).as_bytes());
        self.samples.lock().push(sample);
    }

    async fn probe(&self, part: Part, trust: &Trust) -> anyhow::Result<()> {
        match part {
            Part::MailIn => self.mail_in(trust).await,
            Part::MailRead => Imap::login(&self.plan, trust).await?.newest().await.map(drop),
            Part::Queue => self.queue(trust).await,
            Part::Search => {
                let uid = self.known_uid.load(Ordering::Relaxed);
                Imap::login(&self.plan, trust).await?.search(uid, &self.known()).await
            }
            Part::Bodies => self.bodies(trust).await,
        }
    }

    async fn mail_in(&self, trust: &Trust) -> anyhow::Result<()> {
        let id = self.next('m');
        smtp::deliver(&self.plan, trust, &id).await?;
        self.ledger.lock().mail.push(id);
        Ok(())
    }

    async fn bodies(&self, trust: &Trust) -> anyhow::Result<()> {
        let id = self.next('b');
        let message = self.large(&id);
        let mut imap = Imap::login(&self.plan, trust).await?;
        let uid = imap.append(&message).await?;
        self.ledger.lock().bodies.push((id, uid));
        ensure!(imap.body(uid).await? == message, "what was read is not what was written");
        Ok(())
    }

    async fn queue(&self, trust: &Trust) -> anyhow::Result<()> {
        let queue = &self.plan.queue;
        let (Some(sink), Some(received)) = (&queue.sink, &queue.received) else {
            return self.overdue().await;
        };
        let id = self.next('q');
        smtp::submit(&self.plan, trust, sink, &id).await?;
        self.ledger.lock().queue.push(id.clone());
        let arrived = async {
            while !arrived(received.clone()).await.contains_key(&id) {
                sleep(LOOK).await;
            }
        };
        if timeout(queue.late(), arrived).await.is_err() {
            bail!("{id} has not arrived within {:?}", queue.late());
        }
        Ok(())
    }

    /// Whether something waits that should have been tried.
    async fn overdue(&self) -> anyhow::Result<()> {
        let late = i64::try_from(self.plan.queue.late().as_millis()).unwrap_or(i64::MAX);
        let latest = self.clock.now().millis().saturating_sub(late);
        let entries = self.admins.queue().await?;
        let overdue = entries.iter().filter(|entry| entry.state == "waiting" && entry.due < latest).count();
        ensure!(overdue == 0, "{overdue} entries of the queue are overdue");
        Ok(())
    }

    /// Waits for what was sent to arrive, and counts.
    async fn queue_kept(&self, patience: Duration) -> Kept {
        let sent = self.ledger.lock().queue.clone();
        let Some(received) = self.plan.queue.received.clone() else { return Kept::default() };
        let all = async {
            while kept(&sent, &arrived(received.clone()).await).lost > 0 {
                sleep(LOOK).await;
            }
        };
        // What has not come by then is counted as lost.
        let _ = timeout(patience, all).await;
        kept(&sent, &arrived(received).await)
    }
}

/// The ids that stand in a file, and how often each does.
async fn arrived(file: PathBuf) -> BTreeMap<String, u32> {
    let mut ids = BTreeMap::new();
    // Until the first has come there is no file.
    for id in tokio::fs::read_to_string(file).await.unwrap_or_default().lines() {
        *ids.entry(id.trim().to_owned()).or_default() += 1;
    }
    ids
}
