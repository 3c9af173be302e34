//! The service over an embedded store in a folder of its own.

use std::path::Path;
use std::sync::Arc;

use accounts::{Accounts, HashCost, Identity};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use changes::LocalFeed;
use godwit_jmap::{Jmap, Nobody, Options, Services};
use kv::Database;
use runtime::{SystemClock, SystemRng};
use schema::AccountId;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::figures::{Took, Watch};

pub(crate) const ACCOUNT: AccountId = AccountId(7);

pub(crate) fn account() -> String {
    ACCOUNT.to_string()
}

pub(crate) struct World {
    pub(crate) db: Database,
    pub(crate) mail: mail::Store,
    service: Router,
}

impl World {
    pub(crate) async fn open(dir: &Path) -> World {
        let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
        let store = dir.join("store");
        std::fs::create_dir_all(&store).unwrap();
        let backend =
            kv_embedded::open(&store, kv_embedded::Options::new(clock.clone(), rng.clone())).unwrap();
        let db = Database::new(backend, clock.clone(), rng.clone());
        let options = blob::Options::default();
        let blobs = blob::Store::open(&dir.join("bodies"), db.clone(), clock.clone(), rng.clone(), options);
        let (blobs, feed) = (blobs.unwrap(), Arc::new(LocalFeed::new()));
        let mail = mail::Store::new(db.clone(), blobs.clone(), feed.clone(), clock.clone(), rng.clone());
        let made = &mail;
        let provisioned = |txn| async move { made.provision_in(&txn, ACCOUNT).await };
        if made.mailboxes(ACCOUNT).await.is_ok_and(|all| all.is_empty()) {
            db.transact("bench", provisioned).await.unwrap();
        }
        let settings = accounts::Options { cost: HashCost::CHEAP, ..accounts::Options::default() };
        let services = Services {
            mail: mail.clone(),
            blobs,
            accounts: Accounts::new(db.clone(), clock.clone(), rng.clone(), settings),
            feed,
            index: Arc::new(query::NoIndex),
            submitter: Arc::new(Nobody),
            push: Arc::new(Nobody),
            clock,
            rng,
            incarnation: 1,
        };
        let service = Jmap::new(services, Options::default()).private();
        World { db, mail, service }
    }

    /// Makes one call.
    pub(crate) async fn told(&self, method: &str, arguments: Value) -> Value {
        self.timed(method, arguments).await.0
    }

    /// Makes one call, and says what it took from the JSON of the request to that of the answer.
    pub(crate) async fn timed(&self, method: &str, arguments: Value) -> (Value, Took) {
        let using = ["core", "mail"].map(|name| format!("urn:ietf:params:jmap:{name}"));
        let body = json!({"using": using, "methodCalls": [[method, arguments, "0"]]}).to_string();
        let mut request =
            Request::post("/jmap").header("content-type", "application/json").body(Body::from(body)).unwrap();
        let (address, display_name) = ("alice@example.test".to_owned(), String::new());
        request.extensions_mut().insert(accounts::Proof::Password(0));
        request.extensions_mut().insert(Identity {
            account: ACCOUNT,
            address,
            display_name,
            groups: Vec::new(),
            shares: Vec::new(),
        });
        let watch = Watch::start();
        let response = self.service.clone().oneshot(request).await.unwrap();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let took = watch.stop();
        let mut told: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(told["methodResponses"][0][0], method, "{told}");
        (told["methodResponses"][0][1].take(), took)
    }
}
