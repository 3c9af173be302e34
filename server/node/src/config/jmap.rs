//! `[jmap]`: what clients may ask for at once. The session tells them (RFC 8620 §2).

use std::path::PathBuf;
use std::time::Duration;

use runtime::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Limits of JMAP.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Jmap {
    /// Largest request. Since v0.1
    #[schemars(with = "String")]
    pub(crate) max_size_request: ByteSize,
    /// Most calls in a request. Since v0.1
    pub(crate) max_calls_in_request: usize,
    /// Most objects that a call may get. Since v0.1
    pub(crate) max_objects_in_get: usize,
    /// Most objects that a call may make, change and remove. Since v0.1
    pub(crate) max_objects_in_set: usize,
    /// Most requests of a user under way on a node. Since v0.1
    pub(crate) max_concurrent_requests: usize,
    /// Largest upload. Since v0.1
    #[schemars(with = "String")]
    pub(crate) max_size_upload: ByteSize,
    /// Most uploads of a user under way on a node. Since v0.1
    pub(crate) max_concurrent_upload: usize,
    /// How long an upload stays that nothing uses. Since v0.1
    #[schemars(with = "String")]
    pub(crate) upload_time: HumanDuration,
    /// Most event sources and WebSockets of a user that are open on a node. Since v0.1
    pub(crate) max_concurrent_listeners: usize,
    /// A file of certificates (PEM) of whoever is believed about signatures of mail (S/MIME). Since v0.1
    pub(crate) smime_authorities: PathBuf,
    /// Whom users see in the directory, besides their groups and those with whom something is shared. Since v0.1
    pub(crate) principals: Principals,
}

/// Whom users see in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Principals {
    /// Nobody else.
    Related,
    /// Persons and groups of their own domain.
    #[default]
    Domain,
    /// All persons and groups.
    All,
}

impl From<Principals> for jmap::Listing {
    fn from(principals: Principals) -> Self {
        match principals {
            Principals::Related => jmap::Listing::Related,
            Principals::Domain => jmap::Listing::Domain,
            Principals::All => jmap::Listing::All,
        }
    }
}

impl Default for Jmap {
    fn default() -> Self {
        Self {
            max_size_request: ByteSize(10_000_000),
            max_calls_in_request: 16,
            max_objects_in_get: 500,
            max_objects_in_set: 500,
            max_concurrent_requests: 8,
            max_size_upload: ByteSize(50_000_000),
            max_concurrent_upload: 4,
            upload_time: HumanDuration(Duration::from_secs(3_600)),
            max_concurrent_listeners: 64,
            smime_authorities: "/etc/ssl/certs/ca-certificates.crt".into(),
            principals: Principals::default(),
        }
    }
}

impl Jmap {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let counts = [
            self.max_calls_in_request,
            self.max_objects_in_get,
            self.max_objects_in_set,
            self.max_concurrent_requests,
            self.max_concurrent_upload,
            self.max_concurrent_listeners,
        ];
        if counts.contains(&0) || self.max_size_request.bytes() == 0 || self.max_size_upload.bytes() == 0 {
            return Err(ConfigError::Meaning("limits of jmap are above zero"));
        }
        // What is under way is held in memory as a whole.
        if self.max_size_request.bytes() > 100 << 20 {
            return Err(ConfigError::Meaning("jmap.max_size_request is 100 MiB at most"));
        }
        Ok(())
    }
}
