//! What QUIC is told of certificates, time and limits.

use std::fmt;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use runtime::SharedClock;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use schema::NodeId;

use crate::authority::{Credentials, name};
use crate::{Error, limits};

/// The protocol's name and version: a version that no other can talk to would get a new one.
const PROTOCOL: &[u8] = b"godwit-rpc/1";

/// Certificates are checked by the clock that all goes by.
struct Time(SharedClock);

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let since = u64::try_from(self.0.now().millis()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_millis(since)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots(credentials: &Credentials) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    for root in &credentials.roots {
        roots.add(root.clone()).map_err(wrong)?;
    }
    Ok(Arc::new(roots))
}

pub(crate) fn client(credentials: &Credentials, clock: &SharedClock) -> Result<ClientConfig, Error> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(credentials)?, provider()).build();
    let mut tls = rustls::ClientConfig::builder_with_details(provider(), Arc::new(Time(Arc::clone(clock))))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(wrong)?
        .with_webpki_verifier(verifier.map_err(wrong)?)
        .with_client_auth_cert(credentials.chain.clone(), credentials.key.clone_key())
        .map_err(wrong)?;
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    // A session that is resumed would not show that the certificate has expired since.
    tls.resumption = rustls::client::Resumption::disabled();
    let quic = QuicClientConfig::try_from(tls).map_err(wrong)?;
    let mut config = ClientConfig::new(Arc::new(quic));
    config.transport_config(Arc::new(transport()?));
    Ok(config)
}

pub(crate) fn server(credentials: &Credentials, clock: &SharedClock) -> Result<ServerConfig, Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(credentials)?, provider()).build();
    let mut tls = rustls::ServerConfig::builder_with_details(provider(), Arc::new(Time(Arc::clone(clock))))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(wrong)?
        .with_client_cert_verifier(verifier.map_err(wrong)?)
        .with_single_cert(credentials.chain.clone(), credentials.key.clone_key())
        .map_err(wrong)?;
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    tls.send_tls13_tickets = 0;
    let quic = QuicServerConfig::try_from(tls).map_err(wrong)?;
    let mut config = ServerConfig::with_crypto(Arc::new(quic));
    config.transport_config(Arc::new(transport()?));
    Ok(config)
}

fn transport() -> Result<TransportConfig, Error> {
    let mut transport = TransportConfig::default();
    transport
        // One more than calls, for the stream of hints.
        .max_concurrent_bidi_streams(VarInt::from_u32(limits::CALLS_PER_PEER + 1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(limits::STREAM_WINDOW))
        .receive_window(VarInt::from_u32(limits::WINDOW))
        .send_window(u64::from(limits::WINDOW))
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(limits::KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::try_from(limits::SILENCE).map_err(wrong)?));
    Ok(transport)
}

/// Whether a certificate, which has been verified, is that node's.
pub(crate) fn is_of(certificate: &CertificateDer<'_>, node: NodeId, cluster: &str) -> bool {
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
    let Ok(name) = ServerName::try_from(name(node, cluster)) else { return false };
    rustls::client::verify_server_name(&parsed, &name).is_ok()
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn wrong(error: impl fmt::Display) -> Error {
    Error::Certificates(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use leases::Secrets;
    use runtime::{SystemRng, Timestamp};
    use std::time::Duration;

    #[test]
    fn a_certificate_is_one_nodes_in_one_cluster() {
        let now = Timestamp::from_secs(1_790_000_000);
        let secrets = Secrets {
            cluster: vec![7; 16],
            authorities: vec![crate::authority(&[7; 16], now).unwrap()],
            ..Secrets::default()
        };
        let day = Duration::from_secs(86_400);
        let credentials = Credentials::issue(&secrets, NodeId(7), now, day, &SystemRng).unwrap();
        let (certificate, cluster) = (&credentials.chain[0], &credentials.cluster);
        assert!(is_of(certificate, NodeId(7), cluster));
        assert!(!is_of(certificate, NodeId(8), cluster) && !is_of(certificate, NodeId(77), cluster));
        assert!(!is_of(certificate, NodeId(7), "other"));
        assert!(!is_of(&CertificateDer::from(vec![1, 2, 3]), NodeId(7), cluster));
        assert!(
            !credentials.are_due(now + day / 4, &secrets) && credentials.are_due(now + day / 2, &secrets)
        );
        assert!(credentials.are_due(now, &Secrets::default()));
        let none = Credentials::issue(&Secrets::default(), NodeId(7), now, day, &SystemRng);
        assert!(matches!(none, Err(Error::Certificates(_))));
    }
}
