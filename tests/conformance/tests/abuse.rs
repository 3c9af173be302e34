//! Bad input and bad manners: a correct error each, bounded memory, and the other sessions unharmed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::io::Write as _;
use std::net::TcpStream;

use harness::{Imap, Line, Node, NodeOptions, Smtp};

fn node() -> Node {
    Node::start(NodeOptions { users: 2, ..NodeOptions::default() }).unwrap()
}

/// An honest client gets its mail through and reads it.
fn honest(node: &Node, mark: &str) {
    let mut lmtp = Smtp::connect(node.listener("smtp")).unwrap();
    let message = format!("From: a@example.org\r\nSubject: {mark}\r\n\r\nhonest\r\n");
    let (code, text) = lmtp.send("a@example.org", &["u0@example.test"], message.as_bytes()).unwrap();
    assert_eq!(code, 250, "{text:?}");
    let mut imap = Imap::login(node.listener("imap"), "u0", "secret").unwrap();
    imap.must("SELECT INBOX").unwrap();
    let found = imap.must(&format!("SEARCH SUBJECT {mark}")).unwrap();
    assert!(found.text().iter().any(|l| l.starts_with("* SEARCH ") && l.len() > 9), "{found:?}");
}

fn nothing_alarming(node: &Node) {
    let log = node.log().unwrap();
    let alarming = log.lines().find(|l| l.contains("\"level\":\"ERROR\"") || l.contains("panicked"));
    assert_eq!(alarming, None);
}

/// Sends without caring whether the server still listens, and returns what it had to say.
fn shout(address: &str, chunks: impl Iterator<Item = Vec<u8>>) -> String {
    let mut line = Line::connect(address).unwrap();
    for chunk in chunks {
        if line.send(&chunk).is_err() {
            break;
        }
    }
    let mut said = String::new();
    // The server may answer and wait for more: one line is enough, or its closing of the connection.
    for _ in 0..2 {
        match line.try_read_line() {
            Ok(Some(text)) => said.push_str(&String::from_utf8_lossy(&text)),
            _ => break,
        }
        said.push('\n');
    }
    said
}

#[test]
fn endless_lines_cost_no_memory() {
    let node = node();
    honest(&node, "before");
    let before = node.resident().unwrap();
    let mut floods: Vec<std::thread::JoinHandle<()>> = Vec::new();
    for listener in ["smtp", "lmtp", "imap"] {
        for start in [&b""[..], b"a LOGIN ", b"a SEARCH ((((((((", b"MAIL FROM:<", b"a ID (", b"EHLO "] {
            let address = node.listener(listener).to_owned();
            let start = start.to_vec();
            floods.push(std::thread::spawn(move || {
                let body = std::iter::repeat_n(vec![b'('; 64 * 1024], 160);
                shout(&address, std::iter::once(start).chain(body));
            }));
        }
    }
    floods.into_iter().for_each(|f| f.join().unwrap());
    honest(&node, "after");
    let growth = node.resident().unwrap().saturating_sub(before);
    assert!(growth < 16 << 20, "grew by {growth} bytes over 18 floods of 10 MB");
    nothing_alarming(&node);
}

#[test]
fn literals_are_capped_before_they_are_read() {
    let node = node();
    let cases = [
        "a LOGIN {4294967296}",
        "a LOGIN {99999999999999999999}",
        "a LOGIN {1000000000+}",
        "a LOGIN {-1}",
        "a LOGIN {12",
        "a LOGIN {}",
        "a APPEND INBOX {1000000000}",
        "a APPEND INBOX {1000000000+}",
    ];
    for case in cases {
        let mut line = Line::connect(node.listener("imap")).unwrap();
        line.read_line().unwrap();
        line.send_line(case).unwrap();
        let said = line.try_read_line().unwrap().unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let refused = ["a BAD", "a NO", "* BAD", "* BYE"].iter().any(|r| said.starts_with(r));
        assert!(refused, "{case}: {said}");
    }
    let mut imap = Imap::login(node.listener("imap"), "u1", "secret").unwrap();
    let reply = imap.command("APPEND INBOX {99999999999}").unwrap();
    assert!(reply.status.starts_with("NO [TOOBIG]") || reply.status.starts_with("BAD"), "{}", reply.status);
    imap.must("NOOP").unwrap();
    honest(&node, "after");
    nothing_alarming(&node);
}

#[test]
fn deep_and_wide_mime_is_taken_and_described() {
    let node = node();
    let deep: String = (0..10_000)
        .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
        .collect();
    let wide = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n".repeat(50_000)
    );
    let headers: String = (0..100_000).map(|n| format!("X-Header-{n}: {n}\r\n")).collect();
    let parameters: String = (0..20_000).map(|n| format!(";\r\n n*{n}*=x")).collect();
    let rfc2231 = format!("Content-Type: text/plain{parameters}\r\n\r\nbody\r\n");
    let messages = [deep, wide, format!("{headers}\r\nbody\r\n"), rfc2231];
    let before = node.resident().unwrap();
    let mut lmtp = Smtp::connect_lmtp(node.listener("lmtp")).unwrap();
    let mut taken = Vec::new();
    for message in &messages {
        let (code, text) = lmtp.send("a@example.org", &["u1@example.test"], message.as_bytes()).unwrap();
        // A header of megabytes is refused; RFC 5321 §4.5.3.1 asks for no more than we take.
        assert!(code == 250 || (code == 552 && message.starts_with("X-Header")), "{text:?}");
        taken.extend((code == 250).then_some(message));
    }
    let mut imap = Imap::login(node.listener("imap"), "u1", "secret").unwrap();
    imap.must("SELECT INBOX").unwrap();
    let all = imap.must("FETCH 1:* (ENVELOPE BODYSTRUCTURE RFC822.SIZE)").unwrap();
    assert_eq!(all.untagged.iter().filter(|l| l.starts_with(b"* ")).count(), taken.len());
    for ((_, body), sent) in imap.bodies().unwrap().iter().zip(&taken) {
        assert!(body.ends_with(sent.as_bytes()), "a message came back changed");
    }
    let growth = node.resident().unwrap().saturating_sub(before);
    assert!(growth < 96 << 20, "grew by {growth} bytes");
    nothing_alarming(&node);
}

#[test]
fn half_commands_and_nonsense_harm_nobody() {
    let node = node();
    let nonsense: [&[u8]; 9] = [
        b"\r\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"a\r\n",
        b"a FETCH\r\n",
        b"a UID\r\n",
        b"\xff\xfe\x00\x00\r\n",
        b"a SELECT \"unterminated\r\n",
        b"MAIL FROM:<a@b\r\nRCPT TO:<\x00>\r\nDATA\r\n",
    ];
    for listener in ["imap", "smtp", "lmtp", "submission"] {
        for bytes in nonsense {
            let mut tcp = TcpStream::connect(node.listener(listener)).unwrap();
            tcp.write_all(bytes).unwrap();
            // Dropped at once: a half command and a vanished client.
        }
        for bytes in nonsense {
            shout(node.listener(listener), std::iter::once([bytes, b"\r\n"].concat()));
        }
    }
    honest(&node, "after");
    nothing_alarming(&node);
}

#[test]
fn http_on_a_mail_port_is_cut_off() {
    let node = node();
    for listener in ["imap", "smtp", "lmtp", "submission"] {
        let request =
            b"POST / HTTP/1.1\r\nHost: mail\r\nContent-Length: 60\r\n\r\nEHLO x\r\nMAIL FROM:<a@b>\r\n"
                .to_vec();
        let mut line = Line::connect(node.listener(listener)).unwrap();
        line.send(&request).unwrap();
        let said = String::from_utf8_lossy(&line.read_to_end().unwrap()).into_owned();
        assert!(!said.contains("250"), "{listener} went on talking: {said}");
    }
}

#[test]
fn silent_connections_hold_nobody_up() {
    let node = node();
    let mut hogs = Vec::new();
    for listener in ["imap", "imaps", "smtp", "lmtp", "submission"] {
        for _ in 0..100 {
            hogs.push(TcpStream::connect(node.listener(listener)).unwrap());
        }
    }
    honest(&node, "amid-silence");
    drop(hogs);
    nothing_alarming(&node);
}

#[test]
fn few_file_descriptors_mean_refusals_not_a_spin() {
    let options = NodeOptions { users: 2, ulimit: Some("-n 128".into()), ..NodeOptions::default() };
    let node = Node::start(options).unwrap();
    let hogs: Vec<_> = (0..300).filter_map(|_| TcpStream::connect(node.listener("imap")).ok()).collect();
    let before = node.processor_time().unwrap();
    // Time is what is measured: a listener that spins burns a core in it, one that waits next to nothing.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let burnt = node.processor_time().unwrap() - before;
    assert!(burnt < 50, "burnt {burnt} of 100 ticks while out of descriptors");
    drop(hogs);
    harness::wait::until("service again", || {
        Ok(Smtp::connect(node.listener("smtp")).ok().filter(|s| !s.keywords.is_empty()).map(|_| ()))
    })
    .unwrap();
    honest(&node, "recovered");
}

#[test]
fn plaintext_after_starttls_is_thrown_away() {
    let node = node();
    let mut smtp = Smtp::connect(node.listener("submission")).unwrap();
    smtp.line.send(b"STARTTLS\r\nMAIL FROM:<injected@example.org>\r\nRCPT TO:<u0@example.test>\r\n").unwrap();
    let (code, _) = smtp.read_reply().unwrap();
    assert!(code == 220 || code >= 400, "{code}");
    let goes_on = code == 220 && smtp.line.start_tls().is_ok() && smtp.line.send_line("EHLO after").is_ok();
    if goes_on && let Ok((code, _)) = smtp.read_reply() {
        assert_eq!(code, 250);
        let (code, _) = smtp.command("DATA").unwrap();
        assert!(code >= 500, "the injected transaction was taken: {code}");
    }
    let mut imap = Line::connect(node.listener("imap")).unwrap();
    imap.read_line().unwrap();
    imap.send(b"a STARTTLS\r\nb LOGIN u0 secret\r\n").unwrap();
    let said = String::from_utf8_lossy(&imap.read_line().unwrap()).into_owned();
    assert!(said.starts_with("a OK") || said.starts_with("a BAD") || said.starts_with("* BYE"), "{said}");
    if said.starts_with("a OK") && imap.start_tls().is_ok() && imap.send_line("c SELECT INBOX").is_ok() {
        let said = imap.try_read_line().unwrap().unwrap_or_default();
        assert!(!said.starts_with(b"b "), "the injected LOGIN was answered");
    }
}

#[test]
fn quota_holds_against_parallel_appends() {
    let node = node();
    let message = [&b"Subject: big\r\n\r\n"[..], &vec![b'x'; 100_000], b"\r\n"].concat();
    set_quota(&node, "u1@example.test", 1_000_000);
    let threads: Vec<_> = (0..32)
        .map(|_| {
            let (address, message) = (node.listener("imap").to_owned(), message.clone());
            std::thread::spawn(move || {
                let mut imap = Imap::login(&address, "u1", "secret").unwrap();
                let reply = imap.append("INBOX", "", &message).unwrap();
                assert!(reply.ok() || reply.status.starts_with("NO [OVERQUOTA]"), "{}", reply.status);
                reply.ok()
            })
        })
        .collect();
    let taken = threads.into_iter().map(|t| t.join().unwrap()).filter(|ok| *ok).count();
    assert!((9..=10).contains(&taken), "{taken} of 100 kB taken into 1 MB");
}

fn set_quota(node: &Node, address: &str, bytes: u64) {
    let status = std::process::Command::new(harness::node::binary().unwrap())
        .args(["account", "quota", address, &bytes.to_string(), "--data"])
        .arg(node.data())
        .args(["--admin", &format!("http://{}", node.listener("admin"))])
        .status()
        .unwrap();
    assert!(status.success());
}
