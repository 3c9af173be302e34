//! The outbound runner: takes what is due in each slot, attempts it, and settles what became of it.
//!
//! One task per slot works through its entries, a few at a time so that a destination that does not answer holds up
//! no other, and keeps connections for the next entry of the same destination. It wakes when something is queued, when the next entry is due, and now and then anyway, since a
//! watch can be lost.
//!
//! Crash points: before `begin_attempt` is committed nothing was accepted elsewhere; after it and before `settle` the
//! remote server may have accepted, and the next attempt may make a duplicate. That window is counted.

use std::sync::Arc;
use std::time::Duration;

use content_mail::build::Action;
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use runtime::{Supervisor, TaskKind, Timestamp};
use smtp_proto::{
    Enhanced, EnvelopeId, ForwardPath, MailParams, Mailbox, OriginalRecipient, Rcpt, RcptParams, ReversePath,
};
use spool::{BodyType, Claimed, Entry, Notify, Outcome, Recipient, Reply, Ret};

use super::client::{Client, ClientOptions, Outgoing};
use super::failure::Failure;
use super::resolver::Resolver;
use super::route::{Routing, route};
use super::schedule::Schedule;
use crate::accept::Delivery;
use crate::commit::deliver_own_in;
use crate::report::{self, Report, Subject};
use crate::{Error, SharedRef};

/// Entries of a slot that are claimed in one look.
const LOOK: usize = 100;
/// A look without a reason, in case a watch was lost.
const ANYWAY: Duration = Duration::from_secs(30);
/// After a failure of the store.
const PAUSE: Duration = Duration::from_secs(2);
/// Messages over one connection.
const PER_CONNECTION: u32 = 100;
/// Entries of a slot that are attempted at once: the most connections a destination gets from us.
const AT_ONCE: usize = 8;

/// How mail is sent on.
pub struct RunnerOptions {
    /// This node's name, in the slots' owner rows.
    pub node: String,
    /// How connections behave.
    pub client: ClientOptions,
    /// How servers are found.
    pub routing: Routing,
    /// When it is tried again.
    pub schedule: Schedule,
}

/// Sends mail on. A cheap handle.
#[derive(Clone)]
pub struct Runner {
    shared: SharedRef,
    resolver: Arc<dyn Resolver>,
    options: Arc<RunnerOptions>,
    /// Slots are taken one by one: each takes the next epoch, and all at once would only conflict.
    turns: Arc<tokio::sync::Mutex<()>>,
}

/// A connection kept for the next entry of its destination.
struct Kept {
    domain: String,
    client: Client,
}

/// The connections that a slot keeps.
#[derive(Default)]
struct Pool(Mutex<Vec<Kept>>);

impl Pool {
    fn take(&self, domain: &str) -> Option<Client> {
        let mut kept = self.0.lock();
        let at = kept.iter().position(|kept| kept.domain == domain)?;
        Some(kept.swap_remove(at).client)
    }

    fn keep(&self, domain: &str, client: Client) {
        let mut kept = self.0.lock();
        // One that has no room is dropped, which closes it.
        if kept.len() < AT_ONCE {
            kept.push(Kept { domain: domain.to_owned(), client });
        }
    }

    async fn close(self) {
        let kept = self.0.into_inner();
        futures::future::join_all(kept.into_iter().map(|kept| kept.client.quit())).await;
    }
}

impl Runner {
    /// Over the services of an acceptor.
    #[must_use]
    pub fn new(delivery: &Delivery, resolver: Arc<dyn Resolver>, options: RunnerOptions) -> Self {
        let (shared, options) = (Arc::clone(&delivery.shared), Arc::new(options));
        Self { shared, resolver, options, turns: Arc::default() }
    }

    /// Works on every slot until the drain.
    pub fn spawn(&self, supervisor: &Supervisor) {
        for slot in 0..schema::keys::queue::SLOTS {
            let (runner, shutdown) = (self.clone(), supervisor.shutdown().clone());
            supervisor.spawn(TaskKind::Background, "outbound", async move {
                while !shutdown.is_draining() {
                    if let Err(error) = runner.own_and_work(slot, &shutdown).await {
                        tracing::warn!(%error, slot, "queue slot stopped, beginning again");
                        tokio::select! {
                            () = shutdown.drain.cancelled() => {}
                            () = tokio::time::sleep(PAUSE) => {}
                        }
                    }
                }
            });
        }
    }

    async fn own_and_work(&self, slot: u16, shutdown: &runtime::Shutdown) -> Result<(), Error> {
        let spool = &self.shared.services.spool;
        let turn = self.turns.lock().await;
        let epoch = spool.own(slot, &self.options.node).await?;
        drop(turn);
        let recovered = spool.recover(slot, epoch).await?;
        if recovered > 0 {
            tracing::info!(slot, recovered, "attempts of an earlier owner taken over");
        }
        while !shutdown.is_draining() {
            // Watched before the look, so that what is queued in between wakes us.
            let watch = spool.watch(slot).await?;
            let next = self.work(slot, epoch, shutdown).await?;
            let now = self.shared.services.clock.now();
            let wait = next.map_or(ANYWAY, |next| next.since(now).min(ANYWAY));
            tokio::select! {
                () = shutdown.drain.cancelled() => {}
                _ = watch => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        Ok(())
    }

    /// Attempts all that is due; says when the next is.
    async fn work(
        &self,
        slot: u16,
        epoch: u64,
        shutdown: &runtime::Shutdown,
    ) -> Result<Option<Timestamp>, Error> {
        let spool = &self.shared.services.spool;
        let kept = Pool::default();
        loop {
            let due = spool.due(slot, LOOK).await?;
            if due.entries.is_empty() || shutdown.is_draining() {
                kept.close().await;
                return Ok(due.next);
            }
            let pool = &kept;
            futures::stream::iter(due.entries.into_iter().map(Ok))
                .try_for_each_concurrent(AT_ONCE, |id| async move {
                    if shutdown.is_draining() {
                        return Ok(());
                    }
                    match spool.claim(id, epoch).await? {
                        Some(claimed) => Box::pin(self.attempt(&claimed, pool)).await,
                        None => Ok(()),
                    }
                })
                .await?;
        }
    }

    async fn attempt(&self, claimed: &Claimed, kept: &Pool) -> Result<(), Error> {
        let entry = &claimed.entry;
        let pending: Vec<usize> = entry.pending().collect();
        let doubtful = pending
            .iter()
            .filter(|n| entry.recipients.get(**n).is_some_and(|r| r.in_doubt.is_some()))
            .count();
        metrics::counter!("outbound_attempts_in_doubt_total").increment(doubtful as u64);
        let sent = self.send(claimed, &pending, kept).await;
        let now = self.shared.services.clock.now();
        let expired = now >= entry.expires;
        let dsn = sent.as_ref().is_ok_and(|sent| sent.dsn);
        let outcomes: Vec<(usize, Outcome)> = match sent {
            Ok(Sent { replies, .. }) => {
                pending.iter().copied().zip(replies.into_iter().map(|r| outcome(r, now, expired))).collect()
            }
            Err(failure) => {
                tracing::debug!(domain = %entry.domain, %failure, "attempt failed");
                pending.iter().map(|n| (*n, outcome(Err(failure.clone()), now, expired))).collect()
            }
        };
        for (_, outcome) in &outcomes {
            let label = match outcome {
                Outcome::Delivered(_) => "delivered",
                Outcome::Failed(_) => "failed",
                Outcome::Deferred(_) => "deferred",
            };
            metrics::counter!("outbound_recipients_total", "outcome" => label).increment(1);
        }
        self.settle(claimed, &outcomes, now, dsn).await
    }

    async fn send(&self, claimed: &Claimed, pending: &[usize], kept: &Pool) -> Result<Sent, Failure> {
        let entry = &claimed.entry;
        let envelope = Envelope::of(entry, pending)?;
        let mut client = self.client(&entry.domain, kept).await?;
        let spool = &self.shared.services.spool;
        // Only a server that takes no such bodies makes it worth a look whether it is one.
        let declared = entry.body != BodyType::SevenBit;
        let body_8bit = declared && (client.capabilities().eight_bit_mime || self.has_8bit(entry).await?);
        let body = Box::pin(self.body(entry));
        let before_dot = async {
            let begun = spool.begin_attempt(claimed, pending).await;
            begun.map_err(|e| {
                Failure::transient(Enhanced::new(4, 3, 0), format!("the attempt cannot be recorded: {e}"))
            })
        };
        let outgoing = Outgoing {
            from: &envelope.from,
            params: &envelope.params,
            recipients: &envelope.recipients,
            size: entry.size,
            header_8bit: entry.smtputf8,
            body_8bit,
        };
        let sent = client.send(&outgoing, body, before_dot).await;
        let dsn = client.capabilities().dsn;
        // After a failure nothing more may be said, not even QUIT: it could be taken for a part of the message.
        let replies = sent?;
        if client.transactions() < PER_CONNECTION {
            kept.keep(&entry.domain, client);
        } else {
            client.quit().await;
        }
        Ok(Sent { replies, dsn })
    }

    fn body(
        &self,
        entry: &Entry,
    ) -> impl futures::Stream<Item = Result<bytes::Bytes, Failure>> + Send + use<> {
        let pieces = self.shared.services.mail.blobs().stream(entry.blob, 0..entry.size);
        pieces.map(|piece| {
            piece.map_err(|error| {
                Failure::transient(Enhanced::new(4, 3, 0), format!("the message cannot be read: {error}"))
            })
        })
    }

    async fn has_8bit(&self, entry: &Entry) -> Result<bool, Failure> {
        let mut pieces = Box::pin(self.body(entry));
        while let Some(piece) = pieces.next().await {
            if !piece?.is_ascii() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The kept connection if it leads there, or a new one to the first server that answers.
    async fn client(&self, domain: &str, kept: &Pool) -> Result<Client, Failure> {
        while let Some(mut client) = kept.take(domain) {
            // The server may have closed it meanwhile.
            if client.reset().await.is_ok() {
                return Ok(client);
            }
        }
        let services = &self.shared.services;
        let targets = route(&self.options.routing, &*self.resolver, &*services.rng, domain).await?;
        let mut last = Failure::transient(Enhanced::new(4, 4, 1), "no server answers");
        for target in &targets {
            match Client::connect(target, &self.options.client).await {
                Ok(client) => return Ok(client),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// Records what became of the recipients, and tells the sender, in one transaction.
    async fn settle(
        &self,
        claimed: &Claimed,
        outcomes: &[(usize, Outcome)],
        now: Timestamp,
        dsn: bool,
    ) -> Result<(), Error> {
        let entry = &claimed.entry;
        let services = &self.shared.services;
        let attempts = entry.recipients.iter().map(|r| r.attempts).max().unwrap_or_default() + 1;
        let next = (now + self.options.schedule.wait(attempts, &*services.rng)).min(entry.expires.max(now));
        let late = !entry.delay_reported && now.since(entry.created) >= self.options.schedule.delay_notice;
        let reports = reports(entry, outcomes, late, dsn);
        let told_of_delay = reports.iter().any(|r| r.action == Action::Delayed);
        let notice = if reports.is_empty() { None } else { Some(self.notice(entry, &reports).await?) };
        let notice = notice.as_ref();
        let (pending, version) = services
            .db
            .transact_versioned("delivery.settle", |txn| async move {
                services.spool.settle_in(&txn, claimed, outcomes, next, told_of_delay).await?;
                match notice {
                    Some(notice) => deliver_own_in(&self.shared, &txn, &entry.return_path, notice).await,
                    None => Ok(Vec::new()),
                }
            })
            .await?;
        for pending in &pending {
            services.mail.committed(pending, version);
        }
        Ok(())
    }

    async fn notice(&self, entry: &Entry, reports: &[Report]) -> Result<report::Notice, Error> {
        let full = entry.ret == Ret::Full && reports.iter().any(|r| r.action == Action::Failed);
        let most = if full { 1 << 20 } else { 64 * 1024 };
        let blobs = self.shared.services.mail.blobs();
        let original = blobs.read(entry.blob, 0..entry.size.min(most)).await?;
        let subject = Subject {
            return_path: &entry.return_path,
            envid: entry.envid.as_deref(),
            arrival: entry.created,
            original: &original,
            full,
        };
        report::notice(&self.shared, &subject, reports).await
    }
}

/// What a server said to a message.
struct Sent {
    /// To each recipient.
    replies: Vec<Result<smtp_proto::Reply, Failure>>,
    /// Whether it speaks DSN.
    dsn: bool,
}

/// An entry's envelope in the codec's types.
struct Envelope {
    from: ReversePath,
    params: MailParams,
    recipients: Vec<Rcpt>,
}

impl Envelope {
    fn of(entry: &Entry, pending: &[usize]) -> Result<Self, Failure> {
        let unusable = || Failure::permanent(Enhanced::new(5, 1, 3), "the address cannot be used");
        let from = match entry.return_path.as_str() {
            "" => ReversePath::Null,
            path => ReversePath::Mailbox(Mailbox::parse(path).ok_or_else(unusable)?),
        };
        let rcpt = |n: &usize| {
            let recipient = entry.recipients.get(*n)?;
            let to = ForwardPath::Mailbox(Mailbox::parse(&recipient.address)?);
            Some(Rcpt { to, params: RcptParams { notify: notify(recipient), orcpt: orcpt(recipient) } })
        };
        let recipients = pending.iter().map(rcpt).collect::<Option<Vec<_>>>().ok_or_else(unusable)?;
        let params = MailParams {
            size: Some(entry.size),
            body: match entry.body {
                BodyType::SevenBit => None,
                BodyType::EightBitMime => Some(smtp_proto::BodyType::EightBitMime),
                BodyType::BinaryMime => Some(smtp_proto::BodyType::BinaryMime),
            },
            smtputf8: entry.smtputf8,
            ret: match entry.ret {
                Ret::Unspecified => None,
                Ret::Full => Some(smtp_proto::Ret::Full),
                Ret::Headers => Some(smtp_proto::Ret::Headers),
            },
            envid: entry.envid.as_deref().and_then(EnvelopeId::new),
            auth: None,
        };
        Ok(Self { from, params, recipients })
    }
}

fn notify(recipient: &Recipient) -> Option<smtp_proto::Notify> {
    let bits = recipient.notify.0;
    let has = |n: Notify| bits & n.0 != 0;
    (bits != 0).then(|| smtp_proto::Notify {
        success: has(Notify::SUCCESS),
        failure: has(Notify::FAILURE),
        delay: has(Notify::DELAY),
    })
}

fn orcpt(recipient: &Recipient) -> Option<OriginalRecipient> {
    let (kind, address) = recipient.orcpt.as_deref()?.split_once(';')?;
    OriginalRecipient::new(kind, address)
}

/// What a reply or failure means for a recipient. RFC 3463 X.4.7: what is still not sent when it expires has failed.
fn outcome(result: Result<smtp_proto::Reply, Failure>, now: Timestamp, expired: bool) -> Outcome {
    match result {
        Ok(reply) => Outcome::Delivered(Reply {
            code: reply.code,
            enhanced: reply.status().to_string(),
            text: reply.lines().join(" "),
            host: String::new(),
            time: now,
        }),
        Err(failure) => {
            let enhanced =
                if expired && !failure.permanent { "4.4.7".to_owned() } else { failure.status.to_string() };
            let reply = Reply {
                code: failure
                    .diagnostic
                    .as_deref()
                    .and_then(|d| d.get(..3)?.parse().ok())
                    .unwrap_or_default(),
                enhanced,
                text: failure.diagnostic.unwrap_or(failure.text),
                host: failure.remote.unwrap_or_default(),
                time: now,
            };
            if failure.permanent || expired { Outcome::Failed(reply) } else { Outcome::Deferred(reply) }
        }
    }
}

/// What the sender is to hear of; nothing if there is none (RFC 5321 §4.5.5).
fn reports(entry: &Entry, outcomes: &[(usize, Outcome)], late: bool, dsn: bool) -> Vec<Report> {
    if entry.return_path.is_empty() {
        return Vec::new();
    }
    let report = |(number, outcome): &(usize, Outcome)| {
        let recipient = entry.recipients.get(*number)?;
        let (action, reply) = match outcome {
            // RFC 3461 §5.2.1, §5.2.2: a server that speaks DSN got NOTIFY from us and tells the sender itself.
            Outcome::Delivered(reply) if !dsn && recipient.notify.0 & Notify::SUCCESS.0 != 0 => {
                (Action::Relayed, reply)
            }
            Outcome::Failed(reply) if recipient.notify.wants(Notify::FAILURE) => (Action::Failed, reply),
            Outcome::Deferred(reply) if late && recipient.notify.wants(Notify::DELAY) => {
                (Action::Delayed, reply)
            }
            _ => return None,
        };
        let delayed = action == Action::Delayed;
        Some(Report {
            address: recipient.address.clone(),
            original: recipient.orcpt.clone(),
            action,
            status: reply.enhanced.clone(),
            diagnostic: (reply.code != 0).then(|| reply.text.clone()),
            remote: Some(reply.host.clone()).filter(|h| !h.is_empty()),
            last_attempt: Some(reply.time.secs()),
            retry_until: delayed.then(|| entry.expires.secs()),
        })
    };
    outcomes.iter().filter_map(report).collect()
}
