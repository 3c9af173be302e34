//! Addresses as the directory compares them.
//!
//! The domain is compared as an IDNA A-label in lower case (RFC 5891), the local part without regard to case:
//! RFC 5321 §2.4 leaves the latter to the domain's own host, which we are.

use std::fmt;

/// The longest local part, in octets. RFC 5321 §4.5.3.1.1 says 64; members of lists and return paths of others (VERP)
/// are longer. It is what the SMTP codec takes.
pub const LOCAL_MAX: usize = 256;
/// RFC 5321 §4.5.3.1.2, in octets.
const DOMAIN_MAX: usize = 255;

/// A mailbox address in the one form under which it is stored and found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// In lower case, without the quotes of a quoted string.
    pub local: String,
    /// In lower case, as A-labels.
    pub domain: String,
}

/// What cannot be an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// No `@`, or nothing before it.
    #[error("an address is LOCAL@DOMAIN")]
    Form,
    /// A character that has no place in a local part, or too many of them.
    #[error("the part before the @ is not valid")]
    Local,
    /// No domain name.
    #[error("the domain name is not valid")]
    Domain,
}

impl Address {
    /// Reads `local@domain`; the local part may be a quoted string (RFC 5321 §4.1.2) and may be UTF-8 (RFC 6531).
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidAddress::Form)?;
        Ok(Address { local: normalize_local(local)?, domain: normalize_domain(domain)? })
    }

    /// Splits `user+detail` at the first separator, if there is a user before it: RFC 5233 §1.
    pub fn split_detail(&self, separator: char) -> Option<(Address, &str)> {
        let (user, detail) = self.local.split_once(separator)?;
        let base = Address { local: user.to_owned(), domain: self.domain.clone() };
        (!user.is_empty()).then_some((base, detail))
    }
}

/// As it is written in an envelope: the local part is quoted if it has to be.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local.chars() {
            let escape = if matches!(c, '"' | '\\') { "\\" } else { "" };
            write!(f, "{escape}{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

/// A domain name as A-labels in lower case.
pub fn normalize_domain(domain: &str) -> Result<String, InvalidAddress> {
    let ascii = idna::domain_to_ascii_cow(domain.as_bytes(), idna::AsciiDenyList::STD3)
        .map_err(|_| InvalidAddress::Domain)?;
    let fits = (1..=DOMAIN_MAX).contains(&ascii.len());
    let labels_fit = ascii.split('.').all(|label| (1..=63).contains(&label.len()));
    if fits && labels_fit { Ok(ascii.into_owned()) } else { Err(InvalidAddress::Domain) }
}

fn normalize_local(local: &str) -> Result<String, InvalidAddress> {
    let bare = match local.strip_prefix('"') {
        Some(rest) => unquote(rest.strip_suffix('"').ok_or(InvalidAddress::Local)?)?,
        None if is_dot_string(local) => local.to_owned(),
        None => return Err(if local.is_empty() { InvalidAddress::Form } else { InvalidAddress::Local }),
    };
    let fits = (1..=LOCAL_MAX).contains(&bare.len()) && !bare.contains(char::is_control);
    if fits { Ok(bare.to_lowercase()) } else { Err(InvalidAddress::Local) }
}

/// The inside of a quoted string, without its backslashes.
fn unquote(inside: &str) -> Result<String, InvalidAddress> {
    let mut bare = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        bare.push(match c {
            '\\' => chars.next().ok_or(InvalidAddress::Local)?,
            '"' => return Err(InvalidAddress::Local),
            c => c,
        });
    }
    Ok(bare)
}

/// Dot-string = Atom *("." Atom), RFC 5321 §4.1.2; with UTF-8, RFC 6531 §3.3.
fn is_dot_string(local: &str) -> bool {
    let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || c >= '\u{a0}';
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        Address::parse(text).unwrap().to_string()
    }

    #[test]
    fn case_and_script_do_not_tell_addresses_apart() {
        assert_eq!(parsed("Alice@Example.TEST"), "alice@example.test");
        assert_eq!(parsed("a@BÜCHER.example"), "a@xn--bcher-kva.example");
        assert_eq!(parsed("a@xn--bcher-kva.EXAMPLE"), "a@xn--bcher-kva.example");
        assert_eq!(parsed("DÖRTE@example.test"), "dörte@example.test");
    }

    #[test]
    fn quotes_are_there_only_when_needed() {
        assert_eq!(parsed("\"alice\"@example.test"), "alice@example.test");
        assert_eq!(parsed("\"a b\"@example.test"), "\"a b\"@example.test");
        assert_eq!(parsed("\"a@b\"@example.test"), "\"a@b\"@example.test");
        assert_eq!(parsed(r#""a\"b\\c"@example.test"#), r#""a\"b\\c"@example.test"#);
        assert_eq!(parsed("\"a..b\"@example.test"), "\"a..b\"@example.test");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        use InvalidAddress::{Domain, Form, Local};
        let long = format!("{}@example.test", "a".repeat(LOCAL_MAX + 1));
        for (text, error) in [
            ("", Form),
            ("alice", Form),
            ("@example.test", Form),
            ("a b@example.test", Local),
            (".a@example.test", Local),
            ("a..b@example.test", Local),
            ("\"a@example.test", Local),
            ("\"a\"b\"@example.test", Local),
            ("\"a\\\"@example.test", Local),
            ("\"a\r\nRCPT\"@example.test", Local),
            ("a\u{0}@example.test", Local),
            (long.as_str(), Local),
            ("a@", Domain),
            ("a@example..test", Domain),
            ("a@exa mple.test", Domain),
            ("a@[127.0.0.1]", Domain),
            ("a@example.test.", Domain),
            ("a@b\r\nc.test", Domain),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_detail_is_split_at_the_first_separator() {
        let address = Address::parse("alice+a+b@example.test").unwrap();
        let (base, detail) = address.split_detail('+').unwrap();
        assert_eq!((base.to_string().as_str(), detail), ("alice@example.test", "a+b"));
        assert_eq!(address.split_detail('-'), None);
        assert_eq!(Address::parse("+a@example.test").unwrap().split_detail('+'), None);
    }
}
