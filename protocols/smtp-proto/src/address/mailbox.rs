//! A mailbox: a local part and a host.

use std::fmt;
use std::str::FromStr;

use super::{Domain, Host, is_visible_unicode};
use crate::{SyntaxError, limits};

/// An address of the envelope.
///
/// ```abnf
/// Mailbox        = Local-part "@" ( Domain / address-literal )
/// Local-part     = Dot-string / Quoted-string
/// Dot-string     = Atom *("." Atom)
/// Quoted-string  = DQUOTE *QcontentSMTP DQUOTE
/// QcontentSMTP   = qtextSMTP / quoted-pairSMTP
/// quoted-pairSMTP = %d92 %d32-126
/// qtextSMTP      = %d32-33 / %d35-91 / %d93-126     ; and UTF8-non-ascii, RFC 6531 §3.3
/// ```
///
/// The local part is kept without its quotes: RFC 5321 §4.1.2 says that `"joe"@x` and `joe@x` are the same
/// mailbox. It is shown with quotes where it needs them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mailbox {
    local: String,
    host: Host,
}

impl Mailbox {
    /// Parses a whole string.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match Self::take(text)? {
            (mailbox, "") => Some(mailbox),
            _ => None,
        }
    }

    /// Parses a mailbox at the start of `text` and returns what follows.
    pub(crate) fn take(text: &str) -> Option<(Self, &str)> {
        let (local, rest) = take_local(text)?;
        let (host, rest) = Host::take(rest.strip_prefix('@')?)?;
        Some((Self { local, host }, rest))
    }

    /// The mailbox `local@domain`, if `local` (without quotes) is a possible local part.
    #[must_use]
    pub fn new(local: &str, domain: Domain) -> Option<Self> {
        let possible = |c: char| matches!(c, ' '..='~') || is_visible_unicode(c);
        (!local.is_empty() && local.len() <= limits::LOCAL_PART && local.chars().all(possible))
            .then(|| Self { local: local.to_owned(), host: Host::Domain(domain) })
    }

    /// The local part without quotes. Its case is kept (RFC 5321 §2.4).
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// What stands behind the `@`.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The domain, unless the host is an address literal.
    #[must_use]
    pub fn domain(&self) -> Option<&Domain> {
        self.host.domain()
    }

    /// Whether the next server must have SMTPUTF8 to take it (RFC 6531 §3.2).
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.is_ascii() || self.host.domain().is_some_and(|domain| !domain.as_str().is_ascii())
    }
}

/// A local part at the start of `text`, unquoted, and what follows it.
pub(crate) fn take_local(text: &str) -> Option<(String, &str)> {
    let (local, rest) = match text.strip_prefix('"') {
        Some(quoted) => take_quoted(quoted)?,
        None => {
            let end = text.find(|c| !(is_atext(c) || c == '.')).unwrap_or(text.len());
            let local = &text[..end];
            if !is_dot_string(local) {
                return None;
            }
            (local.to_owned(), &text[end..])
        }
    };
    // RFC 5321 §4.5.3.1.1, with our larger limit. An empty quoted string names nobody.
    (!local.is_empty() && local.len() <= limits::LOCAL_PART).then_some((local, rest))
}

fn take_quoted(quoted: &str) -> Option<(String, &str)> {
    let mut local = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((local, &quoted[at + 1..])),
            '\\' => match characters.next()? {
                (_, escaped @ ' '..='~') => local.push(escaped),
                _ => return None,
            },
            ' '..='~' => local.push(character),
            _ if is_visible_unicode(character) => local.push(character),
            _ => return None,
        }
    }
    None
}

fn is_dot_string(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// RFC 5322 §3.2.3 atext, RFC 6531 §3.3.
fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(character)
        || is_visible_unicode(character)
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            return write!(f, "{}@{}", self.local, self.host);
        }
        f.write_str("\"")?;
        for character in self.local.chars() {
            if matches!(character, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        write!(f, "\"@{}", self.host)
    }
}

impl FromStr for Mailbox {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        Self::parse(text).ok_or(SyntaxError::Recipient)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any mailbox, odd ones more often than the world sends them.
    pub(crate) fn any_mailbox() -> impl Strategy<Value = Mailbox> {
        let local = prop_oneof!["[a-z]{1,8}", "[ -~]{1,12}", "[a-zà-ü.\"\\\\]{1,8}"];
        let host = prop_oneof!["[a-z0-9]{1,5}\\.[a-z]{2,3}", "[a-zà-ü]{1,5}\\.[a-z]{2}"];
        (local, host)
            .prop_filter_map("a mailbox", |(local, host)| Mailbox::new(&local, Domain::parse(&host)?))
    }

    #[test]
    fn known_answers() {
        for (text, local, shown) in [
            ("Smith@Bar.COM", "Smith", "Smith@bar.com"),
            ("\"Joe Q. Public\"@x.y", "Joe Q. Public", "\"Joe Q. Public\"@x.y"),
            ("\"joe\"@x.y", "joe", "joe@x.y"),
            ("\"a\\\"b\\\\c\"@x.y", "a\"b\\c", "\"a\\\"b\\\\c\"@x.y"),
            ("\"<a@b>\"@x.y", "<a@b>", "\"<a@b>\"@x.y"),
            ("a+b=c@[192.0.2.9]", "a+b=c", "a+b=c@[192.0.2.9]"),
            ("用户@例子.广告", "用户", "用户@例子.广告"),
        ] {
            let mailbox = Mailbox::parse(text).unwrap();
            assert_eq!(mailbox.local(), local);
            assert_eq!(mailbox.to_string(), shown);
        }
    }

    #[test]
    fn refused() {
        let long = "a".repeat(limits::LOCAL_PART + 1) + "@x.y";
        for bad in [
            "",
            "a",
            "@",
            "a@",
            "@x",
            ".a@x",
            "a.@x",
            "a..b@x",
            "a b@x",
            "a@x y",
            "a(c)@x",
            "\"a@x",
            "\"\"@x.y",
            "\"a\\\"@x",
            "\"a\\\\\"x@y",
            "a\r\n@x",
            "\"a\r\"@x",
            "\"a\0\"@x",
            "\"a\\\u{e9}\"@x",
            "a\u{202e}b@x",
            "a@x@y",
            "a,b@x",
            "<a@x>",
            "\u{feff}a@x",
            &long,
        ] {
            assert!(Mailbox::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn smtputf8_is_needed_for_what_is_not_ascii() {
        assert!(!Mailbox::parse("a@x.y").unwrap().needs_smtputf8());
        assert!(Mailbox::parse("é@x.y").unwrap().needs_smtputf8());
        assert!(Mailbox::parse("a@é.y").unwrap().needs_smtputf8());
    }

    proptest! {
        #[test]
        fn roundtrips(mailbox in any_mailbox()) {
            prop_assert_eq!(Mailbox::parse(&mailbox.to_string()), Some(mailbox));
        }

        #[test]
        fn never_panics_and_never_shows_a_control(text in "\\PC*|.*|[\"\\\\@.<>a\r\n]{0,20}") {
            if let Some(mailbox) = Mailbox::parse(&text) {
                prop_assert!(!mailbox.to_string().chars().any(char::is_control));
            }
        }
    }
}
