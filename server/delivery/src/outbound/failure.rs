//! Why a message did not go out, and whether to try again.

use std::fmt;

use smtp_proto::{Enhanced, Reply};

/// A failed attempt for one recipient or for all of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whether another attempt is of no use.
    pub permanent: bool,
    /// The status for a DSN (RFC 3464 §2.3.4).
    pub status: Enhanced,
    /// The remote server's reply on one line, if it made one (RFC 3464 §2.3.6).
    pub diagnostic: Option<String>,
    /// What happened, for logs and people.
    pub text: String,
    /// The server that was spoken to.
    pub remote: Option<String>,
}

impl Failure {
    /// A failure that passes.
    #[must_use]
    pub fn transient(status: Enhanced, text: impl Into<String>) -> Self {
        Self { permanent: false, status, diagnostic: None, text: text.into(), remote: None }
    }

    /// A failure that stays.
    #[must_use]
    pub fn permanent(status: Enhanced, text: impl Into<String>) -> Self {
        Self { permanent: true, ..Self::transient(status, text) }
    }

    /// What a reply that is not positive means (RFC 5321 §4.2.1): 5yz is permanent, anything else is tried again.
    #[must_use]
    pub fn reply(stage: &str, reply: &Reply) -> Self {
        let status = match reply.status() {
            status if status.class == 2 => Enhanced::new(4, 5, 0),
            status => status,
        };
        let text = format!("remote server refused {stage}");
        let diagnostic = Some(brief(reply.to_string()));
        Self { permanent: reply.is_permanent(), status, diagnostic, text, remote: None }
    }

    /// A failure of ours, which the remote server has no part in. RFC 3463 X.3.0.
    #[must_use]
    pub fn ours(text: impl Into<String>) -> Self {
        Self::transient(Enhanced::new(4, 3, 0), text)
    }

    /// Whether the connection was lost or the server fell silent (RFC 3463 X.4.Z), rather than said anything.
    #[must_use]
    pub fn is_lost_connection(&self) -> bool {
        !self.permanent && self.diagnostic.is_none() && self.status.subject == 4
    }

    /// The same failure, with the server's name.
    #[must_use]
    pub fn at(mut self, remote: &str) -> Self {
        self.remote.get_or_insert_with(|| remote.to_owned());
        self
    }
}

/// The beginning of what a server said, as much as is kept. It may say a megabyte, to each of a thousand recipients.
pub(super) fn brief(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(spool::Reply::TEXT_MAX));
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.text)?;
        if let Some(diagnostic) = &self.diagnostic {
            write!(f, ": {diagnostic}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        let failure = Failure::reply("RCPT", &Reply::new(550, Enhanced::new(5, 1, 1), "No such user"));
        assert!(failure.permanent && failure.status == Enhanced::new(5, 1, 1));
        assert_eq!(failure.diagnostic.as_deref(), Some("550 5.1.1 No such user"));
        let long = Failure::reply("RCPT", &Reply::plain(550, "é".repeat(9999)));
        assert_eq!(long.diagnostic.map(|text| text.len()), Some(spool::Reply::TEXT_MAX));
        assert!(!Failure::reply("RCPT", &Reply::plain(452, "x")).permanent);
        assert_eq!(Failure::reply("DATA", &Reply::plain(250, "x")).status, Enhanced::new(4, 5, 0));
    }
}
