//! The endpoints over a store in memory, with requests as clients and browsers make them.

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

/// Knows alice and her password `secret`, and counts what may be asked for by anybody.
struct Doorman {
    accounts: Accounts,
    left: parking_lot::Mutex<u32>,
}

impl Authenticator for Doorman {
    fn authenticate<'a>(&'a self, _: AuthRequest<'a>) -> BoxFuture<'a, Result<Admitted, AuthFailure>> {
        Box::pin(async { Err(AuthFailure::Invalid) })
    }

    fn person<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Entry, AuthFailure>> {
        Box::pin(async move {
            match (request.login, request.password.expose()) {
                ("alice@example.test", "secret") => {}
                ("busy", _) => return Err(AuthFailure::RateLimited),
                ("disabled", _) => return Err(AuthFailure::Disabled),
                _ => return Err(AuthFailure::Invalid),
            }
            let record = self.accounts.login(request.login).await.unwrap().unwrap();
            let identity = self.accounts.identity(record.account.id).await.unwrap().unwrap();
            let credential = record.credentials[0].version;
            Ok(match self.accounts.begin_second(identity.account, credential).await.unwrap() {
                Some(word) => Entry::Code(word),
                None => Entry::Person(Person { identity, credential }),
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
        let authenticator = Arc::new(Doorman { accounts: accounts.clone(), left: 21.into() });
        let services = Services { accounts: accounts.clone(), authenticator, rng };
        let scopes = vec!["urn:ietf:params:jmap:core", MAIL];
        let router = OAuth::new(services, Options { issuer: None, scopes }).routes();
        World { router, accounts, clock, db, cookie: String::new() }
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

#[tokio::test]
async fn a_client_finds_its_way() {
    let w = World::new().await;
    let resource = w.get("/.well-known/oauth-protected-resource").await.json();
    assert_eq!(resource["authorization_servers"], json!([BASE]));
    let server = w.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(server["issuer"], BASE);
    for name in
        ["authorization", "token", "revocation", "introspection", "registration", "device_authorization"]
    {
        let endpoint = server[format!("{name}_endpoint")].as_str().unwrap();
        let path = endpoint.strip_prefix(BASE).unwrap();
        let status = w.send("DELETE", path, &[], Body::empty()).await.status;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{name}");
    }
    assert_eq!(server["scopes_supported"], resource["scopes_supported"]);
}

/// RFC 6749 §4.1, RFC 7636, RFC 9207
#[tokio::test]
async fn a_user_allows_and_the_client_gets_in() {
    let mut w = World::new().await;
    let client = w.client().await;
    let code = w.code(&client).await;
    let answer = w.exchange(&client, &code).await;
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let said = answer.json();
    assert_eq!((&said["token_type"], &said["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(said["scope"], MAIL);
    let access = Secret::new(said["access_token"].as_str().unwrap());
    let bearer = w.accounts.bearer(&access, None).await.unwrap().good().unwrap();
    assert_eq!(bearer.identity.address, "alice@example.test");
    // RFC 6749 §4.1.2: once.
    assert_eq!(w.exchange(&client, &code).await.error(), "invalid_grant");
    assert!(w.accounts.bearer(&access, None).await.unwrap().good().is_none());
}

#[tokio::test]
async fn the_page_is_safe_and_can_be_read() {
    let mut w = World::new().await;
    let client = w.client().await;
    let (page, token) = w.open(&asks(&client, &[("login_hint", "\"><script>"), ("prompt", "login")])).await;
    assert_eq!(page.status, StatusCode::OK);
    for text in ["<html lang=\"en\">", "<h1>", "<label for=\"password\">", "App &lt;b&gt;", "Read, change"] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    assert!(!page.text.contains("<script") && !page.text.contains("<b>"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(policy.contains("form-action 'self' https://app.example;"), "{policy}");
    assert_eq!(page.header("cache-control"), "no-store");
    let cookie = page.header("set-cookie");
    for part in ["__Host-godwit-form=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    // A second page of the same browser does not make the first one void.
    assert_eq!(w.open(&asks(&client, &[])).await.1, token);
}

#[tokio::test]
async fn who_does_not_log_in_allows_nothing() {
    let mut w = World::new().await;
    let client = w.client().await;
    let path = asks(&client, &[]);
    let (_, token) = w.open(&path).await;
    for (login, password, status) in [
        ("alice@example.test", "wrong", StatusCode::FORBIDDEN),
        ("", "", StatusCode::FORBIDDEN),
        ("disabled", "x", StatusCode::FORBIDDEN),
        ("busy", "x", StatusCode::TOO_MANY_REQUESTS),
    ] {
        let said = [("token", token.as_str()), ("login", login), ("password", password), ("answer", "allow")];
        let again = w.post(&path, &said).await;
        assert_eq!(again.status, status, "{login}");
        assert!(again.text.contains("role=\"alert\"") && again.header("location").is_empty());
        assert!(!again.text.contains("wrong\""), "no password comes back");
    }
    let (to, answer) = w.post(&path, &[("token", &token), ("answer", "deny")]).await.sent();
    assert_eq!((to.as_str(), answer["error"].as_str()), (BACK, "access_denied"));
    assert_eq!(answer["state"], "xyz");
}

impl World {
    /// Alice sets up a device. What it has read, and the codes on paper.
    async fn enroll(&self) -> (String, Vec<Secret>) {
        let raised = self.db.transact("test", |txn| async move {
            let row = FeatureLevel { level: level::LAST, raised: 1 };
            txn.set(&FeatureLevelKey.encode(), &row.to_bytes());
            Ok::<_, kv::Error>(())
        });
        raised.await.unwrap();
        let alice = self.accounts.find("alice@example.test").await.unwrap().unwrap().id;
        let enrolled = self.accounts.enroll_second(alice).await.unwrap();
        let uri = enrolled.uri.expose();
        let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_owned();
        assert!(self.accounts.confirm_second(alice, &self.shown(&secret)).await.unwrap());
        self.clock.advance(std::time::Duration::from_secs(30));
        (secret, enrolled.recovery)
    }

    /// What the device shows now.
    fn shown(&self, secret: &str) -> String {
        accounts::testing::code(secret, self.clock.now().millis())
    }
}

fn hidden(page: &Answer, name: &str) -> String {
    let value = page.text.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_default();
    value.split('"').next().unwrap_or_default().to_owned()
}

/// The password leads to a second page, and the code from there to the client.
#[tokio::test]
async fn a_code_is_asked_for_after_the_password() {
    let mut w = World::new().await;
    let client = w.client().await;
    let (secret, recovery) = w.enroll().await;
    let path = asks(&client, &[]);
    let (_, token) = w.open(&path).await;
    let page = w.post(&path, &says(&token)).await;
    assert_eq!(page.status, StatusCode::OK);
    for text in
        ["<label for=\"code\">", "autocomplete=\"one-time-code\"", "id=\"hint\"", "<strong>App &lt;b&gt;"]
    {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    assert!(!page.text.contains("<script") && !page.text.contains("secret"), "{}", page.text);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self' https://app.example;"), "{policy}");
    let word = hidden(&page, "word");
    let with = |code: &str| {
        let says = [("token", &*token), ("word", &*word), ("code", code), ("answer", "allow")];
        says.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let enter = async |code: &str| {
        let says = with(code);
        let says: Vec<_> = says.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        w.post(&path, &says).await
    };
    let wrong = enter("12345").await;
    assert_eq!((wrong.status, hidden(&wrong, "word")), (StatusCode::FORBIDDEN, word.clone()));
    assert!(wrong.text.contains("role=\"alert\"") && wrong.text.contains("aria-describedby=\"hint error\""));
    let code = w.shown(&secret);
    let (to, answer) = enter(&code).await.sent();
    assert_eq!(to, BACK);
    assert_eq!(w.exchange(&client, &answer["code"]).await.status, StatusCode::OK);
    // The page that was used up asks for the password again.
    let over = enter(recovery[0].expose()).await;
    assert_eq!(over.status, StatusCode::FORBIDDEN);
    assert!(over.text.contains("name=\"password\"") && !over.text.contains("name=\"word\""));
    // Without the browser's cookie the word is of no use.
    let page = w.post(&path, &says(&token)).await;
    let stolen = [("token", "x"), ("word", &*hidden(&page, "word")), ("code", recovery[0].expose())];
    let refused = w.post(&path, &[&stolen[..], &[("answer", "allow")]].concat()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.header("location").is_empty());
    // Nobody is made to go on.
    let word = hidden(&page, "word");
    let deny = [("token", token.as_str()), ("word", word.as_str()), ("answer", "deny")];
    assert_eq!(w.post(&path, &deny).await.sent().1["error"], "access_denied");
}

/// RFC 6749 §10.12
#[tokio::test]
async fn a_form_comes_from_the_page_that_was_shown() {
    let mut w = World::new().await;
    let client = w.client().await;
    let path = asks(&client, &[]);
    let (_, token) = w.open(&path).await;
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let cookie = w.cookie.clone();
    let body = form(&says(&token));
    let other = form(&says(&"A".repeat(43)));
    for (fields, body) in [
        (vec![kind], &body),
        (vec![kind, ("cookie", "__Host-godwit-form=x")], &body),
        (vec![kind, ("cookie", &cookie)], &other),
        (vec![kind, ("cookie", &cookie), ("origin", "https://evil.example")], &body),
        (vec![kind, ("cookie", &cookie), ("origin", "null")], &body),
        (vec![kind, ("cookie", &cookie), ("sec-fetch-site", "cross-site")], &body),
    ] {
        let answer = w.send("POST", &path, &fields, body.clone()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{fields:?}");
    }
    let fields = [kind, ("cookie", &cookie), ("origin", BASE), ("sec-fetch-site", "same-origin")];
    assert_eq!(w.send("POST", &path, &fields, body).await.status, StatusCode::SEE_OTHER);
}

/// RFC 6749 §4.1.2.1: who asks and where to must be clear before anybody is sent anywhere.
#[tokio::test]
async fn nobody_is_sent_to_where_no_client_is() {
    let w = World::new().await;
    let client = w.client().await;
    let two = w.register(json!({"redirect_uris": [BACK, "https://app.example/other"]})).await;
    let two = two["client_id"].as_str().unwrap();
    for path in [
        "/oauth/authorize".to_owned(),
        asks("", &[]),
        asks("unknown", &[]),
        asks(&client, &[("redirect_uri", "https://evil.example/")]),
        asks(&client, &[("redirect_uri", "https://app.example/back/")]),
        asks(two, &[("redirect_uri", "")]),
        format!("{}&client_id={client}", asks(&client, &[])),
        format!("{}&state=a", asks(&client, &[])),
        format!("{}&x=%ff", asks(&client, &[])),
        format!("{}&x={}", asks(&client, &[]), "a".repeat(20_000)),
    ] {
        for method in ["GET", "POST"] {
            let kind = [("content-type", "application/x-www-form-urlencoded")];
            let answer = w.send(method, &path, &kind, Body::empty()).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(answer.header("location").is_empty() && answer.header("set-cookie").is_empty());
            assert!(answer.text.contains("role=\"alert\""), "{}", answer.text);
        }
    }
    // The only one there is need not be named.
    assert_eq!(w.get(&asks(&client, &[("redirect_uri", "")])).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_wrong_otherwise_is_told_to_the_client() {
    let w = World::new().await;
    let client = w.client().await;
    for (name, value, error) in [
        ("response_type", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("scope", "", "invalid_scope"),
        ("scope", "unknown", "invalid_scope"),
        ("prompt", "none", "login_required"),
        ("resource", "https://elsewhere.example", "invalid_target"),
        ("resource", "https://mail.example.test.evil.example", "invalid_target"),
        ("request", "x", "request_not_supported"),
    ] {
        let (to, answer) = w.get(&asks(&client, &[(name, value)])).await.sent();
        assert_eq!((to.as_str(), answer["error"].as_str()), (BACK, error), "{name} {value}");
        assert_eq!((answer["state"].as_str(), answer.contains_key("iss")), ("xyz", true));
    }
    let resource = asks(&client, &[("resource", "https://mail.example.test/jmap")]);
    assert_eq!(w.get(&resource).await.status, StatusCode::OK);
    let narrow = w.register(json!({"scope": "urn:ietf:params:jmap:core"})).await;
    let narrow = narrow["client_id"].as_str().unwrap();
    assert_eq!(w.get(&asks(narrow, &[])).await.sent().1["error"], "invalid_scope");
    assert_eq!(w.get(&asks(narrow, &[("scope", "")])).await.status, StatusCode::OK);
}

/// RFC 6749 §6, RFC 9700 §4.14.2
#[tokio::test]
async fn refresh_tokens_rotate() {
    let mut w = World::new().await;
    let client = w.client().await;
    let (_, first) = w.tokens(&client).await;
    let refresh = async |w: &World, token: &str| {
        let asks = [("grant_type", "refresh_token"), ("client_id", &client), ("refresh_token", token)];
        w.post("/oauth/token", &asks).await
    };
    let second = refresh(&w, &first).await.json();
    let second = second["refresh_token"].as_str().unwrap();
    assert_ne!(second, first);
    assert_eq!(refresh(&w, &first).await.error(), "invalid_grant");
    assert_eq!(refresh(&w, second).await.error(), "invalid_grant", "reuse has ended all of it");
    let (_, token) = w.tokens(&client).await;
    let asks = [
        ("grant_type", "refresh_token"),
        ("client_id", client.as_str()),
        ("refresh_token", &token),
        ("scope", "urn:ietf:params:jmap:core"),
    ];
    assert_eq!(w.post("/oauth/token", &asks).await.error(), "invalid_scope");
}

/// RFC 6749 §2.3, §5.2
#[tokio::test]
async fn clients_with_a_secret_show_it() {
    let mut w = World::new().await;
    let client = w.register(json!({"token_endpoint_auth_method": "client_secret_post"})).await;
    let text = |name: &str| client[name].as_str().unwrap().to_owned();
    let (id, secret) = (text("client_id"), text("client_secret"));
    let code = w.code(&id).await;
    let without = w.exchange(&id, &code).await;
    assert_eq!((without.status, without.error()), (StatusCode::UNAUTHORIZED, "invalid_client".into()));
    let basic = |id: &str, secret: &str| {
        use base64::Engine;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}")))
    };
    let send = async |authorization: &str, more: &[(&str, &str)]| {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let mut asks = vec![
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ];
        asks.extend(more);
        w.send("POST", "/oauth/token", &[kind, ("authorization", authorization)], form(&asks)).await
    };
    for bad in [basic(&id, "wrong"), basic("unknown", &secret), basic(&id, ""), "Bearer x".into()] {
        let answer = send(&bad, &[]).await;
        assert_eq!((answer.status, answer.error()), (StatusCode::UNAUTHORIZED, "invalid_client".into()));
        assert!(answer.header("www-authenticate").starts_with("Basic"), "{bad}");
    }
    let twice = send(&basic(&id, &secret), &[("client_secret", &secret)]).await;
    assert_eq!(twice.error(), "invalid_request");
    let good = send(&basic(&id, &secret), &[]).await;
    assert_eq!(good.status, StatusCode::OK, "{}", good.text);
    // RFC 7662: it may ask about its own tokens, others may not.
    let access = good.json()["access_token"].as_str().unwrap().to_owned();
    let ask = async |id: &str, secret: &str, token: &str| {
        let asks = [("client_id", id), ("client_secret", secret), ("token", token)];
        w.post("/oauth/introspect", &asks).await
    };
    let told = ask(&id, &secret, &access).await.json();
    assert_eq!((&told["active"], &told["username"]), (&json!(true), &json!("alice@example.test")));
    assert_eq!((&told["client_id"], &told["exp"]), (&json!(id), &json!(1_700_003_600)));
    assert_eq!(ask(&id, &secret, "gwa_x").await.json(), json!({"active": false}));
    let other = w.register(json!({"token_endpoint_auth_method": "client_secret_basic"})).await;
    let text = |name: &str| other[name].as_str().unwrap();
    let told = ask(text("client_id"), text("client_secret"), &access).await;
    assert_eq!(told.json(), json!({"active": false}));
    let public = w.client().await;
    let told = w.post("/oauth/introspect", &[("client_id", &public), ("token", &access)]).await;
    assert_eq!(told.error(), "invalid_client");
}

/// RFC 7009 §2
#[tokio::test]
async fn tokens_are_revoked() {
    let mut w = World::new().await;
    let client = w.client().await;
    let (access, refresh) = w.tokens(&client).await;
    let other = w.client().await;
    let revoke = async |client: &str, token: &str| {
        let asks = [("client_id", client), ("token", token), ("token_type_hint", "nonsense")];
        w.post("/oauth/revoke", &asks).await.status
    };
    let good = async || w.accounts.bearer(&Secret::new(access.clone()), None).await.unwrap().good().is_some();
    assert_eq!(revoke(&client, "nonsense").await, StatusCode::OK);
    assert_eq!(revoke(&other, &refresh).await, StatusCode::OK);
    assert!(good().await, "it is another's");
    assert_eq!(revoke(&client, &refresh).await, StatusCode::OK);
    assert!(!good().await);
    assert_eq!(w.post("/oauth/revoke", &[("client_id", &client)]).await.error(), "invalid_request");
    assert_eq!(revoke("unknown", "x").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_token_endpoint_looks_at_each_parameter() {
    let mut w = World::new().await;
    let client = w.client().await;
    let codes = w.register(json!({"grant_types": ["authorization_code"]})).await;
    let codes = codes["client_id"].as_str().unwrap();
    let (_, refresh) = w.tokens(&client).await;
    for (asks, error) in [
        (vec![], "invalid_request"),
        (vec![("client_id", client.as_str())], "invalid_request"),
        (vec![("client_id", &client), ("grant_type", "password")], "unsupported_grant_type"),
        (vec![("client_id", "unknown"), ("grant_type", "refresh_token")], "invalid_client"),
        (vec![("client_id", &client), ("grant_type", "refresh_token")], "invalid_request"),
        (
            vec![("client_id", codes), ("grant_type", "refresh_token"), ("refresh_token", &refresh)],
            "unauthorized_client",
        ),
        (
            vec![("client_id", &client), ("grant_type", "refresh_token"), ("refresh_token", "gwr_x")],
            "invalid_grant",
        ),
        (vec![("client_id", &client), ("client_id", &client)], "invalid_request"),
    ] {
        assert_eq!(w.post("/oauth/token", &asks).await.error(), error, "{asks:?}");
    }
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    for body in ["a=%ff".to_owned(), "a=1&".repeat(9_000), "\u{0}".into()] {
        assert_eq!(w.send("POST", "/oauth/token", &kind, body).await.error(), "invalid_request");
    }
    let json = [("content-type", "application/json")];
    assert_eq!(w.send("POST", "/oauth/token", &json, "{}").await.error(), "invalid_request");
    assert_eq!(w.get("/oauth/token").await.status, StatusCode::METHOD_NOT_ALLOWED);
    // A client without refresh tokens gets none.
    let code = w.code(codes).await;
    assert_eq!(w.exchange(codes, &code).await.json().get("refresh_token"), None);
    let late = w.code(&client).await;
    w.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(w.exchange(&client, &late).await.error(), "invalid_grant");
}

#[tokio::test]
async fn registration_is_open_but_not_without_end() {
    let w = World::new().await;
    let fields = [("content-type", "application/json")];
    let send = async |body: String| w.send("POST", "/oauth/register", &fields, body).await;
    assert_eq!(send("{".into()).await.error(), "invalid_client_metadata");
    assert_eq!(send("{}".into()).await.error(), "invalid_redirect_uri");
    assert_eq!(send("[".repeat(10_000)).await.error(), "invalid_client_metadata");
    assert_eq!(send(" ".repeat(100_000)).await.error(), "invalid_client_metadata");
    for _ in 0..17 {
        w.client().await;
    }
    let refused = send(json!({"redirect_uris": [BACK]}).to_string()).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "60");
}

#[tokio::test]
async fn where_others_can_read_along_nothing_is_given() {
    let w = World::new().await;
    let client = w.client().await;
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    for (method, path) in [
        ("GET", asks(&client, &[])),
        ("POST", asks(&client, &[])),
        ("POST", "/oauth/token".into()),
        ("POST", "/oauth/revoke".into()),
        ("POST", "/oauth/introspect".into()),
        ("POST", "/oauth/register".into()),
    ] {
        let answer = w.send_from(method, &path, &kind, Body::empty(), false).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
}

/// RFC 8628
#[tokio::test]
async fn a_device_is_allowed_elsewhere() {
    let mut w = World::new().await;
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let client = w.register(json!({"redirect_uris": [], "grant_types": [device, "refresh_token"]})).await;
    let client = client["client_id"].as_str().unwrap().to_owned();
    let begun = w.post("/oauth/device", &[("client_id", &client), ("scope", MAIL)]).await.json();
    assert_eq!((&begun["interval"], &begun["expires_in"]), (&json!(5), &json!(600)));
    assert_eq!(begun["verification_uri"], format!("{BASE}/device"));
    let code = begun["device_code"].as_str().unwrap();
    let poll = async |w: &World| {
        let asks = [("grant_type", device), ("client_id", client.as_str()), ("device_code", code)];
        w.post("/oauth/token", &asks).await
    };
    assert_eq!(poll(&w).await.error(), "authorization_pending");
    assert_eq!(poll(&w).await.error(), "slow_down");
    assert!(w.get("/device").await.text.contains("<label for=\"user_code\">"));
    assert_eq!(w.get("/device?user_code=BBBB-BBBB").await.status, StatusCode::NOT_FOUND);
    let complete = begun["verification_uri_complete"].as_str().unwrap();
    let path = complete.strip_prefix(BASE).unwrap().to_owned();
    let (page, token) = w.open(&path).await;
    assert!(page.text.contains(begun["user_code"].as_str().unwrap()), "{}", page.text);
    assert!(page.header("content-security-policy").contains("form-action 'self';"));
    let stray = w.post(&path, &says("x")).await;
    assert_eq!(stray.status, StatusCode::FORBIDDEN);
    let allowed = w.post(&path, &says(&token)).await;
    assert!(allowed.status == StatusCode::OK && allowed.text.contains("Allowed"), "{}", allowed.text);
    let issued = poll(&w).await.json();
    let access = Secret::new(issued["access_token"].as_str().unwrap());
    assert!(
        w.accounts.bearer(&access, None).await.unwrap().good().is_some()
            && issued["refresh_token"].is_string()
    );
    assert_eq!(poll(&w).await.error(), "invalid_grant");
    // It may not do what it has not registered for, and others may not do this.
    assert_eq!(w.get(&asks(&client, &[])).await.status, StatusCode::BAD_REQUEST);
    let other = w.client().await;
    let refused = w.post("/oauth/device", &[("client_id", &other), ("scope", MAIL)]).await;
    assert_eq!(refused.error(), "unauthorized_client");
    let begun = w.post("/oauth/device", &[("client_id", &client), ("scope", MAIL)]).await.json();
    let path = format!("/device?user_code={}", begun["user_code"].as_str().unwrap());
    let denied = w.post(&path, &[("token", &token), ("answer", "deny")]).await;
    assert!(denied.text.contains("Not allowed"), "{}", denied.text);
    let code = begun["device_code"].as_str().unwrap();
    let asks = [("grant_type", device), ("client_id", client.as_str()), ("device_code", code)];
    assert_eq!(w.post("/oauth/token", &asks).await.error(), "access_denied");
}
