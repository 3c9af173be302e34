//! `[oauth]`: giving tokens to clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Giving tokens to clients (OAuth 2.0).
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OAuth {
    /// By which name clients know the provider, as `https://mail.example.org`; by the one under which they have come if absent. It
    /// must be the same for all nodes, and lead to them. Since v0.1
    pub(crate) issuer: Option<String>,
}

impl OAuth {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Some(issuer) = &self.issuer else { return Ok(()) };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
        let host = issuer.strip_prefix("https://").unwrap_or_default();
        // RFC 8414 §2; without a path, so that everything is where it is looked for.
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(ConfigError::Meaning("oauth.issuer is https:// and a host, perhaps with a port"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_host() {
        let check = |issuer: &str| OAuth { issuer: Some(issuer.to_owned()) }.check().is_ok();
        assert!(check("https://mail.example.org") && check("https://mail.example.org:8443"));
        for bad in
            ["", "mail.example.org", "http://mail.example.org", "https://", "https://a/b", "https://a?"]
        {
            assert!(!check(bad), "{bad}");
        }
    }
}
