//! IMAP4rev1 and IMAP4rev2 as bytes: what a client sends becomes a [`Command`], what a server says is
//! appended to a byte vector. No socket, no clock, no async, nothing of ours underneath.
//!
//! The way of a byte: [`framer`] decides where a command ends and caps it before any grammar sees it;
//! [`command::parse`] turns a whole frame into a [`Command`]; the session answers with [`render`].
//!
//! Invariants:
//! - No input makes anything here panic, recurse deeper than [`limits::DEPTH`] or grow without a named limit.
//! - What is written can not be broken out of: CR, LF and NUL never reach a quoted string or a line.
//! - Mailbox names are Unicode inside; modified UTF-7 exists at the edge only ([`mailbox`]).
//!
//! RFC 9051 (IMAP4rev2) is the base, RFC 3501 (IMAP4rev1) where it differs; extensions are cited where obeyed.

pub mod command;
mod cursor;
pub mod datetime;
mod error;
pub mod flag;
pub mod framer;
pub mod limits;
pub mod mailbox;
pub mod render;
pub mod sequence;
mod tag;

pub use command::{Body, Command, parse};
pub use error::{ParseError, Problem};
pub use tag::Tag;
