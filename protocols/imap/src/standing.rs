//! Whether who is logged in may stay: looked at when the account is said to have changed, so that a session that waits for
//! its client ends too.

use std::time::Duration;

use changes::Subscription;
use tokio::time::Instant;

/// Before the store is asked again that did not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// When to look.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    subscription: Option<Subscription>,
    /// The last look has failed.
    doubtful: bool,
    /// When the token that was shown is not good any more.
    until: Option<Instant>,
}

impl Standing {
    /// Somebody has logged in. What was known at the login is looked at again: it may have changed before this.
    pub(crate) fn of(subscription: Subscription, until: Option<Instant>) -> Standing {
        Standing { subscription: Some(subscription), doubtful: false, until }
    }

    /// Whether a token was shown whose time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }

    /// Resolves when it is time to look. Never if nobody is logged in. Nothing is lost if it is dropped.
    pub(crate) async fn is_due(&mut self) {
        let until = self.until;
        let changed = async {
            match &mut self.subscription {
                Some(_) if self.doubtful => tokio::time::sleep(AGAIN).await,
                Some(subscription) => subscription.changed().await,
                None => std::future::pending().await,
            }
        };
        match until {
            Some(until) => drop(tokio::time::timeout_at(until, changed).await),
            None => changed.await,
        }
    }

    /// Says whether a look has failed.
    pub(crate) fn looked(&mut self, failed: bool) {
        self.doubtful = failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use changes::{Feed, LocalFeed};
    use futures::FutureExt;
    use schema::AccountId;

    #[tokio::test(start_paused = true)]
    async fn a_look_that_failed_is_repeated() {
        assert!(Standing::default().is_due().now_or_never().is_none());
        let mut standing = Standing::of(LocalFeed::new().standing(AccountId(1)), None);
        standing.is_due().now_or_never().unwrap();
        assert!(standing.is_due().now_or_never().is_none());
        standing.looked(true);
        let begun = Instant::now();
        standing.is_due().await;
        assert_eq!(begun.elapsed(), AGAIN);
        standing.looked(false);
        assert!(standing.is_due().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_is_due_when_the_time_of_a_token_is_over() {
        let until = Instant::now() + Duration::from_secs(3_600);
        let mut standing = Standing::of(LocalFeed::new().standing(AccountId(1)), Some(until));
        standing.is_due().await;
        assert!(!standing.is_over(), "the look after the login");
        standing.is_due().await;
        assert!(standing.is_over() && Instant::now() == until);
    }
}
