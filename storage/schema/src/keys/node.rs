//! `N`: the nodes of the cluster, their leases, and what each may work on.
//!
//! | key | value |
//! |-----|-------|
//! | `N c` kind number | [`crate::records::node::Claim`]: who may work on a duty |
//! | `N d` | [`crate::records::node::Drill`]: the rehearsal under way |
//! | `N f` | [`crate::records::node::FeatureLevel`] |
//! | `N g` | a counter, 8 bytes little-endian: changes with every lease and claim, not with renewals |
//! | `N i` | [`crate::records::node::Issued`]: the last node id and lease epoch given out |
//! | `N l` node | [`crate::records::node::Lease`]: there while the node may work |
//! | `N m` name | [`crate::records::node::NodeName`] |
//! | `N n` node | [`crate::records::node::Node`] |
//! | `N r` node | a counter, 8 bytes little-endian: the renewals of the node's lease |
//! | `N s` | [`crate::records::node::Secrets`] |
//! | `N z` kind name | [`crate::records::node::SiteSetting`]: a zone or region that is not online |

use super::{read_tags, show};
use crate::{Duty, DutyKind, Key, KeyError, KeyReader, KeyWriter, NodeId, Site, SiteKind, prefix_range};

/// First byte of the family.
pub const TAG: u8 = b'N';

/// Keys that are there once: `N` and one tag.
fn single(writer: &mut KeyWriter, tag: u8) {
    writer.tag(TAG).tag(tag);
}

/// Who may work on a duty. The row stays when nobody may: the epoch in it only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimKey {
    /// The duty.
    pub duty: Duty,
}

impl ClaimKey {
    /// All of one kind, by number.
    pub fn range(kind: DutyKind) -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| {
            writer.tag(TAG).tag(b'c').tag(kind.tag());
        })
    }
}

impl Key for ClaimKey {
    const NAME: &'static str = "Claim";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'c').tag(self.duty.kind.tag()).uint(self.duty.number.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'c'])?;
        let kind = reader.array::<1>()?[0];
        let kind = DutyKind::from_tag(kind).ok_or(KeyError::Range)?;
        Ok(ClaimKey { duty: Duty { kind, number: reader.uint32()? } })
    }
}

/// The rehearsal under way: one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrillKey;

impl Key for DrillKey {
    const NAME: &'static str = "Drill";

    fn write(&self, writer: &mut KeyWriter) {
        single(writer, b'd');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'd']).map(|()| DrillKey)
    }
}

/// The feature level that all nodes write by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureLevelKey;

impl Key for FeatureLevelKey {
    const NAME: &'static str = "FeatureLevel";

    fn write(&self, writer: &mut KeyWriter) {
        single(writer, b'f');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'f']).map(|()| FeatureLevelKey)
    }
}

/// Changes with every lease and claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationKey;

impl Key for GenerationKey {
    const NAME: &'static str = "Generation";

    fn write(&self, writer: &mut KeyWriter) {
        single(writer, b'g');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'g']).map(|()| GenerationKey)
    }
}

/// The last node id and lease epoch given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuedKey;

impl Key for IssuedKey {
    const NAME: &'static str = "Issued";

    fn write(&self, writer: &mut KeyWriter) {
        single(writer, b'i');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'i']).map(|()| IssuedKey)
    }
}

/// A node's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseKey {
    /// The node.
    pub node: NodeId,
}

impl LeaseKey {
    /// Those of all nodes.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| single(writer, b'l'))
    }
}

impl Key for LeaseKey {
    const NAME: &'static str = "Lease";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'l').uint(self.node.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'l'])?;
        Ok(LeaseKey { node: NodeId(reader.uint32()?) })
    }
}

/// Which node has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNameKey {
    /// As configured.
    pub name: String,
}

impl Key for NodeNameKey {
    const NAME: &'static str = "NodeName";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'm').raw(self.name.as_bytes());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'm'])?;
        let name = String::from_utf8(reader.rest().to_vec()).map_err(|_| KeyError::Range)?;
        Ok(NodeNameKey { name })
    }
}

/// What is known of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeKey {
    /// The node.
    pub node: NodeId,
}

impl NodeKey {
    /// All nodes, also those that are gone.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| single(writer, b'n'))
    }
}

impl Key for NodeKey {
    const NAME: &'static str = "Node";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'n').uint(self.node.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'n'])?;
        Ok(NodeKey { node: NodeId(reader.uint32()?) })
    }
}

/// How often a node has renewed its lease. Apart from the lease, so that a renewal conflicts with nothing that asserts
/// the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewalKey {
    /// The node.
    pub node: NodeId,
}

impl Key for RenewalKey {
    const NAME: &'static str = "Renewal";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'r').uint(self.node.0.into());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'r'])?;
        Ok(RenewalKey { node: NodeId(reader.uint32()?) })
    }
}

/// What nodes know each other by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretsKey;

impl Key for SecretsKey {
    const NAME: &'static str = "Secrets";

    fn write(&self, writer: &mut KeyWriter) {
        single(writer, b's');
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b's']).map(|()| SecretsKey)
    }
}

/// A zone or a region that is not online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteKey {
    /// Which.
    pub site: Site,
}

impl SiteKey {
    /// All of them.
    pub fn range() -> (Vec<u8>, Vec<u8>) {
        prefix_range(|writer| single(writer, b'z'))
    }
}

impl Key for SiteKey {
    const NAME: &'static str = "Site";

    fn write(&self, writer: &mut KeyWriter) {
        writer.tag(TAG).tag(b'z').tag(self.site.kind.tag()).raw(self.site.name.as_bytes());
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<Self, KeyError> {
        read_tags(reader, &[TAG, b'z'])?;
        let kind = SiteKind::from_tag(reader.array::<1>()?[0]).ok_or(KeyError::Range)?;
        let name = String::from_utf8(reader.rest().to_vec()).map_err(|_| KeyError::Range)?;
        Ok(SiteKey { site: Site { kind, name } })
    }
}

pub(crate) fn explain(bytes: &[u8]) -> Option<String> {
    show::<ClaimKey>(bytes)
        .or_else(|| show::<DrillKey>(bytes))
        .or_else(|| show::<FeatureLevelKey>(bytes))
        .or_else(|| show::<GenerationKey>(bytes))
        .or_else(|| show::<IssuedKey>(bytes))
        .or_else(|| show::<LeaseKey>(bytes))
        .or_else(|| show::<NodeNameKey>(bytes))
        .or_else(|| show::<NodeKey>(bytes))
        .or_else(|| show::<RenewalKey>(bytes))
        .or_else(|| show::<SecretsKey>(bytes))
        .or_else(|| show::<SiteKey>(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden<K: Key + PartialEq + std::fmt::Debug>(key: &K, bytes: &[u8]) {
        assert_eq!(key.encode(), bytes);
        assert_eq!(K::decode(bytes).as_ref(), Ok(key));
        assert_eq!(crate::explain(bytes), format!("{key:?}"));
    }

    fn site(kind: SiteKind, name: &str) -> SiteKey {
        SiteKey { site: Site { kind, name: name.into() } }
    }

    #[test]
    fn golden_bytes() {
        let node = NodeId(300);
        golden(&ClaimKey { duty: Duty::queue(7) }, b"Ncq\x07");
        golden(&ClaimKey { duty: Duty::search(300) }, b"Ncs\xf1\x3c");
        golden(&ClaimKey { duty: Duty::RETENTION }, b"Ncj\x01");
        golden(&FeatureLevelKey, b"Nf");
        golden(&GenerationKey, b"Ng");
        golden(&IssuedKey, b"Ni");
        golden(&LeaseKey { node }, b"Nl\xf1\x3c");
        golden(&NodeNameKey { name: "mx1".into() }, b"Nmmx1");
        golden(&NodeKey { node }, b"Nn\xf1\x3c");
        golden(&RenewalKey { node }, b"Nr\xf1\x3c");
        golden(&SecretsKey, b"Ns");
        golden(&DrillKey, b"Nd");
        golden(&site(SiteKind::Zone, "a"), b"Nzza");
        golden(&site(SiteKind::Region, "eu"), b"Nzreu");
    }

    #[test]
    fn an_unknown_kind_of_duty_is_no_claim() {
        assert_eq!(ClaimKey::decode(b"Ncz\x07"), Err(KeyError::Range));
        assert_eq!(SiteKey::decode(b"Nzxa"), Err(KeyError::Range));
    }

    #[test]
    fn ranges_hold_what_they_say() {
        let within = |(begin, end): (Vec<u8>, Vec<u8>), key: Vec<u8>| begin <= key && key < end;
        assert!(within(ClaimKey::range(DutyKind::Queue), ClaimKey { duty: Duty::queue(u32::MAX) }.encode()));
        assert!(!within(ClaimKey::range(DutyKind::Queue), ClaimKey { duty: Duty::search(0) }.encode()));
        assert!(within(LeaseKey::range(), LeaseKey { node: NodeId(u32::MAX) }.encode()));
        assert!(within(NodeKey::range(), NodeKey { node: NodeId(0) }.encode()));
        assert!(!within(NodeKey::range(), NodeNameKey { name: "n".into() }.encode()));
    }
}
