//! A server as a child process that ends with its value.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(60);

/// A child process; killed when this is dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it, its output thrown away.
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Process(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Waits until an HTTP server at `address` answers; panics if the process ended.
    pub fn wait_for_http(&mut self, address: SocketAddr) {
        assert!(self.answers_http(address), "the server ended");
    }

    /// The same; says false if the process ended.
    pub fn answers_http(&mut self, address: SocketAddr) -> bool {
        let give_up = Instant::now() + START;
        while answer(address, "GET / HTTP/1.0\r\n\r\n").is_none_or(|text| !text.starts_with("HTTP/")) {
            if self.0.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < give_up, "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// Waits until something listens at `address`; panics if the process ended.
    pub fn wait_to_listen(&mut self, address: SocketAddr) {
        let give_up = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            assert!(self.0.try_wait().unwrap().is_none(), "the server ended");
            assert!(Instant::now() < give_up, "the server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports of this machine that nobody listens on, for servers that are started later, and again on the same. They are below
/// those that Linux gives away by itself (`ip_local_port_range`, from 32768), one of which would by then be somebody's.
pub fn free_ports<const N: usize>() -> [u16; N] {
    // Bound all at once, so that they differ.
    let sockets: [TcpListener; N] = std::array::from_fn(|_| free_port());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

/// One such port, held.
pub(crate) fn free_port() -> TcpListener {
    let chances = std::iter::repeat_with(|| RandomState::new().build_hasher().finish());
    chances
        .take(1000)
        .map(|chance| u16::try_from(chance % 22_000).unwrap() + 10_000)
        .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .expect("no port is free")
}

/// What a server says to a request, to its end.
pub(crate) fn answer(address: SocketAddr, request: &str) -> Option<String> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    socket.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    Some(text)
}
