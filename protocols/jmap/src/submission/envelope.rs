//! The envelope of a submission (RFC 8621 §7): as it is given, or as the message says it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use content_mail::address::mailboxes;
use content_mail::{Address, Envelope as Fields};
use jmap_proto::{Object, SetError};
use serde_json::Value;

use crate::submit::Path;

/// Parameters of an address, and octets of one.
const PARAMETERS: usize = 20;
const PARAMETER: usize = 1_000;

/// An address of an envelope as the client knows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    pub(super) path: Path,
    /// As a JSON object; empty for none.
    pub(super) parameters: String,
}

/// An envelope.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Envelope {
    pub(super) from: Given,
    pub(super) to: Vec<Given>,
    /// RFC 4865: how long or until when it is kept, as it was said.
    pub(super) hold: Option<Hold>,
}

/// When to send (RFC 4865 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hold {
    /// After so many seconds.
    For(u64),
    /// At a time, in milliseconds since the epoch.
    Until(i64),
}

impl Envelope {
    /// As a client gives it.
    ///
    /// # Errors
    /// `invalidProperties`
    pub(super) fn read(value: &Value) -> Result<Self, SetError> {
        let wrong = || SetError::invalid_properties(["envelope"]);
        let object = value.as_object().ok_or_else(wrong)?;
        if object.keys().any(|name| name != "mailFrom" && name != "rcptTo") {
            return Err(wrong());
        }
        let mut hold = None;
        let from = object.get("mailFrom").and_then(|from| given(from, Some(&mut hold))).ok_or_else(wrong)?;
        let to = object.get("rcptTo").and_then(Value::as_array).ok_or_else(wrong)?;
        let to: Option<Vec<Given>> = to.iter().map(|to| given(to, None)).collect();
        Ok(Envelope { from, to: to.ok_or_else(wrong)?, hold })
    }

    /// RFC 8621 §7: the Sender, or else the From; To, Cc and Bcc.
    ///
    /// # Errors
    /// `invalidEmail` if the message does not say who sent it.
    pub(super) fn of(fields: &Fields) -> Result<Self, SetError> {
        let sender: Vec<_> = mailboxes(&fields.sender).collect();
        let [sender] = sender.as_slice() else {
            return Err(invalid_email(&[if sender.is_empty() { "from" } else { "sender" }]));
        };
        let mut seen = BTreeSet::new();
        let lists: [&[Address]; 3] = [&fields.to, &fields.cc, &fields.bcc];
        let to = lists.into_iter().flat_map(mailboxes).map(content_mail::Mailbox::address);
        let to = to.filter(|address| seen.insert(address.to_lowercase())).map(Given::plain).collect();
        Ok(Envelope { from: Given::plain(sender.address()), to, hold: None })
    }

    /// RFC 8621 §7: an address that the identity does not allow gives way to its own.
    pub(super) fn sent_by(mut self, identity: &str) -> Self {
        if !self.from.path.address.eq_ignore_ascii_case(identity) {
            self.from = Given::plain(identity.to_owned());
        }
        self
    }
}

impl Given {
    fn plain(address: String) -> Self {
        Given { path: Path { address, parameters: String::new() }, parameters: String::new() }
    }
}

/// RFC 8621 §7.5 `invalidEmail`: these properties of the email are not valid.
pub(super) fn invalid_email(properties: &[&str]) -> SetError {
    SetError::new("invalidEmail").with("properties", Value::from(properties.to_vec()))
}

/// An `Address` object; what says when to send is not passed on, it is done here.
fn given(value: &Value, hold: Option<&mut Option<Hold>>) -> Option<Given> {
    let object = value
        .as_object()
        .filter(|object| object.keys().all(|name| name == "email" || name == "parameters"))?;
    let address = object.get("email")?.as_str().filter(|email| email.len() <= PARAMETER)?.to_owned();
    let Some(parameters) = object.get("parameters").filter(|value| !value.is_null()) else {
        return Some(Given::plain(address));
    };
    let parameters = parameters.as_object().filter(|all| all.len() <= PARAMETERS)?;
    let mut text = String::new();
    let mut until = None;
    for (name, value) in parameters {
        match name.to_ascii_uppercase().as_str() {
            "HOLDFOR" | "HOLDUNTIL" if hold.is_none() || until.is_some() => return None,
            "HOLDFOR" => until = Some(Hold::For(value.as_str()?.parse().ok()?)),
            "HOLDUNTIL" => until = Some(Hold::Until(jmap_proto::date::parse_utc(value.as_str()?)?)),
            _ => write!(text, " {}", parameter(name, value)?).ok()?,
        }
    }
    if let Some(hold) = hold {
        *hold = until;
    }
    let parameters = Value::Object(parameters.clone()).to_string();
    Some(Given { path: Path { address, parameters: text }, parameters })
}

/// Parameters that were read before, but for when to send.
pub(super) fn written(kept: &str) -> Option<String> {
    let all: Value = serde_json::from_str(kept).ok()?;
    let passed = |name: &str| !["HOLDFOR", "HOLDUNTIL"].iter().any(|one| one.eq_ignore_ascii_case(name));
    let all = all.as_object()?.iter().filter(|(name, _)| passed(name));
    all.map(|(name, value)| parameter(name, value).map(|one| format!(" {one}"))).collect()
}

/// The ENVID among parameters that were read before (RFC 3461 §4.4).
pub(super) fn envelope_id(kept: &str) -> Option<String> {
    let all: Value = serde_json::from_str(kept).ok()?;
    let given = all.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case("ENVID"));
    given.and_then(|(_, value)| value.as_str()).map(str::to_owned)
}

/// RFC 5321 §4.1.2 `esmtp-param`. What is given is as it is meant: where SMTP wants it coded (RFC 3461 §4), it is coded here.
fn parameter(name: &str, value: &Value) -> Option<String> {
    let keyword = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if name.is_empty() || !name.bytes().all(keyword) {
        return None;
    }
    if value.is_null() {
        return Some(name.to_owned());
    }
    let value = value.as_str().filter(|value| value.len() <= PARAMETER)?;
    let coded = match name.to_ascii_uppercase().as_str() {
        "ENVID" => xtext(value)?,
        "ORCPT" => {
            let (kind, address) = value.split_once(';')?;
            format!("{kind};{}", xtext(address)?)
        }
        _ => value.to_owned(),
    };
    let fits =
        coded.bytes().all(|b| (33..=126).contains(&b) && (b != b'=' || name.eq_ignore_ascii_case("AUTH")));
    (fits && !coded.is_empty()).then(|| format!("{name}={coded}"))
}

/// RFC 3461 §4
fn xtext(text: &str) -> Option<String> {
    let octet = |b: u8| match b {
        b'+' | b'=' => Some(format!("+{b:02X}")),
        b'!'..=b'~' => Some(char::from(b).to_string()),
        b' ' => Some("+20".to_owned()),
        _ => None,
    };
    text.bytes().map(octet).collect()
}

/// The names of an object that are not among these.
pub(super) fn unknown<'a>(object: &'a Object, known: &[&str]) -> Vec<&'a str> {
    object.keys().map(String::as_str).filter(|name| !known.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn envelopes_are_read() {
        let envelope = Envelope::read(&json!({
            "mailFrom": {"email": "a@b", "parameters": {"RET": "HDRS", "ENVID": "x y", "holdfor": "60"}},
            "rcptTo": [{"email": "c@d"}, {"email": "e@f", "parameters": {"NOTIFY": "NEVER", "ORCPT": "rfc822;e+1@f"}}],
        }))
        .unwrap();
        assert_eq!(envelope.hold, Some(Hold::For(60)));
        assert_eq!(envelope.from.path.parameters, " ENVID=x+20y RET=HDRS");
        assert_eq!(envelope_id(&envelope.from.parameters).as_deref(), Some("x y"));
        assert_eq!(envelope_id(""), None);
        assert_eq!(envelope.to[0].path, Path { address: "c@d".into(), parameters: String::new() });
        assert_eq!(envelope.to[1].path.parameters, " NOTIFY=NEVER ORCPT=rfc822;e+2B1@f");
        for bad in [
            json!({"mailFrom": {"email": "a@b"}}),
            json!({"mailFrom": {"email": 1}, "rcptTo": []}),
            json!({"mailFrom": {"email": "a@b", "parameters": {"A B": "x"}}, "rcptTo": []}),
            json!({"mailFrom": {"email": "a@b", "parameters": {"X": "a\r\nRCPT TO:<b@c>"}}, "rcptTo": []}),
            json!({"mailFrom": {"email": "a@b", "parameters": {"HOLDFOR": "soon"}}, "rcptTo": []}),
            json!({"mailFrom": {"email": "a@b"}, "rcptTo": [{"email": "c@d", "parameters": {"HOLDFOR": "1"}}]}),
            json!({"mailFrom": {"email": "a@b"}, "rcptTo": [], "more": 1}),
        ] {
            assert!(Envelope::read(&bad).is_err(), "{bad}");
        }
    }
}
