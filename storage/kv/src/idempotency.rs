//! How a commit whose outcome is unknown is applied once and not twice.
//!
//! Where a backend can lose the answer to a commit ([`crate::Backend::outcome_can_be_unknown`]), every attempt
//! of one [`crate::Database::transact`] writes the same token key and also counts as having read it:
//!
//! ```text
//! key    `I` · minute of the first attempt since 1970, u32 big-endian · 16 random bytes
//! value  versionstamp of the commit (10 bytes) · number of the attempt, u32 little-endian
//! ```
//!
//! After an unknown outcome the next attempt reads the token before anything else. Found: that attempt was
//! applied, and its result is the answer. Absent: the closure runs again; and because each attempt conflicts
//! with every other commit of the token, an earlier commit that is still on its way fails once a later one is
//! through. Before the loop returns an error it *fences* what is still unknown: it commits the token itself,
//! with `FENCE` in the place of the attempt, so that "failed" stays true.
//!
//! Tokens older than [`limits::IDEMPOTENCY_TIME`] are removed by
//! [`crate::Database::expire_idempotency_tokens`].

use crate::range_set::successor;
use crate::{ConflictKind, Database, Error, Row, Transaction, Versionstamp, limits};
use bytes::Bytes;
use runtime::{Clock, Rng, Timestamp};

/// First byte of every token key. No other key may start with it.
pub const TAG: u8 = b'I';

/// In place of the attempt's number: no attempt was applied, nor will one be.
const FENCE: u32 = u32::MAX;

/// Bytes of randomness in a token.
const RANDOM: usize = 16;

/// What is known of the commits whose answer was lost.
pub(crate) enum Settled<T> {
    /// None of them is applied by now.
    Absent,
    /// This is the result of the one that was.
    Applied(T, Versionstamp),
    /// None of them is applied, nor will be.
    Fenced,
}

/// The token of one `transact`, and the results of those of its attempts whose outcome is unknown.
pub(crate) struct Token<T> {
    key: Option<Bytes>,
    attempt: u32,
    unknown: Vec<(u32, T)>,
}

impl<T> Token<T> {
    /// A token that is made up when it is first written.
    pub(crate) fn new() -> Self {
        Token { key: None, attempt: 0, unknown: Vec::new() }
    }

    /// Whether an attempt may have been applied.
    pub(crate) fn is_unsettled(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// Makes `txn` leave the token behind if it is applied.
    pub(crate) fn write(&mut self, txn: &Transaction, clock: &dyn Clock, rng: &dyn Rng) {
        self.attempt += 1;
        let key = self.key.get_or_insert_with(|| new_key(clock.now(), rng));
        txn.add_conflict_range(ConflictKind::Read, key, &successor(key));
        txn.set_versionstamped_value(key, &value(self.attempt), 0);
    }

    /// The outcome of the present attempt is unknown; if it was applied then `result` is the answer.
    pub(crate) fn lost(&mut self, result: T) {
        self.unknown.push((self.attempt, result));
    }

    /// Looks for the token in the snapshot of `txn`.
    pub(crate) async fn settle(&mut self, txn: &Transaction) -> Result<Settled<T>, Error> {
        let (true, Some(key)) = (self.is_unsettled(), &self.key) else { return Ok(Settled::Absent) };
        let Some(value) = txn.get(key).await? else { return Ok(Settled::Absent) };
        let (stamp, attempt) = parse(&value)?;
        if attempt == FENCE {
            return Ok(Settled::Fenced);
        }
        let known = self.unknown.iter().position(|(number, _)| *number == attempt);
        let position =
            known.ok_or_else(|| Error::fatal("idempotency token of an attempt that was not made"))?;
        let (_, result) = self.unknown.swap_remove(position);
        Ok(Settled::Applied(result, stamp))
    }

    /// Settles what is unknown for good: either an attempt was applied, or `txn` sees to it that none will be.
    pub(crate) async fn fence(&mut self, txn: &Transaction) -> Result<Settled<T>, Error> {
        let settled = self.settle(txn).await?;
        if let (Settled::Absent, Some(key)) = (&settled, &self.key) {
            txn.set_versionstamped_value(key, &value(FENCE), 0);
            txn.commit().await?;
            return Ok(Settled::Fenced);
        }
        Ok(settled)
    }
}

impl Database {
    /// Removes up to `limit` tokens older than [`limits::IDEMPOTENCY_TIME`]; says how many there were. Fewer
    /// than `limit` means that none is left.
    pub async fn expire_idempotency_tokens(&self, limit: usize) -> Result<usize, Error> {
        let end = bucket(self.clock().now() - limits::IDEMPOTENCY_TIME);
        self.transact("kv.expire_tokens", |txn| async move {
            // Snapshot reads: old tokens are written by nobody.
            let old = txn.range(&[TAG], &end).limit(limit).snapshot().collect().await?;
            if let Some((last, _)) = old.last() as Option<&Row> {
                txn.clear_range(&[TAG], &successor(last));
            }
            Ok(old.len())
        })
        .await
    }
}

/// The part of a token key that says when: tokens of earlier minutes sort below it.
fn bucket(now: Timestamp) -> [u8; 5] {
    let minute = u32::try_from(now.secs().max(0) / 60).unwrap_or(u32::MAX).to_be_bytes();
    [TAG, minute[0], minute[1], minute[2], minute[3]]
}

fn new_key(now: Timestamp, rng: &dyn Rng) -> Bytes {
    let mut random = [0; RANDOM];
    rng.fill(&mut random);
    [&bucket(now)[..], &random].concat().into()
}

fn value(attempt: u32) -> [u8; 14] {
    let mut value = [0; 14];
    value[Versionstamp::LEN..].copy_from_slice(&attempt.to_le_bytes());
    value
}

fn parse(value: &[u8]) -> Result<(Versionstamp, u32), Error> {
    let malformed = || Error::fatal("malformed idempotency token");
    let stamp = Versionstamp::from_slice(value).ok_or_else(malformed)?;
    let attempt = value[Versionstamp::LEN..].try_into().map_err(|_| malformed())?;
    Ok((stamp, u32::from_le_bytes(attempt)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::SeededRng;

    #[test]
    fn token_keys_sort_by_minute() {
        let rng = SeededRng::new(1);
        let minute = |n: i64| new_key(Timestamp::from_secs(60 * n + 59), &rng);
        assert_eq!(minute(1).len(), 21);
        assert_eq!(&minute(258)[..5], b"I\0\0\x01\x02");
        assert!(minute(1) < minute(2) && minute(255) < minute(256));
        assert_ne!(minute(7), minute(7));
        assert!(minute(7)[..] < bucket(Timestamp::from_secs(60 * 8))[..]);
    }

    #[test]
    fn token_values_read_back() {
        let stamped = Versionstamp::new(9, 1).place(&value(3), 0).unwrap();
        assert_eq!(parse(&stamped), Ok((Versionstamp::new(9, 1), 3)));
        assert!(parse(b"short").is_err());
        assert!(parse(&[0; 13]).is_err());
    }
}
