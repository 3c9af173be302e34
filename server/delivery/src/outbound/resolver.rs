//! The DNS, as far as mail routing needs it.

use std::net::{IpAddr, SocketAddr};

use futures::future::{BoxFuture, FutureExt};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, Record};

/// Why a name could not be looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// There is no such name.
    #[error("no such domain")]
    NoSuchDomain,
    /// It cannot be told at present.
    #[error("lookup failed: {0}")]
    Temporary(String),
}

/// One MX record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MxRecord {
    /// Lower comes first.
    pub preference: u16,
    /// The host's name without a dot at its end; empty for the root (RFC 7505).
    pub host: String,
}

/// Looks up mail routes.
pub trait Resolver: Send + Sync {
    /// The MX records of a domain; none if it has none but exists.
    fn mx<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Vec<MxRecord>, ResolveError>>;
    /// The addresses of a host; none if it has none.
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>>;
}

/// The system's resolver.
pub struct SystemResolver(TokioResolver);

impl SystemResolver {
    /// Reads the system's configuration.
    ///
    /// # Errors
    ///
    /// The operator must act: the system has no usable resolver configuration.
    pub fn new() -> Result<Self, ResolveError> {
        let builder = TokioResolver::builder_tokio().map_err(temporary)?;
        builder.build().map(Self).map_err(temporary)
    }

    /// Asks this server alone, over UDP and TCP.
    ///
    /// # Errors
    ///
    /// The operator must act: nothing can be asked of such an address.
    pub fn at(server: SocketAddr) -> Result<Self, ResolveError> {
        let mut asked = NameServerConfig::udp_and_tcp(server.ip());
        asked.connections.iter_mut().for_each(|connection| connection.port = server.port());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![asked]);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.build().map(Self).map_err(temporary)
    }
}

fn temporary(error: impl std::fmt::Display) -> ResolveError {
    ResolveError::Temporary(error.to_string())
}

/// NXDOMAIN, no data, and everything else apart.
fn outcome<T>(answer: Result<Vec<T>, NetError>) -> Result<Vec<T>, ResolveError> {
    match answer {
        Ok(records) => Ok(records),
        Err(error) if error.is_nx_domain() => Err(ResolveError::NoSuchDomain),
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(error) => Err(temporary(error)),
    }
}

impl Resolver for SystemResolver {
    fn mx<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Vec<MxRecord>, ResolveError>> {
        async move {
            // The dot keeps the system's search list out.
            let answer = self.0.mx_lookup(format!("{domain}.")).await;
            outcome(
                answer
                    .map(|lookup| lookup.answers().iter().filter_map(|record| mx_of(&record.data)).collect()),
            )
        }
        .boxed()
    }

    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        async move {
            // Apart, since the resolver's own lookup of both tells of one failure only.
            let name = format!("{host}.");
            let (v6, v4) = tokio::join!(self.0.ipv6_lookup(name.as_str()), self.0.ipv4_lookup(name.as_str()));
            let of = |answer: Result<Lookup, NetError>| {
                let address = |record: &Record| record.data.ip_addr();
                outcome(answer.map(|lookup| lookup.answers().iter().filter_map(address).collect()))
            };
            both(of(v6), of(v4))
        }
        .boxed()
    }
}

/// The addresses of both families. That there are none is known only if both were told.
fn both(
    v6: Result<Vec<IpAddr>, ResolveError>,
    v4: Result<Vec<IpAddr>, ResolveError>,
) -> Result<Vec<IpAddr>, ResolveError> {
    use ResolveError::NoSuchDomain;
    match (v6, v4) {
        (Ok(v6), Ok(v4)) => Ok([v6, v4].concat()),
        (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.is_empty() => Ok(some),
        (Err(NoSuchDomain), Err(NoSuchDomain)) => Err(NoSuchDomain),
        // Some servers deny a name that has an address of the other family.
        (Err(NoSuchDomain), Ok(none)) | (Ok(none), Err(NoSuchDomain)) => Ok(none),
        (Err(temporary @ ResolveError::Temporary(_)), _) | (_, Err(temporary)) => Err(temporary),
    }
}

fn mx_of(data: &RData) -> Option<MxRecord> {
    let RData::MX(mx) = data else { return None };
    let host = mx.exchange.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    Some(MxRecord { preference: mx.preference, host })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_that_cannot_be_told_is_not_one_without_addresses() {
        let temporary = || Err(ResolveError::Temporary("timeout".into()));
        let missing = || Err(ResolveError::NoSuchDomain);
        let none = || Ok(Vec::new());
        let v4 = || Ok(vec![IpAddr::from([192, 0, 2, 1])]);
        let v6 = || Ok(vec!["2001:db8::1".parse().unwrap()]);
        for (aaaa, a, addresses) in [
            (none(), temporary(), temporary()),
            (temporary(), none(), temporary()),
            (temporary(), temporary(), temporary()),
            (missing(), temporary(), temporary()),
            (temporary(), missing(), temporary()),
            (none(), none(), none()),
            (missing(), missing(), missing()),
            (missing(), none(), none()),
            (none(), missing(), none()),
            (missing(), v4(), v4()),
            (temporary(), v4(), v4()),
            (none(), v4(), v4()),
            (v6(), temporary(), v6()),
            (v6(), missing(), v6()),
            (v6(), v4(), Ok([v6().unwrap(), v4().unwrap()].concat())),
        ] {
            assert_eq!(both(aaaa.clone(), a.clone()), addresses, "{aaaa:?} {a:?}");
        }
    }
}
