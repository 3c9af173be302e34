//! SMTP, submission and LMTP server sessions.
//!
//! One session serves one connection: it reads commands ([`smtp_proto`] frames and parses them), looks each up in
//! a table that says who may use it and when ([`session::table`]), asks the ports whether it is allowed, and
//! streams the message into a body writer. It decides nothing about mail: whether a sender or a recipient may
//! pass is [`Policy`]'s and [`Acceptor`]'s answer, and a message is accepted when
//! [`BodyWriter::accept`] says that it is durable.
//!
//! Invariants:
//! - memory per session is bounded by the limits of [`Config`] and of the codec, whatever the message's size;
//! - a session that waits for its client holds no buffer (`net` sees to it);
//! - nothing that was sent before STARTTLS is believed after it (RFC 3207 §4.2);
//! - a 2yz reply to a message is written only after the acceptor's answer.

mod config;
mod header;
mod metric;
mod ports;
mod session;
mod trace;

pub use config::{Config, Role, Timeouts};
pub use header::HeaderFacts;
pub use ports::{
    Acceptor, BodyWriter, Envelope, OpenPolicy, Policy, Recipient, RecipientVerdict, SessionInfo, Verdict,
};
pub use session::{Server, Service, keywords};
