//! Bytes that idle connections cost: `cargo run --release --example idle`.
//!
//! The server runs in this process, the clients in a child of it, so that only our side is counted. Each client
//! shakes hands where TLS is asked for, sends a line, gets it back and then waits.

#![allow(clippy::print_stdout, missing_docs)]

use futures::future::BoxFuture;
use godwit_net as net;
use godwit_net::{
    Connection, Gate, Limits, Listener, ListenerOptions, Protocol, SessionContext, TlsAcceptor,
};
use runtime::{Shutdown, Supervisor, SystemClock};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, BufReader};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLIENTS: usize = 1000;

struct Echo;

impl Protocol for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn serve(&self, mut connection: Connection, context: SessionContext) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                tokio::select! {
                    filled = connection.fill() => if !matches!(filled, Ok(1..)) { return },
                    () = context.shutdown.drain.cancelled() => return,
                }
                let line = connection.buffer().to_vec();
                connection.consume(line.len());
                connection.queue(&line);
                if connection.flush().await.is_err() {
                    return;
                }
            }
        })
    }

    fn refuse(&self) -> &'static [u8] {
        b""
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("clients") => clients(),
        Some("tls") => server(true),
        Some(_) => server(false),
        // Each kind in a process of its own, or the second lives in what the first gave back.
        None => ["plain", "tls"].into_iter().try_for_each(|kind| {
            let ended = Command::new(std::env::current_exe()?).arg(kind).status()?;
            if ended.success() { Ok(()) } else { Err(kind.into()) }
        }),
    }
}

#[tokio::main(worker_threads = 2)]
async fn server(tls: bool) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let acceptor = net::testing::acceptor(directory.path(), &["imap"])?;
    let bytes = measure(tls.then_some(acceptor)).await?;
    println!("{:5} idle connection: {bytes} bytes", if tls { "TLS" } else { "plain" });
    Ok(())
}

async fn measure(tls: Option<TlsAcceptor>) -> Result<u64, Box<dyn Error>> {
    let supervisor = Supervisor::new(Shutdown::new());
    let options = ListenerOptions {
        address: (Ipv4Addr::LOCALHOST, 0).into(),
        implicit_tls: tls.is_some(),
        tls,
        proxies: net::Networks::default(),
    };
    let limits = Limits { per_address: usize::MAX, ..Limits::default() };
    let implicit = options.implicit_tls.to_string();
    let shutdown = supervisor.shutdown().clone();
    let listener =
        Listener::bind(options, Arc::new(Echo), Gate::new(limits), SystemClock::shared(), shutdown)?;
    let address = listener.address().to_string();
    listener.spawn(&supervisor);
    // A few pay for what is allocated once; they stay, so that nobody is given memory that they gave back.
    let first = Clients::start(&address, &implicit, 50).await?;
    let before = resident()?;
    let measured = Clients::start(&address, &implicit, CLIENTS).await?;
    let after = resident()?;
    measured.end().await?;
    first.end().await?;
    supervisor.shutdown().begin();
    supervisor.shutdown().ledger().idle().await;
    Ok(after.saturating_sub(before) / CLIENTS as u64)
}

/// A child process that holds connections until it is told to end.
struct Clients(tokio::process::Child);

impl Clients {
    async fn start(address: &str, tls: &str, count: usize) -> Result<Self, Box<dyn Error>> {
        let mut child = tokio::process::Command::from(Command::new(std::env::current_exe()?))
            .args(["clients", address, tls, &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().ok_or("no output")?).read_line(&mut ready).await?;
        if ready.is_empty() { Err("the clients failed".into()) } else { Ok(Clients(child)) }
    }

    async fn end(mut self) -> Result<(), Box<dyn Error>> {
        drop(self.0.stdin.take());
        self.0.wait().await?;
        Ok(())
    }
}

/// Anonymous memory of this process that is resident, in bytes.
fn resident() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).ok_or("no RssAnon")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kilobytes * 1024)
}

fn clients() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let address: SocketAddr = arguments[2].parse()?;
    let tls: bool = arguments[3].parse()?;
    let count: usize = arguments[4].parse()?;
    let mut held: Vec<Box<dyn std::any::Any>> = Vec::new();
    for _ in 0..count {
        let socket = TcpStream::connect(address)?;
        if tls {
            held.push(Box::new(echo(rustls::StreamOwned::new(gullible::connection()?, socket))?));
        } else {
            held.push(Box::new(echo(socket)?));
        }
    }
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn echo<S: Read + Write>(mut stream: S) -> Result<S, Box<dyn Error>> {
    stream.write_all(b"ping")?;
    stream.flush()?;
    stream.read_exact(&mut [0; 4])?;
    Ok(stream)
}

/// A client that believes any certificate.
mod gullible {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
    use std::sync::Arc;

    #[derive(Debug)]
    struct Gullible;

    pub(crate) fn connection() -> Result<ClientConnection, Box<dyn std::error::Error>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Gullible))
            .with_no_client_auth();
        Ok(ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?)
    }

    impl ServerCertVerifier for Gullible {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }
}
