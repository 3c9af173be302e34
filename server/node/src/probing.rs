//! The node sends itself a message from time to time, by the way that all mail takes, reads it, and removes it: if that
//! works, mail arrives. It is not the listeners that are looked at, but all behind them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use accounts::{Accounts, DomainSettings, Kind, NewAccount, Quota};
use admin::Registrar;
use admin::cluster::MailProbe;
use delivery::Delivery;
use mail::{FlagChange, MailboxRef, Role, UidSet};
use parking_lot::Mutex;
use runtime::{SharedClock, SharedRng, Supervisor};
use schema::{Flags, SystemFlags};
use smtp::{Acceptor, Envelope, HeaderFacts, Recipient, SessionInfo};
use smtp_proto::{ForwardPath, MailParams, Mailbox, RcptParams, ReversePath};

use crate::config::{PROBE_MAILBOX, Probe};
use crate::reload::Reloader;

/// How long a message may take.
const LONGEST: Duration = Duration::from_secs(20);

/// How often it is looked whether one is due.
const LOOK: Duration = Duration::from_secs(1);

/// Messages of nodes that did not come to remove theirs are removed after so long, in seconds.
const LEFT_OVER: i64 = 600;

/// What the mailbox may take up, in octets.
const QUOTA: u64 = 10 << 20;

/// Messages that are looked through for the node's own.
const PAGE: usize = 200;

/// Larger ones are none of ours, in octets.
const LARGEST: u64 = 4096;

/// The subject, by which a message of ours is known among others.
const SUBJECT: &str = "godwit probe";

/// What the messages are sent and read with.
#[derive(Clone)]
pub(crate) struct Prober {
    pub(crate) accounts: Accounts,
    pub(crate) registrar: Arc<dyn Registrar>,
    pub(crate) delivery: Delivery,
    pub(crate) mail: mail::Store,
    pub(crate) clock: SharedClock,
    pub(crate) rng: SharedRng,
    pub(crate) name: String,
    pub(crate) outcome: Arc<Mutex<Option<MailProbe>>>,
}

impl Prober {
    /// Sends one as often as the configuration says, which may change.
    pub(crate) fn spawn(self, reloader: Reloader, supervisor: &Supervisor) {
        let last: Arc<Mutex<Option<Duration>>> = Arc::default();
        supervisor.spawn_recurring("mail-probe", LOOK, move || {
            let (prober, probe, last) = (self.clone(), reloader.config().probe, Arc::clone(&last));
            async move { prober.once_due(&probe, &last).await }
        });
    }

    async fn once_due(&self, probe: &Probe, last: &Mutex<Option<Duration>>) {
        let (now, interval) = (self.clock.monotonic(), probe.interval.get());
        if interval.is_zero() {
            *self.outcome.lock() = None;
            return;
        }
        if last.lock().is_some_and(|last| now.saturating_sub(last) < interval) {
            return;
        }
        *last.lock() = Some(now);
        let sent = tokio::time::timeout(LONGEST, self.send_and_read(probe)).await;
        let sent = sent.unwrap_or_else(|_| Err(format!("nothing within {LONGEST:?}")));
        let took = self.clock.monotonic().saturating_sub(now);
        self.note(sent, took);
    }

    fn note(&self, sent: Result<(), String>, took: Duration) {
        let mut outcome = self.outcome.lock();
        let before = outcome.take().unwrap_or_default();
        *outcome = Some(match sent {
            Ok(()) => {
                metrics::histogram!("mail_probe_seconds").record(took);
                let latency = u64::try_from(took.as_millis()).ok();
                MailProbe { latency, arrived: Some(self.clock.now().millis()), error: None }
            }
            Err(error) => {
                metrics::counter!("mail_probe_failures_total").increment(1);
                tracing::warn!(error, "the message that this node sent itself did not arrive");
                MailProbe { error: Some(error), ..before }
            }
        });
    }

    async fn send_and_read(&self, probe: &Probe) -> Result<(), String> {
        let address = probe.mailbox.as_deref().unwrap_or(PROBE_MAILBOX);
        let inbox = self.inbox(address, probe.mailbox.is_none()).await?;
        let next = self.mail.status(inbox).await.map_err(text)?.uid_next;
        let word = format!("{:016x}{:016x}", self.rng.u64(), self.rng.u64());
        self.send(address, &word).await?;
        let uid = self.find(inbox, next, &word).await?;
        self.clear(inbox, uid, probe.mailbox.is_none()).await
    }

    /// The mailbox that the messages go to, made if it is ours to make.
    async fn inbox(&self, address: &str, own: bool) -> Result<MailboxRef, String> {
        let account = match self.accounts.find(address).await.map_err(text)? {
            Some(account) => account.id,
            None if own => self.make(address).await?,
            None => return Err(format!("there is no account {address}")),
        };
        let inbox = self.mail.with_role(account, Role::Inbox).await.map_err(text)?;
        let mailbox = inbox.ok_or_else(|| format!("{address} has no mailbox"))?;
        Ok(MailboxRef { account, mailbox })
    }

    async fn make(&self, address: &str) -> Result<schema::AccountId, String> {
        let domain = address.rsplit_once('@').map_or(address, |(_, domain)| domain);
        match self.accounts.create_domain(domain, DomainSettings::default()).await {
            Ok(_) | Err(accounts::Error::AlreadyExists(_)) => {}
            Err(error) => return Err(text(error)),
        }
        // Nobody else's mail belongs there; what comes all the same must not grow.
        let quota = Quota { bytes: Some(QUOTA), messages: None };
        let new = NewAccount { quota, ..NewAccount::new(Kind::Person, address) };
        match self.registrar.create(&new).await {
            Ok(account) => Ok(account),
            // Another node has made it meanwhile.
            Err(accounts::Error::AlreadyExists(_)) => {
                let found = self.accounts.find(address).await.map_err(text)?;
                found.map(|account| account.id).ok_or_else(|| format!("there is no account {address}"))
            }
            Err(error) => Err(text(error)),
        }
    }

    async fn send(&self, address: &str, word: &str) -> Result<(), String> {
        let none = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let session = SessionInfo {
            role: smtp::Role::Mx,
            peer: none,
            local: none,
            hello: None,
            extended: true,
            tls: None,
            identity: None,
        };
        let mailbox = Mailbox::parse(address).ok_or("the mailbox is no address")?;
        let path = ForwardPath::Mailbox(mailbox);
        let recipients = vec![Recipient { path, params: RcptParams::default() }];
        let envelope = Envelope { from: ReversePath::Null, params: MailParams::default(), recipients };
        let message = format!(
            "From: <{address}>\r\nTo: <{address}>\r\nSubject: {SUBJECT}\r\nMessage-ID: <{word}@godwit.invalid>\r\n\
             Auto-Submitted: auto-generated\r\n\r\nNode {} looks whether mail arrives.\r\n",
            self.name
        );
        let refused = |reply: smtp_proto::Reply| format!("refused with {reply:?}");
        let mut body = self.delivery.body(&session, &envelope).await.map_err(refused)?;
        body.write(message.as_bytes()).await.map_err(refused)?;
        let replies = body.accept(&session, envelope, &HeaderFacts::default()).await;
        match replies.into_iter().next() {
            Some(reply) if reply.code == 250 => Ok(()),
            reply => Err(format!("refused with {reply:?}")),
        }
    }

    /// The message by its word, among those that came since.
    async fn find(&self, inbox: MailboxRef, from: u32, word: &str) -> Result<u32, String> {
        let page = self.mail.messages(inbox, from..=u32::MAX, PAGE).await.map_err(text)?;
        for row in page.rows.iter().filter(|row| row.size < LARGEST) {
            let body = self.mail.body(row.blob, 0..row.size).await.map_err(text)?;
            if body.windows(word.len()).any(|at| at == word.as_bytes()) {
                return Ok(row.uid);
            }
        }
        Err("it was taken, and is not in its mailbox".to_owned())
    }

    /// Removes it, and what is left of others like it; of a mailbox of our own everything.
    async fn clear(&self, inbox: MailboxRef, uid: u32, own: bool) -> Result<(), String> {
        let mut gone = UidSet::from_ranges([uid..=uid]);
        let before = self.clock.now().secs() - LEFT_OVER;
        let page = self.mail.messages(inbox, 1..=uid, PAGE).await.map_err(text)?;
        for row in page.rows.iter().filter(|row| row.save_date < before) {
            let summary = self.mail.summary(inbox.account, row.email).await.map_err(text)?;
            if own || summary.base_subject == SUBJECT {
                gone.insert(row.uid);
            }
        }
        let deleted = Flags { system: SystemFlags::DELETED, ..Flags::default() };
        let deleted = FlagChange::Add(deleted);
        self.mail.store_flags(inbox, &gone, &deleted, None).await.map_err(text)?;
        self.mail.expunge(inbox, Some(&gone)).await.map_err(text)?;
        Ok(())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
