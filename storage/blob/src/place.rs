//! Where larger bodies lie: as configured.

use crate::chunks::ChunkObjects;
use crate::guard::Guarded;
use crate::local::{LocalObjects, sync_folder};
use crate::remote::RemoteObjects;
use crate::{Error, Objects};
use kv::Database;
use runtime::SharedClock;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where larger bodies lie.
#[derive(Clone, Debug)]
pub enum Place {
    /// In files of this machine: for one node.
    Files,
    /// In pieces in the key-value store: for nodes that share one.
    Chunks,
    /// In a bucket.
    S3(S3),
    /// In a container.
    Azblob(Azblob),
}

/// A bucket of S3, or of a server that speaks like it.
#[derive(Clone, Debug)]
pub struct S3 {
    /// Its name; it exists.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// URL of the server; AWS in that region if absent.
    pub endpoint: Option<String>,
    /// Whether the bucket is named in the host and not in the path.
    pub virtual_host: bool,
    /// What the names of all objects begin with.
    pub root: String,
    /// Access key id and secret access key. Absent: what AWS's own tools find (environment, profile, instance role).
    pub credentials: Option<(String, Secret)>,
}

/// A container of Azure Blob Storage.
#[derive(Clone, Debug)]
pub struct Azblob {
    /// Its name; it exists.
    pub container: String,
    /// URL of the account's blob service.
    pub endpoint: String,
    /// What the names of all objects begin with.
    pub root: String,
    /// Account name and key. Absent: what Azure's own tools find (environment, managed identity).
    pub credentials: Option<(String, Secret)>,
}

/// A key, which is never shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps it.
    pub fn new(key: impl Into<String>) -> Self {
        Secret(key.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Place {
    /// Which place it is, in words without secrets: two that have the same are one. `dir` is the node's folder.
    pub fn identity(&self, dir: &Path) -> String {
        match self {
            Place::Files => {
                let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
                format!("files in {}", dir.join("blobs").display())
            }
            Place::Chunks => "the store".to_owned(),
            Place::S3(S3 { bucket, region, endpoint, root, .. }) => {
                let endpoint = endpoint.as_deref().unwrap_or("AWS");
                format!("S3 bucket {bucket} at {endpoint} in {region} under {:?}", root.trim_matches('/'))
            }
            Place::Azblob(Azblob { container, endpoint, root, .. }) => {
                format!("Azure container {container} at {endpoint} under {:?}", root.trim_matches('/'))
            }
        }
    }

    /// The objects there, for who moves them: `dir` is the node's folder, made if it is absent. Asks nobody.
    pub fn objects(
        &self,
        dir: &Path,
        db: &Database,
        clock: &SharedClock,
        timeout: Duration,
    ) -> Result<Arc<dyn Objects>, Error> {
        let spill = dir.join("spill");
        fs::create_dir_all(&spill).map_err(|e| Error::io("create", &spill, e))?;
        self.open(dir, &spill, db, clock, timeout)
    }

    /// The objects there; `dir` is this node's folder. Asks nobody: an object store that is away now may be back when
    /// it is needed.
    pub(crate) fn open(
        &self,
        dir: &Path,
        spill: &Path,
        db: &Database,
        clock: &SharedClock,
        timeout: Duration,
    ) -> Result<Arc<dyn Objects>, Error> {
        Ok(match self {
            Place::Files => {
                let blobs = dir.join("blobs");
                fs::create_dir_all(&blobs).map_err(|e| Error::io("create", &blobs, e))?;
                sync_folder(dir)?;
                Arc::new(LocalObjects::new(blobs, spill.to_owned()))
            }
            Place::Chunks => Arc::new(ChunkObjects::new(db.clone())),
            Place::S3(place) => Arc::new(Guarded::new(RemoteObjects::s3(place, timeout)?, timeout, clock)),
            Place::Azblob(place) => {
                Arc::new(Guarded::new(RemoteObjects::azblob(place, timeout)?, timeout, clock))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_known_by_where_it_is() {
        let bucket = |root: &str, secret: &str| {
            Place::S3(S3 {
                bucket: "mail".to_owned(),
                region: "eu-central-1".to_owned(),
                endpoint: None,
                virtual_host: false,
                root: root.to_owned(),
                credentials: Some(("id".to_owned(), Secret::new(secret))),
            })
            .identity(Path::new("x"))
        };
        assert_eq!(bucket("a/", "one"), bucket("/a", "two"));
        assert!(bucket("a", "one") != bucket("b", "one") && !bucket("a", "one").contains("one"));
        let files = |dir: &str| Place::Files.identity(Path::new(dir));
        assert_eq!(files("/tmp"), files("/tmp/../tmp"));
        assert!(files("/tmp") != files("/") && files("/tmp") != Place::Chunks.identity(Path::new("/tmp")));
    }

    #[test]
    fn keys_are_never_shown() {
        let place = Place::Azblob(Azblob {
            container: "mail".to_owned(),
            endpoint: "http://127.0.0.1:1".to_owned(),
            root: String::new(),
            credentials: Some(("name".to_owned(), Secret::new("c2VjcmV0"))),
        });
        assert!(!format!("{place:?}").contains("c2VjcmV0"));
    }
}
