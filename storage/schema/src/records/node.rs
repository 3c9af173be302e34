//! The nodes of the cluster, their leases, and what each may work on.

use std::fmt;

use crate::Record;

/// The last numbers given out: none comes twice.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Issued {
    /// The last node id.
    #[prost(uint32, tag = "1")]
    pub node: u32,
    /// The last epoch of a lease.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
}

impl Record for Issued {}

/// Which node has a name.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct NodeName {
    /// Its id.
    #[prost(uint32, tag = "1")]
    pub node: u32,
}

impl Record for NodeName {}

/// What is known of a node, as it said when it joined last.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    /// As configured; one node at a time has it.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What fails together within a region.
    #[prost(string, tag = "2")]
    pub zone: String,
    /// What is far from others.
    #[prost(string, tag = "3")]
    pub region: String,
    /// What it does: `delivery`, `search`, `tasks`, ….
    #[prost(string, repeated, tag = "4")]
    pub roles: Vec<String>,
    /// The program's version.
    #[prost(string, tag = "5")]
    pub version: String,
    /// The lowest feature level it can write by.
    #[prost(uint32, tag = "6")]
    pub level_min: u32,
    /// The highest.
    #[prost(uint32, tag = "7")]
    pub level_max: u32,
    /// Where it gossips: `address:port`.
    #[prost(string, tag = "8")]
    pub gossip: String,
    /// Where it answers calls: `address:port`.
    #[prost(string, tag = "9")]
    pub rpc: String,
    /// How much it can do, against others; 0 counts as 100.
    #[prost(uint32, tag = "10")]
    pub capacity: u32,
    /// When it joined last, in milliseconds since the epoch: for people to read.
    #[prost(int64, tag = "11")]
    pub joined: i64,
    /// Whether it gave its lease back by itself: a node without a lease that did not has failed.
    #[prost(bool, tag = "12")]
    pub left: bool,
}

impl Record for Node {}

/// The right of a node to work. It ends when the row is cleared or gets another epoch, and never by a clock.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Lease {
    /// Which lease: no two ever have the same.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Whether the node wants to leave, so that nothing is given to it.
    #[prost(bool, tag = "2")]
    pub draining: bool,
}

impl Record for Lease {}

/// Who may work on a duty: the node, as long as it has that lease.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Claim {
    /// Greater with every change.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// The node; 0 for nobody.
    #[prost(uint32, tag = "2")]
    pub node: u32,
    /// The epoch of its lease.
    #[prost(uint64, tag = "3")]
    pub lease: u64,
}

impl Record for Claim {}

/// The feature level that all nodes write by.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct FeatureLevel {
    /// Never goes down.
    #[prost(uint32, tag = "1")]
    pub level: u32,
    /// When it was raised, in milliseconds since the epoch.
    #[prost(int64, tag = "2")]
    pub raised: i64,
}

impl Record for FeatureLevel {}

/// A zone or region that is not online: what it is to do, and who said so.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SiteSetting {
    /// As in [`crate::SiteState::number`]; never that of online.
    #[prost(uint32, tag = "1")]
    pub state: u32,
    /// Who set it: for people to read.
    #[prost(string, tag = "2")]
    pub by: String,
    /// When, in milliseconds since the epoch: for people to read.
    #[prost(int64, tag = "3")]
    pub at: i64,
    /// Why: for people to read.
    #[prost(string, tag = "4")]
    pub reason: String,
}

impl Record for SiteSetting {}

/// The rehearsal under way.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Drill {
    /// Its name: whoever has it may end it.
    #[prost(string, tag = "1")]
    pub id: String,
    /// What is rehearsed: for people to read.
    #[prost(string, tag = "2")]
    pub what: String,
    /// Who began it: for people to read.
    #[prost(string, tag = "3")]
    pub by: String,
    /// When, in milliseconds since the epoch: for people to read.
    #[prost(int64, tag = "4")]
    pub at: i64,
}

impl Record for Drill {}

/// What nodes know each other by. Who can read it can join: it is as secret as the store.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Secrets {
    /// Random; names the cluster.
    #[prost(bytes = "vec", tag = "1")]
    pub cluster: Vec<u8>,
    /// Keys of the gossip. The first seals, all open.
    #[prost(message, repeated, tag = "2")]
    pub keys: Vec<GossipKey>,
    /// Authorities of the nodes' certificates. The first signs, all are trusted.
    #[prost(message, repeated, tag = "3")]
    pub authorities: Vec<Authority>,
}

impl Record for Secrets {}

/// A key that gossip is sealed with.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct GossipKey {
    /// Which, from 1.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// 32 octets.
    #[prost(bytes = "vec", tag = "2")]
    pub key: Vec<u8>,
}

/// An authority of certificates.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Authority {
    /// X.509, DER.
    #[prost(bytes = "vec", tag = "1")]
    pub certificate: Vec<u8>,
    /// PKCS #8, DER.
    #[prost(bytes = "vec", tag = "2")]
    pub key: Vec<u8>,
    /// When it was made, in milliseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub created: i64,
}

// What is secret is not shown.

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Secrets");
        shown.field("keys", &self.keys).field("authorities", &self.authorities).finish_non_exhaustive()
    }
}

impl fmt::Debug for GossipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GossipKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("created", &self.created).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture<R: Record + PartialEq + std::fmt::Debug>(record: &R, bytes: &[u8]) {
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(R::from_bytes(bytes).as_ref(), Ok(record));
    }

    #[test]
    fn fixture_of_a_node() {
        let node = Node {
            name: "n".into(),
            zone: "z".into(),
            region: "r".into(),
            roles: vec!["a".into(), "b".into()],
            version: "1".into(),
            level_min: 1,
            level_max: 2,
            gossip: "g".into(),
            rpc: "c".into(),
            capacity: 100,
            joined: 300,
            left: true,
        };
        let bytes = b"\x01\x0a\x01n\x12\x01z\x1a\x01r\x22\x01a\x22\x01b\x2a\x011\x30\x01\x38\x02\x42\x01g\
            \x4a\x01c\x50\x64\x58\xac\x02\x60\x01";
        fixture(&node, bytes);
    }

    #[test]
    fn fixtures() {
        fixture(&Issued { node: 3, epoch: 300 }, b"\x01\x08\x03\x10\xac\x02");
        fixture(&NodeName { node: 3 }, b"\x01\x08\x03");
        fixture(&Lease { epoch: 300, draining: true }, b"\x01\x08\xac\x02\x10\x01");
        fixture(&Claim { epoch: 300, node: 3, lease: 7 }, b"\x01\x08\xac\x02\x10\x03\x18\x07");
        fixture(&FeatureLevel { level: 2, raised: 300 }, b"\x01\x08\x02\x10\xac\x02");
        let site = SiteSetting { state: 2, by: "o".into(), at: 300, reason: "r".into() };
        fixture(&site, b"\x01\x08\x02\x12\x01o\x18\xac\x02\x22\x01r");
        let drill = Drill { id: "d".into(), what: "w".into(), by: "o".into(), at: 300 };
        fixture(&drill, b"\x01\x0a\x01d\x12\x01w\x1a\x01o\x20\xac\x02");
        let secrets = Secrets {
            cluster: vec![1, 2],
            keys: vec![GossipKey { id: 1, key: vec![7] }],
            authorities: vec![Authority { certificate: vec![8], key: vec![9], created: 5 }],
        };
        let bytes =
            b"\x01\x0a\x02\x01\x02\x12\x05\x08\x01\x12\x01\x07\x1a\x08\x0a\x01\x08\x12\x01\x09\x18\x05";
        fixture(&secrets, bytes);
        let shown =
            "Secrets { keys: [GossipKey { id: 1, .. }], authorities: [Authority { created: 5, .. }], .. }";
        assert_eq!(format!("{secrets:?}"), shown);
    }
}
