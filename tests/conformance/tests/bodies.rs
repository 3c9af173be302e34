//! The object store with the bodies is away, slow or wrong (drill F7): small mail flows, larger mail is deferred and not
//! lost, what cannot be read is said to be unavailable, and all is well when it is back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use harness::bodies::Bodies;
use harness::wait::until;
use harness::{Imap, Line, Node, NodeOptions, Smtp};
use servers::{Fault, Proxy, seaweedfs};

/// Larger than what lies in the store.
const LARGE: usize = 900_000;

/// How a server can be away.
const ALL: [Fault; 3] = [Fault::Refuse, Fault::Stall, Fault::CutRequests];

struct World {
    node: Node,
    bodies: Option<Bodies>,
    _dir: Option<tempfile::TempDir>,
}

impl World {
    fn new(bodies: Bodies) -> Self {
        let blob = Some(bodies.settings().to_owned());
        let environment = bodies.environment();
        let options = NodeOptions { users: 1, blob, environment, ..NodeOptions::default() };
        let node = Node::start(options).unwrap();
        World { node, bodies: Some(bodies), _dir: None }
    }

    fn in_the_store() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("blob.toml");
        std::fs::write(&file, "kind = \"store\"\n").unwrap();
        let node = Node::start(NodeOptions { users: 1, blob: Some(file), ..NodeOptions::default() }).unwrap();
        World { node, bodies: None, _dir: Some(dir) }
    }

    fn proxy(&self) -> &Proxy {
        &self.bodies.as_ref().unwrap().proxy
    }

    /// What the readiness probe is told.
    fn readiness(&self) -> String {
        let mut admin = Line::connect(self.node.listener("admin")).unwrap();
        admin.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        String::from_utf8_lossy(&admin.read_to_end().unwrap()).into_owned()
    }

    /// The reply to the final dot. A connection each: a server may have had enough of one.
    fn send(&self, n: usize, size: usize) -> (u16, String) {
        let mut smtp = Smtp::connect(self.node.listener("smtp")).unwrap();
        let (code, text) = smtp.send("a@example.org", &["u0@example.test"], &message(n, size)).unwrap();
        (code, text.join(" "))
    }

    fn imap(&self) -> Imap {
        let mut imap = Imap::login(self.node.listener("imap"), "u0", "secret").unwrap();
        imap.must("SELECT INBOX").unwrap();
        imap
    }

    /// Which messages are there, each of them whole.
    fn mail(&self) -> Vec<usize> {
        let bodies = self.imap().bodies().unwrap();
        let number = |body: &[u8]| {
            let text = String::from_utf8_lossy(body).into_owned();
            let number = text.split("X-Id: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
            let size = text.split("X-Size: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
            assert!(body.ends_with(&message(number, size)), "message {number} is not what was sent");
            number
        };
        let mut numbers: Vec<usize> = bodies.iter().map(|(_, body)| number(body)).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn message(n: usize, size: usize) -> Vec<u8> {
    let mut state = n as u64 + 1;
    let mut text = format!("Subject: {n}\r\nX-Id: {n}\r\nX-Size: {size}\r\n\r\n");
    while text.len() < size {
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("{:016x}", state >> 3));
        }
        text.push_str("\r\n");
    }
    text.into_bytes()
}

#[test]
fn mail_with_bodies_in_s3() {
    let Some(bodies) = Bodies::s3().unwrap() else { return };
    drill(&World::new(bodies), &ALL);
}

#[test]
fn mail_with_bodies_in_azure() {
    let Some(bodies) = Bodies::azure().unwrap() else { return };
    drill(&World::new(bodies), &ALL);
}

/// Nothing goes out to a server that is not the one named in a certificate that is trusted.
#[test]
fn mail_with_bodies_behind_tls() {
    for bodies in [Bodies::s3().unwrap(), Bodies::azure().unwrap()].into_iter().flatten() {
        let bodies = bodies.with_tls().unwrap();
        let blob = Some(bodies.settings().to_owned());
        let stranger = Node::start(NodeOptions { users: 1, blob, ..NodeOptions::default() }).unwrap();
        let stranger = World { node: stranger, bodies: None, _dir: None };
        assert_eq!(stranger.send(0, LARGE).0, 451, "who trusts it not");
        assert_eq!(bodies.proxy.connections(), 0, "no request came through");
        drop(stranger);
        drill(&World::new(bodies), &[Fault::Refuse]);
    }
}

/// Where nodes share no disk: in pieces in the store, whole after a crash.
#[test]
fn mail_with_bodies_in_the_store() {
    let mut world = World::in_the_store();
    for n in 0..4 {
        assert_eq!(world.send(n, LARGE * n).0, 250);
    }
    world.node.kill().unwrap();
    world.node.start_again().unwrap();
    assert_eq!(world.mail(), [0, 1, 2, 3]);
    assert!(!world.node.data().join("blobs").exists(), "there are no files");
}

fn drill(world: &World, faults: &[Fault]) {
    // It may have to make itself ready at its first object.
    until("the object store", || Ok((world.send(0, LARGE).0 == 250).then_some(()))).unwrap();
    assert_eq!(world.send(1, 4_000).0, 250);
    assert_eq!(world.mail(), [0, 1]);
    let mut next = 2;
    for fault in faults {
        away(world, *fault, &mut next);
    }
    damaged_on_its_way(world);
    let log = world.node.log().unwrap();
    assert!(!log.contains("panicked") && !log.contains(seaweedfs::SECRET_ACCESS_KEY), "{log}");
}

fn away(world: &World, fault: Fault, next: &mut usize) {
    let expected: Vec<usize> = (0..*next).collect();
    world.proxy().set(fault);
    // Several, so that also the open breaker is seen.
    for _ in 0..4 {
        let (code, text) = world.send(*next, LARGE);
        assert!(code == 451 && text.starts_with("4.3.0"), "{fault:?}: {code} {text}");
    }
    assert_eq!(world.send(*next, 4_000).0, 250, "{fault:?}: small mail flows");
    let said = world.readiness();
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("\nbodies: "), "{fault:?}: {said}");
    if fault != Fault::CutRequests {
        unreadable(world, fault, *next);
    }
    world.proxy().set(Fault::None);
    let mut imap = world.imap();
    until("the object store to be asked again", || Ok(imap.command("FETCH 1 (BODY[])")?.ok().then_some(())))
        .unwrap();
    // What was deferred comes again, as senders do.
    until("larger mail to be taken again", || Ok((world.send(*next + 1, LARGE).0 == 250).then_some(())))
        .unwrap();
    *next += 2;
    assert_eq!(
        world.mail(),
        [expected, vec![*next - 2, *next - 1]].concat(),
        "{fault:?}: nothing lost, nothing twice"
    );
    let said = world.readiness();
    assert!(said.starts_with("HTTP/1.1 200") && !said.contains("bodies"), "{fault:?}: {said}");
}

/// What needs the larger body is refused in words, on a connection that goes on; the rest is answered.
fn unreadable(world: &World, fault: Fault, small: usize) {
    let mut imap = world.imap();
    imap.must("STORE 1 -FLAGS.SILENT (\\Seen)").unwrap();
    for what in ["BODY[]", "BODY[]<500000.10>", "BODY[TEXT]", "RFC822"] {
        let refused = imap.command(&format!("FETCH 1 ({what})")).unwrap();
        assert!(refused.status.starts_with("NO [UNAVAILABLE]"), "{fault:?} {what}: {}", refused.status);
    }
    let unseen = imap.must("SEARCH UNSEEN 1").unwrap().text();
    assert!(unseen.iter().any(|line| line.trim_end() == "* SEARCH 1"), "{unseen:?}");
    let refused = imap.append("INBOX", "", &message(9_999, LARGE)).unwrap();
    assert!(refused.status.starts_with("NO [UNAVAILABLE]"), "{fault:?}: {}", refused.status);
    imap.must("FETCH 1 (FLAGS ENVELOPE BODYSTRUCTURE)").unwrap();
    let read = imap.must("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (X-ID)])");
    assert!(read.is_err() || fault == Fault::None, "the header of a larger body lies with it");
    let found = imap.must(&format!("FETCH {} (BODY.PEEK[])", small + 1)).unwrap().text().concat();
    assert!(found.contains(&format!("X-Id: {small}\r\n")), "{fault:?}: what is small is read");
}

/// Bytes that are not what was stored never reach a client.
fn damaged_on_its_way(world: &World) {
    world.proxy().set(Fault::Garble);
    let refused = world.imap().command("FETCH 1 (BODY.PEEK[])").unwrap();
    assert!(refused.status.starts_with("NO [CORRUPTION]"), "{}", refused.status);
    world.proxy().set(Fault::None);
    world.imap().must("FETCH 1 (BODY.PEEK[])").unwrap();
}
