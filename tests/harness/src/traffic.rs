//! Clients that go on whatever happens to the nodes behind their balancer: senders, readers, listeners (IDLE) and clients of
//! JMAP.
//!
//! A connection may end politely (421, BYE, `Connection: close`): then the client comes back at once. Every other end is counted as a failure. Each
//! message is sent once, under an id of its own, and noted when it was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::imap::Imap;
use crate::smtp::Smtp;

mod asker;

/// Before a client comes back that was not let in.
const PAUSE: Duration = Duration::from_millis(50);
/// Messages over one connection.
const EACH: usize = 50;

/// How much traffic.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    /// Connections that send.
    pub senders: usize,
    /// Connections that read.
    pub readers: usize,
    /// Connections in IDLE.
    pub listeners: usize,
    /// Connections that ask by JMAP.
    pub askers: usize,
    /// The accounts u0 to u(N−1).
    pub users: usize,
    /// The pause of a sender between two messages.
    pub pause: Duration,
}

/// What has come of it so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// By id: to whom.
    acknowledged: BTreeMap<usize, usize>,
    /// Sent, and not answered, or answered with 4xx: they may be there or not.
    pub unanswered: usize,
    /// From the beginning of a message to its reply.
    times: Vec<Duration>,
    /// Readings.
    pub read: usize,
    /// Readings that lacked what was acknowledged before.
    pub stale: Vec<String>,
    /// Connections that were ended politely.
    pub polite: usize,
    /// Connections that ended otherwise.
    pub failures: Vec<String>,
    /// From the end of a session in IDLE to the next one.
    away: Vec<Duration>,
}

impl Tally {
    /// Messages acknowledged.
    pub fn taken(&self) -> usize {
        self.acknowledged.len()
    }

    /// Time that a share of the messages took at most.
    pub fn time(&self, share: f64) -> Duration {
        at(&self.times, share)
    }

    /// Time that a share of those in IDLE was away at most.
    pub fn away(&self, share: f64) -> Duration {
        at(&self.away, share)
    }

    /// How often one in IDLE had to come back.
    pub fn came_back(&self) -> usize {
        self.away.len()
    }
}

fn at(times: &[Duration], share: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    let place = (times.len() as f64 * share) as usize;
    times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// What was found at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Acknowledged, and not there.
    pub lost: usize,
    /// There more than once.
    pub twice: usize,
    /// There, and sent to somebody else or by nobody.
    pub strange: usize,
    /// There.
    pub messages: usize,
}

struct Shared {
    mix: Mix,
    smtp: String,
    imap: String,
    http: String,
    next: AtomicUsize,
    stop: AtomicBool,
    /// In IDLE at present.
    listening: AtomicUsize,
    tally: Mutex<Tally>,
}

/// Clients at work.
pub struct Traffic {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// How a session ended.
enum End {
    Polite,
    Stopped,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn acknowledged_for(&self, user: usize) -> usize {
        self.lock().acknowledged.values().filter(|to| **to == user).count()
    }

    /// Notes a reading: as many have to be found as were acknowledged before it.
    fn compare(&self, by: &str, user: usize, before: usize, found: Option<u64>) {
        let mut tally = self.lock();
        tally.read += 1;
        match found {
            Some(found) if found >= before as u64 => {}
            found => tally.stale.push(format!("{by}: u{user}: {found:?} where {before} were acknowledged")),
        }
    }

    /// One session after the other until the end.
    fn client(&self, name: &str, session: impl Fn() -> anyhow::Result<End>) {
        while !self.stopped() {
            match session() {
                Ok(End::Polite) => self.lock().polite += 1,
                Ok(End::Stopped) => {}
                Err(error) => {
                    self.lock().failures.push(format!("{name}: {error:#}"));
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    fn send(&self) -> anyhow::Result<End> {
        let mut smtp = Smtp::connect(&self.smtp)?;
        for _ in 0..EACH {
            if self.stopped() {
                break;
            }
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let user = id % self.mix.users;
            let message = format!(
                "From: s@example.org\r\nSubject: {id}\r\nMessage-ID: <{id}@example.org>\r\n\r\nhello\r\n"
            );
            let begun = Instant::now();
            for line in ["MAIL FROM:<s@example.org>".to_owned(), format!("RCPT TO:<u{user}@example.test>")] {
                match smtp.command(&line).context("within a transaction")? {
                    (250, _) => {}
                    (421, _) => return Ok(End::Polite),
                    (code, text) => bail!("{line}: {code} {text:?}"),
                }
            }
            match smtp.command("DATA")? {
                (354, _) => {}
                (421, _) => return Ok(End::Polite),
                (code, text) => bail!("DATA: {code} {text:?}"),
            }
            smtp.line.send(format!("{message}.\r\n").as_bytes())?;
            let answer = smtp.read_reply();
            let mut tally = self.lock();
            match answer {
                Ok((250, _)) => {
                    tally.acknowledged.insert(id, user);
                    tally.times.push(begun.elapsed());
                }
                Ok((421 | 451 | 452, _)) => tally.unanswered += 1,
                other => {
                    tally.unanswered += 1;
                    drop(tally);
                    bail!("after the final dot: {other:?}");
                }
            }
            drop(tally);
            std::thread::sleep(self.mix.pause);
        }
        // Not every sender waits for the answer.
        smtp.line.send_line("QUIT")?;
        Ok(End::Stopped)
    }

    fn read(&self, number: usize) -> anyhow::Result<End> {
        let user = number % self.mix.users;
        let Some(mut imap) = login(&self.imap, user)? else { return Ok(End::Polite) };
        for _ in 0..EACH {
            if self.stopped() {
                break;
            }
            let before = self.acknowledged_for(user);
            let Some(status) = polite(&mut imap, "STATUS INBOX (MESSAGES)")? else { return Ok(End::Polite) };
            let found = status
                .iter()
                .find_map(|line| line.split_once("MESSAGES ")?.1.trim_end_matches(')').parse().ok());
            self.compare("IMAP", user, before, found);
            if polite(&mut imap, "SELECT INBOX")?.is_none() || polite(&mut imap, "FETCH * (FLAGS)")?.is_none()
            {
                return Ok(End::Polite);
            }
            std::thread::sleep(self.mix.pause);
        }
        imap.line.send_line("x LOGOUT")?;
        Ok(End::Stopped)
    }

    /// Listens until it is sent away. `since` is when the session before ended.
    fn listen(&self, number: usize, since: &Mutex<Option<Instant>>) -> anyhow::Result<End> {
        let Some(mut imap) = login(&self.imap, number % self.mix.users)? else { return Ok(End::Polite) };
        if polite(&mut imap, "SELECT INBOX")?.is_none() {
            return Ok(End::Polite);
        }
        imap.line.send_line("i IDLE")?;
        let go = imap.line.read_line()?;
        if go.starts_with(b"* BYE") {
            return Ok(End::Polite);
        }
        if let Some(since) = since.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.lock().away.push(since.elapsed());
        }
        self.listening.fetch_add(1, Ordering::Relaxed);
        let end = self.listened(&mut imap);
        self.listening.fetch_sub(1, Ordering::Relaxed);
        *since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        end
    }

    fn listened(&self, imap: &mut Imap) -> anyhow::Result<End> {
        loop {
            if self.stopped() {
                return Ok(End::Stopped);
            }
            match imap.line.try_read_line() {
                Ok(Some(line)) if line.starts_with(b"* BYE") => return Ok(End::Polite),
                Ok(Some(_)) => {}
                Ok(None) => bail!("IDLE was cut off"),
                // Silence is fine; the harness's lines give up after a while.
                Err(error) if is_silence(&error) => {}
                Err(error) => return Err(error.context("IDLE")),
            }
        }
    }
}

fn is_silence(error: &anyhow::Error) -> bool {
    let kinds = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
    error.downcast_ref::<std::io::Error>().is_some_and(|error| kinds.contains(&error.kind()))
}

/// `None` if the server says goodbye first.
fn login(address: &str, user: usize) -> anyhow::Result<Option<Imap>> {
    let mut imap = Imap::connect(address)?;
    Ok(polite(&mut imap, &format!("LOGIN u{user} secret"))?.map(|_| imap))
}

/// A command that has to end in OK; its untagged lines, or `None` if the server says goodbye instead.
fn polite(imap: &mut Imap, command: &str) -> anyhow::Result<Option<Vec<String>>> {
    imap.line.send_line(&format!("p {command}"))?;
    let mut lines = Vec::new();
    loop {
        let line = imap.logical_line().with_context(|| command.to_owned())?;
        let line = String::from_utf8_lossy(&line).into_owned();
        match line.strip_prefix("p ") {
            Some(status) if status.starts_with("OK") => return Ok(Some(lines)),
            Some(status) => bail!("{command}: {status}"),
            None if line.starts_with("* BYE") => return Ok(None),
            None => lines.push(line),
        }
    }
}

impl Traffic {
    /// Begins, through a balancer that listens there for SMTP, IMAP and HTTP.
    pub fn start([smtp, imap, http]: [String; 3], mix: Mix) -> Self {
        let shared = Arc::new(Shared {
            mix,
            smtp,
            imap,
            http,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            listening: AtomicUsize::new(0),
            tally: Mutex::default(),
        });
        let mut clients = Vec::new();
        let mut spawn = |work: Box<dyn FnOnce(&Shared) + Send>| {
            let shared = Arc::clone(&shared);
            clients.push(std::thread::spawn(move || work(&shared)));
        };
        for _ in 0..mix.senders {
            spawn(Box::new(|shared| shared.client("sender", || shared.send())));
        }
        for number in 0..mix.readers {
            spawn(Box::new(move |shared| shared.client("reader", || shared.read(number))));
        }
        for number in 0..mix.askers {
            spawn(Box::new(move |shared| shared.client("asker", || shared.ask(number))));
        }
        for number in 0..mix.listeners {
            let since = Mutex::new(None);
            spawn(Box::new(move |shared| shared.client("listener", || shared.listen(number, &since))));
        }
        Traffic { shared, clients }
    }

    /// What has come of it so far.
    pub fn tally(&self) -> Tally {
        self.shared.lock().clone()
    }

    /// How many are in IDLE at present.
    pub fn listening(&self) -> usize {
        self.shared.listening.load(Ordering::Relaxed)
    }

    /// Forgets the times so far, so that those of a phase can be told.
    pub fn begin_phase(&self) {
        self.shared.lock().times.clear();
    }

    /// Ends it, and looks at every account.
    ///
    /// # Errors
    /// When an account cannot be read.
    pub fn stop(self) -> anyhow::Result<(Tally, Found)> {
        self.shared.stop.store(true, Ordering::Relaxed);
        // A last message wakes those in IDLE; else they would stay for as long as a line may be silent.
        for user in 0..self.shared.mix.users {
            let mut smtp = Smtp::connect(&self.shared.smtp)?;
            let to = format!("u{user}@example.test");
            smtp.send("s@example.org", &[&to], b"Subject: end\r\n\r\nend\r\n")?;
        }
        for client in self.clients {
            if client.join().is_err() {
                bail!("a client has panicked");
            }
        }
        let tally = self.shared.lock().clone();
        let mut found = Found::default();
        for user in 0..self.shared.mix.users {
            look(&self.shared.imap, user, &tally, &mut found)?;
        }
        Ok((tally, found))
    }
}

/// Compares an account with what was acknowledged.
fn look(address: &str, user: usize, tally: &Tally, found: &mut Found) -> anyhow::Result<()> {
    let mut imap = login(address, user)?.context("no login")?;
    polite(&mut imap, "SELECT INBOX")?.context("no INBOX")?;
    let lines = polite(&mut imap, "FETCH 1:* (ENVELOPE)")?.context("no FETCH")?;
    let mut seen = BTreeSet::new();
    for line in lines.iter().filter(|line| line.contains(" FETCH (")) {
        let id = line
            .split_once('<')
            .or_else(|| line.split_once("\"<"))
            .and_then(|(_, rest)| rest.split_once("@example.org>")?.0.parse::<usize>().ok());
        let Some(id) = id else { continue };
        found.messages += 1;
        found.twice += usize::from(!seen.insert(id));
        found.strange += usize::from(tally.acknowledged.get(&id).is_some_and(|to| *to != user));
    }
    let mine = tally.acknowledged.iter().filter(|(_, to)| **to == user);
    found.lost += mine.filter(|(id, _)| !seen.contains(id)).count();
    Ok(())
}
