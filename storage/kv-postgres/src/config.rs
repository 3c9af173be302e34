//! The URL of a store: which servers, and how they are trusted.

use kv::Error;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode, SslNegotiation, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// After this much silence a peer is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// How to connect.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) tls: MakeRustlsConnect,
    /// The schema, where the URL names one.
    pub(crate) schema: Option<String>,
}

impl Connector {
    /// Reads `postgres://user:password@host:port,host:port/database?parameter=value`.
    ///
    /// The parameters are libpq's as far as tokio-postgres has them, `sslrootcert`, and `schema`. Wherever TLS is used the
    /// server's certificate is verified, with its name. Without `sslmode` TLS is required, except for sockets
    /// and loopback addresses. Of several hosts the one that is writable is used.
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        let Url { rest, mode, root, schema } = Url::split(url)?;
        let mut config: tokio_postgres::Config = rest
            .parse()
            .map_err(|e| Error::fatal(format!("PostgreSQL URL: {}", crate::error::describe(&e))))?;
        if config.get_user().is_none() {
            return Err(Error::fatal("PostgreSQL URL: it names no user (postgres://USER@HOST/DATABASE)"));
        }
        let mode = match mode {
            Some(mode) => mode,
            None if config.get_hosts().iter().all(is_local) => SslMode::Disable,
            None => SslMode::Require,
        };
        config.ssl_mode(mode);
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE).keepalives_retries(2);
        config.tcp_user_timeout(UNACKNOWLEDGED);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("godwit");
        }
        let direct = config.get_ssl_negotiation() == SslNegotiation::Direct;
        Ok(Connector { tls: tls(mode, root.as_deref(), direct)?, config, schema })
    }

    /// Which servers and database these are, for people.
    pub(crate) fn place(&self) -> String {
        let ports = self.config.get_ports().iter().copied();
        let ports = ports.chain(std::iter::repeat(self.config.get_ports().first().copied().unwrap_or(5432)));
        let host = |(host, port): (&Host, u16)| match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => format!("{} (port {port})", path.display()),
        };
        let hosts: Vec<String> = self.config.get_hosts().iter().zip(ports).map(host).collect();
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        format!("{}, database {database}", hosts.join(", "))
    }

    /// How long it may take to find the primary among all hosts.
    pub(crate) fn longest_connect(&self) -> Duration {
        let each = self.config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        each * u32::try_from(self.config.get_hosts().len()).unwrap_or(u32::MAX) + CONNECT_TIMEOUT
    }
}

/// What tokio-postgres does not read itself, taken out of the URL.
struct Url {
    rest: String,
    mode: Option<SslMode>,
    root: Option<String>,
    schema: Option<String>,
}

impl Url {
    fn split(url: &str) -> Result<Self, Error> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(Error::fatal("PostgreSQL URL: it must begin with postgres://"));
        }
        let (mut mode, mut root, mut schema, mut kept) = (None, None, None, Vec::new());
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", "disable")) => mode = Some(SslMode::Disable),
                Some(("sslmode", "prefer")) => mode = Some(SslMode::Prefer),
                Some(("sslmode", "require" | "verify-ca" | "verify-full")) => mode = Some(SslMode::Require),
                Some(("sslmode", other)) => {
                    return Err(Error::fatal(format!(
                        "PostgreSQL URL: sslmode is disable, prefer, require or verify-full, not {other}"
                    )));
                }
                Some(("sslrootcert", path)) => root = Some(decoded(path)),
                Some(("schema", name)) => schema = Some(decoded(name)),
                _ => kept.push(parameter),
            }
        }
        let rest = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
        Ok(Url { rest, mode, root, schema })
    }
}

/// A value of a URL without its percent signs. What is not hexadecimal behind one stays.
fn decoded(value: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), value.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex {
            Some(byte) if *first == b'%' => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether what is sent there stays on this machine.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

fn tls(mode: SslMode, root: Option<&str>, direct: bool) -> Result<MakeRustlsConnect, Error> {
    let broken = |e: rustls::Error| Error::fatal(format!("TLS to PostgreSQL: {e}"));
    let builder: ConfigBuilder<ClientConfig, WantsVerifier> =
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(broken)?;
    let mut config = match root {
        Some(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
        None if mode == SslMode::Disable => {
            builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
        None => builder.with_platform_verifier().map_err(broken)?.with_no_client_auth(),
    };
    if direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

fn roots(path: &str) -> Result<RootCertStore, Error> {
    let broken = |why: String| Error::fatal(format!("PostgreSQL URL: sslrootcert {path}: {why}"));
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| broken(e.to_string()))? {
        let certificate = certificate.map_err(|e| broken(e.to_string()))?;
        store.add(certificate).map_err(|e| broken(e.to_string()))?;
    }
    if store.is_empty() {
        return Err(broken("no certificate in it".to_owned()));
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Connector::new(url).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn urls_are_libpqs() {
        let url = "postgres://mail:secret@db1:5433,db2/mail?sslmode=verify-full&connect_timeout=7";
        let config = Connector::new(url).unwrap().config;
        assert_eq!(config.get_hosts().len(), 2);
        assert_eq!(config.get_ports(), [5433, 5432]);
        assert_eq!(config.get_dbname(), Some("mail"));
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(7)));
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    }

    #[test]
    fn a_place_is_told_without_secrets() {
        let place = |url: &str| Connector::new(url).unwrap().place();
        assert_eq!(place("postgres://u:hush@db1,db2:7/mail"), "db1:5432, db2:7, database mail");
        assert_eq!(place("postgres://u:hush@%2Frun%2Fpg"), "/run/pg (port 5432), database u");
    }

    #[test]
    fn a_schema_is_ours_to_read() {
        let connector = Connector::new("postgres://u@localhost/d?schema=mail_2&connect_timeout=7").unwrap();
        assert_eq!(connector.schema.as_deref(), Some("mail_2"));
        assert_eq!(connector.config.get_dbname(), Some("d"));
        assert_eq!(Connector::new("postgres://u@localhost/d").unwrap().schema, None);
    }

    #[test]
    fn tls_is_required_unless_nobody_can_listen() {
        let mode = |url: &str| Connector::new(url).unwrap().config.get_ssl_mode();
        assert_eq!(mode("postgres://u@db.example/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@localhost,db.example/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@127.0.0.1:5433/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@%2Frun%2Fpostgresql/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@db.example/d?sslmode=disable"), SslMode::Disable);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(refused("mysql://u@h/d").contains("postgres://"));
        assert!(refused("postgres://h/d").contains("user"));
        assert!(refused("postgres://u@h/d?sslmode=allow").contains("sslmode"));
        assert!(refused("postgres://u@h/d?color=red").contains("color"));
        assert!(refused("postgres://u@h/d?sslrootcert=%2Fno%2Fsuch.pem").contains("/no/such.pem"));
        assert!(refused("postgres://u@h:port/d").contains("port"));
    }
}
