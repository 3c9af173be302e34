//! A node whose store is not there: what it says, and where.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::{Node, NodeOptions, binary};
use servers::process::free_ports;

/// A `godwit serve` that is killed when dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // Both fail on a process that has ended, as is right.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(dir: &Path, store: &str, admin: Option<u16>) -> anyhow::Result<Served> {
    let admin =
        admin.map(|port| format!("[listeners]\nadmin = [\"127.0.0.1:{port}\"]\n")).unwrap_or_default();
    let data = dir.join("data");
    let file = dir.join("godwit.toml");
    let text = format!("hostname = \"mx.example.test\"\ndata = {data:?}\nlog = \"error\"\n{store}{admin}");
    std::fs::write(&file, text)?;
    let mut command = Command::new(binary()?);
    command.args(["serve", "--config"]).arg(file).stdin(Stdio::null()).stdout(Stdio::null());
    Ok(Served(command.stderr(Stdio::piped()).spawn()?))
}

/// Status line and body of a GET, once something listens.
fn get(port: u16, path: &str) -> anyhow::Result<String> {
    let begun = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(e) => ensure!(begun.elapsed() < Duration::from_secs(60), "nobody listens: {e}"),
        }
        std::thread::yield_now();
    };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn foundationdb(dir: &Path, library: &str) -> anyhow::Result<String> {
    let cluster = dir.join("fdb.cluster");
    std::fs::write(&cluster, "test:test@127.0.0.1:1\n")?;
    let section = format!("cluster_file = {cluster:?}\nclient_library = {library:?}\n");
    Ok(format!("[storage]\nbackend = \"foundationdb\"\n[storage.foundationdb]\n{section}"))
}

#[test]
fn a_store_that_is_not_there_is_said_by_the_probes() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let [port] = free_ports();
    let _node = serve(dir.path(), &foundationdb(dir.path(), "/nowhere/libfdb_c.so")?, Some(port))?;
    let ready = get(port, "/readyz")?;
    ensure!(ready.starts_with("HTTP/1.1 503") && ready.contains("/nowhere/libfdb_c.so"), "{ready}");
    ensure!(get(port, "/livez")?.starts_with("HTTP/1.1 200"));
    ensure!(get(port, "/startupz")?.starts_with("HTTP/1.1 503"));
    Ok(())
}

#[test]
fn a_node_that_nobody_can_ask_says_it_and_ends() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut node = serve(dir.path(), &foundationdb(dir.path(), "/nowhere/libfdb_c.so")?, None)?;
    let mut words = String::new();
    node.0.stderr.take().context("no standard error")?.read_to_string(&mut words)?;
    ensure!(!node.0.wait()?.success());
    ensure!(words.contains("/nowhere/libfdb_c.so") && words.contains("foundationdb-clients"), "{words}");
    Ok(())
}

#[test]
fn a_demo_without_its_cluster_file_names_it() -> anyhow::Result<()> {
    let store = Some("fdb:/nowhere/fdb.cluster".to_owned());
    let error = Node::start(NodeOptions { store, ..NodeOptions::default() }).err().context("it starts")?;
    ensure!(error.to_string().contains("cluster file /nowhere/fdb.cluster"), "{error}");
    Ok(())
}
