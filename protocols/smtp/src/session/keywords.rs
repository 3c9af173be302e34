//! What EHLO announces: one row for each extension.

use std::fmt::Write as _;

use sasl::Mechanism;

use crate::{Config, Role, SessionInfo};

/// What decides whether an extension is announced.
pub(crate) struct Offer<'a> {
    pub(crate) config: &'a Config,
    pub(crate) session: &'a SessionInfo,
    /// Whether there is a certificate.
    pub(crate) tls_available: bool,
    /// The mechanisms that may be used now.
    pub(crate) mechanisms: &'a [Mechanism],
}

/// A row: the keyword, and its parameters if it is announced.
type Row = (&'static str, fn(&Offer<'_>) -> Option<String>);

fn always(_: &Offer<'_>) -> Option<String> {
    Some(String::new())
}

const TABLE: &[Row] = &[
    ("PIPELINING", always),                                       // RFC 2920
    ("SIZE", |offer| Some(offer.config.max_message.to_string())), // RFC 1870
    ("8BITMIME", always),                                         // RFC 6152
    ("BINARYMIME", always),                                       // RFC 3030
    ("CHUNKING", always),                                         // RFC 3030
    ("SMTPUTF8", always),                                         // RFC 6531
    ("ENHANCEDSTATUSCODES", always),                              // RFC 2034
    ("DSN", always),                                              // RFC 3461
    // RFC 3207 §4.2: not announced once TLS is on.
    ("STARTTLS", |offer| (offer.tls_available && offer.session.tls.is_none()).then(String::new)),
    ("AUTH", auth), // RFC 4954
    // RFC 5321 §4.1.1.8.
    ("HELP", always),
];

fn auth(offer: &Offer<'_>) -> Option<String> {
    let wanted = offer.config.role == Role::Submission && offer.session.identity.is_none();
    let names: Vec<&str> = offer.mechanisms.iter().map(|mechanism| mechanism.name()).collect();
    (wanted && !names.is_empty()).then(|| names.join(" "))
}

/// The lines of a reply to EHLO after its first.
pub(crate) fn lines(offer: &Offer<'_>) -> impl Iterator<Item = String> {
    TABLE.iter().filter_map(|(keyword, params)| {
        let mut line = (*keyword).to_owned();
        match params(offer)? {
            params if params.is_empty() => {}
            // Writing to a String cannot fail.
            params => drop(write!(line, " {params}")),
        }
        Some(line)
    })
}

/// Every keyword that can be announced.
pub fn keywords() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(keyword, _)| *keyword)
}

#[cfg(test)]
mod tests {
    use super::*;
    use net::TlsInfo;

    fn announced(role: Role, tls: bool, mechanisms: &[Mechanism]) -> Vec<String> {
        let config = Config::new(role, "x");
        let session = SessionInfo {
            role,
            peer: "127.0.0.1:1".parse().unwrap(),
            local: "127.0.0.1:2".parse().unwrap(),
            hello: None,
            extended: true,
            tls: tls.then(|| TlsInfo { version: "TLSv1.3", cipher: String::new(), alpn: None }),
            identity: None,
        };
        lines(&Offer { config: &config, session: &session, tls_available: true, mechanisms }).collect()
    }

    #[test]
    fn announces_what_can_be_used() {
        let plain = announced(Role::Submission, false, &[]);
        assert!(plain.contains(&"STARTTLS".to_owned()) && !plain.iter().any(|line| line.starts_with("AUTH")));
        let secure = announced(Role::Submission, true, &Mechanism::ALL);
        assert!(
            !secure.contains(&"STARTTLS".to_owned())
                && secure.contains(&"AUTH PLAIN LOGIN OAUTHBEARER XOAUTH2".to_owned())
        );
        assert!(secure.contains(&format!("SIZE {}", 100 << 20)));
        assert!(!announced(Role::Mx, true, &[Mechanism::Plain]).iter().any(|line| line.starts_with("AUTH")));
        assert_eq!(keywords().count(), 11);
    }
}
