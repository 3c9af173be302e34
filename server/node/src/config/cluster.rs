//! `[cluster]`: this node among those that share its store. Without effect on an embedded store, which one node has.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, text};

/// Where a node listens for others if nothing is said.
const LISTEN: ([u8; 4], u16) = ([0, 0, 0, 0], 7400);

/// Largest capacity, against the usual 100.
const MOST: u32 = 10_000;

/// This node among the others.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cluster {
    /// Where it listens for other nodes, in UDP: gossip at this port, calls (QUIC) at the next one. Both are sealed with
    /// keys that lie in the store. 0.0.0.0:7400 if absent. Since v0.1
    pub(crate) listen: SocketAddr,
    /// Host name or address at which others reach it; what `listen` says if absent, or the address of the default route
    /// where that is any. Since v0.1
    #[serde(deserialize_with = "text::optional")]
    #[schemars(with = "Option<text::Text>")]
    pub(crate) advertise: Option<String>,
    /// Nodes to ask for others, as `host:port` of their gossip. None is needed: the store knows the nodes. Since v0.1
    pub(crate) seeds: Vec<String>,
    /// What fails together with this node within its region. Since v0.1
    #[serde(deserialize_with = "text::text")]
    #[schemars(with = "text::Text")]
    pub(crate) zone: String,
    /// What is far from others. Since v0.1
    #[serde(deserialize_with = "text::text")]
    #[schemars(with = "text::Text")]
    pub(crate) region: String,
    /// What the node does; all if absent. Since v0.1
    pub(crate) roles: Vec<Role>,
    /// How much of the common work it takes, against the 100 of a usual node. Since v0.1
    pub(crate) capacity: u32,
    /// Whether the cluster's feature level is raised as soon as every node that is there supports a higher one, without
    /// anybody asking for it. From then on the version before cannot come back. Since v0.1
    pub(crate) raise_level: bool,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            listen: LISTEN.into(),
            advertise: None,
            seeds: Vec::new(),
            zone: String::new(),
            region: String::new(),
            roles: Vec::new(),
            capacity: 100,
            raise_level: false,
        }
    }
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// Takes mail, by SMTP from other servers and by LMTP.
    SmtpIn,
    /// Takes mail from users.
    Submission,
    /// Shows mailboxes.
    Imap,
    /// Serves JMAP and what else is asked for by HTTP.
    Jmap,
    /// Sends remote mail on.
    Delivery,
    /// Writes the index of mail; every node reads it.
    Search,
    /// Upkeep of what all nodes share.
    Tasks,
}

impl Role {
    /// Its name, as in the file and as other nodes hear it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Role::SmtpIn => "smtp-in",
            Role::Submission => "submission",
            Role::Imap => "imap",
            Role::Jmap => "jmap",
            Role::Delivery => "delivery",
            Role::Search => "search",
            Role::Tasks => "tasks",
        }
    }
}

impl Cluster {
    /// Whether the node does this.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.is_empty() || self.roles.contains(&role)
    }

    /// Whether the node does what has this name.
    pub(crate) fn has_named(&self, role: &str) -> bool {
        self.roles.is_empty() || self.roles.iter().any(|own| own.name() == role)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.capacity == 0 || self.capacity > MOST {
            return Err(ConfigError::Meaning("cluster.capacity is 1 to 10000"));
        }
        if self.listen.port() == u16::MAX {
            return Err(ConfigError::Meaning("cluster.listen leaves no port behind it for calls"));
        }
        if [&self.zone, &self.region].into_iter().any(|name| name.len() > 255) {
            return Err(ConfigError::Meaning("cluster.zone and cluster.region are short names"));
        }
        let is_seed = |seed: &String| {
            seed.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if !self.seeds.iter().all(is_seed) {
            return Err(ConfigError::Meaning("cluster.seeds are host:port"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(section: &str) -> Result<Cluster, String> {
        let cluster: Cluster = toml::from_str(section).map_err(|error| error.to_string())?;
        cluster.check().map_err(|error| error.to_string())?;
        Ok(cluster)
    }

    #[test]
    fn nothing_need_be_said() {
        let cluster = parse("").unwrap();
        assert_eq!((cluster.listen.port(), cluster.capacity), (7400, 100));
        assert!(cluster.has(Role::Delivery) && cluster.has_named("search"));
    }

    #[test]
    fn roles_are_named() {
        let cluster = parse("roles = [\"smtp-in\", \"tasks\"]\nzone = \"a\"\nseeds = [\"n1:7400\"]").unwrap();
        assert!(cluster.has(Role::SmtpIn) && cluster.has(Role::Tasks) && !cluster.has(Role::Delivery));
        assert!(cluster.has_named("tasks") && !cluster.has_named("delivery") && !cluster.has_named("search"));
        let roles = [Role::SmtpIn, Role::Submission, Role::Imap, Role::Jmap, Role::Delivery, Role::Tasks];
        for role in roles {
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for section in [
            "roles = [\"cook\"]",
            "capacity = 0",
            "capacity = 10001",
            "listen = \"n1:7400\"",
            "listen = \"0.0.0.0:65535\"",
            "seeds = [\"n1\"]",
            "seeds = [\":1\"]",
        ] {
            assert!(parse(section).is_err(), "{section}");
        }
    }
}
