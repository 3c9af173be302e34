//! A worker: one random operation after another, on any account, over any of its connections.

mod change;
mod look;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::Shared;
use crate::model::Row;
use crate::session::{Answer, Asked, Sender, Session};
use crate::time::Tick;

/// Sessions that a worker keeps open.
const KEPT: usize = 4;
/// One in so many operations begins with a new connection.
const FRESH: u32 = 6;
/// Messages that are sent over one connection.
const SENT: u32 = 20;

/// What an account should have, so that listings stay short and removals find something.
const MESSAGES: usize = 8;
const MAILBOXES: usize = 4;

pub(crate) struct Worker<'a> {
    shared: &'a Shared,
    rng: StdRng,
    sessions: Vec<(usize, Session)>,
    senders: BTreeMap<bool, Sender>,
    /// What a mailbox looked like when this worker last looked: what is planted.
    before: BTreeMap<(usize, u32), Vec<Row>>,
}

/// A mailbox that was chosen, by its name at that time.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    account: usize,
    name: String,
    contents: u32,
    begun: Tick,
}

pub(crate) fn run(shared: &Shared, number: usize) {
    let rng = StdRng::seed_from_u64(shared.options.seed.wrapping_mul(1_000_003) + number as u64);
    let (sessions, senders, before) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut worker = Worker { shared, rng, sessions, senders, before };
    while !shared.stop.load(Ordering::Relaxed) {
        worker.step();
    }
}

impl Worker<'_> {
    /// A change, and then often a look at what was changed, over another connection.
    fn step(&mut self) {
        let account = self.rng.random_range(0..self.shared.options.accounts);
        let begun = self.shared.clock.tick();
        self.shared.account(account).begin(begun);
        let chosen = self.choose(account, begun);
        self.act(&chosen);
        self.shared.account(account).end(begun, self.shared.clock.tick());
        if self.rng.random_range(0..2) == 0 {
            let begun = self.shared.clock.tick();
            self.shared.account(account).begin(begun);
            self.look(&Chosen { begun, ..chosen });
            self.shared.account(account).end(begun, self.shared.clock.tick());
        }
    }

    fn act(&mut self, chosen: &Chosen) {
        let count = {
            let account = self.shared.account(chosen.account);
            account.messages.get(&chosen.contents).map_or(0, Vec::len)
        };
        match self.rng.random_range(0..100) {
            _ if count > 2 * MESSAGES => self.remove(chosen),
            0..12 if count < MESSAGES => self.append(chosen),
            12..22 if count < MESSAGES => self.deliver(chosen.account),
            22..27 => self.mailbox(chosen),
            27..37 => self.copy(chosen),
            37..47 => self.remove(chosen),
            47..72 => self.store(chosen),
            _ => self.look(chosen),
        }
    }

    /// A mailbox that should be there.
    fn choose(&mut self, account: usize, begun: Tick) -> Chosen {
        let known = self.shared.account(account);
        let names: Vec<(&String, u32)> = known
            .names
            .iter()
            .filter(|(_, name)| name.gone.is_none())
            .map(|(name, known)| (name, known.contents))
            .collect();
        // INBOX is always one of them.
        let (name, contents) =
            names.choose(&mut self.rng).copied().map_or(("INBOX".to_owned(), 1), |(n, c)| (n.clone(), c));
        Chosen { account, name, contents, begun }
    }

    /// UIDs of some messages that nobody is about to remove, with their tokens.
    fn messages(&mut self, chosen: &Chosen, most: usize) -> Vec<(u32, u64)> {
        let known = self.shared.account(chosen.account);
        let messages = known.messages.get(&chosen.contents).into_iter().flatten();
        let messages: Vec<(u32, u64)> = messages
            .filter(|message| message.removed.is_empty())
            .filter_map(|message| Some((message.uid?, message.token)))
            .collect();
        messages.choose_multiple(&mut self.rng, most).copied().collect()
    }

    fn asked(&self, command: String) -> Asked {
        (self.shared.clock.tick(), command)
    }

    /// Asks over a kept connection or a new one. `None` if the connection broke, or the store did not answer in time: then
    /// what came of it is not known.
    fn burst(&mut self, account: usize, commands: &[Asked]) -> Option<Vec<Answer>> {
        let mut session = match self.session(account) {
            Ok(session) => session,
            Err(error) => {
                self.shared.refused(format!("u{account}: {error:#}"));
                return None;
            }
        };
        match session.burst(commands, &self.shared.clock) {
            Ok(answers) => {
                // What makes no sense after a mailbox was not found is counted by the server, which ends such sessions.
                if answers.iter().all(|answer| !answer.status.starts_with("BAD")) {
                    self.sessions.push((account, session));
                }
                if self.sessions.len() > KEPT {
                    self.sessions.remove(0);
                }
                if answers.iter().any(|answer| answer.status.starts_with("NO [UNAVAILABLE]")) {
                    self.shared.report().unavailable += 1;
                    return None;
                }
                Some(answers)
            }
            Err(error) => {
                if self.is_going(account, &session) {
                    self.shared.report().sent_away += 1;
                } else {
                    self.shared.refused(format!("u{account}: {error:#}"));
                }
                None
            }
        }
    }

    /// Whether the mailbox that is selected has been deleted or renamed, or may be right now.
    fn is_going(&self, account: usize, session: &Session) -> bool {
        let known = self.shared.account(account);
        let name = session.selected.as_ref();
        name.is_some_and(|name| known.names.get(name).is_none_or(|name| name.gone.is_some()))
    }

    fn session(&mut self, account: usize) -> anyhow::Result<Session> {
        let kept =
            self.sessions.iter().position(|(of, session)| *of == account && !self.is_going(account, session));
        match kept {
            Some(at) if self.rng.random_range(0..FRESH) != 0 => Ok(self.sessions.remove(at).1),
            _ => {
                self.shared.report().connections += 1;
                Session::login(&self.shared.endpoints.imap, account)
            }
        }
    }

    fn sender(&mut self, lmtp: bool) -> anyhow::Result<Sender> {
        match self.senders.remove(&lmtp) {
            Some(sender) if sender.used < SENT => Ok(sender),
            _ => {
                self.shared.report().connections += 1;
                let Endpoint { smtp, lmtp: local } = Endpoint::of(self.shared);
                Sender::connect(if lmtp { local } else { smtp }, lmtp)
            }
        }
    }

    /// A mailbox was found by its name, or not; what is neither is an error of the server's.
    fn named(&self, chosen: &Chosen, answer: &Answer) -> bool {
        let wrong = self.shared.account(chosen.account).named(&chosen.name, answer.span, answer.ok);
        let wrong = wrong.map(|wrong| format!("u{}: {wrong} ({})", chosen.account, answer.status));
        self.shared.judged("SELECT", 1, wrong);
        answer.ok
    }
}

struct Endpoint<'a> {
    smtp: &'a str,
    lmtp: &'a str,
}

impl<'a> Endpoint<'a> {
    fn of(shared: &'a Shared) -> Self {
        Endpoint { smtp: &shared.endpoints.smtp, lmtp: &shared.endpoints.lmtp }
    }
}
