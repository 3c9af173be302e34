//! What NODE and ZONE share: three nodes in two zones on PostgreSQL behind HAProxy, a sink for remote mail, and
//! `godwit drill` as an operator would use it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use anyhow::{Context, ensure};
use harness::{Cluster, ClusterOptions, Http, binary};
use serde_json::Value;
use servers::haproxy::SOURCE;
use servers::postgres::QUICK;
use servers::{HaProxy, PostgreSql};

use crate::table::Table;

/// The field by which probes are known.
const FIELD: &str = "X-Godwit-Drill: ";

/// How what is lost is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// kill −9; the processes begin anew.
    Kill,
    /// SIGSTOP; the processes go on where they were.
    Stop,
}

/// A drill that is to be run.
pub(crate) struct Wanted {
    /// As in a plan.
    pub(crate) scope: String,
    /// The nodes in it, by number from 0.
    pub(crate) nodes: Vec<usize>,
    pub(crate) loss: Loss,
    pub(crate) planned: bool,
    /// For how long it stays lost, and for how long all has to be well, in seconds.
    pub(crate) hold: u32,
    pub(crate) steady: u32,
}

/// The nodes and what is around them.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    balancer: HaProxy,
    dir: tempfile::TempDir,
    _server: PostgreSql,
}

impl Scene {
    /// Starts everything; nothing where PostgreSQL or HAProxy is not installed.
    pub(crate) fn start() -> anyhow::Result<Option<Self>> {
        let Some(server) = PostgreSql::start(QUICK) else { return Ok(None) };
        let dir = tempfile::tempdir()?;
        let relay = sink(dir.path().join("received"))?;
        let wanted = ClusterOptions {
            nodes: 3,
            store: server.url(),
            users: 1,
            relay: Some(relay),
            proxy: Some(format!("{SOURCE}/32")),
            zones: vec!["a".to_owned(), "b".to_owned()],
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(&wanted)?;
        let nodes: &[_; 3] = cluster.nodes.as_slice().try_into().context("three nodes")?;
        let Some(balancer) = HaProxy::start(nodes.each_ref().map(|node| &node.listeners)) else {
            return Ok(None);
        };
        Ok(Some(Scene { cluster, balancer, dir, _server: server }))
    }

    /// `godwit drill start` with that plan, in a folder of this name.
    pub(crate) fn begin(
        &self,
        wanted: &Wanted,
        name: &str,
        options: &[&str],
    ) -> anyhow::Result<(Child, PathBuf)> {
        let (plan, folder) = (self.dir.path().join(format!("{name}.toml")), self.dir.path().join(name));
        std::fs::write(&plan, self.plan(wanted)?)?;
        // It ends with this process.
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig=KILL").arg(binary()?);
        command.args(["drill", "start"]).arg(&plan).arg("--dir").arg(&folder).args(options);
        command.env("GODWIT_DRILL_PASSWORD", "secret").stdin(Stdio::null()).stdout(Stdio::null());
        Ok((command.spawn()?, folder))
    }

    /// The same, to its end. Returns its report.
    pub(crate) fn drill(&self, wanted: &Wanted, name: &str, options: &[&str]) -> anyhow::Result<Value> {
        let (mut child, folder) = self.begin(wanted, name, options)?;
        child.wait()?;
        report(&folder)
    }

    /// `godwit drill abort`.
    pub(crate) fn abort(&self, folder: &Path) -> anyhow::Result<()> {
        let mut command = Command::new(binary()?);
        command.args(["drill", "abort"]).arg(folder).env("GODWIT_DRILL_PASSWORD", "secret");
        ensure!(command.stdout(Stdio::null()).status()?.success(), "drill abort failed");
        Ok(())
    }

    /// What is not as it was at the start.
    pub(crate) fn remains(&self) -> anyhow::Result<Option<String>> {
        remains(&self.admin(1)?)
    }

    fn admin(&self, node: usize) -> anyhow::Result<Http> {
        let password = std::fs::read_to_string(self.cluster.data(node).join("admin-password"))?;
        Ok(Http::new(self.cluster.listener(node, "admin")).with_password(password.trim()))
    }

    fn plan(&self, wanted: &Wanted) -> anyhow::Result<String> {
        let Wanted { scope, planned, hold, steady, .. } = wanted;
        let head = format!(
            "scope = {scope:?}\nplanned = {planned}\nhold = \"{hold}s\"\nsteady = \"{steady}s\"\npatience = \"3m\"\n"
        );
        let admin = |node: usize| {
            (self.cluster.listener(node, "admin").to_owned(), self.cluster.data(node).join("admin-password"))
        };
        let around = Around {
            admins: (0..self.cluster.nodes.len()).map(admin).collect(),
            mail: MAIL.map(|name| self.balancer.listener(name)),
            account: "u0@example.test".to_owned(),
            certificate: self.cluster.certificate.clone(),
            received: self.dir.path().join("received"),
        };
        let (fail, restore) = self.hooks(wanted);
        Ok(head
            + &around.plan()
            + &format!("[hooks]\nfail = '''{fail}'''\nrestore = '''{restore}'''\ntimeout = \"2m\"\n"))
    }

    /// Commands that cause the loss and end it. The nodes are children of one process, each with a folder of its own.
    fn hooks(&self, wanted: &Wanted) -> (String, String) {
        let numbers: Vec<String> = wanted.nodes.iter().map(|node| (node + 1).to_string()).collect();
        let (parent, count) = (self.cluster.parent(), numbers.len());
        let of = format!(
            "of() {{ for p in $(ps -o pid= --ppid {parent}); do tr '\\0' ' ' < /proc/$p/cmdline 2>/dev/null | \
             grep -Eq 'data/n({}) ' && echo $p; done; true; }}\n",
            numbers.join("|")
        );
        let all = |signal: &str| format!("{of}for p in $(of); do kill -{signal} $p; done; true");
        match wanted.loss {
            Loss::Stop => (all("STOP"), all("CONT")),
            Loss::Kill => {
                let again = format!(
                    "{of}for i in $(seq 200); do [ $(of | wc -l) -ge {count} ] && exit 0; kill -USR1 {parent}; \
                     sleep 0.5; done; exit 1"
                );
                (all("KILL"), again)
            }
        }
    }
}

/// What a node knows that is not as it was at the start.
pub(crate) fn remains(admin: &Http) -> anyhow::Result<Option<String>> {
    let drill = admin.get("/api/v1/drill")?.json();
    if !drill.is_null() {
        return Ok(Some(format!("the drill {drill} is still under way")));
    }
    let not_online = |path: &str| -> anyhow::Result<Option<String>> {
        let page = admin.get(path)?.json();
        let items = page["items"].as_array().context("no items")?;
        Ok(items.iter().find(|item| item["state"] != "online").map(Value::to_string))
    };
    Ok(not_online("/api/v1/nodes")?.or(not_online("/api/v1/sites")?))
}

/// Listeners that the probes use, in the order of [`Around::mail`].
pub(crate) const MAIL: [&str; 3] = ["smtp", "imap", "submissions"];

/// What a plan says of what is around the drill.
pub(crate) struct Around {
    /// Admin listeners as `host:port`, and the files with their passwords.
    pub(crate) admins: Vec<(String, PathBuf)>,
    /// What users reach, as `host:port`.
    pub(crate) mail: [String; 3],
    /// The account whose INBOX is for the probes: its password is "secret".
    pub(crate) account: String,
    /// What TLS trusts.
    pub(crate) certificate: PathBuf,
    /// What the sink writes.
    pub(crate) received: PathBuf,
}

impl Around {
    /// The part of a plan that says so.
    pub(crate) fn plan(&self) -> String {
        let mut text = "pace = \"1s\"\ntimeout = \"8s\"\n".to_owned();
        for (url, file) in &self.admins {
            text += &format!("[[admin]]\nurl = \"http://{url}\"\npassword.file = {file:?}\n");
        }
        let [smtp, imap, submission] = &self.mail;
        text += &format!(
            "[mail]\nsmtp = \"smtp://{smtp}\"\nimap = \"imap://{imap}\"\nsubmission = \"submissions://{submission}\"\n\
             account = \"{}\"\npassword.env = \"GODWIT_DRILL_PASSWORD\"\nca = {:?}\n",
            self.account, self.certificate,
        );
        let received = &self.received;
        text + &format!(
            "[queue]\nsink = \"sink@drill.example.net\"\nreceived = {received:?}\nlate = \"5s\"\n"
        )
    }
}

/// What the drill of a folder has shown.
pub(crate) fn report(folder: &Path) -> anyhow::Result<Value> {
    let file = folder.join("report.json");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("{}: the drill did not begin", file.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// A row for each part, and one for the whole.
pub(crate) fn rows(table: &mut Table, store: &str, what: &str, report: &Value) {
    let text = |value: &Value| {
        value.as_f64().map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s"))
    };
    for (part, of) in report["parts"].as_object().into_iter().flatten() {
        let kept = &of["kept"];
        let mut figure = format!(
            "{} ({} when it came back), {} of {} probes failed",
            text(&of["loss"]["seconds"]),
            text(&of["back"]["seconds"]),
            of["loss"]["failures"].as_u64().unwrap_or(0) + of["back"]["failures"].as_u64().unwrap_or(0),
            of["loss"]["attempts"].as_u64().unwrap_or(0) + of["back"]["attempts"].as_u64().unwrap_or(0),
        );
        if !kept.is_null() {
            figure += &format!(
                "; {} acknowledged, {} lost, {} twice",
                kept["acknowledged"], kept["lost"], kept["doubled"]
            );
        }
        let criterion = format!("{what}: {part}: RTO {} at most, nothing lost", text(&of["budget_rto"]));
        let passed = of["passed"] == true && (kept.is_null() || part == "queue" || kept["doubled"] == 0);
        table.row(store, &criterion, &figure, passed);
    }
    if report["outcome"] != "passed" {
        eprintln!("{report:#}");
    }
    let criterion = format!("{what}: to its end, and all is as before");
    table.row(store, &criterion, &report["outcome"].to_string(), report["outcome"] == "passed");
}

/// A server that takes all mail and writes the ids into a file.
pub(crate) fn sink(file: PathBuf) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let file = Arc::new(Mutex::new(std::fs::OpenOptions::new().create(true).append(true).open(file)?));
    std::thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            let file = Arc::clone(&file);
            // A client that goes away has been served.
            std::thread::spawn(move || drop(serve(&socket, &file)));
        }
    });
    Ok(address)
}

fn serve(socket: &TcpStream, file: &Mutex<std::fs::File>) -> anyhow::Result<()> {
    let reader = BufReader::new(socket.try_clone()?);
    let say = |text: &str| (&mut &*socket).write_all(format!("{text}\r\n").as_bytes());
    say("220 sink")?;
    let (mut data, mut id) = (false, String::new());
    for line in reader.lines() {
        match line?.as_str() {
            "." if data => {
                data = false;
                if let Ok(mut file) = file.lock() {
                    writeln!(file, "{}", std::mem::take(&mut id))?;
                }
                say("250 taken")?;
            }
            "DATA" => {
                data = true;
                say("354 go on")?;
            }
            "QUIT" => return Ok(say("221 bye")?),
            line if data => {
                if let Some(found) = line.strip_prefix(FIELD) {
                    found.clone_into(&mut id);
                }
            }
            _ => say("250 fine")?,
        }
    }
    Ok(())
}
