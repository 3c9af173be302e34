//! Header fields of an email or a part that is made: convenience properties and `header:*` (RFC 8621 §4.1.2, §4.1.3, §4.6).

use std::collections::BTreeMap;

use content_mail::compose::{self, Entry, Person};
use jmap_proto::date::Date;
use jmap_proto::mail::header::{Form, HeaderProperty};
use serde_json::Value;

use crate::call::Call;

/// Convenience properties of an email (RFC 8621 §4.1.3): the field, and its form.
const CONVENIENT: [(&str, &str, Form); 11] = [
    ("messageId", "Message-ID", Form::MessageIds),
    ("inReplyTo", "In-Reply-To", Form::MessageIds),
    ("references", "References", Form::MessageIds),
    ("sender", "Sender", Form::Addresses),
    ("from", "From", Form::Addresses),
    ("to", "To", Form::Addresses),
    ("cc", "Cc", Form::Addresses),
    ("bcc", "Bcc", Form::Addresses),
    ("replyTo", "Reply-To", Form::Addresses),
    ("subject", "Subject", Form::Text),
    ("sentAt", "Date", Form::Date),
];

/// The order in which fields are written (RFC 5322 §3.6 recommends none); others come behind these.
const ORDER: [&str; 11] = [
    "date",
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "subject",
    "message-id",
    "in-reply-to",
    "references",
];

/// The longest message id, or URL, that fits a line.
const WORD_MAX: usize = 900;

/// Fields, by their names in lower case; each name has one property.
#[derive(Debug, Clone, Default)]
pub(super) struct Header(BTreeMap<String, Vec<String>>);

impl Header {
    /// A property of an email; whether it is one that may be there, and may say that.
    pub(super) fn read_of_email(&mut self, name: &str, value: &Value) -> bool {
        let convenient = CONVENIENT.iter().find(|(property, _, _)| *property == name);
        let property = match convenient {
            Some((_, field, form)) => HeaderProperty { field: (*field).to_owned(), form: *form, all: false },
            None => match HeaderProperty::parse(name) {
                Some(Ok(property)) => property,
                _ => return false,
            },
        };
        let field = property.field.to_ascii_lowercase();
        // RFC 8621 §4.6: what begins so is of a part; the server says that it is MIME.
        !field.starts_with("content-") && field != "mime-version" && self.add(&property, value)
    }

    /// A `header:*` property of a part, but for those that the caller reads.
    pub(super) fn read_of_part(&mut self, property: &HeaderProperty, value: &Value) -> bool {
        // RFC 8621 §4.6: the server chooses how a part is encoded.
        let theirs = ["content-transfer-encoding", "mime-version"];
        !theirs.contains(&property.field.to_ascii_lowercase().as_str()) && self.add(property, value)
    }

    fn add(&mut self, property: &HeaderProperty, value: &Value) -> bool {
        let values = match value {
            Value::Array(values) if property.all => values.iter().collect(),
            _ if property.all => return false,
            // Null: there is no such field.
            Value::Null => Vec::new(),
            value => vec![value],
        };
        let fields: Option<Vec<String>> =
            values.into_iter().map(|value| field(&property.field, property.form, value)).collect();
        // RFC 8621 §4.6: no two properties for the same field.
        fields.is_some_and(|fields| self.0.insert(property.field.to_ascii_lowercase(), fields).is_none())
    }

    /// The names of the fields, in lower case.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The fields as they are written, in the order of their names.
    pub(super) fn into_fields(self) -> Vec<String> {
        self.0.into_values().flatten().collect()
    }

    /// All fields, with those that a message must have (RFC 5322 §3.6) and those that RFC 8621 §4.6 has the server add.
    pub(super) fn finish(mut self, call: &Call) -> Vec<String> {
        let services = call.services();
        let absent = |header: &Self, name: &str| header.0.get(name).is_none_or(Vec::is_empty);
        let now = services.clock.now();
        if absent(&self, "date") {
            self.0.insert("date".to_owned(), vec![compose::date("Date", now.secs(), 0)]);
        }
        if absent(&self, "message-id") {
            let domain = call.identity.address.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
            let id = format!("{:x}.{:016x}@{domain}", now.millis(), services.rng.u64());
            self.0.insert("message-id".to_owned(), vec![compose::ids("Message-ID", &[id])]);
        }
        let mut fields: Vec<String> =
            ORDER.iter().filter_map(|name| self.0.remove(*name)).flatten().collect();
        fields.extend(self.into_fields());
        fields
    }
}

/// A field that says so; none if the value is not of the form.
fn field(name: &str, form: Form, value: &Value) -> Option<String> {
    match form {
        Form::Raw => compose::raw(name, value.as_str()?),
        Form::Text => Some(compose::text(name, value.as_str()?)),
        Form::Addresses => {
            let people: Option<Vec<Entry>> =
                value.as_array()?.iter().map(|one| person(one).map(Entry::Person)).collect();
            compose::addresses(name, &people?)
        }
        Form::GroupedAddresses => compose::addresses(name, &grouped(value)?),
        Form::MessageIds => {
            let is_id = |id: &str| {
                !id.is_empty() && !id.contains(|c: char| !c.is_ascii_graphic() || "<>".contains(c))
            };
            Some(compose::ids(name, &texts(value, is_id)?))
        }
        Form::Urls => {
            let is_url = |url: &str| {
                !url.is_empty() && !url.contains(|c: char| !c.is_ascii_graphic() || "<>".contains(c))
            };
            Some(compose::urls(name, &texts(value, is_url)?))
        }
        Form::Date => {
            let date = Date::parse(value.as_str()?)?;
            Some(compose::date(name, date.millis.div_euclid(1_000), date.offset))
        }
    }
}

/// A list that is not empty, of texts that fit.
fn texts(value: &Value, fits: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let items = value.as_array().filter(|items| !items.is_empty())?;
    let text =
        |item: &Value| item.as_str().filter(|text| text.len() <= WORD_MAX && fits(text)).map(str::to_owned);
    items.iter().map(text).collect()
}

/// An `EmailAddress` (RFC 8621 §4.1.2.3).
fn person(value: &Value) -> Option<Person> {
    let object = value.as_object()?;
    if object.keys().any(|name| name != "name" && name != "email") {
        return None;
    }
    let name = match object.get("name") {
        None | Some(Value::Null) => None,
        Some(name) => Some(name.as_str()?.to_owned()),
    };
    Some(Person { name, email: object.get("email")?.as_str()?.to_owned() })
}

/// `EmailAddressGroup`s (RFC 8621 §4.1.2.4).
fn grouped(value: &Value) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    for group in value.as_array()? {
        let group = group.as_object()?;
        let members: Option<Vec<Person>> = group.get("addresses")?.as_array()?.iter().map(person).collect();
        match group.get("name") {
            None | Some(Value::Null) => entries.extend(members?.into_iter().map(Entry::Person)),
            Some(name) => {
                let name = name.as_str().filter(|name| !name.trim().is_empty())?;
                entries.push(Entry::Group(name.to_owned(), members?));
            }
        }
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(properties: &Value) -> Result<Vec<String>, String> {
        let mut header = Header::default();
        for (name, value) in properties.as_object().unwrap() {
            if !header.read_of_email(name, value) {
                return Err(name.clone());
            }
        }
        Ok(header.into_fields())
    }

    /// RFC 8621 §4.1.2, §4.1.3
    #[test]
    fn every_form_is_written() {
        let properties = json!({
            "subject": "Hi",
            "from": [{"name": "A B", "email": "a@example.com"}],
            "to": null,
            "inReplyTo": ["x@y"],
            "sentAt": "2026-11-21T10:00:00+01:00",
            "header:X-Raw": " as it is",
            "header:X-List:asURLs": ["https://example.com/"],
            "header:X-Many:asText:all": ["one", "two"],
            "header:X-Group:asGroupedAddresses": [{"name": "G", "addresses": [{"email": "g@h"}]}],
        });
        let fields = [
            "Date: Sat, 21 Nov 2026 10:00:00 +0100\r\n",
            "From: A B <a@example.com>\r\n",
            "In-Reply-To: <x@y>\r\n",
            "Subject: Hi\r\n",
            "X-Group: G: g@h;\r\n",
            "X-List: <https://example.com/>\r\n",
            "X-Many: one\r\n",
            "X-Many: two\r\n",
            "X-Raw: as it is\r\n",
        ];
        assert_eq!(read(&properties).unwrap(), fields);
    }

    /// RFC 8621 §4.6
    #[test]
    fn what_cannot_be_is_named() {
        for (properties, name) in [
            (json!({"from": [{"name": "A", "email": "a b\r\n"}]}), "from"),
            (json!({"subject": 1}), "subject"),
            (json!({"header:Subject": "a", "subject": "b"}), "subject"),
            (json!({"header:subject:asText": "a", "header:Subject": "b"}), "header:subject:asText"),
            (json!({"header:Content-Type": "text/plain"}), "header:Content-Type"),
            (json!({"header:From:asText": "a"}), "header:From:asText"),
            (json!({"header:X:asText:all": "a"}), "header:X:asText:all"),
            (json!({"header:X": "a\r\nBcc: b"}), "header:X"),
            (json!({"messageId": ["a b"]}), "messageId"),
            (json!({"messageId": []}), "messageId"),
            (json!({"sentAt": "yesterday"}), "sentAt"),
            (json!({"unheard": 1}), "unheard"),
        ] {
            assert_eq!(read(&properties), Err(name.to_owned()), "{properties}");
        }
    }
}
