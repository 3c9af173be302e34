//! Senders, who try again until they hear 250.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delivery::Delivery;
use kv::fault::Gate;
use parking_lot::Mutex;
use runtime::{CancellationToken, SharedRng};
use smtp::{Acceptor, Envelope, HeaderFacts, Recipient, RecipientVerdict, Role, SessionInfo};
use smtp_proto::{ClientName, Command, Reply};
use tokio::task::JoinSet;

use crate::world::USERS;

/// How long a sender waits for an answer before it gives the connection up. RFC 5321 §4.5.3.2 asks for ten minutes.
const ANSWER: Duration = Duration::from_secs(120);

/// What became of a message that was acknowledged.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fate {
    /// How often it was handed over without a 250 being heard.
    pub(crate) unheard: usize,
    /// Whether somebody elsewhere gets it too.
    pub(crate) remote: bool,
}

/// Where senders find the nodes: what runs now, by name.
pub(crate) type Doors = Arc<Mutex<BTreeMap<usize, (Delivery, Gate)>>>;

/// Senders at work.
pub(crate) struct Senders {
    tasks: JoinSet<BTreeMap<String, Fate>>,
    stop: CancellationToken,
}

impl Senders {
    pub(crate) fn start(count: usize, doors: &Doors, rng: &SharedRng) -> Self {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        for number in 0..count {
            let sender = Sender { number, doors: doors.clone(), rng: rng.clone() };
            tasks.spawn(sender.send_all(stop.clone()));
        }
        Senders { tasks, stop }
    }

    /// Ends when each has heard of its last message.
    pub(crate) async fn end(mut self) -> BTreeMap<String, Fate> {
        self.stop.cancel();
        let mut ledger = BTreeMap::new();
        while let Some(of_sender) = self.tasks.join_next().await {
            ledger.extend(of_sender.unwrap());
        }
        ledger
    }
}

struct Sender {
    number: usize,
    doors: Doors,
    rng: SharedRng,
}

impl Sender {
    async fn send_all(self, stop: CancellationToken) -> BTreeMap<String, Fate> {
        let mut ledger = BTreeMap::new();
        while !stop.is_cancelled() {
            let id = format!("{}-{}", self.number, ledger.len());
            let mut fate = Fate { unheard: 0, remote: self.rng.below(3) == 0 };
            let user = self.rng.below(USERS);
            while !self.send(&id, user, fate.remote).await {
                fate.unheard += 1;
                self.pause(2_000).await;
            }
            ledger.insert(id, fate);
            self.pause(1_500).await;
        }
        ledger
    }

    async fn pause(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(1 + self.rng.below(millis))).await;
    }

    /// Whether 250 was heard.
    async fn send(&self, id: &str, user: u64, remote: bool) -> bool {
        let door = {
            let doors = self.doors.lock();
            let nth = usize::try_from(self.rng.below(doors.len().max(1) as u64)).unwrap();
            doors.values().nth(nth).cloned()
        };
        let Some((delivery, gate)) = door else { return false };
        let mut to = vec![format!("<u{user}@example.test>")];
        if remote {
            to.push(format!("<x@d{}.example>", self.rng.below(6)));
        }
        let answer = tokio::time::timeout(ANSWER, hand_over(&delivery, &to, id, &gate)).await;
        answer.is_ok_and(|reply| reply.is_some_and(|reply| reply.code == 250))
    }
}

async fn hand_over(delivery: &Delivery, to: &[String], id: &str, gate: &Gate) -> Option<Reply> {
    gate.pass().await;
    let session = SessionInfo {
        role: Role::Submission,
        peer: "192.0.2.7:1234".parse().unwrap(),
        local: "192.0.2.1:587".parse().unwrap(),
        hello: ClientName::new("client.example"),
        extended: true,
        tls: None,
        identity: None,
    };
    let Command::Mail(mail) = Command::parse(b"MAIL FROM:<s@elsewhere.example>").unwrap() else {
        panic!("no MAIL")
    };
    let mut envelope = Envelope { from: mail.from, params: mail.params, recipients: Vec::new() };
    for path in to {
        let Command::Rcpt(rcpt) = Command::parse(format!("RCPT TO:{path}").as_bytes()).unwrap() else {
            panic!("no RCPT");
        };
        match delivery.recipient(&session, &envelope, &rcpt).await {
            RecipientVerdict::Local | RecipientVerdict::Relay => {
                envelope.recipients.push(Recipient { path: rcpt.to, params: rcpt.params });
            }
            _ => return None,
        }
    }
    let mut body = delivery.body(&session, &envelope).await.ok()?;
    let text = format!("From: s@elsewhere.example\r\nSubject: {id}\r\nX-Id: {id}\r\n\r\nhello\r\n");
    body.write(text.as_bytes()).await.ok()?;
    let replies = body.accept(&session, envelope, &HeaderFacts::default()).await;
    // A process that sleeps says nothing, whatever it knows.
    gate.pass().await;
    replies.into_iter().next()
}
