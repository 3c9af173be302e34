//! EHLO, HELO, LHLO: the client's name.
//!
//! ```abnf
//! ehlo = "EHLO" SP ( Domain / address-literal ) CRLF
//! helo = "HELO" SP Domain CRLF
//! lhlo = "LHLO" SP Domain CRLF                           ; RFC 2033 §4.1
//! ```
//!
//! Deviation: any printable word is taken. Real clients name themselves with bare addresses, underscores and
//! worse, and RFC 5321 §4.1.4 forbids to refuse a message for what the name is.

use std::fmt;

use crate::{Host, SyntaxError, limits};

/// The name a client gave itself: one printable word.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientName(String);

impl ClientName {
    /// Checks a name.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let printable = text.chars().all(|c| !c.is_control() && !c.is_whitespace());
        (printable && !text.is_empty() && text.len() <= limits::CLIENT_NAME).then(|| Self(text.to_owned()))
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as RFC 5321 has it: a domain or an address literal. `None` for the odd ones.
    #[must_use]
    pub fn host(&self) -> Option<Host> {
        Host::parse(&self.0)
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn parse(arguments: &str) -> Result<ClientName, SyntaxError> {
    ClientName::new(arguments).ok_or(SyntaxError::Arguments)
}

pub(crate) fn render(verb: &str, name: &ClientName, line: &mut String) {
    line.push_str(verb);
    line.push(' ');
    line.push_str(name.as_str());
}

#[cfg(test)]
mod tests {
    use crate::Command;

    #[test]
    fn known_answers() {
        for (line, host) in [
            ("EHLO bar.com", true),
            ("ehlo [192.0.2.1]", true),
            ("HELO [IPv6:2001:db8::1]", true),
            ("LHLO foo.edu", true),
            ("EHLO DESKTOP_1", true),
            ("EHLO 10:20", false),
            ("EHLO 例子.广告", true),
        ] {
            let (Command::Ehlo(name) | Command::Helo(name) | Command::Lhlo(name)) =
                Command::parse(line.as_bytes()).unwrap()
            else {
                panic!("{line}");
            };
            assert_eq!(name.host().is_some(), host, "{line}");
        }
        for bad in ["EHLO a b", "EHLO a\u{a0}b", &format!("EHLO {}", "x".repeat(256))] {
            assert!(Command::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
