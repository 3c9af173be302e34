//! What tests of pushes work with.

use std::sync::Arc;

use accounts::{Accounts, Admitted, DomainSettings, HashCost, Identity, Kind, NewAccount, Proof, Secret};
use changes::{LocalFeed, Poll};
use runtime::{ManualClock, SeededRng, SharedClock, SharedRng, Timestamp};
use schema::AccountId;

use super::listener::{From, Listener};
use super::types::Types;
use super::watch::Watches;
use crate::{Nobody, Options, Server, Services};

/// A server in this process, and the same store as another node has it.
pub(crate) struct World {
    pub(crate) server: Arc<Server>,
    pub(crate) watches: Watches,
    pub(crate) alice: AccountId,
    pub(crate) group: AccountId,
    pub(crate) elsewhere: mail::Store,
    pub(crate) poll: Poll,
    pub(crate) clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let hands = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let clock: SharedClock = hands.clone();
        let rng: SharedRng = Arc::new(SeededRng::new(3));
        let (db, feed) = (kv::memory::database(), LocalFeed::new());
        let options = blob::Options::default();
        let blobs = blob::Store::open(dir.path(), db.clone(), clock.clone(), rng.clone(), options).unwrap();
        let mail = |feed: LocalFeed| {
            mail::Store::new(db.clone(), blobs.clone(), Arc::new(feed), clock.clone(), rng.clone())
        };
        let settings = accounts::Options { cost: HashCost::CHEAP, ..accounts::Options::default() };
        let accounts = Accounts::new(db.clone(), clock.clone(), rng.clone(), settings);
        let accounts = accounts.telling(Arc::new(feed.clone()));
        accounts.create_domain("example.test", DomainSettings::default()).await.unwrap();
        let make = async |kind, address| {
            let id = accounts.create_account(&NewAccount::new(kind, address)).await.unwrap();
            let mail = mail(feed.clone());
            let mail = &mail;
            db.transact("test", |txn| async move { mail.provision_in(&txn, id).await }).await.unwrap();
            id
        };
        let alice = make(Kind::Person, "alice@example.test").await;
        let group = make(Kind::Group, "group@example.test").await;
        accounts.set_password(alice, &Secret::new("one")).await.unwrap();
        let services = Services {
            mail: mail(feed.clone()),
            blobs: blobs.clone(),
            accounts,
            feed: Arc::new(feed.clone()),
            index: Arc::new(query::NoIndex),
            submitter: Arc::new(Nobody),
            push: Arc::new(Nobody),
            clock: clock.clone(),
            rng: rng.clone(),
            incarnation: 0xabc,
        };
        let watches = Watches::new(&services);
        let server = Server::new(services, Options::default());
        let elsewhere = mail(LocalFeed::new());
        let poll = Poll::new(db.clone(), feed);
        World { server, watches, alice, group, elsewhere, poll, clock: hands, _dir: dir }
    }

    pub(crate) async fn create_mailbox(&self, name: &str) {
        make_mailbox(&self.server.services.mail, self.alice, name).await;
    }

    pub(crate) async fn identity(&self) -> Identity {
        self.server.services.accounts.identity(self.alice).await.unwrap().unwrap()
    }

    /// The version of her password.
    pub(crate) async fn credential(&self) -> u64 {
        let record = self.server.services.accounts.login("alice@example.test").await.unwrap().unwrap();
        record.credentials[0].version
    }

    pub(crate) async fn proof(&self) -> Proof {
        Proof::Password(self.credential().await)
    }

    pub(crate) async fn admitted(&self) -> Admitted {
        Admitted { identity: self.identity().await, proof: self.proof().await, until: None }
    }

    pub(crate) async fn listener(&self, types: Types, from: &From) -> Listener {
        let mut listener = Listener::new(Arc::clone(&self.server), self.admitted().await);
        listener.listen(types, from);
        listener
    }
}

pub(crate) async fn make_mailbox(mail: &mail::Store, account: AccountId, name: &str) {
    let path = mail::MailboxPath::parse(name).unwrap();
    mail.create(account, &path, None).await.unwrap();
}
