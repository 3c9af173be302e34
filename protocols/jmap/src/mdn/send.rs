//! `MDN/send` (RFC 9007 §2.1).

use std::collections::BTreeMap;

use accounts::Rights;
use content_mail::address::{mailboxes, parse_list};
use content_mail::build::{Mdn, is_extension};
use content_mail::headers;
use futures::future::BoxFuture;
use jmap_proto::{Arguments, Id, MethodError, Object, SetError};
use mail::Email;
use schema::{EmailId, IdentityId};
use serde_json::{Value, json};

use super::write::{self, Letter};
use super::{account, told};
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::email::{self, read};
use crate::fail::Fail;
use crate::identity::{self, Identity, may_send_as};
use crate::options::HEADER;
use crate::submit::{NewNotice, Refused};

/// What a client gives of a notification.
const GIVEN: [&str; 8] = [
    "forEmailId",
    "subject",
    "textBody",
    "includeOriginalMessage",
    "reportingUA",
    "disposition",
    "finalRecipient",
    "extensionFields",
];
/// What a disposition may say (RFC 8098 §3.2.6).
const DISPOSITION: [(&str, &[&str]); 3] = [
    ("actionMode", &["manual-action", "automatic-action"]),
    ("sendingMode", &["mdn-sent-manually", "mdn-sent-automatically"]),
    ("type", &["deleted", "dispatched", "displayed", "processed"]),
];
/// Octets of a subject, a name or an address, and of a text.
const SHORT: usize = 1_000;
const LONG: usize = 100_000;
/// Fields besides those of the RFC.
const EXTENSIONS: usize = 50;
/// Whom a sender may ask to notify (RFC 8098 §2.1).
const NOTIFIED: usize = 10;
/// Octets of a message that is sent back.
const ORIGINAL: u64 = 10 << 20;

pub(super) fn send(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &mut Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let account_id = arguments.id("accountId")?;
    let identity = arguments.id("identityId")?;
    let given = arguments.opt_object("send")?.unwrap_or_default();
    let after = arguments.opt_object("onSuccessUpdateEmail")?.unwrap_or_default();
    arguments.end()?;
    if given.len() > call.limits().objects_in_set {
        return Err(MethodError::RequestTooLarge.into());
    }
    let access = account(call.writer(&account_id))?;
    let identities = identity::all(call.services(), access.account).await?;
    let wanted = identity.as_str().parse::<IdentityId>().ok();
    let identity = identities.into_iter().find(|one| Some(one.id) == wanted);
    let identity = identity.ok_or_else(|| MethodError::invalid("identityId", "there is no such one"))?;
    // RFC 9007 §2.1: what is sent has to be marked as such.
    if !given.keys().all(|id| after.get(&format!("#{id}")).is_some_and(marks)) {
        return Err(MethodError::invalid("onSuccessUpdateEmail", "each sets the keyword $mdnsent").into());
    }
    let (mut sent, mut not_sent, mut emails) = (Object::new(), Object::new(), BTreeMap::new());
    for (creation, value) in &given {
        if Id::new(creation).is_none() {
            return Err(MethodError::invalid("send", "objects by creation id").into());
        }
        match send_one(call, &access, &identity, value).await? {
            Ok((email, told)) => {
                emails.insert(format!("#{creation}"), email);
                sent.insert(creation.clone(), told);
            }
            Err(error) => {
                not_sent.insert(creation.clone(), error.to_value());
            }
        }
    }
    let update: Object = after
        .into_iter()
        .filter_map(|(reference, patch)| Some((emails.get(&reference)?.to_string(), patch)))
        .collect();
    if !update.is_empty() {
        // One call of Email/set, whose answer comes behind.
        let set = json!({"accountId": account_id.as_str(), "update": update});
        if let Value::Object(set) = set {
            email::further(call, set).await;
        }
    }
    let some = |object: Object| if object.is_empty() { Value::Null } else { Value::Object(object) };
    let mut answer = Object::new();
    answer.insert("accountId".to_owned(), account_id.into_string().into());
    answer.insert("sent".to_owned(), some(sent));
    answer.insert("notSent".to_owned(), some(not_sent));
    Ok(answer)
}

/// Whether a patch of an email sets `$mdnsent`.
fn marks(patch: &Value) -> bool {
    let set = |value: Option<&Value>| value == Some(&Value::Bool(true));
    set(patch.get("keywords/$mdnsent")) || set(patch.get("keywords").and_then(|all| all.get("$mdnsent")))
}

/// What a client asks for.
struct Draft {
    email: String,
    subject: Option<String>,
    text: Option<String>,
    include_original: bool,
    final_recipient: Option<String>,
    mdn: Mdn,
}

/// Reads what a client gives; the names of what cannot be.
fn draft(value: &Value) -> Result<Draft, SetError> {
    let Some(object) = value.as_object() else { return Err(SetError::invalid_properties([])) };
    let mut wrong: Vec<&str> =
        object.keys().map(String::as_str).filter(|name| !GIVEN.contains(name)).collect();
    let mut text = |name: &'static str, most: usize| match object.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.len() <= most => Some(text.clone()),
        Some(_) => {
            wrong.push(name);
            None
        }
    };
    let email = text("forEmailId", SHORT);
    let (subject, body) = (text("subject", SHORT), text("textBody", LONG));
    let (reporting_ua, final_recipient) = (text("reportingUA", SHORT), text("finalRecipient", SHORT));
    if email.is_none() {
        wrong.push("forEmailId");
    }
    let include = object.get("includeOriginalMessage").unwrap_or(&Value::Null);
    if !include.is_null() && !include.is_boolean() {
        wrong.push("includeOriginalMessage");
    }
    let disposition = disposition(object.get("disposition"));
    if disposition.is_none() {
        wrong.push("disposition");
    }
    let extensions = extensions(object.get("extensionFields").unwrap_or(&Value::Null));
    if extensions.is_none() {
        wrong.push("extensionFields");
    }
    let (Some(email), Some([action, sending, kind]), Some(extensions), true) =
        (email, disposition, extensions, wrong.is_empty())
    else {
        wrong.dedup();
        return Err(SetError::invalid_properties(wrong));
    };
    let mdn = Mdn { reporting_ua, action, sending, kind, extensions, ..Mdn::default() };
    let include_original = include.as_bool().unwrap_or(false);
    Ok(Draft { email, subject, text: body, include_original, final_recipient, mdn })
}

fn disposition(value: Option<&Value>) -> Option<[String; 3]> {
    let object = value?.as_object().filter(|object| object.len() == DISPOSITION.len())?;
    let part = |(name, values): (&str, &[&str])| {
        let text = object.get(name)?.as_str().filter(|text| values.contains(text))?;
        Some(text.to_owned())
    };
    let [action, sending, kind] = DISPOSITION.map(part);
    Some([action?, sending?, kind?])
}

fn extensions(value: &Value) -> Option<Vec<(String, String)>> {
    if value.is_null() {
        return Some(Vec::new());
    }
    let object = value.as_object().filter(|object| object.len() <= EXTENSIONS)?;
    let field = |(name, value): (&String, &Value)| {
        let value = value.as_str().filter(|value| value.len() <= SHORT && is_extension(name))?;
        Some((name.clone(), value.to_owned()))
    };
    object.iter().map(field).collect()
}

type Sent = Result<(EmailId, Value), SetError>;

async fn send_one(call: &Call, access: &Access, identity: &Identity, value: &Value) -> Result<Sent, Fail> {
    let mut draft = match draft(value) {
        Ok(draft) => draft,
        Err(error) => return Ok(Err(error)),
    };
    let services = call.services();
    let id = call.created.resolve_text(&draft.email).and_then(|id| id.as_str().parse::<EmailId>().ok());
    let found = match id {
        Some(id) => services.mail.emails(access.account, &[id]).await?.pop(),
        None => None,
    };
    let Some(email) = found.filter(Email::is_seen) else { return Ok(Err(SetError::not_found())) };
    if email.flags().keywords.iter().any(|one| one.as_str().eq_ignore_ascii_case("$mdnsent")) {
        return Ok(Err(SetError::new("mdnAlreadySent")));
    }
    if !access.may(Rights::POST) {
        return Ok(Err(SetError::forbidden()));
    }
    let own = draft.final_recipient.as_deref().map(address).unwrap_or(&identity.record.email);
    if !may_send_as(services, &call.identity, access.account, own).await? {
        return Ok(Err(SetError::new("forbiddenFrom")));
    }
    draft.mdn.final_recipient = format!("rfc822; {own}");
    let summary = services.mail.summary(access.account, email.id).await?;
    let header = read(&services.mail, email.blob, 0..summary.header_size.min(HEADER)).await?;
    // RFC 8098 §2.1: nobody is notified who has not asked to be.
    let to = notified(&header);
    if to.is_empty() || to.len() > NOTIFIED {
        let why = "its sender does not ask for one";
        return Ok(Err(SetError::not_found().describe(why)));
    }
    // RFC 8098 §2.3
    draft.mdn.original_recipient = headers::find(&header, "Original-Recipient")
        .map(|field| field.text())
        .filter(|text| !text.is_empty());
    draft.mdn.original_message_id = summary.message_ids.message_id.as_ref().map(|id| format!("<{id}>"));
    let original = match draft.include_original {
        true if email.size > ORIGINAL => return Ok(Err(SetError::too_large())),
        true => Some(read(&services.mail, email.blob, 0..email.size).await?),
        false => None,
    };
    let letter =
        Letter::of(&draft.mdn, identity, &to, &summary, (draft.subject.as_ref(), draft.text.as_ref()));
    let message = write::message(services, &letter, &draft.mdn, original.as_deref());
    let (account, user) = (access.account, call.identity.clone());
    let outcome = services.submitter.notify(NewNotice { account, user, to, message }).await?;
    Ok(outcome.map_err(refusal).map(|()| (email.id, answer(&draft, &letter))))
}

/// The address of `rfc822; a@b`, or of what is one alone.
fn address(recipient: &str) -> &str {
    recipient.rsplit(';').next().unwrap_or_default().trim()
}

/// Who asks to be notified (RFC 8098 §2.1), each once.
fn notified(header: &[u8]) -> Vec<String> {
    let asked = headers::find(header, "Disposition-Notification-To").map(|field| field.text());
    let mut to: Vec<String> = Vec::new();
    for mailbox in mailboxes(&parse_list(&asked.unwrap_or_default(), NOTIFIED + 1)) {
        let address = mailbox.address();
        if !mailbox.domain.is_empty() && !to.iter().any(|one| one.eq_ignore_ascii_case(&address)) {
            to.push(address);
        }
    }
    to
}

/// What the client does not know of it (RFC 9007 §2.1): what it has not set, and has a default therefore.
fn answer(draft: &Draft, letter: &Letter) -> Value {
    let all = told(&draft.mdn);
    let mut answer = Object::new();
    let is_given = |name| match name {
        "reportingUA" => draft.mdn.reporting_ua.is_some(),
        "extensionFields" => !draft.mdn.extensions.is_empty(),
        _ => false,
    };
    for name in
        ["originalRecipient", "originalMessageId", "mdnGateway", "error", "reportingUA", "extensionFields"]
    {
        if !is_given(name) {
            answer.insert(name.to_owned(), all.get(name).cloned().unwrap_or_default());
        }
    }
    if !draft.include_original {
        answer.insert("includeOriginalMessage".to_owned(), false.into());
    }
    if draft.final_recipient.is_none() {
        answer.insert("finalRecipient".to_owned(), draft.mdn.final_recipient.as_str().into());
    }
    if draft.subject.is_none() {
        answer.insert("subject".to_owned(), letter.subject.as_str().into());
    }
    if draft.text.is_none() {
        answer.insert("textBody".to_owned(), letter.text.as_str().into());
    }
    Value::Object(answer)
}

fn refusal(refused: Refused) -> SetError {
    match refused {
        Refused::TooLarge(_) => SetError::too_large(),
        Refused::MailFrom => SetError::new("forbiddenFrom"),
        Refused::ToSend(why) => SetError::forbidden().describe(why),
        Refused::Envelope(_) | Refused::Recipients(_) | Refused::TooMany(_) => {
            SetError::not_found().describe("who asks for one cannot be notified")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, value: Value) -> Value {
        let disposition =
            json!({"actionMode": "manual-action", "sendingMode": "mdn-sent-manually", "type": "displayed"});
        let mut object = json!({"forEmailId": "M1", "disposition": disposition});
        object[name] = value;
        object
    }

    #[test]
    fn what_is_given_is_read() {
        let read = draft(&given("extensionFields", json!({"X-A": "b"}))).ok().unwrap();
        assert_eq!((read.mdn.kind.as_str(), read.mdn.extensions.len()), ("displayed", 1));
        for (name, value) in [
            ("forEmailId", Value::Null),
            ("subject", json!(1)),
            ("includeOriginalMessage", json!("yes")),
            ("disposition", json!({"actionMode": "manual-action", "type": "displayed"})),
            (
                "disposition",
                json!({"actionMode": "x", "sendingMode": "mdn-sent-manually", "type": "displayed"}),
            ),
            ("extensionFields", json!({"Disposition": "x"})),
            ("extensionFields", json!({"X: y": "x"})),
            ("originalMessageId", json!("<x>")),
            ("mdnGateway", json!("x")),
        ] {
            let error = draft(&given(name, value)).err().unwrap();
            assert_eq!(error, SetError::invalid_properties([name]), "{name}");
        }
    }

    #[test]
    fn patches_mark() {
        assert!(marks(&json!({"keywords/$mdnsent": true})));
        assert!(marks(&json!({"keywords": {"$seen": true, "$mdnsent": true}})));
        for patch in
            [json!({}), json!({"keywords/$mdnsent": null}), json!({"keywords/$seen": true}), json!(1)]
        {
            assert!(!marks(&patch));
        }
    }

    #[test]
    fn who_asks_is_notified_once() {
        let header = b"Subject: x\r\nDisposition-Notification-To: A <a@b.example>,\r\n A@b.example, c@d.example\r\n\r\n";
        assert_eq!(notified(header), ["a@b.example", "c@d.example"]);
        assert!(notified(b"Subject: x\r\n\r\n").is_empty());
        assert_eq!((address("rfc822; a@b"), address("a@b")), ("a@b", "a@b"));
    }
}
