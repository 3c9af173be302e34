//! A text that stands in the file, or that the file says where to find: `"n1"`, `{ env = "NAME" }`, `{ file = "/path" }`.
//!
//! So nodes of one kind have one file, and a file that many may read has no password in it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A text, or where it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields, expecting = "a text, { env = \"NAME\" } or { file = \"/path\" }")]
pub(super) enum Text {
    /// The text itself.
    Here(String),
    /// In an environment variable.
    Env {
        /// Its name.
        env: String,
    },
    /// In a file, without the white space around it.
    File {
        /// Its path.
        file: PathBuf,
    },
}

impl Text {
    /// What it comes to.
    fn resolve(self) -> Result<String, String> {
        match self {
            Text::Here(text) => Ok(text),
            Text::Env { env } => {
                std::env::var(&env).map_err(|error| format!("environment variable {env}: {error}"))
            }
            Text::File { file } => match std::fs::read_to_string(&file) {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(error) => Err(format!("cannot read {}: {error}", file.display())),
            },
        }
    }
}

/// Reads a text that has to be there.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Text::deserialize(from)?.resolve().map_err(D::Error::custom)
}

/// Reads a text that may be absent.
pub(super) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    text(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use std::path::Path;

    fn parse(lines: &str) -> Result<Config, String> {
        let text = format!("hostname = \"mx.example.test\"\ndata = \"/d\"\n{lines}");
        Config::parse(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_text_is_found_where_it_is_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("url");
        std::fs::write(&file, "postgres://godwit:secret@db/mail\n").unwrap();
        let config = parse(&format!("[store]\nurl.file = {file:?}\n")).unwrap();
        assert_eq!(config.store.url.as_deref(), Some("postgres://godwit:secret@db/mail"));
        // Set by cargo for every test.
        let config = parse("node.env = \"CARGO_PKG_NAME\"\n[cluster]\nzone = \"a\"\n").unwrap();
        assert_eq!(config.node_name(), "godwit-node");
        assert_eq!((config.cluster.zone.as_str(), config.cluster.region.as_str()), ("a", ""));
        let config = parse("[cluster]\nzone.env = \"CARGO_PKG_NAME\"\nadvertise.env = \"CARGO_PKG_NAME\"\n");
        assert_eq!(config.unwrap().cluster.zone, "godwit-node");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = parse("node.env = \"GODWIT_NO_SUCH_VARIABLE\"\n").unwrap_err();
        assert!(error.contains("line 3") && error.contains("GODWIT_NO_SUCH_VARIABLE"), "{error}");
        let missing = Path::new("/nowhere/url");
        let error = parse(&format!("[store]\nurl.file = {missing:?}\n")).unwrap_err();
        assert!(error.contains("/nowhere/url"), "{error}");
        for wrong in ["node = 5\n", "node.variable = \"X\"\n", "node = { env = \"PATH\", file = \"x\" }\n"] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains("{ env = \"NAME\" }"), "{wrong}: {error}");
        }
        assert!(parse("node = \"\"\n").is_err());
    }
}
