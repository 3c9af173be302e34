//! Connections over real sockets.

use std::sync::Arc;
use std::time::Duration;

use accounts::oauth::{Bearer, Scope};
use accounts::{Admitted, AuthFailure, AuthRequest, Authenticator, Identity, Proof, TokenShown};
use axum::body::Body;
use axum::http::{Request, StatusCode, Version, header};
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures::future::BoxFuture;
use hyper_util::rt::{TokioExecutor, TokioIo};
use net::{Protocol, SessionContext};
use runtime::{Shutdown, SystemClock};
use schema::AccountId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::{Guard, Http, Options, site};

/// Knows alice and her password `secret`.
struct Doorman;

impl Authenticator for Doorman {
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Admitted, AuthFailure>> {
        let decision = match (request.login, request.password.expose()) {
            ("alice", "secret") => Ok(Identity {
                account: AccountId(1),
                address: "alice@example.test".into(),
                display_name: String::new(),
                groups: vec![],
                shares: vec![],
            }),
            ("disabled", _) => Err(AuthFailure::Disabled),
            ("busy", _) => Err(AuthFailure::RateLimited),
            _ => Err(AuthFailure::Invalid),
        };
        let proof = Proof::Password(1);
        Box::pin(async move { decision.map(|identity| Admitted { identity, proof, until: None }) })
    }

    fn bearer<'a>(&'a self, shown: TokenShown<'a>) -> BoxFuture<'a, Result<Bearer, AuthFailure>> {
        let identity = Identity {
            account: AccountId(1),
            address: "alice@example.test".into(),
            display_name: String::new(),
            groups: vec![],
            shares: vec![],
        };
        let (grant, scope) = (schema::GrantId(1), Scope::parse("a"));
        let good = shown.token.expose() == "good";
        let bearer = Bearer { identity, grant, scope, expires: 5 };
        Box::pin(async move { good.then_some(bearer).ok_or(AuthFailure::Invalid) })
    }

    fn revoked(&self, _: AccountId, _: Proof) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn router(gate: &Arc<Notify>, plaintext_from_loopback: bool) -> Router {
    let (gate, gate2) = (Arc::clone(gate), Arc::clone(gate));
    let slow = move || async move {
        gate.notify_one();
        gate.notified().await;
        "slow"
    };
    let who = |Extension(identity): Extension<Identity>, request: Request<Body>| async move {
        let scope = request.extensions().get::<Bearer>().map(|bearer| bearer.scope.to_string());
        format!("{} {}{}", identity.address, request.uri(), scope.unwrap_or_default())
    };
    let size = |request: Request<Body>| async move {
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await;
        body.map_or_else(|error| format!("failed: {error}"), |bytes| bytes.len().to_string())
    };
    // Goes on until it is told to end.
    let ends = gate2;
    let long = move || async move {
        let rest = futures::stream::once(async move {
            ends.notified().await;
            Ok::<_, std::convert::Infallible>("end")
        });
        Body::from_stream(rest)
    };
    // Says back what comes, in another protocol.
    let upgrade = |mut request: Request<Body>| async move {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgraded.await.unwrap());
            let mut said = [0; 4];
            io.read_exact(&mut said).await.unwrap();
            io.write_all(&said).await.unwrap();
            io.flush().await.unwrap();
        });
        (StatusCode::SWITCHING_PROTOCOLS, [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")])
    };
    let open = Router::new()
        .route("/long", get(long))
        .route("/upgrade", get(upgrade))
        .route("/slow", get(slow))
        .route("/size", post(size))
        .route("/text", get(|| async { "x".repeat(5_000) }));
    let private = Router::new().route("/who", get(who));
    let metadata = Some("/.well-known/oauth-protected-resource");
    site(open, private, Guard { authenticator: Arc::new(Doorman), plaintext_from_loopback, metadata })
}

struct World {
    client: TcpStream,
    shutdown: Shutdown,
    gate: Arc<Notify>,
    served: tokio::task::JoinHandle<()>,
}

async fn world() -> World {
    world_with(Options::default(), true).await
}

async fn world_with(options: Options, plaintext: bool) -> World {
    let (connection, client) = net::testing::pair().await.unwrap();
    let (shutdown, gate) = (Shutdown::new(), Arc::new(Notify::new()));
    let clock = SystemClock::shared();
    let context = SessionContext { id: 1, shutdown: shutdown.clone(), clock, tls: None };
    let served = tokio::spawn(Http::new(router(&gate, plaintext), options).serve(connection, context));
    World { client, shutdown, gate, served }
}

/// Sends text and reads to the end.
async fn talk(mut client: TcpStream, text: &str) -> String {
    client.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // One who is cut off may see a reset in place of the end.
    let _ = client.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn ask(path: &str, more: &str) -> String {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: mail.example.test\r\nConnection: close\r\n{more}\r\n");
    talk(world().await.client, &request).await
}

#[tokio::test]
async fn who_logs_in_is_known() {
    let answer = ask("/who", "Authorization: Basic YWxpY2U6c2VjcmV0\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("alice@example.test http://mail.example.test/who"), "{answer}");
    for (more, status) in [
        ("", "401"),
        ("Authorization: Basic YWxpY2U6d3Jvbmc=\r\n", "401"),
        ("Authorization: Bearer abc\r\n", "401"),
        ("Authorization: Basic ZGlzYWJsZWQ6eA==\r\n", "403"),
        ("Authorization: Basic YnVzeTp4\r\n", "429"),
    ] {
        let answer = ask("/who", more).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
        assert_eq!(status == "401", answer.contains("www-authenticate: Basic"), "{answer}");
        assert_eq!(status == "429", answer.contains("ratelimit: \"login\";r=0;t=60"), "{answer}");
    }
}

/// RFC 6750 §3, RFC 9728 §5.1
#[tokio::test]
async fn tokens_are_taken_and_it_is_said_where_they_come_from() {
    let answer = ask("/who", "Authorization: Bearer good\r\n").await;
    assert!(answer.ends_with("alice@example.test http://mail.example.test/whoa"), "{answer}");
    let place = "resource_metadata=\"http://mail.example.test/.well-known/oauth-protected-resource\"";
    let none = ask("/who", "").await;
    assert!(none.contains(&format!("www-authenticate: Bearer realm=\"godwit\", {place}")), "{none}");
    let bad = ask("/who", "Authorization: Bearer bad\r\n").await;
    let told = format!("www-authenticate: Bearer realm=\"godwit\", error=\"invalid_token\", {place}");
    assert!(bad.contains(&told), "{bad}");
}

#[tokio::test]
async fn no_password_goes_in_clear() {
    let world = world_with(Options::default(), false).await;
    let request =
        "GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n";
    let answer = talk(world.client, request).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn answers_are_protected_and_compressed() {
    let plain = ask("/text", "").await;
    for field in ["x-content-type-options: nosniff", "cache-control: no-store", "content-security-policy: "] {
        assert!(plain.contains(field), "{plain}");
    }
    assert!(plain.contains(&"x".repeat(5_000)));
    let packed = ask("/text", "Accept-Encoding: gzip\r\n").await;
    assert!(packed.contains("content-encoding: gzip") && packed.len() < 1_000, "{packed}");
    // RFC 8878 where the client has it: the answer is no text any more, its head is.
    let packed = ask("/text", "Accept-Encoding: zstd, gzip;q=0.5\r\n").await;
    assert!(packed.contains("content-encoding: zstd") && packed.len() < 1_000, "{packed}");
    let missing = ask("/missing", "").await;
    assert!(missing.starts_with("HTTP/1.1 404") && missing.contains("application/problem+json"), "{missing}");
    let hostless = talk(world().await.client, "GET /text HTTP/1.0\r\n\r\n").await;
    assert!(hostless.starts_with("HTTP/1.0 400"), "{hostless}");
}

#[tokio::test]
async fn pages_of_other_origins_may_ask() {
    let request = "OPTIONS /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: https://app.example\r\n\
        Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n\r\n";
    let answer = talk(world().await.client, request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: *"), "{answer}");
    assert!(answer.contains("access-control-allow-headers: authorization"), "{answer}");
    assert!(!answer.contains("allow-credentials"), "{answer}");
}

#[tokio::test]
async fn a_drain_lets_finish_what_has_begun() {
    let World { mut client, shutdown, gate, served } = world().await;
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    gate.notified().await;
    shutdown.begin();
    tokio::task::yield_now().await;
    gate.notify_one();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    drop(client);
    served.await.unwrap();
}

type Sender = hyper::client::conn::http2::SendRequest<Body>;

async fn http2(client: TcpStream) -> Sender {
    let io = TokioIo::new(client);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(path: &str) -> Request<Body> {
    let uri = format!("http://mail.example.test{path}");
    Request::builder().version(Version::HTTP_2).uri(uri).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn http2_is_spoken_and_drained() {
    let World { client, shutdown, gate, served } = world().await;
    let mut sender = http2(client).await;
    let answer = sender.send_request(request("/text")).await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
    let slow = sender.send_request(request("/slow"));
    let finished = tokio::spawn(slow);
    gate.notified().await;
    shutdown.begin();
    tokio::task::yield_now().await;
    // Either the client has heard of it (GOAWAY), or the request is turned away.
    if let Ok(answer) = sender.send_request(request("/text")).await {
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key(header::RETRY_AFTER));
    }
    gate.notify_one();
    assert_eq!(finished.await.unwrap().unwrap().status(), StatusCode::OK);
    drop(sender);
    served.await.unwrap();
}

#[tokio::test]
async fn a_connection_lasts_as_long_as_what_is_spoken_after_an_upgrade() {
    let World { mut client, served, .. } = world().await;
    let request = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", head.escape_ascii());
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!served.is_finished());
    client.write_all(b"ping").await.unwrap();
    let mut said = [0; 4];
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"ping");
    served.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_still_sent_is_no_idleness() {
    let options = Options { idle_time: Duration::from_secs(40), ..Options::default() };
    let World { client, served, gate, .. } = world_with(options, true).await;
    let mut sender = http2(client).await;
    let long = sender.send_request(request("/long")).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(100)).await;
    tokio::time::resume();
    assert_eq!(sender.send_request(request("/text")).await.unwrap().status(), StatusCode::OK);
    gate.notify_one();
    assert_eq!(axum::body::to_bytes(Body::new(long.into_body()), 10).await.unwrap(), "end");
    drop(sender);
    served.await.unwrap();
}

#[tokio::test]
async fn silence_ends() {
    for begun in
        ["", "GET /text HTTP/1.1\r\nHost:", "POST /size HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"]
    {
        let World { mut client, served, .. } = world().await;
        client.write_all(begun.as_bytes()).await.unwrap();
        // Otherwise time would pass before the bytes do.
        tokio::task::yield_now().await;
        tokio::time::pause();
        let answer = talk(client, "").await;
        assert!(!answer.contains("200 OK") || answer.contains("too slowly"), "{answer}");
        served.await.unwrap();
        tokio::time::resume();
    }
    let options = Options { idle_time: Duration::from_secs(40), ..Options::default() };
    let World { client, served, .. } = world_with(options, true).await;
    let mut sender = http2(client).await;
    sender.send_request(request("/text")).await.unwrap();
    tokio::time::pause();
    served.await.unwrap();
}

#[tokio::test]
async fn heads_are_bounded() {
    let field = format!("X-Much: {}\r\n", "y".repeat(70_000));
    let answer = ask("/text", &field).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}
