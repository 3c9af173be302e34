//! What a list shows of a message: its people, its subject, how it begins (RFC 8621 §4.1.2, §4.1.4).

use content_mail::{Address, MessageIds, Summary};
use jmap_proto::Object;
use mail::Head;
use serde_json::Value;

use super::wanted::Wanted;
use super::{addresses, header};

/// What is told of, whether all of a summary was read or a part.
pub(super) struct Fields<'a> {
    from: &'a [Address],
    to: &'a [Address],
    cc: &'a [Address],
    bcc: &'a [Address],
    subject: Option<&'a str>,
    date: Option<&'a str>,
    message_ids: &'a MessageIds,
    has_attachment: bool,
    preview: &'a str,
}

impl<'a> From<&'a Head> for Fields<'a> {
    fn from(head: &'a Head) -> Self {
        Fields {
            from: &head.from,
            to: &head.to,
            cc: &head.cc,
            bcc: &head.bcc,
            subject: head.subject.as_deref(),
            date: head.date.as_deref(),
            message_ids: &head.message_ids,
            has_attachment: head.has_attachment,
            preview: &head.preview,
        }
    }
}

impl<'a> From<&'a Summary> for Fields<'a> {
    fn from(summary: &'a Summary) -> Self {
        let envelope = &summary.envelope;
        Fields {
            from: &envelope.from,
            to: &envelope.to,
            cc: &envelope.cc,
            bcc: &envelope.bcc,
            subject: envelope.subject.as_deref(),
            date: envelope.date.as_deref(),
            message_ids: &summary.message_ids,
            has_attachment: summary.has_attachment,
            preview: &summary.preview,
        }
    }
}

/// Adds what is wanted of it.
pub(super) fn tell(object: &mut Object, fields: &Fields<'_>, wanted: &Wanted) {
    let mut put = |name: &str, value: &dyn Fn() -> Value| {
        if wanted.has(name) {
            object.insert(name.to_owned(), value());
        }
    };
    let list = |list: &[Address]| match list {
        [] => Value::Null,
        some => addresses::plain(some),
    };
    let ids = |ids: &[String]| if ids.is_empty() { Value::Null } else { Value::from(ids.to_vec()) };
    let text = |text: &str| Value::from(header::text(text));
    put("from", &|| list(fields.from));
    put("to", &|| list(fields.to));
    put("cc", &|| list(fields.cc));
    put("bcc", &|| list(fields.bcc));
    put("subject", &|| fields.subject.map_or(Value::Null, text));
    put("sentAt", &|| fields.date.and_then(header::date).map_or(Value::Null, Value::from));
    put("messageId", &|| ids(fields.message_ids.message_id.as_slice()));
    put("inReplyTo", &|| ids(&fields.message_ids.in_reply_to));
    put("references", &|| ids(&fields.message_ids.references));
    put("hasAttachment", &|| fields.has_attachment.into());
    put("preview", &|| fields.preview.into());
}
