//! TLS as clients see it.

use crate::testing::{acceptor, pair};
use crate::{Connection, TlsAcceptor};
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A client that believes any certificate.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

pub(super) fn connector(alpn: &[&str], version: &'static rustls::SupportedProtocolVersion) -> TlsConnector {
    let mut config = ClientConfig::builder_with_provider(crate::certificates::provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

fn imap() -> TlsAcceptor {
    acceptor(tempfile::tempdir().unwrap().path(), &["imap"]).unwrap()
}

async fn shake(
    connector: TlsConnector,
    server: &mut Connection,
    client: TcpStream,
) -> (io::Result<usize>, io::Result<TlsStream<TcpStream>>) {
    let name = ServerName::try_from("localhost").unwrap();
    let acceptor = imap();
    tokio::join!(server.start_tls(&acceptor), connector.connect(name, client))
}

#[tokio::test]
async fn both_versions_carry_data_both_ways() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let (mut server, client) = pair().await.unwrap();
        let (discarded, client) = shake(connector(&["imap"], version), &mut server, client).await;
        assert_eq!(discarded.unwrap(), 0);
        let client = client.unwrap();
        let info = server.tls_info().unwrap();
        assert_eq!(info.alpn.as_deref(), Some("imap"));
        assert!(info.cipher.starts_with("TLS_"), "{info:?}");
        let body: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 253) as u8).collect();
        let (mut from, mut to) = tokio::io::split(client);
        let (sent, echoed) = (body.clone(), body.len());
        let writer = tokio::spawn(async move { to.write_all(&sent).await.map(|()| to) });
        let reader = tokio::spawn(async move {
            let mut got = vec![0; echoed];
            from.read_exact(&mut got).await.map(|_| got)
        });
        let mut left = body.len();
        while left > 0 {
            left -= server.fill().await.unwrap();
            let piece = server.buffer().to_vec();
            server.consume(piece.len());
            server.write(&piece).await.unwrap();
        }
        server.flush().await.unwrap();
        assert!(reader.await.unwrap().unwrap() == body);
        let to = writer.await.unwrap().unwrap();
        let (closed, ()) = tokio::join!(close_client(to), server.close());
        closed.unwrap();
    }
}

async fn close_client(mut to: tokio::io::WriteHalf<TlsStream<TcpStream>>) -> io::Result<()> {
    to.shutdown().await
}

#[tokio::test]
async fn many_small_records_and_dropped_fills() {
    let (mut server, client) = pair().await.unwrap();
    let (_, client) = shake(connector(&[], &rustls::version::TLS13), &mut server, client).await;
    let mut client = client.unwrap();
    for round in 0..100_u8 {
        {
            let fill = server.fill();
            tokio::pin!(fill);
            assert!(futures::poll!(fill.as_mut()).is_pending());
        }
        client.write_all(&[round]).await.unwrap();
        client.flush().await.unwrap();
        server.fill().await.unwrap();
        assert_eq!(server.buffer(), [round]);
        server.consume(1);
        server.write(&[round]).await.unwrap();
        server.flush().await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), round);
    }
}

#[tokio::test]
async fn a_client_at_the_wrong_door_gets_an_alert() {
    // ALPACA: a browser that offers HTTP to a mail server.
    let (mut server, client) = pair().await.unwrap();
    let (accepted, connected) =
        shake(connector(&["h2", "http/1.1"], &rustls::version::TLS13), &mut server, client).await;
    assert_eq!(accepted.unwrap_err().kind(), ErrorKind::InvalidData);
    let error = connected.unwrap_err().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn what_is_meant_for_one_port_is_not_led_to_another() {
    let smtp = imap().for_protocol(&["smtp"]).unwrap();
    for (offered, welcome) in [("smtp", true), ("imap", false)] {
        let (mut server, client) = pair().await.unwrap();
        let connecting = connector(&[offered], &rustls::version::TLS13);
        let name = ServerName::try_from("localhost").unwrap();
        let (accepted, connected) = tokio::join!(server.start_tls(&smtp), connecting.connect(name, client));
        assert_eq!((accepted.is_ok(), connected.is_ok()), (welcome, welcome), "{offered}");
    }
}

#[tokio::test]
async fn plaintext_from_before_is_discarded_and_reported() {
    let (mut server, mut client) = pair().await.unwrap();
    client.write_all(b"a STARTTLS\r\nb LOGIN x y\r\n").await.unwrap();
    server.fill().await.unwrap();
    server.consume(12);
    let (discarded, client) = shake(connector(&[], &rustls::version::TLS13), &mut server, client).await;
    assert_eq!(discarded.unwrap(), 13);
    assert!(server.buffer().is_empty() && client.is_ok());
    let again = server.start_tls(&imap()).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn a_handshake_may_have_come_with_a_balancers_header() {
    let (mut server, client) = pair().await.unwrap();
    let (acceptor, connector) = (imap(), connector(&[], &rustls::version::TLS13));
    let accept = async {
        // As the header is read: with whatever came with it.
        server.fill().await?;
        server.begin_in_tls(&acceptor).await
    };
    let connect = connector.connect(ServerName::try_from("localhost").unwrap(), client);
    let (accepted, client) = tokio::join!(accept, connect);
    accepted.unwrap();
    client.unwrap().write_all(b"ping").await.unwrap();
    server.fill().await.unwrap();
    assert_eq!(server.buffer(), b"ping");
}

#[tokio::test]
async fn what_is_not_tls_is_refused() {
    let (mut server, mut client) = pair().await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(server.start_tls(&imap()).await.unwrap_err().kind(), ErrorKind::InvalidData);
}

#[tokio::test(start_paused = true)]
async fn a_silent_handshake_ends() {
    let (mut server, _client) = pair().await.unwrap();
    assert_eq!(server.start_tls(&imap()).await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn key_updates_are_answered() {
    let (mut server, client) = pair().await.unwrap();
    let (_, client) = shake(connector(&[], &rustls::version::TLS13), &mut server, client).await;
    let mut client = client.unwrap();
    for _ in 0..10 {
        client.get_mut().1.refresh_traffic_keys().unwrap();
        client.write_all(b"ping").await.unwrap();
        client.flush().await.unwrap();
        server.fill().await.unwrap();
        assert_eq!(server.buffer(), b"ping");
        server.consume(4);
        server.write(b"pong").await.unwrap();
        server.flush().await.unwrap();
        let mut got = [0; 4];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"pong");
    }
}
