//! LIST, LSUB, STATUS and NAMESPACE responses.

use super::string::atoms;
use super::{crlf, mailbox, number, string};
use crate::command::StatusItem;

/// Which response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// `* LIST` (RFC 9051 §7.3.1)
    List,
    /// `* LSUB` (RFC 3501 §7.2.3)
    Lsub,
}

/// A mailbox as LIST tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListEntry<'a> {
    /// Attributes with their backslash.
    pub attributes: &'a [&'a str],
    /// The hierarchy separator; none for a flat name.
    pub separator: Option<char>,
    /// The name, in Unicode.
    pub name: &'a str,
    /// Why a name that does not match itself is told: `("CHILDINFO" ("SUBSCRIBED"))` (RFC 5258 §3.5).
    pub child_info: &'a [&'a str],
    /// The name it had before, after a RENAME (RFC 9051 §6.3.9.7).
    pub old_name: Option<&'a str>,
}

/// `mailbox-list = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox
/// [SP mbox-list-extended]` (RFC 9051 §9)
pub fn list(out: &mut Vec<u8>, kind: ListKind, entry: &ListEntry<'_>, utf8: bool) {
    out.extend_from_slice(if kind == ListKind::List { b"* LIST " } else { b"* LSUB " });
    atoms(out, entry.attributes.iter().copied());
    out.push(b' ');
    separator(out, entry.separator);
    out.push(b' ');
    mailbox(out, entry.name, utf8);
    if !entry.child_info.is_empty() {
        out.extend_from_slice(b" (\"CHILDINFO\" ");
        super::string::list(out, entry.child_info, |out, option| string(out, option.as_bytes()));
        out.push(b')');
    }
    if let Some(old) = entry.old_name {
        out.extend_from_slice(b" (\"OLDNAME\" (");
        mailbox(out, old, utf8);
        out.extend_from_slice(b"))");
    }
    crlf(out);
}

fn separator(out: &mut Vec<u8>, separator: Option<char>) {
    match separator {
        Some(c) => string(out, c.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// `* STATUS mailbox (…)` (RFC 9051 §7.3.4); a MAILBOXID comes as `(id)` (RFC 8474 §4.3). `value` gives each
/// item's number; `mailbox_id` stands for [`StatusItem::MailboxId`].
pub fn status_data(
    out: &mut Vec<u8>,
    name: &str,
    utf8: bool,
    items: &[StatusItem],
    mailbox_id: &str,
    value: impl Fn(StatusItem) -> u64,
) {
    out.extend_from_slice(b"* STATUS ");
    mailbox(out, name, utf8);
    out.push(b' ');
    super::string::list(out, items, |out, item| {
        out.extend_from_slice(item.name().as_bytes());
        out.push(b' ');
        if *item == StatusItem::MailboxId {
            atoms(out, [mailbox_id]);
        } else {
            number(out, value(*item));
        }
    });
    crlf(out);
}

/// A namespace: its prefix; all of ours separate by `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespace<'a> {
    /// What its names begin with.
    pub prefix: &'a str,
}

/// `* NAMESPACE personal other-users shared` (RFC 2342 §5, RFC 9051 §7.3.6)
pub fn namespace(
    out: &mut Vec<u8>,
    personal: &[Namespace<'_>],
    other: &[Namespace<'_>],
    shared: &[Namespace<'_>],
    utf8: bool,
) {
    out.extend_from_slice(b"* NAMESPACE");
    for class in [personal, other, shared] {
        out.push(b' ');
        if class.is_empty() {
            out.extend_from_slice(b"NIL");
            continue;
        }
        out.push(b'(');
        for namespace in class {
            out.push(b'(');
            mailbox(out, namespace.prefix, utf8);
            out.extend_from_slice(b" \"/\")");
        }
        out.push(b')');
    }
    crlf(out);
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    const ENTRY: ListEntry<'static> =
        ListEntry { attributes: &[], separator: Some('/'), name: "foo", child_info: &[], old_name: None };

    #[test]
    fn lists() {
        // RFC 9051 §6.3.9
        let root = ListEntry { attributes: &["\\Noselect"], name: "", ..ENTRY };
        assert_eq!(written(|o| list(o, ListKind::List, &root, false)), "* LIST (\\Noselect) \"/\" \"\"\r\n");
        let entry = ListEntry { name: "Grüße", separator: None, ..ENTRY };
        assert_eq!(written(|o| list(o, ListKind::Lsub, &entry, false)), "* LSUB () NIL \"Gr&APwA3w-e\"\r\n");
        // RFC 5258 §5
        let entry = ListEntry { child_info: &["SUBSCRIBED"], ..ENTRY };
        let expected = "* LIST () \"/\" \"foo\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n";
        assert_eq!(written(|o| list(o, ListKind::List, &entry, true)), expected);
        // RFC 9051 §6.3.9.7
        let entry = ListEntry { old_name: Some("bar"), ..ENTRY };
        let expected = "* LIST () \"/\" \"foo\" (\"OLDNAME\" (\"bar\"))\r\n";
        assert_eq!(written(|o| list(o, ListKind::List, &entry, true)), expected);
    }

    /// RFC 9051 §7.3.4, RFC 8474 §4.3.
    #[test]
    fn status() {
        let items = [StatusItem::Messages, StatusItem::UidNext, StatusItem::MailboxId];
        let text = written(|o| {
            status_data(o, "blurdybloop", false, &items, "F2212", |item| {
                if item == StatusItem::Messages { 231 } else { 44_292 }
            });
        });
        assert_eq!(text, "* STATUS \"blurdybloop\" (MESSAGES 231 UIDNEXT 44292 MAILBOXID (F2212))\r\n");
    }

    /// RFC 2342 §5
    #[test]
    fn namespaces() {
        let (personal, shared) = ([Namespace { prefix: "" }], [Namespace { prefix: "Shared/" }]);
        let expected = "* NAMESPACE ((\"\" \"/\")) NIL ((\"Shared/\" \"/\"))\r\n";
        assert_eq!(written(|o| namespace(o, &personal, &[], &shared, false)), expected);
    }
}
