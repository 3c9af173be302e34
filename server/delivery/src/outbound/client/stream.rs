//! A client's socket, plain or TLS, with its two buffers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use rustls::pki_types::ServerName;
use smtp_proto::{Reply, ReplyParser};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection.
pub trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for T {}

/// How servers are reached.
pub trait Network: Send + Sync {
    /// Connects.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Socket>>>;
}

/// The network of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

impl Network for Tcp {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Socket>>> {
        Box::pin(async move {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            Ok(Box::new(socket) as Box<dyn Socket>)
        })
    }
}

enum Transport {
    Plain(Box<dyn Socket>),
    Tls(Box<dyn Socket>),
    /// In the middle of a handshake that failed.
    Broken,
}

/// The socket.
pub(super) struct Stream {
    transport: Transport,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Stream {
    pub(super) async fn connect(network: &dyn Network, address: SocketAddr) -> io::Result<Self> {
        let socket = network.connect(address).await?;
        Ok(Self { transport: Transport::Plain(socket), input: Vec::new(), output: Vec::new() })
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    /// What will be sent with the next flush.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    pub(super) async fn start_tls(
        &mut self,
        config: &Arc<rustls::ClientConfig>,
        host: &str,
    ) -> io::Result<()> {
        // RFC 3207 §5 and drills of response injection: what came before the handshake is not believed after it.
        if !self.input.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "octets after the reply to STARTTLS"));
        }
        let Transport::Plain(socket) = std::mem::replace(&mut self.transport, Transport::Broken) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let name = ServerName::try_from(host.to_owned())
            .unwrap_or_else(|_| ServerName::IpAddress(std::net::IpAddr::from([0, 0, 0, 0]).into()));
        let socket = TlsConnector::from(Arc::clone(config)).connect(name, socket).await?;
        self.transport = Transport::Tls(Box::new(socket));
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        let socket: &mut dyn Socket = match &mut self.transport {
            Transport::Plain(socket) => socket,
            Transport::Tls(socket) => socket,
            Transport::Broken => return Err(io::ErrorKind::NotConnected.into()),
        };
        socket.write_all(&self.output).await?;
        self.output.clear();
        socket.flush().await
    }

    pub(super) async fn read_reply(&mut self, mut parser: ReplyParser) -> io::Result<Reply> {
        loop {
            match parser.parse(&self.input) {
                Ok(Some((reply, used))) => {
                    self.input.drain(..used);
                    return Ok(reply);
                }
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
            let socket: &mut dyn Socket = match &mut self.transport {
                Transport::Plain(socket) => socket,
                Transport::Tls(socket) => socket,
                Transport::Broken => return Err(io::ErrorKind::NotConnected.into()),
            };
            if socket.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
