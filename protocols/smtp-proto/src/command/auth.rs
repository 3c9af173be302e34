//! AUTH: starts an authentication (RFC 4954 §4).
//!
//! ```abnf
//! auth-command     = "AUTH" SP sasl-mech [SP initial-response] *(CRLF [base64]) [CRLF cancel-response] CRLF
//! initial-response = base64 / "="
//! sasl-mech        = 1*20( %x41-5A / DIGIT / "-" / "_" )        ; RFC 4422 §3.1
//! ```

use std::fmt;

use crate::SyntaxError;

/// The AUTH command. Its text form hides the initial response, which may be a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    mechanism: String,
    initial: Option<String>,
}

impl Auth {
    /// An AUTH command; `initial` is base64, empty for an empty response.
    #[must_use]
    pub fn new(mechanism: &str, initial: Option<&str>) -> Option<Self> {
        let name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let fits = (1..=20).contains(&mechanism.len()) && mechanism.bytes().all(name);
        let base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
        (fits && initial.unwrap_or_default().bytes().all(base64))
            .then(|| Self { mechanism: mechanism.to_ascii_uppercase(), initial: initial.map(str::to_owned) })
    }

    /// The mechanism's name, in upper case.
    #[must_use]
    pub fn mechanism(&self) -> &str {
        &self.mechanism
    }

    /// The initial response in base64, not decoded; empty for `=`, `None` when there is none.
    #[must_use]
    pub fn initial(&self) -> Option<&str> {
        self.initial.as_deref()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let initial = self.initial.as_ref().map(|_| "…");
        f.debug_struct("Auth").field("mechanism", &self.mechanism).field("initial", &initial).finish()
    }
}

pub(crate) fn parse(arguments: &str) -> Result<Auth, SyntaxError> {
    let (mechanism, initial) = match arguments.split_once(' ') {
        // RFC 4954 §4: "=" is an initial response of no octets.
        Some((mechanism, "=")) => (mechanism, Some("")),
        Some((mechanism, initial)) if !initial.is_empty() => (mechanism, Some(initial)),
        Some(_) => return Err(SyntaxError::Arguments),
        None => (arguments, None),
    };
    Auth::new(mechanism, initial).ok_or(SyntaxError::Arguments)
}

pub(crate) fn render(auth: &Auth, line: &mut String) {
    line.push_str("AUTH ");
    line.push_str(&auth.mechanism);
    match auth.initial.as_deref() {
        None => {}
        Some("") => line.push_str(" ="),
        Some(initial) => {
            line.push(' ');
            line.push_str(initial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;

    #[test]
    fn known_answers() {
        // RFC 4954 §4.1 and §6.
        for (line, mechanism, initial) in [
            ("AUTH PLAIN dGVzdAB0ZXN0ADEyMzQ=", "PLAIN", Some("dGVzdAB0ZXN0ADEyMzQ=")),
            ("auth login", "LOGIN", None),
            ("AUTH EXTERNAL =", "EXTERNAL", Some("")),
            ("AUTH SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS", None),
        ] {
            let command = Command::parse(line.as_bytes()).unwrap();
            let Command::Auth(auth) = &command else { panic!("{command:?}") };
            assert_eq!((auth.mechanism(), auth.initial()), (mechanism, initial));
            let mut out = Vec::new();
            command.render(&mut out);
            assert_eq!(Command::parse(out.strip_suffix(b"\r\n").unwrap()), Ok(command));
        }
        for bad in ["AUTH PL@IN", "AUTH PLAIN a b", "AUTH PLAIN é", "AUTH ABCDEFGHIJKLMNOPQRSTU", "AUTH P  ="]
        {
            assert_eq!(Command::parse(bad.as_bytes()), Err(SyntaxError::Arguments), "{bad}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        let auth = Auth::new("PLAIN", Some("c2VjcmV0")).unwrap();
        assert!(!format!("{auth:?}").contains("c2VjcmV0"));
    }
}
