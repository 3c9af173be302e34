//! Pure formats of mail: structure, envelope, threads, decoding, generated messages.
//!
//! Nothing here touches a socket, a clock or the store: bytes go in, values come out. A message is read
//! once, from its first byte to its last, by a [`Summarizer`]; what that pass learned is a [`Summary`], from
//! which IMAP answers ENVELOPE, BODYSTRUCTURE and every `BODY[section]` by offset, and JMAP its list views,
//! without the body being read again.
//!
//! Where to start reading: [`summary`] and [`part`] (what is kept), [`scan`] (how it is found),
//! [`address`] (the one address parser), [`decode`] (transfer encodings, charsets, encoded words),
//! [`build`] (trace header fields and delivery status notifications), [`compose`] (messages of clients).
//!
//! Invariants
//! - Nothing fails: any sequence of bytes has a structure, and its ranges lie inside the message and nest.
//! - The summary does not depend on how the bytes were cut into chunks.
//! - Memory is bounded by [`Limits`], not by the message; time is linear in the message.
//! - Generated header fields cannot be broken out of: control characters never reach them.

pub mod address;
pub mod build;
pub mod compose;
pub mod date;
pub mod decode;
mod envelope;
mod fields;
mod fold;
pub mod headers;
mod ids;
mod limits;
mod lines;
mod mime;
pub mod notification;
pub mod part;
mod preview;
pub mod scan;
pub mod smime;
pub mod subject;
pub mod summary;

pub use address::{Address, Mailbox};
pub use fold::{fold, sort_key};
pub use limits::Limits;
pub use mime::encode_parameter;
pub use part::{Content, ContentType, Disposition, Encoding, NestedMessage, Part, Section};
pub use scan::{Summarizer, summarize};
pub use summary::{Envelope, HeaderField, MessageIds, Summary};
