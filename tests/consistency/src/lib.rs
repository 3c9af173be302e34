//! Read your writes behind a balancer that knows nothing: after a tagged OK, or a 250, whoever asks any node sees it.
//!
//! Workers do random operations on many accounts, each over connections of its own that a balancer leads to any node: delivery by
//! SMTP and LMTP, APPEND, STORE, COPY, MOVE, EXPUNGE, mailboxes made, renamed and deleted; SELECT, FETCH, SEARCH, STATUS and LIST.
//! Every answer is judged by a model of the account, in which each thing changed at some moment between a command and
//! its answer. What began after another's answer has to see it; of what goes on at once either may be seen, but what one has
//! seen all later ones have to see. Several workers are busy with one account at a time.
//!
//! What the checker would not notice it is not worth: [`Options::plant`] makes it judge answers that are out of date.

mod model;
mod register;
mod session;
mod time;
mod worker;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::Account;
use time::Clock;

/// Violations that are told in words.
const TOLD: usize = 20;

/// Where the balancer listens, as `host:port`.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// IMAP in clear.
    pub imap: String,
    /// SMTP.
    pub smtp: String,
    /// LMTP.
    pub lmtp: String,
}

/// What is done.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Decides what is left to chance; how threads interleave is not.
    pub seed: u64,
    /// When so many operations were judged, it ends.
    pub operations: u64,
    /// And when so much time has passed.
    pub time: Duration,
    /// Busy at once.
    pub workers: usize,
    /// u0 to u(N−1), with the password "secret" and nothing in INBOX.
    pub accounts: usize,
    /// One listing in so many is replaced by the one before it of the same mailbox; 0 for none.
    pub plant: u64,
}

/// What came out.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Operations that were answered and judged, by kind.
    pub operations: BTreeMap<&'static str, u64>,
    /// Answers that the model does not allow.
    pub violations: u64,
    /// Some of them, and some of `refused`, in words.
    pub told: Vec<String>,
    /// Commands that were refused without a reason, and connections that broke.
    pub refused: u64,
    /// Times that a node said that the store did not answer it: what was asked for may have been done.
    pub unavailable: u64,
    /// Sessions that a node ended since another had deleted their mailbox (RFC 9051 §7.1.5): what was asked for then may have
    /// been done.
    pub sent_away: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Answers that were replaced by old ones.
    pub planted: u64,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Operations of all kinds.
    pub fn total(&self) -> u64 {
        self.operations.values().sum()
    }
}

/// What all workers share.
struct Shared {
    options: Options,
    endpoints: Endpoints,
    clock: Clock,
    accounts: Vec<Mutex<Account>>,
    report: Mutex<Report>,
    judged: AtomicU64,
    /// For tokens and names that nobody had before.
    last: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    fn account(&self, number: usize) -> MutexGuard<'_, Account> {
        #[allow(clippy::indexing_slicing, reason = "numbers are drawn below the length")]
        self.accounts[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judged(&self, kind: &'static str, times: u64, wrong: impl IntoIterator<Item = String>) {
        let mut report = self.report();
        *report.operations.entry(kind).or_default() += times;
        for text in wrong {
            report.violations += 1;
            tell(&mut report, format!("{kind}: {text}"));
        }
        drop(report);
        if self.judged.fetch_add(times, Ordering::Relaxed) + times >= self.options.operations {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn refused(&self, text: String) {
        let mut report = self.report();
        report.refused += 1;
        tell(&mut report, text);
    }

    fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }
}

fn tell(report: &mut Report, text: String) {
    if report.told.len() < TOLD {
        report.told.push(text);
    }
}

/// Does the operations. `progress` hears now and then how many were judged and how many violations there were.
pub fn run(endpoints: Endpoints, options: &Options, progress: &mut dyn FnMut(u64, u64)) -> Report {
    let begun = Instant::now();
    let clock = Clock::default();
    clock.tick();
    let accounts = (0..options.accounts).map(|_| Mutex::new(Account::new())).collect();
    let shared = Shared {
        options: *options,
        endpoints,
        clock,
        accounts,
        report: Mutex::default(),
        judged: AtomicU64::new(0),
        last: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let shared = &shared;
        let workers: Vec<_> =
            (0..options.workers).map(|number| scope.spawn(move || worker::run(shared, number))).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(100));
            progress(shared.judged.load(Ordering::Relaxed), shared.report().violations);
            if begun.elapsed() >= options.time {
                shared.stop.store(true, Ordering::Relaxed);
            }
        }
    });
    let mut report = shared.report().clone();
    report.took = begun.elapsed();
    report
}
