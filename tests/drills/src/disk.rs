//! A file system of its own, in a file, that can lose its power.
//!
//! ext4 shut down without its journal being written (`EXT4_IOC_SHUTDOWN`, as file system tests do it) keeps what was synced and
//! drops what only the page cache has; from then on each write and sync fails. Mounted again it recovers from its journal, as
//! after a power cut. The device below is a file of this machine, whose own cache is not lost: what a disk drops from its
//! volatile cache, and torn sectors, are the simulated disk's to show.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::ensure;

/// Mounted until it is dropped.
pub(crate) struct Disk {
    dir: tempfile::TempDir,
    device: String,
}

const SHUT_DOWN: &str = "import fcntl, os, struct, sys, time
folder = os.open(sys.argv[1], os.O_RDONLY)
print(time.time_ns(), flush=True)
fcntl.ioctl(folder, 0x8004587D, struct.pack('I', 2))";

impl Disk {
    /// `None` where that is not permitted or the tools are missing.
    pub(crate) fn mount(megabytes: u64) -> anyhow::Result<Option<Self>> {
        let dir = tempfile::tempdir()?;
        let image = dir.path().join("image");
        std::fs::File::create(&image)?.set_len(megabytes << 20)?;
        std::fs::create_dir(dir.path().join("mnt"))?;
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).stdout(Stdio::null()).status();
        let device = Command::new("losetup").args(["-f", "--show"]).arg(&image).output();
        let (Ok(true), Ok(device)) = (made.map(|made| made.success()), device) else { return Ok(None) };
        let device = String::from_utf8_lossy(&device.stdout).trim().to_owned();
        if device.is_empty() {
            return Ok(None);
        }
        let disk = Disk { dir, device };
        Ok(disk.mounts().then_some(disk))
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    fn mounts(&self) -> bool {
        let mounted = Command::new("mount").args(["-t", "ext4", &self.device]).arg(self.path()).status();
        mounted.is_ok_and(|status| status.success())
    }

    /// The power goes. Returns when it began to: a sync that was under way then may be told to have succeeded by a kernel
    /// that no longer carries it out, as happens to no machine without power.
    pub(crate) fn cut(&self) -> anyhow::Result<SystemTime> {
        let output = Command::new("python3").args(["-c", SHUT_DOWN]).arg(self.path()).output()?;
        ensure!(output.status.success(), "the file system cannot be shut down");
        let nanos = String::from_utf8_lossy(&output.stdout).trim().parse()?;
        Ok(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos))
    }

    /// The power is back. Nobody may have files open any more.
    pub(crate) fn restore(&self) -> anyhow::Result<()> {
        ensure!(unmount(&self.path()), "cannot unmount {}", self.path().display());
        ensure!(self.mounts(), "cannot mount {} again", self.path().display());
        Ok(())
    }
}

fn unmount(path: &Path) -> bool {
    Command::new("umount").arg(path).status().is_ok_and(|status| status.success())
}

impl Drop for Disk {
    fn drop(&mut self) {
        if !unmount(&self.path()) {
            let _ = Command::new("umount").arg("-l").arg(self.path()).status();
        }
        let _ = Command::new("losetup").args(["-d", &self.device]).status();
    }
}
