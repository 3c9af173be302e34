//! What is wanted of emails (RFC 8621 §4.2, §4.9).

use jmap_proto::mail::header::HeaderProperty;
use jmap_proto::{Arguments, MethodError};

use super::smime;
use crate::call::Call;

/// Properties of an email that rows have (RFC 8621 §4.1.1).
const METADATA: [&str; 7] = ["id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt"];

/// Properties of a message, told if none are asked for (RFC 8621 §4.2, §4.9).
pub(super) const CONTENT: [&str; 17] = [
    "messageId",
    "inReplyTo",
    "references",
    "sender",
    "from",
    "to",
    "cc",
    "bcc",
    "replyTo",
    "subject",
    "sentAt",
    "hasAttachment",
    "preview",
    "bodyValues",
    "textBody",
    "htmlBody",
    "attachments",
];

/// Properties besides these.
const OTHERS: [&str; 2] = ["headers", "bodyStructure"];

/// Properties of a part that are told if none are asked for.
const PART_DEFAULTS: [&str; 10] =
    ["partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language", "location"];

/// Properties of a part besides these.
const PART_OTHERS: [&str; 2] = ["headers", "subParts"];

/// Properties of a message that are told of its summary, without a look at the message itself.
const SUMMARIZED: [&str; 11] = [
    "messageId",
    "inReplyTo",
    "references",
    "from",
    "to",
    "cc",
    "bcc",
    "subject",
    "sentAt",
    "hasAttachment",
    "preview",
];

/// What of an email is wanted.
pub(crate) struct Wanted {
    properties: Vec<String>,
    pub(super) headers: Vec<(String, HeaderProperty)>,
    part_properties: Vec<String>,
    pub(super) part_headers: Vec<(String, HeaderProperty)>,
    pub(super) text_values: bool,
    pub(super) html_values: bool,
    pub(super) all_values: bool,
    pub(super) max_value: usize,
}

impl Wanted {
    /// Reads what `Email/get` has of its own.
    pub(crate) fn read(
        call: &Call,
        arguments: &mut Arguments,
        properties: Option<Vec<String>>,
    ) -> Result<Self, MethodError> {
        let signed: &[&str] = if smime::is_used(call) { &smime::PROPERTIES } else { &[] };
        let properties =
            properties.unwrap_or_else(|| METADATA.iter().chain(&CONTENT).map(ToString::to_string).collect());
        let part_properties = arguments.opt_texts("bodyProperties")?;
        let part_properties = part_properties.unwrap_or_else(|| PART_DEFAULTS.map(str::to_owned).to_vec());
        let max_value = arguments.opt_uint("maxBodyValueBytes")?.unwrap_or(0);
        Ok(Wanted {
            headers: checked(&properties, "properties", &[&METADATA, &CONTENT, &OTHERS, signed])?,
            part_headers: checked(&part_properties, "bodyProperties", &[&PART_DEFAULTS, &PART_OTHERS])?,
            properties,
            part_properties,
            text_values: arguments.flag("fetchTextBodyValues")?,
            html_values: arguments.flag("fetchHTMLBodyValues")?,
            all_values: arguments.flag("fetchAllBodyValues")?,
            max_value: usize::try_from(max_value).unwrap_or(usize::MAX),
        })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.properties.iter().any(|one| one == name)
    }

    pub(super) fn has_of_part(&self, name: &str) -> bool {
        self.part_properties.iter().any(|one| one == name)
    }

    /// Whether all that is wanted is in rows, so that not even a summary is read.
    pub(super) fn is_of_rows(&self) -> bool {
        self.properties.iter().all(|name| METADATA.contains(&name.as_str()))
    }

    /// Whether something of the message's parts is wanted.
    pub(super) fn is_of_parts(&self) -> bool {
        ["bodyStructure", "textBody", "htmlBody", "attachments", "bodyValues"]
            .iter()
            .any(|name| self.has(name))
    }

    /// Whether all that is wanted is in rows and summaries, as lists show it, so that nothing of the message itself is read.
    pub(super) fn is_of_lists(&self) -> bool {
        let known = |name: &str| METADATA.contains(&name) || SUMMARIZED.contains(&name);
        self.properties.iter().all(|name| known(name))
    }
}

/// The header properties among names, all of which have to be known.
fn checked(
    names: &[String],
    argument: &str,
    known: &[&[&str]],
) -> Result<Vec<(String, HeaderProperty)>, MethodError> {
    let mut headers = Vec::new();
    for name in names {
        match HeaderProperty::parse(name) {
            Some(Ok(property)) => headers.push((name.clone(), property)),
            None if known.iter().any(|list| list.contains(&name.as_str())) => {}
            _ => return Err(MethodError::invalid(argument, "there is no such property")),
        }
    }
    Ok(headers)
}
