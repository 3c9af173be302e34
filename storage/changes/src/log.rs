//! The change log of an account.
//!
//! An entry is written by the transaction that makes the change ([`record_in`]), under its versionstamp. The
//! log is trimmed from its old end ([`trim_in`]); up to where is kept as the floor, and who asks for changes
//! from before it is told that they cannot be known ([`Error::CannotCalculate`]).

use crate::Error;
use kv::{Database, Transaction, Versionstamp};
use schema::codec::PENDING;
use schema::keys::mail::{ChangeFloorKey, ChangeKey, LastChangeKey};
use schema::keys::system::ChangeSlotKey;
use schema::records::mail::ChangeRecord;
use schema::{AccountId, Key, ModSeq, Record};

/// Writes an entry. `discriminator` tells apart the entries that one transaction writes for one account: the
/// id of the first object in it will do.
pub fn record_in(txn: &Transaction, account: AccountId, discriminator: u64, record: &ChangeRecord) {
    let (key, offset) = ChangeKey { account, stamp: PENDING, discriminator }.encode_stamped();
    txn.set_versionstamped_key(&key, offset, &record.to_bytes());
    touch_in(txn, account);
}

/// Notes that the account changed, without an entry.
pub fn touch_in(txn: &Transaction, account: AccountId) {
    // Blind writes both: nobody conflicts on what so many write.
    txn.set_versionstamped_value(&ChangeSlotKey::of(account).encode(), &PENDING, 0);
    txn.set_versionstamped_value(&LastChangeKey { account }.encode(), &PENDING, 0);
}

/// Notes that who may use the account has changed: it was disabled or removed, or its memberships changed. For
/// those who use it; what is in it is another matter.
pub fn touch_standing_in(txn: &Transaction, account: AccountId) {
    txn.set_versionstamped_value(&ChangeSlotKey::of_standing(account).encode(), &PENDING, 0);
}

/// The account's last change: its state. Zero if it never changed.
pub async fn state_in(txn: &Transaction, account: AccountId) -> Result<Versionstamp, Error> {
    let value = txn.get_snapshot(&LastChangeKey { account }.encode()).await?;
    Ok(value.and_then(|bytes| Versionstamp::from_slice(&bytes)).unwrap_or(Versionstamp::ZERO))
}

/// Entries after a state, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Entries {
    /// Commit and content.
    pub entries: Vec<(Versionstamp, ChangeRecord)>,
    /// Up to here nothing is missing: ask on from here if `more`, else this is the account's state.
    pub upto: ModSeq,
    /// Whether there are further entries.
    pub more: bool,
}

/// The entries after `since`; about `limit` of them, since those of one commit are not parted.
pub async fn read(db: &Database, account: AccountId, since: ModSeq, limit: usize) -> Result<Entries, Error> {
    db.read("changes.read", |txn| async move { read_in(&txn, account, since, limit).await }).await
}

/// The same, for who reads something else at the same moment.
pub async fn read_in(
    txn: &Transaction,
    account: AccountId,
    since: ModSeq,
    limit: usize,
) -> Result<Entries, Error> {
    if since < floor_in(txn, account).await? {
        return Err(Error::CannotCalculate);
    }
    let state = ModSeq(state_in(txn, account).await?.version());
    let (begin, end) = ChangeKey::after(account, since);
    let mut rows = txn.range(&begin, &end).snapshot();
    let mut found = Entries { entries: Vec::new(), upto: state.max(since), more: false };
    while let Some((key, value)) = rows.try_next().await? {
        let stamp = Versionstamp::from_bytes(ChangeKey::decode(&key)?.stamp);
        if let Some((last, _)) = found.entries.last()
            && found.entries.len() >= limit
            && last.version() != stamp.version()
        {
            found.upto = ModSeq(last.version());
            found.more = true;
            break;
        }
        found.entries.push((stamp, ChangeRecord::from_bytes(&value)?));
    }
    Ok(found)
}

/// Up to where the log was trimmed; zero if it is whole.
pub async fn floor_in(txn: &Transaction, account: AccountId) -> Result<ModSeq, Error> {
    Ok(read_floor(txn.get_snapshot(&ChangeFloorKey { account }.encode()).await?.as_deref()))
}

fn read_floor(value: Option<&[u8]>) -> ModSeq {
    value.and_then(|bytes| bytes.first_chunk()).map_or(ModSeq(0), |b| ModSeq(u64::from_be_bytes(*b)))
}

/// Forgets entries made before `before` (seconds since the epoch), the oldest first, and at most `limit` of
/// them; whole commits only. Returns the new floor, or `None` if nothing was old enough.
pub async fn trim_in(
    txn: &Transaction,
    account: AccountId,
    before: i64,
    limit: usize,
) -> Result<Option<ModSeq>, Error> {
    let (begin, end) = ChangeKey::range(account);
    let mut rows = txn.range(&begin, &end).snapshot();
    let (mut floor, mut current, mut seen) = (None, None, 0);
    while let Some((key, value)) = rows.try_next().await? {
        let version = ModSeq::of_stamp(&ChangeKey::decode(&key)?.stamp);
        if current.is_some_and(|current| current != version) {
            floor = current;
            if seen >= limit {
                break;
            }
        }
        if ChangeRecord::from_bytes(&value)?.at >= before {
            current = None;
            break;
        }
        current = Some(version);
        seen += 1;
    }
    let floor = if seen < limit { current.or(floor) } else { floor };
    if let Some(floor) = floor {
        // Read so that another trim conflicts: one that saw less must not lower what it set.
        let key = ChangeFloorKey { account }.encode();
        let floor = floor.max(read_floor(txn.get(&key).await?.as_deref()));
        let upto = ChangeKey { account, stamp: floor.next_stamp(), discriminator: 0 };
        txn.clear_range(&begin, &upto.encode());
        txn.set(&key, &floor.0.to_be_bytes());
        return Ok(Some(floor));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use schema::records::mail::ChangeKind;

    const ACCOUNT: AccountId = AccountId(3);

    async fn write(db: &Database, at: i64, entries: u64) -> ModSeq {
        let (_, stamp) = db
            .transact_versioned("test", |txn| async move {
                for email in 0..entries {
                    let record = ChangeRecord {
                        kind: ChangeKind::EmailCreated as i32,
                        at,
                        emails: vec![email],
                        ..Default::default()
                    };
                    record_in(&txn, ACCOUNT, email, &record);
                }
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        ModSeq(stamp.version())
    }

    async fn trim(db: &Database, before: i64, limit: usize) -> Option<ModSeq> {
        db.transact("test", |txn| async move { trim_in(&txn, ACCOUNT, before, limit).await }).await.unwrap()
    }

    #[tokio::test]
    async fn entries_come_in_order_and_commits_are_not_parted() {
        let db = kv::memory::database();
        assert_eq!(read(&db, ACCOUNT, ModSeq(0), 9).await.unwrap().entries.len(), 0);
        let (a, b, c) = (write(&db, 1, 1).await, write(&db, 2, 3).await, write(&db, 3, 1).await);
        let all = read(&db, ACCOUNT, ModSeq(0), 100).await.unwrap();
        assert_eq!((all.entries.len(), all.upto, all.more), (5, c, false));
        assert!(all.entries.is_sorted_by_key(|(stamp, _)| *stamp));
        let part = read(&db, ACCOUNT, a, 2).await.unwrap();
        assert_eq!((part.entries.len(), part.upto, part.more), (3, b, true));
        let rest = read(&db, ACCOUNT, part.upto, 2).await.unwrap();
        assert_eq!((rest.entries.len(), rest.upto, rest.more), (1, c, false));
    }

    #[tokio::test]
    async fn what_was_trimmed_cannot_be_asked_for() {
        let db = kv::memory::database();
        let (a, b, c) = (write(&db, 1, 2).await, write(&db, 2, 2).await, write(&db, 3, 2).await);
        assert_eq!(trim(&db, 1, 100).await, None);
        assert_eq!(trim(&db, 3, 1).await, Some(a));
        assert_eq!(trim(&db, 3, 100).await, Some(b));
        assert!(matches!(read(&db, ACCOUNT, a, 9).await, Err(Error::CannotCalculate)));
        let kept = read(&db, ACCOUNT, b, 9).await.unwrap();
        assert_eq!((kept.entries.len(), kept.upto), (2, c));
        assert_eq!(trim(&db, 9, 100).await, Some(c));
        assert_eq!(read(&db, ACCOUNT, c, 9).await.unwrap().upto, c);
    }

    /// Of two trims at once, the one that forgets less commits last.
    #[tokio::test]
    async fn the_floor_never_goes_down() {
        let db = kv::memory::database();
        let (a, b) = (write(&db, 1, 2).await, write(&db, 2, 2).await);
        let (db, alone) = (&db, &AtomicBool::new(true));
        let trimmed = db.transact("test", |txn| async move {
            let trimmed = trim_in(&txn, ACCOUNT, 2, 100).await?;
            if alone.swap(false, Ordering::Relaxed) {
                assert_eq!((trimmed, trim(db, 9, 100).await), (Some(a), Some(b)));
            }
            Ok::<_, Error>(trimmed)
        });
        assert_eq!(trimmed.await.unwrap(), None, "there is nothing left to forget");
        assert!(matches!(read(db, ACCOUNT, a, 9).await, Err(Error::CannotCalculate)));
    }
}
