//! The configuration file is read again: what can change while the node runs is taken over at once, and no connection is
//! lost for it. What cannot is named, and stays as it is. A file that cannot be used changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use accounts::Accounts;
use admin::api;
use anyhow::Context;
use delivery::outbound::Runner;
use net::{Certificates, Gate, Limits, Networks};
use parking_lot::Mutex;
use runtime::Supervisor;
use serde_json::Value;
use telemetry::Log;
use tokio::signal::unix::{SignalKind, signal};

use crate::clients::Clients;
use crate::config::Config;
use crate::leaving::Times;
use crate::systemd::{self, Word};
use crate::{serve, wiring};

/// How often it is looked whether the certificate's files were renewed.
const LOOK: Duration = Duration::from_secs(60);

/// What is told of a new configuration.
pub(crate) struct Parts {
    pub(crate) log: Log,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) proxies: Networks,
    pub(crate) clients: Arc<Clients>,
    pub(crate) accounts: Accounts,
    pub(crate) runner: Runner,
}

/// The configuration in force, and how it changes: a cheap handle.
#[derive(Clone)]
pub(crate) struct Reloader(Arc<Inner>);

struct Inner {
    file: Option<PathBuf>,
    parts: Parts,
    state: Mutex<State>,
}

struct State {
    config: Config,
    certificate: Certificate,
    /// Why the last attempt changed nothing.
    failed: Option<String>,
}

/// The certificate that clients are shown.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// The file of its chain.
    pub(crate) chain: PathBuf,
    key: PathBuf,
    written: [Option<SystemTime>; 2],
    /// When it ends to be good, in seconds since the epoch, if it can be told.
    pub(crate) expires: Option<i64>,
}

impl Certificate {
    /// The operator's, or a self-signed one in the data directory; put in force.
    ///
    /// # Errors
    /// If it cannot be read, or does not fit its key.
    pub(crate) fn load(config: &Config, into: &Certificates) -> anyhow::Result<Self> {
        let (read, loaded) = Self::read(config)?;
        into.replace(vec![(Vec::new(), loaded)]);
        Ok(read)
    }

    fn read(config: &Config) -> anyhow::Result<(Self, Arc<net::CertifiedKey>)> {
        let (chain, key) = match (&config.tls.certificate, &config.tls.key) {
            (Some(chain), Some(key)) => (chain.clone(), key.clone()),
            _ => {
                let made = net::self_signed(&config.data, &serve::names(&config.hostname))?;
                (made.certificate, made.key)
            }
        };
        // Before the files are read: what is written meanwhile is seen at the next look.
        let written = written(&chain, &key);
        let loaded = Certificates::load(&chain, &key)?;
        let expires = net::expiry(&loaded);
        Ok((Certificate { chain, key, written, expires }, loaded))
    }
}

fn written(chain: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [chain, key].map(|path| std::fs::metadata(path).and_then(|about| about.modified()).ok())
}

/// All that may be wrong with a new configuration was looked at: what is left to do cannot fail.
struct Prepared {
    config: Config,
    certificate: Certificate,
    loaded: Arc<net::CertifiedKey>,
    filter: telemetry::Filter,
    proxies: Vec<net::Network>,
    routing: delivery::outbound::route::Routing,
}

impl Reloader {
    /// A configuration that is in force, and the file that it was read from.
    pub(crate) fn new(file: Option<PathBuf>, config: Config, certificate: Certificate, parts: Parts) -> Self {
        let state = Mutex::new(State { config, certificate, failed: None });
        Reloader(Arc::new(Inner { file, parts, state }))
    }

    /// How long the steps of the end take.
    pub(crate) fn times(&self) -> Times {
        let state = self.0.state.lock();
        Times { lb_grace: state.config.lb_grace.get(), drain_grace: state.config.drain_grace.get() }
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> Config {
        self.0.state.lock().config.clone()
    }

    /// The certificate in force.
    pub(crate) fn certificate(&self) -> Certificate {
        self.0.state.lock().certificate.clone()
    }

    /// Why the last attempt to take over something new changed nothing.
    pub(crate) fn failure(&self) -> Option<String> {
        self.0.state.lock().failed.clone()
    }

    /// Reads the file again and takes over what can change.
    ///
    /// # Errors
    /// Why the file, or something it names, cannot be used; then nothing has changed.
    pub(crate) fn reload(&self) -> Result<api::Reloaded, String> {
        let mut state = self.0.state.lock();
        systemd::say(Word::Reloading);
        let outcome = self.change(&mut state);
        // Up it is in either case.
        systemd::say(Word::Ready);
        match outcome {
            Ok(done) => {
                state.failed = None;
                tracing::info!(changed = ?done.changed, kept = ?done.kept, "configuration read again");
                if !done.kept.is_empty() {
                    tracing::warn!(kept = ?done.kept, "these settings need a restart; the old ones stay");
                }
                Ok(done)
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the configuration cannot be used; nothing has changed");
                state.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    fn change(&self, state: &mut State) -> anyhow::Result<api::Reloaded> {
        let wanted = match &self.0.file {
            Some(file) => Config::load(file).with_context(|| file.display().to_string())?,
            None => state.config.clone(),
        };
        let next = taken_over(&state.config, &wanted);
        let changed = differences(&state.config, &next)?;
        let kept = differences(&next, &wanted)?;
        let prepared = prepare(next)?;
        let renewed = prepared.certificate.written != state.certificate.written;
        let certificate = prepared.certificate.chain.display().to_string();
        let certificate_expires = prepared.certificate.expires;
        self.put_in_force(state, prepared);
        Ok(api::Reloaded { changed, kept, certificate, renewed, certificate_expires })
    }

    fn put_in_force(&self, state: &mut State, next: Prepared) {
        let parts = &self.0.parts;
        parts.log.set(next.filter);
        parts.certificates.replace(vec![(Vec::new(), next.loaded)]);
        parts.gate.set_limits(limits(&next.config));
        parts.proxies.replace(next.proxies);
        parts.accounts.set_options(wiring::account_options(&next.config));
        parts.runner.set_routing(next.routing);
        parts.clients.change(&next.config);
        state.config = next.config;
        state.certificate = next.certificate;
    }

    /// Reads again at SIGHUP, and takes over a certificate whose files were renewed, until the drain.
    pub(crate) fn spawn(&self, supervisor: &Supervisor) -> std::io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let (reloader, drain) = (self.clone(), supervisor.shutdown().drain.clone());
        supervisor.spawn(runtime::TaskKind::Background, "reload", async move {
            loop {
                let asked = tokio::select! {
                    () = drain.cancelled() => return,
                    _ = hangup.recv() => true,
                    () = tokio::time::sleep(LOOK) => false,
                };
                let reloader = reloader.clone();
                // What happened is in the log.
                let _ = tokio::task::spawn_blocking(move || {
                    if asked {
                        drop(reloader.reload());
                    } else {
                        reloader.renew();
                    }
                })
                .await;
            }
        });
        Ok(())
    }

    /// Takes over the certificate if its files have changed.
    fn renew(&self) {
        let mut state = self.0.state.lock();
        let known = &state.certificate;
        if written(&known.chain, &known.key) == known.written {
            return;
        }
        match Certificate::load(&state.config, &self.0.parts.certificates) {
            Ok(certificate) => {
                tracing::info!(expires = certificate.expires, "renewed certificate is in force");
                state.certificate = certificate;
                state.failed = None;
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the renewed certificate cannot be used; the old one stays");
                state.failed = Some(error);
            }
        }
    }
}

fn prepare(config: Config) -> anyhow::Result<Prepared> {
    let (certificate, loaded) = Certificate::read(&config)?;
    Ok(Prepared {
        certificate,
        loaded,
        filter: telemetry::filter(&config.log)?,
        proxies: proxies(&config)?,
        routing: wiring::routing(&config)?,
        config,
    })
}

/// How many connections there may be.
pub(crate) fn limits(config: &Config) -> Limits {
    let usual = Limits::default();
    Limits {
        connections: config.limits.connections,
        per_address: config.limits.per_address,
        exempt: net::Network::loopback(),
        // The last one sent away has half of the time to go.
        farewell: usual.farewell.min(config.drain_grace.get() / 2),
        ..usual
    }
}

/// Networks of load balancers.
pub(crate) fn proxies(config: &Config) -> Result<Vec<net::Network>, net::NetworkError> {
    config.listeners.proxies.iter().map(|network| network.parse()).collect()
}

/// What of a wanted configuration can be put in force while the node runs; the rest is as it was.
fn taken_over(current: &Config, wanted: &Config) -> Config {
    let mut next = current.clone();
    next.listeners.proxies.clone_from(&wanted.listeners.proxies);
    next.tls.clone_from(&wanted.tls);
    next.auth.clone_from(&wanted.auth);
    next.smtp.clone_from(&wanted.smtp);
    next.delivery.clone_from(&wanted.delivery);
    next.limits.clone_from(&wanted.limits);
    next.probe.clone_from(&wanted.probe);
    next.log.clone_from(&wanted.log);
    next.drain_grace = wanted.drain_grace;
    next.lb_grace = wanted.lb_grace;
    next
}

/// The names of the settings that differ, as they stand in the file.
fn differences(one: &Config, other: &Config) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    compare("", &serde_json::to_value(one)?, &serde_json::to_value(other)?, &mut names);
    Ok(names)
}

fn compare(name: &str, one: &Value, other: &Value, names: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let below = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&below, &of(one), &of(other), names);
            }
        }
        _ if one == other => {}
        _ => names.push(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "hostname = \"mx.example.test\"\ndata = \"/var/lib/godwit\"\n";

    fn config(more: &str) -> Config {
        Config::parse(&format!("{SMALL}{more}")).unwrap()
    }

    #[test]
    fn what_can_change_does_and_the_rest_is_named() {
        let current = config("");
        let wanted = config(
            "log = \"debug\"\nlb_grace = \"2 s\"\n[limits]\nconnections = 7\n[store]\nurl = \"embedded:/x\"\n\
             [listeners]\nsmtp = [\"127.0.0.1:25\"]\nproxies = [\"10.0.0.0/8\"]\n[delivery]\nrelay = \"a:25\"\n",
        );
        let next = taken_over(&current, &wanted);
        let changed = ["delivery.relay", "lb_grace", "limits.connections", "listeners.proxies", "log"];
        assert_eq!(differences(&current, &next).unwrap(), changed);
        assert_eq!(differences(&next, &wanted).unwrap(), ["listeners.smtp", "store.url"]);
        assert!(differences(&next, &taken_over(&next, &wanted)).unwrap().is_empty());
    }

    #[test]
    fn a_wrong_part_is_found_before_anything_changes() {
        let dir = tempfile::tempdir().unwrap();
        let with = |more: &str| {
            let data = format!("hostname = \"mx.example.test\"\ndata = {:?}\n", dir.path().join("data"));
            std::fs::create_dir_all(dir.path().join("data")).unwrap();
            prepare(Config::parse(&format!("{data}{more}")).unwrap()).map(|prepared| prepared.certificate)
        };
        assert!(with("").unwrap().expires.is_some());
        for (wrong, word) in [
            ("log = \"info,[[[\"\n", "[[["),
            ("[delivery]\nrelay = \"a\"\n", "HOST:PORT"),
            ("[tls]\ncertificate = \"/nowhere/c.pem\"\nkey = \"/nowhere/k.pem\"\n", "/nowhere/c.pem"),
        ] {
            let error = format!("{:#}", with(wrong).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }
}
