//! What waits in a slot, for those who look after the queue.

use runtime::Timestamp;
use schema::Key;
use schema::keys::queue::QueueDueKey;

use crate::entry::{AT_ONCE, made_at};
use crate::{Error, Spool};

/// What waits in a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Entries that wait, as far as they were counted.
    pub waiting: usize,
    /// Whether there may be more of them.
    pub more: bool,
    /// When the first of them is or was due.
    pub oldest_due: Option<Timestamp>,
}

impl Spool {
    /// What waits in a slot. At most `count` entries are counted.
    ///
    /// # Errors
    /// The store's.
    pub async fn backlog(&self, slot: u16, count: usize) -> Result<Backlog, Error> {
        self.db
            .read("spool.backlog", |txn| async move {
                let (begin, end) = QueueDueKey::range_until(slot, i64::MAX);
                let rows = txn.range(&begin, &end).snapshot().limit(count).collect().await?;
                let first = rows.first().map(|(key, _)| QueueDueKey::decode(key)).transpose()?;
                let due = |key: QueueDueKey| match Timestamp(key.time) {
                    AT_ONCE => made_at(key.id),
                    time => time,
                };
                let oldest_due = first.map(due);
                Ok(Backlog { waiting: rows.len(), more: rows.len() == count, oldest_due })
            })
            .await
    }
}
