//! Mail to be sent on whose body cannot be read: it waits, nothing is sent in part, and it goes when the object store is
//! back (drill F7, "backlog drains").

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use harness::wait::until;
use harness::{Imap, Node, NodeOptions, Smtp};
use servers::seaweedfs::{self, SeaweedFs};
use servers::{BUCKET, Fault, Proxy};

/// What the next server did.
#[derive(Debug, Default)]
struct Seen {
    /// It says no to everything for now.
    closed: bool,
    /// Connections that came to an end, with and without a message.
    ended: usize,
    /// Messages that came to their final dot.
    taken: Vec<Vec<u8>>,
}

/// A mail server that takes one message after the other.
struct Next {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Next {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen { closed: true, ..Seen::default() }));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                let _ = serve(&socket, &shared);
                shared.lock().unwrap().ended += 1;
            }
        });
        Next { address, seen }
    }

    fn ended(&self) -> usize {
        self.seen.lock().unwrap().ended
    }

    fn taken(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().taken.clone()
    }
}

fn serve(socket: &TcpStream, seen: &Mutex<Seen>) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let say = |text: &str| (&mut &*socket).write_all(format!("{text}\r\n").as_bytes());
    say("220 next")?;
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let verb = String::from_utf8_lossy(&line).to_ascii_uppercase();
        if verb.starts_with("DATA") {
            say("354 go on")?;
            let message = message(&mut reader)?;
            seen.lock().unwrap().taken.push(message);
            say("250 taken")?;
        } else if verb.starts_with("QUIT") {
            return say("221 bye");
        } else if verb.starts_with("MAIL") && seen.lock().unwrap().closed {
            say("451 4.3.0 not now")?;
        } else {
            say("250 fine")?;
        }
        line.clear();
    }
    Ok(())
}

/// Up to the final dot; an error if the connection ends before.
fn message(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let start = message.len();
        if reader.read_until(b'\n', &mut message)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if &message[start..] == b".\r\n" {
            message.truncate(start);
            return Ok(message);
        }
    }
}

#[test]
fn mail_whose_body_cannot_be_read_waits() {
    let Some(server) = SeaweedFs::start() else { return };
    let (proxy, next) = (Proxy::start(server.address()), Next::start());
    let dir = tempfile::tempdir().unwrap();
    let (blob, key) = (dir.path().join("blob.toml"), dir.path().join("key"));
    std::fs::write(&key, seaweedfs::SECRET_ACCESS_KEY).unwrap();
    let settings = format!(
        "kind = \"s3\"\ntimeout = \"2 s\"\n[s3]\nbucket = {BUCKET:?}\nregion = \"us-east-1\"\n\
         endpoint = \"http://{}\"\naccess_key_id = {:?}\nsecret_access_key.file = {key:?}\n",
        proxy.address(),
        seaweedfs::ACCESS_KEY_ID
    );
    std::fs::write(&blob, settings).unwrap();
    let relay = Some(next.address.to_string());
    let node =
        Node::start(NodeOptions { users: 1, blob: Some(blob), relay, ..NodeOptions::default() }).unwrap();

    let body = format!("Subject: large\r\n\r\n{}", "a line of a large message\r\n".repeat(40_000));
    let mut smtp = Smtp::connect_tls(node.listener("submissions")).unwrap();
    smtp.auth_plain("u0@example.test", "secret").unwrap();
    let send = |smtp: &mut Smtp| smtp.send("u0@example.test", &["b@elsewhere.test"], body.as_bytes());
    // It may have to make itself ready at its first object.
    until("the object store", || Ok((send(&mut smtp)?.0 == 250).then_some(()))).unwrap();
    until("the first attempt", || Ok((next.ended() > 0).then_some(()))).unwrap();

    proxy.set(Fault::Refuse);
    next.seen.lock().unwrap().closed = false;
    let before = next.ended();
    until("an attempt without a body", || Ok((next.ended() > before).then_some(()))).unwrap();
    assert_eq!(next.taken().len(), 0, "it was not sent in part");

    proxy.set(Fault::None);
    until("the message", || Ok((!next.taken().is_empty()).then_some(()))).unwrap();
    let taken = next.taken();
    // Its header has more than was submitted: Received, Date, Message-ID.
    let (_, lines) = body.split_once("\r\n\r\n").unwrap();
    assert!(taken.len() == 1 && taken[0].ends_with(lines.as_bytes()));
    let mut imap = Imap::login(node.listener("imap"), "u0", "secret").unwrap();
    let inbox = imap.must("STATUS INBOX (MESSAGES)").unwrap().text().concat();
    assert!(inbox.contains("(MESSAGES 0)"), "nobody was told that it failed: {inbox}");
}
