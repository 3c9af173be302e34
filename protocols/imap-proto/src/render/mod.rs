//! What a server says, appended to a byte vector. Nothing here fails; nothing from a message or a client
//! can end a line or a string early.

mod acl;
mod envelope;
mod fetch;
mod list;
mod number;
mod quota;
mod search;
mod status;
mod string;
mod structure;

pub use acl::{acl, list_rights, my_rights};
pub use envelope::{Address, Envelope, envelope};
pub use fetch::FetchWriter;
pub use list::{ListEntry, ListKind, Namespace, list, namespace, status_data};
pub use number::{number, ranges, set};
pub use quota::{QuotaResource, quota, quota_root};
pub use search::{Esearch, ThreadNode, esearch, search, sort, thread, vanished};
pub use status::{Code, Condition, continuation, status};
pub use string::{astring, literal_header, mailbox, nstring, string};
pub use structure::{BodyKind, BodyPart, Disposition, body_structure};

use crate::command::Extension;

/// `* CAPABILITY …` (RFC 9051 §7.2.2)
pub fn capability(out: &mut Vec<u8>, names: &str) {
    out.extend_from_slice(b"* CAPABILITY ");
    string::line_text(out, names);
    crlf(out);
}

/// `* ENABLED …`: what this ENABLE switched on (RFC 9051 §7.2.1).
pub fn enabled(out: &mut Vec<u8>, extensions: &[Extension]) {
    out.extend_from_slice(b"* ENABLED");
    for extension in extensions {
        out.push(b' ');
        out.extend_from_slice(extension.name().as_bytes());
    }
    crlf(out);
}

/// `* n EXISTS` (RFC 9051 §7.4.1)
pub fn exists(out: &mut Vec<u8>, count: u32) {
    counted(out, count, "EXISTS");
}

/// `* n RECENT` (RFC 3501 §7.3.2)
pub fn recent(out: &mut Vec<u8>, count: u32) {
    counted(out, count, "RECENT");
}

/// `* n EXPUNGE` (RFC 9051 §7.5.1)
pub fn expunge(out: &mut Vec<u8>, sequence: u32) {
    counted(out, sequence, "EXPUNGE");
}

fn counted(out: &mut Vec<u8>, count: u32, what: &str) {
    out.extend_from_slice(b"* ");
    number(out, u64::from(count));
    out.push(b' ');
    out.extend_from_slice(what.as_bytes());
    crlf(out);
}

/// `* FLAGS (…)`: the flags in use (RFC 9051 §7.3.5).
pub fn flags<'a>(out: &mut Vec<u8>, names: impl IntoIterator<Item = &'a str>) {
    out.extend_from_slice(b"* FLAGS ");
    string::atoms(out, names);
    crlf(out);
}

/// `* ID (…)` (RFC 2971 §3.2)
pub fn id(out: &mut Vec<u8>, pairs: &[(&str, &str)]) {
    out.extend_from_slice(b"* ID ");
    if pairs.is_empty() {
        out.extend_from_slice(b"NIL");
    } else {
        string::list(out, pairs, |out, (field, value)| {
            string(out, field.as_bytes());
            out.push(b' ');
            string(out, value.as_bytes());
        });
    }
    crlf(out);
}

fn crlf(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Test helper: what `write` appends, as text.
#[cfg(test)]
pub(crate) fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untagged_data() {
        assert_eq!(
            written(|o| capability(o, "IMAP4rev2 STARTTLS AUTH=GSSAPI")),
            "* CAPABILITY IMAP4rev2 STARTTLS AUTH=GSSAPI\r\n" // RFC 9051 §6.1.1
        );
        assert_eq!(written(|o| enabled(o, &[Extension::CondStore])), "* ENABLED CONDSTORE\r\n");
        assert_eq!(written(|o| enabled(o, &[])), "* ENABLED\r\n");
        assert_eq!(written(|o| exists(o, 23)), "* 23 EXISTS\r\n"); // RFC 9051 §7.4.1
        assert_eq!(written(|o| recent(o, 0)), "* 0 RECENT\r\n");
        assert_eq!(written(|o| expunge(o, 44)), "* 44 EXPUNGE\r\n"); // RFC 9051 §7.5.1
        assert_eq!(
            written(|o| flags(o, ["\\Answered", "\\Flagged", "$MDNSent"])),
            "* FLAGS (\\Answered \\Flagged $MDNSent)\r\n" // RFC 9051 §7.3.5
        );
        assert_eq!(written(|o| id(o, &[])), "* ID NIL\r\n");
        assert_eq!(written(|o| id(o, &[("name", "Go\"dwit")])), "* ID (\"name\" \"Go\\\"dwit\")\r\n");
    }
}
