//! A FoundationDB cluster of a test's own: one or several processes of fdbserver on loopback, in a folder of their own.
//! They are looked for in `GODWIT_FDB_DIR`, or where packages put them; those of a newer version, to which servers are
//! upgraded, in `GODWIT_FDB_NEXT`.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::free_port;

/// How long a cluster may take to form, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the programs and the library of one version are.
#[derive(Clone)]
pub struct Installed {
    fdbserver: PathBuf,
    fdbcli: PathBuf,
    client_library: PathBuf,
}

/// Where a process is, as it says of itself, and what it is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Its datacenter; none where there is only one.
    pub datacenter: Option<&'static str>,
    /// Its class, if it is not for everything.
    pub class: Option<&'static str>,
    /// Whether it is one of the coordinators.
    pub coordinates: bool,
}

/// A cluster that ends with the test.
pub struct Cluster {
    dir: TempDir,
    installed: Installed,
    places: Vec<Place>,
    ports: Vec<u16>,
    processes: Vec<Option<Child>>,
}

/// A new cluster of one process in memory, or `None` (with a word on standard error) where FoundationDB is not
/// installed.
pub fn start() -> Option<Cluster> {
    cluster(1, 1, "single memory")
}

/// A new cluster of `processes`, the first `coordinators` of which coordinate.
pub fn cluster(processes: usize, coordinators: usize, configuration: &str) -> Option<Cluster> {
    Some(cluster_of(&installed()?, processes, coordinators, configuration))
}

/// As [`cluster`], of a version that was found before.
pub fn cluster_of(
    installed: &Installed,
    processes: usize,
    coordinators: usize,
    configuration: &str,
) -> Cluster {
    let place = |n| Place { coordinates: n < coordinators, ..Place::default() };
    cluster_at(installed, (0..processes).map(place).collect(), configuration)
}

/// A new cluster with a process at each of these places.
pub fn cluster_at(installed: &Installed, places: Vec<Place>, configuration: &str) -> Cluster {
    let dir = tempfile::tempdir().unwrap();
    // Bound all at once, so that they differ.
    let listeners: Vec<_> = places.iter().map(|_| free_port()).collect();
    let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    drop(listeners);
    let coordinators = places.iter().zip(&ports).filter(|(place, _)| place.coordinates);
    let coordinators: Vec<String> = coordinators.map(|(_, port)| format!("127.0.0.1:{port}")).collect();
    let text = format!("test:test@{}", coordinators.join(","));
    std::fs::write(dir.path().join("fdb.cluster"), text).unwrap();
    let processes = ports.iter().map(|_| None).collect();
    let mut cluster = Cluster { dir, installed: installed.clone(), places, ports, processes };
    (0..cluster.processes.len()).for_each(|n| cluster.run(n));
    let begun = Instant::now();
    while !cluster.cli(&format!("configure new {configuration}")).contains("Database created") {
        // Too early, or done by an earlier attempt that timed out.
        if cluster.cli("status minimal").contains("The database is available") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "FoundationDB does not start: {}", cluster.cli("status"));
    }
    cluster
}

/// What is installed, or `None` with a word on standard error.
pub fn installed() -> Option<Installed> {
    found(Installed::among(&folders()), "no FoundationDB")
}

/// A newer version than the one that is [`installed`], or `None` with a word on standard error.
pub fn next() -> Option<Installed> {
    let next = std::env::var_os("GODWIT_FDB_NEXT").map(PathBuf::from);
    found(next.and_then(|own| Installed::among(&below(&own))), "no newer FoundationDB in GODWIT_FDB_NEXT")
}

/// The client library, where there is one.
pub fn client_library() -> Option<PathBuf> {
    found(find(&folders(), "libfdb_c.so"), "no FoundationDB")
}

fn found<T>(what: Option<T>, else_skipped: &str) -> Option<T> {
    if what.is_none() {
        eprintln!("skipped: {else_skipped}");
    }
    what
}

/// The folder that is named, or where packages put it.
fn folders() -> Vec<PathBuf> {
    if let Some(own) = std::env::var_os("GODWIT_FDB_DIR") {
        return below(Path::new(&own));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let packages = ["/usr/sbin", "/usr/local/sbin", "/usr/lib", "/usr/lib64", "/usr/local/lib"];
    std::env::split_paths(&path).chain(packages.map(PathBuf::from)).collect()
}

fn below(folder: &Path) -> Vec<PathBuf> {
    ["", "bin", "sbin", "lib"].map(|part| folder.join(part)).into()
}

fn find(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

impl Installed {
    fn among(folders: &[PathBuf]) -> Option<Self> {
        Some(Installed {
            fdbserver: find(folders, "fdbserver")?,
            fdbcli: find(folders, "fdbcli")?,
            client_library: find(folders, "libfdb_c.so")?,
        })
    }

    /// Its client library.
    pub fn client_library(&self) -> PathBuf {
        self.client_library.clone()
    }
}

impl Cluster {
    /// Its cluster file.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("fdb.cluster")
    }

    /// The client library of the same version.
    pub fn client_library(&self) -> PathBuf {
        self.installed.client_library.clone()
    }

    /// What names the cluster to a node; more may be said after it, with `&`.
    pub fn url(&self) -> String {
        format!("fdb:{}?client_library={}", self.file().display(), self.client_library().display())
    }

    /// Processes that are started from now on are of another version, and so is [`Cluster::cli`].
    pub fn install(&mut self, installed: &Installed) {
        self.installed = installed.clone();
    }

    /// How many processes it was made of.
    pub fn size(&self) -> usize {
        self.processes.len()
    }

    /// Starts the process `n`; its files are kept from one start to the next.
    pub fn run(&mut self, n: usize) {
        let folder = self.dir.path().join(n.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let log = OpenOptions::new().create(true).append(true).open(folder.join("words")).unwrap();
        let address = format!("127.0.0.1:{}", self.ports[n]);
        let Place { datacenter, class, .. } = self.places[n];
        let where_it_is = datacenter.map(|name| format!("--locality-dcid={name}"));
        let what_for = class.map(|class| format!("--class={class}"));
        // Ends with the thread that started it, whatever happens. Each is a machine of its own for the replication.
        let child = Command::new("setpriv")
            .arg("--pdeathsig=KILL")
            .arg(&self.installed.fdbserver)
            .args(["-p", &address, "-l", &address])
            .args([format!("--locality-machineid=machine{n}"), format!("--locality-zoneid=zone{n}")])
            .args(where_it_is.into_iter().chain(what_for))
            .arg("-C")
            .arg(self.file())
            .arg("-d")
            .arg(&folder)
            .arg("-L")
            .arg(&folder)
            .args(["--knob_disable_posix_kernel_aio=1", "--memory", "2GiB", "--cache-memory", "256MiB"])
            // A disk that is 95 % full stops a cluster in production; a test's few megabytes still fit.
            .args(["--knob_min_available_space_ratio=0.001", "--knob_min_available_space=50000000"])
            .args(["--knob_target_available_space_ratio=0.002"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.processes[n] = Some(child);
    }

    /// Whether the process `n` was started and not killed since.
    pub fn runs(&self, n: usize) -> bool {
        self.processes[n].is_some()
    }

    /// The processes of a datacenter.
    pub fn of_datacenter(&self, name: &str) -> Vec<usize> {
        let places = self.places.iter().enumerate();
        places.filter(|(_, place)| place.datacenter == Some(name)).map(|(n, _)| n).collect()
    }

    /// Kills the process `n` without warning.
    pub fn kill(&mut self, n: usize) {
        self.signal(n, "-KILL");
        if let Some(mut child) = self.processes[n].take() {
            let _ = child.wait();
        }
    }

    /// Sends a signal to the process `n`.
    pub fn signal(&self, n: usize, signal: &str) {
        if let Some(child) = &self.processes[n] {
            let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
        }
    }

    /// Which process has the address `127.0.0.1:port`.
    pub fn process_at(&self, address: &str) -> Option<usize> {
        self.ports.iter().position(|port| address.starts_with(&format!("127.0.0.1:{port}")))
    }

    /// The command line tool, told where the cluster is.
    pub fn tool(&self) -> String {
        format!("{} -C {} --timeout 20", self.installed.fdbcli.display(), self.file().display())
    }

    /// What fdbcli says to `command`.
    pub fn cli(&self, command: &str) -> String {
        let output = Command::new(&self.installed.fdbcli)
            .arg("-C")
            .arg(self.file())
            .args(["--timeout", "20", "--exec", command])
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// What the cluster says of itself, if it answers.
    pub fn status(&self) -> Option<Value> {
        let text = self.cli("status json");
        serde_json::from_str(text.get(text.find('{')?..)?).ok()
    }

    /// The processes that have a role (`storage`, `log`, …), as the cluster sees it.
    pub fn with_role(&self, role: &str) -> Vec<usize> {
        let status = self.status().unwrap_or_default();
        let processes = status.pointer("/cluster/processes").and_then(Value::as_object);
        let has_role = |process: &&Value| {
            let roles = process.get("roles").and_then(Value::as_array);
            roles.is_some_and(|roles| roles.iter().any(|r| r.get("role").is_some_and(|name| name == role)))
        };
        let number = |process: &Value| self.process_at(process.get("address")?.as_str()?);
        processes.into_iter().flat_map(|p| p.values()).filter(has_role).filter_map(number).collect()
    }

    /// The process that the coordinators elected to control the cluster; waits while that moves.
    pub fn leader(&self) -> usize {
        let begun = Instant::now();
        loop {
            if let Some(leader) = self.with_role("cluster_controller").first() {
                return *leader;
            }
            assert!(begun.elapsed() < PATIENCE, "nobody leads");
        }
    }

    /// How often the cluster has recovered: each time its roles are given anew this number grows.
    pub fn generation(&self) -> u64 {
        self.status().and_then(|status| status.pointer("/cluster/generation")?.as_u64()).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for n in 0..self.size() {
                let words = std::fs::read_to_string(self.dir.path().join(format!("{n}/words")));
                eprintln!("fdbserver {n} said: {}", words.unwrap_or_default());
            }
            eprintln!("{}", self.cli("status details"));
        }
        (0..self.size()).for_each(|n| self.kill(n));
    }
}
