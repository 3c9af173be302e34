//! `[probe]`: the message that a node sends itself from time to time, to see that mail arrives.

use std::time::Duration;

use runtime::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The mailbox of all nodes, in a domain that no mail comes to from outside (RFC 6761 §6.4).
pub(crate) const MAILBOX: &str = "probe@godwit.invalid";

/// More often it would be a load.
const SHORTEST: Duration = Duration::from_secs(1);

/// The message that the node sends itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Probe {
    /// Between two of them; 0 for none. One that does not arrive shows as MAIL_PROBE_FAILED in /cluster/health. Since v0.1
    #[schemars(with = "String")]
    pub(crate) interval: HumanDuration,
    /// An account of ours to send them to, whose other mail is left alone. If absent an account `probe@godwit.invalid` is
    /// made, which the lists of domains and accounts do not show. Since v0.1
    pub(crate) mailbox: Option<String>,
}

impl Default for Probe {
    fn default() -> Self {
        Probe { interval: HumanDuration(Duration::from_secs(60)), mailbox: None }
    }
}

impl Probe {
    /// No message.
    pub(crate) const NONE: Probe = Probe { interval: HumanDuration(Duration::ZERO), mailbox: None };

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !self.interval.get().is_zero() && self.interval.get() < SHORTEST {
            return Err(ConfigError::Meaning("probe.interval is a second at least, or 0 for none"));
        }
        if self.mailbox.as_ref().is_some_and(|address| !address.contains('@')) {
            return Err(ConfigError::Meaning("probe.mailbox is an address with its domain"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_once_a_minute_unless_said_otherwise() {
        let parse = |text: &str| toml::from_str::<Probe>(text).unwrap();
        assert_eq!(parse("").interval.get(), Duration::from_secs(60));
        assert!(parse("interval = \"0 s\"").check().is_ok() && Probe::NONE.check().is_ok());
        assert!(parse("interval = \"20 ms\"").check().is_err());
        assert!(parse("mailbox = \"x\"").check().is_err());
    }
}
