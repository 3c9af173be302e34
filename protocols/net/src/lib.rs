//! Listeners, TLS, buffers, timeouts, back-pressure and drain of every protocol.
//!
//! A protocol crate implements [`Protocol`]; a [`Listener`] accepts, reads PROXY headers, speaks TLS where it is
//! implicit, keeps the [`Limits`], and hands each client over as a [`Connection`].
//!
//! Invariants:
//! - A connection that waits holds no buffer: neither plaintext, nor ciphertext, nor inside the TLS library,
//!   which is driven without buffers of its own. What waits is a task, a socket and the keys.
//! - [`Connection::fill`] and [`Connection::flush`] lose nothing when their future is dropped, so that a session
//!   can wait for input, changes and the drain at once.
//! - Nothing that was read before STARTTLS survives it.
//! - A drain closes the doors at once and sends sessions away in turns, so that a crowd does not come to the other nodes all at once.
//! - No shortage (file descriptors, memory, connections) stops a listener: newcomers are refused, those who are
//!   in go on, and the accept loop never spins.

mod buffer;
mod certificates;
mod connection;
mod expiry;
mod farewell;
mod gate;
pub mod limits;
mod listener;
mod network;
mod proxy;
mod stream;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod tls;

pub use certificates::{CertificateError, Certificates, SelfSigned, self_signed};
pub use connection::Connection;
pub use expiry::expiry;
pub use gate::{Gate, Limits, Ticket};
pub use listener::{Listener, ListenerOptions, Protocol, SessionContext};
pub use network::{Network, NetworkError, Networks};
pub use rustls::sign::CertifiedKey;
pub use stream::Stream;
pub use tls::{TlsAcceptor, TlsInfo};
