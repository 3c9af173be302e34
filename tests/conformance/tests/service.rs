//! A node under a manager of services that speaks systemd's protocol: it is told what happens, in order.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::binary;
use rustix::process::{Pid, Signal, kill_process};

/// A `godwit serve` that is killed when dropped, and the socket that it talks to.
struct Service {
    node: Child,
    socket: UnixDatagram,
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail on a process that has ended, as is right.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

impl Service {
    fn start(dir: &Path, store: &str) -> anyhow::Result<Self> {
        let (notify, file, data) = (dir.join("notify"), dir.join("godwit.toml"), dir.join("data"));
        let socket = UnixDatagram::bind(&notify)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        let listeners = "[listeners]\nimap = [\"127.0.0.1:0\"]\nadmin = [\"127.0.0.1:0\"]\n";
        let general = format!("hostname = \"mx.example.test\"\ndata = {data:?}\nlog = \"error\"\n");
        std::fs::write(&file, format!("{general}lb_grace = \"0 s\"\n{store}{listeners}"))?;
        let mut command = Command::new(binary()?);
        command.args(["serve", "--config"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        command.env("NOTIFY_SOCKET", &notify).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
        Ok(Self { node: command.spawn()?, socket })
    }

    /// The next word that is no sign of life.
    fn next(&self) -> anyhow::Result<String> {
        loop {
            let word = self.any()?;
            if word != "WATCHDOG=1" {
                return Ok(word);
            }
        }
    }

    fn any(&self) -> anyhow::Result<String> {
        let mut room = [0; 4096];
        let length = self.socket.recv(&mut room).context("no word from the node")?;
        Ok(String::from_utf8(room.get(..length).unwrap_or_default().to_vec())?)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.node), signal)?)
    }
}

#[test]
fn the_manager_hears_that_a_node_is_up_reloads_lives_and_goes() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut service = Service::start(dir.path(), "")?;
    let word = service.next()?;
    ensure!(word.lines().any(|line| line == "READY=1"), "{word}");
    while service.any()? != "WATCHDOG=1" {}
    service.signal(Signal::HUP)?;
    let word = service.next()?;
    ensure!(word.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{word}");
    let word = service.next()?;
    ensure!(word.starts_with("READY=1"), "{word}");
    service.signal(Signal::TERM)?;
    let word = service.next()?;
    ensure!(word.starts_with("STOPPING=1"), "{word}");
    ensure!(service.node.wait()?.success());
    Ok(())
}

#[test]
fn the_manager_hears_what_a_node_waits_for() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = "[storage]\nbackend = \"foundationdb\"\n[storage.foundationdb]\n";
    let service = Service::start(dir.path(), &format!("{store}client_library = \"/nowhere/libfdb_c.so\"\n"))?;
    let word = service.next()?;
    ensure!(word.starts_with("STATUS=store: ") && word.lines().count() == 1, "{word}");
    Ok(())
}
