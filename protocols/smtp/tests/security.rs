//! STARTTLS and AUTH.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "a test ends where it fails; its support serves others too"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use godwit_smtp::Role;
use support::{Client, Fixture};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

async fn secure(fixture: &Fixture, mut client: Client<TcpStream>) -> Client<TlsStream<TcpStream>> {
    client.expect("STARTTLS", "220 2.0.0").await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(fixture.certificate()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect("localhost".try_into().unwrap(), client.stream).await.unwrap();
    Client::new(stream)
}

/// `\0alice@example.test\0secret` and the same with another password.
const RIGHT: &str = "AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=";
const WRONG: &str = "AGFsaWNlQGV4YW1wbGUudGVzdAB3cm9uZw==";

#[tokio::test]
async fn a_submission() {
    let fixture = Fixture::new(Role::Submission);
    let mut client = fixture.connect().await;
    let reply = client.expect("EHLO laptop", "250-").await;
    assert!(reply.contains("STARTTLS") && !reply.contains("AUTH"), "{reply}");
    client.expect("MAIL FROM:<alice@example.test>", "530 5.7.0").await;
    client.expect(&format!("AUTH PLAIN {RIGHT}"), "538 5.7.11").await;
    let mut client = secure(&fixture, client).await;
    client.expect(&format!("AUTH PLAIN {RIGHT}"), "503 5.5.1").await;
    let reply = client.expect("EHLO laptop", "250-").await;
    assert!(!reply.contains("STARTTLS"), "{reply}");
    assert!(reply.contains("AUTH PLAIN LOGIN OAUTHBEARER XOAUTH2\r\n"), "{reply}");
    client.expect("AUTH CRAM-MD5", "504 5.5.4").await;
    client.expect(&format!("AUTH PLAIN {WRONG}"), "535 5.7.8").await;
    client.expect("AUTH PLAIN", "334 \r\n").await;
    client.expect(RIGHT, "235 2.7.0").await;
    client.expect(&format!("AUTH PLAIN {RIGHT}"), "503 5.5.1").await;
    client.expect("MAIL FROM:<bob@example.test>", "553 5.7.1").await;
    client.expect("MAIL FROM:<alice@example.test>", "250").await;
    client.expect("RCPT TO:<relay@example.org>", "250").await;
    client.expect("DATA", "354").await;
    client.expect("Subject: no date\r\n\r\nx\r\n.", "250").await;
    let text = fixture.texts().remove(0);
    assert!(text.contains("with ESMTPSA id") && text.contains("using TLS1.3 TLS"), "{text}");
    assert!(text.contains("\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <"), "{text}");
    assert!(text.ends_with("@mx.example.test>\r\nSubject: no date\r\n\r\nx\r\n"), "{text}");
}

#[tokio::test]
async fn sessions_of_an_account_that_is_disabled_end() {
    let fixture = Fixture::new(Role::Submission);
    let mut sessions = Vec::new();
    for last in ["NOOP", "MAIL FROM:<alice@example.test>", "RCPT TO:<relay@example.org>", "DATA"] {
        let mut client = secure(&fixture, fixture.ready().await).await;
        client.expect("EHLO laptop", "250-").await;
        client.expect(&format!("AUTH PLAIN {RIGHT}"), "235").await;
        let talk = ["MAIL FROM:<alice@example.test>", "RCPT TO:<relay@example.org>", "DATA"];
        let upto = talk.iter().position(|command| *command == last).map_or(0, |at| at + 1);
        for command in &talk[..upto] {
            client.expect(command, if *command == "DATA" { "354" } else { "250" }).await;
        }
        sessions.push(client);
    }
    let mut stranger = secure(&fixture, fixture.ready().await).await;
    fixture.passwords.revoked.cancel();
    for client in &mut sessions {
        client.expect_reply("disabled", "421 4.7.0").await;
        client.expect_end().await;
    }
    stranger.expect("EHLO laptop", "250-").await;
    assert_eq!(fixture.texts(), [""; 0], "nothing was taken");
}

#[tokio::test]
async fn what_a_submitted_message_has_is_kept() {
    let fixture = Fixture::new(Role::Submission);
    let mut client = secure(&fixture, fixture.ready().await).await;
    client.expect("EHLO laptop", "250-").await;
    client.expect(&format!("AUTH PLAIN {RIGHT}"), "235").await;
    for text in ["Date: d\r\nMessage-ID: m\r\n\r\nx\r\n", "Date: d\r\nmessage-id: m\r\n"] {
        client.expect("MAIL FROM:<alice@example.test>", "250").await;
        client.expect("RCPT TO:<bob@example.test>", "250").await;
        client.expect("DATA", "354").await;
        client.expect(&format!("{text}."), "250").await;
        let kept = fixture.texts().pop().unwrap();
        assert!(kept.ends_with(&format!("+0000\r\n{text}")) && kept.contains("with ESMTPSA id"), "{kept}");
    }
}

#[tokio::test]
async fn login_and_its_failures() {
    let fixture = Fixture::new(Role::Submission);
    let mut client = secure(&fixture, fixture.ready().await).await;
    client.expect("EHLO laptop", "250-").await;
    client.expect("AUTH LOGIN", "334 VXNlcm5hbWU6").await;
    client.expect("*", "501 5.5.2").await;
    client.expect("AUTH LOGIN", "334 ").await;
    client.expect("!!!", "501 5.5.2").await;
    client.expect("AUTH LOGIN YnVzeQ==", "334 UGFzc3dvcmQ6").await;
    client.expect("eA==", "454 4.7.0").await;
    client.expect("AUTH LOGIN", "334 ").await;
    client.expect("YWxpY2VAZXhhbXBsZS50ZXN0", "334 ").await;
    client.expect(&"A".repeat(20_000), "500 5.5.6").await;
    client.expect(&format!("AUTH PLAIN {WRONG}"), "535 5.7.8").await;
    client.expect(&format!("AUTH PLAIN {WRONG}"), "535 5.7.8").await;
    client.expect_reply("too many", "421 4.7.0").await;
    client.expect_end().await;
}

fn bearer(token: &str) -> String {
    STANDARD.encode(format!("n,a=alice@example.test,\u{1}host=x\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

fn xoauth2(token: &str) -> String {
    STANDARD.encode(format!("user=alice@example.test\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

const GOOD: &str = "urn:ietf:params:jmap:submission";

/// RFC 7628 §4.2, and the older one.
#[tokio::test]
async fn a_token_is_as_good_as_a_password() {
    let fixture = Fixture::new(Role::Submission);
    for auth in [
        format!("AUTH OAUTHBEARER {}", bearer(GOOD)),
        format!("AUTH XOAUTH2 {}", xoauth2(GOOD)),
        format!("AUTH OAUTHBEARER {}", STANDARD.encode(format!("n,,\u{1}auth=bearer {GOOD}\u{1}\u{1}"))),
    ] {
        let mut client = secure(&fixture, fixture.ready().await).await;
        client.expect("EHLO laptop", "250-").await;
        client.expect(&auth, "235").await;
        client.expect("MAIL FROM:<alice@example.test>", "250").await;
    }
    let mut client = secure(&fixture, fixture.ready().await).await;
    client.expect("EHLO laptop", "250-").await;
    client.expect("AUTH OAUTHBEARER", "334 \r\n").await;
    client.expect(&bearer(GOOD), "235").await;
    fixture.passwords.revoked.cancel();
    client.expect_reply("revoked", "421 4.7.0").await;
}

/// RFC 7628 §3.2.2, §3.2.3: the client is told why, answers, and then it has failed.
#[tokio::test]
async fn a_token_that_is_no_good_is_told_why() {
    let fixture = Fixture::new(Role::Submission);
    let invalid = r#"{"status":"invalid_token","openid-configuration":"https://mx.example.test/m"}"#;
    let scope = format!(
        r#"{{"status":"insufficient_scope","scope":"{GOOD}","openid-configuration":"https://mx.example.test/m"}}"#
    );
    let mut client = secure(&fixture, fixture.ready().await).await;
    client.expect("EHLO laptop", "250-").await;
    let told = |json: &str| format!("334 {}\r\n", STANDARD.encode(json));
    client.expect(&format!("AUTH OAUTHBEARER {}", bearer("urn:ietf:params:jmap:mail")), &told(&scope)).await;
    client.expect("AQ==", "535 5.7.8").await;
    client.expect(&format!("AUTH XOAUTH2 {}", xoauth2("guess")), &told(invalid)).await;
    client.expect("", "454 4.7.0").await;
    client.expect(&format!("AUTH OAUTHBEARER {}", bearer("old")), &told(invalid)).await;
    // Giving up counts as well.
    client.expect("*", "501 5.5.2").await;
    client.expect_reply("too many", "421 4.7.0").await;
    client.expect_end().await;
    // What is no response of the mechanism is not looked at.
    let mut client = secure(&fixture, fixture.ready().await).await;
    client.expect("EHLO laptop", "250-").await;
    client.expect(&format!("AUTH OAUTHBEARER {}", xoauth2(GOOD)), "501 5.5.2").await;
}

/// The token's time is over: nothing new is begun, and what has begun may be finished.
#[tokio::test]
async fn a_session_ends_with_the_time_of_its_token() {
    let fixture = Fixture::new(Role::Submission);
    let mut idle = secure(&fixture, fixture.ready().await).await;
    let mut busy = secure(&fixture, fixture.ready().await).await;
    for client in [&mut idle, &mut busy] {
        client.expect("EHLO laptop", "250-").await;
        client.expect(&format!("AUTH OAUTHBEARER {}", bearer(GOOD)), "235").await;
        client.expect("MAIL FROM:<alice@example.test>", "250").await;
    }
    idle.expect("RSET", "250").await;
    fixture.clock.advance(Duration::from_secs(3_600));
    idle.expect("MAIL FROM:<alice@example.test>", "421 4.7.0").await;
    idle.expect_end().await;
    busy.expect("RCPT TO:<bob@example.test>", "250").await;
    busy.expect("DATA", "354").await;
    busy.expect("Subject: x\r\n\r\nx\r\n.", "250").await;
    busy.expect("NOOP", "421 4.7.0").await;
}

/// Drill A3.
#[tokio::test]
async fn a_command_behind_starttls_is_not_run() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.ready().await;
    client.send("STARTTLS\r\nMAIL FROM:<evil@b>\r\n").await;
    client.expect_reply("injected", "501 5.5.4").await;
    client.expect_end().await;
}

#[tokio::test]
async fn tls_starts_once_and_forgets_what_was_said() {
    let fixture = Fixture::new(Role::Mx);
    let client = fixture.ready().await;
    let mut client = secure(&fixture, client).await;
    client.expect("MAIL FROM:<a@b>", "503 5.5.1").await;
    client.expect("EHLO x", "250-").await;
    client.expect("STARTTLS", "503 5.5.1").await;
    client.message("bob", "x", "250").await;
    assert!(fixture.texts()[0].contains("with ESMTPS id"));
    let mut without = Fixture::new(Role::Mx);
    without.tls = None;
    let mut client = without.ready().await;
    client.expect("STARTTLS", "454 4.7.0").await;
}
