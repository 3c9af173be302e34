//! What hostile and broken clients send.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "a test ends where it fails; its support serves others too"
)]

mod support;

use godwit_smtp::Role;
use support::Fixture;

/// Drill A2: around the dot of a line, only CRLF on both sides ends the message; anything else is refused when the
/// true end came, and the commands smuggled in run neither way.
#[tokio::test]
async fn nothing_is_smuggled_through_data() {
    let mut fixture = Fixture::new(Role::Mx);
    fixture.config.max_errors = 1000;
    let mut client = fixture.ready().await;
    let ends = ["\r\n", "\n", "\r", "\0", "\r\0\n", "\n\r", "\r\r\n", "\r\n\0", "\n\n"];
    for before in ends {
        for after in ends {
            if before.ends_with("\r\n") && after.starts_with("\r\n") {
                continue;
            }
            client.expect("MAIL FROM:<a@b>", "250").await;
            client.expect("RCPT TO:<bob@b>", "250").await;
            client.expect("DATA", "354").await;
            let smuggled =
                format!("x{before}.{after}MAIL FROM:<evil@b>\r\nRCPT TO:<bob@b>\r\nDATA\r\ny\r\n.\r\n");
            client.send(smuggled).await;
            client.expect_reply(&format!("{before:?} . {after:?}"), "550 5.6.").await;
        }
    }
    client.expect("NOOP", "250 2.0.0 Nothing done").await;
    assert!(fixture.texts().is_empty());
}

#[tokio::test]
async fn commands_end_with_crlf_only() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.ready().await;
    client.send("MAIL FROM:<a@b>\nRCPT TO:<evil@b>\r\n").await;
    client.expect_reply("bare LF", "500 5.5.2").await;
    client.expect_reply("what follows it", "500 5.5.2").await;
    client.expect("NOOP\rQUIT", "500 5.5.2").await;
    client.expect(&format!("NOOP {}", "x".repeat(5000)), "500 5.5.2").await;
    client.expect("RCPT TO:<a@b>", "503").await;
}

#[tokio::test]
async fn bytes_behind_the_message_are_commands() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.ready().await;
    client.expect("MAIL FROM:<a@b>", "250").await;
    client.expect("RCPT TO:<bob@b>", "250").await;
    client.expect("DATA", "354").await;
    client.send("x\r\n.\r\n.\r\nNOOP\r\n").await;
    client.expect_reply("the message", "250 2.0.0 Accepted").await;
    client.expect_reply("a lone dot", "500").await;
    client.expect_reply("NOOP", "250").await;
}

#[tokio::test]
async fn other_protocols_are_shown_the_door() {
    let fixture = Fixture::new(Role::Mx);
    for opening in ["GET / HTTP/1.1\r\n", "POST /x HTTP/1.1\r\n", "host: x\r\n", "\u{16}\u{3}\u{1}"] {
        let mut client = fixture.connect().await;
        client.send(opening).await;
        client.expect_end().await;
    }
}

#[tokio::test]
async fn no_answer_carries_what_the_client_sent() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.connect().await;
    let reply = client.expect("EHLO a<script>", "250-mx.example.test").await;
    assert!(!reply.contains("script"));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.ready().await;
    client.expect("MAIL FROM:<a@b>", "250").await;
    tokio::time::advance(fixture.config.timeouts.command).await;
    client.expect_reply("silence", "421 4.4.2").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_drain_waits_for_the_transaction() {
    let fixture = Fixture::new(Role::Mx);
    let mut idle = fixture.ready().await;
    let mut busy = fixture.ready().await;
    busy.expect("MAIL FROM:<a@b>", "250").await;
    fixture.shutdown.begin();
    idle.expect_reply("drain", "421 4.3.2").await;
    idle.expect_end().await;
    busy.expect("RCPT TO:<bob@b>", "250").await;
    busy.expect("DATA", "354").await;
    busy.expect("x\r\n.", "250").await;
    busy.expect_reply("drain", "421 4.3.2").await;
    busy.expect_end().await;
}
