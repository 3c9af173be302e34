//! Domains and address literals.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::is_visible_unicode;
use crate::limits;

/// A domain name, ASCII letters in lower case; U-labels stay as they came.
///
/// ```abnf
/// Domain      = sub-domain *("." sub-domain)
/// sub-domain  = Let-dig [Ldh-str]          ; RFC 5321 §4.1.2
/// sub-domain  =/ U-label                   ; RFC 6531 §3.3
/// ```
///
/// Deviation: an underscore counts as a letter, because such names are in the DNS and receive mail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(String);

impl Domain {
    /// Parses a whole string.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() <= limits::DOMAIN && !text.is_empty() && text.split('.').all(is_label))
            .then(|| Self(text.to_ascii_lowercase()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_label(label: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || is_visible_unicode(c);
    let (first, last) = (label.chars().next(), label.chars().next_back());
    first.is_some_and(letter)
        && last.is_some_and(letter)
        && label.chars().all(|c| letter(c) || c == '-')
        && (!label.is_ascii() || label.len() <= limits::LABEL)
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What stands behind the `@`: a domain or an address literal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A domain name.
    Domain(Domain),
    /// An address in brackets.
    Literal(IpAddr),
}

impl Host {
    /// Parses a whole string.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match Self::take(text)? {
            (host, "") => Some(host),
            _ => None,
        }
    }

    /// Parses a host at the start of `text` and returns what follows.
    pub(crate) fn take(text: &str) -> Option<(Self, &str)> {
        if let Some(literal) = text.strip_prefix('[') {
            let (inner, rest) = literal.split_once(']')?;
            return Some((Self::Literal(parse_literal(inner)?), rest));
        }
        let part = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || is_visible_unicode(c);
        let end = text.find(|c| !part(c)).unwrap_or(text.len());
        Some((Self::Domain(Domain::parse(&text[..end])?), &text[end..]))
    }

    /// The domain, if it is one.
    #[must_use]
    pub fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Domain(domain) => Some(domain),
            Self::Literal(_) => None,
        }
    }
}

/// The inside of the brackets (RFC 5321 §4.1.3).
///
/// ```abnf
/// address-literal      = "[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal ) "]"
/// IPv6-address-literal = "IPv6:" IPv6-addr
/// ```
///
/// No tag but `IPv6` was ever registered, so that a general literal is an error.
fn parse_literal(inner: &str) -> Option<IpAddr> {
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Literal(IpAddr::V4(v4)) => write!(f, "[{v4}]"),
            Self::Literal(IpAddr::V6(v6)) => write!(f, "[IPv6:{v6}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains() {
        for good in ["example.com", "x", "1.2.3", "a-b.c", "xn--bcher-kva.example", "bücher.example", "_d.x"]
        {
            assert!(Domain::parse(good).is_some(), "{good}");
        }
        let long_label = "a".repeat(64);
        let long_name = "a.".repeat(128) + "b";
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "a b",
            "a\u{200b}b",
            "a\u{202e}b",
            "a\n",
            "a@b",
            "\u{85}",
            "a\u{3000}b",
            &long_label,
            &long_name,
        ] {
            assert!(Domain::parse(bad).is_none(), "{bad:?}");
        }
        assert_eq!(Domain::parse("EXAMPLE.Com").unwrap().as_str(), "example.com");
    }

    #[test]
    fn literals() {
        for good in ["[192.0.2.1]", "[IPv6:2001:db8::1]", "[IPv6:::1]"] {
            assert_eq!(Host::parse(good).unwrap().to_string(), good);
        }
        assert_eq!(Host::parse("[ipv6:::ffff:192.0.2.1]").unwrap().to_string(), "[IPv6:::ffff:192.0.2.1]");
        for bad in [
            "[]",
            "[192.0.2]",
            "[192.0.2.256]",
            "[2001:db8::1]",
            "[IPv6:]",
            "[x:y]",
            "[1.2.3.4",
            "[é]",
            "[1.2.3.4]x",
            "[IPv6:fe80::1%eth0]",
        ] {
            assert!(Host::parse(bad).is_none(), "{bad}");
        }
    }
}
