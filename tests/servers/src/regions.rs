//! FoundationDB in two regions: in each a datacenter with two processes and a satellite with one, and a coordinator in a fifth
//! place, set up as ops/runbooks/foundationdb-regions.md says.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::foundationdb::{Cluster, Place, cluster_at, installed};

/// The regions, by their datacenters. The first one leads unless something else is said.
pub const REGIONS: [&str; 2] = ["east", "west"];

/// How long a region may take to have everything.
const PATIENCE: Duration = Duration::from_secs(240);

/// A process in a datacenter or satellite.
const fn place(datacenter: &'static str, class: Option<&'static str>, coordinates: bool) -> Place {
    Place { datacenter: Some(datacenter), class, coordinates }
}

/// A majority of the coordinators outlives a datacenter, and a datacenter with its satellite.
const PLACES: [Place; 7] = [
    place("east", None, true),
    place("east", None, false),
    place("east-sat", Some("transaction"), true),
    place("west", None, true),
    place("west", None, false),
    place("west-sat", Some("transaction"), true),
    place("fifth", Some("coordinator"), true),
];

/// Two regions; they end with this value, and with the thread that made it.
pub struct Regions {
    /// All processes.
    pub cluster: Cluster,
}

impl Regions {
    /// Starts them and waits until both have everything; `None` (with a word on standard error) where FoundationDB is not
    /// installed.
    pub fn start() -> Option<Self> {
        let regions = Regions { cluster: cluster_at(&installed()?, PLACES.to_vec(), "double ssd-2") };
        // The second may lead once it has everything. Refused while the first one is still settling.
        regions.must(&with_priorities(1, -1));
        regions.must("configure usable_regions=2");
        regions.wait(Regions::whole);
        regions.must(&with_priorities(1, 0));
        regions.wait(|regions| regions.leader().as_deref() == Some(REGIONS[0]));
        Some(regions)
    }

    fn must(&self, command: &str) {
        let begun = Instant::now();
        loop {
            let said = self.cluster.cli(command);
            if said.contains("Configuration changed") {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{command}: {said}");
        }
    }

    fn wait(&self, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < PATIENCE, "{}", self.cluster.cli("status"));
        }
    }

    /// The datacenter that leads, if the cluster answers.
    pub fn leader(&self) -> Option<String> {
        let status = self.cluster.status()?;
        Some(status.pointer("/cluster/active_primary_dc")?.as_str()?.to_owned())
    }

    /// Whether both regions have everything.
    pub fn whole(&self) -> bool {
        let status = self.cluster.status().unwrap_or_default();
        let is = |pointer| status.pointer(pointer) == Some(&Value::Bool(true));
        // The first alone is also said while a region is away.
        is("/cluster/full_replication") && is("/cluster/data/state/healthy")
    }

    /// A command for a shell that has this region lead, as far as it can, and waits until it does.
    pub fn lead(&self, region: &str) -> String {
        let configure = if region == REGIONS[0] { with_priorities(1, 0) } else { with_priorities(0, 1) };
        let tool = self.cluster.tool();
        format!(
            "until {tool} --exec '{configure}' | grep 'Configuration changed'; do sleep 0.5; done; \
             until {tool} --exec 'status json' | tr -d ' \\n' | grep -q '\"active_primary_dc\":\"{region}\"'; \
             do sleep 0.5; done"
        )
    }

    /// A command for a shell that waits until both regions have everything.
    pub fn wait_until_whole(&self) -> String {
        let tool = self.cluster.tool();
        format!(
            "s=$GODWIT_DRILL_DIR/status; until {tool} --exec 'status json' | tr -d ' \\n' > $s && \
             grep -q '\"full_replication\":true' $s && grep -q '\"healthy\":true' $s && \
             ! grep -q '\"healthy\":false' $s; do sleep 0.5; done"
        )
    }
}

/// What `fileconfigure` does with a file of regions, which not every command line tool has.
fn with_priorities(east: i32, west: i32) -> String {
    let region = |name: &str, priority: i32| {
        format!(
            r#"{{"datacenters":[{{"id":"{name}","priority":{priority}}},{{"id":"{name}-sat","priority":1,"satellite":1}}],"satellite_redundancy_mode":"one_satellite_single"}}"#
        )
    };
    let regions = format!("[{},{}]", region(REGIONS[0], east), region(REGIONS[1], west));
    format!("configure regions={}", regions.replace('"', "\\\""))
}
