//! One message on its way in: written, described and staged while it streams, then handed to the combiner.

use std::collections::BTreeSet;
use std::sync::Arc;

use content_mail::{Limits, Summarizer, build};
use futures::future::{BoxFuture, FutureExt};
use kv::{ErrorKind, TransactError};
use mail::Incoming;
use schema::AccountId;
use smtp::{BodyWriter, Envelope, HeaderFacts, Role, SessionInfo};
use smtp_proto::{Enhanced, Reply};

use crate::accept::{Delivery, address_of};
use crate::commit::{Item, Outcome, Sender, Target};
use crate::submission::Kept;
use crate::{Error, notification};

/// A message that streams in.
pub(crate) struct Intake {
    delivery: Delivery,
    /// For recipients here: with the trace fields of a final delivery.
    local: Option<Copy>,
    /// For recipients elsewhere.
    relay: Option<blob::Writer>,
    accounts: BTreeSet<AccountId>,
}

struct Copy {
    writer: blob::Writer,
    summarizer: Summarizer,
}

impl Copy {
    async fn write(&mut self, octets: &[u8]) -> Result<(), blob::Error> {
        self.summarizer.push(octets);
        self.writer.write(octets).await
    }
}

/// What a store's error means to the client: RFC 3463 X.3.1 for a full disk, X.3.0 for the rest.
pub(crate) fn reply_to(error: &Error) -> Reply {
    if is_full(error) {
        tracing::warn!(%error, "no room for mail");
        return Reply::new(452, Enhanced::new(4, 3, 1), "Insufficient system storage");
    }
    if TransactError::as_kv(error).is_some_and(kv::Error::is_limit) {
        // RFC 5321 §4.5.3.1.10: the client sends the rest in another transaction.
        tracing::warn!(%error, "more recipients than one transaction can serve");
        return Reply::new(452, Enhanced::new(4, 5, 3), "Too many recipients");
    }
    tracing::warn!(%error, "message cannot be stored now");
    Reply::new(451, Enhanced::new(4, 3, 0), "Try again later")
}

fn is_full(error: &Error) -> bool {
    match error {
        Error::Blob(error) => error.is_full(),
        Error::Mail(error) => error.is_full(),
        other => TransactError::as_kv(other).is_some_and(kv::Error::is_out_of_space),
    }
}

impl Intake {
    pub(crate) async fn open(
        delivery: Delivery,
        session: &SessionInfo,
        envelope: &Envelope,
    ) -> Result<Self, Reply> {
        let services = &delivery.shared.services;
        let (mut accounts, mut remote) = (BTreeSet::new(), false);
        for recipient in &envelope.recipients {
            let expansion = delivery.shared.expand(&address_of(&recipient.path)).await;
            let expansion = expansion.map_err(|error| reply_to(&error))?;
            accounts.extend(expansion.local.iter().map(|r| r.account));
            remote |= !expansion.remote.is_empty() || expansion.status == accounts::Status::UnknownDomain;
        }
        let blobs = services.mail.blobs();
        let delivered_to = delivered_to(session, envelope);
        let full = |error: blob::Error| reply_to(&error.into());
        let mut local = None;
        if !accounts.is_empty() || !remote {
            let mut copy = Copy { writer: blobs.writer(), summarizer: Summarizer::new(Limits::default()) };
            let from = envelope.from.mailbox().map(ToString::to_string).unwrap_or_default();
            let trace = build::return_path(&from) + &delivered_to;
            copy.write(trace.as_bytes()).await.map_err(full)?;
            local = Some(copy);
        }
        let mut relay = None;
        if remote {
            let mut writer = blobs.writer();
            writer.write(delivered_to.as_bytes()).await.map_err(full)?;
            relay = Some(writer);
        }
        Ok(Self { delivery, local, relay, accounts })
    }

    pub(crate) async fn add(&mut self, octets: &[u8]) -> Result<(), Reply> {
        let written = async {
            if let Some(copy) = &mut self.local {
                copy.write(octets).await?;
            }
            if let Some(writer) = &mut self.relay {
                writer.write(octets).await?;
            }
            Ok::<(), blob::Error>(())
        };
        written.await.map_err(|error| reply_to(&error.into()))
    }

    async fn finish(self, session: &SessionInfo, envelope: Envelope, headers: &HeaderFacts) -> Vec<Reply> {
        let replies = if session.role == Role::Lmtp { envelope.recipients.len() } else { 1 };
        let per_recipient = session.role == Role::Lmtp;
        match Box::pin(self.commit(session, envelope, headers, None)).await {
            Ok(outcomes) => self::replies(&outcomes, per_recipient),
            Err(reply) => vec![reply; replies],
        }
    }

    /// Commits it, and with it what is kept of a submission.
    pub(crate) async fn commit(
        self,
        session: &SessionInfo,
        envelope: Envelope,
        headers: &HeaderFacts,
        kept: Option<Kept>,
    ) -> Result<Vec<Outcome>, Reply> {
        let blobs = self.delivery.shared.services.mail.blobs().clone();
        let staged = async {
            let local = match self.local {
                Some(copy) => Some(Incoming {
                    staged: copy.writer.finish().await?,
                    summary: Arc::new(copy.summarizer.finish()),
                }),
                None => None,
            };
            let relay = match self.relay {
                Some(writer) => Some(writer.finish().await?),
                None => None,
            };
            let from_nobody = envelope.from.mailbox().is_none();
            let tells = match &local {
                Some(local) => notification::read(&blobs, local, from_nobody).await?,
                None => None,
            };
            Ok::<_, blob::Error>((local, relay, tells))
        };
        let (local, relay, tells) = staged.await.map_err(|error| reply_to(&error.into()))?;
        let bodies: Vec<_> = local.iter().map(|l| &l.staged).chain(&relay).cloned().collect();
        let bytes = bodies
            .iter()
            .map(|staged| staged.inline().map_or(0, |b| b.len()) + 4096 * (1 + self.accounts.len()))
            .sum();
        let per_recipient = session.role == Role::Lmtp;
        // Who sends a message of his again means to; only servers loop.
        let earlier: &[String] = if session.role == Role::Submission { &[] } else { &headers.delivered_to };
        let targets = envelope.recipients.iter().map(|recipient| Target::of(recipient, earlier)).collect();
        let item = Item(Arc::new(crate::commit::Message {
            sender: Sender::of(session, &envelope, headers),
            targets,
            local,
            relay,
            per_recipient,
            automatic: headers.automatic,
            kept,
            tells,
        }));
        let outcomes = self.delivery.combiner.submit(self.accounts.into_iter().collect(), bytes, item).await;
        let refused = match &outcomes {
            Some(Ok(outcomes)) => !outcomes.iter().any(|outcome| outcome.is_taken()),
            Some(Err(error)) => {
                TransactError::as_kv(&**error).is_none_or(|e| e.kind() != ErrorKind::MaybeCommitted)
            }
            None => false,
        };
        if refused {
            for body in bodies {
                if let Err(error) = blobs.discard(body).await {
                    tracing::debug!(%error, "body of a refused message is left to the collector");
                }
            }
        }
        match outcomes {
            None => Err(Reply::new(451, Enhanced::new(4, 3, 2), "Shutting down")),
            Some(Err(error)) => Err(reply_to(&error)),
            Some(Ok(outcomes)) => Ok(outcomes),
        }
    }
}

/// The field by which loops are found, for a message with one recipient: with more it would tell the blind copies,
/// and one body serves all. A copy that is forwarded has it too; one that a user submits does not leave with it.
fn delivered_to(session: &SessionInfo, envelope: &Envelope) -> String {
    match envelope.recipients.as_slice() {
        [one] if session.role != Role::Submission => build::delivered_to(&address_of(&one.path)),
        _ => String::new(),
    }
}

fn replies(outcomes: &[Outcome], per_recipient: bool) -> Vec<Reply> {
    let reply = |outcome: &Outcome| match outcome {
        Outcome::Delivered | Outcome::Queued | Outcome::Partly => {
            Reply::new(250, Enhanced::new(2, 0, 0), "Message accepted")
        }
        Outcome::MailboxFull => Reply::new(452, Enhanced::new(4, 2, 2), "Mailbox full"),
        Outcome::Gone => Reply::new(550, Enhanced::new(5, 1, 1), "No such user here"),
        Outcome::Loop => Reply::new(554, Enhanced::new(5, 4, 6), "Delivered there before, this is a loop"),
    };
    if per_recipient {
        return outcomes.iter().map(reply).collect();
    }
    // One reply for all: taken if anybody's was, since those who were not are told by notification.
    let best = outcomes.iter().find(|outcome| outcome.is_taken()).or_else(|| outcomes.first());
    vec![best.map_or_else(|| reply(&Outcome::Gone), reply)]
}

impl BodyWriter for Intake {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), Reply>> {
        self.add(octets).boxed()
    }

    fn accept<'a>(
        self: Box<Self>,
        session: &'a SessionInfo,
        envelope: Envelope,
        headers: &'a HeaderFacts,
    ) -> BoxFuture<'a, Vec<Reply>> {
        self.finish(session, envelope, headers).boxed()
    }
}
