//! A connection that sends bytes and reads lines, in clear or over TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::wait::PATIENCE;

enum Transport {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Closed,
}

/// A line-wise connection.
pub struct Line {
    transport: Transport,
    buffer: Vec<u8>,
}

impl Line {
    /// Connects in clear.
    ///
    /// # Errors
    /// When the connection is refused.
    pub fn connect(address: &str) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        Ok(Self { transport: Transport::Clear(tcp), buffer: Vec::new() })
    }

    /// Connects with TLS from the first byte.
    ///
    /// # Errors
    /// When the connection is refused or the handshake fails.
    pub fn connect_tls(address: &str) -> anyhow::Result<Self> {
        let mut line = Self::connect(address)?;
        line.start_tls()?;
        Ok(line)
    }

    /// Begins TLS on a connection in clear; what was read but not consumed before is an error.
    ///
    /// # Errors
    /// When the handshake fails or plaintext was still buffered.
    pub fn start_tls(&mut self) -> anyhow::Result<()> {
        if !self.buffer.is_empty() {
            bail!("plaintext before TLS: {:?}", String::from_utf8_lossy(&self.buffer));
        }
        let Transport::Clear(tcp) = std::mem::replace(&mut self.transport, Transport::Closed) else {
            bail!("TLS twice");
        };
        let name = ServerName::try_from("localhost")?;
        let mut tls = StreamOwned::new(ClientConnection::new(trusting_config()?, name)?, tcp);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        self.transport = Transport::Tls(Box::new(tls));
        Ok(())
    }

    /// The certificate that the server has shown, in DER; none in clear.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        let Transport::Tls(tls) = &self.transport else { return None };
        Some(tls.conn.peer_certificates()?.first()?.to_vec())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the peer has closed or does not read.
    pub fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match &mut self.transport {
            Transport::Clear(tcp) => tcp.write_all(bytes)?,
            Transport::Tls(tls) => {
                tls.write_all(bytes)?;
                tls.flush()?;
            }
            Transport::Closed => bail!("closed"),
        }
        Ok(())
    }

    /// Sends a line with CRLF.
    ///
    /// # Errors
    /// As [`Line::send`].
    pub fn send_line(&mut self, line: &str) -> anyhow::Result<()> {
        self.send(format!("{line}\r\n").as_bytes())
    }

    /// The next line without its CRLF; an error at the end of the stream.
    ///
    /// # Errors
    /// When the peer closes or says nothing for [`PATIENCE`].
    pub fn read_line(&mut self) -> anyhow::Result<Vec<u8>> {
        self.try_read_line()?.context("the server closed the connection")
    }

    /// The next line without its CRLF, `None` at the end of the stream.
    ///
    /// # Errors
    /// When the peer says nothing for [`PATIENCE`].
    pub fn try_read_line(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let mut line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                line.truncate(at);
                return Ok(Some(line));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// What comes up to some bytes, without them; `None` at the end of the stream.
    ///
    /// # Errors
    /// When the peer says nothing for [`PATIENCE`].
    pub fn read_until(&mut self, end: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|w| w == end) {
                let mut block: Vec<u8> = self.buffer.drain(..at + end.len()).collect();
                block.truncate(at);
                return Ok(Some(block));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Exactly `n` bytes, of a literal say.
    ///
    /// # Errors
    /// When the stream ends before.
    pub fn read_exact(&mut self, n: usize) -> anyhow::Result<Vec<u8>> {
        while self.buffer.len() < n {
            if !self.fill()? {
                bail!("the server closed the connection within {n} bytes");
            }
        }
        Ok(self.buffer.drain(..n).collect())
    }

    /// Reads until the peer closes and returns all of it.
    ///
    /// # Errors
    /// When the peer neither closes nor speaks.
    pub fn read_to_end(&mut self) -> anyhow::Result<Vec<u8>> {
        while self.fill()? {}
        Ok(std::mem::take(&mut self.buffer))
    }

    fn fill(&mut self) -> anyhow::Result<bool> {
        let mut chunk = [0_u8; 16 * 1024];
        let got = match &mut self.transport {
            Transport::Clear(tcp) => tcp.read(&mut chunk),
            Transport::Tls(tls) => tls.read(&mut chunk),
            Transport::Closed => return Ok(false),
        };
        match got {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.buffer.extend(chunk.iter().take(n));
                Ok(true)
            }
            // A server may cut a connection it has had enough of; to the tests that is its end.
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => Ok(false),
            Err(e) => Err(e).context("reading from the server"),
        }
    }
}

/// A client configuration that trusts whatever certificate it is shown: the tests talk to a self-signed one.
///
/// # Errors
/// When the provider has no usable protocol version.
pub fn trusting_config() -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Trusting(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
