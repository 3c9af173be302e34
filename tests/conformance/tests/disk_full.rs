//! The disk is full and then it is not (drill F6): mail is deferred with 452, reading goes on, nothing that was
//! acknowledged is lost, and service comes back without a restart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Imap, Node, NodeOptions, Smtp};

const MOUNT_MB: u64 = 320;
const MESSAGE: usize = 200_000;

/// A file system of its own, unmounted when dropped.
struct Disk {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Disk {
    /// `None` where mounting is not permitted.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_path_buf();
        let options = format!("size={MOUNT_MB}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).status();
        mounted.is_ok_and(|s| s.success()).then_some(Self { path, _dir: dir })
    }

    /// Takes all that is free but `leave` bytes.
    fn fill(&self, leave: u64) -> PathBuf {
        let filler = self.path.join("filler");
        let stat = free_bytes(&self.path);
        let size = stat.saturating_sub(leave);
        let status = Command::new("fallocate").args(["-l", &size.to_string()]).arg(&filler).status().unwrap();
        assert!(status.success());
        filler
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn free_bytes(path: &Path) -> u64 {
    let output = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(|w| w.parse::<u64>().unwrap()).product()
}

fn message(n: usize) -> Vec<u8> {
    // Noise, so that no compression makes room where there is none.
    let mut state = n as u64 + 1;
    let mut text = format!("Subject: {n}\r\nX-Id: {n}\r\n\r\n");
    while text.len() < MESSAGE {
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("{:08x}", state >> 32));
        }
        text.push_str("\r\n");
    }
    text.into_bytes()
}

#[test]
fn a_full_disk_defers_mail_and_recovers_by_itself() {
    let Some(disk) = Disk::mount() else {
        println!("skipped: mounting a tmpfs is not permitted here");
        return;
    };
    // The embedded store, whatever the others are run on: it is on the disk that fills.
    let (data, store) = (Some(disk.path.join("data")), Some("embedded:".to_owned()));
    let options = NodeOptions { users: 1, data, store, ..NodeOptions::default() };
    let node = Node::start(options).unwrap();
    // A connection each: a server may have had enough of one on which it had to refuse a message half-way.
    let send = |n: usize| {
        let mut smtp = Smtp::connect(node.listener("smtp")).unwrap();
        smtp.send("a@example.org", &["u0@example.test"], &message(n)).unwrap().0
    };
    assert_eq!(send(0), 250);
    let filler = disk.fill(8 << 20);
    let room = usize::try_from(MOUNT_MB << 20).unwrap() / MESSAGE;
    let deferred_at = (1..room).find(|n| match send(*n) {
        250 => false,
        452 => true,
        code => panic!("a full disk gave {code}"),
    });
    let deferred_at = deferred_at.expect("the disk never filled");

    // Reading goes on, and an APPEND is refused with words.
    let mut imap = Imap::login(node.listener("imap"), "u0", "secret").unwrap();
    imap.must("SELECT INBOX").unwrap();
    imap.must("FETCH 1 (BODY.PEEK[])").unwrap();
    let refused = imap.append("INBOX", "", &message(9999)).unwrap();
    assert!(refused.status.starts_with("NO ["), "{}", refused.status);

    std::fs::remove_file(filler).unwrap();
    harness::wait::until("room again", || Ok((send(deferred_at) == 250).then_some(()))).unwrap();
    imap.must("NOOP").unwrap();
    let found = imap.must("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (X-ID)])").unwrap();
    let ids: Vec<usize> =
        found.text().iter().filter_map(|l| l.split("X-Id: ").nth(1)?.lines().next()?.parse().ok()).collect();
    assert_eq!(ids, (0..=deferred_at).collect::<Vec<_>>());
    let log = node.log().unwrap();
    assert!(!log.contains("panicked"), "{log}");
}
