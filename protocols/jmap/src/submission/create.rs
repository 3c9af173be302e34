//! `EmailSubmission/set` create (RFC 8621 §7.5): every check that the RFC names, and the rest is the submitter's.

use accounts::Rights;
use content_mail::Summary;
use content_mail::address::mailboxes;
use jmap_proto::{Object, SetError};
use runtime::Timestamp;
use schema::records::object::{SubmissionRecipient, SubmissionRecord};
use schema::{EmailId, IdentityId, ModSeq, SubmissionId};
use serde_json::Value;

use super::envelope::{Envelope, Hold, envelope_id, invalid_email, unknown};
use super::{PROPERTIES, object};
use crate::access::Access;
use crate::call::Call;
use crate::fail::Fail;
use crate::identity::{self, may_send_as};
use crate::submit::{NewSubmission, Refused};

/// Recipients of a submission: what became of them is kept in one value of the store.
const RECIPIENTS: usize = 150;

/// What was made: the commit, the email, and what the client does not know of it.
pub(super) struct Made {
    pub(super) id: SubmissionId,
    pub(super) email: EmailId,
    pub(super) commit: ModSeq,
    pub(super) told: Object,
}

/// Gives an email to be sent.
pub(super) async fn create(
    call: &Call,
    access: &Access,
    given: &Object,
) -> Result<Result<Made, SetError>, Fail> {
    let wrong = unknown(given, &["identityId", "emailId", "envelope"]);
    if !wrong.is_empty() {
        return Ok(Err(SetError::invalid_properties(wrong)));
    }
    if !access.may(Rights::POST) {
        return Ok(Err(SetError::new("forbiddenToSend")));
    }
    let text =
        |name: &str| given.get(name).and_then(Value::as_str).and_then(|text| call.created.resolve_text(text));
    let identity = text("identityId").and_then(|id| id.as_str().parse::<IdentityId>().ok());
    let identities = identity::all(call.services(), access.account).await?;
    let Some(identity) = identities.iter().find(|one| Some(one.id) == identity) else {
        return Ok(Err(SetError::invalid_properties(["identityId"])));
    };
    let email = text("emailId").and_then(|id| id.as_str().parse::<EmailId>().ok());
    let found = match email {
        Some(id) => call.services().mail.emails(access.account, &[id]).await?.pop(),
        None => None,
    };
    let Some(email) = found.filter(mail::Email::is_seen) else {
        return Ok(Err(SetError::invalid_properties(["emailId"])));
    };
    let summary = call.services().mail.summary(access.account, email.id).await?;
    let checked = check(call, access, given, (identity.record.email.as_str(), &summary)).await?;
    let envelope = match checked {
        Ok(envelope) => envelope,
        Err(error) => return Ok(Err(error)),
    };
    give(call, access, given, (identity.id, &email, &summary), envelope).await
}

/// The envelope, if it and the message may go.
async fn check(
    call: &Call,
    access: &Access,
    given: &Object,
    (identity, summary): (&str, &Summary),
) -> Result<Result<Envelope, SetError>, Fail> {
    let services = call.services();
    if let Err(error) = valid(summary) {
        return Ok(Err(error));
    }
    // RFC 8621 §7.5 `forbiddenFrom`: each that the message says to be from.
    for from in mailboxes(&summary.envelope.from) {
        if !may_send_as(services, &call.identity, access.account, &from.address()).await? {
            return Ok(Err(SetError::new("forbiddenFrom")));
        }
    }
    let envelope = match given.get("envelope").filter(|value| !value.is_null()) {
        Some(value) => Envelope::read(value),
        None => Envelope::of(&summary.envelope).map(|envelope| envelope.sent_by(identity)),
    };
    let envelope = match envelope {
        Ok(envelope) => envelope,
        Err(error) => return Ok(Err(error)),
    };
    if !may_send_as(services, &call.identity, access.account, &envelope.from.path.address).await? {
        return Ok(Err(SetError::new("forbiddenMailFrom")));
    }
    if envelope.to.is_empty() {
        return Ok(Err(SetError::new("noRecipients")));
    }
    if envelope.to.len() > RECIPIENTS {
        return Ok(Err(SetError::new("tooManyRecipients").with("maxRecipients", RECIPIENTS.into())));
    }
    Ok(Ok(envelope))
}

/// RFC 5322 §3.6: what a message must have to be sent.
fn valid(summary: &Summary) -> Result<(), SetError> {
    let mut wrong = Vec::new();
    let from: Vec<_> = mailboxes(&summary.envelope.from).collect();
    if from.is_empty() || from.iter().any(|one| one.domain.is_empty()) {
        wrong.push("from");
    }
    // ENVELOPE has From in place of a Sender that is not there; §3.6.2: of several, one has sent it.
    if from.len() > 1 && mailboxes(&summary.envelope.sender).count() != 1 {
        wrong.push("sender");
    }
    if summary.sent.is_none() {
        wrong.push("sentAt");
    }
    if wrong.is_empty() { Ok(()) } else { Err(invalid_email(&wrong)) }
}

/// When it is to be sent, if not at once (RFC 4865 §4).
fn not_before(call: &Call, hold: Option<&Hold>) -> Result<Option<Timestamp>, SetError> {
    let (now, most) = (call.services().clock.now(), call.server.options.delay);
    let seconds = match hold {
        None => return Ok(None),
        Some(Hold::For(seconds)) => *seconds,
        Some(Hold::Until(at)) => u64::try_from((*at - now.millis()).max(0)).unwrap_or(0).div_ceil(1_000),
    };
    if seconds > most.as_secs() {
        return Err(SetError::invalid_properties(["envelope"]).describe("that is beyond maxDelayedSend"));
    }
    Ok(match hold {
        _ if seconds == 0 => None,
        Some(Hold::Until(at)) => Some(Timestamp(*at)),
        _ => Some(now + std::time::Duration::from_secs(seconds)),
    })
}

async fn give(
    call: &Call,
    access: &Access,
    given: &Object,
    (identity, email, summary): (IdentityId, &mail::Email, &Summary),
    envelope: Envelope,
) -> Result<Result<Made, SetError>, Fail> {
    let not_before = match not_before(call, envelope.hold.as_ref()) {
        Ok(not_before) => not_before,
        Err(error) => return Ok(Err(error)),
    };
    let (services, now) = (call.services(), call.services().clock.now());
    let recipient = |to: &super::envelope::Given| SubmissionRecipient {
        address: to.path.address.clone(),
        parameters: to.parameters.clone(),
        ..SubmissionRecipient::default()
    };
    let send_at = not_before.unwrap_or(now).millis();
    let envelope_id = envelope_id(&envelope.from.parameters);
    let record = SubmissionRecord {
        names: mail::sent_names(summary.message_ids.message_id.as_deref(), envelope_id.as_deref()),
        identity: identity.0,
        email: email.id.0,
        thread: email.thread.0,
        mail_from: envelope.from.path.address.clone(),
        mail_parameters: envelope.from.parameters.clone(),
        recipients: envelope.to.iter().map(recipient).collect(),
        send_at,
        created: now.millis(),
        user: call.identity.account.0,
        ..SubmissionRecord::default()
    };
    let id = SubmissionId(services.mail.new_object_id());
    let new = NewSubmission {
        account: access.account,
        id,
        user: call.identity.clone(),
        from: envelope.from.path,
        to: envelope.to.into_iter().map(|to| to.path).collect(),
        blob: email.blob,
        size: email.size,
        header_size: summary.header_size,
        not_before,
        record,
    };
    let commit = match services.submitter.submit(new).await? {
        Ok(commit) => commit,
        Err(refused) => return Ok(Err(refusal(refused))),
    };
    Ok(Ok(Made { id, email: email.id, commit, told: told(call, access, id, given).await? }))
}

/// What the client did not say (RFC 8620 §5.3): what only the server sets, and the envelope that it made.
async fn told(call: &Call, access: &Access, id: SubmissionId, given: &Object) -> Result<Object, Fail> {
    let mut told = Object::new();
    told.insert("id".to_owned(), id.to_string().into());
    if let Some(record) = super::record(call, access.account, id).await? {
        let silent = |name: &&str| given.get(*name).is_none_or(Value::is_null);
        let wanted: Vec<String> = PROPERTIES.into_iter().filter(silent).map(str::to_owned).collect();
        told = object(id, &record, &wanted);
    }
    Ok(told)
}

fn refusal(refused: Refused) -> SetError {
    match refused {
        Refused::Envelope(what) => SetError::invalid_properties(["envelope"]).describe(what),
        Refused::Recipients(list) => {
            SetError::new("invalidRecipients").with("invalidRecipients", Value::from(list))
        }
        Refused::TooMany(most) => SetError::new("tooManyRecipients").with("maxRecipients", most.into()),
        Refused::TooLarge(most) => SetError::too_large().with("maxSize", most.into()),
        Refused::MailFrom => SetError::new("forbiddenMailFrom"),
        Refused::ToSend(why) => SetError::new("forbiddenToSend").describe(why),
    }
}
