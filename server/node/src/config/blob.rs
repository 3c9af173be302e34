//! `[blob]`: where the bodies of messages lie.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use runtime::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Where the bodies of messages lie.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Blob {
    /// Where bodies lie that are larger than `store.inline_max`. If absent: `fs` with an embedded store, `store` with one
    /// that nodes share. Bodies stay where they are: set it before the first mail comes. Since v0.1
    pub(crate) kind: Option<BlobKind>,
    /// Whether bodies are compressed where it pays. Since v0.1
    pub(crate) compress: bool,
    /// How long one request to an object store may take; it is tried a few times. Since v0.1
    #[schemars(with = "String")]
    pub(crate) timeout: HumanDuration,
    /// The bucket, with kind `s3`. Since v0.1
    pub(crate) s3: Option<S3>,
    /// The container, with kind `azblob`. Since v0.1
    pub(crate) azblob: Option<Azblob>,
}

impl Default for Blob {
    fn default() -> Self {
        let timeout = HumanDuration(Duration::from_secs(10));
        Self { kind: None, compress: true, timeout, s3: None, azblob: None }
    }
}

/// Where larger bodies lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BlobKind {
    /// In files in DATA: for one node.
    Fs,
    /// In pieces in the store.
    Store,
    /// In a bucket of S3, or of what speaks like it.
    S3,
    /// In a container of Azure Blob Storage.
    Azblob,
}

/// A bucket.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct S3 {
    /// Its name; it has to exist. Since v0.1
    pub(crate) bucket: String,
    /// Its region. Since v0.1
    pub(crate) region: String,
    /// URL of the server; AWS if absent. Since v0.1
    #[serde(default)]
    pub(crate) endpoint: Option<String>,
    /// Whether the bucket is named in the host instead of the path. Since v0.1
    #[serde(default)]
    pub(crate) virtual_host: bool,
    /// What the names of all objects begin with. Since v0.1
    #[serde(default)]
    pub(crate) root: String,
    /// Access key id; with neither it nor the secret, what AWS's own tools find (environment, profile, instance role).
    /// Since v0.1
    #[serde(default)]
    pub(crate) access_key_id: Option<String>,
    /// Where the secret access key is. Since v0.1
    #[serde(default)]
    pub(crate) secret_access_key: Option<SecretRef>,
}

/// A container.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Azblob {
    /// Its name; it has to exist. Since v0.1
    pub(crate) container: String,
    /// URL of the account's blob service, as `https://NAME.blob.core.windows.net`. Since v0.1
    pub(crate) endpoint: String,
    /// What the names of all objects begin with. Since v0.1
    #[serde(default)]
    pub(crate) root: String,
    /// Name of the account; with neither it nor the key, what Azure's own tools find (environment, managed identity).
    /// Since v0.1
    #[serde(default)]
    pub(crate) account: Option<String>,
    /// Where the account's key is. Since v0.1
    #[serde(default)]
    pub(crate) account_key: Option<SecretRef>,
}

/// Where a secret is: never in the file itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SecretRef {
    /// The environment variable that has it.
    Env(String),
    /// The file that has it, without the white space around it.
    File(PathBuf),
}

impl SecretRef {
    fn resolve(&self) -> anyhow::Result<blob::Secret> {
        let text = match self {
            SecretRef::Env(name) => {
                std::env::var(name).with_context(|| format!("environment variable {name}"))?
            }
            SecretRef::File(path) => {
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            }
        };
        anyhow::ensure!(!text.trim().is_empty(), "the secret is empty");
        Ok(blob::Secret::new(text.trim()))
    }
}

impl Blob {
    /// Reads a file that has nothing but these settings.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError::Unreadable(path.to_owned(), e))?;
        let blob: Self = toml::from_str(&text).map_err(|error| ConfigError::from_toml(&error, &text))?;
        blob.check()?;
        Ok(blob)
    }

    /// What types cannot say.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if (self.kind == Some(BlobKind::S3)) != self.s3.is_some() {
            return Err(ConfigError::Meaning("blob.kind = \"s3\" and [blob.s3] go together"));
        }
        if (self.kind == Some(BlobKind::Azblob)) != self.azblob.is_some() {
            return Err(ConfigError::Meaning("blob.kind = \"azblob\" and [blob.azblob] go together"));
        }
        let s3 = self.s3.as_ref().map(|s3| (s3.access_key_id.is_some(), s3.secret_access_key.is_some()));
        if s3.is_some_and(|(id, secret)| id != secret) {
            return Err(ConfigError::Meaning("blob.s3.access_key_id and secret_access_key go together"));
        }
        let azblob = self.azblob.as_ref().map(|az| (az.account.is_some(), az.account_key.is_some()));
        if azblob.is_some_and(|(account, key)| account != key) {
            return Err(ConfigError::Meaning("blob.azblob.account and account_key go together"));
        }
        Ok(())
    }

    /// The place, with its secrets; `shared` is whether nodes share the store.
    pub(crate) fn place(&self, shared: bool) -> anyhow::Result<blob::Place> {
        if let Some(s3) = &self.s3 {
            let secret = s3.secret_access_key.as_ref().map(SecretRef::resolve).transpose();
            return Ok(blob::Place::S3(blob::S3 {
                bucket: s3.bucket.clone(),
                region: s3.region.clone(),
                endpoint: s3.endpoint.clone(),
                virtual_host: s3.virtual_host,
                root: s3.root.clone(),
                credentials: s3.access_key_id.clone().zip(secret.context("blob.s3.secret_access_key")?),
            }));
        }
        if let Some(azblob) = &self.azblob {
            let key = azblob.account_key.as_ref().map(SecretRef::resolve).transpose();
            return Ok(blob::Place::Azblob(blob::Azblob {
                container: azblob.container.clone(),
                endpoint: azblob.endpoint.clone(),
                root: azblob.root.clone(),
                credentials: azblob.account.clone().zip(key.context("blob.azblob.account_key")?),
            }));
        }
        Ok(match self.kind {
            Some(BlobKind::Store) => blob::Place::Chunks,
            // Other nodes cannot read this one's files.
            None if shared => blob::Place::Chunks,
            _ => blob::Place::Files,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S3_FILE: &str = "kind = \"s3\"\n[s3]\nbucket = \"mail\"\nregion = \"eu-central-1\"\n";

    fn parse(text: &str) -> Result<Blob, String> {
        let blob: Blob = toml::from_str(text).map_err(|e| e.to_string())?;
        blob.check().map_err(|e| e.to_string())?;
        Ok(blob)
    }

    #[test]
    fn what_is_shared_is_where_all_nodes_reach_it() {
        let place = |text: &str, shared| parse(text).unwrap().place(shared).unwrap();
        assert!(matches!(place("", false), blob::Place::Files));
        assert!(matches!(place("", true), blob::Place::Chunks));
        assert!(matches!(place("kind = \"store\"", false), blob::Place::Chunks));
        assert!(matches!(place("kind = \"fs\"", true), blob::Place::Files));
        assert!(matches!(place(S3_FILE, true), blob::Place::S3(_)));
    }

    #[test]
    fn what_does_not_fit_together_is_said() {
        for (text, word) in [
            ("kind = \"s3\"", "[blob.s3]"),
            ("kind = \"azblob\"", "[blob.azblob]"),
            ("[s3]\nbucket = \"a\"\nregion = \"b\"", "[blob.s3]"),
            ("kind = \"disk\"", "`fs`"),
            (&format!("{S3_FILE}access_key_id = \"x\""), "secret_access_key"),
            (&format!("{S3_FILE}secret_access_key = \"in the clear\""), "variant"),
            (&format!("{S3_FILE}buket = \"x\""), "unknown field"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn secrets_are_found_where_they_are_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, " c2VjcmV0\n").unwrap();
        let file = |path: &Path| {
            let text = format!(
                "kind = \"azblob\"\n[azblob]\ncontainer = \"c\"\nendpoint = \"e\"\naccount = \"a\"\naccount_key.file = {path:?}"
            );
            parse(&text).unwrap().place(false)
        };
        let found = file(&path).unwrap();
        assert!(matches!(found, blob::Place::Azblob(blob::Azblob { credentials: Some((_, _)), .. })));
        let error = format!("{:#}", file(&dir.path().join("none")).unwrap_err());
        assert!(error.contains("blob.azblob.account_key") && error.contains("none"), "{error}");
        let missing = SecretRef::Env("GODWIT_NO_SUCH_VARIABLE".to_owned());
        assert!(format!("{:#}", missing.resolve().unwrap_err()).contains("GODWIT_NO_SUCH_VARIABLE"));
    }
}
