//! The stores that a drill is run on.

use std::net::SocketAddr;

use servers::postgres::QUICK;
use servers::{PostgreSql, Proxy};

/// Kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// On the node's own disk.
    Embedded,
    /// PostgreSQL.
    Postgres,
    /// FoundationDB.
    Foundationdb,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Embedded, Kind::Postgres, Kind::Foundationdb];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Embedded => "embedded",
            Kind::Postgres => "postgres",
            Kind::Foundationdb => "foundationdb",
        }
    }
}

/// A store with nothing in it.
pub(crate) enum Server {
    Embedded,
    Postgres(PostgreSql),
    Foundationdb(Box<servers::foundationdb::Cluster>),
}

impl Server {
    /// `None`, with a word on standard error, where it is not installed.
    pub(crate) fn start(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Embedded => Server::Embedded,
            Kind::Postgres => Server::Postgres(PostgreSql::start(QUICK)?),
            Kind::Foundationdb => {
                Server::Foundationdb(Box::new(servers::foundationdb::cluster(1, 1, "single ssd")?))
            }
        })
    }

    /// For `--store`; `part` keeps several nodes' data apart.
    pub(crate) fn url(&self, part: &str) -> String {
        match self {
            Server::Embedded => "embedded:".to_owned(),
            Server::Postgres(server) => format!("{}?schema={part}", server.url()),
            Server::Foundationdb(cluster) => format!("fdb:{}?prefix={part}/", cluster.file().display()),
        }
    }

    /// A proxy before it, and the URL through it; not where clients go straight to what the cluster names.
    pub(crate) fn behind_proxy(&self, part: &str) -> Option<(Proxy, String)> {
        let Server::Postgres(server) = self else { return None };
        let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], server.port())));
        let url =
            self.url(part).replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.address().port()));
        Some((proxy, url))
    }
}
