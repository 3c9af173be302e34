//! Codes of what may be wrong, each with a page in `ops/runbooks/health`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What may be wrong. A code that was ever told is not used for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// The store does not answer this node.
    StoreDown,
    /// The store answers late.
    StoreSlow,
    /// This node has no lease: it can work on nothing.
    NotJoined,
    /// A node's lease is not renewed in time.
    LeaseLate,
    /// A node is gone and did not say goodbye.
    NodeDown,
    /// A node has a lease, and other nodes do not hear it.
    NodeSilent,
    /// Nobody works on a duty.
    DutyOrphaned,
    /// Mail that is due is not sent.
    QueueLate,
    /// New mail does not come into the index.
    IndexLate,
    /// The place of larger bodies fails.
    BodiesDown,
    /// Sessions on this node would not hear of changes made on others.
    ChangesLate,
    /// A certificate that clients are shown ends to be good.
    CertificateExpires,
    /// The certificate that other nodes are shown was not renewed.
    ClusterCertificateExpires,
    /// Almost as many clients are connected as may be.
    ConnectionsFull,
    /// The disk of the data directory is almost full.
    DiskLow,
    /// The machine's clock has jumped.
    ClockStepped,
    /// The configuration on disk, or a renewed certificate, cannot be used; the old one is in force.
    ConfigurationRefused,
    /// A message that this node sent itself did not arrive.
    MailProbeFailed,
}

impl Code {
    /// All of them.
    pub const ALL: [Code; 18] = [
        Code::StoreDown,
        Code::StoreSlow,
        Code::NotJoined,
        Code::LeaseLate,
        Code::NodeDown,
        Code::NodeSilent,
        Code::DutyOrphaned,
        Code::QueueLate,
        Code::IndexLate,
        Code::BodiesDown,
        Code::ChangesLate,
        Code::CertificateExpires,
        Code::ClusterCertificateExpires,
        Code::ConnectionsFull,
        Code::DiskLow,
        Code::ClockStepped,
        Code::ConfigurationRefused,
        Code::MailProbeFailed,
    ];

    /// As it is told.
    pub const fn name(self) -> &'static str {
        match self {
            Code::StoreDown => "STORE_DOWN",
            Code::StoreSlow => "STORE_SLOW",
            Code::NotJoined => "NOT_JOINED",
            Code::LeaseLate => "LEASE_LATE",
            Code::NodeDown => "NODE_DOWN",
            Code::NodeSilent => "NODE_SILENT",
            Code::DutyOrphaned => "DUTY_ORPHANED",
            Code::QueueLate => "QUEUE_LATE",
            Code::IndexLate => "INDEX_LATE",
            Code::BodiesDown => "BODIES_DOWN",
            Code::ChangesLate => "CHANGES_LATE",
            Code::CertificateExpires => "CERTIFICATE_EXPIRES",
            Code::ClusterCertificateExpires => "CLUSTER_CERTIFICATE_EXPIRES",
            Code::ConnectionsFull => "CONNECTIONS_FULL",
            Code::DiskLow => "DISK_LOW",
            Code::ClockStepped => "CLOCK_STEPPED",
            Code::ConfigurationRefused => "CONFIGURATION_REFUSED",
            Code::MailProbeFailed => "MAIL_PROBE_FAILED",
        }
    }

    /// The page that says what to do.
    pub fn runbook(self) -> String {
        format!("ops/runbooks/health/{}.md", self.name())
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Users are served.
    Yellow,
    /// They are not, or soon will not be.
    Red,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn names_are_as_they_are_told() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
        }
        let schema = schemars::schema_for!(Code).to_value().to_string();
        assert!(Code::ALL.iter().all(|code| schema.contains(code.name())));
    }

    #[test]
    fn each_has_a_page_and_each_page_a_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for code in Code::ALL {
            let page = std::fs::read_to_string(root.join(code.runbook())).unwrap();
            for part in [&format!("# {}", code.name())[..], "## What it means", "## Look", "## Do"] {
                assert!(page.contains(part), "{}: {part}", code.name());
            }
        }
        let pages = std::fs::read_dir(root.join("ops/runbooks/health")).unwrap();
        let names: Vec<_> = pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
        let known = |name: &String| Code::ALL.iter().any(|code| format!("{}.md", code.name()) == *name);
        assert!(names.iter().all(|name| known(name) || name == "README.md"), "{names:?}");
    }
}
