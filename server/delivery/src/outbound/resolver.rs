//! The DNS, as far as mail routing needs it.

use std::net::IpAddr;

use futures::future::{BoxFuture, FutureExt};
use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;

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
            let answer = self.0.lookup_ip(format!("{host}.")).await;
            outcome(answer.map(|lookup| lookup.iter().collect()))
        }
        .boxed()
    }
}

fn mx_of(data: &RData) -> Option<MxRecord> {
    let RData::MX(mx) = data else { return None };
    let host = mx.exchange.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    Some(MxRecord { preference: mx.preference, host })
}
