//! The automatic reply of who is away (RFC 8621 §8), after RFC 3834 and RFC 5230: to people only, to each once in a week,
//! and from nobody, so that nothing comes back.
//!
//! Whether one is due is known in the transaction that delivers, and it is written outside of it: as with notifications, a
//! second pass comes with what the first has lacked, and notes in the same transaction to whom it went.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use content_mail::address::mailboxes;
use content_mail::compose::{self, Entry, NewContent, NewPart, Person, Piece};
use content_mail::{ContentType, Limits, Summary, build, decode, summarize};
use futures::future::try_join_all;
use kv::Transaction;
use mail::{Incoming, PendingAppend};
use schema::keys::mail::{ObjectKind, RepliedKey};
use schema::records::object::VacationRecord;
use schema::{AccountId, Key};

use crate::commit::{Message, deliver_own_in};
use crate::report::Notice;
use crate::{Error, Shared};

/// RFC 5230 §4.2: a sender is told once in so many seconds.
const AGAIN: i64 = 7 * 86_400;

/// A reply that is due.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Due {
    account: AccountId,
    /// The account's address and name.
    from: Person,
    /// To whom.
    to: String,
    record: VacationRecord,
}

/// Whether a message may be answered by a machine at all (RFC 3834 §2, RFC 5230 §4.6): not what comes from one, or from
/// nobody, or from a list.
pub(crate) fn may_be_answered(message: &Message) -> bool {
    let from = message.sender.return_path.to_lowercase();
    let local = from.rsplit_once('@').map_or(from.as_str(), |(local, _)| local);
    let machines = ["mailer-daemon", "listserv", "majordomo", "noreply", "no-reply", "postmaster"];
    let of_list = local.starts_with("owner-") || local.ends_with("-request") || local.ends_with("-owner");
    !message.automatic && !from.is_empty() && !of_list && !machines.contains(&local)
}

/// What those of the accounts reply who are away now. Read together: each delivery asks.
pub(crate) async fn away_in(
    shared: &Shared,
    txn: &Transaction,
    accounts: &BTreeSet<AccountId>,
) -> Result<BTreeMap<AccountId, VacationRecord>, Error> {
    let now = shared.services.clock.now().millis();
    let holds = |record: &VacationRecord| {
        record.enabled && record.from.is_none_or(|from| from <= now) && record.to.is_none_or(|to| now < to)
    };
    let mail = &shared.services.mail;
    let found = accounts.iter().map(|account| mail.object_in(txn, *account, ObjectKind::Vacation, 1));
    let found: Vec<Option<VacationRecord>> = try_join_all(found).await?;
    let away = accounts.iter().zip(found);
    Ok(away.filter_map(|(account, record)| Some((*account, record.filter(holds)?))).collect())
}

/// The reply that an account whose user is away owes for a message that it got.
pub(crate) async fn due_in(
    shared: &Shared,
    txn: &Transaction,
    message: &Message,
    (account, record): (AccountId, &VacationRecord),
) -> Result<Option<Due>, Error> {
    let services = &shared.services;
    let now = services.clock.now();
    let (Some(own), Some(local)) = (services.accounts.account_in(txn, account).await?, &message.local) else {
        return Ok(None);
    };
    let to = message.sender.return_path.clone();
    let summary = &local.summary;
    // RFC 5230 §4.5: only what is addressed to the user; nobody answers himself.
    if to.eq_ignore_ascii_case(&own.address) || !is_addressed(message, summary, &own.address) {
        return Ok(None);
    }
    let last = txn.get(&replied(account, &to).encode()).await?;
    let last = last.and_then(|bytes| bytes.first_chunk().map(|bytes| i64::from_le_bytes(*bytes)));
    if last.is_some_and(|last| now.secs() - last < AGAIN) {
        return Ok(None);
    }
    let name = Some(own.display_name).filter(|name| !name.is_empty());
    Ok(Some(Due { account, from: Person { name, email: own.address }, to, record: record.clone() }))
}

/// Whether a recipient of the envelope, or the account itself, stands in To, Cc or Bcc.
fn is_addressed(message: &Message, summary: &Summary, own: &str) -> bool {
    let envelope = &summary.envelope;
    let named = [&envelope.to, &envelope.cc, &envelope.bcc].into_iter().flat_map(|list| mailboxes(list));
    let is_ours = |address: &str| {
        address.eq_ignore_ascii_case(own)
            || message.targets.iter().any(|target| target.address.eq_ignore_ascii_case(address))
    };
    named.into_iter().any(|one| is_ours(&one.address()))
}

fn replied(account: AccountId, to: &str) -> RepliedKey {
    let hash = blake3::hash(to.to_lowercase().as_bytes());
    RepliedKey { account, hash: hash.as_bytes().first_chunk().copied().unwrap_or_default() }
}

/// Sends a reply that was written, and notes it.
pub(crate) async fn send_in(
    shared: &Shared,
    txn: &Transaction,
    due: &Due,
    notice: &Notice,
) -> Result<Vec<PendingAppend>, Error> {
    let now = shared.services.clock.now().secs();
    txn.set(&replied(due.account, &due.to).encode(), &now.to_le_bytes());
    deliver_own_in(shared, txn, &due.to, notice).await
}

/// Writes and stages a reply.
pub(crate) async fn write(shared: &Shared, due: &Due, to: &Summary) -> Result<Notice, Error> {
    let text = text(shared, due, to);
    let is_8bit = !text.is_ascii();
    let message = [build::return_path("").as_bytes(), &text].concat();
    let summary = Arc::new(summarize(&message, &Limits::default()));
    let blobs = shared.services.mail.blobs();
    let local = Incoming { staged: blobs.stage(message.into()).await?, summary };
    Ok(Notice { local, relay: blobs.stage(text.into()).await?, is_8bit, tells: None })
}

fn text(shared: &Shared, due: &Due, to: &Summary) -> Vec<u8> {
    let services = &shared.services;
    let now = services.clock.now();
    let original = to.envelope.subject.as_deref().map(decode::words).unwrap_or_default();
    // RFC 5230 §4.3, RFC 3834 §3.1.5
    let subject = due.record.subject.clone().unwrap_or_else(|| format!("Auto: {original}"));
    let person = |email: &str| Entry::Person(Person { name: None, email: email.to_owned() });
    let id = format!("{:x}.{:016x}@{}", now.millis(), services.rng.u64(), shared.options.hostname);
    let mut fields = vec![compose::date("Date", now.secs(), 0)];
    fields.extend(compose::addresses("From", &[Entry::Person(due.from.clone())]));
    fields.extend(compose::addresses("To", &[person(&due.to)]));
    fields.push(compose::text("Subject", &subject));
    fields.push(compose::ids("Message-ID", &[id]));
    if let Some(answered) = &to.message_ids.message_id {
        // RFC 5322 §3.6.4
        let mut references = to.message_ids.references.clone();
        references.push(answered.clone());
        fields.push(compose::ids("In-Reply-To", std::slice::from_ref(answered)));
        fields.push(compose::ids("References", &references));
    }
    // RFC 3834 §5
    fields.push(compose::text("Auto-Submitted", "auto-replied (vacation)"));
    let root = body(&due.record);
    let mut boundary = || format!("{:016x}{:016x}", services.rng.u64(), services.rng.u64());
    let pieces = compose::compose(&fields, &root, &mut boundary);
    pieces
        .into_iter()
        .flat_map(|piece| match piece {
            Piece::Octets(octets) => octets,
            // Nothing stored is in it.
            Piece::Stored { .. } => Vec::new(),
        })
        .collect()
}

fn body(record: &VacationRecord) -> NewPart {
    let part = |subtype: &str, text: &str| {
        NewPart::new(ContentType::new("text", subtype), NewContent::Text(text.to_owned()))
    };
    match (&record.text, &record.html) {
        (Some(text), Some(html)) => NewPart::new(
            ContentType::new("multipart", "alternative"),
            NewContent::Multipart(vec![part("plain", text), part("html", html)]),
        ),
        (None, Some(html)) => part("html", html),
        (text, None) => {
            part("plain", text.as_deref().unwrap_or("I am away and will read your message later.\n"))
        }
    }
}
