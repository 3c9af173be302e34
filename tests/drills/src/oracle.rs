//! What holds after every drill, whatever was done to the node.
//!
//! Each message has an id, which a sender writes to the ledger only after its 250. Then: nothing in the ledger is lost, no id
//! is there twice (no sender ever sends one twice), nothing is there that nobody sent, each body is what was sent, UIDs
//! ascend, UIDVALIDITY stays and HIGHESTMODSEQ never goes back, and what quota counts is what is there. That each message's
//! body can be read is what is looked at of "bodies = references" from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use harness::imap::Reply;
use harness::{Imap, Node, Smtp, binary};

use crate::message::{message, recognize};

/// How long a sender waits that was told to come later.
const PAUSE: Duration = Duration::from_millis(100);
/// Messages that were deferred are sent again so many on a connection: servers have enough of one at some time.
const AGAIN: usize = 10;

/// What senders send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mix {
    /// Connections that send at once, one message at a time each.
    pub(crate) senders: usize,
    /// Accounts u0 to u(N−1).
    pub(crate) users: usize,
    /// Octets of a message.
    pub(crate) size: usize,
    /// Octets of each tenth message.
    pub(crate) large: usize,
}

/// Everything that was ever sent to a node's accounts, over all of its restarts.
#[derive(Default)]
pub(crate) struct Ledger {
    shared: Arc<Shared>,
    /// UIDVALIDITY and HIGHESTMODSEQ by account, when they were looked at last.
    seen: BTreeMap<usize, (u64, u64)>,
    /// When acknowledgements were worth nothing, and how many of then the last check missed.
    doubts: Vec<(SystemTime, SystemTime)>,
    doubtful: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    next: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// By id: to whom, and how many octets.
    sent: BTreeMap<String, (usize, usize)>,
    /// And when.
    acknowledged: BTreeMap<String, SystemTime>,
    /// Answered with 4xx: a sender comes again with them.
    deferred: BTreeSet<String>,
    /// Answered with anything else.
    refused: Vec<String>,
    /// From the beginning of a transaction to its last reply.
    times: Vec<Duration>,
    /// Broken off, or not answered for as long as a client waits.
    unanswered: usize,
    /// How often each code of 4xx came.
    codes: BTreeMap<u16, usize>,
}

impl State {
    fn defer(&mut self, id: String, code: u16) {
        self.deferred.insert(id);
        *self.codes.entry(code).or_default() += 1;
    }
}

/// How a message was answered.
enum Answer {
    Taken,
    Deferred(u16),
    Refused(String),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one new message.
    fn send(&self, smtp: &mut Smtp, mix: Mix) -> anyhow::Result<()> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let (id, user) = (format!("d{n}"), n % mix.users);
        let size = if n % 10 == 9 { mix.large } else { mix.size };
        self.lock().sent.insert(id.clone(), (user, size));
        let begun = Instant::now();
        let answer =
            exchange(smtp, user, &message(&id, size)).inspect_err(|_| self.lock().unanswered += 1)?;
        let took = begun.elapsed();
        if let Answer::Deferred(_) = answer {
            // Nobody comes again at once.
            std::thread::sleep(PAUSE);
        }
        let mut state = self.lock();
        state.times.push(took);
        match answer {
            Answer::Taken => drop(state.acknowledged.insert(id, SystemTime::now())),
            Answer::Deferred(code) => state.defer(id, code),
            Answer::Refused(text) => state.refused.push(text),
        }
        Ok(())
    }
}

fn exchange(smtp: &mut Smtp, user: usize, message: &[u8]) -> anyhow::Result<Answer> {
    for line in ["MAIL FROM:<s@example.org>".to_owned(), format!("RCPT TO:<u{user}@example.test>")] {
        let (code, text) = smtp.command(&line)?;
        if code != 250 {
            smtp.command("RSET")?;
            return Ok(classify(code, &text));
        }
    }
    let (code, text) = smtp.command("DATA")?;
    if code != 354 {
        return Ok(classify(code, &text));
    }
    smtp.line.send(message)?;
    smtp.line.send(b".\r\n")?;
    let (code, text) = smtp.read_reply()?;
    Ok(classify(code, &text))
}

fn classify(code: u16, text: &[String]) -> Answer {
    match code {
        250 => Answer::Taken,
        400..500 => Answer::Deferred(code),
        _ => Answer::Refused(format!("{code} {}", text.join(" "))),
    }
}

/// Senders at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<()>>,
    before: (usize, usize),
    begun: Instant,
}

/// What a load came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Throughput {
    /// Acknowledged.
    pub(crate) taken: usize,
    /// Answered with 4xx.
    pub(crate) deferred: usize,
    /// Broken off, or not answered for as long as a client waits.
    pub(crate) unanswered: usize,
    /// Acknowledged each second.
    pub(crate) rate: f64,
    /// Of all answers.
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// The longest answer.
    pub(crate) longest: Duration,
}

impl Load {
    /// How many were acknowledged since this load began.
    pub(crate) fn taken(&self) -> usize {
        self.shared.lock().acknowledged.len() - self.before.0
    }

    /// Lets every sender finish its message.
    pub(crate) fn stop(self) -> Throughput {
        self.stop.store(true, Ordering::Relaxed);
        let took = self.begun.elapsed();
        let taken = self.taken();
        for sender in self.senders {
            // One that panicked has said so.
            let _ = sender.join();
        }
        let mut state = self.shared.lock();
        let mut times = std::mem::take(&mut state.times);
        times.sort_unstable();
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
        Throughput {
            taken,
            deferred: state.deferred.len() - self.before.1,
            unanswered: std::mem::take(&mut state.unanswered),
            rate: taken as f64 / took.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
            longest: times.last().copied().unwrap_or_default(),
        }
    }
}

impl Ledger {
    /// The same ledger, for somebody else to write into.
    pub(crate) fn same(&self) -> Ledger {
        Ledger { shared: Arc::clone(&self.shared), ..Ledger::default() }
    }

    /// Begins to send to a node.
    pub(crate) fn load(&self, node: &Node, mix: Mix) -> Load {
        self.load_at(&[node.listener("smtp").to_owned()], mix)
    }

    /// Begins to send to several addresses: who does not get through at one tries the next.
    pub(crate) fn load_at(&self, addresses: &[String], mix: Mix) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let sender = |number| {
            let (shared, stop) = (Arc::clone(&self.shared), Arc::clone(&stop));
            let addresses = addresses.to_vec();
            std::thread::spawn(move || {
                for address in addresses.iter().cycle().skip(number) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    // Refused or cut off: as senders do, it comes again.
                    if send_until_cut(&shared, address, mix, &stop).is_err() {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            })
        };
        let before = {
            let mut state = self.shared.lock();
            state.times.clear();
            (state.acknowledged.len(), state.deferred.len())
        };
        let senders = (0..mix.senders).map(sender).collect();
        Load { shared: Arc::clone(&self.shared), stop, senders, before, begun: Instant::now() }
    }

    /// Sends a message of a user's, half of it or all but the wait for its answer.
    pub(crate) fn send_part(&self, node: &Node, mix: Mix, whole: bool) -> anyhow::Result<Smtp> {
        let n = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (id, user) = (format!("d{n}"), n % mix.users);
        self.shared.lock().sent.insert(id.clone(), (user, mix.size));
        let mut smtp = Smtp::connect(node.listener("smtp"))?;
        smtp.expect("MAIL FROM:<s@example.org>", 250)?;
        smtp.expect(&format!("RCPT TO:<u{user}@example.test>"), 250)?;
        smtp.expect("DATA", 354)?;
        let text = message(&id, mix.size);
        if whole {
            smtp.line.send(&[&text[..], b".\r\n"].concat())?;
        } else {
            smtp.line.send(text.get(..text.len() / 2).unwrap_or_default())?;
        }
        Ok(smtp)
    }

    /// Sends one message to a user; whether it was taken.
    pub(crate) fn send_one(&self, smtp: &mut Smtp, user: usize, size: usize) -> anyhow::Result<bool> {
        let id = format!("d{}", self.shared.next.fetch_add(1, Ordering::Relaxed));
        self.shared.lock().sent.insert(id.clone(), (user, size));
        let answer = exchange(smtp, user, &message(&id, size))?;
        let mut state = self.shared.lock();
        match answer {
            Answer::Taken => {
                state.acknowledged.insert(id, SystemTime::now());
                return Ok(true);
            }
            Answer::Deferred(code) => state.defer(id, code),
            Answer::Refused(text) => state.refused.push(text),
        }
        Ok(false)
    }

    /// Answers that were neither 250 nor 4xx.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.shared.lock().refused.clone()
    }

    /// How often each code of 4xx came, since this was asked last.
    pub(crate) fn codes(&self) -> BTreeMap<u16, usize> {
        std::mem::take(&mut self.shared.lock().codes)
    }

    /// What was acknowledged in this time may be there or not.
    pub(crate) fn doubt(&mut self, from: SystemTime, to: SystemTime) {
        self.doubts.push((from, to));
    }

    /// How much of what is in doubt the last check missed.
    pub(crate) fn doubtful(&self) -> usize {
        self.doubtful
    }

    /// Everything in the ledger so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.shared.lock().acknowledged.len()
    }

    /// Sends once more what was deferred, as its senders do, some of it; how many are still deferred then.
    pub(crate) fn send_deferred(&self, node: &Node) -> anyhow::Result<usize> {
        let deferred: Vec<String> = self.shared.lock().deferred.iter().take(AGAIN).cloned().collect();
        let mut smtp = Smtp::connect(node.listener("smtp"))?;
        for id in deferred {
            let (user, size) = *self.shared.lock().sent.get(&id).context("was never sent")?;
            match exchange(&mut smtp, user, &message(&id, size))? {
                Answer::Taken => {
                    let mut state = self.shared.lock();
                    state.deferred.remove(&id);
                    state.acknowledged.insert(id, SystemTime::now());
                }
                Answer::Deferred(_) => break,
                Answer::Refused(text) => anyhow::bail!("{text}"),
            }
        }
        Ok(self.shared.lock().deferred.len())
    }

    /// Looks at all accounts and says what is wrong, in words; nothing if all is well.
    pub(crate) fn check(&mut self, node: &Node, users: usize) -> anyhow::Result<String> {
        let mut wrong: BTreeMap<&'static str, usize> = BTreeMap::new();
        self.doubtful = 0;
        for user in 0..users {
            for what in self.check_user(node, user).with_context(|| format!("u{user}"))? {
                *wrong.entry(what).or_default() += 1;
            }
        }
        let wrong: Vec<String> = wrong.iter().map(|(what, times)| format!("{what} {times}")).collect();
        Ok(wrong.join(", "))
    }

    fn check_user(&mut self, node: &Node, user: usize) -> anyhow::Result<Vec<&'static str>> {
        let mut wrong = Vec::new();
        let mut imap = Imap::login(node.listener("imap"), &format!("u{user}"), "secret")?;
        let selected = imap.must("SELECT INBOX (CONDSTORE)")?.text().join("\n");
        let number =
            |word: &str| number_after(&selected, word).with_context(|| format!("no {word} in {selected}"));
        let (validity, modseq) = (number("[UIDVALIDITY ")?, number("[HIGHESTMODSEQ ")?);
        let (validity_before, modseq_before) =
            self.seen.insert(user, (validity, modseq)).unwrap_or((validity, 0));
        if validity != validity_before {
            wrong.push("UIDVALIDITY changed");
        }
        if modseq < modseq_before {
            wrong.push("HIGHESTMODSEQ went back");
        }
        let (mut found, mut last, mut octets) = (BTreeMap::<String, usize>::new(), 0, 0);
        let messages = number_of(&selected, " EXISTS");
        for first in (1..=messages).step_by(50) {
            for line in page(&mut imap, first, messages.min(first + 49), &mut wrong)? {
                let (uid, body) = uid_and_body(&line)?;
                if uid <= last {
                    wrong.push("UIDs out of order");
                }
                (last, octets) = (uid, octets + body.len() as u64);
                match recognize(body) {
                    None => wrong.push("phantoms"),
                    Some((_, false)) => wrong.push("damaged bodies"),
                    Some((id, true)) => *found.entry(id).or_default() += 1,
                }
            }
        }
        let state = self.shared.lock();
        let mine = |id: &String| state.sent.get(id).is_some_and(|(to, _)| *to == user);
        let missing = state.acknowledged.iter().filter(|(id, _)| mine(id) && !found.contains_key(*id));
        for (_, when) in missing {
            // In doubt is not lost: it may be there or not.
            let doubtful = self.doubts.iter().any(|(from, to)| from <= when && when <= to);
            wrong.extend((!doubtful).then_some("lost"));
            self.doubtful += usize::from(doubtful);
        }
        wrong.extend(found.values().flat_map(|times| (1..*times).map(|_| "duplicates")));
        wrong.extend(found.keys().filter(|id| !mine(id)).map(|_| "phantoms"));
        drop(state);
        let (counted_octets, counted) = quota(node, &mut imap, user)?;
        if counted != messages || counted_octets != octets.div_ceil(1024) {
            wrong.push("wrong quota");
        }
        Ok(wrong)
    }
}

/// The messages of a range, one by one where one of them cannot be read.
fn page(
    imap: &mut Imap,
    first: u64,
    last: u64,
    wrong: &mut Vec<&'static str>,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let bodies = |reply: Reply| reply.untagged.into_iter().filter(|line| line.contains(&b'{'));
    let whole = imap.command(&format!("FETCH {first}:{last} (UID BODY.PEEK[])"))?;
    if whole.ok() {
        return Ok(bodies(whole).collect());
    }
    let mut lines = Vec::new();
    for number in first..=last {
        let one = imap.command(&format!("FETCH {number} (UID BODY.PEEK[])"))?;
        if one.ok() {
            lines.extend(bodies(one));
        } else {
            wrong.push("unreadable bodies");
        }
    }
    Ok(lines)
}

fn send_until_cut(shared: &Shared, address: &str, mix: Mix, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut smtp = Smtp::connect(address)?;
    while !stop.load(Ordering::Relaxed) {
        shared.send(&mut smtp, mix)?;
    }
    Ok(())
}

/// What is counted: units of 1,024 octets (RFC 9208 §5.1), and messages. Only accounts with a limit are told.
fn quota(node: &Node, imap: &mut Imap, user: usize) -> anyhow::Result<(u64, u64)> {
    let set = Command::new(binary()?)
        .args(["account", "quota", &format!("u{user}@example.test"), "1000000000000", "--data"])
        .arg(node.data())
        .args(["--admin", &format!("http://{}", node.listener("admin"))])
        .stdout(Stdio::null())
        .status()?;
    ensure!(set.success(), "the quota cannot be set");
    let told = imap.must("GETQUOTAROOT INBOX")?.text().join("\n");
    let storage = number_after(&told, "STORAGE ").with_context(|| told.clone())?;
    // Without a limit on messages they are not told; then the mailbox speaks for itself.
    let messages = match number_after(&told, "MESSAGE ") {
        Some(messages) => messages,
        None => number_after(&imap.must("STATUS INBOX (MESSAGES)")?.text().join("\n"), "MESSAGES ")
            .context("STATUS")?,
    };
    Ok((storage, messages))
}

fn number_after(text: &str, word: &str) -> Option<u64> {
    text.split(word).nth(1)?.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn number_of(text: &str, word: &str) -> u64 {
    let line = text.lines().find(|line| line.trim_end().ends_with(word.trim_end()));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_default()
}

/// UID and literal of a FETCH response.
pub(crate) fn uid_and_body(line: &[u8]) -> anyhow::Result<(u64, &[u8])> {
    let at = line.windows(2).position(|pair| pair == b"\r\n").context("no literal")?;
    let head = String::from_utf8_lossy(line.get(..at).unwrap_or_default()).into_owned();
    let size = head.rsplit('{').next().and_then(|size| size.trim_end_matches('}').parse::<usize>().ok());
    let size = size.with_context(|| head.clone())?;
    let body = line.get(at + 2..at + 2 + size).context("a short literal")?;
    Ok((number_after(&head, "UID ").context("no UID")?, body))
}
