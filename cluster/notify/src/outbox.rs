//! Commits that wait to be told: one row for each account.

use std::collections::HashMap;
use std::time::Duration;

use changes::{Change, Kinds};
use parking_lot::Mutex;
use schema::AccountId;
use tokio::sync::Notify;

use crate::limits;
use crate::message::{Changed, micros};

#[derive(Default)]
pub(crate) struct Outbox {
    waiting: Mutex<HashMap<AccountId, Waiting>>,
    filled: Notify,
}

struct Waiting {
    version: u64,
    kinds: Kinds,
    /// Since when, in monotonic time.
    since: Duration,
}

impl Outbox {
    /// Puts one in. Returns false if there is no room for it.
    pub(crate) fn push(&self, change: &Change, now: Duration) -> bool {
        let mut waiting = self.waiting.lock();
        let version = change.version.version();
        if let Some(known) = waiting.get_mut(&change.account) {
            known.version = known.version.max(version);
            known.kinds = known.kinds | change.kinds;
            return true;
        }
        if waiting.len() >= limits::WAITING {
            return false;
        }
        waiting.insert(change.account, Waiting { version, kinds: change.kinds, since: now });
        drop(waiting);
        self.filled.notify_one();
        true
    }

    /// All that wait.
    pub(crate) fn take(&self, now: Duration) -> Vec<Changed> {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let changed = |(account, one): (AccountId, Waiting)| Changed {
            account: account.0,
            version: one.version,
            kinds: one.kinds.bits().into(),
            age: micros(now.saturating_sub(one.since)),
        };
        waiting.into_iter().map(changed).collect()
    }

    /// Resolves when there is something. For one task.
    pub(crate) async fn filled(&self) {
        while self.waiting.lock().is_empty() {
            self.filled.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::Versionstamp;

    fn change(account: u32, version: u64, kinds: Kinds) -> Change {
        let (account, version) = (AccountId(account), Versionstamp::new(version, 0));
        Change { account, mailboxes: smallvec::SmallVec::new(), version, kinds }
    }

    #[tokio::test]
    async fn changes_of_one_account_are_told_together() {
        let (outbox, at) = (Outbox::default(), Duration::from_millis);
        assert!(outbox.push(&change(1, 9, Kinds::MESSAGES), at(10)));
        assert!(outbox.push(&change(1, 7, Kinds::STANDING), at(20)));
        outbox.filled().await;
        let kinds = (Kinds::MESSAGES | Kinds::STANDING).bits().into();
        assert_eq!(outbox.take(at(30)), [Changed { account: 1, version: 9, kinds, age: 20_000 }]);
        assert_eq!(outbox.take(at(30)), []);
    }

    #[test]
    fn there_is_an_end() {
        let outbox = Outbox::default();
        let room = u32::try_from(limits::WAITING).unwrap();
        for account in 0..room + 5 {
            assert_eq!(outbox.push(&change(account, 1, Kinds::FLAGS), Duration::ZERO), account < room);
        }
        assert!(outbox.push(&change(1, 2, Kinds::FLAGS), Duration::ZERO), "that one is there");
        assert_eq!(outbox.take(Duration::ZERO).len(), limits::WAITING);
    }
}
