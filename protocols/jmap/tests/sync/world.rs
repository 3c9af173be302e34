//! A store with two accounts, one user who may do everything with both, and nodes that serve them.

use std::path::Path;
use std::sync::Arc;

use accounts::{Accounts, HashCost, Identity, Rights, SharedGroup};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use changes::LocalFeed;
use godwit_jmap::{Jmap, Nobody, Options, Services, Trust, renew_signatures};
use kv::fault::{FaultBackend, Plan};
use kv::memory::Memory;
use kv::{Backend, Database};
use runtime::{ManualClock, Rng, SeededRng, SharedClock, SharedRng, SystemClock, SystemRng, Timestamp};
use schema::AccountId;
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const ALICE: AccountId = AccountId(7);
pub(crate) const GROUP: AccountId = AccountId(8);
/// Who is believed about certificates.
pub(crate) const SIGNERS: &[u8] =
    include_bytes!("../../../../storage/content-mail/src/smime/fixtures/authority.pem");

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) accounts: [AccountId; 2],
    identity: Identity,
    nodes: Vec<Node>,
    /// Which node is asked next.
    balancer: SeededRng,
    using: Vec<String>,
    _dir: tempfile::TempDir,
}

/// A process of its own but for the store: it hears nothing of what others change.
struct Node {
    db: Database,
    mail: mail::Store,
    services: Services,
    service: Router,
}

impl World {
    /// One node, whose store does not fail.
    pub(crate) async fn new(seed: u64) -> World {
        World::with(seed, Arc::new(query::NoIndex)).await
    }

    /// With an index.
    pub(crate) async fn with(seed: u64, index: Arc<dyn query::SearchIndex>) -> World {
        World::made(seed, index, vec![Arc::new(Memory::new())]).await
    }

    /// Three nodes on one store, each call and each act at any of them; to each the store misbehaves in its own way.
    pub(crate) async fn of_three(seed: u64) -> World {
        let store: Arc<dyn Backend> = Arc::new(Memory::new());
        let reached = |node: u64| -> Arc<dyn Backend> {
            let rng = Arc::new(SeededRng::new(seed * 3 + node));
            // A call reads a hundred rows: where each failed as often as it harshly may, none would come to its end.
            let plan = Plan { too_old: 2, unavailable: 2, ..Plan::HARSH };
            Arc::new(FaultBackend::new(Arc::clone(&store), rng, plan))
        };
        World::made(seed, Arc::new(query::NoIndex), (0..3).map(reached).collect()).await
    }

    async fn made(seed: u64, index: Arc<dyn query::SearchIndex>, stores: Vec<Arc<dyn Backend>>) -> World {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let node = |(number, store): (u64, Arc<dyn Backend>)| {
            let rng = Arc::new(SeededRng::new(seed ^ number << 32));
            Node::new(dir.path(), store, clock.clone(), rng, Arc::clone(&index))
        };
        let nodes: Vec<Node> = (0..).zip(stores).map(node).collect();
        let accounts = [ALICE, GROUP];
        for account in accounts {
            let Node { db, mail, .. } = &nodes[0];
            db.transact("test", |txn| async move { mail.provision_in(&txn, account).await }).await.unwrap();
        }
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
        let balancer = SeededRng::new(seed ^ 0xba1a);
        let world = World { clock, accounts, identity, nodes, balancer, using: Vec::new(), _dir: dir };
        world.using(&["core", "mail", "blob", "smimeverify"])
    }

    fn node(&self) -> &Node {
        let at = self.balancer.below(self.nodes.len() as u64);
        &self.nodes[usize::try_from(at).unwrap()]
    }

    /// The verbs that IMAP has, at some node.
    pub(crate) fn mail(&self) -> &mail::Store {
        &self.node().mail
    }

    /// The same with the store that they are done to.
    pub(crate) fn store(&self) -> (&mail::Store, &Database) {
        let Node { mail, db, .. } = self.node();
        (mail, db)
    }

    /// Looks at signatures that are due, as upkeep does.
    pub(crate) async fn renew(&self, authorities: Trust) {
        let (services, authorities) = (&self.node().services, Arc::new(authorities));
        for account in self.accounts {
            renew_signatures(services, &authorities, account).await.unwrap();
        }
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
        let response = self.node().service.clone().oneshot(request).await.unwrap();
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

impl Node {
    fn new(
        dir: &Path,
        store: Arc<dyn Backend>,
        clock: SharedClock,
        rng: SharedRng,
        index: Arc<dyn query::SearchIndex>,
    ) -> Node {
        let db = Database::new(store, SystemClock::shared(), SystemRng::shared());
        let options = blob::Options::default();
        let blobs = blob::Store::open(dir, db.clone(), clock.clone(), rng.clone(), options).unwrap();
        let feed = Arc::new(LocalFeed::new());
        let mail = mail::Store::new(db.clone(), blobs.clone(), feed.clone(), clock.clone(), rng.clone());
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
        let mut options = Options::default();
        options.authorities = Arc::new(Trust::from_pem(SIGNERS));
        Node { db, mail, service: Jmap::new(services.clone(), options).private(), services }
    }
}

/// Ids in an answer.
pub(crate) fn ids(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}
