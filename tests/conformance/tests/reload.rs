//! `godwit serve`: what is changed in its file is in force without a restart, and no connection is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::{Http, Line, binary, wait};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use servers::process::free_ports;

/// A `godwit serve` that is killed when dropped.
struct Served {
    process: Child,
    dir: tempfile::TempDir,
    imaps: u16,
    admin: u16,
}

impl Drop for Served {
    fn drop(&mut self) {
        // Both fail on a process that has ended, as is right.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes a new certificate and returns it in DER.
fn certify(dir: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("chain.pem"), made.cert.pem()).unwrap();
    made.cert.der().to_vec()
}

impl Served {
    fn start() -> (Self, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let [imaps, admin] = free_ports();
        let certificate = certify(dir.path());
        configure(dir.path(), (imaps, admin), "", "");
        let mut command = Command::new(binary().unwrap());
        command.args(["serve", "--config"]).arg(dir.path().join("godwit.toml"));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let served = Served { process: process.unwrap(), dir, imaps, admin };
        wait::until("readiness", || Ok((served.http().get("/readyz")?.status == 200).then_some(()))).unwrap();
        (served, certificate)
    }

    fn configure(&self, top: &str, sections: &str) {
        configure(self.dir.path(), (self.imaps, self.admin), top, sections);
    }

    fn http(&self) -> Http {
        let password = std::fs::read_to_string(self.dir.path().join("data/admin-password"));
        Http::new(&format!("127.0.0.1:{}", self.admin)).with_password(password.unwrap_or_default().trim())
    }

    fn connect(&self) -> Line {
        let mut line = Line::connect_tls(&format!("127.0.0.1:{}", self.imaps)).unwrap();
        assert!(line.read_line().unwrap().starts_with(b"* OK"));
        line
    }

    fn health(&self) -> Value {
        self.http().get("/cluster/health").unwrap().json()
    }

    fn refused(&self) -> bool {
        self.health()["reasons"].to_string().contains("CONFIGURATION_REFUSED")
    }
}

fn configure(dir: &Path, (imaps, admin): (u16, u16), top: &str, sections: &str) {
    let text = format!(
        "hostname = \"mx.example.test\"\ndata = {:?}\nlb_grace = \"0 s\"\n{top}\n[tls]\ncertificate = {:?}\nkey = {:?}\n\
         [listeners]\nimaps = [\"127.0.0.1:{imaps}\"]\nadmin = [\"127.0.0.1:{admin}\"]\n[probe]\ninterval = \"1 s\"\n{sections}",
        dir.join("data"),
        dir.join("chain.pem"),
        dir.join("key.pem"),
    );
    std::fs::write(dir.join("godwit.toml"), text).unwrap();
}

fn answers(line: &mut Line) {
    line.send_line("a NOOP").unwrap();
    assert!(line.read_line().unwrap().starts_with(b"a OK"));
}

#[test]
fn a_new_certificate_is_shown_and_who_is_connected_stays() {
    let (served, first) = Served::start();
    let mut before = served.connect();
    assert_eq!(before.certificate().unwrap(), first);
    let second = certify(served.dir.path());
    served.configure("log = \"warn\"", "[limits]\nconnections = 9\n[store]\ninline_max = \"1 kB\"\n");
    let answer = served.http().post("/api/v1/node/reload").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let done = answer.json();
    assert_eq!(done["changed"], serde_json::json!(["limits.connections", "log"]));
    assert_eq!(
        (&done["kept"], &done["renewed"]),
        (&serde_json::json!(["store.inline_max"]), &Value::Bool(true))
    );
    assert_eq!(served.connect().certificate().unwrap(), second);
    assert_eq!(served.health()["connections"]["most"], 9);
    answers(&mut before);
    // A file that cannot be used changes nothing, and says why.
    served.configure("lgo = \"info\"", "");
    let answer = served.http().post("/api/v1/node/reload").unwrap();
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("line 4") && answer.text().contains("log"), "{}", answer.text());
    assert!(served.refused());
    assert_eq!(served.health()["connections"]["most"], 9);
    // SIGHUP is the same.
    let third = certify(served.dir.path());
    served.configure("", "[limits]\nconnections = 8\n");
    kill_process(Pid::from_child(&served.process), Signal::HUP).unwrap();
    let changed = || Ok((served.health()["connections"]["most"] == 8).then_some(()));
    wait::until("the reload", changed).unwrap();
    assert_eq!(served.connect().certificate().unwrap(), third);
    assert!(!served.refused());
    answers(&mut before);
    // Meanwhile the node has sent itself mail, to a place that is nobody's.
    let arrived = || Ok((served.health()["mail_probe"]["arrived"].is_number()).then_some(()));
    wait::until("a probe", arrived).unwrap();
    let listed = served.http().get("/api/v1/domains").unwrap().json();
    assert_eq!(listed["items"], serde_json::json!([]));
    assert_eq!(served.http().get("/api/v1/accounts").unwrap().json()["items"], serde_json::json!([]));
}
