//! Submissions (RFC 8621 §7): what was given to be sent, and what became of it.

mod create;
mod envelope;
mod query;
mod set;

use futures::future::BoxFuture;
use jmap_proto::date::render_utc;
use jmap_proto::standard::{Changes, Get};
use jmap_proto::{Arguments, Id, MethodError, Object};
use schema::keys::mail::ObjectKind;
use schema::records::object::{SubmissionRecipient, SubmissionRecord};
use schema::{AccountId, EmailId, IdentityId, SubmissionId, ThreadId};
use serde_json::{Map, Value, json};

use crate::Services;
use crate::call::{Answer, Call};
use crate::email::blob_id;
use crate::fail::Fail;
use crate::objects;
use crate::registry::Method;

/// The methods of the type.
pub(crate) const METHODS: &[Method] = &[
    ("EmailSubmission/get", get),
    ("EmailSubmission/changes", changes),
    ("EmailSubmission/query", query::query),
    ("EmailSubmission/queryChanges", query::query_changes),
    ("EmailSubmission/set", set::set),
];

/// Submissions of an account that are looked at: they are kept for a month.
const MOST: usize = 20_000;

/// All properties (RFC 8621 §7).
const PROPERTIES: [&str; 10] = [
    "id",
    "identityId",
    "emailId",
    "threadId",
    "envelope",
    "sendAt",
    "undoStatus",
    "deliveryStatus",
    "dsnBlobIds",
    "mdnBlobIds",
];

/// What the session says of an account (RFC 8621 §1.3.2).
pub(crate) fn account(options: &crate::Options) -> Value {
    json!({
        "maxDelayedSend": options.delay.as_secs(),
        "submissionExtensions": {
            "FUTURERELEASE": [options.delay.as_secs().to_string()],
            "SIZE": [options.core.size_upload.to_string()],
            "DSN": [],
            "8BITMIME": [],
            "SMTPUTF8": [],
        },
    })
}

/// All submissions of an account, the oldest first.
async fn all(services: &Services, account: AccountId) -> Result<Vec<(SubmissionId, SubmissionRecord)>, Fail> {
    let rows = services.mail.objects(account, ObjectKind::Submission, MOST).await?;
    Ok(rows.into_iter().map(|(id, record)| (SubmissionId(id), record)).collect())
}

/// A submission, if it is there.
async fn record(call: &Call, account: AccountId, id: SubmissionId) -> Result<Option<SubmissionRecord>, Fail> {
    let mail = &call.services().mail;
    let read = mail.database().read("mail.object", |txn| async move {
        mail.object_in(&txn, account, ObjectKind::Submission, id.0).await
    });
    Ok(read.await?)
}

/// RFC 8621 §7.1
fn get(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut get = Get::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let (account, services) = (call.reader(&get.account)?.account, call.services());
    let wanted = objects::wanted(get.properties.take(), &PROPERTIES)?;
    let state = services.state_text(services.state(account).await?);
    let submissions = all(services, account).await?;
    if get.ids.is_none() && submissions.len() > call.limits().objects_in_get {
        return Err(MethodError::RequestTooLarge.into());
    }
    type One = (SubmissionId, SubmissionRecord);
    let each = (|(id, _): &One| id.to_string(), |(id, one): &One| object(*id, one, &wanted));
    Ok(objects::answer(call, get, state, &submissions, each))
}

/// RFC 8621 §7 `undoStatus`.
fn undo_status(record: &SubmissionRecord) -> &'static str {
    match (record.canceled, record.sending) {
        (true, _) => "canceled",
        (false, true) => "final",
        (false, false) => "pending",
    }
}

/// A submission as it is told.
fn object(id: SubmissionId, record: &SubmissionRecord, wanted: &[String]) -> Object {
    let to: Vec<Value> = record.recipients.iter().map(|to| path(&to.address, &to.parameters)).collect();
    let status: Map<String, Value> =
        record.recipients.iter().map(|to| (to.address.clone(), status(to))).collect();
    let status = if record.sending { Value::Object(status) } else { Value::Null };
    let all = json!({
        "id": id.to_string(),
        "identityId": IdentityId(record.identity).to_string(),
        "emailId": EmailId(record.email).to_string(),
        "threadId": ThreadId(record.thread).to_string(),
        "envelope": {"mailFrom": path(&record.mail_from, &record.mail_parameters), "rcptTo": to},
        "sendAt": render_utc(record.send_at),
        "undoStatus": undo_status(record),
        "deliveryStatus": status,
        "dsnBlobIds": blob_ids(&record.delivery_notices),
        "mdnBlobIds": blob_ids(&record.disposition_notices),
    });
    objects::only(all, wanted)
}

fn path(address: &str, parameters: &str) -> Value {
    let parameters: Value = serde_json::from_str(parameters).unwrap_or_default();
    json!({"email": address, "parameters": parameters})
}

/// RFC 8621 §7 `dsnBlobIds`, `mdnBlobIds`: of what was received, also where the user has removed it since. Its blob goes with the
/// email (RFC 8620 §6: a blob is there for as long as something of the account has it).
fn blob_ids(emails: &[u64]) -> Vec<String> {
    emails.iter().map(|email| blob_id(EmailId(*email), None)).collect()
}

/// RFC 8621 §7 `deliveryStatus`
fn status(to: &SubmissionRecipient) -> Value {
    // What the queue knows is final; of what it handed on, a notification of another server may tell more.
    let told = if to.delivered == SubmissionRecipient::HANDED_ON { to.told } else { 0 };
    let delivered = match if told != 0 { told } else { to.delivered } {
        SubmissionRecipient::DELIVERED => "yes",
        SubmissionRecipient::FAILED => "no",
        SubmissionRecipient::HANDED_ON => "unknown",
        _ => "queued",
    };
    // "or in a later Delivery Status Notification response for the message"
    let reply = if told != 0 && !to.told_reply.is_empty() { &to.told_reply } else { &to.reply };
    json!({"smtpReply": reply, "delivered": delivered, "displayed": if to.displayed { "yes" } else { "unknown" }})
}

/// RFC 8621 §7.2
fn changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_changes(call, arguments).await?) })
}

async fn run_changes(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let changes = Changes::read(&mut arguments)?;
    arguments.end()?;
    let (access, services) = (call.reader(&changes.account)?, call.services());
    let folded =
        objects::since(services, &access, ObjectKind::Submission, &changes.since, changes.max).await?;
    Ok(folded.answer(changes, services, id_of).into_object())
}

fn id_of(number: u64) -> Id {
    Id::of(SubmissionId(number))
}

/// Parameters as they are kept, as SMTP has them: with a blank before each.
pub fn parameters(kept: &str) -> String {
    envelope::written(kept).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_tell_of_what_was_handed_on_alone() {
        type To = SubmissionRecipient;
        let all = [
            ((To::QUEUED, To::FAILED), ("own", "queued")),
            ((To::HANDED_ON, 0), ("own", "unknown")),
            ((To::HANDED_ON, To::DELIVERED), ("told", "yes")),
            ((To::HANDED_ON, To::FAILED), ("told", "no")),
            ((To::DELIVERED, To::FAILED), ("own", "yes")),
            ((To::FAILED, To::DELIVERED), ("own", "no")),
        ];
        for ((delivered, told), (reply, shown)) in all {
            let (reply_of, told_reply) = ("own".to_owned(), "told".to_owned());
            let to = To { delivered, told, reply: reply_of, told_reply, ..To::default() };
            let expected = json!({"smtpReply": reply, "delivered": shown, "displayed": "unknown"});
            assert_eq!(status(&to), expected, "{to:?}");
        }
        let silent = To { delivered: To::HANDED_ON, told: To::DELIVERED, displayed: true, ..To::default() };
        assert_eq!(status(&silent), json!({"smtpReply": "", "delivered": "yes", "displayed": "yes"}));
    }
}
