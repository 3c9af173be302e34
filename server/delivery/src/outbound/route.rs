//! Where a domain's mail goes: MX, address records, null MX, relay host, and never back to ourselves.

use std::net::{IpAddr, SocketAddr};

use runtime::Rng;
use smtp_proto::{Enhanced, Host};

use super::failure::Failure;
use super::resolver::{MxRecord, ResolveError, Resolver};

/// Hosts of one domain that are tried. RFC 5321 §5.1 asks for at least two addresses; a domain with thousands
/// of records gets no more of our time.
pub const HOSTS: usize = 10;

/// Addresses of one host that are tried.
pub const ADDRESSES: usize = 4;

/// A server to try.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its name, for TLS and logs.
    pub host: String,
    /// Its address.
    pub address: SocketAddr,
}

/// How routes are found.
#[derive(Debug, Clone)]
pub struct Routing {
    /// All mail goes to this host and port.
    pub relay: Option<(String, u16)>,
    /// Our names in the DNS: an MX with such a name is ourselves.
    pub own_names: Vec<String>,
    /// The port of MX hosts.
    pub port: u16,
}

impl Default for Routing {
    fn default() -> Self {
        Self { relay: None, own_names: Vec::new(), port: 25 }
    }
}

/// Finds the servers for a destination, best first.
///
/// # Errors
///
/// A permanent failure if there is and will be no server; a transient one if it cannot be told at present.
pub async fn route(
    routing: &Routing,
    resolver: &dyn Resolver,
    rng: &dyn Rng,
    destination: &str,
) -> Result<Vec<Target>, Failure> {
    if let Some((host, port)) = &routing.relay {
        return targets(resolver, std::slice::from_ref(host), *port).await;
    }
    match Host::parse(destination) {
        // RFC 5321 §5.1: an address literal is used as it stands.
        Some(Host::Literal(address)) => {
            let target = Target { host: destination.to_owned(), address: (address, routing.port).into() };
            Ok(vec![target])
        }
        Some(Host::Domain(domain)) => {
            let ascii = idna::domain_to_ascii(domain.as_str())
                .map_err(|_| Failure::permanent(Enhanced::new(5, 1, 2), "malformed domain"))?;
            let hosts = mx_hosts(routing, resolver, rng, &ascii).await?;
            targets(resolver, &hosts, routing.port).await
        }
        None => Err(Failure::permanent(Enhanced::new(5, 1, 2), "malformed domain")),
    }
}

/// The mail hosts of a domain, best first.
async fn mx_hosts(
    routing: &Routing,
    resolver: &dyn Resolver,
    rng: &dyn Rng,
    domain: &str,
) -> Result<Vec<String>, Failure> {
    let mut records = resolver.mx(domain).await.map_err(|error| unresolved(&error))?;
    // RFC 5321 §5.1: without MX records the domain is its own mail host.
    if records.is_empty() {
        return Ok(vec![domain.to_owned()]);
    }
    // RFC 7505 §3: a single MX that points to the root says that the domain takes no mail; §4.2: 5.1.10.
    if records.iter().all(|record| record.host.is_empty()) {
        return Err(Failure::permanent(Enhanced::new(5, 1, 10), "domain takes no mail (null MX)"));
    }
    records.retain(|record| !record.host.is_empty());
    without_self(routing, &mut records)?;
    shuffle(&mut records, rng);
    records.truncate(HOSTS);
    Ok(records.into_iter().map(|record| record.host).collect())
}

/// RFC 5321 §5.1: if we are among the hosts, those of our preference and behind are left out; if none is left,
/// the mail would come back to us.
fn without_self(routing: &Routing, records: &mut Vec<MxRecord>) -> Result<(), Failure> {
    let is_self =
        |record: &&MxRecord| routing.own_names.iter().any(|name| name.eq_ignore_ascii_case(&record.host));
    let Some(own) = records.iter().filter(is_self).map(|record| record.preference).min() else {
        return Ok(());
    };
    records.retain(|record| record.preference < own);
    if records.is_empty() {
        // RFC 3463 X.4.6: a routing loop.
        return Err(Failure::permanent(
            Enhanced::new(5, 4, 6),
            "mail for this domain loops back to this server",
        ));
    }
    Ok(())
}

/// By preference; those of the same preference in random order (RFC 5321 §5.1).
fn shuffle(records: &mut [MxRecord], rng: &dyn Rng) {
    records.sort();
    for upper in (1..records.len()).rev() {
        let other = usize::try_from(rng.below(upper as u64 + 1)).unwrap_or(upper);
        records.swap(upper, other);
    }
    records.sort_by_key(|record| record.preference);
}

/// The addresses of hosts, in their order. A host that cannot be looked up is passed over, unless it is the last.
async fn targets(resolver: &dyn Resolver, hosts: &[String], port: u16) -> Result<Vec<Target>, Failure> {
    let mut found = Vec::new();
    let mut temporary = None;
    for host in hosts {
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => Ok(vec![address]),
            Err(_) => resolver.addresses(host).await,
        };
        match addresses {
            Ok(addresses) => {
                let some = in_turns(addresses).into_iter().take(ADDRESSES);
                found.extend(
                    some.map(|address| Target { host: host.clone(), address: (address, port).into() }),
                );
            }
            Err(ResolveError::NoSuchDomain) => {}
            Err(error) => temporary = Some(error),
        }
    }
    match (found.is_empty(), temporary) {
        (false, _) => Ok(found),
        (true, Some(error)) => Err(unresolved(&error)),
        // RFC 3463 X.4.4: unable to route.
        (true, None) => Err(Failure::permanent(Enhanced::new(5, 4, 4), "no mail host has an address")),
    }
}

/// The families in turns, IPv6 first, so that a host with many addresses of one is tried over the other too.
fn in_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let mut numbered: Vec<_> = v6.into_iter().enumerate().chain(v4.into_iter().enumerate()).collect();
    numbered.sort_by_key(|(number, _)| *number);
    numbered.into_iter().map(|(_, address)| address).collect()
}

fn unresolved(error: &ResolveError) -> Failure {
    match error {
        ResolveError::NoSuchDomain => Failure::permanent(Enhanced::new(5, 1, 2), "no such domain"),
        ResolveError::Temporary(_) => Failure::transient(Enhanced::new(4, 4, 3), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::{BoxFuture, FutureExt, ready};
    use runtime::SeededRng;

    /// A DNS of a few names: `mx` of `domain` by its name, addresses by the host's.
    struct Zone;

    impl Resolver for Zone {
        fn mx<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Vec<MxRecord>, ResolveError>> {
            let mx = |preference, host: &str| MxRecord { preference, host: host.to_owned() };
            ready(match domain {
                "two.example" => Ok(vec![mx(20, "b"), mx(10, "a")]),
                "null.example" => Ok(vec![mx(0, "")]),
                "own.example" => Ok(vec![mx(10, "me"), mx(20, "a")]),
                "backup.example" => Ok(vec![mx(10, "a"), mx(20, "ME"), mx(30, "b")]),
                "down.example" => Err(ResolveError::Temporary("timeout".into())),
                "none.example" => Err(ResolveError::NoSuchDomain),
                "many.example" => Ok((0..1000).map(|n| mx(n, "a")).collect()),
                "lame.example" => Ok(vec![mx(1, "nowhere"), mx(2, "slow")]),
                _ => Ok(Vec::new()),
            })
            .boxed()
        }

        fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
            ready(match host {
                "a" | "plain.example" | "xn--bcher-kva.example" => Ok(vec!["192.0.2.1".parse().unwrap()]),
                "b" => Ok(vec!["2001:db8::1".parse().unwrap(), "192.0.2.2".parse().unwrap()]),
                "six.example" => Ok((1..=6)
                    .map(|n| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]))
                    .chain([[192, 0, 2, 7].into(), [192, 0, 2, 8].into()])
                    .collect()),
                "slow" => Err(ResolveError::Temporary("timeout".into())),
                _ => Err(ResolveError::NoSuchDomain),
            })
            .boxed()
        }
    }

    async fn find(destination: &str) -> Result<Vec<String>, Failure> {
        let routing = Routing { own_names: vec!["me".into()], ..Routing::default() };
        let found = route(&routing, &Zone, &SeededRng::new(1), destination).await?;
        Ok(found.into_iter().map(|target| target.address.to_string()).collect())
    }

    #[tokio::test]
    async fn hosts_come_by_preference() {
        let both = ["192.0.2.1:25", "[2001:db8::1]:25", "192.0.2.2:25"];
        assert_eq!(find("two.example").await.unwrap(), both);
        assert_eq!(find("plain.example").await.unwrap(), ["192.0.2.1:25"]);
        assert_eq!(find("bücher.example").await.unwrap(), ["192.0.2.1:25"]);
        assert_eq!(find("[192.0.2.7]").await.unwrap(), ["192.0.2.7:25"]);
        assert_eq!(find("backup.example").await.unwrap(), ["192.0.2.1:25"]);
        let turns = ["[2001:db8::1]:25", "192.0.2.7:25", "[2001:db8::2]:25", "192.0.2.8:25"];
        assert_eq!(find("six.example").await.unwrap(), turns);
        assert_eq!(find("many.example").await.unwrap().len(), HOSTS);
    }

    #[tokio::test]
    async fn what_cannot_be_routed() {
        for (destination, permanent, status) in [
            ("null.example", true, "5.1.10"),
            ("own.example", true, "5.4.6"),
            ("none.example", true, "5.1.2"),
            ("empty.example", true, "5.4.4"),
            ("down.example", false, "4.4.3"),
            ("lame.example", false, "4.4.3"),
            ("a b", true, "5.1.2"),
        ] {
            let failure = find(destination).await.unwrap_err();
            assert_eq!(
                (failure.permanent, failure.status.to_string().as_str()),
                (permanent, status),
                "{destination}"
            );
        }
    }

    #[tokio::test]
    async fn a_relay_host_takes_everything() {
        let routing = Routing { relay: Some(("127.0.0.1".into(), 2626)), ..Routing::default() };
        let found = route(&routing, &Zone, &SeededRng::new(1), "none.example").await.unwrap();
        assert_eq!(found[0].address.to_string(), "127.0.0.1:2626");
    }

    #[test]
    fn equal_preferences_take_turns() {
        let first = |seed| {
            let mut records: Vec<_> =
                ["a", "b", "c"].map(|h| MxRecord { preference: 5, host: h.into() }).into();
            shuffle(&mut records, &SeededRng::new(seed));
            records[0].host.clone()
        };
        let seen: std::collections::BTreeSet<_> = (0..50).map(first).collect();
        assert_eq!(seen.len(), 3);
    }
}
