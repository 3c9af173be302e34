//! Who may use an account, and to what it belongs: told to those who use it when it changes.

use crate::{Account, Accounts, Kind};
use changes::{Change, Kinds, log};
use kv::{Transaction, Versionstamp};
use schema::AccountId;
use smallvec::SmallVec;

impl Accounts {
    /// After a commit that disabled, enabled or removed an account, or changed its memberships or passwords: tells who uses it. Verbs that are
    /// a transaction of their own do so by themselves. A hint: what is not told is found by a look.
    pub fn tell_standing(&self, account: AccountId, version: Versionstamp) {
        let (mailboxes, kinds) = (SmallVec::new(), Kinds::STANDING);
        self.inner.sink.committed(&Change { account, mailboxes, version, kinds });
    }
}

/// Notes that an account takes part, or does not any more.
pub(crate) fn touch_in(txn: &Transaction, account: &Account) {
    match account.kind {
        Kind::Person => log::touch_standing_in(txn, account.id),
        // Nobody logs in to it. Its members wait for changes of its mailboxes.
        Kind::Group => log::touch_in(txn, account.id),
        // Nobody waits for it.
        Kind::List => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rights;
    use crate::tests::directory;
    use changes::{Feed, LocalFeed, Poll, Subscription};
    use futures::FutureExt;
    use std::sync::Arc;

    /// A directory with alice and a group, and two who wait for alice: where it is written, and on another node.
    struct World {
        accounts: Accounts,
        alice: AccountId,
        group: AccountId,
        poll: Poll,
        here: Subscription,
        elsewhere: Subscription,
    }

    impl World {
        async fn new() -> World {
            let (told, looking) = (LocalFeed::new(), LocalFeed::new());
            let accounts = directory().await.telling(Arc::new(told.clone()));
            let alice = accounts.person("alice@example.test").await;
            let group = accounts.make(Kind::Group, "group@example.test").await;
            let poll = Poll::new(accounts.db().clone(), looking.clone());
            let (here, elsewhere) = (told.standing(alice), looking.standing(alice));
            let mut world = World { accounts, alice, group, poll, here, elsewhere };
            world.heard().await;
            world
        }

        /// Whether both have heard of a change.
        async fn heard(&mut self) -> (bool, bool) {
            self.poll.look().await.unwrap();
            let heard = |waits: &mut Subscription| waits.changed().now_or_never().is_some();
            (heard(&mut self.here), heard(&mut self.elsewhere))
        }
    }

    #[tokio::test]
    async fn who_uses_an_account_hears_what_becomes_of_it() {
        let mut w = World::new().await;
        assert_eq!(w.heard().await, (false, false));
        w.accounts.set_enabled(w.alice, false).await.unwrap();
        assert_eq!(w.heard().await, (true, true));
        w.accounts.set_enabled(w.alice, false).await.unwrap();
        assert!(!w.heard().await.1, "it was so already");
        w.accounts.set_enabled(w.alice, true).await.unwrap();
        assert_eq!(w.heard().await, (true, true));
        w.accounts.add_member(w.group, w.alice, Rights::READ).await.unwrap();
        assert_eq!(w.heard().await, (true, true));
        w.accounts.remove_member(w.group, w.alice).await.unwrap();
        assert_eq!(w.heard().await, (true, true));
        w.accounts.delete_account(w.alice).await.unwrap();
        assert_eq!(w.heard().await, (true, true));
    }

    #[tokio::test]
    async fn another_password_is_told() {
        let mut w = World::new().await;
        for text in ["one", "two"] {
            w.accounts.set_password(w.alice, &crate::Secret::new(text)).await.unwrap();
            assert_eq!(w.heard().await, (true, true));
        }
    }

    #[tokio::test]
    async fn nobody_hears_what_is_of_no_concern() {
        let mut w = World::new().await;
        let name = crate::AccountChange { display_name: Some("A".into()), ..crate::AccountChange::default() };
        w.accounts.update(w.alice, &name).await.unwrap();
        let bob = w.accounts.person("bob@example.test").await;
        w.accounts.set_enabled(bob, false).await.unwrap();
        w.accounts.set_enabled(w.group, false).await.unwrap();
        assert_eq!(w.heard().await, (false, false));
    }
}
