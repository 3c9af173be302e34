//! Pushes to devices that are not connected (RFC 8620 §7.2): a push service of the test's own decrypts what it is sent (RFC 8291,
//! the receiver's side) and looks at who signed it (RFC 8292).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, ensure};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey as Verifier};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::line::Line;
use harness::{Cluster, ClusterOptions, Node, NodeOptions, Smtp, script, wait};
use rustix::process::Signal;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use servers::PostgreSql;
use servers::postgres::QUICK;

/// Longer than any takeover: who waits so long waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a service was asked to pass on.
struct Push {
    path: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Push {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }
}

/// A push service on this machine. What is asked for below `/gone` is not there any more.
struct Service {
    origin: String,
    came: Receiver<Push>,
    authority: PathBuf,
    _dir: tempfile::TempDir,
}

impl Service {
    fn start() -> anyhow::Result<Service> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let dir = tempfile::tempdir()?;
        let authority = dir.path().join("push.pem");
        std::fs::write(&authority, made.cert.pem())?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)?;
        let (config, socket) = (Arc::new(config), TcpListener::bind("127.0.0.1:0")?);
        let origin = format!("https://{}", socket.local_addr()?);
        let (sender, came) = channel();
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                let (config, sender) = (Arc::clone(&config), sender.clone());
                // Who goes away in the middle is no matter.
                std::thread::spawn(move || serve(stream, config, &sender));
            }
        });
        Ok(Service { origin, came, authority, _dir: dir })
    }

    fn next(&self) -> anyhow::Result<Push> {
        self.came.recv_timeout(PATIENCE).context("nothing was pushed")
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, sender: &Sender<Push>) -> anyhow::Result<()> {
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config)?, stream));
    loop {
        let mut line = String::new();
        ensure!(stream.read_line(&mut line)? > 0, "the end");
        let path = line.split(' ').nth(1).context("no path")?.to_owned();
        let mut fields = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            fields.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut push = Push { path, fields, body: Vec::new() };
        push.body.resize(push.field("content-length").context("no length")?.parse()?, 0);
        stream.read_exact(&mut push.body)?;
        let status = if push.path.starts_with("/gone") { "410 Gone" } else { "201 Created" };
        sender.send(push)?;
        stream.get_mut().write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
    }
}

/// A device: its keys, and what it is pushed.
struct Device {
    private: PrivateKey,
    public: Vec<u8>,
    secret: [u8; 16],
}

impl Device {
    fn new() -> anyhow::Result<Device> {
        let private = PrivateKey::generate(&ECDH_P256)?;
        let public = private.compute_public_key()?.as_ref().to_vec();
        let mut secret = [0; 16];
        aws_lc_rs::rand::fill(&mut secret)?;
        Ok(Device { private, public, secret })
    }

    fn keys(&self) -> Value {
        json!({"p256dh": URL_SAFE_NO_PAD.encode(&self.public), "auth": URL_SAFE_NO_PAD.encode(self.secret)})
    }

    /// RFC 8291 §3.4, RFC 8188 §2, as a receiver does it, with HKDF from its parts (RFC 5869).
    fn open(&self, body: &[u8]) -> anyhow::Result<Value> {
        let (salt, rest) = body.split_at_checked(16).context("no salt")?;
        let (size, rest) = rest.split_at_checked(4).context("no record size")?;
        ensure!(size == 4096_u32.to_be_bytes() && rest.first() == Some(&65), "another record");
        let (sender, record) = rest.get(1..).and_then(|rest| rest.split_at_checked(65)).context("no key")?;
        let peer = UnparsedPublicKey::new(&ECDH_P256, sender);
        let shared = agree(&self.private, peer, anyhow::anyhow!("no agreement"), |s| Ok(s.to_vec()))?;
        let hmac = |key: &[u8], parts: &[&[u8]]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            hmac::sign(&key, &parts.concat()).as_ref().to_vec()
        };
        let first = hmac(&self.secret, &[&shared]);
        let input = hmac(&first, &[b"WebPush: info\0", &self.public, sender, &[1]]);
        let second = hmac(salt, &[&input]);
        let key = hmac(&second, &[b"Content-Encoding: aes128gcm\0", &[1]]);
        let nonce = hmac(&second, &[b"Content-Encoding: nonce\0", &[1]]);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..16])?);
        let mut record = record.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(&nonce[..12])?;
        let text = key.open_in_place(nonce, Aad::empty(), &mut record)?;
        let end = text.iter().rposition(|b| *b == 2).context("no end of the text")?;
        Ok(serde_json::from_slice(&text[..end])?)
    }
}

/// RFC 8292 §2, §3: signed by the key that the session tells, for this service, and good for a day at most.
fn check_signature(push: &Push, key: &str, origin: &str) -> anyhow::Result<()> {
    let said =
        push.field("authorization").and_then(|said| said.strip_prefix("vapid t=")).context("unsigned")?;
    let (token, by) = said.split_once(", k=").context("no key")?;
    ensure!(by == key, "by another");
    let (signed, signature) = token.rsplit_once('.').context("no signature")?;
    let verifier = Verifier::new(&ECDSA_P256_SHA256_FIXED, URL_SAFE_NO_PAD.decode(key)?);
    verifier.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature)?)?;
    let claims = signed.split('.').nth(1).context("no claims")?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    ensure!(claims["aud"] == origin && claims["sub"].as_str().is_some_and(|sub| sub.starts_with("mailto:")));
    Ok(())
}

/// Asks a node by HTTPS.
fn http(address: &str, login: (&str, &str), head: &str, body: &str) -> anyhow::Result<Value> {
    let token = STANDARD.encode(format!("{}:{}", login.0, login.1));
    let mut line = Line::connect_tls(address)?;
    line.send(
        format!(
            "{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Basic {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    )?;
    let answer = String::from_utf8(line.read_to_end()?)?;
    Ok(serde_json::from_str(answer.split_once("\r\n\r\n").context("no head")?.1)?)
}

fn call(address: &str, login: (&str, &str), name: &str, arguments: &Value) -> anyhow::Result<Value> {
    let request = json!({"using": ["urn:ietf:params:jmap:core"], "methodCalls": [[name, arguments, "0"]]});
    let said = http(address, login, "POST /jmap", &request.to_string())?;
    Ok(said["methodResponses"][0][1].clone())
}

fn subscribe(address: &str, login: (&str, &str), given: Value) -> anyhow::Result<String> {
    let mut given = given;
    given["deviceClientId"] = "test".into();
    let made = call(address, login, "PushSubscription/set", &json!({"create": {"a": given}}))?;
    Ok(made["created"]["a"]["id"].as_str().with_context(|| made.to_string())?.to_owned())
}

fn verify(address: &str, login: (&str, &str), asked: &Value) -> anyhow::Result<()> {
    ensure!(asked["@type"] == "PushVerification", "{asked}");
    let id = asked["pushSubscriptionId"].as_str().context("no id")?;
    let update = json!({"update": {id: {"verificationCode": asked["verificationCode"]}}});
    let set = call(address, login, "PushSubscription/set", &update)?;
    ensure!(set["updated"].get(id).is_some(), "{set}");
    Ok(())
}

/// Whether the node that pushes has begun with a subscription: only what changes from then on is told.
fn until_told(address: &str, count: f64) -> anyhow::Result<()> {
    wait::until("somebody who pushes", || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let line = text.lines().find(|line| line.starts_with("jmap_push_positions_total"));
        let figure = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(figure.filter(|figure| *figure >= count).map(drop))
    })
}

/// RFC 8620 §7.2, RFC 8030 §5, RFC 8291, RFC 8292, RFC 9749
#[test]
fn a_device_is_verified_and_then_told() -> anyhow::Result<()> {
    let service = Service::start()?;
    let options = NodeOptions { push_authority: Some(service.authority.clone()), ..NodeOptions::default() };
    let node = Node::start(options)?;
    let (address, login) = (node.listener("https"), ("alice@example.test", node.password("alice")));
    let session = http(address, login, "GET /jmap/session", "")?;
    let key = session["capabilities"]["urn:ietf:params:jmap:webpush-vapid"]["applicationServerKey"].clone();
    let key = key.as_str().context("no key")?;
    let device = Device::new()?;
    let given =
        json!({"url": format!("{}/a", service.origin), "keys": device.keys(), "types": ["EmailDelivery"]});
    let id = subscribe(address, login, given)?;
    let asked = service.next()?;
    assert_eq!((asked.path.as_str(), asked.field("content-encoding")), ("/a", Some("aes128gcm")));
    assert!(asked.field("ttl").is_some() && asked.field("topic").is_none());
    check_signature(&asked, key, &service.origin)?;
    let code = device.open(&asked.body)?;
    assert_eq!(code["pushSubscriptionId"], *id);
    // Nobody is told who has not said the code.
    script::deliver(&node, "alice", 1)?;
    verify(address, login, &code)?;
    until_told(node.listener("admin"), 1.0)?;
    script::deliver(&node, "alice", 1)?;
    let told = service.next()?;
    assert_eq!(told.field("urgency"), Some("normal"));
    assert!(told.field("topic").is_some_and(|topic| topic.len() <= 32));
    let change = device.open(&told.body)?;
    let account = session["primaryAccounts"]["urn:ietf:params:jmap:mail"].as_str().context("no account")?;
    assert_eq!(change["@type"], "StateChange");
    let states = change["changed"][account].as_object().context("nothing changed")?;
    assert_eq!(states.keys().collect::<Vec<_>>(), ["EmailDelivery"]);
    // Without keys it is sent as it is; a subscription whose service says that it is gone goes.
    let gone = subscribe(address, login, json!({"url": format!("{}/gone", service.origin)}))?;
    let asked = service.next()?;
    assert_eq!((asked.path.as_str(), asked.field("content-encoding")), ("/gone", None));
    assert_eq!(serde_json::from_slice::<Value>(&asked.body)?["pushSubscriptionId"], *gone);
    wait::until("its end", || {
        let answer = call(address, login, "PushSubscription/get", &json!({"ids": [gone]}))?;
        Ok((answer["notFound"] == json!([gone])).then_some(()))
    })
}

/// What any node takes is pushed by the one whose work that is; when that one dies, by another, and nothing is left out.
#[test]
fn another_node_goes_on_pushing() -> anyhow::Result<()> {
    let Some(server) = PostgreSql::start(QUICK) else { return Ok(()) };
    let service = Service::start()?;
    let options = ClusterOptions {
        nodes: 3,
        store: server.url(),
        users: 1,
        push_authority: Some(service.authority.clone()),
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::start(&options)?;
    cluster.together()?;
    let (device, login) = (Device::new()?, ("u0@example.test", "secret"));
    let given = json!({"url": format!("{}/b", service.origin), "keys": device.keys(), "types": ["Email"]});
    subscribe(cluster.listener(0, "https"), login, given)?;
    verify(cluster.listener(1, "https"), login, &device.open(&service.next()?.body)?)?;
    let owner = wait::until("somebody who pushes", || {
        let mut owner = None;
        for node in 0..3 {
            owner = owner.or((cluster.metric(node, "jmap_push_positions_total")? > 0.0).then_some(node));
        }
        Ok(owner)
    })?;
    let others: Vec<usize> = (0..3).filter(|node| *node != owner).collect();
    let deliver = |node: usize| -> anyhow::Result<()> {
        let mut smtp = Smtp::connect(cluster.listener(node, "smtp"))?;
        let message = b"From: s@example.org\r\nSubject: s\r\n\r\nbody\r\n";
        ensure!(smtp.send("s@example.org", &["u0@example.test"], message)?.0 == 250);
        Ok(())
    };
    for node in &others {
        deliver(*node)?;
        assert_eq!(device.open(&service.next()?.body)?["@type"], "StateChange");
    }
    cluster.signal(owner, Signal::KILL)?;
    deliver(others[0])?;
    let state =
        |answer: &Value| answer["changed"].as_object()?.values().next()?["Email"].as_str().map(str::to_owned);
    let core = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
    let address = cluster.listener(others[1], "https");
    let session = http(address, login, "GET /jmap/session", "")?;
    let account = &session["primaryAccounts"]["urn:ietf:params:jmap:mail"];
    let request =
        json!({"using": core, "methodCalls": [["Email/get", {"accountId": account, "ids": []}, "0"]]});
    let now = http(address, login, "POST /jmap", &request.to_string())?;
    let now = now["methodResponses"][0][1]["state"].as_str().context("no state")?.to_owned();
    // What was pushed last before the end may come again.
    while state(&device.open(&service.next()?.body)?).as_deref() != Some(now.as_str()) {}
    let _ = cluster.stop();
    Ok(())
}
