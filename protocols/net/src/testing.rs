//! Connections for the tests of protocol crates: over loopback sockets, so that nothing is pretended.

use crate::{Certificates, Connection, TlsAcceptor, self_signed};
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use tokio::net::{TcpListener, TcpStream};

/// A connection and the client's end of it.
pub async fn pair() -> io::Result<(Connection, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, _) = listener.accept().await?;
    client.set_nodelay(true)?;
    Ok((Connection::new(server)?, client))
}

/// An acceptor with a self-signed certificate for `localhost`, kept in `directory`.
pub fn acceptor(directory: &Path, alpn: &[&str]) -> io::Result<TlsAcceptor> {
    let paths = self_signed(directory, &["localhost".to_owned(), "127.0.0.1".to_owned()])
        .map_err(io::Error::other)?;
    let key = Certificates::load(&paths.certificate, &paths.key).map_err(io::Error::other)?;
    let certificates = Certificates::new(false);
    certificates.replace(vec![(vec!["localhost".to_owned()], key)]);
    TlsAcceptor::new(certificates, alpn).map_err(io::Error::other)
}
