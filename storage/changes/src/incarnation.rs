//! The store's incarnation.

use crate::Error;
use kv::Database;
use runtime::{Clock, Rng};
use schema::keys::system::IncarnationKey;
use schema::records::system::Incarnation;
use schema::{Key, Record};

/// The store's incarnation, made now if the store is new. States given to clients carry it, so that those of
/// a store restored elsewhere are not taken for its own.
pub async fn current(db: &Database, clock: &dyn Clock, rng: &dyn Rng) -> Result<Incarnation, Error> {
    let fresh = Incarnation { number: rng.u64(), created: clock.now().secs() };
    let fresh = &fresh;
    db.transact("incarnation", |txn| async move {
        let key = IncarnationKey.encode();
        if let Some(bytes) = txn.get(&key).await? {
            return Ok(Incarnation::from_bytes(&bytes)?);
        }
        txn.set(&key, &fresh.to_bytes());
        Ok(fresh.clone())
    })
    .await
}

/// Gives the store another incarnation: after it was restored from a backup.
pub async fn renew(db: &Database, clock: &dyn Clock, rng: &dyn Rng) -> Result<Incarnation, Error> {
    let fresh = Incarnation { number: rng.u64(), created: clock.now().secs() };
    let fresh = &fresh;
    db.transact("incarnation.renew", |txn| async move {
        txn.set(&IncarnationKey.encode(), &fresh.to_bytes());
        Ok(fresh.clone())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::{ManualClock, SeededRng, Timestamp};

    #[tokio::test]
    async fn is_made_once_and_renewed_on_demand() {
        let db = kv::memory::database();
        let (clock, rng) = (ManualClock::new(Timestamp::from_secs(7)), SeededRng::new(1));
        let first = current(&db, &clock, &rng).await.unwrap();
        assert_eq!(current(&db, &clock, &rng).await.unwrap(), first);
        let second = renew(&db, &clock, &rng).await.unwrap();
        assert_ne!(second.number, first.number);
        assert_eq!(current(&db, &clock, &rng).await.unwrap(), second);
    }
}
