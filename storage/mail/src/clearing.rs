//! Ranges that are too large for one transaction are cleared in steps, from a cursor on, each step one transaction: the
//! rows of a removed account ([`crate::purge`]) and those of a deleted mailbox ([`crate::emptying`]).

use kv::{RangeRequest, Row, Transaction};

use crate::Error;

/// Rows that one step clears at most.
const ROWS: usize = 1_000;
/// Bytes of rows that one step reads, about: structures are longer than all else.
const BYTES: usize = 512 * 1024;
/// Heavy rows among them: those that hold something which must be let go by reads of its own.
const HEAVY: usize = 100;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So much went; there may be more.
    Cleared {
        /// Rows.
        rows: u64,
        /// Emails among them; of a mailbox, messages.
        emails: u64,
        /// Octets of those emails.
        octets: u64,
    },
    /// Nothing is left, and the job is done.
    Finished,
    /// There is no such job: somebody else finished it.
    Absent,
}

/// The rows behind the cursor that one step takes; those that are `heavy` are fewer.
pub(crate) async fn next_rows(
    txn: &Transaction,
    (mut begin, end): (Vec<u8>, Vec<u8>),
    cursor: &[u8],
    heavy: impl Fn(&[u8]) -> bool,
) -> Result<Vec<Row>, Error> {
    if !cursor.is_empty() {
        begin = [cursor, &[0]].concat();
    }
    let request = RangeRequest { limit: ROWS, target_bytes: BYTES, ..RangeRequest::new(begin, end) };
    let mut rows = txn.page(&request).await?.rows;
    let mut found = rows.iter().enumerate().filter(|(_, (key, _))| heavy(key));
    if let Some((beyond, _)) = found.nth(HEAVY) {
        rows.truncate(beyond);
    }
    Ok(rows)
}
