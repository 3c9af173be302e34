//! What changed in an account, found out once for all who listen to it on this node.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use changes::{Feed, Subscription};
use parking_lot::Mutex;
use schema::records::mail::ChangeRecord;
use schema::{AccountId, MailboxId, ModSeq};

use super::types::{NAMES, Types};
use crate::Services;
use crate::fail::Fail;

/// Entries of the log read at once.
const ENTRIES: usize = 1_000;
/// Pages of the log that one look reads, and that somebody who was away is told from. After more, everything may have changed.
const PAGES: usize = 10;
/// After so many accounts were added, those that nobody listens to are forgotten.
const SWEEP: usize = 1_024;

/// The mailboxes of an account that somebody may read; none for all of it.
pub(crate) type Within = Option<BTreeSet<MailboxId>>;

/// The accounts that somebody listens to.
pub(crate) struct Watches {
    mail: mail::Store,
    feed: Arc<dyn Feed>,
    known: Mutex<HashMap<(AccountId, Within), Weak<Watch>>>,
}

impl Watches {
    pub(crate) fn new(services: &Services) -> Self {
        Watches { mail: services.mail.clone(), feed: Arc::clone(&services.feed), known: Mutex::default() }
    }

    /// The watch of an account, the same for all who see the same of it, and a wait for its changes.
    pub(crate) fn join(&self, account: AccountId, within: Within) -> (Arc<Watch>, Subscription) {
        let subscription = self.feed.subscribe(account);
        let mut known = self.known.lock();
        if let Some(watch) = known.get(&(account, within.clone())).and_then(Weak::upgrade) {
            return (watch, subscription);
        }
        if known.len() % SWEEP == SWEEP - 1 {
            known.retain(|_, watch| watch.strong_count() > 0);
        }
        let own = self.feed.subscribe(account);
        let watch = Arc::new(Watch::new((account, within.clone()), self.mail.clone(), own));
        known.insert((account, within), Arc::downgrade(&watch));
        (watch, subscription)
    }
}

/// One account.
pub(crate) struct Watch {
    pub(crate) account: AccountId,
    pub(crate) within: Within,
    mail: mail::Store,
    seen: Mutex<Option<Seen>>,
    look: tokio::sync::Mutex<Look>,
}

/// What is known.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The account's last change. Never goes back.
    upto: ModSeq,
    /// What changed up to here is not known.
    floor: ModSeq,
    /// The last change of each type after `floor`.
    last: [ModSeq; NAMES.len()],
}

struct Look {
    subscription: Subscription,
    /// The last look was not finished.
    doubtful: bool,
}

/// What became of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct News {
    /// What changed.
    pub(crate) types: Types,
    /// The account's state.
    pub(crate) upto: ModSeq,
}

impl Watch {
    fn new((account, within): (AccountId, Within), mail: mail::Store, subscription: Subscription) -> Self {
        let look = tokio::sync::Mutex::new(Look { subscription, doubtful: true });
        Watch { account, within, mail, seen: Mutex::default(), look }
    }

    /// Finds out what changed, unless somebody has since the last hint. Those who come meanwhile wait for what comes of it.
    pub(crate) async fn look(&self) -> Result<(), Fail> {
        let mut look = self.look.lock().await;
        let woken = look.subscription.take();
        if !woken && !look.doubtful {
            return Ok(());
        }
        look.doubtful = true;
        let seen = *self.seen.lock();
        let news = match seen {
            None => {
                let state = self.mail.state(self.account).await?;
                Seen { upto: state, floor: state, last: [ModSeq(0); NAMES.len()] }
            }
            Some(seen) => self.follow(seen).await?,
        };
        *self.seen.lock() = Some(news);
        look.doubtful = false;
        metrics::counter!("jmap_push_looks_total").increment(1);
        Ok(())
    }

    async fn follow(&self, mut seen: Seen) -> Result<Seen, Fail> {
        let types = self.types_since(seen.upto).await?;
        seen.upto = seen.upto.max(types.upto);
        for at in types.types.places() {
            if let Some(last) = seen.last.get_mut(at) {
                *last = seen.upto;
            }
        }
        Ok(seen)
    }

    /// What changed after a commit, by the log; everything, if the log does not say.
    async fn types_since(&self, since: ModSeq) -> Result<News, Fail> {
        let mut news = News { types: Types::NONE, upto: since };
        for _ in 0..PAGES {
            let read = changes::log::read(self.mail.database(), self.account, news.upto, ENTRIES).await;
            let page = match read {
                Ok(page) => page,
                Err(changes::Error::CannotCalculate) => break,
                Err(error) => return Err(error.into()),
            };
            news.upto = news.upto.max(page.upto);
            let found = page.entries.iter().map(|(_, entry)| self.types_of(entry));
            news.types = found.fold(news.types, Types::and);
            if !page.more {
                return Ok(news);
            }
        }
        let state = self.mail.state(self.account).await?;
        let types = if self.within.is_some() { Types::MAIL } else { Types::ALL };
        Ok(News { types, upto: news.upto.max(state) })
    }

    /// What an entry tells of, to who sees what is watched: what happens elsewhere is not even told to have happened.
    fn types_of(&self, entry: &ChangeRecord) -> Types {
        let seen =
            |within: &BTreeSet<MailboxId>| entry.mailboxes.iter().any(|id| within.contains(&MailboxId(*id)));
        match &self.within {
            None => Types::of_entry(entry),
            Some(within) if seen(within) => Types::of_entry(entry).among(Types::MAIL),
            Some(_) => Types::NONE,
        }
    }

    /// The account's state as the last look found it.
    pub(crate) fn upto(&self) -> Option<ModSeq> {
        self.seen.lock().map(|seen| seen.upto)
    }

    /// What changed after a commit, as far as looks have found; none if it is from before the first of them.
    pub(crate) fn since(&self, commit: ModSeq) -> Option<News> {
        let seen = (*self.seen.lock())?;
        if commit < seen.floor {
            return None;
        }
        let last = seen.last;
        let types = Types::ALL.filter(|at| last.get(at).is_some_and(|last| *last > commit));
        Some(News { types, upto: seen.upto })
    }

    /// The same for somebody who was away.
    pub(crate) async fn missed(&self, commit: ModSeq) -> Result<News, Fail> {
        match self.since(commit) {
            Some(news) => Ok(news),
            None => self.types_since(commit).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::world::World;

    #[tokio::test]
    async fn a_change_is_read_once_for_all() {
        let world = World::new().await;
        let (watch, _) = world.watches.join(world.alice, None);
        let (same, _) = world.watches.join(world.alice, None);
        assert!(Arc::ptr_eq(&watch, &same));
        watch.look().await.unwrap();
        let began = watch.upto().unwrap();
        assert_eq!(watch.since(began), Some(News { types: Types::NONE, upto: began }));
        assert_eq!(watch.since(ModSeq(began.0 - 1)), None, "nobody has looked then");
        world.create_mailbox("One").await;
        same.look().await.unwrap();
        let news = watch.since(began).unwrap();
        assert_eq!(news.types, Types::MAILBOX);
        assert!(news.upto > began);
        assert!(watch.since(news.upto).unwrap().types.is_empty());
        assert!(
            watch.missed(ModSeq(began.0 - 1)).await.unwrap().types.among(Types::MAILBOX) == Types::MAILBOX
        );
        drop((watch, same));
        assert!(world.watches.known.lock()[&(world.alice, None)].upgrade().is_none());
    }
}
