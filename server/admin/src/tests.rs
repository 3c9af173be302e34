//! The API through its router, on a directory and a queue in memory.

use std::sync::Arc;

use accounts::{Accounts, HashCost, NewAccount, Options};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use base64::Engine as _;
use futures::future::BoxFuture;
use runtime::{Shutdown, SystemClock, SystemRng};
use schema::AccountId;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{Admin, Control, Health, Registrar, api, cluster, router};

struct Directory(Accounts);

impl Registrar for Directory {
    fn create<'a>(&'a self, new: &'a NewAccount) -> BoxFuture<'a, Result<AccountId, accounts::Error>> {
        Box::pin(self.0.create_account(new))
    }

    fn update<'a>(
        &'a self,
        id: AccountId,
        change: &'a accounts::AccountChange,
    ) -> BoxFuture<'a, Result<accounts::Account, accounts::Error>> {
        Box::pin(self.0.update(id, change))
    }

    fn delete(&self, id: AccountId) -> BoxFuture<'_, Result<(), accounts::Error>> {
        Box::pin(async move { self.0.delete_account(id).await.map(drop) })
    }
}

/// Notes that it is to leave, and has nothing to read again.
struct Helm(Shutdown);

impl Control for Helm {
    fn leave(&self) {
        self.0.announce();
    }

    fn reload(&self) -> Result<api::Reloaded, String> {
        Err("line 3: what is that?".to_owned())
    }
}

/// A cluster as it is told to be.
struct Sky(Arc<parking_lot::Mutex<cluster::Observed>>);

impl cluster::View for Sky {
    fn health(&self) -> cluster::Health {
        let observed = self.0.lock().clone();
        let now = runtime::Timestamp::from_millis(7);
        let (status, reasons) = cluster::Ledger::default().enter(cluster::judge(&observed), now);
        cluster::Health { status, reasons, observed }
    }

    fn leases(&self) -> cluster::Leases {
        cluster::Leases::default()
    }

    fn queues(&self) -> BoxFuture<'_, Result<Vec<cluster::Slot>, String>> {
        Box::pin(std::future::ready(Err("the store is away".to_owned())))
    }
}

struct Fixture {
    sky: Arc<parking_lot::Mutex<cluster::Observed>>,
    segments: segments::Segments,
    leases: leases::Leases,
    router: Router,
    health: Health,
    shutdown: Shutdown,
    mail: mail::Store,
    _dir: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let (db, clock, rng) = (kv::memory::database(), SystemClock::shared(), SystemRng::shared());
    let dir = tempfile::tempdir().unwrap();
    let options = Options { cost: HashCost::CHEAP, ..Options::default() };
    let accounts = Accounts::new(db.clone(), clock.clone(), rng.clone(), options);
    let blobs =
        blob::Store::open(dir.path(), db.clone(), clock.clone(), rng.clone(), blob::Options::default());
    let blobs = blobs.unwrap();
    let feed = Arc::new(changes::LocalFeed::new());
    let mail = mail::Store::new(db.clone(), blobs.clone(), feed, clock.clone(), rng.clone());
    let shutdown = Shutdown::new();
    let bodies: crate::Probe = Arc::new(|| Box::pin(std::future::ready(Err("away".to_owned()))));
    let health = Health::new(shutdown.clone(), Vec::new(), vec![("bodies", bodies)]);
    let leases = leases::Leases::new(db.clone(), clock.clone());
    let segments = segments::Segments::new(db.clone(), blobs.clone(), clock.clone(), segments::SHARDS);
    let cache = index::FileCache::new(1 << 20);
    let searcher = shard::Searcher::new(segments.clone(), mail.clone(), cache, clock.clone());
    let spool = spool::Spool::new(db.clone(), blobs, clock, rng);
    let verifier = verify::Verifier::new(accounts.clone(), mail.clone(), spool.clone());
    let sky = Arc::default();
    let admin = Admin {
        registrar: Arc::new(Directory(accounts.clone())),
        accounts,
        mail: mail.clone(),
        rows: Arc::new(transfer::Direct::new(&db)),
        spool,
        verifier,
        index: crate::Index { segments: segments.clone(), searcher },
        leases: leases.clone(),
        cluster: Arc::new(Sky(Arc::clone(&sky))),
        control: Arc::new(Helm(shutdown.clone())),
        health: health.clone(),
        password: "secret".into(),
        metrics: Arc::new(|| "up 1\n".to_owned()),
    };
    Fixture { sky, segments, leases, router: router(admin), health, shutdown, mail, _dir: dir }
}

impl Fixture {
    async fn raw(
        &self,
        method: &str,
        path: &str,
        password: Option<&str>,
        body: Value,
    ) -> (StatusCode, Vec<u8>) {
        let mut request =
            Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(password) = password {
            let token = base64::engine::general_purpose::STANDARD.encode(format!("admin:{password}"));
            request = request.header(header::AUTHORIZATION, format!("Basic {token}"));
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        (response.status(), to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec())
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let (status, body) = self.raw(method, &format!("/api/v1{path}"), Some("secret"), body).await;
        (status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn accounts_are_made_changed_and_removed() {
    let f = fixture();
    assert_eq!(f.call("POST", "/domains", json!({"name": "Example.Test"})).await.0, 201);
    let new = json!({"address": "ann@example.test", "password": "x", "quota_bytes": 5});
    let (status, account) = f.call("POST", "/accounts", new.clone()).await;
    assert_eq!((status, &account["kind"], &account["quota_bytes"]), (201, &json!("person"), &json!(5)));
    assert_eq!(f.call("POST", "/accounts", new).await.0, 409);
    let change = json!({"enabled": false, "quota_bytes": 0});
    let (_, account) = f.call("PATCH", "/accounts/ann@example.test", change).await;
    assert_eq!((&account["enabled"], &account["quota_bytes"]), (&json!(false), &Value::Null));
    let alias = json!({"address": "a@example.test"});
    assert_eq!(f.call("POST", "/accounts/ann@example.test/aliases", alias.clone()).await.0, 201);
    let (_, aliases) = f.call("GET", "/accounts/ann@example.test/aliases", Value::Null).await;
    assert_eq!(aliases["items"], json!([alias]));
    assert_eq!(f.call("DELETE", "/aliases/a@example.test", Value::Null).await.0, 204);
    let password = json!({"password": "y"});
    assert_eq!(f.call("PUT", "/accounts/ann@example.test/password", password).await.0, 204);
    assert_eq!(f.call("PUT", "/accounts/ann@example.test/password", json!({"password": ""})).await.0, 400);
    let (_, grants) = f.call("GET", "/accounts/ann@example.test/grants", Value::Null).await;
    assert_eq!(grants["items"], json!([]));
    for (grant, status) in [("0123456789abcdef", 404), ("x", 400)] {
        let path = format!("/accounts/ann@example.test/grants/{grant}");
        assert_eq!(f.call("DELETE", &path, Value::Null).await.0, status);
    }
    assert_eq!(f.call("DELETE", "/signing-keys", Value::Null).await.0, 204);
    assert_eq!(f.call("DELETE", "/accounts/ann@example.test", Value::Null).await.0, 204);
    let (status, problem) = f.call("GET", "/accounts/ann@example.test", Value::Null).await;
    assert_eq!((status, &problem["title"]), (404, &json!("Not Found")));
    assert_eq!(f.call("DELETE", "/domains/example.test", Value::Null).await.0, 204);
}

#[tokio::test]
async fn groups_and_lists_have_members() {
    let f = fixture();
    f.call("POST", "/domains", json!({"name": "example.test"})).await;
    for (address, kind) in [("ann", "person"), ("team", "group"), ("news", "list")] {
        let new = json!({"address": format!("{address}@example.test"), "kind": kind});
        assert_eq!(f.call("POST", "/accounts", new).await.0, 201);
    }
    let member = json!({"address": "ann@example.test", "rights": "lr"});
    assert_eq!(f.call("POST", "/groups/team@example.test/members", member.clone()).await.0, 201);
    let (_, members) = f.call("GET", "/groups/team@example.test/members", Value::Null).await;
    assert_eq!(members["items"], json!([member]));
    let bad = json!({"address": "ann@example.test", "rights": "?"});
    assert_eq!(f.call("POST", "/groups/team@example.test/members", bad).await.0, 400);
    let member = json!({"address": "someone@elsewhere.example"});
    assert_eq!(f.call("POST", "/lists/news@example.test/members", member.clone()).await.0, 201);
    let (_, members) = f.call("GET", "/lists/news@example.test/members", Value::Null).await;
    assert_eq!(members["items"], json!([member]));
    let path = "/lists/news@example.test/members/someone@elsewhere.example";
    assert_eq!(f.call("DELETE", path, Value::Null).await.0, 204);
    let path = "/groups/team@example.test/members/ann@example.test";
    assert_eq!(f.call("DELETE", path, Value::Null).await.0, 204);
}

#[tokio::test]
async fn the_api_needs_the_password_and_probes_do_not() {
    let f = fixture();
    for password in [None, Some("wrong"), Some("")] {
        assert_eq!(f.raw("GET", "/api/v1/domains", password, Value::Null).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(f.raw("GET", "/metrics", None, Value::Null).await, (StatusCode::OK, b"up 1\n".to_vec()));
    assert_eq!(f.raw("GET", "/livez", None, Value::Null).await.0, StatusCode::OK);
    assert_eq!(f.raw("GET", "/unheard-of", None, Value::Null).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn readiness_follows_the_node() {
    let f = fixture();
    let ready = async || f.raw("GET", "/readyz", None, Value::Null).await;
    assert_eq!(ready().await, (StatusCode::SERVICE_UNAVAILABLE, b"starting\n".to_vec()));
    f.health.started();
    assert_eq!(ready().await, (StatusCode::OK, b"ok\nbodies: away\n".to_vec()));
    assert_eq!(f.raw("GET", "/startupz", None, Value::Null).await.0, StatusCode::OK);
    f.shutdown.begin();
    assert_eq!(ready().await, (StatusCode::SERVICE_UNAVAILABLE, b"draining\n".to_vec()));
    assert_eq!(f.raw("GET", "/livez", None, Value::Null).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_cluster_is_shown_to_whoever_asks() {
    let f = fixture();
    let ask = async |path: &str| {
        let (status, body) = f.raw("GET", path, None, Value::Null).await;
        (status.as_u16(), serde_json::from_slice::<Value>(&body).unwrap())
    };
    assert_eq!(ask("/cluster/health").await.1["status"], "green");
    let down = cluster::Member { name: "b".into(), state: cluster::State::Down, id: 2, ..Default::default() };
    f.sky.lock().members.push(down);
    let (status, health) = ask("/cluster/health").await;
    let reason = &health["reasons"][0];
    assert_eq!((status, &health["status"], &reason["code"]), (200, &json!("yellow"), &json!("NODE_DOWN")));
    assert_eq!(
        (&reason["since"], &reason["runbook"]),
        (&json!(7), &json!("ops/runbooks/health/NODE_DOWN.md"))
    );
    assert_eq!(
        (ask("/cluster/health?strict").await.0, ask("/cluster/health?strict=false").await.0),
        (503, 200)
    );
    f.sky.lock().store.error = Some("gone".into());
    let (status, health) = ask("/cluster/health").await;
    assert_eq!((status, &health["status"]), (503, &json!("red")));
    assert_eq!(ask("/cluster/nodes").await.1[0]["state"], "down");
    assert_eq!(ask("/cluster/leases").await, (200, json!({"generation": 0, "duties": []})));
    assert_eq!(ask("/cluster/queues").await.0, 503);
    // All that is told is in the schema.
    let (_, schema) = ask("/cluster/health/schema").await;
    let known = schema["properties"].as_object().unwrap();
    assert!(health.as_object().unwrap().keys().all(|key| known.contains_key(key)), "{schema}");
}

#[tokio::test]
async fn nodes_are_asked_to_leave_and_forgotten() {
    let f = fixture();
    let node =
        |name: &str| leases::Node { name: name.into(), level_min: 1, level_max: 1, ..Default::default() };
    let (a, b) = (f.leases.join(&node("a")).await.unwrap(), f.leases.join(&node("b")).await.unwrap());
    let states = async || {
        let (_, page) = f.call("GET", "/nodes", Value::Null).await;
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n["state"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(f.call("POST", "/nodes/b/drain", Value::Null).await.0, 202);
    assert_eq!(states().await, ["online", "draining"]);
    assert_eq!(f.call("DELETE", "/nodes/b", Value::Null).await.0, 409, "it runs");
    f.leases.leave(b).await.unwrap();
    assert!(f.leases.revoke(a, 0).await.unwrap());
    assert_eq!(states().await, ["down", "left"]);
    assert_eq!(f.call("POST", "/nodes/1/drain", Value::Null).await.0, 409, "it does not run");
    assert_eq!(f.call("DELETE", "/nodes/1", Value::Null).await.0, 204);
    assert_eq!(f.call("DELETE", "/nodes/a", Value::Null).await.0, 404);
    assert_eq!(f.call("POST", "/node/drain", Value::Null).await.0, 202);
    assert!(f.shutdown.is_announced() && !f.shutdown.is_draining());
    let (status, problem) = f.call("POST", "/node/reload", Value::Null).await;
    assert_eq!((status, &problem["detail"]), (422, &json!("line 3: what is that?")));
    assert_eq!(f.raw("POST", "/api/v1/node/drain", None, Value::Null).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn sites_are_taken_out_and_the_last_one_only_by_force() {
    let f = fixture();
    let node = |name: &str, zone: &str| leases::Node {
        name: name.into(),
        zone: zone.into(),
        level_min: 1,
        level_max: schema::level::SITES,
        ..leases::Node::default()
    };
    f.leases.join(&node("a", "za")).await.unwrap();
    f.leases.join(&node("b", "zb")).await.unwrap();
    let to = |state: &str, force: bool| json!({"state": state, "reason": "work", "force": force});
    assert_eq!(f.call("PUT", "/sites/zone/za", to("evacuating", false)).await.0, 204);
    let (status, problem) = f.call("PUT", "/sites/zone/zb", to("standby", false)).await;
    assert_eq!((status, &problem["detail"]), (409, &json!("zone zb is the last site that serves")));
    assert_eq!(f.call("PUT", "/sites/zone/zb", to("standby", true)).await.0, 204);
    let (_, page) = f.call("GET", "/sites", Value::Null).await;
    let zone = &page["items"][0];
    assert_eq!(
        (&zone["name"], &zone["state"], &zone["nodes"]),
        (&json!("za"), &json!("evacuating"), &json!(1))
    );
    assert_eq!((&zone["by"], &zone["reason"]), (&json!("admin"), &json!("work")));
    assert_eq!(f.call("PUT", "/sites/zone/za", json!({"state": "online", "reason": ""})).await.0, 204);
    assert_eq!(f.call("PUT", "/sites/zone/za", json!({"state": "standby", "reason": ""})).await.0, 400);
    assert_eq!(f.call("PUT", "/sites/zone/za", to("away", false)).await.0, 400);
    assert_eq!(f.call("PUT", "/sites/house/za", to("standby", false)).await.0, 404);
    assert_eq!(f.call("PUT", "/sites/zone/zc", to("standby", false)).await.0, 404);
}

#[tokio::test]
async fn one_drill_at_a_time() {
    let f = fixture();
    assert_eq!(f.call("GET", "/drill", Value::Null).await, (200, Value::Null));
    let drill = |id: &str| json!({"id": id, "what": "zone a"});
    // No node has been there that knows of drills.
    assert_eq!(f.call("PUT", "/drill", drill("x")).await.0, 409);
    let level_max = schema::level::SITES;
    let node = leases::Node { name: "a".into(), level_min: 1, level_max, ..Default::default() };
    f.leases.join(&node).await.unwrap();
    assert_eq!(f.call("PUT", "/drill", drill("x")).await.0, 204);
    assert_eq!(f.call("PUT", "/drill", drill("y")).await.0, 409);
    assert_eq!(f.call("PUT", "/drill", drill("")).await.0, 400);
    assert_eq!(f.call("GET", "/drill", Value::Null).await.1["id"], "x");
    assert_eq!(f.call("DELETE", "/drill/y", Value::Null).await.0, 204);
    assert_eq!(f.call("DELETE", "/drill/x", Value::Null).await.0, 204);
    assert_eq!(f.call("GET", "/drill", Value::Null).await.1, Value::Null);
}

#[tokio::test]
async fn the_queue_is_listed() {
    let f = fixture();
    assert_eq!(f.call("GET", "/queue", Value::Null).await, (200, json!({"items": []})));
    assert_eq!(f.call("POST", "/queue/7/retry", Value::Null).await.0, 404);
    assert_eq!(f.call("GET", "/queue?after=x", Value::Null).await.0, 400);
}

#[tokio::test]
async fn removed_accounts_are_listed_page_by_page() {
    let f = fixture();
    let mail = &f.mail;
    for id in 1..=3 {
        let removed = mail.database().transact("test", |txn| async move {
            mail.remove_in(&txn, AccountId(id), &format!("a{id}@example.test"));
            Ok::<_, mail::Error>(())
        });
        removed.await.unwrap();
    }
    let (_, page) = f.call("GET", "/purges?limit=2", Value::Null).await;
    assert_eq!((&page["items"][1]["address"], &page["next"]), (&json!("a2@example.test"), &json!("2")));
    let (_, page) = f.call("GET", "/purges?limit=2&after=2", Value::Null).await;
    let rest = (page["items"].as_array().unwrap().len(), &page["items"][0]["id"], &page["next"]);
    assert_eq!(rest, (1, &json!(3), &Value::Null));
    assert_eq!(f.call("GET", "/purges?after=x", Value::Null).await.0, 400);
}

#[tokio::test]
async fn rows_are_read_in_pages_by_who_may() {
    let f = fixture();
    for n in 0..30 {
        assert_eq!(f.call("POST", "/domains", json!({"name": format!("d{n}.test")})).await.0, 201);
    }
    let path = |begin: &str, end: &str| format!("/api/v1/store/rows?begin={begin}&end={end}");
    let read =
        async |begin: &str, end: &str| f.raw("GET", &path(begin, end), Some("secret"), Value::Null).await;
    let (status, bytes) = read("", "ff").await;
    let all = transfer::wire::decode(bytes.into()).unwrap();
    assert_eq!((status, all.more), (StatusCode::OK, false));
    assert!(all.rows.iter().filter(|(key, _)| key.starts_with(b"Pd")).count() == 30);
    let (_, bytes) = read("5064", "5065").await;
    let domains = transfer::wire::decode(bytes.into()).unwrap();
    assert_eq!(
        domains.rows,
        all.rows.iter().filter(|(k, _)| k.starts_with(b"Pd")).cloned().collect::<Vec<_>>()
    );
    for bad in ["5", "xx", "%C3%A4"] {
        assert_eq!(read(bad, "ff").await.0, StatusCode::BAD_REQUEST);
    }
    for wrong in [None, Some("wrong")] {
        assert_eq!(f.raw("GET", &path("", "ff"), wrong, Value::Null).await.0, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn the_feature_level_is_raised_when_all_nodes_support_more() {
    let f = fixture();
    let node = |name: &str, level_max| leases::Node {
        name: name.into(),
        version: "1".into(),
        level_min: 1,
        level_max,
        ..leases::Node::default()
    };
    let old = f.leases.join(&node("old", 1)).await.unwrap();
    f.leases.join(&node("new", 2)).await.unwrap();
    let level = async |method: &str, body: Value| f.call(method, "/cluster/level", body).await;
    let (status, body) = level("GET", Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!((&body["current"], &body["supported"]), (&json!(1), &json!(1)));
    assert_eq!(body["nodes"][0], json!({"id": 1, "name": "old", "version": "1", "lowest": 1, "highest": 1}));
    // The one that does not know it is named.
    let (status, body) = level("POST", json!({"to": 2})).await;
    assert_eq!(status, 409);
    assert!(body["detail"].as_str().unwrap().contains("node 1 supports feature level 1 at most"), "{body}");
    let (status, _) = level("POST", json!({})).await;
    assert_eq!(status, 409, "there is nothing to raise it to");
    f.leases.leave(old).await.unwrap();
    let (status, body) = level("POST", json!({})).await;
    assert_eq!((status, &body["current"]), (200, &json!(2)));
    assert_eq!(f.leases.join(&node("old", 1)).await, Err(leases::Error::TooOld { level: 2, supports: 1 }));
}

#[tokio::test]
async fn the_index_is_shown_made_anew_and_explained() {
    let f = fixture();
    f.call("POST", "/domains", json!({"name": "example.test"})).await;
    f.call("POST", "/accounts", json!({"address": "ann@example.test", "password": "x"})).await;
    let (_, shards) = f.call("GET", "/search", Value::Null).await;
    assert_eq!((shards.as_array().unwrap().len(), &shards[3]["edition"]), (16, &json!(0)));
    let asked = json!({"account": "ann@example.test", "field": "body", "text": "x"});
    let (_, explained) = f.call("POST", "/search/explain", asked).await;
    assert_eq!(explained["scanned"], "no_index");
    assert_eq!(f.call("POST", "/search/explain", json!({"account": "no", "text": "x"})).await.0, 404);
    // Somebody who writes a shard has begun it.
    let node = leases::Node { name: "n".into(), level_max: schema::level::SEARCH, ..Default::default() };
    let me = f.leases.join(&node).await.unwrap();
    let fence = f.leases.take(me, &[schema::Duty::search(3)]).await.unwrap()[0];
    f.segments.ensure(&fence).await.unwrap();
    assert_eq!(f.call("POST", "/search/rebuild", json!({})).await.1["begun"], json!([3]));
    assert_eq!(f.call("POST", "/search/rebuild", json!({"shard": 3})).await.1["begun"], json!([]));
    assert_eq!(f.call("POST", "/search/rebuild", json!({"shard": 99})).await.0, 404);
    let (_, shards) = f.call("GET", "/search", Value::Null).await;
    assert_eq!((&shards[3]["edition"], &shards[3]["building"]["edition"]), (&json!(1), &json!(2)));
}
