//! Logging in with a token (RFC 7628), and staying as long as what was shown is good.

use accounts::Secret;
use accounts::oauth::{Exchange, NewClient, NewGrant, Scope};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schema::GrantId;

use crate::support::{ALICE, World};

const MAIL: &str = "urn:ietf:params:jmap:mail";

impl World {
    /// A token that alice has allowed for something, and its grant.
    async fn token(&self, scope: &str) -> (String, GrantId) {
        let accounts = &self.accounts;
        let says = NewClient { method: "none".into(), ..NewClient::default() };
        let new = NewGrant {
            account: ALICE,
            credential: accounts.login("alice@example.test").await.unwrap().unwrap().credentials[0].version,
            client: accounts.register_client(&says).await.unwrap().client.id,
            scope: Scope::parse(scope),
            redirect_uri: "a:/".into(),
            challenge: [0; 32],
            nonce: String::new(),
            second: false,
        };
        let code = &accounts.allow(&new).await.unwrap().unwrap();
        let (client, redirect_uri) = (&new.client, "a:/");
        let shown = Exchange { code, client, redirect_uri, challenge: [0; 32], refreshes: false };
        let access = accounts.exchange(shown).await.unwrap().unwrap().access;
        let grant = accounts.bearer(&access, None).await.unwrap().good().unwrap().grant;
        (access.expose().to_owned(), grant)
    }
}

fn bearer(user: &str, token: &str) -> String {
    STANDARD.encode(format!("n,a={user},\u{1}host=x\u{1}port=143\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

fn xoauth2(user: &str, token: &str) -> String {
    STANDARD.encode(format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

/// RFC 7628 §4.1, and the older one.
#[tokio::test]
async fn a_token_is_as_good_as_a_password() {
    let world = World::new().await;
    let (token, _) = world.token(MAIL).await;
    let mut c = world.connect().await;
    assert!(c.greeting.contains("AUTH=OAUTHBEARER AUTH=XOAUTH2"), "{}", c.greeting);
    c.ok(&format!("AUTHENTICATE OAUTHBEARER {}", bearer("alice@example.test", &token))).await;
    c.ok("SELECT INBOX").await;
    let mut c = world.connect().await;
    c.ok(&format!("AUTHENTICATE XOAUTH2 {}", xoauth2("alice@example.test", &token))).await;
    let mut c = world.connect().await;
    let lines = format!("a AUTHENTICATE OAUTHBEARER\r\n{}\r\n", bearer("alice@example.test", &token));
    let answer = c.raw(&lines, "a ").await;
    assert!(answer.contains("+ \r\n") && answer.contains("a OK"), "{answer}");
}

/// RFC 7628 §4.3: the error in a challenge, an answer that means nothing, NO.
#[tokio::test]
async fn a_token_that_is_no_good_is_told_why() {
    let world = World::new().await;
    let ((good, _), (narrow, _)) = (world.token(MAIL).await, world.token("urn:ietf:params:jmap:quota").await);
    let metadata = r#""openid-configuration":"https://mail.example.test/m"}"#;
    let invalid = format!(r#"{{"status":"invalid_token",{metadata}"#);
    let scope = format!(r#"{{"status":"insufficient_scope","scope":"{MAIL}",{metadata}"#);
    for (auth, json, end) in [
        (format!("OAUTHBEARER {}", bearer("alice@example.test", "gwa_guess")), &invalid, "AQ=="),
        (format!("OAUTHBEARER {}", bearer("n8@example.test", &good)), &invalid, "AQ=="),
        (format!("XOAUTH2 {}", xoauth2("alice@example.test", &narrow)), &scope, ""),
    ] {
        let mut c = world.connect().await;
        c.send(&format!("a AUTHENTICATE {auth}\r\n")).await;
        let told = c.until("+ ").await;
        assert_eq!(told, format!("+ {}\r\n", STANDARD.encode(json)));
        let answer = c.raw(&format!("{end}\r\n"), "a ").await;
        assert!(answer.starts_with("a NO [AUTHENTICATIONFAILED]"), "{answer}");
        c.ok("LOGIN alice secret").await;
    }
    // Who gives up after the error has failed as well.
    let mut c = world.connect().await;
    for _ in 0..4 {
        let lines = format!("a AUTHENTICATE OAUTHBEARER {}\r\n*\r\n", bearer("alice@example.test", "gwa_x"));
        let answer = c.raw(&lines, "a ").await;
        assert!(answer.contains("a BAD"), "{answer}");
    }
    c.send("x LOGIN alice wrong\r\n").await;
    c.until("* BYE").await;
    c.closed().await;
}

/// One session ends with its grant, another with the password by which it was opened; nobody else is concerned.
#[tokio::test]
async fn a_session_ends_with_what_was_shown() {
    let world = World::new().await;
    let (token, grant) = world.token(MAIL).await;
    let by_token = async || {
        let mut c = world.connect().await;
        c.ok(&format!("AUTHENTICATE OAUTHBEARER {}", bearer("alice@example.test", &token))).await;
        c
    };
    let (mut idle, mut late, mut other) = (by_token().await, by_token().await, world.login().await);
    idle.send("i IDLE\r\n").await;
    idle.until("+ ").await;
    other.send("i IDLE\r\n").await;
    other.until("+ ").await;
    world.accounts.take_back(ALICE, grant).await.unwrap();
    idle.until("* BYE ").await;
    idle.closed().await;
    late.send("x SELECT INBOX\r\n").await;
    late.until("* BYE ").await;
    late.closed().await;
    other.send("DONE\r\n").await;
    other.until("i OK").await;
    other.ok("SELECT INBOX").await;
    world.accounts.set_password(ALICE, &Secret::new("another")).await.unwrap();
    other.until("* BYE ").await;
    other.closed().await;
}
