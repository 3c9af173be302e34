//! Text of attachments: PDF, Office Open XML, OpenDocument, RTF, HTML, plain text.
//!
//! Files come from strangers, and those who read their formats may loop, overflow the stack or take all memory; of
//! these a thread survives none. So a file is read by a process of its own ([`work`], the same binary), which limits
//! its own memory, CPU time and files, reads one file from its standard input, writes text to its standard output and
//! ends. [`Extractor`] starts it, waits no longer than [`limits::TIME`], and loses nothing when it dies.
//!
//! Invariants:
//! - A file can cost one process, never more than [`limits`] say, and never the caller.
//! - No file is an error: one that nobody can read has no text. Errors are those of the machine, to be tried again.
//! - Text that was cut is text: what fits is given.

mod extractor;
mod kind;
pub mod limits;
mod message;
mod office;
mod pdf;
mod rtf;
#[cfg(test)]
mod samples;
mod worker;
mod xml;

pub use extractor::{Error, Extractor};
pub use kind::Kind;
pub use worker::work;
