//! Where a request may go.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use delivery::outbound::resolver::Resolver;
use net::Networks;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use webpush_proto::is_public;

/// Octets of a URL.
const URL_MAX: usize = 2_000;

/// Says which addresses are called.
#[derive(Clone)]
pub(crate) struct Reach {
    resolver: Arc<dyn Resolver>,
    exempt: Networks,
}

/// A name leads nowhere that may be called.
#[derive(Debug, thiserror::Error)]
#[error("the name has no address that may be called")]
struct Nowhere;

impl Reach {
    pub(crate) fn new(resolver: Arc<dyn Resolver>, exempt: Networks) -> Self {
        Reach { resolver, exempt }
    }

    /// A URL that may be called, as far as it says itself (RFC 8620 §7.2: `https://`).
    pub(crate) fn url(&self, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|_| text.len() <= URL_MAX)?;
        let plain = url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
        let host = url.host_str().filter(|host| plain && !host.is_empty())?;
        // Addresses are not resolved: they are looked at here or nowhere.
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let fits = address.map_or(true, |address| self.may_call(address));
        fits.then_some(url)
    }

    /// Whether an address may be called.
    pub(crate) fn may_call(&self, address: IpAddr) -> bool {
        self.exempt.contain(address) || (is_public(address) && !is_own(address))
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let mut found = self.resolver.addresses(host).await?;
        found.retain(|address| self.may_call(*address));
        if found.is_empty() { Err(Box::new(Nowhere)) } else { Ok(found) }
    }
}

/// Whether an address is this machine's: only then can it be bound.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

/// What is resolved here is what is connected to: a name that changes its mind in between gains nothing.
impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let found = reach.addresses(name.as_str()).await?;
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use delivery::outbound::resolver::{MxRecord, ResolveError};
    use futures::future::BoxFuture;

    /// Every name has this address, and a public one.
    pub(crate) struct All(pub(crate) IpAddr);

    impl Resolver for All {
        fn mx<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<MxRecord>, ResolveError>> {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
            Box::pin(async { Ok(vec![self.0]) })
        }
    }

    fn reach(exempt: &str) -> Reach {
        let exempt: Vec<net::Network> = exempt.split_whitespace().map(|text| text.parse().unwrap()).collect();
        Reach::new(Arc::new(All("10.0.0.1".parse().unwrap())), exempt.into())
    }

    #[test]
    fn only_https_to_others_is_called() {
        let reach = reach("192.168.7.0/24");
        for good in ["https://push.example.net/x?y=z", "https://1.1.1.1:8443/", "https://192.168.7.9/"] {
            assert!(reach.url(good).is_some(), "{good}");
        }
        for bad in [
            "http://push.example.net/",
            "ftp://push.example.net/",
            "https://user@push.example.net/",
            "https://:secret@push.example.net/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://192.168.8.9/",
            "https://169.254.169.254/latest",
            "https://",
            "/x",
            "",
        ] {
            assert!(reach.url(bad).is_none(), "{bad}");
        }
        assert!(reach.url(&format!("https://push.example.net/{}", "x".repeat(URL_MAX))).is_none());
    }

    #[tokio::test]
    async fn what_a_name_leads_to_is_looked_at() {
        assert!(reach("").addresses("push.example.net").await.is_err());
        let found = reach("10.0.0.0/8").addresses("push.example.net").await.unwrap();
        assert_eq!(found, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn own_addresses_are_known() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("198.51.100.7".parse().unwrap()));
    }
}
