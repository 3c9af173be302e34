//! Looks whether nodes, leases and claims fit together, and mends what does not.

use findings::{Finding, Kind, Mended, Report};
use kv::Transaction;
use schema::keys::node::{
    ClaimKey, DrillKey, FeatureLevelKey, GenerationKey, IssuedKey, LeaseKey, NodeKey, NodeNameKey,
    RenewalKey, SecretsKey, SiteKey,
};
use schema::records::node as records;
use schema::{Key, NodeId, Record, SiteState};

use crate::{Error, Node, touch};

/// What does not fit of a row of the nodes.
///
/// # Errors
/// The store's.
pub async fn check_row_in(txn: &Transaction, key: &[u8], value: &[u8]) -> Result<Report, Error> {
    let mut report = Report::of(key);
    if ClaimKey::decode(key).is_ok() {
        let Some(claim) = report.record::<records::Claim>(value) else { return Ok(report) };
        check_issued(txn, claim.node, claim.lease, &mut report).await?;
    } else if let Ok(LeaseKey { node }) = LeaseKey::decode(key) {
        let Some(lease) = report.record::<records::Lease>(value) else { return Ok(report) };
        check_issued(txn, node.0, lease.epoch, &mut report).await?;
        check_known(txn, node, &mut report).await?;
    } else if let Ok(RenewalKey { node }) = RenewalKey::decode(key) {
        report.bytes::<8>(value);
        check_known(txn, node, &mut report).await?;
    } else if let Ok(NodeKey { node }) = NodeKey::decode(key) {
        let Some(record) = report.record::<Node>(value) else { return Ok(report) };
        check_issued(txn, node.0, 0, &mut report).await?;
        let name = NodeNameKey { name: record.name.clone() }.encode();
        if txn.get(&name).await?.is_none() {
            report.add(Kind::NodeUneven, name, format!("node {node} is not found by its name"));
        }
    } else if let Ok(NodeNameKey { name }) = NodeNameKey::decode(key) {
        let Some(record) = report.record::<records::NodeName>(value) else { return Ok(report) };
        let node = NodeId(record.node);
        let found = txn.get(&NodeKey { node }.encode()).await?.map(|value| Node::from_bytes(&value));
        // What cannot be read says so itself.
        if found.is_none_or(|found| found.is_ok_and(|found| found.name != name)) {
            report.add_here(Kind::NodeUneven, format!("node {node} is not there, or has another name"));
        }
    } else if FeatureLevelKey::decode(key).is_ok() {
        report.record::<records::FeatureLevel>(value);
    } else if GenerationKey::decode(key).is_ok() {
        report.bytes::<8>(value);
    } else if IssuedKey::decode(key).is_ok() {
        report.record::<records::Issued>(value);
    } else if SecretsKey::decode(key).is_ok() {
        report.record::<records::Secrets>(value);
    } else if let Ok(SiteKey { site }) = SiteKey::decode(key) {
        let Some(setting) = report.record::<records::SiteSetting>(value) else { return Ok(report) };
        let state = SiteState::from_number(setting.state);
        if site.name.is_empty() || state.is_none_or(SiteState::serves) {
            report.add_here(Kind::SiteStateWrong, format!("{site} has the state {}", setting.state));
        }
    } else if DrillKey::decode(key).is_ok() {
        report.record::<records::Drill>(value);
    } else {
        return Ok(report.unknown());
    }
    Ok(report)
}

/// Numbers in use were given out.
async fn check_issued(txn: &Transaction, node: u32, epoch: u64, report: &mut Report) -> Result<(), Error> {
    let issued = match txn.get(&IssuedKey.encode()).await? {
        None => records::Issued::default(),
        Some(value) => match records::Issued::from_bytes(&value) {
            Ok(issued) => issued,
            Err(_) => return Ok(()),
        },
    };
    if issued.node < node || issued.epoch < epoch {
        report.add(Kind::EpochLow, IssuedKey.encode(), format!("node {node} and epoch {epoch} are in use"));
    }
    Ok(())
}

/// What belongs to a node belongs to one that is known.
async fn check_known(txn: &Transaction, node: NodeId, report: &mut Report) -> Result<(), Error> {
    if txn.get(&NodeKey { node }.encode()).await?.is_none() {
        report.add_here(Kind::NodeUneven, format!("nothing is known of node {node}"));
    }
    Ok(())
}

/// Mends a finding of the nodes, if it still stands. A node that loses its lease by it joins again.
///
/// # Errors
/// The store's.
pub async fn mend_in(txn: &Transaction, finding: &Finding) -> Result<Mended, Error> {
    let Some(value) = txn.get(&finding.source).await? else { return Ok(Mended::Gone) };
    if !check_row_in(txn, &finding.source, &value).await?.confirms(finding) {
        return Ok(Mended::Gone);
    }
    match finding.kind {
        Kind::EpochLow => raise_in(txn, &finding.source, &value).await,
        Kind::NodeUneven | Kind::SiteStateWrong if finding.key == finding.source => {
            txn.clear(&finding.key);
            touch(txn);
            Ok(Mended::done("it was cleared"))
        }
        Kind::NodeUneven => {
            let NodeKey { node } = NodeKey::decode(&finding.source)?;
            txn.set_bytes(finding.key.clone(), records::NodeName { node: node.0 }.to_bytes());
            Ok(Mended::done("the name leads to its node"))
        }
        _ => Ok(Mended::kept(finding.kind.remedy())),
    }
}

/// Raises what was given out last to what a row has.
async fn raise_in(txn: &Transaction, source: &[u8], value: &[u8]) -> Result<Mended, Error> {
    let (node, epoch) = if ClaimKey::decode(source).is_ok() {
        let claim = records::Claim::from_bytes(value)?;
        (claim.node, claim.lease)
    } else if let Ok(LeaseKey { node }) = LeaseKey::decode(source) {
        (node.0, records::Lease::from_bytes(value)?.epoch)
    } else {
        (NodeKey::decode(source)?.node.0, 0)
    };
    let issued = txn.get(&IssuedKey.encode()).await?;
    let issued = issued.map(|value| records::Issued::from_bytes(&value)).transpose()?.unwrap_or_default();
    let raised = records::Issued { node: issued.node.max(node), epoch: issued.epoch.max(epoch) };
    txn.set_bytes(IssuedKey.encode(), raised.to_bytes());
    Ok(Mended::done(format!("{} and {} are the last given out", raised.node, raised.epoch)))
}
