//! The listener of the admin API, and the page that says to everybody what this is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use net::{Gate, Ticket};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long a client may take for the head of a request, and be silent between two.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Largest head of a request, in bytes.
const HEAD_BYTES: usize = 64 * 1024;
/// A pause after the system had no descriptor for a client.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The page.
pub(crate) fn router(hostname: &str) -> Router {
    let page = format!("{hostname}: a Godwit mail server\n");
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Router::new().route("/", get(move || std::future::ready((plain, page.clone()))))
}

/// Serves clients, as many as the gate lets in, until `stop`.
pub(crate) async fn serve(socket: TcpListener, router: Router, gate: Arc<Gate>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Without a ticket the stream is dropped here, which closes it.
                let Some(ticket) = admitted(&gate, peer) else { continue };
                tokio::spawn(converse(stream, router.clone(), stop.clone(), ticket));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admitted(gate: &Arc<Gate>, peer: SocketAddr) -> Option<Ticket> {
    let mut ticket = gate.enter()?;
    ticket.claim_address(peer.ip()).then_some(ticket)
}

async fn converse(stream: TcpStream, router: Router, stop: CancellationToken, _ticket: Ticket) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIME)
        .keep_alive_timeout(HEAD_TIME)
        .max_header_list_size(HEAD_BYTES as u32);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "http connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use net::Limits;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn listener(limits: Limits) -> (SocketAddr, Arc<Gate>, CancellationToken) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, gate, stop) =
            (socket.local_addr().unwrap(), Gate::new(limits), CancellationToken::new());
        tokio::spawn(serve(socket, router("mx.example.test"), Arc::clone(&gate), stop.clone()));
        (address, gate, stop)
    }

    async fn all(mut stream: TcpStream) -> String {
        let mut text = String::new();
        // A refused client may see a reset instead of the end.
        let _ = stream.read_to_string(&mut text).await;
        text
    }

    async fn asks(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        all(stream).await
    }

    #[tokio::test]
    async fn one_too_many_is_refused_and_a_place_is_given_back() {
        let (address, gate, _stop) = listener(Limits { connections: 1, ..Limits::default() }).await;
        let silent = TcpStream::connect(address).await.unwrap();
        while gate.connections() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(all(TcpStream::connect(address).await.unwrap()).await, "");
        drop(silent);
        while gate.connections() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(asks(address).await.ends_with("mx.example.test: a Godwit mail server\n"));
    }

    #[tokio::test]
    async fn who_is_silent_does_not_stay() {
        let (address, _gate, _stop) = listener(Limits::default()).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        tokio::time::pause();
        assert!(!all(slow).await.contains("200 OK"));
    }

    #[tokio::test]
    async fn stopping_ends_idle_connections() {
        let (address, gate, stop) = listener(Limits::default()).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        idle.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        stop.cancel();
        assert!(all(idle).await.ends_with("mail server\n"));
        while gate.connections() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
