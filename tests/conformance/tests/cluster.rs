//! Several nodes on one store: what one has answered all see, remote mail goes once, and who dies is followed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::node::binary;
use harness::{Cluster, ClusterOptions, Http, Imap, Smtp, wait};
use rustix::process::Signal;
use servers::PostgreSql;
use servers::postgres::QUICK;

fn cluster(server: &PostgreSql, relay: Option<String>) -> Cluster {
    let store = server.url();
    Cluster::start(&ClusterOptions { nodes: 3, store, users: 3, relay, ..ClusterOptions::default() }).unwrap()
}

/// Changes of a measurement.
const ROUNDS: u32 = 200;

fn message(id: &str) -> Vec<u8> {
    format!("From: s@example.org\r\nSubject: {id}\r\nX-Id: {id}\r\n\r\nbody\r\n").into_bytes()
}

#[test]
fn what_one_node_has_answered_all_see() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let mut cluster = cluster(&server, None);
    for n in 0..30 {
        let (taker, reader) = (n % 3, (n + 1 + n / 3) % 3);
        let mut smtp = Smtp::connect(cluster.listener(taker, "smtp")).unwrap();
        let id = format!("m{n}");
        assert_eq!(smtp.send("s@example.org", &["u0@example.test"], &message(&id)).unwrap().0, 250);
        let mut imap = Imap::login(cluster.listener(reader, "imap"), "u0", "secret").unwrap();
        imap.must("SELECT INBOX").unwrap();
        let found = imap.must(&format!("SEARCH HEADER X-Id {id}")).unwrap();
        assert!(
            found.text().iter().any(|line| line == &format!("* SEARCH {}", n + 1)),
            "{id}: {:?}",
            found.text()
        );
        imap.must(&format!("STORE {} +FLAGS (\\Seen)", n + 1)).unwrap();
        let mut third = Imap::login(cluster.listener(taker, "imap"), "u0", "secret").unwrap();
        let status = third.must("STATUS INBOX (UNSEEN)").unwrap();
        assert!(status.text().iter().any(|line| line.contains("UNSEEN 0")), "{:?}", status.text());
    }
    // A session on one node hears of what another takes.
    let mut idle = Imap::login(cluster.listener(2, "imap"), "u1", "secret").unwrap();
    idle.must("SELECT INBOX").unwrap();
    idle.line.send_line("i IDLE").unwrap();
    let mut smtp = Smtp::connect(cluster.listener(0, "smtp")).unwrap();
    assert_eq!(smtp.send("s@example.org", &["u1@example.test"], &message("idle")).unwrap().0, 250);
    while idle.line.read_line().unwrap() != b"* 1 EXISTS" {}
    assert!(cluster.stop().unwrap(), "{}", cluster.log().unwrap());
}

/// From the answer on one node to the word on another, which idles.
#[test]
fn a_change_on_one_node_is_told_on_another_by_a_hint() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let mut cluster = cluster(&server, None);
    let mut smtp = Smtp::connect(cluster.listener(0, "smtp")).unwrap();
    assert_eq!(smtp.send("s@example.org", &["u0@example.test"], &message("m")).unwrap().0, 250);
    let mut writer = Imap::login(cluster.listener(0, "imap"), "u0", "secret").unwrap();
    let mut idle = Imap::login(cluster.listener(1, "imap"), "u0", "secret").unwrap();
    for session in [&mut writer, &mut idle] {
        session.must("SELECT INBOX").unwrap();
    }
    idle.line.send_line("i IDLE").unwrap();
    while !idle.line.read_line().unwrap().starts_with(b"+ ") {}
    let mut change = |round: u32| {
        let (sign, flags) = if round.is_multiple_of(2) { ("+", "\\Flagged") } else { ("-", "") };
        writer.must(&format!("STORE 1 {sign}FLAGS (\\Flagged)")).unwrap();
        let committed = Instant::now();
        let expected = format!("FLAGS ({flags})");
        while !String::from_utf8(idle.line.read_line().unwrap()).unwrap().contains(&expected) {}
        committed.elapsed()
    };
    let by_hint = |cluster: &Cluster| cluster.metric(1, "notify_wake_seconds_count").unwrap();
    cluster.together().unwrap();
    // The first ones make connections, and may be found by a look.
    for round in 0..10 {
        change(round);
    }
    let before = by_hint(&cluster);
    let mut told: Vec<Duration> = (0..ROUNDS).map(&mut change).collect();
    told.sort();
    let at = |percent: usize| told[(told.len() - 1) * percent / 100];
    println!("commit to IDLE on another node: p50 {:?}, p99 {:?}, most {:?}", at(50), at(99), at(100));
    // A look may have come before a hint now and then.
    let by_hint = by_hint(&cluster) - before;
    assert!(by_hint >= f64::from(ROUNDS) * 0.9, "{by_hint} by hints");
    assert!(cluster.stop().unwrap(), "{}", cluster.log().unwrap());
}

/// An operator's command to a node's admin API.
fn godwit(cluster: &Cluster, node: usize, arguments: &[&str], input: &str) {
    let mut command = Command::new(binary().unwrap());
    command.args(arguments).arg("--data").arg(cluster.data(node));
    command.args(["--admin", &format!("http://{}", cluster.listener(node, "admin"))]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "godwit {arguments:?}");
}

#[test]
fn what_becomes_of_an_account_is_in_force_on_all_nodes() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let mut cluster = cluster(&server, None);
    let login = |node, password| Imap::login(cluster.listener(node, "imap"), "u0", password);
    // Each node knows the password by now.
    (0..3).for_each(|node| drop(login(node, "secret").unwrap()));
    godwit(&cluster, 0, &["account", "password", "u0@example.test"], "other\n");
    for node in 0..3 {
        assert!(login(node, "secret").is_err(), "node {node} takes the former password");
        login(node, "other").unwrap();
    }
    cluster.together().unwrap();
    // Disabled on one node: whoever is at work on the others is sent away.
    let mut idle = login(1, "other").unwrap();
    idle.must("SELECT INBOX").unwrap();
    idle.line.send_line("i IDLE").unwrap();
    let mut waiting = login(2, "other").unwrap();
    let mut sending = Smtp::connect_tls(cluster.listener(2, "submissions")).unwrap();
    sending.auth_plain("u0@example.test", "other").unwrap();
    sending.expect("MAIL FROM:<u0@example.test>", 250).unwrap();
    let mut other = Imap::login(cluster.listener(1, "imap"), "u1", "secret").unwrap();
    godwit(&cluster, 0, &["account", "disable", "u0@example.test"], "");
    let disabled = Instant::now();
    while !idle.line.read_line().unwrap().starts_with(b"* BYE ") {}
    println!("from the command's end to BYE on another node: {:?}", disabled.elapsed());
    while !waiting.line.read_line().unwrap().starts_with(b"* BYE ") {}
    assert_eq!(sending.read_reply().unwrap().0, 421);
    assert!((0..3).all(|node| login(node, "other").is_err()));
    other.must("NOOP").unwrap();
    // And when it is removed.
    other.line.send_line("i IDLE").unwrap();
    while !other.line.read_line().unwrap().starts_with(b"+ ") {}
    godwit(&cluster, 2, &["account", "delete", "u1@example.test"], "");
    while !other.line.read_line().unwrap().starts_with(b"* BYE ") {}
    assert!(cluster.stop().unwrap(), "{}", cluster.log().unwrap());
}

/// A server that notes what it takes.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<BTreeMap<String, u32>>>);

impl Sink {
    fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let sink = Sink::default();
        let shared = sink.clone();
        std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                let sink = shared.clone();
                std::thread::spawn(move || sink.serve(&socket));
            }
        });
        (sink, address)
    }

    fn serve(&self, socket: &TcpStream) -> std::io::Result<()> {
        let reader = BufReader::new(socket.try_clone()?);
        let say = |text: &str| (&mut &*socket).write_all(format!("{text}\r\n").as_bytes());
        say("220 sink")?;
        let (mut data, mut id) = (false, String::new());
        for line in reader.lines() {
            let line = line?;
            match line.as_str() {
                "." if data => {
                    data = false;
                    *self.0.lock().unwrap().entry(std::mem::take(&mut id)).or_default() += 1;
                    say("250 taken")?;
                }
                "DATA" => {
                    data = true;
                    say("354 go on")?;
                }
                "QUIT" => return say("221 bye"),
                line if data => {
                    if let Some(found) = line.strip_prefix("X-Id: ") {
                        id = found.to_owned();
                    }
                }
                _ => say("250 fine")?,
            }
        }
        Ok(())
    }

    fn taken(&self) -> BTreeMap<String, u32> {
        self.0.lock().unwrap().clone()
    }
}

/// Submits so many messages to as many domains, by all nodes that are there.
fn submit(cluster: &Cluster, nodes: &[usize], from: usize, count: usize) {
    let password =
        &cluster.accounts.iter().find(|account| account.address == "alice@example.test").unwrap().password;
    for n in from..from + count {
        let node = nodes[n % nodes.len()];
        let mut smtp = Smtp::connect_tls(cluster.listener(node, "submissions")).unwrap();
        smtp.auth_plain("alice@example.test", password).unwrap();
        let to = format!("r@d{n}.example.net");
        let (code, text) = smtp.send("alice@example.test", &[&to], &message(&format!("q{n}"))).unwrap();
        assert_eq!(code, 250, "{text:?}");
    }
}

#[test]
fn remote_mail_goes_once_whoever_dies_or_leaves() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let (sink, address) = Sink::start();
    let cluster = cluster(&server, Some(address));
    // Taken there, and noted here: who dies before it has noted it sends again.
    let password = std::fs::read_to_string(cluster.data(0).join("admin-password")).unwrap();
    let admin = Http::new(cluster.listener(0, "admin")).with_password(password.trim());
    let sent = |count: usize| {
        wait::until("remote mail", || {
            let waiting = admin.get("/api/v1/queue")?.json()["items"].as_array().map(Vec::len);
            Ok((sink.taken().len() >= count && waiting == Some(0)).then_some(()))
        })
        .unwrap();
    };
    submit(&cluster, &[0, 1, 2], 0, 30);
    sent(30);
    // One is killed, one leaves; the last has all of the queue's slots.
    cluster.signal(1, Signal::KILL).unwrap();
    submit(&cluster, &[0, 2], 30, 30);
    sent(60);
    cluster.signal(2, Signal::TERM).unwrap();
    submit(&cluster, &[0], 60, 30);
    sent(90);
    let taken = sink.taken();
    assert!(taken.len() == 90 && taken.values().all(|times| *times == 1), "{taken:?}");
}

#[test]
fn the_embedded_store_serves_one_node() {
    let options = ClusterOptions { nodes: 2, store: "embedded:".to_owned(), ..ClusterOptions::default() };
    let error = Cluster::start(&options).unwrap_err().to_string();
    assert!(error.contains("the embedded store serves one node"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let store = format!("embedded:{}", folder.path().display());
    let mut one = Cluster::start(&ClusterOptions { nodes: 1, store, ..options }).unwrap();
    assert_eq!(one.nodes.len(), 1, "announced as several are");
    one.stop().unwrap();
}
