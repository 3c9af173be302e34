//! What is asked of a set of messages, and the answer: one filter and sort tree for IMAP SEARCH and JMAP query.
//!
//! [`search`] answers in two steps. The planner turns what mailbox indexes know (flags, UIDs, dates, sizes)
//! into candidates without reading a message; only what is left open is scanned: rows first, then stored
//! summaries, then headers, then decoded bodies, and each message only as deep as the filter needs.
//! A [`SearchIndex`] may answer text filters; without one they are scanned.
//!
//! Invariants:
//! - The answer is exact, with or without an index.
//! - A query has a [`Budget`]: beyond it the answer is [`Error::Budget`], never a part that looks whole. It
//!   lets other tasks run as it goes on.
//! - Memory is bounded by one page of rows and one message's text, besides the sets of UIDs.

mod budget;
mod emails;
mod filter;
pub mod haystack;
mod index;
mod message;
mod plan;
mod relevancy;
mod scan;
mod sort;
mod text;
mod thread;
mod tokens;

pub use budget::{Budget, BudgetExceeded, Spending};
pub use emails::EmailQuery;
pub use filter::{Field, Filter};
pub use index::{EmailHits, Hits, NoIndex, Relevant, SearchIndex};
pub use relevancy::Relevancy;
pub use scan::{Query, search};
pub use sort::{SortCriterion, SortKey, sort, sort_by_relevancy};
pub use text::{Needle, decoded};
pub use thread::{ThreadAlgorithm, ThreadMessage, ThreadNode, Threads, ordered_subject, references, thread};
pub use tokens::tokens;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query would cost more than it may: the client should ask for less.
    #[error(transparent)]
    Budget(#[from] BudgetExceeded),
    /// The store could not be read.
    #[error(transparent)]
    Mail(#[from] mail::Error),
}
