//! The one address parser: lists as they stand in header fields (RFC 5322 §3.4 with its obsolete forms, and
//! RFC 6532), read leniently, and single addresses (RFC 5321 §4.1.2, RFC 6531 §3.3), read strictly.
//!
//! A list never fails: what is no address becomes one with an empty domain, as the reader of an ENVELOPE
//! should see that something was there.

use std::fmt;

mod list;

pub use list::parse_list;

/// An entry of an address list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// One mailbox.
    Mailbox(Mailbox),
    /// A named group, possibly empty (RFC 5322 §3.4 `group`).
    Group {
        /// Its display name.
        name: String,
        /// Its members.
        members: Vec<Mailbox>,
    },
}

/// A mailbox of a header field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Mailbox {
    /// The display name, or else the comment behind the address, without quoting; encoded words are kept.
    pub name: Option<String>,
    /// The obsolete source route (RFC 5322 §4.4), as `@a,@b`.
    pub route: Option<String>,
    /// The local part without quoting.
    pub local: String,
    /// The domain; empty where there is none.
    pub domain: String,
}

impl Mailbox {
    /// `local@domain`, the local part quoted where it must be; only `local` where there is no domain.
    pub fn address(&self) -> String {
        let mut out = quote_local(&self.local);
        if !self.domain.is_empty() {
            out.push('@');
            out.push_str(&self.domain);
        }
        out
    }
}

/// The four strings of an IMAP address structure: name, route, mailbox, host.
pub type ImapAddress<'a> = [Option<&'a str>; 4];

/// The list as IMAP addresses, groups between their markers (RFC 9051 §7.5.2: a NIL host begins a group
/// whose name is the mailbox, or ends it where the mailbox is NIL too).
pub fn imap(list: &[Address]) -> impl Iterator<Item = ImapAddress<'_>> {
    list.iter().flat_map(|address| {
        let (group, members) = match address {
            Address::Mailbox(mailbox) => (None, std::slice::from_ref(mailbox)),
            Address::Group { name, members } => (Some(name.as_str()), members.as_slice()),
        };
        let begin = group.map(|name| [None, None, Some(name), None]);
        let end = group.map(|_| [None; 4]);
        begin.into_iter().chain(members.iter().map(strings)).chain(end)
    })
}

fn strings(mailbox: &Mailbox) -> ImapAddress<'_> {
    [mailbox.name.as_deref(), mailbox.route.as_deref(), Some(&mailbox.local), Some(&mailbox.domain)]
}

/// All mailboxes of a list, those in groups included.
pub fn mailboxes(list: &[Address]) -> impl Iterator<Item = &Mailbox> {
    list.iter().flat_map(|address| match address {
        Address::Mailbox(mailbox) => std::slice::from_ref(mailbox),
        Address::Group { members, .. } => members.as_slice(),
    })
}

/// Octets of a local part (RFC 5321 §4.5.3.1.1).
pub const LOCAL_MAX: usize = 64;
/// Octets of a domain (RFC 5321 §4.5.3.1.2).
pub const DOMAIN_MAX: usize = 255;
/// Octets of a label (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

/// Why a text is not an address; the one who wrote it must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No unquoted `@`.
    #[error("an address needs a local part, an @ and a domain")]
    Missing,
    /// The part before the `@`.
    #[error("the local part has a character that must be quoted, or is empty")]
    Local,
    /// The part after it.
    #[error("the domain is not a host name or an address literal")]
    Domain,
    /// Longer than any mail server takes.
    #[error("an address is at most 64 octets, an @, and 255 octets")]
    TooLong,
}

/// A single address, without display name or brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AddrSpec {
    /// The local part without quoting, its case kept.
    pub local: String,
    /// The domain, US-ASCII letters in lower case.
    pub domain: String,
}

impl AddrSpec {
    /// Reads RFC 5321 §4.1.2 `Mailbox` with the UTF-8 of RFC 6531 §3.3.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (local, domain) = split(text)?;
        if local.len() > LOCAL_MAX + 2 || domain.len() > DOMAIN_MAX {
            return Err(Error::TooLong);
        }
        let local = unquote_local(local)?;
        if local.len() > LOCAL_MAX {
            return Err(Error::TooLong);
        }
        if !is_domain(domain) {
            return Err(Error::Domain);
        }
        Ok(Self { local, domain: domain.to_ascii_lowercase() })
    }

    /// Whether writing it needs SMTPUTF8 (RFC 6531).
    pub fn needs_utf8(&self) -> bool {
        !self.local.is_ascii() || !self.domain.is_ascii()
    }
}

impl fmt::Display for AddrSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", quote_local(&self.local), self.domain)
    }
}

/// Splits at the `@` that is not quoted.
fn split(text: &str) -> Result<(&str, &str), Error> {
    let at = if text.starts_with('"') {
        let mut escaped = false;
        let end = text.bytes().enumerate().skip(1).find(|&(_, byte)| {
            let closing = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closing
        });
        end.map(|(end, _)| end + 1)
    } else {
        text.find('@')
    };
    let (local, rest) = text.split_at(at.ok_or(Error::Missing)?);
    Ok((local, rest.strip_prefix('@').ok_or(Error::Missing)?))
}

/// `Local-part = Dot-string / Quoted-string`, without the quoting.
fn unquote_local(local: &str) -> Result<String, Error> {
    let Some(inner) = local.strip_prefix('"').and_then(|l| l.strip_suffix('"')) else {
        return if is_dot_string(local) { Ok(local.to_owned()) } else { Err(Error::Local) };
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(mut c) = chars.next() {
        if c == '\\' {
            c = chars.next().filter(char::is_ascii).ok_or(Error::Local)?;
        }
        // RFC 5321 §4.1.2: qtextSMTP and quoted-pairSMTP are printable; no control character at all.
        if c != ' ' && !is_visible(c) {
            return Err(Error::Local);
        }
        out.push(c);
    }
    if out.is_empty() { Err(Error::Local) } else { Ok(out) }
}

/// `Dot-string = Atom *("." Atom)`
fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// RFC 5322 §3.2.3 `atext`, and RFC 6531 §3.3 non-ASCII.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && is_visible(c))
}

/// No control, no blank, nothing invisible that makes two addresses look the same or turns the direction of
/// the text around them.
fn is_visible(c: char) -> bool {
    let invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}'
        | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}');
    !c.is_control() && !c.is_whitespace() && !invisible
}

fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[').and_then(|d| d.strip_suffix(']')) {
        return is_literal(literal);
    }
    !domain.is_empty() && domain.split('.').all(is_label)
}

/// `Let-dig [Ldh-str]`, or a U-label's characters (RFC 5890); underscores are seen in real host names.
fn is_label(label: &str) -> bool {
    let inside =
        |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (!c.is_ascii() && is_visible(c));
    let edge = label.starts_with('-') || label.ends_with('-');
    let fits = !label.is_ascii() || label.len() <= LABEL_MAX;
    !label.is_empty() && fits && !edge && label.chars().all(inside)
}

/// RFC 5321 §4.1.3: an IPv4 address, or `IPv6:` and an IPv6 address.
fn is_literal(literal: &str) -> bool {
    match literal.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:")) {
        Some(_) => literal[5..].parse::<std::net::Ipv6Addr>().is_ok(),
        None => literal.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

/// The local part as it must be written: quoted unless it is a dot-string.
pub fn quote_local(local: &str) -> String {
    if is_dot_string(local) { local.to_owned() } else { quote(local) }
}

/// A quoted string (RFC 5322 §3.2.4); control characters, which cannot be in one, become blanks.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if c == '"' || c == '\\' {
            out.push('\\');
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Result<(String, String), Error> {
        AddrSpec::parse(text).map(|spec| (spec.local, spec.domain))
    }

    #[test]
    fn single_addresses() {
        assert_eq!(spec("Alice+tag@Example.TEST"), Ok(("Alice+tag".into(), "example.test".into())));
        assert_eq!(spec("\"a@b \\\" c\"@x"), Ok(("a@b \" c".into(), "x".into())));
        assert_eq!(spec("a@[192.0.2.1]"), Ok(("a".into(), "[192.0.2.1]".into())));
        assert_eq!(spec("a@[IPv6:2001:db8::1]"), Ok(("a".into(), "[ipv6:2001:db8::1]".into())));
        assert_eq!(spec("j\u{f6}rg@b\u{fc}cher.test"), Ok(("j\u{f6}rg".into(), "b\u{fc}cher.test".into())));
    }

    #[test]
    fn wrong_addresses() {
        for text in ["", "a", "@b", "a@", "\"a@b", "\"a\"b@c", "\"a\\\"@b"] {
            assert!(spec(text).is_err(), "{text}");
        }
        for text in [".a@b", "a.@b", "a..b@c", "a b@c", "a<b@c", "\"\"@c", "a\u{202e}b@c", "a\r\nb@c"] {
            assert_eq!(spec(text), Err(Error::Local), "{text}");
        }
        for text in ["a@b@c", "a@b..c", "a@-b", "a@b-", "a@b c", "a@[1.2.3]", "a@[IPv6:x]", "a@b>\r\n"] {
            assert_eq!(spec(text), Err(Error::Domain), "{text}");
        }
        assert_eq!(spec("\"a\r\nb\"@c"), Err(Error::Local));
        assert_eq!(spec(&format!("{}@b", "a".repeat(65))), Err(Error::TooLong));
        assert!(spec(&format!("{}@b", "a".repeat(64))).is_ok());
        assert_eq!(spec(&format!("a@{}", "b".repeat(256))), Err(Error::TooLong));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for local in ["a.b", "a b", ".a", "a\"\\b", "\u{fc}", "@"] {
            let spec = AddrSpec { local: local.into(), domain: "x.test".into() };
            assert_eq!(AddrSpec::parse(&spec.to_string()), Ok(spec.clone()), "{spec}");
            assert_eq!(spec.needs_utf8(), !local.is_ascii());
        }
        assert_eq!(quote("a\r\nb"), "\"a  b\"");
    }

    #[test]
    fn groups_as_imap_writes_them() {
        let list = parse_list("Team: Ann <a@x>, b@y;, c@z", 10);
        let found: Vec<_> = imap(&list).collect();
        let expected: Vec<ImapAddress<'_>> = vec![
            [None, None, Some("Team"), None],
            [Some("Ann"), None, Some("a"), Some("x")],
            [None, None, Some("b"), Some("y")],
            [None; 4],
            [None, None, Some("c"), Some("z")],
        ];
        assert_eq!(found, expected);
        assert_eq!(mailboxes(&list).count(), 3);
    }
}
