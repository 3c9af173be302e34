//! `[push]`: how devices are woken that are not connected (RFC 8620 §7.2, RFC 8030).

use std::path::PathBuf;

use anyhow::Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Pushes.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Push {
    /// Whom a push service may turn to, as `mailto:` or `https:`; postmaster of this host if absent. Since v0.1
    pub(crate) contact: Option<String>,
    /// Networks that push services may be in though they are private, as `10.0.0.0/8`. Whoever has an account can then make
    /// nodes send requests there. Since v0.1
    pub(crate) networks: Vec<String>,
    /// PEM file with authorities of push services, believed besides the system's. Since v0.1
    pub(crate) authorities: Option<PathBuf>,
}

impl Push {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let contact = self.contact.as_deref().unwrap_or("mailto:");
        if !["mailto:", "https:"].iter().any(|scheme| contact.starts_with(scheme)) {
            return Err(ConfigError::Meaning("push.contact is a mailto: or https: URI"));
        }
        self.parsed().map(drop)
    }

    fn parsed(&self) -> Result<Vec<net::Network>, ConfigError> {
        let parsed: Result<_, _> = self.networks.iter().map(|text| text.parse()).collect();
        parsed.map_err(|_| ConfigError::Meaning("push.networks are networks"))
    }

    /// What the sender is made of, for a host of this name.
    pub(crate) fn options(
        &self,
        secret: schema::records::push::PushSecret,
        hostname: &str,
    ) -> anyhow::Result<webpush::Options> {
        let read = |path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("push.authorities {}", path.display()))
        };
        Ok(webpush::Options {
            secret,
            contact: self.contact.clone().unwrap_or_else(|| format!("mailto:postmaster@{hostname}")),
            networks: self.parsed()?,
            authorities: self.authorities.iter().map(read).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_checked() {
        let push = |contact: &str, network: &str| Push {
            contact: Some(contact.into()),
            networks: vec![network.into()],
            authorities: None,
        };
        assert!(push("mailto:a@b", "10.0.0.0/8").check().is_ok() && Push::default().check().is_ok());
        assert!(push("a@b", "10.0.0.0/8").check().is_err());
        assert!(push("https://b/", "ten").check().is_err());
    }
}
