//! Who sent a request, as far as the connection says.

use std::net::SocketAddr;

/// The client's end; an extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its address: as the balancer says it, behind one.
    pub peer: SocketAddr,
    /// Whether nobody else can read along.
    pub tls: bool,
}

impl Client {
    /// Whether it is on this machine.
    pub fn is_here(&self) -> bool {
        self.peer.ip().to_canonical().is_loopback()
    }

    /// The scheme of its requests.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}
