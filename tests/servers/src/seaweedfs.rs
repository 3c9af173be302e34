//! SeaweedFS, which speaks S3 and checks signatures.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Process, free_ports};

/// Where `make test-deps` put its program.
const PROGRAM: &str = "GODWIT_SEAWEEDFS";

/// How often it is started until it stays.
const STARTS: usize = 3;

/// The key of the one who may do anything.
pub const ACCESS_KEY_ID: &str = "godwit";
/// Its secret.
pub const SECRET_ACCESS_KEY: &str = "secret-of-the-test";

/// A server of its own, with nothing in it.
pub struct SeaweedFs {
    address: SocketAddr,
    ports: [u16; 8],
    process: Option<Process>,
    _dir: TempDir,
}

impl Drop for SeaweedFs {
    /// It leaves sockets behind in /tmp that have its ports in their names.
    fn drop(&mut self) {
        self.process = None;
        for entry in std::fs::read_dir("/tmp").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = |port: &u16| name.ends_with(&format!("-{port}.sock"));
            if name.starts_with("seaweedfs-") && self.ports.iter().any(ours) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl SeaweedFs {
    /// Starts one; `None` (with a word on standard error) where it is not installed.
    pub fn start() -> Option<Self> {
        let program = crate::installed(PROGRAM)?;
        // Now and then its parts are not ready for each other when it starts, and it falls over.
        (0..STARTS).find_map(|_| Self::start_once(&program)).or_else(|| panic!("the server ended"))
    }

    /// None if it ends.
    fn start_once(program: &Path) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let identities = format!(
            r#"{{"identities":[{{"name":"godwit","credentials":[{{"accessKey":"{ACCESS_KEY_ID}","secretKey":"{SECRET_ACCESS_KEY}"}}],"actions":["Admin"]}}]}}"#
        );
        let config = dir.path().join("s3.json");
        std::fs::write(&config, identities).unwrap();
        let names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port"];
        let names = names.into_iter().chain(["filer.port.grpc", "s3.port", "s3.port.grpc"]);
        let ports = free_ports::<8>();
        let mut command = Command::new(program);
        command.arg("server").arg("-s3").args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
        command.args(names.zip(ports).map(|(name, port)| format!("-{name}={port}")));
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]);
        command.args(["-volume.max=64", "-volume.minFreeSpace=0", "-master.volumeSizeLimitMB=64"]);
        command.arg(format!("-dir={}", dir.path().display()));
        command.arg(format!("-s3.config={}", config.display()));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[6]));
        let mut process = Process::start(command.current_dir(dir.path()));
        let started = process.answers_http(address);
        let server = SeaweedFs { address, ports, process: Some(process), _dir: dir };
        started.then_some(server)
    }

    /// Where it speaks S3.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
