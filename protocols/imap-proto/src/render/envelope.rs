//! ENVELOPE (RFC 9051 §7.5.2).

use super::nstring;
use super::string::list;

/// The envelope of a message, from its header. Values are as in the header, unfolded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)] // named as in RFC 9051 §7.5.2
pub struct Envelope<'a> {
    pub date: Option<&'a [u8]>,
    pub subject: Option<&'a [u8]>,
    pub from: Vec<Address<'a>>,
    pub sender: Vec<Address<'a>>,
    pub reply_to: Vec<Address<'a>>,
    pub to: Vec<Address<'a>>,
    pub cc: Vec<Address<'a>>,
    pub bcc: Vec<Address<'a>>,
    pub in_reply_to: Option<&'a [u8]>,
    pub message_id: Option<&'a [u8]>,
}

/// An address. A group begins with one without host, its name as mailbox, and ends with one without both
/// (RFC 9051 §7.5.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)] // named as in RFC 9051 §9 `address`
pub struct Address<'a> {
    pub name: Option<&'a [u8]>,
    pub mailbox: Option<&'a [u8]>,
    pub host: Option<&'a [u8]>,
}

/// `envelope = "(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP env-to SP env-cc SP
/// env-bcc SP env-in-reply-to SP env-message-id ")"` (RFC 9051 §9)
pub fn envelope(out: &mut Vec<u8>, envelope: &Envelope<'_>) {
    out.push(b'(');
    nstring(out, envelope.date);
    out.push(b' ');
    nstring(out, envelope.subject);
    // RFC 9051 §7.5.2: without Sender or Reply-To, From stands in.
    let or_from = |list| if <[_]>::is_empty(list) { &envelope.from[..] } else { list };
    let lists = [
        &envelope.from,
        or_from(&envelope.sender),
        or_from(&envelope.reply_to),
        &envelope.to,
        &envelope.cc,
        &envelope.bcc,
    ];
    for addresses in lists {
        out.push(b' ');
        write_addresses(out, addresses);
    }
    out.push(b' ');
    nstring(out, envelope.in_reply_to);
    out.push(b' ');
    nstring(out, envelope.message_id);
    out.push(b')');
}

/// `"(" 1*address ")" / nil`; `address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"`.
/// No space between addresses; addr-adl, the source route, is long obsolete and always NIL.
fn write_addresses(out: &mut Vec<u8>, addresses: &[Address<'_>]) {
    if addresses.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for address in addresses {
        list(out, &[address.name, None, address.mailbox, address.host], |out, value| nstring(out, *value));
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    fn address<'a>(name: Option<&'a str>, mailbox: Option<&'a str>, host: Option<&'a str>) -> Address<'a> {
        let bytes = |text: Option<&'a str>| text.map(str::as_bytes);
        Address { name: bytes(name), mailbox: bytes(mailbox), host: bytes(host) }
    }

    /// The example of RFC 9051 §7.5.2 / §8.
    #[test]
    fn example_of_the_rfc() {
        let gray = address(Some("Terry Gray"), Some("gray"), Some("cac.washington.edu"));
        let value = Envelope {
            date: Some(b"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)"),
            subject: Some(b"IMAP4rev2 WG mtg summary and minutes"),
            from: vec![gray],
            to: vec![address(None, Some("imap"), Some("cac.washington.edu"))],
            cc: vec![
                address(None, Some("minutes"), Some("CNRI.Reston.VA.US")),
                address(Some("John Klensin"), Some("KLENSIN"), Some("MIT.EDU")),
            ],
            message_id: Some(b"<B27397-0100000@cac.washington.ed>"),
            ..Envelope::default()
        };
        let gray = "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\"))";
        assert_eq!(
            written(|o| envelope(o, &value)),
            format!(
                "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev2 WG mtg summary and minutes\" {gray} {gray} {gray} \
                 ((NIL NIL \"imap\" \"cac.washington.edu\")) \
                 ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) \
                 NIL NIL \"<B27397-0100000@cac.washington.ed>\")"
            )
        );
    }

    #[test]
    fn groups_and_injection() {
        let value = Envelope {
            subject: Some(b"a\r\n* BYE"),
            to: vec![address(None, Some("undisclosed"), None), address(None, None, None)],
            ..Envelope::default()
        };
        let expected = "(NIL {8}\r\na\r\n* BYE NIL NIL NIL ((NIL NIL \"undisclosed\" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)";
        assert_eq!(written(|o| envelope(o, &value)), expected);
    }
}
