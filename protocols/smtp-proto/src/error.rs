//! What can be wrong with a command line, and what the client is told.

use crate::{Enhanced, Reply};

/// A command line that the grammar refuses. The client must act; [`SyntaxError::reply`] tells it how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// The verb is not one of ours.
    #[error("unrecognized command")]
    UnknownCommand,
    /// The line holds control characters or is not UTF-8.
    #[error("malformed command line")]
    MalformedLine,
    /// The verb has an argument that it does not take, or lacks one, or it is malformed.
    #[error("syntax error in parameters or arguments")]
    Arguments,
    /// The reverse-path is malformed.
    #[error("malformed sender address")]
    Sender,
    /// The forward-path is malformed.
    #[error("malformed recipient address")]
    Recipient,
    /// A MAIL or RCPT parameter that we did not announce.
    #[error("unrecognized parameter")]
    UnknownParameter,
    /// A non-ASCII address without SMTPUTF8.
    #[error("address needs SMTPUTF8")]
    NeedsSmtpUtf8,
}

impl SyntaxError {
    /// The reply for the client.
    #[must_use]
    pub fn reply(self) -> Reply {
        match self {
            // RFC 5321 §4.2.4: 500 for a command that is not recognized; RFC 3463 §3.6: X.5.1, X.5.2, X.5.4.
            Self::UnknownCommand => Reply::new(500, Enhanced::new(5, 5, 1), "Command not recognized"),
            Self::MalformedLine => Reply::new(500, Enhanced::new(5, 5, 2), "Malformed command line"),
            Self::Arguments => {
                Reply::new(501, Enhanced::new(5, 5, 4), "Syntax error in parameters or arguments")
            }
            // RFC 3463 §3.2: X.1.7 and X.1.3.
            Self::Sender => Reply::new(501, Enhanced::new(5, 1, 7), "Bad sender address syntax"),
            Self::Recipient => Reply::new(501, Enhanced::new(5, 1, 3), "Bad recipient address syntax"),
            // RFC 5321 §4.1.1.11.
            Self::UnknownParameter => Reply::new(555, Enhanced::new(5, 5, 4), "Unrecognized parameter"),
            // RFC 6531 §3.5.
            Self::NeedsSmtpUtf8 => Reply::new(553, Enhanced::new(5, 6, 7), "Address needs SMTPUTF8"),
        }
    }
}
