//! The DNS, as far as mail routing needs it.
//!
//! That a name or its records do not exist sends mail back at once. So that is only what a server says so: NXDOMAIN, or an answer
//! without records that is one (RFC 2308 §2.1, §2.2). What could not be told, and what has no end (`alias`), may be told
//! later: no answer, SERVFAIL, one that was cut short, a referral to other servers, names that go in circles.

mod alias;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use futures::future::{BoxFuture, FutureExt};
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};

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

/// Questions that may wait for answers over one connection; more would fail. There are never so many at a time.
const QUESTIONS: usize = 1_024;

/// The system's resolver.
pub struct SystemResolver(TokioResolver);

impl SystemResolver {
    /// Reads the system's configuration.
    ///
    /// # Errors
    ///
    /// The operator must act: the system has no usable resolver configuration.
    pub fn new() -> Result<Self, ResolveError> {
        Self::built(TokioResolver::builder_tokio().map_err(temporary)?)
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
        Self::built(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
    }

    fn built(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<Self, ResolveError> {
        builder.options_mut().max_active_requests = QUESTIONS;
        builder.build().map(Self).map_err(temporary)
    }

    /// The name that this one is an alias of, if it is one.
    async fn alias(&self, name: String) -> Result<Option<String>, ResolveError> {
        match self.0.lookup(format!("{name}."), RecordType::CNAME).await {
            Ok(lookup) => Ok(lookup.answers().iter().find_map(|record| match &record.data {
                RData::CNAME(target) => Some(plain(&target.to_ascii())),
                _ => None,
            })),
            Err(error) if is_referral(&error) => Err(temporary("the server asked refers to others")),
            Err(error) if error.is_no_records_found() => Ok(None),
            Err(error) => Err(temporary(error)),
        }
    }
}

/// A name as it is compared.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether that was no answer to the question. RFC 2308 §2.2: a referral has NS records and no SOA record.
fn is_referral(error: &NetError) -> bool {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            !error.is_nx_domain() && none.soa.is_none() && none.ns.is_some()
        }
        _ => false,
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
            let addresses = both(of(v6), of(v4))?;
            if addresses.is_empty() {
                alias::has_end(host, |name| self.alias(name).boxed()).await?;
            }
            Ok(addresses)
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
    Some(MxRecord { preference: mx.preference, host: plain(&mx.exchange.to_ascii()) })
}
