//! Sessions of readers, one on each node, that do what readers do: what they hear, and how long it takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use harness::{Imap, Node};

use crate::fleet::Struck;

/// Between two commands.
const PAUSE: Duration = Duration::from_millis(100);
/// What a node may take to be itself again after it was hit.
const AFTER: Duration = Duration::from_secs(5);

/// A command, or a session.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) node: usize,
    pub(crate) begun: Instant,
    pub(crate) took: Duration,
    /// What was not well.
    pub(crate) trouble: Option<String>,
}

/// Readers at work.
#[derive(Default)]
pub(crate) struct Readers {
    heard: Arc<Mutex<Vec<Heard>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// A reader of a node, in the network of the calling thread.
    pub(crate) fn read(&mut self, number: usize, node: &Node) {
        let address = node.listener("imap").to_owned();
        let (heard, stop) = (Arc::clone(&self.heard), Arc::clone(&self.stop));
        let note = move |begun: Instant, trouble: Option<String>| {
            let one = Heard { node: number, begun, took: begun.elapsed(), trouble };
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(one);
        };
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                if let Err(error) = session(&address, &stop, &note) {
                    note(begun.max(Instant::now() - PAUSE), Some(format!("{error:#}")));
                    std::thread::sleep(PAUSE);
                }
            }
        }));
    }

    /// All that was heard so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends them. Says how many commands were answered where nothing had been done to the node, the longest wait, and what was
    /// not well there.
    pub(crate) fn stop(mut self, struck: &[Struck]) -> (usize, Duration, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        let was_hit = |one: &Heard| {
            let end = one.begun + one.took;
            struck
                .iter()
                .any(|s| s.node == one.node && end >= s.from && s.to.is_none_or(|to| one.begun <= to + AFTER))
        };
        let calm: Vec<Heard> = self.heard().into_iter().filter(|one| !was_hit(one)).collect();
        let longest = calm.iter().map(|one| one.took).max().unwrap_or_default();
        let trouble = calm.iter().filter_map(|one| one.trouble.clone()).collect();
        (calm.len(), longest, trouble)
    }
}

fn session(address: &str, stop: &AtomicBool, note: &impl Fn(Instant, Option<String>)) -> anyhow::Result<()> {
    let mut imap = Imap::login(address, "u1", "secret")?;
    imap.must("SELECT INBOX")?;
    for command in
        ["NOOP", "STATUS INBOX (MESSAGES UNSEEN)", "UID FETCH * (FLAGS)", "STORE 1 +FLAGS.SILENT (\\Seen)"]
            .into_iter()
            .cycle()
    {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let begun = Instant::now();
        let reply = imap.command(command)?;
        // BAD is what STORE 1 gets while there is no message.
        note(begun, reply.status.starts_with("NO").then(|| reply.status.clone()));
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
