//! When a page ends: before its transaction is too large or too old to be committed. How many messages that are depends
//! on what hangs on them, and on how far away the store is.

use std::time::Duration;

use kv::{Transaction, limits};

/// Age at which a page ends; the commit, and what one message may still take, come on top.
const AGE: Duration = Duration::from_secs(2);
/// Bytes at which a page ends.
const BYTES: usize = limits::TRANSACTION / 4;

/// Messages whose rows are read at once: a store that is far away is waited for once for all of them.
pub(crate) const WINDOW: usize = 100;

/// Whether a page has done enough.
pub(crate) fn is_spent(txn: &Transaction) -> bool {
    txn.age() >= AGE || txn.size() >= BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_end_a_page() {
        let db = kv::memory::database();
        let pages = db.transact("test", |txn| async move {
            let mut written: usize = 0;
            while !is_spent(&txn) {
                txn.set(format!("k{written}").as_bytes(), &[0; 1000]);
                written += 1;
            }
            Ok::<_, crate::Error>(written)
        });
        assert!((1_000..5_000).contains(&pages.await.unwrap()));
    }
}
