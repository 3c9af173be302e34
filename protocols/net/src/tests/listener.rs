//! The accept loop under want and abuse.

use crate::{Connection, Gate, Limits, Listener, ListenerOptions, Network, Protocol, SessionContext};
use futures::future::BoxFuture;
use runtime::{Shutdown, Supervisor, SystemClock};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Greets with the client's address, echoes until the end, says goodbye at the drain.
struct Echo;

impl Protocol for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn serve(&self, mut connection: Connection, context: SessionContext) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            connection.queue(format!("hello {}\n", connection.peer().ip()).as_bytes());
            loop {
                // A balancer's header may have brought the first line with it.
                let line = connection.buffer().to_vec();
                connection.consume(line.len());
                connection.queue(&line);
                if connection.flush().await.is_err() {
                    return;
                }
                tokio::select! {
                    filled = connection.fill() => match filled {
                        Ok(n) if n > 0 => {}
                        _ => return,
                    },
                    () = context.shutdown.drain.cancelled() => {
                        connection.queue(b"bye\n");
                        return connection.close().await;
                    }
                }
            }
        })
    }

    fn refuse(&self) -> &'static [u8] {
        b"busy\n"
    }
}

struct Running {
    address: SocketAddr,
    supervisor: Supervisor,
}

fn run(limits: Limits, proxies: Vec<Network>) -> Running {
    let supervisor = Supervisor::new(Shutdown::new());
    let options = ListenerOptions {
        address: (Ipv4Addr::LOCALHOST, 0).into(),
        tls: None,
        implicit_tls: false,
        proxies: proxies.into(),
    };
    let shutdown = supervisor.shutdown().clone();
    let listener =
        Listener::bind(options, Arc::new(Echo), Gate::new(limits), SystemClock::shared(), shutdown).unwrap();
    let address = listener.address();
    listener.spawn(&supervisor);
    Running { address, supervisor }
}

async fn line(client: &mut TcpStream) -> String {
    let mut line = String::new();
    while !line.ends_with('\n') {
        match client.read_u8().await {
            Ok(byte) => line.push(byte.into()),
            Err(_) => break,
        }
    }
    line
}

#[tokio::test]
async fn sessions_are_served_and_drained_politely() {
    let running = run(Limits::default(), Vec::new());
    let mut client = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(line(&mut client).await, "hello 127.0.0.1\n");
    client.write_all(b"ping\n").await.unwrap();
    assert_eq!(line(&mut client).await, "ping\n");
    running.supervisor.shutdown().begin();
    assert_eq!(line(&mut client).await, "bye\n");
    drop(client);
    running.supervisor.shutdown().ledger().idle().await;
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens after the drain");
}

#[tokio::test]
async fn one_too_many_is_told_so() {
    for limits in
        [Limits { connections: 1, ..Limits::default() }, Limits { per_address: 1, ..Limits::default() }]
    {
        let running = run(limits, Vec::new());
        let mut first = TcpStream::connect(running.address).await.unwrap();
        assert_eq!(line(&mut first).await, "hello 127.0.0.1\n");
        let mut second = TcpStream::connect(running.address).await.unwrap();
        assert_eq!(line(&mut second).await, "busy\n");
        drop((first, second));
        // The place is free again as soon as the session has seen the end.
        loop {
            let mut third = TcpStream::connect(running.address).await.unwrap();
            if line(&mut third).await.starts_with("hello") {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_balancer_says_who_the_client_is() {
    let running = run(Limits::default(), Network::loopback());
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 25\r\nping\n").await.unwrap();
    assert_eq!(line(&mut client).await, "hello 203.0.113.7\n");
    assert_eq!(line(&mut client).await, "ping\n");
    let mut liar = TcpStream::connect(running.address).await.unwrap();
    liar.write_all(b"EHLO x\r\n").await.unwrap();
    assert_eq!(line(&mut liar).await, "", "closed without a word");
}

#[tokio::test]
async fn strangers_may_not_send_a_proxy_header() {
    let running = run(Limits::default(), vec!["192.0.2.0/24".parse().unwrap()]);
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 25\r\n").await.unwrap();
    assert_eq!(line(&mut client).await, "hello 127.0.0.1\n");
    assert!(line(&mut client).await.starts_with("PROXY "), "input like any other");
}

#[tokio::test]
async fn without_descriptors_newcomers_are_refused_and_those_inside_go_on() {
    let running = run(Limits::default(), Vec::new());
    let mut inside = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(line(&mut inside).await, "hello 127.0.0.1\n");
    let newcomer = TcpSocket::new_v4().unwrap();
    let later = TcpSocket::new_v4().unwrap();
    let mut hoard = Vec::new();
    let limit = rustix::process::Rlimit { current: Some(200), maximum: Some(200) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    let mut newcomer = newcomer.connect(running.address).await.unwrap();
    assert_eq!(line(&mut newcomer).await, "busy\n");
    inside.write_all(b"still here\n").await.unwrap();
    assert_eq!(line(&mut inside).await, "still here\n");
    drop((hoard, newcomer));
    let mut later = later.connect(running.address).await.unwrap();
    assert_eq!(line(&mut later).await, "hello 127.0.0.1\n");
}
