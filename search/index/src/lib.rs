//! One full-text index: of many accounts' messages, as immutable files, without a store or a cluster.
//!
//! A [`Builder`] takes [`Document`]s and gives the files of one segment; a [`Manifest`] lists segments; a [`Reader`]
//! opens them over a [`Source`] of byte ranges; [`Reader::delete`] and [`Reader::merge`] give new files and leave the old
//! ones as they are. Who publishes files, and when, is not decided here.
//!
//! Every text is indexed once, with each of its characters, as units of folded text, so that [`Reader::find`] answers
//! the substring searches of IMAP (RFC 9051 §6.4.4) as `search/query` would by scanning. [`Reader::rank`] (RFC 6203,
//! JMAP) asks for the same words in all their forms: which words are forms of one another is said once per segment.
//!
//! Invariants:
//! - Every match is in an [`Answer`], as found or as one to be looked at; what is said to be found is a match.
//! - Files never change: names have the segment's random id, and a count for what is deleted of it.
//! - No text is kept in the index: [`snippet`]s are made of the message.

pub mod analysis;
mod answers;
mod builder;
mod bytes;
mod document;
mod error;
mod exact;
mod fields;
mod files;
mod find;
mod forms;
mod gaps;
mod grams;
mod infos;
mod invert;
mod letters;
mod lists;
mod manifest;
mod neighbours;
mod noise;
mod numbers;
mod parallel;
mod ranked;
#[cfg(test)]
mod ranked_tests;
mod reader;
mod relevance;
mod sets;
mod snippet;

pub use builder::{Builder, Built};
pub use document::Document;
pub use error::Error;
pub use exact::Answer;
pub use files::{Grid, Memory, Source};
pub use find::FoundIn;
pub use manifest::{Manifest, SegmentEntry};
pub use ranked::{Hit, Ranked};
pub use reader::{FileCache, NewFiles, Reader};
pub use snippet::{SNIPPET_MAX, marked, snippet};
/// Bytes of a file, shared.
pub use tantivy::directory::OwnedBytes;
