//! TLS without buffers of its own: rustls is given our ciphertext, and gives plaintext and records back.

use crate::buffer::Buffer;
use crate::certificates::{Certificates, provider};
use crate::limits::TLS_CONTROL;
use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, WriteTraffic};
use std::io;
use std::sync::Arc;

/// What a listener needs to speak TLS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
}

impl TlsAcceptor {
    /// For one protocol: a client that offers ALPN must offer one of `alpn`, else it is at the wrong door (a
    /// browser lured to a mail port, say) and the handshake ends with an alert (RFC 7301 §3.2). A client that
    /// offers none is let in, as most mail clients do not.
    pub fn new(certificates: Arc<Certificates>, alpn: &[&str]) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificates);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        // Tickets are sealed, not stored: a session that may come back costs no memory here.
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(TlsAcceptor { config: Arc::new(config) })
    }

    /// The same for another protocol: same certificates, another `alpn`. Tickets are its own, so that a session
    /// of one protocol is not taken up again in another.
    pub fn for_protocol(&self, alpn: &[&str]) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        Ok(TlsAcceptor { config: Arc::new(config) })
    }
}

/// What was agreed on, for trace lines and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLS1.3` or `TLS1.2`.
    pub version: &'static str,
    /// The cipher suite's IANA name.
    pub cipher: String,
    /// The protocol agreed on by ALPN, if any.
    pub alpn: Option<String>,
}

/// One TLS session: the keys, and what has come or must go and is not settled yet.
pub(crate) struct Tls {
    session: UnbufferedServerConnection,
    pub(crate) incoming: Buffer,
    pub(crate) outgoing: Buffer,
    pub(crate) peer_closed: bool,
    pub(crate) established: bool,
}

/// What a turn of the session is to send.
#[derive(Clone, Copy)]
pub(crate) enum Outbound<'a> {
    Nothing,
    Data(&'a [u8]),
    Close,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("established", &self.established).finish_non_exhaustive()
    }
}

impl Tls {
    pub(crate) fn new(acceptor: &TlsAcceptor) -> io::Result<Self> {
        Ok(Tls {
            session: UnbufferedServerConnection::new(Arc::clone(&acceptor.config))
                .map_err(io::Error::other)?,
            incoming: Buffer::default(),
            outgoing: Buffer::default(),
            peer_closed: false,
            established: false,
        })
    }

    /// Settles all complete records in `incoming`: plaintext goes to `plain`, answers to `outgoing`; then seals
    /// what is to be sent. On an error, the alert for the peer is in `outgoing`.
    pub(crate) fn turn(&mut self, plain: &mut Buffer, send: Outbound<'_>) -> io::Result<()> {
        loop {
            let Tls { session, incoming, outgoing, peer_closed, established } = self;
            let status = session.process_tls_records(incoming.data_mut());
            let mut discard = status.discard;
            let mut settled = false;
            let failed = match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                    match traffic.next_record() {
                        Some(Ok(record)) => {
                            discard += record.discard;
                            plain.push(record.payload);
                        }
                        Some(Err(error)) => break Some(error),
                        None => break None,
                    }
                },
                Ok(ConnectionState::EncodeTlsData(records)) => encode(records, outgoing)?,
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    // The records are in `outgoing`, in their order; whoever flushes next sends them.
                    sent.done();
                    None
                }
                Ok(ConnectionState::WriteTraffic(traffic)) => {
                    (settled, *established) = (true, true);
                    seal(traffic, send, outgoing)?;
                    None
                }
                Ok(ConnectionState::PeerClosed) => {
                    *peer_closed = true;
                    None
                }
                Ok(ConnectionState::Closed) => {
                    (settled, *peer_closed) = (true, true);
                    None
                }
                // Early data is not enabled: none can come.
                Ok(_) => {
                    settled = true;
                    None
                }
                Err(error) => Some(error),
            };
            incoming.consume(discard);
            if let Some(error) = failed {
                self.collect_alert();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            if settled {
                return Ok(());
            }
        }
    }

    /// After an error the session still gives out what it had to say: records queued before, and the alert.
    fn collect_alert(&mut self) {
        while let Ok(ConnectionState::EncodeTlsData(records)) =
            self.session.process_tls_records(&mut []).state
        {
            let _ = encode(records, &mut self.outgoing);
        }
    }

    pub(crate) fn info(&self) -> TlsInfo {
        let version = match self.session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS1.3",
            _ => "TLS1.2",
        };
        let suite = self.session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let alpn = self.session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        // rustls names the suites of TLS 1.3 with a prefix that IANA does not use.
        let cipher = suite.unwrap_or("unknown").replacen("TLS13_", "TLS_", 1);
        TlsInfo { version, cipher, alpn }
    }
}

fn encode(
    mut records: EncodeTlsData<'_, ServerConnectionData>,
    outgoing: &mut Buffer,
) -> io::Result<Option<rustls::Error>> {
    if outgoing.len() > TLS_CONTROL {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer asks for records and reads none"));
    }
    append(outgoing, 0, |room| match records.encode(room) {
        Ok(n) => Ok(n),
        Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    })?;
    Ok(None)
}

fn seal(
    mut traffic: WriteTraffic<'_, ServerConnectionData>,
    send: Outbound<'_>,
    outgoing: &mut Buffer,
) -> io::Result<()> {
    let needed = |error| match error {
        EncryptError::InsufficientSize(size) => Some(size.required_size),
        EncryptError::EncryptExhausted => None,
    };
    match send {
        Outbound::Nothing => Ok(()),
        // A record holds 16,384 bytes and adds at most 5 of header, 8 of nonce, 16 of tag and 1 of type.
        Outbound::Data(data) => append(outgoing, data.len() + (data.len() / 16_384 + 1) * 32, |room| {
            traffic.encrypt(data, room).map_err(needed)
        }),
        Outbound::Close => append(outgoing, 64, |room| traffic.queue_close_notify(room).map_err(needed)),
    }
}

/// Lets `write` fill the end of `outgoing`; if it asks for more room than `guess`, it gets it.
fn append(
    outgoing: &mut Buffer,
    guess: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> io::Result<()> {
    let mut size = guess;
    loop {
        let bytes = outgoing.room(size);
        let before = bytes.len();
        bytes.resize(before + size, 0);
        let wrote = write(&mut bytes[before..]);
        bytes.truncate(before + wrote.unwrap_or(0));
        match wrote {
            Ok(_) => return Ok(()),
            Err(Some(required)) if required > size => size = required,
            Err(_) => return Err(io::Error::other("this TLS session can send no more")),
        }
    }
}
