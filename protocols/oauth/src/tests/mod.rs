//! The endpoints over a store in memory, with requests as clients and browsers make them.

mod account;
mod authorize;
mod clients;
mod device;
mod openid;
mod second;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use accounts::oauth::Bearer;
use accounts::{
    Accounts, Admitted, AuthFailure, AuthRequest, Authenticator, DomainSettings, Entered, Entry, HashCost,
    Kind, NewAccount, Person, Proof, Secret, TokenShown,
};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use futures::future::BoxFuture;
use runtime::{Clock, ManualClock, SeededRng, SharedRng, Timestamp};
use schema::keys::node::FeatureLevelKey;
use schema::records::node::FeatureLevel;
use schema::{AccountId, Key, Record, level};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{OAuth, Options, Remote, Services};

const BASE: &str = "https://mail.example.test";
const BACK: &str = "https://app.example/back";
const MAIL: &str = "urn:ietf:params:jmap:mail";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Knows who is in the directory, and counts what may be asked for by anybody, and passwords that were wrong.
struct Doorman {
    accounts: Accounts,
    left: parking_lot::Mutex<u32>,
    wrong: parking_lot::Mutex<u32>,
}

impl Doorman {
    fn wrong(&self) -> u32 {
        *self.wrong.lock()
    }
}

impl Authenticator for Doorman {
    fn authenticate<'a>(&'a self, _: AuthRequest<'a>) -> BoxFuture<'a, Result<Admitted, AuthFailure>> {
        Box::pin(async { Err(AuthFailure::Invalid) })
    }

    fn person<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Entry, AuthFailure>> {
        Box::pin(async move {
            match request.login {
                "busy" => return Err(AuthFailure::RateLimited),
                "disabled" => return Err(AuthFailure::Disabled),
                _ => {}
            }
            let record = self.accounts.login(request.login).await.unwrap().ok_or(AuthFailure::Invalid)?;
            if !record.credentials[0].hash.verify(request.password) {
                *self.wrong.lock() += 1;
                return Err(AuthFailure::Invalid);
            }
            let identity = self.accounts.identity(record.account.id).await.unwrap().unwrap();
            let credential = record.credentials[0].version;
            Ok(match self.accounts.begin_second(identity.account, credential).await.unwrap() {
                Some(word) => Entry::Code(word),
                None => Entry::Person(Person { identity, credential, second: false }),
            })
        })
    }

    fn code<'a>(
        &'a self,
        word: &'a Secret,
        code: &'a str,
        _: std::net::IpAddr,
    ) -> BoxFuture<'a, Result<Entered, AuthFailure>> {
        Box::pin(async move { Ok(self.accounts.enter_second(word, code).await.unwrap()) })
    }

    fn bearer<'a>(&'a self, shown: TokenShown<'a>) -> BoxFuture<'a, Result<Bearer, AuthFailure>> {
        Box::pin(async move {
            let looked = self.accounts.bearer(shown.token, shown.login).await.unwrap();
            looked.good().ok_or(AuthFailure::Invalid)
        })
    }

    fn count(&self, _: std::net::IpAddr) -> Result<(), AuthFailure> {
        let mut left = self.left.lock();
        *left = left.checked_sub(1).ok_or(AuthFailure::RateLimited)?;
        Ok(())
    }

    fn revoked(&self, _: AccountId, _: Proof) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

struct World {
    router: Router,
    accounts: Accounts,
    doorman: Arc<Doorman>,
    clock: Arc<ManualClock>,
    db: kv::Database,
    cookie: String,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where it sends the browser, with the parameters.
    fn sent(&self) -> (String, BTreeMap<String, String>) {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        let (to, query) = self.header("location").split_once('?').unwrap();
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
        (to.to_owned(), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}

fn form(parameters: &[(&str, &str)]) -> String {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}

impl World {
    async fn new() -> World {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let rng: SharedRng = Arc::new(SeededRng::new(1));
        let options = accounts::Options { cost: HashCost::CHEAP, ..accounts::Options::default() };
        let db = kv::memory::database();
        let accounts = Accounts::new(db.clone(), clock.clone(), rng.clone(), options);
        accounts.create_domain("example.test", DomainSettings::default()).await.unwrap();
        let new = NewAccount::new(Kind::Person, "alice@example.test");
        let alice = accounts.create_account(&new).await.unwrap();
        accounts.set_password(alice, &Secret::new("secret")).await.unwrap();
        let doorman = Arc::new(Doorman { accounts: accounts.clone(), left: 21.into(), wrong: 0.into() });
        let authenticator = doorman.clone();
        let services = Services { accounts: accounts.clone(), authenticator, rng, clock: clock.clone() };
        let scopes = vec!["urn:ietf:params:jmap:core", MAIL];
        let router = OAuth::new(services, Options { issuer: None, scopes }).routes();
        World { router, accounts, doorman, clock, db, cookie: String::new() }
    }

    /// Lets the store be of the newest level.
    async fn raise(&self) {
        let raised = self.db.transact("test", |txn| async move {
            let row = FeatureLevel { level: level::LAST, raised: 1 };
            txn.set(&FeatureLevelKey.encode(), &row.to_bytes());
            Ok::<_, kv::Error>(())
        });
        raised.await.unwrap();
    }

    async fn send(&self, method: &str, path: &str, fields: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        self.send_from(method, path, fields, body, true).await
    }

    async fn send_from(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: impl Into<Body>,
        safe: bool,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{BASE}{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let remote = Remote { address: [192, 0, 2, 1].into(), safe };
        let request = request.extension(remote).body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Answer { status: head.status, headers: head.headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[("cookie", &self.cookie)], Body::empty()).await
    }

    async fn post(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let fields = [("content-type", "application/x-www-form-urlencoded"), ("cookie", &self.cookie)];
        self.send("POST", path, &fields, form(parameters)).await
    }

    async fn register(&self, more: Value) -> Value {
        let mut says = json!({
            "client_name": "App <b>",
            "redirect_uris": [BACK],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        });
        for (name, value) in more.as_object().unwrap() {
            says[name] = value.clone();
        }
        let fields = [("content-type", "application/json")];
        let answer = self.send("POST", "/oauth/register", &fields, says.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.json()
    }

    async fn client(&self) -> String {
        self.register(json!({})).await["client_id"].as_str().unwrap().to_owned()
    }

    /// Opens the page, as a browser does.
    async fn open(&mut self, path: &str) -> (Answer, String) {
        let answer = self.get(path).await;
        let cookie = answer.header("set-cookie");
        self.cookie = cookie.split(';').next().unwrap().to_owned();
        let token = answer.text.split("name=\"token\" value=\"").nth(1).unwrap_or_default();
        let token = token.split('"').next().unwrap().to_owned();
        (answer, token)
    }

    /// From the page to the code.
    async fn code(&mut self, client: &str) -> String {
        let path = asks(client, &[]);
        let (_, token) = self.open(&path).await;
        let (to, answer) = self.post(&path, &says(&token)).await.sent();
        assert_eq!((to.as_str(), answer["state"].as_str()), (BACK, "xyz"));
        assert_eq!(answer["iss"], "https%3A%2F%2Fmail.example.test");
        answer["code"].clone()
    }

    async fn exchange(&self, client: &str, code: &str) -> Answer {
        let asks = [
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("code", code),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ];
        self.post("/oauth/token", &asks).await
    }

    async fn tokens(&mut self, client: &str) -> (String, String) {
        let code = self.code(client).await;
        let answer = self.exchange(client, &code).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let said = answer.json();
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        (text("access_token"), text("refresh_token"))
    }
}

fn says(token: &str) -> [(&str, &str); 4] {
    [("token", token), ("login", "alice@example.test"), ("password", "secret"), ("answer", "allow")]
}

/// The authorization request, with some parameters otherwise.
fn asks(client: &str, changed: &[(&str, &str)]) -> String {
    let mut all = vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", BACK),
        ("scope", MAIL),
        ("state", "xyz"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    all.retain(|(name, _)| changed.iter().all(|(other, _)| other != name));
    all.extend(changed);
    format!("/oauth/authorize?{}", form(&all))
}
