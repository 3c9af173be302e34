//! Opening the store that the configuration names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use kv::{Backend, Database};
use runtime::{SharedClock, SharedRng};

use crate::config::{self, StoreKind};

/// Which store.
#[derive(Debug, PartialEq, Eq)]
enum Location {
    Embedded(PathBuf),
    Postgres(String),
    FoundationDb(kv_fdb::Options),
}

impl Location {
    /// By its URL (`embedded:DIR`, `postgres://…`, `fdb:CLUSTER_FILE`), or by the kind alone. Without either, and
    /// without DIR, it is the folder `store` of the data directory.
    fn of(store: &config::Store, data: &Path) -> anyhow::Result<Self> {
        let own = || Location::Embedded(data.join("store"));
        let Some(url) = store.url.as_deref() else {
            return match store.backend {
                None | Some(StoreKind::Embedded) => Ok(own()),
                Some(StoreKind::Postgres) => bail!("store.backend \"postgres\" wants store.url"),
                Some(StoreKind::Foundationdb) => Ok(Location::FoundationDb(foundationdb(store))),
            };
        };
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        let (kind, location) = match scheme {
            "embedded" if rest.is_empty() => (StoreKind::Embedded, own()),
            "embedded" => (StoreKind::Embedded, Location::Embedded(rest.into())),
            "postgres" | "postgresql" => (StoreKind::Postgres, Location::Postgres(url.to_owned())),
            "fdb" => (StoreKind::Foundationdb, fdb_url(rest, foundationdb(store))?),
            _ => bail!(
                "this version has no store of the kind {scheme:?}; it has embedded:DIR, postgres://… and \
                 fdb:CLUSTER_FILE"
            ),
        };
        if store.backend.is_some_and(|wanted| wanted != kind) {
            bail!("store.backend and store.url name stores of two kinds");
        }
        Ok(location)
    }
}

/// The section `store.foundationdb`.
fn foundationdb(store: &config::Store) -> kv_fdb::Options {
    let section = store.foundationdb.clone();
    kv_fdb::Options {
        cluster_file: section.cluster_file,
        client_library: section.client_library,
        external_clients: section.external_clients,
        prefix: section.prefix.into_bytes(),
        datacenter: section.datacenter,
    }
}

/// `CLUSTER_FILE?prefix=P&client_library=FILE&datacenter=NAME`, all of which may be absent.
fn fdb_url(rest: &str, mut options: kv_fdb::Options) -> anyhow::Result<Location> {
    let (file, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    if !file.is_empty() {
        options.cluster_file = Some(file.into());
    }
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("prefix", prefix)) => options.prefix = prefix.into(),
            Some(("client_library", file)) => options.client_library = Some(file.into()),
            Some(("datacenter", name)) => options.datacenter = Some(name.into()),
            _ => bail!(
                "fdb:CLUSTER_FILE has no parameter {parameter:?}; it has prefix=…, client_library=… and datacenter=…"
            ),
        }
    }
    Ok(Location::FoundationDb(options))
}

/// Whether the store is on other machines: what is wrong with it may pass, and several nodes may use it.
pub(crate) fn is_remote(store: &config::Store, data: &Path) -> bool {
    matches!(Location::of(store, data), Ok(Location::Postgres(_) | Location::FoundationDb(_)))
}

/// Whether two configurations name one store.
pub(crate) fn is_same(a: (&config::Store, &Path), b: (&config::Store, &Path)) -> anyhow::Result<bool> {
    let place = |(store, data)| {
        Ok::<_, anyhow::Error>(match Location::of(store, data)? {
            Location::Embedded(dir) => Location::Embedded(dir.canonicalize().unwrap_or(dir)),
            other => other,
        })
    };
    Ok(place(a)? == place(b)?)
}

/// The folder of an embedded store.
pub(crate) fn embedded_folder(store: &config::Store, data: &Path) -> anyhow::Result<Option<PathBuf>> {
    Ok(match Location::of(store, data)? {
        Location::Embedded(dir) => Some(dir),
        _ => None,
    })
}

/// Whether an embedded store could not be opened since another process has it.
pub(crate) fn is_locked(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(kv_embedded::Error::Locked))
}

/// Opens the store.
pub(crate) async fn open(
    store: &config::Store,
    data: &Path,
    clock: &SharedClock,
    rng: &SharedRng,
) -> anyhow::Result<Database> {
    let (to_clock, to_rng) = (Arc::clone(clock), Arc::clone(rng));
    let backend: Arc<dyn Backend> = match Location::of(store, data)? {
        Location::Embedded(dir) => {
            let options = kv_embedded::Options::new(to_clock, to_rng);
            kv_embedded::open(&dir, options).with_context(|| format!("the store in {}", dir.display()))?
        }
        Location::Postgres(url) => {
            let store = kv_postgres::open(&url, kv_postgres::Options::default(), to_clock, to_rng).await;
            store.with_context(|| match kv_postgres::place(&url) {
                Some(place) => format!("the store in PostgreSQL at {place}"),
                None => "the store in PostgreSQL".to_owned(),
            })?
        }
        Location::FoundationDb(options) => {
            kv_fdb::open(options).await.context("the store in FoundationDB")?
        }
    };
    #[cfg(feature = "faults")]
    let backend = crate::faults::wrap(backend)?;
    Ok(Database::new(backend, Arc::clone(clock), Arc::clone(rng)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Store;

    fn of(url: Option<&str>) -> Result<Location, String> {
        let store = Store { url: url.map(str::to_owned), ..Store::default() };
        Location::of(&store, Path::new("data")).map_err(|e| e.to_string())
    }

    #[test]
    fn urls_name_stores() {
        assert_eq!(of(None), Ok(Location::Embedded("data/store".into())));
        assert_eq!(of(Some("embedded:")), Ok(Location::Embedded("data/store".into())));
        assert_eq!(of(Some("embedded:/x")), Ok(Location::Embedded("/x".into())));
        assert_eq!(of(Some("postgres://h/d")), Ok(Location::Postgres("postgres://h/d".into())));
        assert!(of(Some("oracle:x")).unwrap_err().contains("oracle"));
    }

    #[test]
    fn nodes_share_what_is_on_other_machines() {
        let remote = |url: &str| {
            let store = Store { url: Some(url.to_owned()), ..Store::default() };
            is_remote(&store, Path::new("data"))
        };
        assert!(remote("postgres://h/d") && remote("fdb:/c") && !remote("embedded:/x"));
        assert!(!is_remote(&Store::default(), Path::new("data")));
    }

    #[test]
    fn a_url_of_foundationdb_names_file_prefix_and_library() {
        let location = |options| Ok(Location::FoundationDb(options));
        let file = kv_fdb::Options { cluster_file: Some("/c".into()), ..kv_fdb::Options::default() };
        assert_eq!(of(Some("fdb:")), location(kv_fdb::Options::default()));
        assert_eq!(of(Some("fdb:/c")), location(file.clone()));
        let all = kv_fdb::Options { prefix: b"p/".into(), client_library: Some("/l.so".into()), ..file };
        assert_eq!(of(Some("fdb:/c?prefix=p/&client_library=/l.so")), location(all));
        assert!(of(Some("fdb:/c?color=red")).unwrap_err().contains("color"));
    }

    #[test]
    fn the_kind_goes_with_the_url() {
        let of = |kind, url: Option<&str>| {
            let store = Store { backend: Some(kind), url: url.map(str::to_owned), ..Store::default() };
            Location::of(&store, Path::new("data")).map_err(|e| e.to_string())
        };
        assert_eq!(of(StoreKind::Embedded, None), Ok(Location::Embedded("data/store".into())));
        assert_eq!(of(StoreKind::Foundationdb, None), Ok(Location::FoundationDb(kv_fdb::Options::default())));
        assert!(of(StoreKind::Foundationdb, Some("fdb:/c")).is_ok());
        assert!(of(StoreKind::Foundationdb, Some("embedded:/x")).unwrap_err().contains("two kinds"));
        assert!(of(StoreKind::Postgres, None).unwrap_err().contains("store.url"));
    }
}
