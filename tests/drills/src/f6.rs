//! F6: the disk is full, and then it is not: the embedded store's, and that of PostgreSQL's tables under three nodes.
//!
//! Criterion: SMTP hears 452 (or 451), reading goes on, and when there is room again mail flows within 5 s without a restart
//! of any node; lost 0, duplicates 0.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::wait::until;
use harness::{Imap, Node, NodeOptions};
use servers::PostgreSql;
use servers::postgres::QUICK;

use crate::Options;
use crate::backend::{Kind, Server};
use crate::fleet::{Fleet, MIX as SMALL, NODES};
use crate::oracle::{Ledger, Mix};
use crate::table::Table;

const MEGABYTES: u64 = 320;
/// Left when the disk is filled; mail takes the rest.
const LEFT: u64 = 8 << 20;
/// Large enough to fill a disk with.
const MIX: Mix = Mix { senders: 3, users: 4, size: 100_000, large: 200_000 };
/// How long the disk stays full.
const FULL: Duration = Duration::from_secs(8);
/// How long it may take until mail flows again.
const BACK: Duration = Duration::from_secs(5);

/// A file system of its own, unmounted when dropped.
struct Disk {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Disk {
    /// `None` where mounting is not permitted.
    fn mount() -> anyhow::Result<Option<Self>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().to_path_buf();
        let options = format!("size={MEGABYTES}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).status();
        Ok(mounted.is_ok_and(|status| status.success()).then_some(Self { path, _dir: dir }))
    }

    /// Takes all that is free but a little; what is to be removed to have it back.
    fn fill(&self) -> anyhow::Result<PathBuf> {
        let filler = self.path.join("filler");
        let stat = rustix::fs::statvfs(&self.path)?;
        let size = (stat.f_bavail * stat.f_frsize).saturating_sub(LEFT);
        let status = Command::new("fallocate").args(["-l", &size.to_string()]).arg(&filler).status()?;
        ensure!(status.success(), "fallocate");
        Ok(filler)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

pub(crate) fn run(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    for kind in [Kind::Embedded, Kind::Postgres].into_iter().filter(|kind| options.runs_on(*kind)) {
        let Some(disk) = Disk::mount()? else {
            table.skip(kind.name(), "everything", "mounting is not permitted here");
            continue;
        };
        let outcome = match kind {
            Kind::Embedded => embedded(table, &disk),
            _ => postgres(table, &disk),
        };
        table.ends(kind.name(), outcome);
    }
    table.skip(
        "foundationdb",
        "everything",
        "its ratekeeper and its processes say no long before a disk is full",
    );
    Ok(())
}

fn embedded(table: &mut Table, disk: &Disk) -> anyhow::Result<()> {
    let options = NodeOptions {
        users: MIX.users as u32,
        data: Some(disk.path.join("data")),
        store: Some("embedded:".to_owned()),
        ..NodeOptions::default()
    };
    let node = Node::start(options)?;
    let mut ledger = Ledger::default();
    full(table, Kind::Embedded.name(), disk, &ledger, &[&node])?;
    let (wrong, refused) = (ledger.check(&node, MIX.users)?, ledger.refused());
    let figure = format!("{} acknowledged; wrong: {wrong:?}; 5xx: {refused:?}", ledger.acknowledged());
    let passed = wrong.is_empty() && refused.is_empty();
    table.row(Kind::Embedded.name(), "a full disk: lost 0, duplicates 0, no 5xx", &figure, passed);
    Ok(())
}

fn postgres(table: &mut Table, disk: &Disk) -> anyhow::Result<()> {
    let kind = Kind::Postgres;
    let Some(server) = PostgreSql::start(QUICK) else {
        table.skip(kind.name(), "everything", "not installed");
        return Ok(());
    };
    tables_on(&server, &disk.path)?;
    let mut fleet = Fleet::with(Server::Postgres(server), &NodeOptions::default())?;
    let bustle = fleet.bustle()?;
    for node in 0..NODES {
        // No attempt can be written down while the disk is full.
        fleet.hit(node, FULL + Duration::from_secs(120));
    }
    let nodes: Vec<&Node> = fleet.nodes.iter().collect();
    full(table, kind.name(), disk, &bustle.ledger, &nodes)?;
    for node in 0..NODES {
        fleet.over(node);
    }
    fleet.wait_for_remote(Instant::now())?;
    bustle.end(&fleet, table, kind, "a full disk")
}

/// All tables that are made from now on lie there.
fn tables_on(server: &PostgreSql, folder: &Path) -> anyhow::Result<()> {
    let place = folder.join("tables");
    std::fs::create_dir(&place)?;
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(server.sockets())?);
    chown(&place, Some(owner), Some(owner))?;
    open_to_all(folder)?;
    server.sql(&format!("CREATE TABLESPACE small LOCATION '{}'", place.display()));
    server.sql("ALTER DATABASE postgres SET default_tablespace = small");
    ensure!(server.sql("SHOW default_tablespace") == "small", "there is no tablespace: {}", server.log());
    Ok(())
}

fn open_to_all(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

/// Fills the disk under load, reads meanwhile, and makes room again.
fn full(table: &mut Table, store: &str, disk: &Disk, ledger: &Ledger, nodes: &[&Node]) -> anyhow::Result<()> {
    let first = *nodes.first().context("no node")?;
    let mut smtp = harness::Smtp::connect(first.listener("smtp"))?;
    ensure!(ledger.send_one(&mut smtp, 0, SMALL.size)?, "there is room");
    let filler = disk.fill()?;
    let load = ledger.load(first, MIX);
    ledger.codes();
    until("a full disk", || Ok((ledger.codes().values().sum::<usize>() > 0).then_some(())))?;
    let (begun, mut reads, mut failed) = (Instant::now(), 0, Vec::new());
    while begun.elapsed() < FULL {
        for node in nodes {
            let read = Imap::login(node.listener("imap"), "u0", "secret").and_then(|mut imap| {
                imap.must("SELECT INBOX")?;
                imap.must("FETCH 1 (BODY.PEEK[])")
            });
            reads += 1;
            failed.extend(read.err().map(|error| format!("{error:#}")));
        }
    }
    let codes = ledger.codes();
    let mut imap = Imap::login(first.listener("imap"), "u0", "secret")?;
    let appended = imap.append("INBOX", "", &crate::message::message("full", 200_000))?.status;
    let only = codes.keys().all(|code| [451, 452].contains(code)) && codes.contains_key(&452);
    table.row(
        store,
        "a full disk: SMTP hears 452 or 451",
        &format!("{codes:?}; APPEND: {appended}"),
        only && appended.starts_with("NO ["),
    );
    let figure = format!(
        "{reads} logins and reads on {} nodes, {} failed {:?}",
        nodes.len(),
        failed.len(),
        failed.first()
    );
    table.row(store, "a full disk: reading goes on", &figure, failed.is_empty());
    load.stop();
    std::fs::remove_file(filler)?;
    let room = Instant::now();
    for node in nodes {
        until("mail to flow", || {
            let mut smtp = harness::Smtp::connect(node.listener("smtp"))?;
            Ok(ledger.send_one(&mut smtp, 0, SMALL.size)?.then_some(()))
        })?;
    }
    let back = room.elapsed();
    table.row(
        store,
        "room again: mail flows within 5 s without a restart",
        &format!("{back:.2?}"),
        back <= BACK,
    );
    Ok(())
}
