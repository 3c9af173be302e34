//! Raising the cluster's clock.
//!
//! Versions of a cluster go up by about a million a second, for all who share it. The key below is the cluster's own: it
//! says from which version on it gives out commits. A cluster that finds a higher one there recovers, which takes some
//! seconds, and begins at it.

use crate::{Shared, error};
use foundationdb::options::{ConflictRangeType, TransactionOption};
use kv::{Error, ErrorKind, limits, successor};
use std::time::Duration;
use tokio::time::Instant;

/// Where the cluster keeps the least version of its next commits: a little-endian number of 8 bytes.
const LEAST_VERSION: &[u8] = b"\xff/minRequiredCommitVersion";

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one recovery may take: it is not asked for again before.
const RECOVERY: Duration = Duration::from_secs(20);

/// After the recovery the cluster lets few transactions in for some seconds: to its storage the leap looks like a long
/// lag. It is back when it has committed so many times in a row, each within `PROMPT`.
const SIGNS_OF_LIFE: u32 = 6;
const PROMPT: Duration = Duration::from_millis(400);

/// Every commit that begins after this has a version above `version`, and the cluster has recovered.
pub(crate) async fn advance(shared: &Shared, version: u64) -> Result<(), Error> {
    let least = i64::try_from(version).ok().and_then(|version| version.checked_add(1));
    let least = least.ok_or_else(|| Error::fatal("FoundationDB: version out of range"))?;
    let done = async {
        let (mut asked, mut signs): (Option<Instant>, u32) = (None, 0);
        loop {
            let begun = Instant::now();
            let looked = look(shared, least).await;
            let prompt = matches!(looked, Ok(true)) && begun.elapsed() < PROMPT;
            signs = if prompt { signs + 1 } else { 0 };
            match looked {
                // Without a leap there is nothing to recover from.
                Ok(true) if asked.is_none() || signs >= SIGNS_OF_LIFE => return Ok(()),
                Ok(false) if asked.is_none_or(|at| at.elapsed() > RECOVERY) => {
                    asked = Some(Instant::now());
                    // That the answer is lost is what the recovery does: the next look says how it stands.
                    let outcome = ask(shared, least).await;
                    outcome.or_else(|e| if e.kind() == ErrorKind::Fatal { Err(e) } else { Ok(()) })?;
                }
                Err(e) if e.kind() == ErrorKind::Fatal => return Err(e),
                // The recovery is under way.
                Ok(_) | Err(_) => {}
            }
            tokio::time::sleep(limits::BACKOFF_LAST).await;
        }
    };
    let late =
        |_| Err(Error::unavailable("FoundationDB: the cluster does not come back with higher versions"));
    tokio::time::timeout(PATIENCE, done).await.unwrap_or_else(late)
}

/// Whether the cluster commits, and above the version wanted.
async fn look(shared: &Shared, least: i64) -> Result<bool, Error> {
    let _open = shared.open.read().await;
    let transaction = shared.begin(&kv::TransactionOptions::default())?;
    if transaction.get_read_version().await.map_err(error::of_read)? < least {
        return Ok(false);
    }
    let key = &shared.prefix;
    let written = transaction.add_conflict_range(key, &successor(key), ConflictRangeType::Write);
    written.map_err(error::of_read)?;
    transaction.commit().await.map(|_| true).map_err(|e| error::of_commit(*e))
}

/// Tells the cluster.
async fn ask(shared: &Shared, least: i64) -> Result<(), Error> {
    let _open = shared.open.read().await;
    let transaction = shared.begin(&kv::TransactionOptions::default())?;
    for option in [TransactionOption::AccessSystemKeys, TransactionOption::LockAware] {
        transaction.set_option(option).map_err(error::of_read)?;
    }
    transaction.set(LEAST_VERSION, &least.to_le_bytes());
    transaction.commit().await.map(drop).map_err(|e| error::of_commit(*e))
}
