//! The directory: domains, and the persons, groups and lists that have addresses in them.
//!
//! Every address of ours is one row that names its account, so that an address is found by one read and belongs
//! to one account at most. An account has one address of its own and any number of aliases. What receives mail:
//!
//! - a **person** has mailboxes and logs in;
//! - a **group** has mailboxes that its members see, as far as their rights (RFC 4314) go;
//! - a **list** has members, which are addresses of any kind: [`Accounts::expand`] follows them, nested lists
//!   included, cuts loops, and is bounded.
//!
//! An address that is not there itself is looked for without its detail (`user+detail`, RFC 5233) and then goes
//! to its domain's catch-all.
//!
//! Whoever uses an account hears when it is disabled or removed, or its memberships or passwords change ([`changes::Feed::standing`]): the
//! transaction writes it down, and a hint follows the commit ([`Accounts::telling`]).
//!
//! Verbs ending in `_in` work inside the caller's transaction; all others are one transaction each.

mod address;
mod aliases;
mod application;
mod demo;
mod domains;
mod error;
mod expand;
mod groups;
mod lists;
mod login;
mod model;
pub mod oauth;
mod password;
mod principals;
mod proof;
mod push;
mod rows;
mod second;
mod shares;
mod standing;
pub mod testing;
mod verify;
mod visit;

pub use address::{Address, InvalidAddress, LOCAL_MAX, normalize_domain};
pub use application::{APPLICATIONS, Application, ApplicationHash};
pub use error::{Error, What};
pub use expand::{Expansion, MAX_RECIPIENTS, Recipient, Status};
pub use groups::{Member, SharedGroup};
pub use login::{
    AuthFailure, AuthRequest, Authenticator, Credential, Entry, Identity, LoginRecord, Person, TokenShown,
};
pub use model::{
    Account, AccountChange, Domain, DomainChange, DomainSettings, Kind, NewAccount, Options, Page, Quota,
};
pub use password::{HashCost, HashError, PasswordHash, Secret};
pub use proof::{Admitted, Proof};
pub use push::{PUSHES, Subscribed, proof_of};
pub use second::{Enrolled, Entered, RECOVERY_CODES, SecondState};
pub use shares::{SharedAccount, SharedMailbox, SharedMailboxes};
pub use verify::{check_row_in, of_account};
pub use visit::{VISIT_IDLE, VISIT_TIME, Visitor};

pub use schema::Rights;

use changes::{LocalFeed, Sink};
use kv::Database;
use parking_lot::RwLock;
use runtime::{SharedClock, SharedRng};
use std::sync::Arc;

/// The directory. A cheap handle.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    db: Database,
    sink: Arc<dyn Sink>,
    clock: SharedClock,
    rng: SharedRng,
    options: Arc<RwLock<Arc<Options>>>,
}

impl Accounts {
    /// The directory kept in `db`. Nobody is told of what is committed.
    pub fn new(db: Database, clock: SharedClock, rng: SharedRng, options: Options) -> Self {
        let options = Arc::new(RwLock::new(Arc::new(options)));
        let sink = Arc::new(LocalFeed::new());
        Accounts { inner: Arc::new(Inner { db, sink, clock, rng, options }) }
    }

    /// The same, that tells `sink` whose standing has changed.
    #[must_use]
    pub fn telling(&self, sink: Arc<dyn Sink>) -> Self {
        Accounts { inner: Arc::new(Inner { sink, ..(*self.inner).clone() }) }
    }

    /// How the directory behaves.
    pub fn options(&self) -> Arc<Options> {
        Arc::clone(&self.inner.options.read())
    }

    /// Has it behave otherwise from now on.
    pub fn set_options(&self, options: Options) {
        *self.inner.options.write() = Arc::new(options);
    }

    pub(crate) fn db(&self) -> &Database {
        &self.inner.db
    }

    pub(crate) fn rng(&self) -> &SharedRng {
        &self.inner.rng
    }

    /// In milliseconds since the epoch.
    pub(crate) fn now(&self) -> i64 {
        self.inner.clock.now().millis()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use runtime::{ManualClock, SeededRng, Timestamp};
    use schema::AccountId;

    /// A directory with the domain `example.test`.
    pub(crate) async fn directory() -> Accounts {
        let default_domain = Some("example.test".into());
        directory_with(Options { default_domain, cost: HashCost::CHEAP, ..Options::default() }).await
    }

    pub(crate) async fn directory_with(options: Options) -> Accounts {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let accounts = Accounts::new(kv::memory::database(), clock, Arc::new(SeededRng::new(1)), options);
        accounts.create_domain("example.test", DomainSettings::default()).await.unwrap();
        accounts
    }

    /// Lets the store be of the newest level.
    pub(crate) async fn raise(accounts: &Accounts) {
        use schema::{Key, Record, keys::node::FeatureLevelKey, level, records::node::FeatureLevel};
        let raised = accounts.db().transact("test", |txn| async move {
            let row = FeatureLevel { level: level::LAST, raised: 1 };
            txn.set(&FeatureLevelKey.encode(), &row.to_bytes());
            Ok::<_, Error>(())
        });
        raised.await.unwrap();
    }

    impl Accounts {
        pub(crate) async fn make(&self, kind: Kind, address: &str) -> AccountId {
            self.create_account(&NewAccount::new(kind, address)).await.unwrap()
        }

        pub(crate) async fn person(&self, address: &str) -> AccountId {
            self.make(Kind::Person, address).await
        }
    }
}
