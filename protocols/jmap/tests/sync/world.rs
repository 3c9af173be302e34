//! A store with two accounts, one user who may do everything with both, and the service over it.

use std::sync::Arc;

use accounts::{Accounts, HashCost, Identity, Rights, SharedGroup};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use changes::LocalFeed;
use godwit_jmap::{Jmap, Nobody, Options, Services, Trust};
use kv::Database;
use runtime::{ManualClock, SeededRng, SharedClock, SharedRng, Timestamp};
use schema::AccountId;
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const ALICE: AccountId = AccountId(7);
pub(crate) const GROUP: AccountId = AccountId(8);

pub(crate) struct World {
    pub(crate) db: Database,
    pub(crate) mail: mail::Store,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) accounts: [AccountId; 2],
    identity: Identity,
    service: Router,
    using: Vec<String>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new(seed: u64) -> World {
        World::with(seed, Arc::new(query::NoIndex)).await
    }

    /// With an index.
    pub(crate) async fn with(seed: u64, index: Arc<dyn query::SearchIndex>) -> World {
        let (dir, db) = (tempfile::tempdir().unwrap(), kv::memory::database());
        let manual = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let (clock, rng): (SharedClock, SharedRng) = (manual.clone(), Arc::new(SeededRng::new(seed)));
        let options = blob::Options::default();
        let blobs = blob::Store::open(dir.path(), db.clone(), clock.clone(), rng.clone(), options).unwrap();
        let feed = Arc::new(LocalFeed::new());
        let mail = mail::Store::new(db.clone(), blobs.clone(), feed.clone(), clock.clone(), rng.clone());
        let accounts = [ALICE, GROUP];
        for account in accounts {
            let mail = &mail;
            db.transact("test", |txn| async move { mail.provision_in(&txn, account).await }).await.unwrap();
        }
        let settings = accounts::Options { cost: HashCost::CHEAP, ..accounts::Options::default() };
        let services = Services {
            mail: mail.clone(),
            blobs,
            accounts: Accounts::new(db.clone(), clock.clone(), rng.clone(), settings),
            feed,
            index,
            submitter: Arc::new(Nobody),
            push: Arc::new(Nobody),
            clock,
            rng,
            incarnation: 0xabc,
        };
        let group = SharedGroup {
            account: GROUP,
            address: "group@example.test".into(),
            display_name: String::new(),
            rights: Rights::ALL,
        };
        let identity = Identity {
            account: ALICE,
            address: "alice@example.test".into(),
            display_name: String::new(),
            groups: vec![group],
            shares: Vec::new(),
        };
        let signers = include_bytes!("../../../../storage/content-mail/src/smime/fixtures/authority.pem");
        let mut options = Options::default();
        options.authorities = Arc::new(Trust::from_pem(signers));
        let service = Jmap::new(services, options).private();
        let world =
            World { db, mail, clock: manual, accounts, identity, service, using: Vec::new(), _dir: dir };
        world.using(&["core", "mail", "blob", "smimeverify"])
    }

    /// With calls that use these capabilities.
    pub(crate) fn using(self, names: &[&str]) -> World {
        World { using: names.iter().map(|name| format!("urn:ietf:params:jmap:{name}")).collect(), ..self }
    }

    /// Makes one call; an error is its type.
    pub(crate) async fn call(&self, method: &str, arguments: Value) -> Result<Value, String> {
        let body = json!({"using": self.using, "methodCalls": [[method, arguments, "0"]]}).to_string();
        let mut request =
            Request::post("/jmap").header("content-type", "application/json").body(Body::from(body)).unwrap();
        request.extensions_mut().insert(self.identity.clone());
        request.extensions_mut().insert(accounts::Proof::Password(0));
        let response = self.service.clone().oneshot(request).await.unwrap();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let mut told: Value = serde_json::from_slice(&body).unwrap();
        let [name, arguments] = [0, 1].map(|at| told["methodResponses"][0][at].take());
        match name.as_str().unwrap() {
            "error" => Err(arguments["type"].as_str().unwrap().to_owned()),
            _ => Ok(arguments),
        }
    }

    /// One that has to succeed.
    pub(crate) async fn told(&self, method: &str, arguments: Value) -> Value {
        match self.call(method, arguments.clone()).await {
            Ok(told) => told,
            Err(error) => panic!("{method} {arguments}: {error}"),
        }
    }
}

/// Ids in an answer.
pub(crate) fn ids(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}
