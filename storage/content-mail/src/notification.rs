//! Notifications of what became of a message (RFC 6522): delivery status (RFC 3464) and disposition (RFC 8098), read for what
//! they say to machines.
//!
//! Anybody may send one that says anything. What is read is bounded, and is a claim.

use crate::build::Mdn;
use crate::headers::find;
use crate::{Content, Part, Summary, ids};

/// Octets of the fields, and of a returned header, that are looked at.
pub const FIELDS_MAX: u64 = 64 << 10;
/// Recipients that are looked at.
const RECIPIENTS: usize = 200;

/// What a notification is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Delivery (RFC 3464).
    Delivery,
    /// What the recipient did with it (RFC 8098).
    Disposition,
}

/// What is claimed of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Claim {
    /// It is in the mailbox (RFC 3464 §2.3.3 `delivered`).
    Delivered,
    /// It is given up (RFC 3464 §2.3.3 `failed`).
    Failed,
    /// It was shown (RFC 8098 §3.2.6.2 `displayed`).
    Displayed,
    /// Something else.
    Other,
}

/// What is claimed of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The addresses that it is known by: as it was sent to, if that is told, and where it went.
    pub addresses: Vec<String>,
    /// What.
    pub claim: Claim,
    /// What a server of SMTP said, with its code; empty for nothing.
    pub reply: String,
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Of what.
    pub kind: Kind,
    /// The ENVID that the message was sent with (RFC 3464 §2.2.1).
    pub envelope_id: Option<String>,
    /// The message's Message-ID, without angle brackets.
    pub message_id: Option<String>,
    /// What is claimed.
    pub recipients: Vec<Claimed>,
}

/// The parts of a message that make it a notification.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Of what it is.
    pub kind: Kind,
    /// The fields for machines.
    pub fields: &'a Part,
    /// The header of the message that it is about, where it is returned as text.
    pub header: Option<&'a Part>,
    message_id: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// None for a message that is no notification: RFC 6522 §3 has it in the top content type.
    pub fn of(summary: &'a Summary) -> Option<Self> {
        let root = &summary.structure;
        if !root.content_type.is("multipart", "report") {
            return None;
        }
        let Content::Multipart(parts) = &root.content else { return None };
        let is = |part: &Part, subtypes: [&str; 2]| {
            subtypes.iter().any(|subtype| part.content_type.is("message", subtype))
        };
        let (kind, subtypes) = match root.content_type.param("report-type")?.to_ascii_lowercase().as_str() {
            "delivery-status" => (Kind::Delivery, ["delivery-status", "global-delivery-status"]),
            // RFC 6533 §5
            "disposition-notification" => {
                (Kind::Disposition, ["disposition-notification", "global-disposition-notification"])
            }
            _ => return None,
        };
        let [_, fields, rest @ ..] = parts.as_slice() else { return None };
        if !is(fields, subtypes) || fields.size() > FIELDS_MAX {
            return None;
        }
        let returned = rest.first();
        let message_id = match returned.map(|part| &part.content) {
            Some(Content::Message(message)) => message.envelope.message_id.as_deref(),
            _ => None,
        };
        // RFC 6522 §4, RFC 6533 §4
        let header = returned.filter(|part| {
            part.content_type.is("text", "rfc822-headers")
                || part.content_type.is("message", "global-headers")
        });
        Some(Parts { kind, fields, header, message_id })
    }

    /// What it says, of the decoded parts; `header` may be its beginning. None if it says nothing that can be read.
    pub fn read(&self, fields: &[u8], header: &[u8]) -> Option<Notification> {
        let returned = match self.message_id {
            Some(text) => ids::single(text),
            None => find(header, "Message-ID").and_then(|field| ids::single(&field.text())),
        };
        match self.kind {
            Kind::Delivery => delivery(fields, returned),
            Kind::Disposition => disposition(fields, returned),
        }
    }
}

/// RFC 3464 §2.1: fields of the message, then a group of fields for each recipient.
fn delivery(octets: &[u8], message_id: Option<String>) -> Option<Notification> {
    let mut groups = groups(octets).into_iter();
    let envelope_id = find(groups.next()?, "Original-Envelope-Id").map(|field| field.text());
    let recipients: Vec<Claimed> = groups.take(RECIPIENTS).filter_map(recipient).collect();
    let kind = Kind::Delivery;
    (!recipients.is_empty()).then_some(Notification { kind, envelope_id, message_id, recipients })
}

/// RFC 3464 §2.3
fn recipient(group: &[u8]) -> Option<Claimed> {
    let text = |name: &str| find(group, name).map(|field| field.text());
    let action = text("Action")?.to_ascii_lowercase();
    let claim = match action.split([' ', '\t', '(']).next() {
        Some("delivered") => Claim::Delivered,
        Some("failed") => Claim::Failed,
        _ => Claim::Other,
    };
    let addresses = [text("Original-Recipient"), text("Final-Recipient")];
    let addresses: Vec<String> = addresses.iter().flatten().filter_map(|typed| address(typed)).collect();
    let reply = text("Diagnostic-Code").as_deref().and_then(reply).unwrap_or_default();
    (!addresses.is_empty()).then_some(Claimed { addresses, claim, reply })
}

/// RFC 8098 §3.1
fn disposition(octets: &[u8], returned: Option<String>) -> Option<Notification> {
    let mdn = Mdn::parse(octets)?;
    let claim = if mdn.kind == "displayed" { Claim::Displayed } else { Claim::Other };
    let addresses = mdn.original_recipient.iter().chain([&mdn.final_recipient]);
    let addresses = addresses.filter_map(|typed| address(typed)).collect();
    let message_id = mdn.original_message_id.as_deref().and_then(ids::single).or(returned);
    let recipients = vec![Claimed { addresses, claim, reply: String::new() }];
    Some(Notification { kind: Kind::Disposition, envelope_id: None, message_id, recipients })
}

/// The address of `rfc822; a@b` (RFC 3464 §2.1.2).
fn address(typed: &str) -> Option<String> {
    let address = typed.split_once(';').map_or(typed, |(_, address)| address).trim();
    let address = address.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(address);
    (!address.is_empty()).then(|| address.to_owned())
}

/// The reply in `smtp; 550 5.1.1 …` (RFC 3464 §2.3.6, §2.1.1).
fn reply(code: &str) -> Option<String> {
    let (kind, text) = code.split_once(';')?;
    let text = text.trim();
    let code = text.as_bytes().get(..3)?;
    let fits = kind.trim().eq_ignore_ascii_case("smtp") && code.iter().all(u8::is_ascii_digit);
    fits.then(|| text.to_owned())
}

/// Groups of lines, parted by empty ones.
fn groups(octets: &[u8]) -> Vec<&[u8]> {
    let (mut groups, mut start, mut at) = (Vec::new(), 0, 0);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let end = at + line.len();
        if line.trim_ascii().is_empty() {
            groups.extend(octets.get(start..at).filter(|group| !group.is_empty()));
            start = end;
        }
        at = end;
    }
    groups.extend(octets.get(start..).filter(|group| !group.is_empty()));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Action, Dsn, DsnRecipient, Original, dsn};
    use crate::{Limits, decode, summarize};

    fn read(message: &[u8]) -> Option<Notification> {
        let summary = summarize(message, &Limits::default());
        let parts = Parts::of(&summary)?;
        let octets = |part: &Part| {
            let body = &message[part.body.start as usize..part.body.end as usize];
            decode::transfer(&part.encoding, body).into_owned()
        };
        parts.read(&octets(parts.fields), &parts.header.map(octets).unwrap_or_default())
    }

    fn ours(original: Original<'_>) -> Vec<u8> {
        let recipient = |address, action, diagnostic| DsnRecipient {
            address,
            original: None,
            action,
            status: "5.1.1",
            diagnostic,
            remote: Some("mx.example"),
            last_attempt: None,
            retry_until: None,
        };
        dsn(&Dsn {
            reporting: "mx.example.test",
            from: "postmaster@example.test",
            to: "a@example.test",
            message_id: "x@example.test",
            date: 0,
            arrival: None,
            envid: Some("S1"),
            recipients: &[
                DsnRecipient {
                    original: Some("rfc822;B@example"),
                    ..recipient("c@example", Action::Failed, Some("550 5.1.1 unknown"))
                },
                recipient("d@example", Action::Delivered, None),
            ],
            original,
        })
    }

    #[test]
    fn what_we_write_is_read() {
        let header = b"From: a\r\nMessage-ID: <one@example.test>\r\n\r\nbody\r\n";
        for original in [Original::Header(header), Original::Full(header)] {
            let found = read(&ours(original)).unwrap();
            assert_eq!((found.kind, found.envelope_id.as_deref()), (Kind::Delivery, Some("S1")));
            assert_eq!(found.message_id.as_deref(), Some("one@example.test"));
            let [failed, delivered] = found.recipients.as_slice() else { panic!("{found:?}") };
            assert_eq!(failed.addresses, ["B@example", "c@example"]);
            assert_eq!((failed.claim, failed.reply.as_str()), (Claim::Failed, "550 5.1.1 unknown"));
            assert_eq!((delivered.claim, delivered.reply.as_str()), (Claim::Delivered, ""));
        }
    }

    fn report(kind: &str, subtype: &str, fields: &str) -> String {
        format!(
            "Content-Type: multipart/report; report-type={kind}; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n\
             --b\r\nContent-Type: message/{subtype}\r\n\r\n{fields}\r\n--b--\r\n"
        )
    }

    #[test]
    fn dispositions_name_the_message() {
        let fields = "Final-Recipient: rfc822;b@example\r\nOriginal-Message-ID: <one@example.test>\r\n\
             Disposition: manual-action/MDN-sent-manually; displayed\r\n";
        let text = report("disposition-notification", "disposition-notification", fields);
        let found = read(text.as_bytes()).unwrap();
        assert_eq!((found.kind, found.message_id.as_deref()), (Kind::Disposition, Some("one@example.test")));
        let one = &found.recipients[0];
        assert_eq!((one.claim, one.addresses.as_slice()), (Claim::Displayed, &["b@example".to_owned()][..]));
        let deleted = text.replace("displayed", "deleted");
        assert_eq!(read(deleted.as_bytes()).unwrap().recipients[0].claim, Claim::Other);
    }

    #[test]
    fn what_is_no_notification_is_none() {
        let fields = "Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822;b@example\r\nAction: failed\r\n";
        let good = report("delivery-status", "delivery-status", fields);
        assert_eq!(read(good.as_bytes()).unwrap().recipients.len(), 1);
        for bad in [
            good.replace("multipart/report", "multipart/mixed"),
            good.replace("report-type=delivery-status", "report-type=x"),
            good.replace("message/delivery-status", "text/plain"),
            good.replace("Action", "X-Action"),
            good.replace("Final-Recipient: rfc822;b@example", "Final-Recipient:"),
            report("delivery-status", "disposition-notification", fields),
            report("delivery-status", "delivery-status", ""),
            "Content-Type: multipart/report; report-type=delivery-status\r\n\r\n".to_owned(),
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
        let long = format!("{}\r\n{fields}", "X: y\r\n".repeat(20_000));
        assert_eq!(read(report("delivery-status", "delivery-status", &long).as_bytes()), None);
        let many = format!("X: y\r\n{}", "\r\nFinal-Recipient: x; b\r\nAction: failed\r\n".repeat(500));
        let many = report("delivery-status", "delivery-status", &many);
        assert_eq!(read(many.as_bytes()).unwrap().recipients.len(), RECIPIENTS);
    }
}
