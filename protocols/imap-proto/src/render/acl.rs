//! ACL, LISTRIGHTS and MYRIGHTS responses (RFC 4314 §3.6 to §3.8).

use super::{astring, crlf, mailbox};

/// `* ACL mailbox identifier rights …`
pub fn acl(out: &mut Vec<u8>, name: &str, entries: &[(&str, &str)], utf8: bool) {
    out.extend_from_slice(b"* ACL ");
    mailbox(out, name, utf8);
    for (identifier, rights) in entries {
        words(out, [*identifier, *rights]);
    }
    crlf(out);
}

/// `* LISTRIGHTS mailbox identifier required optional …`
pub fn list_rights(out: &mut Vec<u8>, name: &str, identifier: &str, rights: &[&str], utf8: bool) {
    out.extend_from_slice(b"* LISTRIGHTS ");
    mailbox(out, name, utf8);
    words(out, std::iter::once(identifier).chain(rights.iter().copied()));
    crlf(out);
}

/// `* MYRIGHTS mailbox rights`
pub fn my_rights(out: &mut Vec<u8>, name: &str, rights: &str, utf8: bool) {
    out.extend_from_slice(b"* MYRIGHTS ");
    mailbox(out, name, utf8);
    words(out, [rights]);
    crlf(out);
}

fn words<'a>(out: &mut Vec<u8>, values: impl IntoIterator<Item = &'a str>) {
    for value in values {
        out.push(b' ');
        astring(out, value.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn known_answers() {
        let entries = [("Fred", "rwipsldexta"), ("a b", "")];
        assert_eq!(
            written(|o| acl(o, "INBOX", &entries, false)),
            "* ACL \"INBOX\" Fred rwipsldexta \"a b\" \"\"\r\n"
        );
        let rights = written(|o| list_rights(o, "~/x", "smith", &["la", "r"], false));
        assert_eq!(rights, "* LISTRIGHTS \"~/x\" smith la r\r\n");
        assert_eq!(written(|o| my_rights(o, "INBOX", "rwi", false)), "* MYRIGHTS \"INBOX\" rwi\r\n");
    }
}
