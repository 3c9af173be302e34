//! Where datagrams go: the one thing that is replaced in a simulation.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::net::UdpSocket;

/// Largest datagram sent, in octets: what IPv6 carries over every path (1,280), less its headers.
pub(crate) const DATAGRAM: usize = 1200;

/// A network of datagrams.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// A socket at this address.
    ///
    /// # Errors
    /// The system's: the operator must free or change the address.
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Datagrams>>;
}

/// A socket.
#[async_trait]
pub trait Datagrams: Send + Sync + 'static {
    /// Sends; what cannot be sent just now is lost.
    ///
    /// # Errors
    /// The system's.
    async fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()>;

    /// The next datagram, in the buffer's first octets, and its sender. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// Only if the socket is of no use any more.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
}

/// UDP.
#[derive(Debug, Clone, Copy, Default)]
pub struct Udp;

#[async_trait]
impl Network for Udp {
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Datagrams>> {
        Ok(Box::new(UdpSocket::bind(address).await?))
    }
}

/// UDP through a socket that is bound already, for who has to know its port before anybody gossips.
#[derive(Debug)]
pub struct Bound(Mutex<Option<std::net::UdpSocket>>);

impl Bound {
    /// Through this socket.
    pub fn new(socket: std::net::UdpSocket) -> Bound {
        Bound(Mutex::new(Some(socket)))
    }
}

#[async_trait]
impl Network for Bound {
    async fn bind(&self, _: SocketAddr) -> io::Result<Box<dyn Datagrams>> {
        let socket = self.0.lock().take().ok_or(io::ErrorKind::AddrInUse)?;
        socket.set_nonblocking(true)?;
        Ok(Box::new(UdpSocket::from_std(socket)?))
    }
}

#[async_trait]
impl Datagrams for UdpSocket {
    async fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.send_to(datagram, to).await.map(drop)
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            match self.recv_from(buffer).await {
                // Somebody's host said that nobody listens there: an answer to a datagram of ours.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                // The system is short of memory. The next one may come through.
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => tokio::task::yield_now().await,
                other => return other,
            }
        }
    }
}
