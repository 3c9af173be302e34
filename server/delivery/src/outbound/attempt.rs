//! One attempt to send an entry: find its server, hand the message over, settle what became of it.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use ownership::Tenure;
use smtp_proto::Enhanced;
use spool::{Claimed, Outcome};

use super::client::{Client, Outgoing};
use super::destination::{Seen, Way};
use super::envelope::Envelope;
use super::failure::Failure;
use super::lookups::Route;
use super::outcome::outcome;
use super::pool::Pool;
use super::runner::{Runner, caught};
use crate::Error;

/// An attempt for an entry that was claimed.
pub(super) struct Attempt<'a> {
    pub(super) runner: &'a Runner,
    pub(super) pool: &'a Pool,
    pub(super) tenure: &'a Tenure,
    pub(super) claimed: &'a Claimed,
}

/// What a server said to a message.
pub(super) struct Sent {
    /// To each recipient.
    replies: Vec<Result<smtp_proto::Reply, Failure>>,
    /// Whether it speaks DSN.
    dsn: bool,
}

impl Attempt<'_> {
    /// Attempts and settles; or only settles, if the destination is to be left alone and no operator insists.
    pub(super) async fn run(&self, way: Way) -> Result<Seen, Error> {
        let entry = &self.claimed.entry;
        let pending: Vec<usize> = entry.pending().collect();
        let (outage, route) = match way {
            Way::Closed(outage) if !entry.urgent => (Some(outage), None),
            Way::Closed(_) => (None, None),
            Way::Open(route) => (None, route),
        };
        let (sent, seen) = match &outage {
            Some(outage) => (Err(outage.failure.clone()), Seen::Nothing),
            None => self.guarded(&pending, route).await,
        };
        let now = self.runner.shared.services.clock.now();
        let expired = now >= entry.expires;
        let dsn = sent.as_ref().is_ok_and(|sent| sent.dsn);
        let outcomes: Vec<(usize, Outcome)> = match sent {
            Ok(Sent { replies, .. }) => pending
                .into_iter()
                .zip(replies.into_iter().map(|reply| outcome(reply, now, expired)))
                .collect(),
            Err(failure) => {
                tracing::debug!(domain = %entry.domain, %failure, "attempt failed");
                let outcome = outcome(Err(failure), now, expired);
                pending.into_iter().map(|number| (number, outcome.clone())).collect()
            }
        };
        self.settle(&outcomes, outage.map(|outage| outage.until), dsn).await?;
        Ok(seen)
    }

    /// [`Attempt::send`]; a panic in it is a failure that passes.
    async fn guarded(&self, pending: &[usize], route: Option<Route>) -> (Result<Sent, Failure>, Seen) {
        let entry = &self.claimed.entry;
        let doubtful = |n: &&usize| entry.recipients.get(**n).is_some_and(|r| r.in_doubt.is_some());
        in_doubt(pending.iter().filter(doubtful).count());
        caught(Box::pin(self.send(pending, route))).await.unwrap_or_else(|| {
            tracing::error!(id = %entry.id, domain = %entry.domain, "attempt panicked");
            (Err(Failure::transient(Enhanced::new(4, 3, 0), "internal error")), Seen::Nothing)
        })
    }

    async fn send(&self, pending: &[usize], route: Option<Route>) -> (Result<Sent, Failure>, Seen) {
        let entry = &self.claimed.entry;
        let envelope = match Envelope::of(entry, pending) {
            Ok(envelope) => envelope,
            Err(failure) => return (Err(failure), Seen::Nothing),
        };
        let client = match self.client(route).await {
            Ok(client) => client,
            Err(failure) if failure.permanent => return (Err(failure), Seen::Answered),
            Err(failure) => return (Err(failure.clone()), Seen::Unreachable(failure)),
        };
        let sent = self.hand_over(client, &envelope, pending).await;
        let seen = match &sent {
            Err(failure) if failure.is_lost_connection() => Seen::Unreachable(failure.clone()),
            _ => Seen::Answered,
        };
        (sent, seen)
    }

    /// The kept connection if it leads there, or a new one to the first server that answers.
    async fn client(&self, route: Option<Route>) -> Result<Client, Failure> {
        let (runner, domain) = (self.runner, &self.claimed.entry.domain);
        while let Some(mut client) = self.pool.take(domain) {
            // The server may have closed it meanwhile.
            if client.reset().await.is_ok() {
                return Ok(client);
            }
        }
        let targets = match route {
            Some(route) => route?,
            // The connection was not good any more, or an operator does not want to wait.
            None => runner.lookups.wait(runner.find(domain, runner.routing())).await?,
        };
        Client::connect_any(&targets, &runner.options.client).await
    }

    async fn hand_over(
        &self,
        mut client: Client,
        envelope: &Envelope,
        pending: &[usize],
    ) -> Result<Sent, Failure> {
        let entry = &self.claimed.entry;
        let begun = AtomicBool::new(false);
        let before_dot = async {
            let record = self.runner.shared.services.spool.begin_attempt(self.claimed, pending);
            let recorded = Box::pin(self.runner.in_turn_to_record(record)).await;
            recorded.map_err(|e| Failure::ours(format!("the attempt cannot be recorded: {e}")))?;
            // A process that was stopped here for longer than its lease lasts must not go on: another has the entry.
            if !self.tenure.sure() {
                return Err(Failure::ours("the lease was not renewed".to_owned()));
            }
            begun.store(true, Ordering::Relaxed);
            Ok(())
        };
        let outgoing = Outgoing {
            from: &envelope.from,
            params: &envelope.params,
            recipients: &envelope.recipients,
            size: entry.size,
            header_8bit: entry.header_8bit,
            body_8bit: entry.body_8bit,
        };
        let sent = client.send(&outgoing, Box::pin(self.body()), before_dot).await;
        if begun.into_inner() && sent.as_ref().is_err_and(Failure::is_lost_connection) {
            in_doubt(pending.len());
        }
        let dsn = client.capabilities().dsn;
        // After a failure nothing more may be said, not even QUIT: it could be taken for a part of the message.
        let replies = sent?;
        if let Some(spare) = self.pool.keep(&entry.domain, client) {
            spare.quit().await;
        }
        Ok(Sent { replies, dsn })
    }

    fn body(&self) -> impl futures::Stream<Item = Result<bytes::Bytes, Failure>> + Send + use<> {
        let entry = &self.claimed.entry;
        let pieces = self.runner.shared.services.mail.blobs().stream(entry.blob, 0..entry.size);
        pieces.map(|piece| piece.map_err(|e| Failure::ours(format!("the message cannot be read: {e}"))))
    }
}

/// Counts recipients who may have got the message although nobody said so, and who may now get it again.
fn in_doubt(recipients: usize) {
    metrics::counter!("outbound_attempts_in_doubt_total").increment(recipients as u64);
}
