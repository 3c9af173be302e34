//! Sites: zones and regions that are not to serve for a while.

use std::collections::BTreeMap;

use kv::Transaction;
use schema::keys::node::{NodeKey, SiteKey};
use schema::{Key, Record, Site, SiteKind, SiteState, level};

use crate::level::need_in;
use crate::situation::live_in;
use crate::{Error, Leases, Node, SiteSetting, touch};

/// The sites that are not online.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sites(BTreeMap<Site, SiteSetting>);

/// What a site is to do from now on, and what people are to read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteChange {
    /// What it is to do.
    pub state: SiteState,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Whether also the last site that serves may be taken away.
    pub force: bool,
}

impl Sites {
    /// Of a site that is not online, what is said of it.
    pub fn setting(&self, site: &Site) -> Option<&SiteSetting> {
        self.0.get(site)
    }

    /// What a site is to do.
    pub fn state(&self, site: &Site) -> SiteState {
        // A number of a later version is none that serves.
        self.0.get(site).map_or(SiteState::Online, |setting| {
            SiteState::from_number(setting.state).unwrap_or(SiteState::Standby)
        })
    }

    /// What a node is to do, by its zone and its region: the one that says least of serving counts.
    pub fn state_of(&self, node: &Node) -> SiteState {
        sites_of(node).map(|site| self.state(&site)).max().unwrap_or(SiteState::Online)
    }

    /// Those that are not online.
    pub fn iter(&self) -> impl Iterator<Item = (&Site, &SiteSetting)> {
        self.0.iter()
    }
}

/// The sites a node is in.
fn sites_of(node: &Node) -> impl Iterator<Item = Site> {
    let named = [(SiteKind::Zone, &node.zone), (SiteKind::Region, &node.region)];
    named
        .into_iter()
        .filter(|(_, name)| !name.is_empty())
        .map(|(kind, name)| Site { kind, name: name.clone() })
}

impl FromIterator<(Site, SiteSetting)> for Sites {
    fn from_iter<I: IntoIterator<Item = (Site, SiteSetting)>>(rows: I) -> Self {
        Sites(rows.into_iter().collect())
    }
}

impl Leases {
    /// All sites: those of the nodes that are known, and those of which something is said; each with its nodes that have
    /// a lease.
    ///
    /// # Errors
    /// The store's.
    pub async fn sites(&self) -> Result<BTreeMap<Site, (Option<SiteSetting>, u32)>, Error> {
        let (nodes, situation) = (self.nodes().await?, self.situation(&[]).await?);
        let mut sites: BTreeMap<Site, (Option<SiteSetting>, u32)> = BTreeMap::new();
        for (_, node, live) in &nodes {
            for site in sites_of(node) {
                sites.entry(site).or_default().1 += u32::from(*live);
            }
        }
        for (site, setting) in situation.sites.iter() {
            sites.entry(site.clone()).or_default().0 = Some(setting.clone());
        }
        Ok(sites)
    }

    /// Says what a site is to do. Its nodes see it at their next look.
    ///
    /// # Errors
    /// [`Error::NoSite`]; [`Error::Level`] while older nodes may be there; [`Error::LastSite`] if no node would serve any more, unless that is insisted on; else the store's.
    pub async fn set_site(&self, site: &Site, change: &SiteChange) -> Result<(), Error> {
        let at = self.clock.now().millis();
        self.db
            .transact("leases.set_site", |txn| async move {
                let key = SiteKey { site: site.clone() }.encode();
                touch(&txn);
                if change.state.serves() {
                    txn.clear(&key);
                    return Ok(());
                }
                if !is_known_in(&txn, site).await? {
                    return Err(Error::NoSite(site.clone()));
                }
                need_in(&txn, level::SITES).await?;
                let (by, reason) = (change.by.clone(), change.reason.clone());
                let setting = SiteSetting { state: change.state.number(), by, at, reason };
                txn.set_bytes(key, setting.to_bytes());
                // The transaction sees what it has written.
                if !change.force && !somebody_serves(&txn).await? {
                    return Err(Error::LastSite(site.clone()));
                }
                Ok(())
            })
            .await
    }
}

async fn somebody_serves(txn: &Transaction) -> Result<bool, Error> {
    let (live, sites) = (live_in(txn).await?, sites_in(txn).await?);
    Ok(live.values().any(|live| !live.draining && sites.state_of(&live.node).serves()))
}

/// Whether a node is, or was, in the site.
async fn is_known_in(txn: &Transaction, site: &Site) -> Result<bool, Error> {
    let (begin, end) = NodeKey::range();
    for (_, value) in txn.range(&begin, &end).snapshot().collect().await? {
        if sites_of(&Node::from_bytes(&value)?).any(|own| own == *site) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The sites that are not online. Conflicts with who changes them, if something is written.
pub(crate) async fn sites_in(txn: &Transaction) -> Result<Sites, Error> {
    let (begin, end) = SiteKey::range();
    let rows = txn.range(&begin, &end).collect().await?;
    rows.iter()
        .map(|(key, value)| Ok((SiteKey::decode(key)?.site, SiteSetting::from_bytes(value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::SystemClock;

    fn node(name: &str, zone: &str, region: &str) -> Node {
        let (name, zone, region) = (name.into(), zone.into(), region.into());
        Node { name, zone, region, level_min: 1, level_max: level::SITES, ..Node::default() }
    }

    fn site(kind: SiteKind, name: &str) -> Site {
        Site { kind, name: name.into() }
    }

    fn to(state: SiteState) -> SiteChange {
        SiteChange { state, by: "me".into(), reason: "a test".into(), force: false }
    }

    #[tokio::test]
    async fn a_site_goes_and_comes_back_and_the_last_one_stays() {
        let leases = Leases::new(kv::memory::database(), SystemClock::shared());
        let a = leases.join(&node("a", "za", "east")).await.unwrap();
        let b = leases.join(&node("b", "zb", "east")).await.unwrap();
        let (za, zb) = (site(SiteKind::Zone, "za"), site(SiteKind::Zone, "zb"));
        let before = leases.situation(&[]).await.unwrap();
        leases.set_site(&za, &to(SiteState::Evacuating)).await.unwrap();
        let after = leases.situation(&[]).await.unwrap();
        assert!(after.generation > before.generation, "nodes see it with the rest");
        assert_eq!(
            (after.site_state(a.node), after.site_state(b.node)),
            (SiteState::Evacuating, SiteState::Online)
        );
        let set = &after.sites.setting(&za).unwrap();
        assert_eq!((set.by.as_str(), set.reason.as_str()), ("me", "a test"));
        for last in [&zb, &site(SiteKind::Region, "east")] {
            assert_eq!(
                leases.set_site(last, &to(SiteState::Standby)).await,
                Err(Error::LastSite(last.clone()))
            );
        }
        let insisting = SiteChange { force: true, ..to(SiteState::Offline) };
        leases.set_site(&zb, &insisting).await.unwrap();
        assert_eq!(leases.situation(&[]).await.unwrap().site_state(b.node), SiteState::Offline);
        leases.set_site(&za, &to(SiteState::Online)).await.unwrap();
        let situation = leases.situation(&[]).await.unwrap();
        assert_eq!((situation.site_state(a.node), situation.sites.iter().count()), (SiteState::Online, 1));
        let sites = leases.sites().await.unwrap();
        let seen: Vec<_> =
            sites.iter().map(|(site, (set, live))| (site.to_string(), set.is_some(), *live)).collect();
        let expected = [("zone za", false, 1), ("zone zb", true, 1), ("region east", false, 2)];
        assert_eq!(seen, expected.map(|(name, set, live)| (name.to_owned(), set, live)));
    }

    #[tokio::test]
    async fn a_site_of_nobody_is_not_known_and_who_drains_does_not_serve() {
        let leases = Leases::new(kv::memory::database(), SystemClock::shared());
        let nowhere = site(SiteKind::Zone, "nowhere");
        assert_eq!(leases.set_site(&nowhere, &to(SiteState::Standby)).await, Err(Error::NoSite(nowhere)));
        leases.join(&node("a", "za", "")).await.unwrap();
        let b = leases.join(&node("b", "", "")).await.unwrap();
        let za = site(SiteKind::Zone, "za");
        leases.set_site(&za, &to(SiteState::Standby)).await.unwrap();
        leases.set_site(&za, &to(SiteState::Online)).await.unwrap();
        leases.drain(b).await.unwrap();
        assert_eq!(leases.set_site(&za, &to(SiteState::Standby)).await, Err(Error::LastSite(za)));
    }

    #[tokio::test]
    async fn all_sites_serve_while_a_node_may_be_there_that_knows_of_none() {
        let leases = Leases::new(kv::memory::database(), SystemClock::shared());
        let old = Node { level_max: level::SITES - 1, ..node("old", "za", "") };
        let old = leases.join(&old).await.unwrap();
        leases.join(&node("new", "zb", "")).await.unwrap();
        let za = site(SiteKind::Zone, "za");
        let refused = Err(Error::Level { level: level::FIRST, needs: level::SITES });
        assert_eq!(leases.set_site(&za, &to(SiteState::Standby)).await, refused);
        leases.set_site(&za, &to(SiteState::Online)).await.unwrap();
        leases.leave(old).await.unwrap();
        // It may come back as it was until the level says otherwise.
        assert_eq!(leases.set_site(&za, &to(SiteState::Standby)).await, refused);
        leases.raise_level(level::SITES).await.unwrap();
        leases.set_site(&za, &to(SiteState::Standby)).await.unwrap();
    }

    #[test]
    fn a_state_of_a_later_version_does_not_serve() {
        let za = site(SiteKind::Zone, "za");
        let sites: Sites =
            [(za.clone(), SiteSetting { state: 9, ..SiteSetting::default() })].into_iter().collect();
        assert!(!sites.state(&za).serves() && !sites.state_of(&node("a", "za", "")).serves());
    }
}
