//! Real clients from Debian's packages against a real node: they send, read, append, flag, move and delete.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, ensure};
use harness::{Imap, Node, NodeOptions, Smtp, wait};

fn node() -> anyhow::Result<Node> {
    Node::start(NodeOptions::default())
}

fn run(command: &mut Command) -> anyhow::Result<Output> {
    let output = command.output().with_context(|| format!("{command:?}: `make test` installs it"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}

fn alice(node: &Node) -> anyhow::Result<Imap> {
    Imap::login(node.listener("imap"), "alice@example.test", node.password("alice"))
}

fn deliver(node: &Node, user: &str, messages: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let mut lmtp = Smtp::connect_lmtp(node.listener("lmtp"))?;
    for message in messages {
        let to = format!("{user}@example.test");
        let (code, text) = lmtp.send("sender@example.org", &[&to], message.as_bytes())?;
        ensure!(code == 250, "{code} {text:?}");
    }
    Ok(())
}

fn numbered(n: usize) -> String {
    let filler = "The quick brown fox jumps over the lazy dog.\r\n".repeat(n % 40);
    format!(
        "From: Sender <sender@example.org>\r\nTo: alice@example.test\r\nSubject: Numbered {n}\r\n\
         Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <numbered-{n}@example.org>\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\nBody of {n}: grüße.\r\n{filler}"
    )
}

fn split(address: &str) -> (&str, &str) {
    address.rsplit_once(':').unwrap_or((address, ""))
}

#[test]
fn swaks_sends_to_every_smtp_listener() -> anyhow::Result<()> {
    let node = node()?;
    let password = node.password("bob").to_owned();
    let auth = ["--auth", "PLAIN", "--auth-user", "bob@example.test", "--auth-password", &password];
    let login = ["--auth", "LOGIN", "--auth-user", "bob@example.test", "--auth-password", &password];
    let cases: [(&str, &[&str], &[&str]); 5] = [
        ("smtp", &[], &[]),
        ("smtp", &["--tls"], &[]),
        ("lmtp", &["--protocol", "LMTP"], &[]),
        ("submission", &["--tls"], &auth),
        ("submissions", &["--tls-on-connect"], &login),
    ];
    for (listener, options, auth) in cases {
        let (host, port) = split(node.listener(listener));
        let mut swaks = Command::new("swaks");
        swaks.args(["--server", host, "--port", port, "--from", "bob@example.test"]);
        swaks.args(["--to", "alice@example.test", "--header", &format!("Subject: by {listener}")]);
        run(swaks.args(options).args(auth))?;
    }
    let mut imap = alice(&node)?;
    imap.must("SELECT INBOX")?;
    assert_eq!(imap.bodies()?.len(), cases.len());
    Ok(())
}

#[test]
fn curl_sends_appends_and_reads() -> anyhow::Result<()> {
    let node = node()?;
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("message.eml");
    std::fs::write(&file, numbered(7))?;
    let user = format!("alice@example.test:{}", node.password("alice"));
    let imaps = format!("imaps://{}/INBOX", node.listener("imaps"));
    let smtps = format!("smtps://{}", node.listener("submissions"));
    let mut send = Command::new("curl");
    send.args(["-sSk", &smtps, "-u", &user, "--mail-from", "alice@example.test"]);
    run(send.args(["--mail-rcpt", "alice@example.test", "-T"]).arg(&file))?;
    run(Command::new("curl").args(["-sSk", &imaps, "-u", &user, "-T"]).arg(&file))?;
    for uid in 1..=2 {
        let url = format!("{imaps};UID={uid}");
        let read = run(Command::new("curl").args(["-sSk", &url, "-u", &user]))?;
        assert!(read.stdout.ends_with(numbered(7).as_bytes()), "uid {uid}: {read:?}");
    }
    let found =
        run(Command::new("curl").args(["-sSk", &imaps, "-u", &user, "-X", "SEARCH SUBJECT Numbered"]))?;
    assert_eq!(String::from_utf8_lossy(&found.stdout).trim(), "* SEARCH 1 2");
    Ok(())
}

#[test]
fn imaplib_works_through_a_day() -> anyhow::Result<()> {
    let node = node()?;
    deliver(&node, "alice", (1..=5).map(numbered))?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/imaplib_day.py");
    let (host, port) = split(node.listener("imaps"));
    run(Command::new("python3").arg(script).args([
        host,
        port,
        "alice@example.test",
        node.password("alice"),
    ]))?;
    Ok(())
}

/// Sorted (message-id, flags) of a mailbox, as the server tells them.
fn server_tree(node: &Node) -> anyhow::Result<Vec<(String, bool)>> {
    let mut imap = alice(node)?;
    imap.must("EXAMINE INBOX")?;
    let reply = imap.must("FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")?;
    let mut tree: Vec<_> =
        reply.text().iter().filter_map(|l| Some((message_id(l)?, l.contains("\\Seen")))).collect();
    tree.sort();
    Ok(tree)
}

/// The same of a Maildir, as the client stored it.
fn maildir_tree(dir: &Path) -> anyhow::Result<Vec<(String, bool)>> {
    let mut tree = Vec::new();
    for sub in ["cur", "new"] {
        for entry in std::fs::read_dir(dir.join(sub))? {
            let path = entry?.path();
            let flags = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.split_once(":2,"));
            let seen = flags.is_some_and(|(_, flags)| flags.contains('S'));
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            tree.push((message_id(&text).with_context(|| format!("{path:?} without id"))?, seen));
        }
    }
    tree.sort();
    Ok(tree)
}

fn message_id(text: &str) -> Option<String> {
    let at = text.to_ascii_lowercase().find("message-id:")?;
    let rest = text.get(at..)?;
    let (_, rest) = rest.split_once('<')?;
    Some(rest.split_once('>')?.0.to_owned())
}

fn make_maildir(dir: &Path, messages: impl Iterator<Item = usize>) -> anyhow::Result<()> {
    for sub in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(dir.join(sub))?;
    }
    for n in messages {
        let name = format!("1763719200.M{n}P1.local:2,{}", if n % 3 == 0 { "S" } else { "" });
        std::fs::write(dir.join("cur").join(name), numbered(n).replace("\r\n", "\n"))?;
    }
    Ok(())
}

#[test]
fn mbsync_keeps_both_sides_equal() -> anyhow::Result<()> {
    let node = node()?;
    let scratch = tempfile::tempdir()?;
    let maildir = scratch.path().join("mail/INBOX");
    deliver(&node, "alice", (0..500).map(numbered))?;
    make_maildir(&maildir, 500..1000)?;
    let (host, port) = split(node.listener("imaps"));
    let config = scratch.path().join("mbsyncrc");
    std::fs::write(
        &config,
        format!(
            "IMAPAccount node\nHost {host}\nPort {port}\nUser alice@example.test\nPass {}\nSSLType IMAPS\n\
             CertificateFile {}\n\nIMAPStore far\nAccount node\n\nMaildirStore near\nPath {dir}/mail/\n\
             Inbox {dir}/mail/INBOX\n\nChannel all\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Both\n\
             Expunge Both\nSync All\nSyncState *\n",
            node.password("alice"),
            node.announced.certificate.display(),
            dir = scratch.path().display(),
        ),
    )?;
    let sync = || run(Command::new("mbsync").arg("-c").arg(&config).arg("-a").env("HOME", scratch.path()));
    sync()?;
    let tree = server_tree(&node)?;
    assert_eq!(tree.len(), 1000);
    assert_eq!(tree, maildir_tree(&maildir)?);

    // Changes on both sides: flags and deletions there, deletions here.
    let mut imap = alice(&node)?;
    imap.must("SELECT INBOX")?;
    imap.must("STORE 1:100 +FLAGS.SILENT (\\Seen)")?;
    imap.must("STORE 101:150 +FLAGS.SILENT (\\Deleted)")?;
    imap.must("EXPUNGE")?;
    let mut local: Vec<_> = std::fs::read_dir(maildir.join("cur"))?.flatten().map(|e| e.path()).collect();
    local.sort();
    for path in local.iter().filter(|p| !p.to_string_lossy().contains("Seen")).take(20) {
        std::fs::remove_file(path)?;
    }
    sync()?;
    sync()?;
    let tree = server_tree(&node)?;
    assert!(tree.len() <= 950 && tree.len() >= 930, "{}", tree.len());
    assert_eq!(tree, maildir_tree(&maildir)?);
    Ok(())
}

#[test]
fn offlineimap_mirrors_and_uploads() -> anyhow::Result<()> {
    let node = node()?;
    let scratch = tempfile::tempdir()?;
    deliver(&node, "alice", (0..50).map(numbered))?;
    let maildir = scratch.path().join("mail/INBOX");
    make_maildir(&maildir, 50..80)?;
    let (_, port) = split(node.listener("imaps"));
    let config = scratch.path().join("offlineimaprc");
    std::fs::write(
        &config,
        format!(
            "[general]\naccounts = a\nmetadata = {dir}/meta\n[Account a]\nlocalrepository = l\nremoterepository = r\n\
             [Repository l]\ntype = Maildir\nlocalfolders = {dir}/mail\n[Repository r]\ntype = IMAP\n\
             remotehost = localhost\nremoteport = {port}\nremoteuser = alice@example.test\nremotepass = {}\nssl = yes\n\
             sslcacertfile = {}\nssl_version = tls1_2\ntls_level = tls_compat\nfolderfilter = lambda f: f == 'INBOX'\n",
            node.password("alice"),
            node.announced.certificate.display(),
            dir = scratch.path().display(),
        ),
    )?;
    let sync = || {
        let mut offlineimap = Command::new("offlineimap");
        run(offlineimap.arg("-c").arg(&config).args(["-o", "-u", "basic"]).env("HOME", scratch.path()))
    };
    sync()?;
    let tree = server_tree(&node)?;
    assert_eq!(tree.len(), 80);
    assert_eq!(tree, maildir_tree(&maildir)?);
    let mut imap = alice(&node)?;
    imap.must("SELECT INBOX")?;
    imap.must("STORE 1:10 +FLAGS.SILENT (\\Seen)")?;
    imap.must("STORE 11:20 +FLAGS.SILENT (\\Deleted)")?;
    imap.must("EXPUNGE")?;
    sync()?;
    assert_eq!(server_tree(&node)?, maildir_tree(&maildir)?);
    Ok(())
}

#[test]
fn idle_hears_of_mail_and_of_flags() -> anyhow::Result<()> {
    let node = node()?;
    let mut idler = alice(&node)?;
    idler.must("SELECT INBOX")?;
    idler.line.send_line("i IDLE")?;
    assert!(idler.line.read_line()?.starts_with(b"+"));
    deliver(&node, "alice", (1..=1).map(numbered))?;
    let exists = wait::until("EXISTS", || Ok(Some(idler.line.read_line()?).filter(|l| l == b"* 1 EXISTS")))?;
    assert_eq!(exists, b"* 1 EXISTS");
    let mut other = alice(&node)?;
    other.must("SELECT INBOX")?;
    other.must("STORE 1 +FLAGS (\\Flagged)")?;
    wait::until("FETCH", || Ok(Some(idler.line.read_line()?).filter(|l| l.starts_with(b"* 1 FETCH"))))?;
    other.must("STORE 1 +FLAGS (\\Deleted)")?;
    other.must("EXPUNGE")?;
    wait::until("EXPUNGE", || Ok(Some(idler.line.read_line()?).filter(|l| l == b"* 1 EXPUNGE")))?;
    idler.line.send_line("DONE")?;
    assert!(idler.line.read_line()?.starts_with(b"i OK"));
    Ok(())
}
