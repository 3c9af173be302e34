//! The [`Authenticator`] over the directory of the store.
//!
//! A login reads its account and credentials from the store each time, so that a new password or a disabled
//! account is in force at once, on every node. What is expensive, argon2, is done
//!
//! - once per password and process: after a success a keyed hash of it is remembered, bound to the version of the
//!   credential that it was verified against (`cache`);
//! - in a bounded pool, first come, first served; who would wait too long is told to come back (`pool`);
//! - also for users that do not exist, so that the time taken tells nobody which ones do;
//! - not for those who failed too often, by address and by login name (`throttle`). A remembered password
//!   passes the limit of its login name: nobody locks a user out by guessing.

#![warn(clippy::missing_errors_doc)]

mod cache;
mod metrics;
mod pool;
mod throttle;

pub use crate::metrics::describe as describe_metrics;
pub use throttle::Allowance;

use accounts::{
    Accounts, AuthFailure, AuthRequest, Authenticator, Credential, HashError, Identity, LoginRecord,
    PasswordHash, Secret,
};
use cache::Cache;
use changes::{Feed, Subscription};
use futures::future::BoxFuture;
use pool::Pool;
use runtime::{SharedClock, SharedRng};
use schema::AccountId;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use throttle::{Subject, Throttle};

/// Longer passwords are wrong, in bytes: hashing is paid for by length too.
const PASSWORD_MAX: usize = 1024;

/// Before somebody is looked up again whom the store did not show.
const AGAIN: Duration = Duration::from_secs(1);

/// How a [`Directory`] behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many passwords are hashed at a time.
    pub hashers: usize,
    /// How long a login waits for its turn.
    pub patience: Duration,
    /// How many verified passwords are remembered; each takes about 50 bytes.
    pub remembered: usize,
    /// Failures allowed to one client address (one /64 for IPv6).
    pub per_address: Allowance,
    /// Failures allowed to one login name.
    pub per_login: Allowance,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Options {
            hashers: cores,
            patience: Duration::from_secs(10),
            remembered: 100_000,
            per_address: Allowance { burst: 100, interval: Duration::from_secs(5) },
            per_login: Allowance { burst: 30, interval: Duration::from_secs(20) },
        }
    }
}

/// Logs people in.
pub struct Directory {
    accounts: Accounts,
    clock: SharedClock,
    pool: Pool,
    cache: Cache,
    throttle: Throttle,
    /// Verified in place of the hash of a user who does not exist.
    decoy: PasswordHash,
    /// Says whose standing has changed.
    feed: Arc<dyn Feed>,
    options: Options,
}

impl Directory {
    /// Over a directory. Takes as long as one password hash; blocks.
    ///
    /// # Errors
    /// The configured cost of hashing is not possible.
    pub fn new(
        accounts: Accounts,
        feed: Arc<dyn Feed>,
        clock: SharedClock,
        rng: &SharedRng,
        options: Options,
    ) -> Result<Self, HashError> {
        let mut key = [0; 32];
        rng.fill(&mut key);
        let decoy = PasswordHash::new(&Secret::new(""), accounts.options().cost, &**rng)?;
        Ok(Directory {
            accounts,
            clock,
            pool: Pool::new(options.hashers, options.patience),
            cache: Cache::new(key, options.remembered),
            throttle: Throttle::new(key),
            decoy,
            feed,
            options,
        })
    }

    async fn decide(&self, request: AuthRequest<'_>) -> Result<Identity, AuthFailure> {
        let address = Subject::Address(network(request.remote));
        self.within(address, self.options.per_address)?;
        if request.password.expose().len() > PASSWORD_MAX {
            return Err(AuthFailure::Invalid);
        }
        let record = self.accounts.login(request.login).await.map_err(|error| {
            tracing::error!(%error, "login could not be looked up");
            AuthFailure::TemporarilyUnavailable
        })?;
        match self.verify(&request, record.as_ref()).await {
            Ok(true) => {}
            Ok(false) => {
                let now = self.clock.monotonic();
                self.throttle.charge(address, self.options.per_address, now);
                self.throttle.charge(Subject::Login(request.login), self.options.per_login, now);
                return Err(AuthFailure::Invalid);
            }
            Err(failure) => return Err(failure),
        }
        let LoginRecord { account, groups, .. } = record.ok_or(AuthFailure::Invalid)?;
        // Only now: who does not know the password is not told that the account is disabled.
        if !account.enabled {
            return Err(AuthFailure::Disabled);
        }
        let (address, display_name) = (account.address, account.display_name);
        Ok(Identity { account: account.id, address, display_name, groups })
    }

    /// Whether the password is one of the account's; takes as long if there is no account.
    async fn verify(
        &self,
        request: &AuthRequest<'_>,
        record: Option<&LoginRecord>,
    ) -> Result<bool, AuthFailure> {
        let credentials: &[Credential] = record.map_or(&[], |record| &record.credentials);
        let account = record.map(|record| record.account.id);
        let tags: Vec<_> = credentials.iter().map(|c| self.cache.tag(c.version, request.password)).collect();
        if tags.iter().any(|tag| self.cache.knows(tag)) {
            return Ok(true);
        }
        self.within(Subject::Login(request.login), self.options.per_login)?;
        if credentials.is_empty() {
            self.hash(&self.decoy, request.password, || false).await?;
            return Ok(false);
        }
        for (credential, tag) in credentials.iter().zip(tags) {
            if self.hash(&credential.hash, request.password, || self.cache.knows(&tag)).await? {
                tracing::debug!(?account, mechanism = request.mechanism, "password verified");
                self.cache.remember(tag);
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn hash(
        &self,
        hash: &PasswordHash,
        password: &Secret,
        known: impl FnOnce() -> bool,
    ) -> Result<bool, AuthFailure> {
        let verified = self.pool.verify(hash.clone(), password.clone(), known).await;
        verified.ok_or(AuthFailure::TemporarilyUnavailable)
    }

    fn within(&self, subject: Subject<'_>, allowance: Allowance) -> Result<(), AuthFailure> {
        let allowed = self.throttle.allows(subject, allowance, self.clock.monotonic());
        if allowed { Ok(()) } else { Err(AuthFailure::RateLimited) }
    }
}

impl Authenticator for Directory {
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Identity, AuthFailure>> {
        Box::pin(async move {
            let decision = self.decide(request).await;
            crate::metrics::count(&decision);
            decision
        })
    }

    fn revoked(&self, account: AccountId) -> BoxFuture<'static, ()> {
        Box::pin(revoked(self.accounts.clone(), account, self.feed.standing(account)))
    }
}

/// Looks whenever the account's standing has changed, and until it knows. What a look needs is not kept between two.
async fn revoked(accounts: Accounts, account: AccountId, mut standing: Subscription) {
    loop {
        standing.changed().await;
        loop {
            match Box::pin(accounts.identity(account)).await {
                Ok(Some(_)) => break,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, %account, "who is logged in could not be looked up");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

/// The address whose failures are counted together: a customer usually has a whole IPv6 /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounts::{DomainSettings, HashCost, Kind, NewAccount};
    use runtime::{ManualClock, SeededRng, Timestamp};

    const HERE: &str = "192.0.2.1";

    struct Fixture {
        directory: Directory,
        clock: Arc<ManualClock>,
        alice: AccountId,
    }

    impl Fixture {
        async fn new(options: Options) -> Self {
            let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
            let rng: SharedRng = Arc::new(SeededRng::new(1));
            let settings = accounts::Options {
                default_domain: Some("example.test".into()),
                cost: HashCost::CHEAP,
                ..accounts::Options::default()
            };
            let feed = Arc::new(changes::LocalFeed::new());
            let accounts = Accounts::new(kv::memory::database(), clock.clone(), rng.clone(), settings);
            let accounts = accounts.telling(feed.clone());
            accounts.create_domain("example.test", DomainSettings::default()).await.unwrap();
            let new = NewAccount::new(Kind::Person, "alice@example.test");
            let alice = accounts.create_account(&new).await.unwrap();
            accounts.set_password(alice, &Secret::new("secret")).await.unwrap();
            let directory = Directory::new(accounts, feed, clock.clone(), &rng, options).unwrap();
            Fixture { directory, clock, alice }
        }

        async fn login(&self, login: &str, password: &str, from: &str) -> Result<Identity, AuthFailure> {
            let (password, remote) = (&Secret::new(password), from.parse().unwrap());
            self.directory.authenticate(AuthRequest { mechanism: "PLAIN", login, password, remote }).await
        }

        async fn fail(&self, login: &str, from: &str) -> AuthFailure {
            self.login(login, "wrong", from).await.unwrap_err()
        }
    }

    #[tokio::test]
    async fn the_right_password_logs_in() {
        let fixture = Fixture::new(Options::default()).await;
        for login in ["alice", "Alice@Example.test"] {
            let identity = fixture.login(login, "secret", HERE).await.unwrap();
            assert_eq!((identity.account, identity.address.as_str()), (fixture.alice, "alice@example.test"));
        }
        assert_eq!(fixture.fail("alice", HERE).await, AuthFailure::Invalid);
        assert_eq!(fixture.fail("bob", HERE).await, AuthFailure::Invalid);
        let long = "x".repeat(PASSWORD_MAX + 1);
        assert_eq!(fixture.login("alice", &long, HERE).await, Err(AuthFailure::Invalid));
    }

    #[tokio::test]
    async fn a_second_login_is_not_hashed_again() {
        let fixture = Fixture::new(Options::default()).await;
        fixture.login("alice", "secret", HERE).await.unwrap();
        let hashed = fixture.directory.pool.verified();
        for _ in 0..5 {
            fixture.login("alice", "secret", HERE).await.unwrap();
        }
        assert_eq!(fixture.directory.pool.verified(), hashed);
        fixture.fail("alice", HERE).await;
        assert_eq!(fixture.directory.pool.verified(), hashed + 1);
    }

    #[tokio::test]
    async fn of_many_who_come_at_once_with_one_password_one_is_hashed() {
        let fixture = Fixture::new(Options { hashers: 1, ..Options::default() }).await;
        let logins = |password, n: usize| {
            futures::future::join_all(
                (0..n).map(|_| fixture.login("alice", password, HERE)).collect::<Vec<_>>(),
            )
        };
        let (right, wrong) = futures::future::join(logins("secret", 15), logins("wrong", 5)).await;
        assert!(right.iter().all(Result::is_ok));
        assert!(wrong.iter().all(|login| *login == Err(AuthFailure::Invalid)));
        assert_eq!(fixture.directory.pool.verified(), 1 + 5, "who is wrong is hashed each time");
    }

    #[tokio::test]
    async fn a_new_password_is_in_force_at_once() {
        let fixture = Fixture::new(Options::default()).await;
        fixture.login("alice", "secret", HERE).await.unwrap();
        let accounts = &fixture.directory.accounts;
        accounts.set_password(fixture.alice, &Secret::new("other")).await.unwrap();
        assert_eq!(fixture.login("alice", "secret", HERE).await, Err(AuthFailure::Invalid));
        fixture.login("alice", "other", HERE).await.unwrap();
        accounts.set_password(fixture.alice, &Secret::new("secret")).await.unwrap();
        assert_eq!(fixture.login("alice", "other", HERE).await, Err(AuthFailure::Invalid));
        fixture.login("alice", "secret", HERE).await.unwrap();
    }

    #[tokio::test]
    async fn a_disabled_account_is_told_only_to_its_user() {
        let fixture = Fixture::new(Options::default()).await;
        fixture.login("alice", "secret", HERE).await.unwrap();
        fixture.directory.accounts.set_enabled(fixture.alice, false).await.unwrap();
        assert_eq!(fixture.login("alice", "secret", HERE).await, Err(AuthFailure::Disabled));
        assert_eq!(fixture.fail("alice", HERE).await, AuthFailure::Invalid);
    }

    #[tokio::test]
    async fn who_is_logged_in_may_stay_until_the_account_is_disabled_or_gone() {
        let fixture = Fixture::new(Options::default()).await;
        let accounts = &fixture.directory.accounts;
        let mut revoked = fixture.directory.revoked(fixture.alice);
        assert!(futures::poll!(&mut revoked).is_pending());
        let bob = accounts.create_account(&NewAccount::new(Kind::Person, "bob@example.test")).await.unwrap();
        accounts.set_enabled(bob, false).await.unwrap();
        accounts.set_password(fixture.alice, &Secret::new("other")).await.unwrap();
        assert!(futures::poll!(&mut revoked).is_pending());
        accounts.set_enabled(fixture.alice, false).await.unwrap();
        revoked.await;
        // Also if that was so when it was asked.
        fixture.directory.revoked(fixture.alice).await;
        accounts.set_enabled(fixture.alice, true).await.unwrap();
        let mut revoked = fixture.directory.revoked(fixture.alice);
        assert!(futures::poll!(&mut revoked).is_pending());
        accounts.delete_account(fixture.alice).await.unwrap();
        revoked.await;
    }

    #[tokio::test]
    async fn an_unknown_user_costs_as_much() {
        let fixture = Fixture::new(Options::default()).await;
        let before = fixture.directory.pool.verified();
        fixture.fail("nobody", HERE).await;
        fixture.fail("not an address@", HERE).await;
        assert_eq!(fixture.directory.pool.verified(), before + 2);
    }

    #[tokio::test]
    async fn an_address_that_fails_too_often_is_refused() {
        let per_address = Allowance { burst: 3, interval: Duration::from_secs(10) };
        let fixture = Fixture::new(Options { per_address, ..Options::default() }).await;
        for user in ["a", "b", "c"] {
            assert_eq!(fixture.fail(user, "2001:db8::1").await, AuthFailure::Invalid);
        }
        let same_network = "2001:db8::ffff:1";
        assert_eq!(fixture.login("alice", "secret", same_network).await, Err(AuthFailure::RateLimited));
        fixture.login("alice", "secret", "2001:db8:0:1::1").await.unwrap();
        fixture.clock.advance(Duration::from_secs(10));
        fixture.login("alice", "secret", same_network).await.unwrap();
    }

    #[tokio::test]
    async fn guessing_does_not_lock_a_user_out_whose_password_is_known() {
        let per_login = Allowance { burst: 2, interval: Duration::from_secs(10) };
        let fixture = Fixture::new(Options { per_login, ..Options::default() }).await;
        fixture.login("alice", "secret", HERE).await.unwrap();
        for n in 0..2 {
            assert_eq!(fixture.fail("alice", &format!("198.51.100.{n}")).await, AuthFailure::Invalid);
        }
        let hashed = fixture.directory.pool.verified();
        assert_eq!(fixture.fail("ALICE", "198.51.100.9").await, AuthFailure::RateLimited);
        assert_eq!(fixture.directory.pool.verified(), hashed, "a refusal costs nothing");
        fixture.login("alice", "secret", HERE).await.unwrap();
    }

    #[test]
    fn an_ipv4_address_is_the_same_when_mapped() {
        let parse = |text: &str| network(text.parse().unwrap());
        assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
        assert_ne!(parse("192.0.2.1"), parse("192.0.2.2"));
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::2"));
    }
}
