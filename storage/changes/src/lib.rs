//! Modseq and state, the change log, the Feed and Sink of committed changes.
//!
//! Two things tell a reader that something changed:
//!
//! - **The log** ([`log`]) is the truth. Entries are written by the transaction that makes the change, under
//!   its versionstamp, so that order in the log is order of visibility.
//! - **The feed** ([`Sink`], [`Feed`]) is a hint, given after the commit. It may be lost, doubled or late; who
//!   is woken reads the log or the counters from where it stopped. What hints leave out is found by a look from
//!   time to time ([`Poll`]).

mod error;
mod feed;
pub mod incarnation;
pub mod log;
mod poll;

pub use error::Error;
pub use feed::{Change, Feed, Kinds, LocalFeed, Sink, Subscription};
pub use poll::{POLL, Poll, Slots, slots};
