//! A connection that speaks in lines, in clear or with TLS.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest line, and largest literal, that a probe reads.
const MOST: usize = 64 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Whom TLS trusts.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The certificates of a file, or those of the system.
    pub(crate) fn new(ca: Option<&Path>) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let Some(ca) = ca else {
            return Ok(Trust(Arc::new(builder.with_platform_verifier()?.with_no_client_auth())));
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).with_context(|| ca.display().to_string())? {
            roots.add(certificate.with_context(|| ca.display().to_string())?)?;
        }
        Ok(Trust(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
    }
}

/// A connection.
pub(crate) struct Wire(BufStream<Box<dyn Stream>>);

impl Wire {
    /// Connects to `scheme://host:port`; with TLS if the scheme ends in s.
    pub(crate) async fn connect(url: &str, plain: &str, trust: &Trust) -> anyhow::Result<Self> {
        let (tls, address) = target(url, plain)?;
        let socket = TcpStream::connect(address).await.with_context(|| url.to_owned())?;
        socket.set_nodelay(true)?;
        let stream: Box<dyn Stream> = if tls {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
            let connector = TlsConnector::from(Arc::clone(&trust.0));
            Box::new(connector.connect(name, socket).await.with_context(|| url.to_owned())?)
        } else {
            Box::new(socket)
        };
        Ok(Wire(BufStream::new(stream)))
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.0.write_all(bytes).await?;
        Ok(self.0.flush().await?)
    }

    /// Sends a line.
    pub(crate) async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        self.send(format!("{line}\r\n").as_bytes()).await
    }

    /// The next line, without its end.
    pub(crate) async fn line(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut line = Vec::new();
        let read = (&mut self.0).take(MOST as u64).read_until(b'\n', &mut line).await?;
        ensure!(read > 0 && line.ends_with(b"\n"), "the connection ended");
        line.truncate(line.trim_ascii_end().len());
        Ok(line)
    }

    /// So many bytes.
    pub(crate) async fn exactly(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        ensure!(count <= MOST, "a literal of {count} octets");
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).await?;
        Ok(bytes)
    }
}

/// Whether it is TLS, and where.
fn target<'a>(url: &'a str, plain: &str) -> anyhow::Result<(bool, &'a str)> {
    match url.split_once("://") {
        Some((scheme, address)) if scheme == plain => Ok((false, address)),
        Some((scheme, address)) if scheme.strip_suffix('s') == Some(plain) => Ok((true, address)),
        _ => bail!("{url} is not {plain}://host:port or {plain}s://host:port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_in_s_is_tls() {
        assert_eq!(target("imap://h:143", "imap").unwrap(), (false, "h:143"));
        assert_eq!(target("imaps://h:993", "imap").unwrap(), (true, "h:993"));
        for bad in ["h:143", "smtp://h:25", "imapss://h:1"] {
            assert!(target(bad, "imap").is_err(), "{bad}");
        }
    }
}
