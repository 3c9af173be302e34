//! Where a node listens for others, and where they reach it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::Context;

use crate::config::Cluster;

/// Sockets that are bound, so that others can be told where before anybody is told anything.
pub(super) struct Sockets {
    pub(super) gossip: Socket,
    pub(super) rpc: Socket,
}

/// A socket, and where others reach it.
pub(super) struct Socket {
    pub(super) socket: UdpSocket,
    pub(super) reached: SocketAddr,
}

impl Sockets {
    /// Binds both: gossip where the configuration says, calls at the port behind it (any other where it says any).
    pub(super) async fn bind(config: &Cluster) -> anyhow::Result<Sockets> {
        let reached = reached(config).await?;
        let port = config.listen.port();
        let next =
            if port == 0 { 0 } else { port.checked_add(1).context("cluster.listen is the last port")? };
        Ok(Sockets { gossip: bind(config, port, reached)?, rpc: bind(config, next, reached)? })
    }
}

fn bind(config: &Cluster, port: u16, reached: IpAddr) -> anyhow::Result<Socket> {
    let address = SocketAddr::new(config.listen.ip(), port);
    let socket =
        UdpSocket::bind(address).with_context(|| format!("cannot listen on {address} for other nodes"))?;
    let reached = SocketAddr::new(reached, socket.local_addr()?.port());
    Ok(Socket { socket, reached })
}

/// The address at which others reach the node.
async fn reached(config: &Cluster) -> anyhow::Result<IpAddr> {
    let own = config.listen.ip();
    if let Some(host) = &config.advertise {
        let found = tokio::net::lookup_host((host.as_str(), 0)).await;
        let found = found.with_context(|| format!("cluster.advertise {host:?}"))?;
        let mut found = found.map(|address| address.ip());
        // A socket of one family sends to nobody of the other.
        return found.find(|address| address.is_ipv4() == own.is_ipv4()).with_context(|| {
            format!("cluster.advertise {host:?} has no address of the family of cluster.listen")
        });
    }
    match own.is_unspecified() {
        false => Ok(own),
        true => of_default_route(own)
            .context("no default route: cluster.advertise has to say where others reach it"),
    }
}

/// The address from which this machine talks to the world. Nothing is sent: the addresses are those of documentation.
fn of_default_route(own: IpAddr) -> io::Result<IpAddr> {
    let somewhere: IpAddr = match own {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    let socket = UdpSocket::bind((own, 0))?;
    socket.connect((somewhere, 9))?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str, advertise: Option<&str>) -> Cluster {
        let advertise = advertise.map(str::to_owned);
        Cluster { listen: listen.parse().unwrap(), advertise, ..Cluster::default() }
    }

    #[tokio::test]
    async fn others_are_told_a_port_that_is_bound() {
        let sockets = Sockets::bind(&config("127.0.0.1:0", None)).await.unwrap();
        for Socket { socket, reached } in [&sockets.gossip, &sockets.rpc] {
            assert_eq!(socket.local_addr().unwrap(), *reached);
        }
        let taken = sockets.gossip.reached.to_string();
        let error = Sockets::bind(&config(&taken, None)).await.err().unwrap();
        assert!(format!("{error:#}").contains(&taken), "{error:#}");
    }

    #[tokio::test]
    async fn what_is_advertised_counts() {
        let sockets = Sockets::bind(&config("0.0.0.0:0", Some("localhost"))).await.unwrap();
        assert_eq!(sockets.rpc.reached.ip(), Ipv4Addr::LOCALHOST);
        assert!(Sockets::bind(&config("127.0.0.1:0", Some("::1"))).await.is_err());
    }
}
