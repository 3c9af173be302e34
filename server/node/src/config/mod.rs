//! What a node is told in its file: how to reach the store, and where to listen.
//!
//! The file is TOML. A key that is not known is an error that names its line and the nearest known key; so is a value
//! of the wrong kind. `godwit config schema` prints the same as JSON Schema. What differs between nodes of one kind, and
//! what is secret, may be said by reference: see `text`.

mod blob;
mod cluster;
mod error;
mod jmap;
mod oauth;
mod probe;
mod push;
mod search;
mod text;

pub(crate) use blob::Blob;
pub(crate) use cluster::{Cluster, Role};
pub(crate) use error::ConfigError;
pub(crate) use jmap::Jmap;
pub(crate) use oauth::OAuth;
pub(crate) use probe::{MAILBOX as PROBE_MAILBOX, Probe};
pub(crate) use push::Push;
pub(crate) use search::Search;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A node's configuration.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The name by which the node greets, and which its trace fields carry: fully qualified, as in DNS. Since v0.1
    #[serde(deserialize_with = "text::text")]
    #[schemars(with = "text::Text")]
    pub(crate) hostname: String,
    /// The node's name among those that share its store: no two may have one. The host name if absent. Since v0.1
    #[serde(default, deserialize_with = "text::optional")]
    #[schemars(with = "Option<text::Text>")]
    pub(crate) node: Option<String>,
    /// Where the node keeps files: its certificate, the admin password, spill files, and with an embedded store all
    /// mail. Since v0.1
    pub(crate) data: PathBuf,
    /// The store; the section may also be called `storage`. Since v0.1
    #[serde(default, alias = "storage")]
    pub(crate) store: Store,
    /// Where the bodies of messages lie. Since v0.1
    #[serde(default)]
    pub(crate) blob: Blob,
    /// This node among those that share its store. Since v0.1
    #[serde(default)]
    pub(crate) cluster: Cluster,
    /// Where it listens; what is absent is not opened. Since v0.1
    #[serde(default)]
    pub(crate) listeners: Listeners,
    /// TLS. Since v0.1
    #[serde(default)]
    pub(crate) tls: TlsFiles,
    /// Who logs in and how. Since v0.1
    #[serde(default)]
    pub(crate) auth: Auth,
    /// Taking mail. Since v0.1
    #[serde(default)]
    pub(crate) smtp: Smtp,
    /// What JMAP clients may ask for at once. Since v0.1
    #[serde(default)]
    pub(crate) jmap: Jmap,
    /// Pushes to devices that are not connected. Since v0.1
    #[serde(default)]
    pub(crate) push: Push,
    /// Giving tokens to clients. Since v0.1
    #[serde(default)]
    pub(crate) oauth: OAuth,
    /// The index of mail. Since v0.1
    #[serde(default)]
    pub(crate) search: Search,
    /// Sending mail on. Since v0.1
    #[serde(default)]
    pub(crate) delivery: Delivery,
    /// Connections. Since v0.1
    #[serde(default)]
    pub(crate) limits: Limits,
    /// The message that the node sends itself, to see that mail arrives. Since v0.1
    #[serde(default)]
    pub(crate) probe: Probe,
    /// Which events are logged, in the syntax of Rust's `tracing` (for example `info,net=debug`). Since v0.1
    #[serde(default = "default_log")]
    pub(crate) log: String,
    /// How long clients get to finish after SIGTERM. Since v0.1
    #[serde(default = "default_grace")]
    #[schemars(with = "String")]
    pub(crate) drain_grace: HumanDuration,
    /// How long the node still takes clients after it says at /readyz that it goes: as long as load balancers need to hear
    /// it. With `drain_grace` at most 85 s, so that a node is gone within 90. Since v0.1
    #[serde(default = "default_lb_grace")]
    #[schemars(with = "String")]
    pub(crate) lb_grace: HumanDuration,
}

fn default_log() -> String {
    "info".to_owned()
}

fn default_grace() -> HumanDuration {
    HumanDuration(Duration::from_secs(60))
}

fn default_lb_grace() -> HumanDuration {
    HumanDuration(Duration::from_secs(10))
}

/// A node is gone within 90 s of being told to go; closing takes some of them.
const LONGEST_END: Duration = Duration::from_secs(85);

impl Config {
    /// The node's name.
    pub(crate) fn node_name(&self) -> &str {
        self.node.as_deref().unwrap_or(&self.hostname)
    }
}

/// The store.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    /// Its kind; what `url` says if absent. Since v0.1
    #[serde(default)]
    pub(crate) backend: Option<StoreKind>,
    /// `embedded:DIR` for one machine, `postgres://USER:PASSWORD@HOST:PORT/DATABASE` (with `?schema=…`, to share a
    /// database) or `fdb:CLUSTER_FILE`; `embedded:` and DATA/store if absent. Since v0.1
    #[serde(default, deserialize_with = "text::optional")]
    #[schemars(with = "Option<text::Text>")]
    pub(crate) url: Option<String>,
    /// A store on FoundationDB. Since v0.1
    #[serde(default)]
    pub(crate) foundationdb: FoundationDb,
    /// Bodies up to this size are kept in the store, larger ones where `[blob]` says. Since v0.1
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(crate) inline_max: Option<ByteSize>,
}

/// Kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreKind {
    /// On this machine.
    Embedded,
    /// PostgreSQL.
    Postgres,
    /// FoundationDB.
    Foundationdb,
}

/// A store on FoundationDB.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FoundationDb {
    /// The cluster file, which the process must be able to write; /etc/foundationdb/fdb.cluster if absent. Since v0.1
    pub(crate) cluster_file: Option<PathBuf>,
    /// The client library libfdb_c.so; looked for in the usual places if absent. Since v0.1
    pub(crate) client_library: Option<PathBuf>,
    /// A directory with client libraries of other versions, for the upgrade of a cluster. Since v0.1
    pub(crate) external_clients: Option<PathBuf>,
    /// Comes before every key: deployments that share a cluster have prefixes none of which begins another. Since v0.1
    pub(crate) prefix: String,
    /// The datacenter that this node is in, as the cluster's processes name theirs. Since v0.1
    pub(crate) datacenter: Option<String>,
}

/// Where the node listens.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listeners {
    /// SMTP from other servers (port 25). Since v0.1
    #[serde(default)]
    pub(crate) smtp: Vec<SocketAddr>,
    /// Submission with STARTTLS (port 587). Since v0.1
    #[serde(default)]
    pub(crate) submission: Vec<SocketAddr>,
    /// Submission with TLS from the first byte (port 465). Since v0.1
    #[serde(default)]
    pub(crate) submissions: Vec<SocketAddr>,
    /// LMTP (port 24); takes mail for local recipients from whoever may connect. Since v0.1
    #[serde(default)]
    pub(crate) lmtp: Vec<SocketAddr>,
    /// IMAP with STARTTLS (port 143). Since v0.1
    #[serde(default)]
    pub(crate) imap: Vec<SocketAddr>,
    /// IMAP with TLS from the first byte (port 993). Since v0.1
    #[serde(default)]
    pub(crate) imaps: Vec<SocketAddr>,
    /// JMAP and what else is asked for by HTTP/1.1 or HTTP/2, with TLS (port 443). Since v0.1
    #[serde(default)]
    pub(crate) https: Vec<SocketAddr>,
    /// The same without TLS (port 80): nobody logs in there, but from loopback where that is allowed. Since v0.1
    #[serde(default)]
    pub(crate) http: Vec<SocketAddr>,
    /// Admin API, health and metrics, in clear: keep it on loopback or a management network. Since v0.1
    #[serde(default)]
    pub(crate) admin: Vec<SocketAddr>,
    /// Networks of load balancers, as `10.0.0.0/8`: connections from there begin with a PROXY header. Since v0.1
    #[serde(default)]
    pub(crate) proxies: Vec<String>,
}

/// TLS.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsFiles {
    /// PEM file with the certificate chain; a self-signed one in DATA if absent. Since v0.1
    #[serde(default)]
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file with its private key. Since v0.1
    #[serde(default)]
    pub(crate) key: Option<PathBuf>,
}

/// Who logs in and how.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    /// Where users without a domain in their login name are, and `postmaster`. Since v0.1
    #[serde(default)]
    pub(crate) default_domain: Option<String>,
    /// Whether IMAP and HTTP clients on loopback may log in without TLS. Since v0.1
    #[serde(default)]
    pub(crate) plaintext_on_loopback: bool,
}

/// Taking mail.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Smtp {
    /// Largest message, by SMTP and by IMAP APPEND. Since v0.1
    #[schemars(with = "String")]
    pub(crate) max_message_size: ByteSize,
    /// Most recipients of a message. Since v0.1
    pub(crate) max_recipients: usize,
    /// Who reads the mail to `postmaster` where a domain has no such user (RFC 5321 §4.5.1). Since v0.1
    pub(crate) postmaster: Option<String>,
}

impl Default for Smtp {
    fn default() -> Self {
        Self { max_message_size: ByteSize(150 << 20), max_recipients: 1000, postmaster: None }
    }
}

/// Sending mail on.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delivery {
    /// `host:port` of a relay for all remote mail; by MX if absent. Since v0.1
    #[serde(default)]
    pub(crate) relay: Option<String>,
    /// The DNS server that is asked, as `address:port`; those of /etc/resolv.conf if absent. Since v0.1
    #[serde(default)]
    pub(crate) resolver: Option<SocketAddr>,
}

/// Connections.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Most connections in all. Since v0.1
    pub(crate) connections: usize,
    /// Most connections from one address (one /64 for IPv6); loopback and balancers are exempt. Since v0.1
    pub(crate) per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: net::limits::CONNECTIONS, per_address: net::limits::CONNECTIONS_PER_ADDRESS }
    }
}

impl Config {
    /// Reads a file.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError::Unreadable(path.to_owned(), e))?;
        Self::parse(&text)
    }

    /// Reads a file's text.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::from_toml(&error, text))?;
        config.check()?;
        Ok(config)
    }

    /// What types cannot say.
    fn check(&self) -> Result<(), ConfigError> {
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err(ConfigError::Meaning("tls.certificate and tls.key go together"));
        }
        if self.hostname.is_empty()
            || !self.hostname.is_ascii()
            || self.hostname.contains(char::is_whitespace)
        {
            return Err(ConfigError::Meaning("hostname is a name of DNS, as A-labels"));
        }
        if self.node.as_ref().is_some_and(String::is_empty) {
            return Err(ConfigError::Meaning("node is a name"));
        }
        if self.smtp.postmaster.as_ref().is_some_and(|address| !address.contains('@')) {
            return Err(ConfigError::Meaning("smtp.postmaster is an address with its domain"));
        }
        if self.lb_grace.get().saturating_add(self.drain_grace.get()) > LONGEST_END {
            return Err(ConfigError::Meaning("lb_grace and drain_grace are 85 s together at most"));
        }
        self.blob.check()?;
        self.probe.check()?;
        self.cluster.check()?;
        self.jmap.check()?;
        self.push.check()?;
        self.oauth.check()?;
        self.search.check()?;
        for network in &self.listeners.proxies {
            network
                .parse::<net::Network>()
                .map_err(|_| ConfigError::Meaning("listeners.proxies are networks"))?;
        }
        Ok(())
    }

    /// Where larger bodies lie, with the secrets for it.
    pub(crate) fn body_place(&self) -> anyhow::Result<::blob::Place> {
        self.blob.place(crate::store::is_remote(&self.store, &self.data))
    }

    /// Its JSON Schema.
    pub(crate) fn schema() -> serde_json::Value {
        schemars::schema_for!(Config).to_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "hostname = \"mx.example.test\"\ndata = \"/var/lib/godwit\"\n";

    #[test]
    fn a_short_file_is_enough() {
        let text = format!(
            "{SMALL}[listeners]\nsmtp = [\"0.0.0.0:25\", \"[::]:25\"]\n[smtp]\nmax_message_size = \"25 MB\"\n"
        );
        let config = Config::parse(&text).unwrap();
        assert_eq!(config.listeners.smtp.len(), 2);
        assert_eq!(config.smtp.max_message_size.bytes(), 25_000_000);
        assert_eq!(config.smtp.max_recipients, 1000);
        assert_eq!(config.log, "info");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest() {
        let error = Config::parse(&format!("{SMALL}[smtp]\nmax_recipient = 5\n")).unwrap_err().to_string();
        assert!(error.contains("line 4") && error.contains("max_recipient"), "{error}");
        assert!(error.contains("did you mean `max_recipients`"), "{error}");
        let error = Config::parse(&format!("{SMALL}[listener]\n")).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("did you mean `listeners`"), "{error}");
        let error = Config::parse(&format!("zzzzzzzzzzzz = 1\n{SMALL}")).unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("did you mean"), "{error}");
    }

    #[test]
    fn wrong_values_are_named_with_their_line() {
        let error =
            Config::parse(&format!("{SMALL}[smtp]\nmax_recipients = \"many\"\n")).unwrap_err().to_string();
        assert!(error.contains("line 4"), "{error}");
        assert!(Config::parse("data = \"x\"").unwrap_err().to_string().contains("hostname"));
        assert!(Config::parse(&format!("{SMALL}[tls]\ncertificate = \"c.pem\"\n")).is_err());
        assert!(Config::parse(&format!("{SMALL}[smtp]\npostmaster = \"root\"\n")).is_err());
        assert!(Config::parse("hostname = \"a b\"\ndata = \"x\"\n").is_err());
        assert!(Config::parse(&format!("{SMALL}[listeners]\nproxies = [\"x\"]\n")).is_err());
        assert!(Config::parse(&format!("{SMALL}[blob]\nkind = \"s3\"\n")).is_err());
    }

    #[test]
    fn the_store_may_be_foundationdb() {
        let section = "[storage]\nbackend = \"foundationdb\"\n[storage.foundationdb]\nprefix = \"a/\"\n";
        let config = Config::parse(&format!("{SMALL}{section}")).unwrap();
        assert_eq!(config.store.backend, Some(StoreKind::Foundationdb));
        assert_eq!(config.store.foundationdb.prefix, "a/");
        assert!(Config::parse(&format!("{SMALL}[store]\nbackend = \"oracle\"\n")).is_err());
    }

    #[test]
    fn the_schema_has_every_section() {
        let schema = Config::schema().to_string();
        for key in [
            "hostname",
            "listeners",
            "max_message_size",
            "default_domain",
            "secret_access_key",
            "advertise",
            "drain_grace",
        ] {
            assert!(schema.contains(key), "{key}");
        }
    }
}
