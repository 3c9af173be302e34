//! The cluster file, and what the client says of its connections.

use kv::Error;
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where FoundationDB's packages put the cluster file.
pub const DEFAULT_CLUSTER_FILE: &str = "/etc/foundationdb/fdb.cluster";

/// A cluster file that was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterFile {
    pub(crate) path: PathBuf,
    /// `address:port` of each, with commas.
    pub(crate) coordinators: String,
}

impl ClusterFile {
    /// Reads it: one line `description:id@address:port,…`, with comments by `#`.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Error> {
        let path = path.unwrap_or_else(|| Path::new(DEFAULT_CLUSTER_FILE));
        let broken =
            |why: &str| Error::fatal(format!("FoundationDB: cluster file {}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| broken(&e.to_string()))?;
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let line: String = lines.collect();
        let coordinators = line
            .split_once('@')
            .filter(|(name, rest)| name.contains(':') && rest.contains(':'))
            .ok_or_else(|| broken("it has no description:id@address:port,…"))?;
        Ok(ClusterFile { path: path.to_owned(), coordinators: coordinators.1.to_owned() })
    }
}

/// What the client knows of its connections, in words: `; 127.0.0.1:4500 failed`.
pub(crate) fn connections(status: &[u8]) -> String {
    let status: Value = serde_json::from_slice(status).unwrap_or_default();
    let connections = status.get("Connections").and_then(Value::as_array);
    let mut words = String::new();
    for connection in connections.into_iter().flatten() {
        let text = |key| connection.get(key).and_then(Value::as_str).unwrap_or_default();
        let compatible = connection.get("Compatible").and_then(Value::as_bool).unwrap_or(true);
        let what = if compatible { text("Status") } else { "speaks the protocol of another version" };
        let _ = write!(words, "; {} {what}", text("Address"));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fdb.cluster");
        std::fs::write(&path, text).unwrap();
        ClusterFile::read(Some(&path)).map(|file| file.coordinators).map_err(|e| e.to_string())
    }

    #[test]
    fn a_cluster_file_names_coordinators() {
        assert_eq!(
            read("# ours\ntest:id@127.0.0.1:4500,127.0.0.1:4501\n").as_deref(),
            Ok("127.0.0.1:4500,127.0.0.1:4501")
        );
        assert!(read("").unwrap_err().contains("fdb.cluster"));
        assert!(read("nonsense").unwrap_err().contains("description:id@"));
        let error = ClusterFile::read(Some(Path::new("/nowhere/fdb.cluster"))).unwrap_err().to_string();
        assert!(error.contains("/nowhere/fdb.cluster"), "{error}");
    }

    #[test]
    fn connections_are_told_in_words() {
        let status = br#"{"Healthy":false,"Connections":[{"Address":"127.0.0.1:1","Status":"failed","Compatible":true},
            {"Address":"127.0.0.1:2","Status":"connected","Compatible":false}]}"#;
        let words = connections(status);
        assert_eq!(words, "; 127.0.0.1:1 failed; 127.0.0.1:2 speaks the protocol of another version");
        assert_eq!(connections(b"nonsense"), "");
    }
}
