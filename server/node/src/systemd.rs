//! Words to systemd, or to another manager of services that knows its protocol: what the node waits for, that it is up,
//! that it goes, and that it still moves.
//!
//! A word is one datagram of `KEY=value` lines to the socket that NOTIFY_SOCKET names (sd_notify(3)). Where nobody has set
//! that, nothing is said. Nothing here can fail the node: who does not hear it finds out by other means.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use runtime::CancellationToken;

/// How long a word may take. A manager that does not read must not hold up the node.
const PATIENCE: Duration = Duration::from_secs(1);

/// A word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word<'a> {
    /// Not up yet, for this reason.
    Waiting(&'a str),
    /// Every listener accepts.
    Ready,
    /// The configuration is read again; [`Word::Ready`] when that is done.
    Reloading,
    /// The node goes.
    Stopping,
    /// The node moves.
    Alive,
}

impl Word<'_> {
    fn text(self) -> String {
        match self {
            // A second line would be another word.
            Word::Waiting(reason) => format!("STATUS={}", reason.replace(['\n', '\r'], " ")),
            Word::Ready => "READY=1\nSTATUS=serving".to_owned(),
            Word::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic()),
            Word::Stopping => "STOPPING=1\nSTATUS=draining".to_owned(),
            Word::Alive => "WATCHDOG=1".to_owned(),
        }
    }
}

/// Microseconds of the clock by which systemd puts reloads and their ends in order.
fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1_000_000 + now.tv_nsec / 1000).unwrap_or_default()
}

/// Says a word to whoever started this process, if he listens.
pub(crate) fn say(word: Word<'_>) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return };
    if let Err(error) = send(&socket, &word.text()) {
        tracing::warn!(%error, ?word, "the manager of services cannot be told");
    }
}

fn send(to: &OsStr, text: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.send_to_addr(text.as_bytes(), &address(to)?)?;
    Ok(())
}

/// A path, or behind `@` a name that is in no file system.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "NOTIFY_SOCKET is of an unknown kind")),
    }
}

/// Says that the node is up; from now on that it moves, if somebody wants to know; and when it begins to go.
pub(crate) fn up(leaving: CancellationToken) {
    say(Word::Ready);
    let wanted = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(pause) = pause(wanted("WATCHDOG_USEC"), wanted("WATCHDOG_PID")) {
        tokio::spawn(beat(pause));
    }
    // Not of the supervisor's, as the probes: it is about the end, and no part of it.
    tokio::spawn(async move {
        leaving.cancelled().await;
        say(Word::Stopping);
    });
}

/// The time between two signs of life: half of what the manager waits for one. None if it does not wait, or not for this
/// process.
fn pause(microseconds: Option<u64>, process: Option<u64>) -> Option<Duration> {
    let mine = process.is_none_or(|process| process == u64::from(std::process::id()));
    microseconds.filter(|time| mine && *time > 0).map(|time| Duration::from_micros(time / 2))
}

/// Each sign needs a timer that fires and a task that another worker may have to run: a runtime that is stuck gives none. It
/// asks no store and no peer, since a node is not to be killed for what others lack.
async fn beat(pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        if tokio::spawn(async { say(Word::Alive) }).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn heard(socket: &UnixDatagram) -> String {
        let mut room = [0; 256];
        let length = socket.recv(&mut room).unwrap();
        String::from_utf8(room[..length].to_vec()).unwrap()
    }

    #[test]
    fn words_reach_a_path_and_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), &Word::Ready.text()).unwrap();
        assert_eq!(heard(&socket), "READY=1\nSTATUS=serving");
        let name = format!("godwit-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        send(OsStr::new(&format!("@{name}")), &Word::Stopping.text()).unwrap();
        assert_eq!(heard(&socket), "STOPPING=1\nSTATUS=draining");
    }

    #[test]
    fn who_does_not_listen_is_an_error_and_no_more() {
        for socket in ["vsock:2:1", "/nowhere/notify", ""] {
            assert!(send(OsStr::new(socket), "READY=1").is_err(), "{socket}");
        }
        assert!(!Path::new("/nowhere").exists());
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(Word::Waiting("a\nREADY=1").text(), "STATUS=a READY=1");
    }

    #[test]
    fn signs_of_life_are_for_who_waits_for_this_process() {
        let own = u64::from(std::process::id());
        let second = Some(Duration::from_secs(1));
        assert_eq!(pause(Some(2_000_000), None), second);
        assert_eq!(pause(Some(2_000_000), Some(own)), second);
        assert_eq!(pause(Some(2_000_000), Some(own + 1)), None);
        assert_eq!(pause(None, Some(own)), None);
        assert_eq!(pause(Some(0), None), None);
    }
}
