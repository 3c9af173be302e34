//! SASL mechanisms (RFC 4422) as pure state machines: lines of base64 in, challenges and credentials out.
//!
//! SMTP (RFC 4954) and IMAP (RFC 9051 §6.2.2) carry the same exchange: an optional initial response, then
//! challenges and responses in base64, one a line, and `*` to give up. Whether the credentials are right is not
//! decided here.
//!
//! Invariants: secrets are wiped when dropped and never shown by `Debug`; a response has a limit before it is
//! decoded; a failed exchange says nothing about which part of a password's was wrong.

mod exchange;
mod secret;
mod token;

pub use exchange::{Credentials, Exchange, Failure, Mechanism, RESPONSE_LIMIT, Step};
pub use secret::Secret;
pub use token::Refusal;
