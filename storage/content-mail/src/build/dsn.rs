//! Delivery status notifications: RFC 3461 (when), RFC 3464 (what), RFC 6522 (how), RFC 6533 (for
//! internationalized addresses).

use super::{clean, field, wrap};
use crate::{date, headers};

/// Bytes of one value in a notification.
const VALUE_MAX: usize = 2000;
/// Bytes of the original header that are returned.
pub const HEADER_MAX: usize = 64 << 10;
/// Bytes of the largest message that is returned whole; of a larger one, only the header (RFC 3461 §6.2 lets
/// the server choose for a FULL request it cannot fulfil).
pub const FULL_MAX: usize = 1 << 20;

/// What happened to a recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is given up.
    Failed,
    /// It is late and will be tried again.
    Delayed,
    /// It is in the mailbox.
    Delivered,
    /// It went to a server that sends no notifications.
    Relayed,
    /// It went to the members of a list.
    Expanded,
}

impl Action {
    /// The value of the Action field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }
}

/// One recipient of a notification.
#[derive(Debug, Clone)]
pub struct DsnRecipient<'a> {
    /// The address delivery was tried to.
    pub address: &'a str,
    /// ORCPT as it was given (RFC 3461 §4.2), decoded from xtext: `rfc822;alice@example.test`.
    pub original: Option<&'a str>,
    /// What happened.
    pub action: Action,
    /// The status of RFC 3463, as `5.1.1`.
    pub status: &'a str,
    /// What the other server said, its code included.
    pub diagnostic: Option<&'a str>,
    /// The server that said it.
    pub remote: Option<&'a str>,
    /// The last attempt, in seconds since the epoch.
    pub last_attempt: Option<i64>,
    /// Of a delayed one: until when it is tried.
    pub retry_until: Option<i64>,
}

/// What is returned of the message (RFC 3461 §4.3 RET).
#[derive(Debug, Clone, Copy)]
pub enum Original<'a> {
    /// Its header; more may be passed, it is cut at the blank line.
    Header(&'a [u8]),
    /// All of it; only the header where it is very large.
    Full(&'a [u8]),
}

/// A notification to be written.
#[derive(Debug, Clone)]
pub struct Dsn<'a> {
    /// This server's name.
    pub reporting: &'a str,
    /// Whom the notification is from, as `postmaster@example.test`.
    pub from: &'a str,
    /// The return path of the message, to which this goes; never empty.
    pub to: &'a str,
    /// The Message-ID, without angle brackets; the boundary is made of it.
    pub message_id: &'a str,
    /// Now, in seconds since the epoch.
    pub date: i64,
    /// When the message came, in seconds since the epoch.
    pub arrival: Option<i64>,
    /// ENVID, decoded from xtext (RFC 3461 §4.4).
    pub envid: Option<&'a str>,
    /// The recipients it is about, at least one.
    pub recipients: &'a [DsnRecipient<'a>],
    /// What is returned.
    pub original: Original<'a>,
}

/// The notification as a message. It is to be sent with the null reverse-path (RFC 3464 §2).
pub fn dsn(report: &Dsn<'_>) -> Vec<u8> {
    let returned = Returned::new(report.original);
    let utf8 = report.needs_utf8();
    let boundary = boundary(report, &returned);
    let mut out = header(report, &boundary);
    part(&mut out, &boundary, "text/plain; charset=utf-8", "8bit");
    out.push_str(&explanation(report));
    let status = if utf8 { "message/global-delivery-status" } else { "message/delivery-status" };
    part(&mut out, &boundary, status, if utf8 { "8bit" } else { "7bit" });
    out.push_str(&delivery_status(report, utf8));
    part(&mut out, &boundary, returned.content_type(), returned.encoding());
    let mut out = out.into_bytes();
    out.extend_from_slice(returned.bytes);
    if !returned.bytes.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    out
}

impl Dsn<'_> {
    /// RFC 6533 §3: internationalized addresses need the form of its media type.
    fn needs_utf8(&self) -> bool {
        self.recipients.iter().any(|r| !r.address.is_ascii() || r.original.is_some_and(|o| !o.is_ascii()))
    }

    /// What the subject and the first sentence say: the worst that happened.
    fn worst(&self) -> Action {
        let order = [Action::Failed, Action::Delayed, Action::Relayed, Action::Expanded];
        let has = |action: &Action| self.recipients.iter().any(|r| r.action == *action);
        order.into_iter().find(has).unwrap_or(Action::Delivered)
    }
}

/// The returned bytes and how they are declared.
struct Returned<'a> {
    bytes: &'a [u8],
    full: bool,
}

impl<'a> Returned<'a> {
    fn new(original: Original<'a>) -> Self {
        match original {
            Original::Full(bytes) if bytes.len() <= FULL_MAX => Self { bytes, full: true },
            Original::Full(bytes) | Original::Header(bytes) => {
                let mut end = 0;
                for field in headers::fields(bytes) {
                    if end + field.raw.len() > HEADER_MAX {
                        break;
                    }
                    end = field.raw.as_ptr_range().end as usize - bytes.as_ptr() as usize;
                }
                Self { bytes: &bytes[..end], full: false }
            }
        }
    }

    /// RFC 6522 §4 for headers, RFC 6533 §4 for those that are not US-ASCII.
    fn content_type(&self) -> &'static str {
        match (self.full, self.bytes.is_ascii()) {
            (true, _) => "message/rfc822",
            (false, true) => "text/rfc822-headers",
            (false, false) => "message/global-headers",
        }
    }

    fn encoding(&self) -> &'static str {
        if self.bytes.is_ascii() { "7bit" } else { "8bit" }
    }
}

/// A delimiter that no line of what is returned can be.
fn boundary(report: &Dsn<'_>, returned: &Returned<'_>) -> String {
    let seed: String = report.message_id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let mut boundary = format!("=_dsn_{seed}");
    while memchr::memmem::find(returned.bytes, boundary.as_bytes()).is_some() && boundary.len() < 70 {
        boundary.push('_');
    }
    boundary
}

fn header(report: &Dsn<'_>, boundary: &str) -> String {
    let mut out = String::new();
    field(&mut out, "Date", &date::rfc5322(report.date));
    field(&mut out, "From", &format!("Mail Delivery System <{}>", clean(report.from, VALUE_MAX)));
    field(&mut out, "To", &format!("<{}>", clean(report.to, VALUE_MAX)));
    let subject = match report.worst() {
        Action::Failed => "Undelivered mail: delivery failed",
        Action::Delayed => "Delayed mail: still being tried",
        _ => "Delivery notification: your mail arrived",
    };
    field(&mut out, "Subject", subject);
    field(&mut out, "Message-ID", &format!("<{}>", clean(report.message_id, VALUE_MAX)));
    // RFC 3834 §5: no automatic answer to an automatic answer.
    field(&mut out, "Auto-Submitted", "auto-replied");
    field(&mut out, "MIME-Version", "1.0");
    let kind = format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\"");
    field(&mut out, "Content-Type", &kind);
    out.push_str("\r\nThis is a MIME message: a delivery status notification (RFC 3464).\r\n");
    out
}

fn part(out: &mut String, boundary: &str, kind: &str, encoding: &str) {
    out.push_str(&format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\n"));
    if kind.starts_with("text/plain") {
        out.push_str("Content-Description: Notification\r\n");
    }
    out.push_str(&format!("Content-Transfer-Encoding: {encoding}\r\n\r\n"));
}

/// Before a line for people that goes on with the one above.
const INDENT: &str = "        ";

/// The part for people.
fn explanation(report: &Dsn<'_>) -> String {
    let mut out = format!("This is the mail system at {}.\r\n\r\n", clean(report.reporting, VALUE_MAX));
    out.push_str(match report.worst() {
        Action::Failed => "Your message could not be delivered to one or more recipients.\r\n",
        Action::Delayed => {
            "Your message has not been delivered yet. It is still being tried;\r\n\
             you do not need to send it again.\r\n"
        }
        _ => "Your message was delivered, as you asked to be told.\r\n",
    });
    for recipient in report.recipients {
        let address = clean(recipient.address, VALUE_MAX);
        out.push_str("\r\n");
        wrap(&mut out, 0, &format!("<{address}>: {}", verb(recipient.action)), INDENT);
        if let Some(said) = recipient.diagnostic {
            let by = recipient.remote.map(|remote| format!("{} ", clean(remote, VALUE_MAX)));
            out.push_str("\r\n   ");
            let said = clean(said, VALUE_MAX);
            wrap(&mut out, 3, &format!("{}said: {said}", by.unwrap_or_default()), INDENT);
        }
        if let Some(until) = recipient.retry_until {
            out.push_str(&format!("\r\n    It will be tried until {}", date::rfc5322(until)));
        }
        out.push_str("\r\n");
    }
    out
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Failed => "could not be delivered",
        Action::Delayed => "delayed",
        Action::Delivered => "delivered",
        Action::Relayed => "passed on to a server that sends no notifications",
        Action::Expanded => "passed on to the members of a list",
    }
}

/// The part for programs: RFC 3464 §2.2 fields of the message, then §2.3 a group for each recipient.
fn delivery_status(report: &Dsn<'_>, utf8: bool) -> String {
    let mut out = String::new();
    if let Some(envid) = report.envid {
        field(&mut out, "Original-Envelope-Id", &clean(envid, VALUE_MAX));
    }
    field(&mut out, "Reporting-MTA", &format!("dns; {}", clean(report.reporting, VALUE_MAX)));
    if let Some(arrival) = report.arrival {
        field(&mut out, "Arrival-Date", &date::rfc5322(arrival));
    }
    for recipient in report.recipients {
        out.push_str("\r\n");
        recipient_fields(&mut out, recipient, utf8);
    }
    out
}

fn recipient_fields(out: &mut String, recipient: &DsnRecipient<'_>, utf8: bool) {
    if let Some(original) = recipient.original {
        field(out, "Original-Recipient", &clean(original, VALUE_MAX));
    }
    // RFC 6533 §3: the address type utf-8 for addresses that are.
    let kind = if utf8 && !recipient.address.is_ascii() { "utf-8" } else { "rfc822" };
    field(out, "Final-Recipient", &format!("{kind}; {}", clean(recipient.address, VALUE_MAX)));
    field(out, "Action", recipient.action.as_str());
    field(out, "Status", status(recipient));
    if let Some(remote) = recipient.remote {
        field(out, "Remote-MTA", &format!("dns; {}", clean(remote, VALUE_MAX)));
    }
    if let Some(said) = recipient.diagnostic {
        // Only a message/global-delivery-status takes UTF-8 (RFC 6533 §3).
        let said = clean(said, VALUE_MAX);
        let said =
            if utf8 { said } else { said.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect() };
        field(out, "Diagnostic-Code", &format!("smtp; {said}"));
    }
    if let Some(last) = recipient.last_attempt {
        field(out, "Last-Attempt-Date", &date::rfc5322(last));
    }
    if let Some(until) = recipient.retry_until {
        field(out, "Will-Retry-Until", &date::rfc5322(until));
    }
}

/// RFC 3463 §2: three numbers. What is none becomes the unspecific status of the action's class.
fn status<'a>(recipient: &DsnRecipient<'a>) -> &'a str {
    let mut pieces = recipient.status.split('.');
    let class = matches!(pieces.next(), Some("2" | "4" | "5"));
    let digits = |piece: &str| (1..=3).contains(&piece.len()) && piece.bytes().all(|b| b.is_ascii_digit());
    let rest: Vec<&str> = pieces.collect();
    match (class && rest.len() == 2 && rest.iter().all(|piece| digits(piece)), recipient.action) {
        (true, _) => recipient.status,
        (false, Action::Failed) => "5.0.0",
        (false, Action::Delayed) => "4.0.0",
        (false, _) => "2.0.0",
    }
}

#[cfg(test)]
mod tests;
