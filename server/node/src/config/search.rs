//! `[search]`: how this node writes and reads the index of mail.

use std::time::Duration;

use runtime::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The index of mail. Without it, and for what is not in it yet, searches look at the messages.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Search {
    /// Between two looks for mail that is to be indexed. Since v0.1
    #[schemars(with = "String")]
    pub(crate) interval: HumanDuration,
    /// Mail that is indexed and published at once, about; several times as much memory is taken meanwhile. Since v0.1
    #[schemars(with = "String")]
    pub(crate) batch: ByteSize,
    /// Memory for parts of the index that were read, and for answers, which are an eighth of it. Since v0.1
    #[schemars(with = "String")]
    pub(crate) cache: ByteSize,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            interval: HumanDuration(Duration::from_millis(500)),
            batch: ByteSize(8 << 20),
            cache: ByteSize(256 << 20),
        }
    }
}

impl Search {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.interval.get()) {
            return Err(ConfigError::Meaning("search.interval is 10 ms to 1 min"));
        }
        if !((64 << 10)..=(256 << 20)).contains(&self.batch.bytes()) {
            return Err(ConfigError::Meaning("search.batch is 64 KiB to 256 MiB"));
        }
        if self.cache.bytes() < 1 << 20 {
            return Err(ConfigError::Meaning("search.cache is 1 MiB at least"));
        }
        Ok(())
    }
}
