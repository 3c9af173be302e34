//! A connection that speaks in lines, in clear or with TLS.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
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

/// What a probe waits for, so that one that hangs can say so.
pub(crate) type Stage = Arc<Mutex<String>>;

/// Whom TLS trusts, and where it is noted what is waited for.
#[derive(Clone)]
pub(crate) struct Trust {
    config: Arc<ClientConfig>,
    stage: Stage,
}

impl Trust {
    /// The certificates of a file, or those of the system.
    pub(crate) fn new(ca: Option<&Path>) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let of = |config| Trust { config: Arc::new(config), stage: Stage::default() };
        let Some(ca) = ca else {
            return Ok(of(builder.with_platform_verifier()?.with_no_client_auth()));
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).with_context(|| ca.display().to_string())? {
            roots.add(certificate.with_context(|| ca.display().to_string())?)?;
        }
        Ok(of(builder.with_root_certificates(roots).with_no_client_auth()))
    }

    /// The same, which notes what is waited for there.
    pub(crate) fn noting(&self, stage: &Stage) -> Self {
        Trust { config: Arc::clone(&self.config), stage: Arc::clone(stage) }
    }
}

/// A connection.
pub(crate) struct Wire {
    stream: BufStream<Box<dyn Stream>>,
    stage: Stage,
}

impl Wire {
    /// Connects to `scheme://host:port`; with TLS if the scheme ends in s.
    pub(crate) async fn connect(url: &str, plain: &str, trust: &Trust) -> anyhow::Result<Self> {
        let (tls, address) = target(url, plain)?;
        *trust.stage.lock() = format!("a connection to {url}");
        let socket = TcpStream::connect(address).await.with_context(|| url.to_owned())?;
        socket.set_nodelay(true)?;
        *trust.stage.lock() = format!("the greeting of {url}");
        let stream: Box<dyn Stream> = if tls {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
            let connector = TlsConnector::from(Arc::clone(&trust.config));
            Box::new(connector.connect(name, socket).await.with_context(|| url.to_owned())?)
        } else {
            Box::new(socket)
        };
        Ok(Wire { stream: BufStream::new(stream), stage: Arc::clone(&trust.stage) })
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Sends a line.
    pub(crate) async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        *self.stage.lock() = format!("the answer to {}", verb(line));
        self.send(format!("{line}\r\n").as_bytes()).await
    }

    /// The next line, without its end.
    pub(crate) async fn line(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut line = Vec::new();
        let read = (&mut self.stream).take(MOST as u64).read_until(b'\n', &mut line).await?;
        ensure!(read > 0 && line.ends_with(b"\n"), "the connection ended");
        line.truncate(line.trim_ascii_end().len());
        Ok(line)
    }

    /// So many bytes.
    pub(crate) async fn exactly(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        ensure!(count <= MOST, "a literal of {count} octets");
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).await?;
        Ok(bytes)
    }
}

/// The beginning of a line, which says no secrets: a command, with its tag if it has one, or the end of a message.
fn verb(line: &str) -> String {
    let line = line.rsplit('\n').next().unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let tagged = words.first().is_some_and(|tag| tag.ends_with(|end: char| end.is_ascii_digit()));
    words.into_iter().take(if tagged { 2 } else { 1 }).collect::<Vec<_>>().join(" ")
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

    #[test]
    fn what_is_waited_for_is_told_without_secrets() {
        let told =
            ["t1 LOGIN \"u\" \"secret\"", "AUTH PLAIN c2VjcmV0", "From: <a@b>\r\n\r\nbody\r\n.", "DATA"]
                .map(verb);
        assert_eq!(told, ["t1 LOGIN", "AUTH", ".", "DATA"]);
    }
}
