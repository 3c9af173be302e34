//! Mail transactions: order of commands, DATA, BDAT, limits, LMTP.

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

#[tokio::test]
async fn a_message_goes_through() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.ready().await;
    client.expect("MAIL FROM:<sender@example.org> SIZE=20 BODY=8BITMIME RET=HDRS ENVID=x", "250 2.1.0").await;
    client
        .expect("RCPT TO:<bob@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@example.test", "250 2.1.5")
        .await;
    client.expect("DATA", "354 ").await;
    client.expect("Subject: x\r\n\r\n..stuffed\r\n.", "250 2.0.0").await;
    client.expect("QUIT", "221 2.0.0").await;
    client.expect_end().await;
    let messages = fixture.memory.messages.lock().unwrap();
    assert_eq!(messages.len(), 1);
    let (trace, text) = messages[0].text.split_once("Subject").unwrap();
    assert!(trace.starts_with("Received: from client.example ([127.0.0.1])"), "{trace}");
    assert!(trace.contains("with ESMTP id") && trace.contains("for <bob@example.test>"), "{trace}");
    assert_eq!(text, ": x\r\n\r\n.stuffed\r\n");
    let envelope = &messages[0].envelope;
    assert_eq!(envelope.params.envid.as_ref().unwrap().as_str(), "x");
    assert!(envelope.recipients[0].params.notify.unwrap().delay);
}

#[tokio::test]
async fn pipelined_commands_get_their_replies_in_order() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.ready().await;
    client
        .send(
            "MAIL FROM:<>\r\nRCPT TO:<a@x>\r\nRCPT TO:<unknown@x>\r\nRCPT TO:<full@x>\r\nRCPT TO:<later@x>\r\n\
             RCPT TO:<denied@x>\r\nRCPT TO:<postmaster>\r\nDATA\r\n",
        )
        .await;
    for code in
        ["250 2.1.0", "250 2.1.5", "550 5.1.1", "452 4.2.2", "451 4.3.0", "550 5.7.1", "250 2.1.5", "354"]
    {
        client.expect_reply("pipelined", code).await;
    }
    client.send("one\r\n.\r\nMAIL FROM:<b@x>\r\nRSET\r\nNOOP\r\n").await;
    for code in ["250 2.0.0", "250 2.1.0", "250 2.0.0", "250 2.0.0"] {
        client.expect_reply("pipelined", code).await;
    }
    let messages = fixture.memory.messages.lock().unwrap();
    assert_eq!(messages[0].envelope.recipients.len(), 2);
    assert!(messages[0].envelope.from.is_null());
}

#[tokio::test]
async fn commands_out_of_sequence_are_refused() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.connect().await;
    for (line, start) in [
        ("MAIL FROM:<a@b>", "503 5.5.1"),
        ("LHLO x", "500 5.5.1"),
        ("AUTH PLAIN", "500 5.5.1"),
        ("EHLO x", "250-mx.example.test"),
        ("RCPT TO:<a@b>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("MAIL FROM:<a@b>", "250 2.1.0"),
        ("MAIL FROM:<a@b>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("RCPT TO:<é@b>", "553 5.6.7"),
        ("RCPT TO:<unknown@b>", "550 5.1.1"),
        ("DATA", "503 5.5.1"),
        ("STARTTLS", "503 5.5.1"),
        ("HELO again", "250 mx.example.test"),
        ("RCPT TO:<a@b>", "503 5.5.1"),
        ("MAIL FROM:<a@b> SIZE=999999999999", "552 5.3.4"),
        ("MAIL FROM:<a@b> FOO=1", "555 5.5.4"),
        ("VRFY postmaster", "252 2.5.2"),
        ("EXPN list", "502 5.5.1"),
        ("HELP", "214 2.0.0"),
        ("NOOP anything", "250 2.0.0"),
        ("WHAT", "500 5.5.1"),
        ("NOOP \u{1}", "500 5.5.2"),
    ] {
        client.expect(line, start).await;
    }
}

#[tokio::test]
async fn a_message_in_chunks() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.ready().await;
    client.expect("MAIL FROM:<a@b> BODY=BINARYMIME", "250").await;
    client.expect("BDAT 4\r\nQUIT", "503 5.5.1").await;
    client.send("RCPT TO:<bob@b>\r\n").await;
    client.expect_reply("the chunk before was skipped, its CRLF is an empty line", "500 5.5.1").await;
    client.expect_reply("RCPT", "250").await;
    client.expect("DATA", "503 5.5.1").await;
    client.send("BDAT 7\r\nA: b\r\n\r").await;
    client.expect_reply("first chunk", "250 2.0.0").await;
    client.expect("RCPT TO:<late@b>", "503 5.5.1").await;
    client.expect("DATA", "503 5.5.1").await;
    client.send("BDAT 9 LAST\r\n\n\r\n.\r\n\0\n.").await;
    client.expect_reply("last chunk", "250 2.0.0").await;
    assert!(fixture.memory.messages.lock().unwrap()[0].octets.ends_with(b"\r\nA: b\r\n\r\n\r\n.\r\n\0\n."));
}

#[tokio::test]
async fn a_text_in_chunks_has_clean_line_ends() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.ready().await;
    for (chunk, start) in [("a\r\nb\r\n", "250"), ("a\nb\r\n", "550 5.6.11"), ("a\r\n\0", "550 5.6.0")] {
        client.expect("MAIL FROM:<a@b>", "250").await;
        client.expect("RCPT TO:<bob@b>", "250").await;
        client.send(format!("BDAT {} LAST\r\n{chunk}", chunk.len())).await;
        client.expect_reply(chunk, start).await;
    }
    client.expect("BDAT", "501 5.5.4").await;
    client.expect("BDAT 99999999999999999999 LAST", "501 5.5.4").await;
    client.expect_end().await;
}

#[tokio::test]
async fn too_large_messages_are_refused_and_dropped() {
    let mut fixture = Fixture::new(Role::Mx);
    fixture.config.max_message = 1000;
    let mut client = fixture.ready().await;
    client.message("bob", &"x".repeat(1500), "552 5.3.4").await;
    client.message("bob", &"x".repeat(900), "250").await;
    client.expect("MAIL FROM:<a@b>", "250").await;
    client.expect("RCPT TO:<bob@b>", "250").await;
    client.expect(&format!("BDAT 1500\r\n{}", "x".repeat(1498)), "552 5.3.4").await;
    client.expect(&format!("BDAT 5 LAST\r\n{}", "x".repeat(3)), "552 5.3.4").await;
    client.expect("MAIL FROM:<a@b>", "250").await;
    client.expect("RCPT TO:<bob@b>", "250").await;
    client.expect("DATA", "354").await;
    client.send("x".repeat(3000)).await;
    client.expect_reply("nobody reads on for ever", "552 5.3.4").await;
    client.expect_end().await;
    assert_eq!(fixture.texts().len(), 1);
}

#[tokio::test]
async fn a_body_that_cannot_be_kept() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.ready().await;
    *fixture.memory.breaks_after.lock().unwrap() = Some(500);
    client.message("bob", &"x".repeat(1500), "452 4.3.1").await;
    *fixture.memory.breaks_after.lock().unwrap() = Some(0);
    client.expect("MAIL FROM:<a@b>", "250").await;
    client.expect("RCPT TO:<bob@b>", "250").await;
    client.expect("DATA", "452 4.3.1").await;
    client.expect("MAIL FROM:<a@b>", "250").await;
    client.expect("RCPT TO:<bob@b>", "250").await;
    client.expect("BDAT 3 LAST\r\nx", "452 4.3.1").await;
    *fixture.memory.breaks_after.lock().unwrap() = None;
    client.message("bob", "x", "250").await;
}

#[tokio::test]
async fn loops_and_policies_end_a_message() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.ready().await;
    client.message("bob", &"Received: x\r\n".repeat(51), "554 5.4.6").await;
    client.message("bob", &"Received: x\r\n".repeat(50), "250").await;
    client.message("bob", "Delivered-To: spam\r\n", "550 5.7.1").await;
    client.message("fails", "x", "554 5.0.0").await;
    let header = format!("X: {}\r\n", "y".repeat(70)).repeat(20_000);
    client.message("bob", &header, "250").await;
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() {
    let fixture = Fixture::new(Role::Lmtp);
    let mut client = fixture.ready().await;
    client.expect("EHLO x", "500 5.5.1").await;
    client.expect("MAIL FROM:<>", "250").await;
    client.expect("RCPT TO:<a@b>", "250").await;
    client.expect("RCPT TO:<unknown@b>", "550").await;
    client.expect("RCPT TO:<fails@b>", "250").await;
    client.expect("RCPT TO:<c@b>", "250").await;
    client.expect("DATA", "354").await;
    client.expect("x\r\n.", "250 2.0.0").await;
    client.expect_reply("second recipient", "554 5.0.0").await;
    client.expect_reply("third recipient", "250 2.0.0").await;
    client.expect("NOOP", "250 2.0.0 Nothing done").await;
    client.expect("MAIL FROM:<>", "250").await;
    client.expect("RCPT TO:<a@b>", "250").await;
    client.expect("RCPT TO:<c@b>", "250").await;
    client.expect("DATA", "354").await;
    client.expect("x\ny\r\n.", "550 5.6.11").await;
    client.expect_reply("second recipient", "550 5.6.11").await;
    assert!(fixture.texts()[0].contains("with LMTP id"));
}

#[tokio::test]
async fn limits_of_recipients_errors_and_commands() {
    let mut fixture = Fixture::new(Role::Mx);
    (fixture.config.max_recipients, fixture.config.max_errors, fixture.config.max_commands) = (2, 3, 20);
    let mut client = fixture.ready().await;
    client.expect("MAIL FROM:<a@b>", "250").await;
    client.expect("RCPT TO:<a@b>", "250").await;
    client.expect("RCPT TO:<b@b>", "250").await;
    for _ in 0..5 {
        client.expect("RCPT TO:<c@b>", "452 4.5.3").await;
    }
    client.expect("WHAT", "500").await;
    client.expect("WHAT", "500").await;
    client.expect("DATA", "354").await;
    client.expect("x\r\n.", "250 2.0.0").await;
    // An accepted message makes good for what was wrong before.
    client.expect("WHAT", "500").await;
    client.expect("WHAT", "500").await;
    client.expect("WHAT", "500").await;
    client.expect_reply("too many errors", "421 4.7.0").await;
    client.expect_end().await;
    let mut client = fixture.ready().await;
    client.expect("MAIL FROM:<a@b>", "250").await;
    client.expect("RCPT TO:<a@b>", "250").await;
    // Many small chunks make one message, not many commands (RFC 3030).
    for _ in 0..50 {
        client.expect("BDAT 3\r\nx", "250").await;
    }
    for _ in 0..17 {
        client.expect("NOOP", "250").await;
    }
    client.expect("NOOP", "421 4.7.0").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_large_message_is_streamed() {
    let fixture = Fixture::new(Role::Mx);
    let mut client = fixture.ready().await;
    let line = format!("{}\r\n", "x".repeat(76));
    let text = line.repeat(60_000);
    client.message("bob", &format!("A: b\r\n\r\n{text}"), "250").await;
    assert!(fixture.texts()[0].ends_with(&format!("\r\nA: b\r\n\r\n{text}\r\n")));
    assert!(*fixture.memory.largest.lock().unwrap() <= 64 << 10, "pieces are small");
}
