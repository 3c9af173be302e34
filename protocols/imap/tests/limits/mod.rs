//! What is too much.

use crate::support::World;

/// RFC 3502: what is committed together is kept within what one transaction holds.
#[tokio::test]
async fn append_of_much_at_once() {
    let world = World::new().await;
    let mut c = world.selected("INBOX").await;
    let append = |messages: &[String]| {
        let each = messages.iter().map(|m| format!(" {{{}+}}\r\n{m}", m.len()));
        format!("x APPEND INBOX{}\r\n", each.collect::<String>())
    };
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n";
    let large: Vec<_> =
        (0..30).map(|n| format!("Subject: {n}\r\n\r\n{}", line.repeat(400_000 / line.len()))).collect();
    let answer = c.raw(&append(&large), "x ").await;
    assert!(answer.contains("x OK [APPENDUID ") && answer.contains(" 1:30]"), "{answer}");
    let answer = c.ok("FETCH 30 BODY.PEEK[]").await;
    assert!(answer.contains(&large[29]));
    // Not the bodies are large here, but what is known of them.
    let many: Vec<_> = (0..14_000).map(|n| format!("a{n}@b{n}.test")).collect();
    let to = format!("To: {}\r\nCc: {}\r\n", many[..7_000].join(",\r\n "), many[7_000..].join(",\r\n "));
    let wide: Vec<_> = (0..60).map(|n| format!("Subject: {n}\r\n{to}\r\nx")).collect();
    let answer = c.raw(&(append(&wide) + "y NOOP\r\n"), "y ").await;
    assert!(answer.contains("x NO [LIMIT]") && answer.contains("y OK"), "{answer}");
    assert!(c.ok("STATUS INBOX (MESSAGES)").await.contains("MESSAGES 30)"));
}

/// What needs no login does not keep a connection open without one.
#[tokio::test]
async fn who_does_not_log_in_is_sent_away() {
    let world = World::new().await;
    for (command, patience) in
        [("SELECT INBOX", 10), ("APPEND INBOX {1+}\r\nx", 10), ("NOOP", 100), ("ID NIL", 100)]
    {
        let mut c = world.connect().await;
        for _ in 1..patience {
            c.raw(&format!("x {command}\r\n"), "x ").await;
        }
        c.send(&format!("y {command}\r\nz NOOP\r\n")).await;
        c.until("* BYE").await;
        c.closed().await;
    }
    let mut c = world.login().await;
    for _ in 0..200 {
        c.ok("NOOP").await;
    }
}
