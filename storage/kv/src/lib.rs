//! The ordered transactional key-value store, as every crate above sees it.
//!
//! The shape is FoundationDB's: a [`Transaction`] reads one snapshot, collects its writes in memory, and
//! [commits](Database::transact) only if nothing it read was changed by another commit since. Reads are
//! serializable unless a snapshot read is asked for. A backend implements [`Backend`] and
//! [`BackendTransaction`], on top of [`Buffer`] if writes wait in this process; everything above uses [`Database`]
//! and [`Transaction`] and knows no backend.
//!
//! What always holds:
//! - There is one retry loop, [`Database::transact`]. Nothing above begins or commits a transaction by hand.
//! - A commit whose outcome is unknown is never applied twice ([`idempotency`]).
//! - The [`limits`] are FoundationDB's on every backend and are checked here, once.
//! - Key space `I` ([`idempotency::TAG`]) belongs to this crate; all others belong to the schema.

pub mod atomic;
mod backend;
mod buffer;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod database;
mod error;
pub mod fault;
pub mod idempotency;
pub mod limits;
pub mod memory;
mod metrics;
pub mod overlay;
mod range;
mod range_set;
mod read_future;
mod transaction;
pub mod tuple;
mod versionstamp;
mod watch;
mod write;

pub use atomic::AtomicOp;
pub use backend::{
    Backend, BackendTransaction, ConflictKind, Priority, RangePage, RangeRequest, TransactionOptions,
};
pub use buffer::Buffer;
pub use database::Database;
pub use error::{Cause, Error, ErrorKind, TransactError};
pub use limits::Limit;
pub use metrics::describe as describe_metrics;
pub use range::{RangeStream, Row, prefix_end};
pub use range_set::{RangeSet, successor};
pub use read_future::ReadFuture;
pub use transaction::Transaction;
pub use versionstamp::Versionstamp;
pub use watch::Watch;
pub use write::Write;
