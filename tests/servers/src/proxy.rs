//! A proxy for HTTP that fails on purpose: refuses, stalls, is slow, cuts answers short, or changes bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Only longer pieces of a body are changed or cut: what steers the protocol comes through.
const LONG: usize = 2_000;
/// Between two looks whether anything has changed.
const LOOK: Duration = Duration::from_millis(1);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Nobody listens.
    Refuse,
    /// Connections are taken and nothing is said.
    Stall,
    /// A kilobyte of an answer at a time, with this pause after each.
    Slow(Duration),
    /// Answers come so much later, all of them: what is far away. Nothing else is slower.
    Late(Duration),
    /// An answer ends in the middle of a long piece, with its connection.
    Cut,
    /// A byte of each long piece of an answer is changed.
    Garble,
    /// The same in requests.
    GarbleRequests,
    /// A request ends in the middle of a long piece, with its connection.
    CutRequests,
}

/// A proxy before one server.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
    connections: AtomicUsize,
    listening: AtomicBool,
    over: AtomicBool,
}

struct State {
    fault: Fault,
    /// Both ends of each connection.
    open: Vec<TcpStream>,
}

impl Proxy {
    /// A proxy before `server`, on a port of its own; without a fault at first.
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server,
            state: Mutex::new(State { fault: Fault::None, open: Vec::new() }),
            connections: AtomicUsize::new(0),
            listening: AtomicBool::new(true),
            over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accepting.accept(listener, address));
        Proxy { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this goes wrong. Open connections end, so that it does at once.
    pub fn set(&self, fault: Fault) {
        self.shared.end_connections(fault);
        // Whether anybody listens is as it should be when this returns.
        while self.shared.listening.load(Ordering::SeqCst) == (fault == Fault::Refuse) {
            std::thread::sleep(LOOK);
        }
    }

    /// Connections taken so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.end_connections(Fault::None);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn end_connections(&self, fault: Fault) {
        let mut state = self.lock();
        state.fault = fault;
        for socket in state.open.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Remembers the sockets of a connection, unless the fault changed meanwhile.
    fn opened(&self, fault: Fault, sockets: &[&TcpStream]) -> bool {
        let mut state = self.lock();
        state.open.extend(sockets.iter().map(|socket| socket.try_clone().unwrap()));
        state.fault == fault
    }

    fn accept(self: Arc<Self>, listener: TcpListener, address: SocketAddr) {
        let mut listener = Some(listener);
        while !self.over.load(Ordering::SeqCst) {
            let fault = self.lock().fault;
            if fault == Fault::Refuse {
                listener = None;
                self.listening.store(false, Ordering::SeqCst);
                std::thread::sleep(LOOK);
                continue;
            }
            let socket = listener.get_or_insert_with(|| TcpListener::bind(address).unwrap());
            socket.set_nonblocking(true).unwrap();
            self.listening.store(true, Ordering::SeqCst);
            match socket.accept() {
                Ok((client, _)) => {
                    self.connections.fetch_add(1, Ordering::SeqCst);
                    let shared = Arc::clone(&self);
                    std::thread::spawn(move || shared.connect(fault, client));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn connect(&self, fault: Fault, mut client: TcpStream) {
        client.set_nonblocking(false).unwrap();
        if fault == Fault::Stall {
            if self.opened(fault, &[&client]) {
                let _ = std::io::copy(&mut client, &mut std::io::sink());
            }
            return;
        }
        let Ok(server) = TcpStream::connect(self.server) else { return };
        if !self.opened(fault, &[&client, &server]) {
            return;
        }
        let (to_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let requests = std::thread::spawn(move || pump(client, to_server, Way { fault, requests: true }));
        match fault {
            Fault::Late(delay) => pump_late(server, to_client, delay),
            _ => pump(server, to_client, Way { fault, requests: false }),
        }
        let _ = requests.join();
    }
}

/// One direction of a connection.
#[derive(Clone, Copy)]
struct Way {
    fault: Fault,
    requests: bool,
}

/// Passes bytes on until either side is at its end; then both are.
fn pump(mut from: TcpStream, mut to: TcpStream, way: Way) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if way.pass(&mut buffer[..read], &mut to).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// As [`pump`], each piece after a while; the next ones are taken meanwhile.
fn pump_late(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, pieces) = std::sync::mpsc::channel::<(Instant, Vec<u8>)>();
    let (Ok(reading), Ok(writing)) = (from.try_clone(), to.try_clone()) else { return };
    let writer = std::thread::spawn(move || {
        for (due, piece) in pieces {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = reading.shutdown(Shutdown::Both);
        let _ = writing.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if sender.send((Instant::now() + delay, buffer[..read].to_vec())).is_err() {
            break;
        }
    }
    drop(sender);
    let _ = writer.join();
}

impl Way {
    fn pass(self, bytes: &mut [u8], to: &mut TcpStream) -> std::io::Result<()> {
        let body = body(bytes);
        let middle = body + (bytes.len() - body) / 2;
        let long = bytes.len() - body > LONG;
        match (self.fault, self.requests) {
            (Fault::Garble, false) | (Fault::GarbleRequests, true) if long => bytes[middle] ^= 4,
            (Fault::Cut, false) | (Fault::CutRequests, true) if long => {
                to.write_all(&bytes[..middle])?;
                return Err(ErrorKind::ConnectionAborted.into());
            }
            (Fault::Slow(pause), false) => {
                for piece in bytes.chunks(1024) {
                    to.write_all(piece)?;
                    std::thread::sleep(pause);
                }
                return Ok(());
            }
            _ => {}
        }
        to.write_all(bytes)
    }
}

/// Where the body begins in bytes that were read at once: a head is at their beginning or not at all.
fn body(bytes: &[u8]) -> usize {
    let heads: [&[u8]; 6] = [b"HTTP/", b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE "];
    if !heads.iter().any(|head| bytes.starts_with(head)) {
        return 0;
    }
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each request with a head and `size` times `x`.
    fn server(size: usize) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            while let Ok((mut socket, _)) = listener.accept() {
                let mut request = [0; 1024];
                if socket.read(&mut request).is_ok_and(|read| read > 0) {
                    let _ = write!(socket, "HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(size));
                }
            }
        });
        address
    }

    fn ask(proxy: &Proxy) -> std::io::Result<Vec<u8>> {
        let mut socket = TcpStream::connect(proxy.address())?;
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        socket.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        let mut all = Vec::new();
        socket.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn each_fault_is_what_it_says() {
        let proxy = Proxy::start(server(5_000));
        let whole = ask(&proxy).unwrap();
        assert_eq!(whole.len(), 19 + 5_000);
        proxy.set(Fault::Refuse);
        assert_eq!(ask(&proxy).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        proxy.set(Fault::Stall);
        assert!(ask(&proxy).is_err());
        proxy.set(Fault::Cut);
        assert!(ask(&proxy).is_ok_and(|bytes| bytes.len() < whole.len()));
        proxy.set(Fault::Garble);
        let garbled = ask(&proxy).unwrap();
        assert!(garbled.len() == whole.len() && garbled != whole && garbled.starts_with(b"HTTP/1.1 200"));
        proxy.set(Fault::Slow(Duration::from_millis(1)));
        assert_eq!(ask(&proxy).unwrap(), whole);
        proxy.set(Fault::Late(Duration::from_millis(20)));
        let begun = Instant::now();
        assert!(ask(&proxy).unwrap() == whole && begun.elapsed() >= Duration::from_millis(20));
        proxy.set(Fault::None);
        assert_eq!(ask(&proxy).unwrap(), whole);
        assert_eq!(proxy.connections(), 7);
    }

    #[test]
    fn short_answers_come_through() {
        let proxy = Proxy::start(server(100));
        for fault in [Fault::Cut, Fault::Garble] {
            proxy.set(fault);
            assert_eq!(ask(&proxy).unwrap().len(), 119);
        }
    }
}
