//! One client that listens: to what it can reach, and up to where it has been told.

use std::sync::Arc;
use std::time::Duration;

use accounts::{Admitted, Identity, Proof};
use changes::Subscription;
use futures::future::select_all;
use jmap_proto::Id;
use jmap_proto::push::{Position, StateChange};
use runtime::Timestamp;
use schema::{AccountId, ModSeq};
use tokio::time::{Instant, sleep, sleep_until};

use super::types::Types;
use super::watch::{News, Watch, Within};
use crate::Server;
use crate::access;
use crate::fail::Fail;

/// Between two things told to one client: what comes meanwhile is told together.
pub(crate) const PACE: Duration = Duration::from_millis(100);

/// Before the store is asked again that did not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// Who listens, and to what.
pub(crate) struct Listener {
    server: Arc<Server>,
    identity: Identity,
    standing: Subscription,
    /// By what the client has come.
    proof: Proof,
    /// When its token is not good any more.
    until: Option<Instant>,
    types: Types,
    heard: Vec<Heard>,
    /// The standing is to be looked at.
    standing_due: bool,
    /// There may be something to tell.
    due: bool,
    /// The store did not answer.
    failed: bool,
    quiet_until: Option<Instant>,
}

/// An account that is listened to.
struct Heard {
    watch: Arc<Watch>,
    subscription: Subscription,
    told: Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// What is now is known to the client.
    Now,
    /// The client knows nothing of it, or something that nobody can tell.
    Nothing,
    /// The client knows what was up to here.
    Upto(ModSeq),
}

/// From where on a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// From now on.
    Now,
    /// From where it has been told before; all, if that cannot be made out.
    Text(String),
}

/// Who listened may not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Revoked;

impl Listener {
    /// One that has logged in, and listens to nothing yet.
    pub(crate) fn new(server: Arc<Server>, admitted: Admitted) -> Self {
        let Admitted { identity, proof, until } = admitted;
        let standing = server.services.feed.standing(identity.account);
        let now = server.services.clock.now();
        let until = until.map(|until| Instant::now() + Timestamp::from_millis(until).since(now));
        Listener {
            server,
            identity,
            standing,
            proof,
            until,
            types: Types::NONE,
            heard: Vec::new(),
            standing_due: true,
            due: false,
            failed: false,
            quiet_until: None,
        }
    }

    /// Forgets what was told after a position: it was not heard. The standing is looked at again.
    pub(crate) fn rewind(&mut self, position: &Position) {
        for one in &mut self.heard {
            let commit = position.accounts.get(&one.watch.account.0);
            one.told = commit.map_or(Told::Nothing, |commit| Told::Upto(ModSeq(*commit)));
        }
        (self.due, self.standing_due) = (true, true);
    }

    /// Who it is by now.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// By what the client has come.
    pub(crate) fn proof(&self) -> Proof {
        self.proof
    }

    /// Listens to changes of these types, in all accounts that can be reached, from somewhere on.
    pub(crate) fn listen(&mut self, types: Types, from: &From) {
        let position = match from {
            From::Now => None,
            From::Text(text) => Some(text.parse::<Position>().ok()),
        };
        let known = position.map(|position| {
            position.filter(|position| position.incarnation == self.server.services.incarnation)
        });
        self.types = types;
        self.heard.clear();
        self.reach(|account| match &known {
            None => Told::Now,
            Some(position) => position
                .as_ref()
                .and_then(|position| position.accounts.get(&account.0))
                .map_or(Told::Nothing, |commit| Told::Upto(ModSeq(*commit))),
        });
        self.due = true;
    }

    /// Listens to nothing.
    pub(crate) fn rest(&mut self) {
        self.types = Types::NONE;
        self.heard.clear();
        self.due = false;
    }

    /// Adds accounts that can be reached and drops those that cannot.
    fn reach(&mut self, told: impl Fn(AccountId) -> Told) {
        if self.types.is_empty() {
            return;
        }
        let reached = access::wanted(&self.identity).map(|one| (one.account, one.within()));
        let reached: Vec<(AccountId, Within)> = reached.collect();
        // Who may read other mailboxes than before listens anew: it is told that everything may be other than it was.
        let is = |one: &Heard, (account, within): &(AccountId, Within)| {
            one.watch.account == *account && one.watch.within == *within
        };
        self.heard.retain(|one| reached.iter().any(|reached| is(one, reached)));
        for reached in reached {
            if self.heard.iter().any(|one| is(one, &reached)) {
                continue;
            }
            let (account, within) = reached;
            let (watch, subscription) = self.server.push.watches.join(account, within);
            self.heard.push(Heard { watch, subscription, told: told(account) });
        }
    }

    /// Up to where the client has been told, once it has.
    pub(crate) fn position(&self) -> Position {
        let accounts = self.heard.iter().filter_map(|one| match one.told {
            Told::Upto(commit) => Some((one.watch.account.0, commit.0)),
            Told::Now | Told::Nothing => None,
        });
        Position { incarnation: self.server.services.incarnation, accounts: accounts.collect() }
    }

    /// What the client has missed, if anything. Fails while the store does.
    ///
    /// # Errors
    /// [`Revoked`].
    pub(crate) async fn begin(&mut self) -> Result<Option<StateChange>, Revoked> {
        loop {
            self.look_at_standing().await?;
            if !self.standing_due
                && let Some(change) = self.look().await
            {
                return Ok(change);
            }
            sleep(AGAIN).await;
        }
    }

    /// The next thing to tell. Nothing is lost if it is dropped and called again.
    ///
    /// # Errors
    /// [`Revoked`].
    pub(crate) async fn next(&mut self) -> Result<StateChange, Revoked> {
        loop {
            self.wait().await?;
            if self.standing_due {
                self.look_at_standing().await?;
            }
            // What changed is not told while it is not known who may see it.
            if self.due && !self.standing_due {
                if let Some(until) = self.quiet_until {
                    sleep_until(until).await;
                }
                if self.standing.take() {
                    self.standing_due = true;
                    continue;
                }
                if let Some(Some(change)) = self.look().await {
                    return Ok(change);
                }
            }
        }
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) -> Result<(), Revoked> {
        if self.failed {
            sleep(AGAIN).await;
            self.failed = false;
        }
        if self.until.is_some_and(|until| until <= Instant::now()) {
            return Err(Revoked);
        }
        if self.due || self.standing_due {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = expired(self.until) => return Err(Revoked),
            () = self.standing.changed() => self.standing_due = true,
            () = any(&mut self.heard) => self.due = true,
        }
        Ok(())
    }

    async fn look_at_standing(&mut self) -> Result<(), Revoked> {
        let (accounts, account) = (&self.server.services.accounts, self.identity.account);
        let identity = match Box::pin(accounts.still(account, self.proof)).await {
            Ok(identity) => identity.ok_or(Revoked)?,
            Err(error) => {
                tracing::warn!(%error, "who listens could not be looked up");
                self.failed = true;
                return Ok(());
            }
        };
        self.standing_due = false;
        if self.identity != identity {
            self.identity = identity;
            self.reach(|_| Told::Nothing);
            self.due = true;
        }
        Ok(())
    }

    /// Looks at what changed; none while the store fails.
    async fn look(&mut self) -> Option<Option<StateChange>> {
        // Taken before the look: what is hinted at meanwhile is looked at later.
        for one in &mut self.heard {
            one.subscription.take();
        }
        match self.news().await {
            Ok(news) => {
                self.due = false;
                let change = self.take(&news);
                if change.is_some() {
                    self.quiet_until = Some(Instant::now() + PACE);
                }
                Some(change)
            }
            Err(fail) => {
                tracing::warn!(?fail, "what changed could not be looked up");
                (self.due, self.failed) = (true, true);
                None
            }
        }
    }

    async fn news(&self) -> Result<Vec<News>, Fail> {
        let mut all = Vec::with_capacity(self.heard.len());
        for one in &self.heard {
            one.watch.look().await?;
            let upto = one.watch.upto().unwrap_or(ModSeq(0));
            all.push(match one.told {
                Told::Now => News { types: Types::NONE, upto },
                Told::Nothing if one.watch.within.is_some() => News { types: Types::MAIL, upto },
                Told::Nothing => News { types: Types::ALL, upto },
                Told::Upto(commit) => one.watch.missed(commit).await?,
            });
        }
        Ok(all)
    }

    /// What of the news is told, which then has been.
    fn take(&mut self, news: &[News]) -> Option<StateChange> {
        let mut change = StateChange::default();
        for (one, news) in self.heard.iter_mut().zip(news) {
            one.told = Told::Upto(news.upto);
            let types = news.types.among(self.types);
            if !types.is_empty() {
                let state = self.server.services.state_text(news.upto);
                let states = types.names().map(|name| (name, state.clone())).collect();
                change.changed.insert(Id::of(one.watch.account), states);
            }
        }
        (!change.changed.is_empty()).then_some(change)
    }
}

/// Resolves when the time has come, if there is one.
async fn expired(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Resolves when there is a hint for one of them.
async fn any(heard: &mut [Heard]) {
    match heard {
        [] => std::future::pending().await,
        [one] => one.subscription.changed().await,
        many => {
            let waits = many.iter_mut().map(|one| Box::pin(one.subscription.changed()));
            select_all(waits).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::types::NAMES;
    use crate::push::world::{World, make_mailbox};
    use accounts::oauth::{Bearer, Exchange, NewClient, NewGrant, Scope};
    use accounts::{Rights, Secret};
    use futures::FutureExt;

    fn states(change: &StateChange, account: AccountId) -> Vec<&'static str> {
        change.changed[account.to_string().as_str()].keys().copied().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_told_once_and_together() {
        let w = World::new().await;
        let mut listener = w.listener(Types::ALL, &From::Now).await;
        assert_eq!(listener.begin().await, Ok(None));
        assert!(listener.next().now_or_never().is_none());
        w.create_mailbox("One").await;
        let change = listener.next().await.unwrap();
        assert_eq!(states(&change, w.alice), ["Mailbox"]);
        let state = w.server.services.state(w.alice).await.unwrap();
        let told = &change.changed[w.alice.to_string().as_str()]["Mailbox"];
        assert_eq!(*told, w.server.services.state_text(state), "what a get would say");
        // Two at once, and one that a node without hints made.
        w.create_mailbox("Two").await;
        w.create_mailbox("Three").await;
        make_mailbox(&w.elsewhere, w.alice, "Four").await;
        let change = listener.next().await.unwrap();
        let state = w.server.services.state(w.alice).await.unwrap();
        let told = &change.changed[w.alice.to_string().as_str()]["Mailbox"];
        assert_eq!(*told, w.server.services.state_text(state));
        make_mailbox(&w.elsewhere, w.alice, "Five").await;
        w.poll.look().await.unwrap();
        assert!(listener.next().await.is_ok());
        w.poll.look().await.unwrap();
        assert!(tokio::time::timeout(PACE * 10, listener.next()).await.is_err(), "all is told");
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_wanted_is_told() {
        let w = World::new().await;
        let mut listener = w.listener(Types::EMAIL, &From::Now).await;
        assert_eq!(listener.begin().await, Ok(None));
        w.create_mailbox("One").await;
        assert!(tokio::time::timeout(PACE * 10, listener.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_again_is_told_what_was_missed() {
        let w = World::new().await;
        let mut listener = w.listener(Types::ALL, &From::Now).await;
        listener.begin().await.unwrap();
        let position = listener.position().to_string();
        drop(listener);
        w.create_mailbox("One").await;
        let mut again = w.listener(Types::ALL, &From::Text(position.clone())).await;
        assert_eq!(states(&again.begin().await.unwrap().unwrap(), w.alice), ["Mailbox"]);
        let mut current = w.listener(Types::ALL, &From::Text(again.position().to_string())).await;
        assert_eq!(current.begin().await, Ok(None));
        // What cannot be made out may be anything.
        let other = position.replacen("abc", "abd", 1);
        for text in ["", "x", "abc", &other] {
            let mut lost = w.listener(Types::ALL, &From::Text(text.to_owned())).await;
            let change = lost.begin().await.unwrap().unwrap();
            assert_eq!(states(&change, w.alice).len(), NAMES.len(), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn groups_come_and_go() {
        let w = World::new().await;
        let mut listener = w.listener(Types::ALL, &From::Now).await;
        listener.begin().await.unwrap();
        let accounts = &w.server.services.accounts;
        accounts.add_member(w.group, w.alice, Rights::ALL).await.unwrap();
        let change = listener.next().await.unwrap();
        assert_eq!(states(&change, w.group).len(), NAMES.len());
        make_mailbox(&w.server.services.mail, w.group, "Shared").await;
        let change = listener.next().await.unwrap();
        assert_eq!((states(&change, w.group), change.changed.len()), (vec!["Mailbox"], 1));
        accounts.remove_member(w.group, w.alice).await.unwrap();
        assert!(tokio::time::timeout(PACE * 10, listener.next()).await.is_err());
        make_mailbox(&w.server.services.mail, w.group, "More").await;
        assert!(tokio::time::timeout(PACE * 10, listener.next()).await.is_err());
    }

    /// RFC 8620 §7.1, RFC 9670 §4: of an account of which a mailbox is shared nothing else is told, not even that it happened.
    #[tokio::test(start_paused = true)]
    async fn mailboxes_of_others_come_and_go() {
        let w = World::new().await;
        let mail = &w.server.services.mail;
        let mut listener = w.listener(Types::ALL, &From::Now).await;
        listener.begin().await.unwrap();
        let role = async |role| mail.with_role(w.group, role).await.unwrap().unwrap();
        let (junk, trash) = (role(mail::Role::Junk).await, role(mail::Role::Trash).await);
        let share = async |letters: &str| {
            let rights = [(w.alice, Rights::parse(letters).unwrap())].into();
            let shares = Some(mail::ShareEdit { by: w.group, whole: true, rights });
            let edit = mail::MailboxEdit { shares, ..mail::MailboxEdit::default() };
            mail.edit_mailbox(w.group, junk, &edit).await.unwrap();
        };
        share("lr").await;
        // RFC 9670 §1.4: of the account itself nothing is told before something of it is subscribed to.
        let change = listener.next().await.unwrap();
        assert_eq!((states(&change, w.alice), change.changed.len()), (vec!["ShareNotification"], 1));
        let at = mail::MailboxRef { account: w.group, mailbox: junk };
        mail.subscribe_shared(w.alice, at, true).await.unwrap();
        let change = listener.next().await.unwrap();
        assert_eq!(states(&change, w.group), ["Email", "EmailDelivery", "Mailbox", "Thread"]);
        let rename = async |mailbox, name: &str| {
            let edit = mail::MailboxEdit { name: Some(name.into()), ..mail::MailboxEdit::default() };
            mail.edit_mailbox(w.group, mailbox, &edit).await.unwrap();
        };
        rename(trash, "Bin").await;
        make_mailbox(mail, w.group, "Secret").await;
        assert!(tokio::time::timeout(PACE * 10, listener.next()).await.is_err());
        rename(junk, "Spam").await;
        let change = listener.next().await.unwrap();
        assert_eq!((states(&change, w.group), change.changed.len()), (vec!["Mailbox"], 1));
        share("").await;
        assert_eq!(states(&listener.next().await.unwrap(), w.alice), ["ShareNotification"]);
        rename(junk, "Junk").await;
        assert!(tokio::time::timeout(PACE * 10, listener.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_stay_is_sent_away() {
        let w = World::new().await;
        let accounts = &w.server.services.accounts;
        let mut listener = w.listener(Types::ALL, &From::Now).await;
        listener.begin().await.unwrap();
        accounts.set_password(w.alice, &Secret::new("two")).await.unwrap();
        assert_eq!(listener.next().await, Err(Revoked));
        // One that listens to nothing, too.
        let mut silent = Listener::new(Arc::clone(&w.server), w.admitted().await);
        assert!(silent.next().now_or_never().is_none());
        accounts.set_enabled(w.alice, false).await.unwrap();
        assert_eq!(silent.next().await, Err(Revoked));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_come_by_a_token_stays_as_long_as_it_is_good() {
        let w = World::new().await;
        let accounts = &w.server.services.accounts;
        let bearer = async || {
            let says = NewClient { method: "none".into(), ..NewClient::default() };
            let client = accounts.register_client(&says).await.unwrap().client.id;
            let new = NewGrant {
                account: w.alice,
                credential: w.credential().await,
                client: client.clone(),
                scope: Scope::default(),
                redirect_uri: "a:/".into(),
                challenge: [0; 32],
                nonce: String::new(),
                second: false,
            };
            let code = &accounts.allow(&new).await.unwrap().unwrap();
            let shown =
                Exchange { code, client: &client, redirect_uri: "a:/", challenge: [0; 32], refreshes: false };
            let issued = accounts.exchange(shown).await.unwrap().unwrap();
            accounts.bearer(&issued.access, None).await.unwrap().good().unwrap()
        };
        let listener = async |bearer: &Bearer| {
            let mut listener = Listener::new(Arc::clone(&w.server), bearer.clone().admitted());
            listener.listen(Types::ALL, &From::Now);
            listener
        };
        let (one, other) = (bearer().await, bearer().await);
        let (mut first, mut second) = (listener(&one).await, listener(&other).await);
        assert_eq!((first.begin().await, second.begin().await), (Ok(None), Ok(None)));
        assert!(accounts.take_back(w.alice, one.grant).await.unwrap());
        w.poll.look().await.unwrap();
        assert_eq!(first.next().await, Err(Revoked));
        assert!(second.next().now_or_never().is_none());
        // Time goes on by itself here, up to the token's end.
        assert_eq!(second.next().await, Err(Revoked));
    }
}
