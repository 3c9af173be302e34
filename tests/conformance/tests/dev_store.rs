//! `godwit dev --store …`: a fresh database is prepared, one that is in use is kept, and what is wrong is said.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use harness::{Imap, Node, NodeOptions, Smtp};
use servers::postgres::QUICK;
use servers::{PostgreSql, foundationdb};

fn demo(store: &str) -> anyhow::Result<Node> {
    Node::start(NodeOptions { store: Some(store.to_owned()), ..NodeOptions::default() })
}

fn deliver(node: &Node, text: &str) -> anyhow::Result<()> {
    let message = format!("From: carol@example.org\r\nSubject: {text}\r\n\r\n{text}\r\n");
    let mut lmtp = Smtp::connect_lmtp(node.listener("lmtp"))?;
    let (code, reply) = lmtp.send("carol@example.org", &["alice@example.test"], message.as_bytes())?;
    ensure!(code == 250, "{code} {reply:?}");
    Ok(())
}

/// What alice finds with the password that the node printed.
fn subjects(node: &Node) -> anyhow::Result<Vec<String>> {
    let mut imap = Imap::login(node.listener("imap"), "alice", node.password("alice"))?;
    imap.must("SELECT INBOX")?;
    let found = imap.must("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")?.text();
    Ok(found
        .iter()
        .filter_map(|line| Some(line.split("Subject: ").nth(1)?.lines().next()?.to_owned()))
        .collect())
}

/// Start, deliver, stop, start again: with the same data directory and with another.
fn is_prepared_and_kept(store: &str) -> anyhow::Result<()> {
    let mut node = demo(store)?;
    deliver(&node, "one")?;
    let printed = node.password("alice").to_owned();
    ensure!(node.stop()?, "it does not end well");
    node.start_again()?;
    ensure!(node.password("alice") == printed && subjects(&node)? == ["one"]);
    deliver(&node, "two")?;
    node.kill()?;
    let mut elsewhere = demo(store)?;
    ensure!(elsewhere.password("alice") == printed, "accounts are as they were, so are their passwords");
    ensure!(subjects(&elsewhere)? == ["one", "two"]);
    deliver(&elsewhere, "three")?;
    // Both at once, as two nodes of a cluster.
    node.start_again()?;
    ensure!(subjects(&node)? == ["one", "two", "three"]);
    ensure!(elsewhere.stop()? && node.stop()?);
    Ok(())
}

#[test]
fn an_embedded_store_is_prepared_and_kept() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = format!("embedded:{}", dir.path().join("store").display());
    let mut node = demo(&store)?;
    deliver(&node, "one")?;
    let printed = node.password("alice").to_owned();
    node.kill()?;
    let node = demo(&store)?;
    ensure!(node.password("alice") == printed && subjects(&node)? == ["one"]);
    Ok(())
}

#[test]
fn a_database_is_prepared_and_kept() -> anyhow::Result<()> {
    let Some(server) = PostgreSql::start(QUICK) else { return Ok(()) };
    server.sql("CREATE DATABASE mail");
    let database = server.url().replace("/postgres", "/mail");
    is_prepared_and_kept(&database)?;
    // A schema is a store of its own.
    let node = demo(&format!("{database}?schema=other"))?;
    ensure!(subjects(&node)?.is_empty());
    Ok(())
}

#[test]
fn a_cluster_of_foundationdb_is_prepared_and_kept() -> anyhow::Result<()> {
    let Some(cluster) = foundationdb::cluster(1, 1, "single ssd") else { return Ok(()) };
    let file = cluster.file().display().to_string();
    is_prepared_and_kept(&format!("fdb:{file}"))?;
    let node = demo(&format!("fdb:{file}?prefix=other/"))?;
    ensure!(subjects(&node)?.is_empty(), "a prefix is a store of its own");
    Ok(())
}

/// Two that start on a fresh database at the same moment.
#[test]
fn nodes_that_start_together_agree() -> anyhow::Result<()> {
    let Some(server) = PostgreSql::start(QUICK) else { return Ok(()) };
    let url = server.url();
    let other = std::thread::spawn({
        let url = url.clone();
        move || demo(&url)
    });
    let one = demo(&url)?;
    let other = other.join().ok().context("the other panicked")??;
    deliver(&one, "one")?;
    ensure!(one.password("alice") == other.password("alice") && subjects(&other)? == ["one"]);
    Ok(())
}

/// A server that asks for passwords, and shows a certificate.
struct Strict {
    server: PostgreSql,
    certificate: PathBuf,
}

/// With all that must be escaped in a URL.
const PASSWORD: &str = "p@ss:/w%rd?&#";
const ESCAPED: &str = "p%40ss%3A%2Fw%25rd%3F%26%23";

impl Strict {
    fn start() -> anyhow::Result<Option<Self>> {
        let Some(mut server) = PostgreSql::start(QUICK) else { return Ok(None) };
        server.sql(&format!("CREATE ROLE mail LOGIN PASSWORD '{PASSWORD}'"));
        server.sql("CREATE DATABASE mail OWNER mail");
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        let certificate = server.write("server.crt", &made.cert.pem());
        server.write("server.key", &made.signing_key.serialize_pem());
        let rules = server.write(
            "hba.conf",
            "local all godwit trust\nlocal all mail scram-sha-256\nhost all godwit 127.0.0.1/32 trust\n\
             host all mail 127.0.0.1/32 scram-sha-256\n",
        );
        server.kill();
        for setting in ["ssl=on", "ssl_cert_file=../server.crt", "ssl_key_file=../server.key"] {
            server.set(setting);
        }
        server.set(&format!("hba_file={}", rules.display()));
        server.run();
        Ok(Some(Self { server, certificate }))
    }
}

fn escaped(path: &Path) -> String {
    path.display().to_string().replace('/', "%2F")
}

#[test]
fn urls_have_passwords_certificates_and_sockets() -> anyhow::Result<()> {
    let Some(Strict { server, certificate }) = Strict::start()? else { return Ok(()) };
    let (port, sockets) = (server.port(), escaped(server.sockets()));
    let verified = format!("sslmode=verify-full&sslrootcert={}", escaped(&certificate));
    let urls = [
        format!("postgres://mail:{ESCAPED}@127.0.0.1:{port}/mail"),
        format!("postgresql://mail:{ESCAPED}@127.0.0.1:{port}/mail?{verified}&application_name=demo"),
        format!("postgres://mail:{ESCAPED}@{sockets}:{port}/mail"),
        format!("postgres:///mail?host={sockets}&port={port}&user=mail&password={ESCAPED}"),
    ];
    for (n, url) in urls.iter().enumerate() {
        let mut node = demo(url).with_context(|| url.clone())?;
        deliver(&node, &n.to_string())?;
        ensure!(subjects(&node)?.len() == n + 1, "{url}");
        let encrypted =
            "SELECT bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'mail'";
        ensure!((server.sql(encrypted) == "t") == url.contains("sslmode"), "{url}");
        ensure!(node.stop()?);
    }
    Ok(())
}

/// What the node says instead of starting; never the password.
fn refusal(store: &str) -> anyhow::Result<String> {
    let error = demo(store).err().with_context(|| format!("it starts on {store}"))?.to_string();
    ensure!(!error.contains(PASSWORD) && !error.contains(ESCAPED) && !error.contains("panicked"), "{error}");
    Ok(error)
}

#[test]
fn what_is_wrong_is_said() -> anyhow::Result<()> {
    let Some(Strict { server, .. }) = Strict::start()? else { return Ok(()) };
    let port = server.port();
    let at = |place: &str| format!("postgres://mail:{ESCAPED}@{place}");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    for (url, words) in [
        (at(&format!("127.0.0.1:{nobody}/mail")), &["refused", &format!("127.0.0.1:{nobody}")][..]),
        (at("no-such-host.invalid/mail"), &["no-such-host.invalid"]),
        (at(&format!("127.0.0.1:{port}/nowhere")), &["\"nowhere\" does not exist"]),
        (
            format!("postgres://mail:wrong@127.0.0.1:{port}/mail"),
            &["password authentication failed", "\"mail\""],
        ),
        (format!("postgres://mail@127.0.0.1:{port}/mail"), &["password"]),
        (at(&format!("127.0.0.1:{port}/mail?sslmode=require")), &["certificate"]),
        (at(&format!("127.0.0.1:{port}/mail?sslrootcert=%2Fno%2Fsuch.pem")), &["/no/such.pem"]),
        (at("%2Fno%2Fsuch%2Ffolder/mail"), &["/no/such/folder"]),
        (at(&format!("127.0.0.1:{port}/mail?schema=Mail-1")), &["a-z"]),
        (format!("postgres://127.0.0.1:{port}/mail"), &["user"]),
    ] {
        let said = refusal(&url)?;
        for word in words {
            ensure!(said.contains(word), "{url}: {word:?} is not in {said}");
        }
    }
    // A server that says it is an old one: a function of its user's comes before the system's.
    server.sql("CREATE SCHEMA old");
    server.sql(
        "CREATE FUNCTION old.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT CASE $1
             WHEN 'server_version_num' THEN '140012' WHEN 'server_version' THEN '14.12'
             ELSE pg_catalog.current_setting($1) END $$",
    );
    server.sql("ALTER ROLE godwit SET search_path = old, pg_catalog");
    let said = refusal(&server.url())?;
    ensure!(said.contains("14.12 is too old") && said.contains("15"), "{said}");
    Ok(())
}

/// Larger bodies stay where they are: a configuration that looks for them elsewhere is refused.
#[test]
fn another_place_for_bodies_is_refused() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let blob = dir.path().join("blob.toml");
    std::fs::write(&blob, "kind = \"fs\"\n")?;
    let mut node = Node::start(NodeOptions { blob: Some(blob.clone()), ..NodeOptions::default() })?;
    deliver(&node, "small")?;
    node.kill()?;
    std::fs::write(&blob, "kind = \"store\"\n")?;
    node.start_again().context("there are no larger bodies yet")?;
    deliver(&node, &"large ".repeat(150_000))?;
    node.kill()?;
    std::fs::write(&blob, "kind = \"fs\"\n")?;
    let error = node.start_again().err().context("it starts and does not find its bodies")?.to_string();
    ensure!(error.contains("(blob.kind = \"store\")") && error.contains("(blob.kind = \"fs\")"), "{error}");
    std::fs::write(&blob, "kind = \"store\"\n")?;
    node.start_again()?;
    ensure!(subjects(&node)?.len() == 2);
    Ok(())
}
