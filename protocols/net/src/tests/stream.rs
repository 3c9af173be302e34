//! Connections as streams.

use super::tls::connector;
use crate::Stream;
use crate::testing::{acceptor, pair};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn plain() -> (Stream, TcpStream) {
    let (server, client) = pair().await.unwrap();
    (server.into_stream(), client)
}

/// More than any buffer holds.
fn much() -> Vec<u8> {
    (0..3_000_000u32).map(|n| (n % 251) as u8).collect()
}

/// Sends `much` there and has it sent back, both at once.
async fn echo<C: AsyncReadExt + AsyncWriteExt + Unpin + Send + 'static>(server: Stream, client: C) {
    let echo = tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(server);
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let (mut reader, mut writer) = tokio::io::split(client);
    let sent = tokio::spawn(async move {
        writer.write_all(&much()).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut back = Vec::new();
    reader.read_to_end(&mut back).await.unwrap();
    assert!(back == much(), "{} bytes came back", back.len());
    sent.await.unwrap();
    echo.await.unwrap();
}

#[tokio::test]
async fn bytes_go_both_ways_in_clear() {
    let (server, client) = plain().await;
    echo(server, client).await;
}

#[tokio::test]
async fn bytes_go_both_ways_under_tls() {
    let directory = tempfile::tempdir().unwrap();
    let acceptor = acceptor(directory.path(), &["h2"]).unwrap();
    let (mut server, client) = pair().await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let (connector, served) = (connector(&["h2"], &TLS13), server.begin_in_tls(&acceptor));
    let (served, client) = tokio::join!(served, connector.connect(name, client));
    served.unwrap();
    assert_eq!(server.tls_info().unwrap().alpn.as_deref(), Some("h2"));
    echo(server.into_stream(), client.unwrap()).await;
}

#[tokio::test]
async fn what_was_read_already_is_read_first() {
    let (mut server, mut client) = pair().await.unwrap();
    client.write_all(b"one ").await.unwrap();
    server.fill().await.unwrap();
    client.write_all(b"two").await.unwrap();
    client.shutdown().await.unwrap();
    let mut text = String::new();
    server.into_stream().read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "one two");
}

#[tokio::test]
async fn who_does_not_read_is_given_up() {
    let (mut server, _client) = plain().await;
    tokio::time::pause();
    let mut ended = Ok(());
    while ended.is_ok() {
        ended = server.write_all(&[0; 100_000]).await;
    }
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::TimedOut);
}

/// The last words arrive though the client has sent what nobody read.
#[tokio::test]
async fn the_end_lingers() {
    let (mut server, mut client) = plain().await;
    client.write_all(&[7; 50_000]).await.unwrap();
    server.write_all(b"goodbye").await.unwrap();
    let closed = tokio::spawn(async move { server.shutdown().await });
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "goodbye");
    drop(client);
    closed.await.unwrap().unwrap();
}
