//! A store is copied to another one while its node serves, and handed over: mail, flags, UIDs and states are the same,
//! and a client goes on at the copy with the state that it had before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use harness::{Imap, Node, NodeOptions, Smtp, binary, wait};
use serde_json::Value;
use servers::azurite::{self, Azurite};
use servers::foundationdb;
use servers::postgres::QUICK;
use servers::seaweedfs::{self, SeaweedFs};
use servers::{BUCKET, PostgreSql};

const USERS: u32 = 3;
const SENDERS: usize = 3;
/// Larger than what lies in rows.
const LARGE: usize = 600_000;

/// A store and the node that serves it, when one does.
struct Place {
    data: PathBuf,
    file: PathBuf,
    store: Option<String>,
    /// Settings of `[blob]`, in a file too.
    blob: Option<PathBuf>,
    node: Option<Node>,
}

impl Place {
    fn new(folder: &Path, name: &str, store: Option<String>, blob: Option<&str>) -> Self {
        let path = |suffix: &str| folder.join(format!("{name}{suffix}"));
        let (data, file) = (path(""), path(".toml"));
        let url = store.as_ref().map(|url| format!("[store]\nurl = {url:?}\n")).unwrap_or_default();
        let section = blob.map(|blob| format!("[blob]\n{}", blob.replace("\n[", "\n[blob.")));
        let section = section.unwrap_or_default();
        let text =
            format!("hostname = \"mail.example.test\"\ndata = {data:?}\nlog = \"error\"\n{url}{section}");
        std::fs::write(&file, text).unwrap();
        let blob = blob.map(|blob| {
            std::fs::write(path(".blob"), blob).unwrap();
            path(".blob")
        });
        Place { data, file, store, blob, node: None }
    }

    fn is_embedded(&self) -> bool {
        self.store.is_none()
    }

    fn start(&mut self) {
        // An empty store of its own, whatever the environment says of others.
        let own = format!("embedded:{}", self.data.join("store").display());
        let options = NodeOptions {
            users: USERS,
            data: Some(self.data.clone()),
            store: Some(self.store.clone().unwrap_or(own)),
            blob: self.blob.clone(),
            ..NodeOptions::default()
        };
        self.node = Some(Node::start(options).unwrap());
    }

    fn listener(&self, name: &str) -> String {
        self.node.as_ref().unwrap().listener(name).to_owned()
    }

    /// What a node says that must not serve.
    fn refusal(&self) -> String {
        let mut command = Command::new(binary().unwrap());
        let output = command.args(["serve", "--config"]).arg(&self.file).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }
}

/// What a run of the command did.
struct Run {
    ok: bool,
    events: Vec<Value>,
    errors: String,
}

impl Run {
    fn passes(&self) -> Vec<&Value> {
        self.events.iter().filter(|event| event["event"] == "pass").collect()
    }
}

fn command(from: &Place, to: &Place, options: &[&str]) -> Command {
    let mut command = Command::new(binary().unwrap());
    command.args(["--json", "store", "copy", "--from"]).arg(&from.file).arg("--to").arg(&to.file);
    command.args(options).stdin(Stdio::null());
    command
}

fn copy(from: &Place, to: &Place, options: &[&str]) -> Run {
    let output = command(from, to, options).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Run { ok: output.status.success(), events, errors: String::from_utf8_lossy(&output.stderr).into_owned() }
}

/// Begins a copy slowly and kills it in the middle.
fn kill_in_the_middle(from: &Place, to: &Place) {
    let mut child = command(from, to, &["--rate", "100 kB"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let under_way = lines.any(|line| {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_ne!(event["event"], "pass", "it was not slow enough to be killed in the middle");
        event["event"] == "progress" && event["rows"].as_u64().unwrap() > 0
    });
    assert!(under_way, "it ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn message(id: &str, size: usize) -> Vec<u8> {
    let mut text = format!("From: s@example.org\r\nSubject: {id}\r\nX-Id: {id}\r\n\r\n");
    // Does not compress to nothing.
    let mut n = 0x9e37_79b9u64;
    while text.len() < size {
        n = n.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(id.len() as u64 + 1);
        text.push_str(&format!("{n:016x}{:016x}{n:032x}\r\n", n.rotate_left(17)));
    }
    text.into_bytes()
}

/// Mail that comes in and readers who change it, until it is stopped.
struct Load {
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(place: &Place, round: &'static str) -> Self {
        let (sent, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut threads = Vec::new();
        for sender in 0..SENDERS {
            let (smtp, sent, stop) = (place.listener("smtp"), Arc::clone(&sent), Arc::clone(&stop));
            threads.push(std::thread::spawn(move || {
                let mut session = Smtp::connect(&smtp).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let n = sent.fetch_add(1, Ordering::Relaxed);
                    let size = if n % 40 == 39 { LARGE } else { 1_500 };
                    let (id, to) =
                        (format!("{round}-{sender}-{n}"), format!("u{}@example.test", n % USERS as usize));
                    // A node that ends says 421: then the rest is somebody else's.
                    let Ok((250, _)) = session.send("s@example.org", &[&to], &message(&id, size)) else {
                        return;
                    };
                }
            }));
        }
        let (imap, until) = (place.listener("imap"), Arc::clone(&stop));
        threads.push(std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                if meddle(&imap, "u0").is_err() {
                    return;
                }
            }
        }));
        Load { sent, stop, threads }
    }

    fn wait_for(&self, more: usize) {
        let target = self.sent.load(Ordering::Relaxed) + more;
        wait::until("mail", || Ok((self.sent.load(Ordering::Relaxed) >= target).then_some(()))).unwrap();
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Flags some, expunges some, moves some.
fn meddle(imap: &str, user: &str) -> anyhow::Result<()> {
    let mut session = Imap::login(imap, user, "secret")?;
    session.must("SELECT INBOX")?;
    session.must("STORE 1:* +FLAGS.SILENT (\\Seen $Read)")?;
    session.append("INBOX", "(\\Flagged) ", &message("appended", 300))?;
    session.must("STORE 1:2 +FLAGS.SILENT (\\Deleted)")?;
    session.must("EXPUNGE")?;
    session.must("MOVE 1 Archive")?;
    Ok(())
}

/// A mailbox as clients see it.
#[derive(Debug, PartialEq)]
struct View {
    validity: u64,
    next: u64,
    modseq: u64,
    /// UID to flags.
    flags: BTreeMap<u32, BTreeSet<String>>,
    bodies: BTreeMap<u32, Vec<u8>>,
}

fn number_after(text: &str, word: &str) -> Option<u64> {
    let rest = text.split(word).nth(1)?;
    rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// UID and flags of a FETCH response.
fn flags_of(line: &str) -> Option<(u32, BTreeSet<String>)> {
    let uid = number_after(line, "UID ")?;
    let flags = line.split("FLAGS (").nth(1)?.split(')').next()?;
    Some((u32::try_from(uid).ok()?, flags.split_whitespace().map(str::to_owned).collect()))
}

fn view(imap: &str, user: u32, mailbox: &str) -> View {
    let mut session = Imap::login(imap, &format!("u{user}"), "secret").unwrap();
    let opened = session.must(&format!("EXAMINE {mailbox} (CONDSTORE)")).unwrap();
    let said = opened.text().join("\n") + &opened.status;
    let number = |word| number_after(&said, word).unwrap_or_else(|| panic!("no {word} in {said}"));
    let (validity, next, modseq) = (number("[UIDVALIDITY "), number("[UIDNEXT "), number("[HIGHESTMODSEQ "));
    let empty = said.contains("* 0 EXISTS");
    let fetched = if empty { Vec::new() } else { session.must("UID FETCH 1:* (FLAGS)").unwrap().text() };
    let bodies = if empty { Vec::new() } else { session.bodies().unwrap() };
    let flags = fetched.iter().filter_map(|line| flags_of(line)).collect();
    View { validity, next, modseq, flags, bodies: bodies.into_iter().collect() }
}

fn views(place: &Place) -> BTreeMap<(u32, &'static str), View> {
    let imap = place.listener("imap");
    let mut views = BTreeMap::new();
    for user in 0..USERS {
        for mailbox in ["INBOX", "Archive"] {
            views.insert((user, mailbox), view(&imap, user, mailbox));
        }
    }
    views
}

/// A client comes back to another store with the state that the first one gave it, and is told what has changed.
fn resynchronize(place: &Place, user: u32, old: &View) -> BTreeMap<u32, BTreeSet<String>> {
    let mut session = Imap::login(&place.listener("imap"), &format!("u{user}"), "secret").unwrap();
    session.must("ENABLE QRESYNC").unwrap();
    let select = format!("SELECT INBOX (QRESYNC ({} {}))", old.validity, old.modseq);
    let reply = session.must(&select).unwrap();
    let mut held = old.flags.clone();
    for line in reply.text() {
        if let Some(set) = line.strip_prefix("* VANISHED (EARLIER) ") {
            for part in set.split(',') {
                let (from, to) = part.split_once(':').unwrap_or((part, part));
                let (from, to): (u32, u32) = (from.parse().unwrap(), to.parse().unwrap());
                held.retain(|uid, _| !(from..=to).contains(uid));
            }
        } else if let Some((uid, flags)) = flags_of(&line).filter(|_| line.contains("FETCH")) {
            held.insert(uid, flags);
        }
    }
    held
}

/// Copies the store of a node under load, hands over, and looks at everything from the other side.
fn move_over(from: &mut Place, to: &mut Place, round: &'static str, kill: bool) {
    let load = Load::start(from, round);
    load.wait_for(150);
    if kill {
        kill_in_the_middle(from, to);
    }
    let run = copy(from, to, &[]);
    assert!(run.ok, "{}", run.errors);
    let passes = run.passes();
    assert!(passes.len() >= 2, "{:?}", run.events);
    let rows = |pass: &Value| pass["rows"].as_u64().unwrap();
    assert!(!kill || rows(passes[0]) < rows(passes[1]), "the first pass was gone on with: {passes:?}");
    assert!(to.refusal().contains("unfinished copy"));
    load.wait_for(30);
    load.end();
    // What clients hold when the move begins; then they are away, and things change.
    let held: Vec<View> = (0..USERS).map(|user| view(&from.listener("imap"), user, "INBOX")).collect();
    for user in 0..USERS {
        meddle(&from.listener("imap"), &format!("u{user}")).unwrap();
    }
    let before = views(from);
    if from.is_embedded() {
        let early = copy(from, to, &["--finish"]);
        assert!(!early.ok && early.errors.contains("stop it"), "{}", early.errors);
        assert!(from.node.as_mut().unwrap().stop().unwrap());
    }
    // Nodes of a shared store see the seal and end by themselves.
    let finish = copy(from, to, &["--finish"]);
    assert!(finish.ok, "{}", finish.errors);
    let finished = finish.events.iter().find(|event| event["event"] == "finished").unwrap();
    assert!(finished["bodies_read"].as_u64().unwrap() > 100 && finished["bodies_damaged"] == 0, "{finished}");
    if !from.is_embedded() {
        let node = from.node.as_mut().unwrap();
        wait::until("the node to end", || Ok(node.ended()?.map(drop))).unwrap();
    }
    from.node = None;
    assert!(from.refusal().contains("sealed"));
    let again = copy(from, to, &["--finish"]);
    assert!(again.ok && again.events[0]["event"] == "finished_before", "{}", again.errors);
    to.start();
    assert!(views(to) == before, "clients see something else than before");
    for (user, held) in (0..USERS).zip(&held) {
        let now = &before[&(user, "INBOX")];
        assert!(held.modseq < now.modseq && held.flags != now.flags);
        assert_eq!(resynchronize(to, user, held), now.flags, "u{user}");
    }
    goes_on(to, &before);
    sound(to);
}

/// The copy, which a node serves, is whole.
fn sound(place: &Place) {
    let mut command = Command::new(binary().unwrap());
    command.args(["store", "verify", "--bodies", "--config"]).arg(&place.file);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let words = [output.stdout, output.stderr].map(|words| String::from_utf8_lossy(&words).into_owned());
    assert!(output.status.success() && words[0].contains(": 0 findings"), "{words:?}");
}

/// What is stored in the copy comes after all that was stored before.
fn goes_on(place: &Place, before: &BTreeMap<(u32, &'static str), View>) {
    for user in 0..USERS {
        let mut smtp = Smtp::connect(&place.listener("smtp")).unwrap();
        let sent = smtp.send("s@example.org", &[&format!("u{user}@example.test")], &message("after", 2_000));
        assert_eq!(sent.unwrap().0, 250);
        let (old, now) = (&before[&(user, "INBOX")], view(&place.listener("imap"), user, "INBOX"));
        assert!(now.modseq > old.modseq && now.next == old.next + 1 && now.validity == old.validity);
        let flags = resynchronize(place, user, old);
        assert_eq!(flags.keys().next_back().map(|uid| u64::from(*uid)), Some(old.next), "the new one");
    }
}

/// Bodies: from files to pieces in the store, and to files again.
#[test]
fn a_store_moves_to_postgresql_and_back_while_mail_flows() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = |name, store, blob| Place::new(folder.path(), name, store, blob);
    let mut home = place("home", None, None);
    let mut shared = place("shared", Some(format!("{}?schema=moved", server.url())), None);
    let mut back = place("back", None, None);
    home.start();
    move_over(&mut home, &mut shared, "there", true);
    move_over(&mut shared, &mut back, "back", false);
}

/// Bodies: from pieces in the embedded store to S3, where they stay.
#[test]
fn a_store_moves_to_foundationdb_and_back_while_mail_flows() {
    let Some(cluster) = foundationdb::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}&prefix=moved/", cluster.url());
    let bucket = SeaweedFs::start();
    let s3 = bucket.as_ref().map(|server| bucket_settings(server, folder.path()));
    let place = |name, store, blob| Place::new(folder.path(), name, store, blob);
    let mut home = place("home", None, Some("kind = \"store\"\n"));
    let mut shared = place("shared", Some(url), s3.as_deref());
    let mut back = place("back", None, s3.as_deref());
    home.start();
    move_over(&mut home, &mut shared, "there", false);
    move_over(&mut shared, &mut back, "back", true);
}

/// Neither is embedded. Bodies: from Azure to S3, and to pieces in the store.
#[test]
fn a_store_moves_between_postgresql_and_foundationdb_while_mail_flows() {
    let (Some(cluster), Some(server)) = (foundationdb::start(), PostgreSql::start(QUICK)) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (container, bucket) = (Azurite::start(), SeaweedFs::start());
    let azure = container.as_ref().map(|server| container_settings(server, folder.path()));
    let s3 = bucket.as_ref().map(|server| bucket_settings(server, folder.path()));
    let place = |name, store, blob| Place::new(folder.path(), name, Some(store), blob);
    let mut first = place("first", format!("{}?schema=first", server.url()), azure.as_deref());
    let mut second = place("second", cluster.url(), s3.as_deref());
    let mut third = place("third", format!("{}?schema=third", server.url()), Some("kind = \"store\"\n"));
    first.start();
    move_over(&mut first, &mut second, "there", false);
    move_over(&mut second, &mut third, "back", true);
}

fn container_settings(server: &Azurite, folder: &Path) -> String {
    let key = folder.join("azure-key");
    std::fs::write(&key, azurite::KEY).unwrap();
    format!(
        "kind = \"azblob\"\n[azblob]\ncontainer = {BUCKET:?}\nroot = \"first\"\nendpoint = \"http://{}/{}\"\n\
         account = {:?}\naccount_key.file = {key:?}\n",
        server.address(),
        azurite::ACCOUNT,
        azurite::ACCOUNT,
    )
}

fn bucket_settings(server: &SeaweedFs, folder: &Path) -> String {
    let key = folder.join("key");
    std::fs::write(&key, seaweedfs::SECRET_ACCESS_KEY).unwrap();
    format!(
        "kind = \"s3\"\n[s3]\nbucket = {BUCKET:?}\nregion = \"us-east-1\"\nroot = \"moved\"\n\
         endpoint = \"http://{}\"\naccess_key_id = {:?}\nsecret_access_key.file = {key:?}\n",
        server.address(),
        seaweedfs::ACCESS_KEY_ID,
    )
}

#[test]
fn a_copy_can_be_abandoned() {
    let Some(server) = PostgreSql::start(QUICK) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut home = Place::new(folder.path(), "home", None, None);
    let shared = Place::new(folder.path(), "shared", Some(server.url()), None);
    let nowhere = copy(&home, &shared, &[]);
    assert!(!nowhere.ok && nowhere.errors.contains("there is no store"), "{}", nowhere.errors);
    home.start();
    let same = copy(&home, &home, &[]);
    assert!(!same.ok && same.errors.contains("same store"), "{}", same.errors);
    assert!(home.node.as_mut().unwrap().stop().unwrap());
    // Nobody has it open: it is read directly, and finished at once.
    let finish = copy(&home, &shared, &["--finish"]);
    assert!(finish.ok, "{}", finish.errors);
    assert!(home.refusal().contains("sealed"));
    let abandoned = copy(&home, &shared, &["--abandon"]);
    assert!(abandoned.ok, "{}", abandoned.errors);
    assert!(shared.refusal().contains("unfinished copy"));
    home.start();
    let again = copy(&home, &shared, &[]);
    assert!(again.ok, "{}", again.errors);
    assert_eq!(again.events[0]["again"], true);
}
