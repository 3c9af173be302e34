//! The [`Authenticator`] over the directory of the store.
//!
//! A login reads its account and credentials from the store each time, so that a new password or a disabled
//! account is in force at once, on every node. What is expensive, argon2, is done
//!
//! - never for a password of an application: those are random and long, a fast hash is compared;
//! - once per password and process: after a success a keyed hash of it is remembered, bound to the version of the
//!   credential that it was verified against (`cache`); processes with one key may tell each other
//!   ([`Directory::remembered`], [`Directory::adopt`]);
//! - in a bounded pool, first come, first served; who would wait too long is told to come back (`pool`);
//! - also for users that do not exist, so that the time taken tells nobody which ones do;
//! - not for those who failed too often, by address and by login name (`throttle`), here or, as others tell, elsewhere. A remembered
//!   password passes the limit of its login name: nobody locks a user out by guessing.

#![warn(clippy::missing_errors_doc)]

mod cache;
mod metrics;
mod pool;
#[cfg(test)]
mod tests;
mod throttle;

pub use crate::metrics::describe as describe_metrics;
pub use cache::Tag;
pub use throttle::{Allowance, Failures, Name};

use accounts::oauth::{Bearer, Looked};
use accounts::{
    Accounts, Admitted, ApplicationHash, AuthFailure, AuthRequest, Authenticator, Credential, Entered, Entry,
    HashError, Identity, LoginRecord, PasswordHash, Person, Proof, Secret, TokenShown,
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
            // Clients wait for 30 s and more; who is sent away comes back, and costs as much again.
            patience: Duration::from_secs(25),
            remembered: 100_000,
            per_address: Allowance { burst: 100, interval: Duration::from_secs(5) },
            per_login: Allowance { burst: 30, interval: Duration::from_secs(20) },
        }
    }
}

/// What a login is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// A program speaks for its user.
    Program,
    /// The user is there, reads a page, and allows something: only with the account's own password.
    Page,
}

/// The version of the password of an application that was shown.
fn application_of(record: &LoginRecord, shown: &Secret) -> Option<u64> {
    let hash = ApplicationHash::of(shown)?;
    // All are looked at: how long it takes says nothing of which it is.
    let fit =
        |found, (version, known): &(u64, ApplicationHash)| known.is(&hash).then_some(*version).or(found);
    record.applications.iter().fold(None, fit)
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

    /// From now on passwords are remembered, and failures counted, under a key that others have as well; what was is forgotten.
    pub fn share(&self, key: [u8; 32]) {
        self.cache.rekey(key);
        self.throttle.share(key);
    }

    /// Waits for logins that failed, for others with the same key.
    pub async fn failures(&self) -> Failures {
        self.throttle.failures().await
    }

    /// Counts logins that failed elsewhere, with the same key.
    pub fn count_failures(&self, failures: &Failures) {
        let (now, Options { per_address, per_login, .. }) = (self.clock.monotonic(), &self.options);
        self.throttle.adopt(&failures.addresses, *per_address, now);
        self.throttle.adopt(&failures.logins, *per_login, now);
    }

    /// Which passwords were verified, for others with the same key.
    pub fn remembered(&self) -> Vec<Tag> {
        self.cache.all()
    }

    /// Believes another process with the same key which passwords were verified. What is bound to a version of a credential
    /// that is not in force any more is never asked for.
    pub fn adopt(&self, tags: impl IntoIterator<Item = Tag>) {
        self.cache.adopt(tags);
    }

    /// Whether somebody is who they say: by what the account has for `purpose`. Whether a code is asked for as well is not said.
    async fn decide(&self, request: AuthRequest<'_>, purpose: Purpose) -> Result<Person, AuthFailure> {
        let address = Subject::Address(network(request.remote));
        self.within(address, self.options.per_address)?;
        if request.password.expose().len() > PASSWORD_MAX {
            return Err(AuthFailure::Invalid);
        }
        // What a look needs is not kept while the login waits for its turn.
        let record = Box::pin(self.accounts.login(request.login)).await.map_err(|error| {
            tracing::error!(%error, "login could not be looked up");
            AuthFailure::TemporarilyUnavailable
        })?;
        let application = record.as_ref().filter(|_| purpose == Purpose::Program);
        let application = application.and_then(|record| application_of(record, request.password));
        let credential = match application {
            Some(version) => Some(version),
            // Once a code is asked for, the account's own password opens nothing to programs, which cannot ask.
            None if purpose == Purpose::Program && record.as_ref().is_some_and(|record| record.second) => {
                self.within(Subject::Login(request.login), self.options.per_login)?;
                self.hash(&self.decoy, request.password, None).await?;
                None
            }
            None => self.verify(&request, record.as_ref()).await?,
        };
        let Some(credential) = credential else {
            let now = self.clock.monotonic();
            self.throttle.charge(address, self.options.per_address, now);
            self.throttle.charge(Subject::Login(request.login), self.options.per_login, now);
            return Err(AuthFailure::Invalid);
        };
        let LoginRecord { account, groups, shares, .. } = record.ok_or(AuthFailure::Invalid)?;
        // Only now: who does not know the password is not told that the account is disabled.
        if !account.enabled {
            return Err(AuthFailure::Disabled);
        }
        let (address, display_name) = (account.address, account.display_name);
        let identity = Identity { account: account.id, address, display_name, groups, shares };
        Ok(Person { identity, credential, second: false })
    }

    /// The version of the credential that the password is; takes as long if there is no account.
    async fn verify(
        &self,
        request: &AuthRequest<'_>,
        record: Option<&LoginRecord>,
    ) -> Result<Option<u64>, AuthFailure> {
        let credentials: &[Credential] = record.map_or(&[], |record| &record.credentials);
        let account = record.map(|record| record.account.id);
        let tags: Vec<_> = credentials.iter().map(|c| self.cache.tag(c.version, request.password)).collect();
        let known = credentials.iter().zip(&tags).find(|(_, tag)| self.cache.knows(tag));
        if let Some((credential, _)) = known {
            return Ok(Some(credential.version));
        }
        self.within(Subject::Login(request.login), self.options.per_login)?;
        if credentials.is_empty() {
            self.hash(&self.decoy, request.password, None).await?;
            return Ok(None);
        }
        for (credential, tag) in credentials.iter().zip(tags) {
            if self.hash(&credential.hash, request.password, Some(tag)).await? {
                tracing::debug!(?account, mechanism = request.mechanism, "password verified");
                return Ok(Some(credential.version));
            }
        }
        Ok(None)
    }

    /// Whether the password is the hash's; it is known by the tag from then on.
    async fn hash(
        &self,
        hash: &PasswordHash,
        password: &Secret,
        tag: Option<Tag>,
    ) -> Result<bool, AuthFailure> {
        let known = || tag.is_some_and(|tag| self.cache.knows(&tag));
        let remember = || tag.map_or((), |tag| self.cache.remember(tag));
        let verified = self.pool.verify(hash.clone(), password.clone(), known, remember).await;
        verified.ok_or(AuthFailure::TemporarilyUnavailable)
    }

    /// What a token is good for. One that nobody can have been given counts as a wrong password does; one that was good once is
    /// shown by who has not heard. Tokens cannot be guessed: a good one is let in whoever else fails at that address.
    async fn look(&self, shown: TokenShown<'_>) -> Result<Bearer, AuthFailure> {
        let looked = self.accounts.bearer(shown.token, shown.login).await.map_err(|error| {
            tracing::error!(%error, "token could not be looked up");
            AuthFailure::TemporarilyUnavailable
        })?;
        match looked {
            Looked::Good(bearer) => Ok(*bearer),
            Looked::Over => Err(AuthFailure::Invalid),
            Looked::Unknown => self.count(shown.remote).and(Err(AuthFailure::Invalid)),
        }
    }

    fn within(&self, subject: Subject<'_>, allowance: Allowance) -> Result<(), AuthFailure> {
        let allowed = self.throttle.allows(subject, allowance, self.clock.monotonic());
        if allowed { Ok(()) } else { Err(AuthFailure::RateLimited) }
    }
}

impl Authenticator for Directory {
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Admitted, AuthFailure>> {
        Box::pin(async move {
            let decision = self.decide(request, Purpose::Program).await.map(|person| {
                let Person { identity, credential, .. } = person;
                Admitted { identity, proof: Proof::Password(credential), until: None }
            });
            crate::metrics::count(&decision);
            decision
        })
    }

    fn person<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Entry, AuthFailure>> {
        Box::pin(async move {
            let decision = self.decide(request, Purpose::Page).await;
            crate::metrics::count(&decision);
            let person = decision?;
            let word = self.accounts.begin_second(person.identity.account, person.credential).await;
            match word.map_err(|error| unknown(&error))? {
                Some(word) => Ok(Entry::Code(word)),
                None => Ok(Entry::Person(person)),
            }
        })
    }

    fn code<'a>(
        &'a self,
        word: &'a Secret,
        code: &'a str,
        remote: IpAddr,
    ) -> BoxFuture<'a, Result<Entered, AuthFailure>> {
        Box::pin(async move {
            self.within(Subject::Address(network(remote)), self.options.per_address)?;
            let entered = self.accounts.enter_second(word, code).await.map_err(|error| unknown(&error))?;
            match &entered {
                Entered::Yes(_) => {}
                Entered::Wrong | Entered::Over => self.count(remote)?,
                Entered::Limited => {
                    tracing::warn!("too many codes of a second factor were wrong: somebody has the password");
                    return Err(AuthFailure::RateLimited);
                }
            }
            Ok(entered)
        })
    }

    fn bearer<'a>(&'a self, shown: TokenShown<'a>) -> BoxFuture<'a, Result<Bearer, AuthFailure>> {
        Box::pin(async move {
            let decision = self.look(shown).await;
            crate::metrics::count(&decision);
            decision
        })
    }

    fn count(&self, remote: IpAddr) -> Result<(), AuthFailure> {
        let address = Subject::Address(network(remote));
        self.within(address, self.options.per_address)?;
        self.throttle.charge(address, self.options.per_address, self.clock.monotonic());
        Ok(())
    }

    fn revoked(&self, account: AccountId, proof: Proof) -> BoxFuture<'static, ()> {
        Box::pin(revoked(self.accounts.clone(), (account, proof), self.feed.standing(account)))
    }
}

/// The store does not say what is asked.
fn unknown(error: &accounts::Error) -> AuthFailure {
    tracing::error!(%error, "a second factor could not be looked up");
    AuthFailure::TemporarilyUnavailable
}

/// Looks whenever the account's standing has changed, and until it knows. What a look needs is not kept between two.
async fn revoked(accounts: Accounts, (account, proof): (AccountId, Proof), mut standing: Subscription) {
    loop {
        standing.changed().await;
        loop {
            match Box::pin(accounts.still(account, proof)).await {
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
