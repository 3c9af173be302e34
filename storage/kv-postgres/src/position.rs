//! Where in the history of a PostgreSQL cluster something was seen.

use crate::error;
use kv::Error;
use parking_lot::Mutex;
use tokio_postgres::Row;

/// A version in the history that a timeline tells. Each promotion of a standby begins another timeline: with
/// synchronous replication it goes on where the last one ended, without it the end may be missing, and versions
/// of both mean different commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) timeline: u32,
    pub(crate) version: u64,
}

/// What `Sql::head` gives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) position: Position,
    /// Whether there are rows with long keys.
    pub(crate) has_long: bool,
}

impl Head {
    pub(crate) fn read(row: &Row) -> Result<Self, Error> {
        let read = || {
            let version = u64::try_from(row.try_get::<_, i64>(0).ok()?).ok()?;
            let timeline = u32::from_str_radix(row.try_get::<_, &str>(1).ok()?, 16).ok()?;
            Some(Head { position: Position { timeline, version }, has_long: row.try_get(2).ok()? })
        };
        read().ok_or_else(|| Error::fatal("PostgreSQL: the log of commits gives no version"))
    }

    pub(crate) async fn ask(client: &deadpool_postgres::Client, head: &str) -> Result<Self, Error> {
        Head::read(&error::answered(client.query_one(head, &[])).await?)
    }
}

/// The latest position that this process has seen.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Position>);

impl Known {
    pub(crate) fn new(position: Position) -> Self {
        Known(Mutex::new(position))
    }

    pub(crate) fn get(&self) -> Position {
        *self.0.lock()
    }

    pub(crate) fn observe(&self, position: Position) {
        let mut known = self.0.lock();
        *known = (*known).max(position);
    }
}
