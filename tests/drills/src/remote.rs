//! Remote mail: senders who submit it to all nodes, a ledger of what was acknowledged, and what became of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::ensure;
use harness::{Node, Smtp};

use crate::fleet::{Fleet, Struck};

/// As many slots of the queue as likely, so that each node has some.
const DOMAINS: usize = 48;
/// Between two messages of a sender.
const PAUSE: Duration = Duration::from_millis(60);
/// How long mail may take in the end: the waits of a demo's schedule, and clocks that are 5 minutes apart.
const LAST: Duration = Duration::from_secs(420);
/// An answer is recorded so much later than it is given, at most; and a clock of the drill's own is never exact.
const RECORDED: Duration = Duration::from_secs(2);
const INEXACT: Duration = Duration::from_millis(200);

/// A message's id, and a domain that it was for.
type Sent = (String, String);

/// What was acknowledged, and when.
#[derive(Debug, Default)]
struct Ledger {
    acknowledged: Mutex<BTreeMap<Sent, Instant>>,
    next: AtomicUsize,
}

/// Senders of remote mail at work.
pub(crate) struct Mailer {
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What became of remote mail.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fate {
    pub(crate) acknowledged: usize,
    pub(crate) lost: usize,
    /// Taken once more since the node that had sent it could not write down that it was taken.
    pub(crate) in_window: usize,
    /// The longest that such an answer was given before the node was hit.
    pub(crate) window: Duration,
    /// Taken once more for no such reason.
    pub(crate) twice: usize,
}

impl Mailer {
    /// Nobody sends yet.
    pub(crate) fn new() -> Self {
        Mailer { ledger: Arc::default(), stop: Arc::default(), threads: Vec::new() }
    }

    /// A sender for a node, in the network of the calling thread.
    pub(crate) fn send_to(&mut self, node: &Node) {
        let address = node.listener("submissions").to_owned();
        let (ledger, stop) = (Arc::clone(&self.ledger), Arc::clone(&self.stop));
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if ledger.submit(&address, &stop).is_err() {
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }));
    }

    /// Ends the senders, waits for what they sent, and says what became of it.
    pub(crate) fn stop(mut self, fleet: &Fleet) -> Fate {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
        let end = Instant::now() + LAST;
        let mut fate = self.fate(fleet);
        while fate.lost > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(200));
            fate = self.fate(fleet);
        }
        fate
    }

    /// How long mail waited that was acknowledged since then.
    pub(crate) fn waits(&self, fleet: &Fleet, since: Instant) -> Waits {
        let taken = fleet.sinks.taken();
        let acknowledged = self.ledger.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waits = Waits::default();
        for (sent, at) in acknowledged.iter().filter(|(_, at)| **at >= since) {
            match taken.get(sent).and_then(|times| times.first()) {
                Some((_, when)) => {
                    waits.sent += 1;
                    waits.longest = waits.longest.max(when.saturating_duration_since(*at));
                }
                None => {
                    waits.waiting += 1;
                    waits.longest = waits.longest.max(at.elapsed());
                }
            }
        }
        waits
    }

    /// How long after `at` each domain of a node that was hit then was tried by another one. Something waits for all of them:
    /// it is submitted at once, to another node. Fails if some are tried by nobody.
    pub(crate) fn takeover(&self, fleet: &Fleet, node: usize, at: Instant) -> anyhow::Result<Vec<Duration>> {
        let workers = fleet.sinks.workers(at);
        let own = |(domain, worker): &(&String, &usize)| **worker == node && domain.starts_with('d');
        let wanted: Vec<&String> = workers.iter().filter(own).map(|(domain, _)| domain).collect();
        let other = (node + 1) % fleet.nodes.len();
        let taker = fleet.node(other)?;
        fleet.within(other, || self.ledger.submit_to(taker, &wanted))??;
        let end = at + Duration::from_secs(30);
        loop {
            let events = fleet.sinks.since(at);
            // The latest comes first, the earliest stays.
            let by_others = events.iter().filter(|event| event.node != node);
            let first: BTreeMap<&str, Duration> =
                by_others.map(|event| (event.domain.as_str(), event.at - at)).collect();
            let times: Vec<Duration> =
                wanted.iter().filter_map(|domain| first.get(domain.as_str()).copied()).collect();
            if times.len() == wanted.len() {
                return Ok(times);
            }
            let missing = wanted.len() - times.len();
            ensure!(
                Instant::now() < end,
                "{missing} of {} domains were tried by nobody for 30 s",
                wanted.len()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn fate(&self, fleet: &Fleet) -> Fate {
        let taken = fleet.sinks.taken();
        let acknowledged = self.ledger.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fate = Fate { acknowledged: acknowledged.len(), ..Fate::default() };
        fate.lost = acknowledged.keys().filter(|sent| !taken.contains_key(*sent)).count();
        for times in taken.values() {
            for (node, at) in times.iter().take(times.len() - 1) {
                match fleet.struck.iter().find(|struck| could_not_record(struck, *node, *at)) {
                    Some(struck) => {
                        fate.in_window += 1;
                        fate.window = fate.window.max(struck.from.saturating_duration_since(*at));
                    }
                    None => fate.twice += 1,
                }
            }
        }
        fate
    }
}

/// How long remote mail of some time waited.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waits {
    pub(crate) sent: usize,
    pub(crate) waiting: usize,
    /// From its acknowledgement until it was taken, or until now if it waits.
    pub(crate) longest: Duration,
}

/// Whether a node that was told then that a message was taken was kept from writing it down.
fn could_not_record(struck: &Struck, node: usize, at: Instant) -> bool {
    struck.node == node && at + RECORDED >= struck.from && at <= struck.until() + INEXACT
}

impl Ledger {
    /// Submits one message to all of these domains.
    fn submit_to(&self, node: &Node, domains: &[&String]) -> anyhow::Result<()> {
        let mut smtp = Smtp::connect_tls(node.listener("submissions"))?;
        smtp.auth_plain("u0@example.test", "secret")?;
        let id = format!("r{}", self.next.fetch_add(1, Ordering::Relaxed));
        let to: Vec<String> = domains.iter().map(|domain| format!("r@{domain}")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let text = format!("From: u0@example.test\r\nX-Id: {id}\r\n\r\nbody\r\n");
        let (code, words) = smtp.send("u0@example.test", &to, text.as_bytes())?;
        ensure!(code == 250, "{code} {words:?}");
        let acknowledged = domains.iter().map(|domain| ((id.clone(), (*domain).clone()), Instant::now()));
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).extend(acknowledged);
        Ok(())
    }

    /// Submits until the connection ends.
    fn submit(&self, address: &str, stop: &AtomicBool) -> anyhow::Result<()> {
        let mut smtp = Smtp::connect_tls(address)?;
        smtp.auth_plain("u0@example.test", "secret")?;
        while !stop.load(Ordering::Relaxed) {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let (id, domain) = (format!("r{n}"), format!("d{}.example.net", n % DOMAINS));
            let text = format!("From: u0@example.test\r\nSubject: {id}\r\nX-Id: {id}\r\n\r\nbody\r\n");
            let (code, _) = smtp.send("u0@example.test", &[&format!("r@{domain}")], text.as_bytes())?;
            if code == 250 {
                self.acknowledged
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert((id, domain), Instant::now());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

/// Fills the queue with entries, each to the domain that is said: each message has as many recipients as it may.
pub(crate) fn fill(node: &Node, entries: usize, domain: impl Fn(usize) -> String) -> anyhow::Result<usize> {
    const EACH: usize = 20;
    let mut filled = 0;
    while filled < entries {
        let mut smtp = Smtp::connect_tls(node.listener("submissions"))?;
        smtp.auth_plain("u0@example.test", "secret")?;
        while filled < entries {
            let to: Vec<String> = (filled..filled + EACH).map(|n| format!("r{n}@{}", domain(n))).collect();
            let to: Vec<&str> = to.iter().map(String::as_str).collect();
            let text = format!("From: u0@example.test\r\nX-Id: held{filled}\r\n\r\nbody\r\n");
            match smtp.send("u0@example.test", &to, text.as_bytes()) {
                Ok((250, _)) => filled += EACH,
                // It is told to come later, and does.
                other => {
                    eprintln!("{filled} entries: {other:?}");
                    break;
                }
            }
            if filled.is_multiple_of(5_000) {
                eprintln!("{filled} entries");
            }
        }
    }
    Ok(filled)
}
