//! One transaction for a batch of messages: delivered to everybody here, queued for everybody elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv::{TransactError, Transaction};
use mail::{Incoming, PendingAppend};
use schema::AccountId;
use smtp::{Envelope, HeaderFacts, Recipient, SessionInfo};
use smtp_proto::Ret as ProtoRet;
use spool::{BodyType, Notify, Ret};

use crate::accept::address_of;
use crate::report::{self, Notice, Report, Subject};
use crate::spread::{self, Spread};
use crate::submission::Kept;
use crate::vacation;
use crate::{Error, Shared};
use content_mail::build::Action;
use content_mail::notification::Notification;

/// A message to be committed.
#[derive(Clone)]
pub(crate) struct Item(pub(crate) Arc<Message>);

/// What is committed.
pub(crate) struct Message {
    pub(crate) sender: Sender,
    pub(crate) targets: Vec<Target>,
    /// For recipients here.
    pub(crate) local: Option<Incoming>,
    /// For recipients elsewhere.
    pub(crate) relay: Option<blob::Staged>,
    /// Whether the client hears of each recipient (LMTP).
    pub(crate) per_recipient: bool,
    /// Whether no machine may answer it.
    pub(crate) automatic: bool,
    /// What is kept of it, if a client of JMAP gave it.
    pub(crate) kept: Option<Kept>,
    /// What it tells of another message, if it is a notification.
    pub(crate) tells: Option<Arc<Notification>>,
}

/// The part of the envelope that is about the sender.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    /// Without brackets; empty for the null sender.
    pub(crate) return_path: String,
    pub(crate) envid: Option<String>,
    pub(crate) ret: Ret,
    pub(crate) smtputf8: bool,
    pub(crate) body: BodyType,
    /// Whether the message has octets over 127, in its header and behind it.
    pub(crate) header_8bit: bool,
    pub(crate) body_8bit: bool,
    /// Who submitted it.
    pub(crate) submitter: Option<AccountId>,
}

impl Sender {
    pub(crate) fn of(session: &SessionInfo, envelope: &Envelope, facts: &HeaderFacts) -> Self {
        let params = &envelope.params;
        Self {
            return_path: envelope.from.mailbox().map(ToString::to_string).unwrap_or_default(),
            envid: params.envid.as_ref().map(|id| id.as_str().to_owned()),
            ret: match params.ret {
                None => Ret::Unspecified,
                Some(ProtoRet::Full) => Ret::Full,
                Some(ProtoRet::Headers) => Ret::Headers,
            },
            smtputf8: params.smtputf8,
            body: match params.body {
                None | Some(smtp_proto::BodyType::SevenBit) => BodyType::SevenBit,
                Some(smtp_proto::BodyType::EightBitMime) => BodyType::EightBitMime,
                Some(smtp_proto::BodyType::BinaryMime) => BodyType::BinaryMime,
            },
            // Trace fields name the recipient.
            header_8bit: facts.header_8bit
                || envelope.recipients.iter().any(|to| !address_of(&to.path).is_ascii()),
            body_8bit: facts.body_8bit,
            submitter: session.identity.as_ref().map(|identity| identity.account),
        }
    }

    /// Our own notification: nothing may come back for it.
    fn null(notice: &Notice) -> Self {
        Self {
            return_path: String::new(),
            envid: None,
            ret: Ret::Unspecified,
            smtputf8: false,
            body: BodyType::EightBitMime,
            header_8bit: notice.is_8bit,
            body_8bit: notice.is_8bit,
            submitter: None,
        }
    }
}

/// A recipient of the envelope.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: String,
    pub(crate) notify: Notify,
    pub(crate) orcpt: Option<String>,
    /// The message was delivered to this address before.
    pub(crate) loops: bool,
}

impl Target {
    /// A recipient, and whether the message's Delivered-To fields name it already.
    pub(crate) fn of(recipient: &Recipient, delivered_to: &[String]) -> Self {
        let bits = |n: smtp_proto::Notify| {
            let some = u32::from(n.success) * 2 + u32::from(n.failure) * 4 + u32::from(n.delay) * 8;
            if some == 0 { Notify::NEVER } else { Notify(some) }
        };
        let orcpt = recipient.params.orcpt.as_ref();
        let address = address_of(&recipient.path);
        let loops = delivered_to.iter().any(|earlier| earlier.eq_ignore_ascii_case(&address));
        Self {
            address,
            loops,
            notify: recipient.params.notify.map_or_else(Notify::default, bits),
            orcpt: orcpt.map(|o| format!("{};{}", o.kind(), o.address())),
        }
    }
}

/// What became of a recipient of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Stored for all whom it leads to.
    Delivered,
    /// Queued for some, and stored for the others whom it leads to.
    Queued,
    /// Stored or queued for some whom it leads to; the others' quota is used up.
    Partly,
    /// Its quota is used up.
    MailboxFull,
    /// It was there when it was named, and is not any more.
    Gone,
    /// The message was there before (Delivered-To).
    Loop,
}

impl Outcome {
    /// Whether this server is answerable for the message now.
    pub(crate) fn is_taken(self) -> bool {
        matches!(self, Self::Delivered | Self::Queued | Self::Partly)
    }

    /// The status of what was not delivered (RFC 3463 X.1.1, X.2.2, X.4.6).
    fn failure(self) -> Option<&'static str> {
        match self {
            Self::Delivered | Self::Queued => None,
            Self::Partly | Self::MailboxFull => Some("5.2.2"),
            Self::Gone => Some("5.1.1"),
            Self::Loop => Some("5.4.6"),
        }
    }
}

/// Outcomes in the order of the targets.
pub(crate) type Outcomes = Vec<Outcome>;

/// What was written for items of a batch, outside of the transaction.
#[derive(Default)]
struct Written {
    /// What the sender is told, and that as a notification.
    told: BTreeMap<usize, (Vec<Report>, Notice)>,
    /// What who is away replies.
    replies: BTreeMap<(usize, AccountId), (vacation::Due, Notice)>,
}

/// What has to be written.
#[derive(Debug, Default)]
struct Unwritten {
    told: Vec<(usize, Vec<Report>)>,
    replies: Vec<(usize, AccountId, vacation::Due)>,
}

impl Unwritten {
    fn is_empty(&self) -> bool {
        self.told.is_empty() && self.replies.is_empty()
    }
}

/// Why a pass over a batch ended without a commit.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Failed(#[from] Error),
    /// There is something to tell and no notification of it yet, or a reply to be sent: of which items, and what.
    #[error("notifications are to be written")]
    Unwritten(Unwritten),
}

impl From<kv::Error> for Stop {
    fn from(error: kv::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl TransactError for Stop {
    fn as_kv(&self) -> Option<&kv::Error> {
        match self {
            Self::Failed(error) => error.as_kv(),
            Self::Unwritten(_) => None,
        }
    }
}

/// Commits a batch, which is tried for as long as `patience`. One of several messages gives up as soon as it loses to another transaction: its parts touch less,
/// and lose less often.
///
/// What there is to tell is known only in the transaction, and a notification is written outside of it, since that is
/// slow and has effects of its own. So the first pass may end without a commit, and another comes with what it lacked.
pub(crate) async fn commit(
    shared: &Shared,
    items: &[Item],
    patience: Duration,
) -> Result<Vec<Outcomes>, Error> {
    let mut written = Written::default();
    loop {
        let unwritten = match pass(shared, items, &written, patience).await {
            Ok(outcomes) => return Ok(outcomes),
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Unwritten(unwritten)) => unwritten,
        };
        for (number, reports) in unwritten.told {
            let Some(Item(message)) = items.get(number) else { continue };
            let notice = message.notice(shared, &reports).await?;
            written.told.insert(number, (reports, notice));
        }
        for (number, account, due) in unwritten.replies {
            let Some(local) = items.get(number).and_then(|Item(message)| message.local.as_ref()) else {
                continue;
            };
            let notice = vacation::write(shared, &due, &local.summary).await?;
            written.replies.insert((number, account), (due, notice));
        }
    }
}

async fn pass(
    shared: &Shared,
    items: &[Item],
    written: &Written,
    patience: Duration,
) -> Result<Vec<Outcomes>, Stop> {
    let services = &shared.services;
    let most_losses = if items.len() > 1 { Some(0) } else { None };
    let ((outcomes, pending), version) = shared
        .patient(patience, most_losses)
        .transact_versioned("delivery.commit", |txn| async move {
            let messages: Vec<&Message> = items.iter().map(|Item(message)| &**message).collect();
            for kept in messages.iter().filter_map(|message| message.kept.as_ref()) {
                kept.claim_in(shared, &txn).await?;
            }
            let Spread { outcomes, mut pending, stored, queued } =
                spread::all_in(shared, &txn, &messages).await?;
            for ((message, outcomes), queued) in messages.iter().zip(&outcomes).zip(&queued) {
                if let Some(kept) = &message.kept {
                    kept.write_in(shared, &txn, outcomes, queued).await?;
                }
            }
            let mut unwritten = Unwritten::default();
            for (number, (message, outcome)) in messages.iter().zip(&outcomes).enumerate() {
                let reports = message.reports(outcome);
                match written.told.get(&number) {
                    _ if reports.is_empty() => {}
                    Some((same, notice)) if *same == reports => {
                        let to = &message.sender.return_path;
                        pending.extend(deliver_own_in(shared, &txn, to, notice).await?);
                    }
                    _ => unwritten.told.push((number, reports)),
                }
            }
            let answered = |(number, _): &&(usize, AccountId)| {
                messages.get(*number).is_some_and(|message| vacation::may_be_answered(message))
            };
            let stored: Vec<_> = stored.iter().filter(answered).collect();
            let away = vacation::away_in(shared, &txn, &stored.iter().map(|(_, account)| *account).collect())
                .await?;
            for (number, account) in stored {
                let (Some(message), Some(reply)) = (messages.get(*number), away.get(account)) else {
                    continue;
                };
                let due = vacation::due_in(shared, &txn, message, (*account, reply)).await?;
                let Some(due) = due else { continue };
                match written.replies.get(&(*number, *account)) {
                    Some((same, notice)) if *same == due => {
                        pending.extend(vacation::send_in(shared, &txn, &due, notice).await?);
                    }
                    _ => unwritten.replies.push((*number, *account, due)),
                }
            }
            if unwritten.is_empty() { Ok((outcomes, pending)) } else { Err(Stop::Unwritten(unwritten)) }
        })
        .await?;
    for pending in &pending {
        services.mail.committed(pending, version);
    }
    for Item(message) in items {
        if let Some(kept) = &message.kept {
            services.mail.tell_objects(kept.account, version);
        }
    }
    metrics::counter!("delivery_messages_total").increment(items.len() as u64);
    Ok(outcomes)
}

/// Delivers a message of our own within a transaction.
pub(crate) async fn deliver_own_in(
    shared: &Shared,
    txn: &Transaction,
    to: &str,
    notice: &Notice,
) -> Result<Vec<PendingAppend>, Error> {
    let message = Message {
        sender: Sender::null(notice),
        targets: vec![Target { address: to.to_owned(), notify: Notify::NEVER, orcpt: None, loops: false }],
        local: Some(notice.local.clone()),
        relay: Some(notice.relay.clone()),
        per_recipient: false,
        automatic: true,
        kept: None,
        tells: notice.tells.clone(),
    };
    let Spread { outcomes, pending, .. } = Box::pin(spread::all_in(shared, txn, &[&message])).await?;
    if outcomes.iter().flatten().any(|outcome| !outcome.is_taken()) {
        // RFC 5321 §6.1: a notification that cannot be delivered is dropped.
        tracing::info!(to, "notification cannot be delivered");
    }
    Ok(pending)
}

impl Message {
    /// Which recipients the sender is told of.
    fn reports(&self, outcomes: &[Outcome]) -> Vec<Report> {
        if self.sender.return_path.is_empty() {
            return Vec::new();
        }
        // Who is told nothing by the reply, because others' was taken, is told so. LMTP tells of each.
        let waited = self.kept.as_ref().is_some_and(|kept| kept.later.is_some());
        let told = self.per_recipient || !outcomes.iter().any(|outcome| outcome.is_taken());
        // Nobody is there any more to be told by a reply of what was sent later.
        let told = told && !waited;
        let report = |(target, outcome): (&Target, &Outcome)| match outcome.failure() {
            None if *outcome == Outcome::Delivered && target.notify.wants(Notify::SUCCESS) => {
                Some(Report::new(target, Action::Delivered, "2.1.5"))
            }
            Some(status)
                if (!told || *outcome == Outcome::Partly) && target.notify.wants(Notify::FAILURE) =>
            {
                Some(Report::new(target, Action::Failed, status))
            }
            _ => None,
        };
        self.targets.iter().zip(outcomes).filter_map(report).collect()
    }

    async fn notice(&self, shared: &Shared, reports: &[Report]) -> Result<Notice, Error> {
        let sender = &self.sender;
        let staged = self.local.as_ref().map(|local| &local.staged).or(self.relay.as_ref());
        let (octets, full) = report::extent(sender.ret, staged.map_or(0, blob::Staged::size), reports);
        let original = match staged {
            Some(staged) => shared.services.mail.blobs().read_staged(staged, 0..octets).await?,
            None => Bytes::new(),
        };
        let subject = Subject {
            return_path: &sender.return_path,
            envid: sender.envid.as_deref(),
            arrival: shared.services.clock.now(),
            original: &original,
            full,
        };
        report::notice(shared, &subject, reports).await
    }
}
