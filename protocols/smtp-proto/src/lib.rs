//! SMTP and LMTP codec: bytes in, values out, and back. No socket, no clock, no task.
//!
//! The way in, for a server:
//!
//! 1. [`Framer`] finds where a command line ends (CRLF and nothing else) and caps it before any grammar sees it;
//! 2. [`Command::parse`] turns the line into a value; a [`SyntaxError`] knows its reply;
//! 3. [`data::Decoder`] takes the message after `DATA`, [`data::Chunk`] the one after `BDAT`;
//! 4. [`Reply`] renders the answer.
//!
//! The way out, for a client: [`Command::render`], [`data::Encoder`], [`ReplyParser`], [`Capabilities`].
//!
//! Invariants: a value of a type in this crate can be rendered into a command or a header line without another
//! check, because no constructor admits CR, LF, NUL or any other control character. `CRLF.CRLF` is the only
//! end of `DATA` (RFC 5321 §4.1.1.4), read or written.

pub mod address;
mod capabilities;
pub mod command;
pub mod data;
mod dsn;
mod error;
mod frame;
pub mod limits;
mod params;
mod reply;
mod xtext;

pub use address::{Domain, ForwardPath, Host, Mailbox, ReversePath};
pub use capabilities::Capabilities;
pub use command::{Auth, Bdat, BodyType, ClientName, Command, Mail, MailParams, Rcpt, RcptParams, Submitter};
pub use dsn::{EnvelopeId, Notify, OriginalRecipient, Ret};
pub use error::SyntaxError;
pub use frame::{Frame, Framer};
pub use reply::{Enhanced, Reply, ReplyError, ReplyParser};
