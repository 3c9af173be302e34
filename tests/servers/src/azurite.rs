//! Azurite, which speaks Azure Blob Storage and checks signatures.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;

use crate::BUCKET;
use crate::process::{Process, answer, free_ports};

/// Where `make test-deps` put its package.
const PACKAGE: &str = "GODWIT_AZURITE";

/// The account that every Azurite has.
pub const ACCOUNT: &str = "devstoreaccount1";
/// Its key, which is public.
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A server of its own, with one empty container.
pub struct Azurite {
    address: SocketAddr,
    _process: Process,
    _dir: TempDir,
}

impl Azurite {
    /// Starts one; `None` (with a word on standard error) where it is not installed.
    pub fn start() -> Option<Self> {
        let package = crate::installed(PACKAGE)?;
        let dir = tempfile::tempdir().unwrap();
        let [port] = free_ports();
        let mut command = Command::new("node");
        command.arg(package.join("dist/src/blob/main.js"));
        command.args(["--blobHost", "127.0.0.1", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]);
        command.arg("--blobPort").arg(port.to_string()).arg("--location").arg(dir.path());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut process = Process::start(command.current_dir(dir.path()));
        process.wait_for_http(address);
        create_container(address);
        Some(Azurite { address, _process: process, _dir: dir })
    }

    /// Where it speaks Azure Blob Storage.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Signs and sends the one request that the code under test never makes.
fn create_container(address: SocketAddr) {
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let headers = format!("x-ms-date:{date}\nx-ms-version:2021-12-02\n");
    let resource = format!("/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container");
    let text = format!("PUT{}{headers}{resource}", "\n".repeat(12));
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(KEY).unwrap());
    let signature = BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()));
    let request = format!(
        "PUT /{ACCOUNT}/{BUCKET}?restype=container HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         x-ms-date: {date}\r\nx-ms-version: 2021-12-02\r\nContent-Length: 0\r\n\
         Authorization: SharedKey {ACCOUNT}:{signature}\r\n\r\n"
    );
    let said = answer(address, &request).unwrap_or_default();
    assert!(said.starts_with("HTTP/1.1 201"), "{said}");
}
