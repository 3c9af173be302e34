//! The index of mail, followed, published and searched.
//!
//! Accounts are spread over shards. A shard has one writer, which holds its [`schema::Duty`] ([`Indexer`]): it follows
//! the change logs of the shard's accounts, makes segments of what came, and publishes files, manifest and cursors in
//! one transaction under its fence ([`segments`]). Any node reads what is published ([`Searcher`]): an answer is what
//! the segments say of the messages up to the account's cursor, and everything that the log has after it is to be
//! looked at. So mail is found the moment it is delivered, whoever is dead, late or being rebuilt.
//!
//! # Invariants
//! - Rows of `storage/mail` decide what is there: an email that is gone, or elsewhere, is no hit.
//! - What cannot be answered from the index is scanned: no index, none yet, files away or damaged, too much after the
//!   cursor. It is never an error, and never a part that looks whole.
//! - Delivery writes nothing for the index and waits for nothing of it.
//! - Memory is bounded by one message, one batch and one merge per node, and the cache.

mod batch;
mod error;
mod files;
mod follow;
mod indexer;
mod merging;
mod metrics;
mod places;
mod publishing;
mod readers;
mod searcher;
mod turn;

pub use batch::{Attachments, NoAttachments};
pub use error::Error;
pub use indexer::{Indexer, Options, Progress};
pub use metrics::describe as describe_metrics;
pub use searcher::{Answered, Scanned, Searcher, Told};
pub use turn::{Shard, Turn};
