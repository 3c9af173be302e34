//! Opening the store that a URL names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use kv::{Backend, Database};
use runtime::{SharedClock, SharedRng};

/// What a store URL says.
#[derive(Debug, PartialEq, Eq)]
enum Location {
    Embedded(PathBuf),
    Postgres(String),
}

impl Location {
    /// `embedded:DIR`; without a URL, and without DIR, the folder `store` of the data directory.
    fn parse(url: Option<&str>, data: &Path) -> anyhow::Result<Self> {
        let own = || data.join("store");
        match url.map(|url| url.split_once(':').unwrap_or((url, ""))) {
            None | Some(("embedded", "")) => Ok(Location::Embedded(own())),
            Some(("embedded", dir)) => Ok(Location::Embedded(dir.into())),
            Some(("postgres" | "postgresql", _)) => {
                Ok(Location::Postgres(url.unwrap_or_default().to_owned()))
            }
            Some((scheme, _)) => {
                bail!(
                    "this version has no store of the kind {scheme:?}; it has embedded:DIR and postgres://…"
                )
            }
        }
    }
}

/// Whether several nodes may use the store that a URL names.
pub(crate) fn is_shared(url: Option<&str>) -> bool {
    !matches!(Location::parse(url, Path::new("")), Ok(Location::Embedded(_)))
}

/// Opens the store.
pub(crate) async fn open(
    url: Option<&str>,
    data: &Path,
    clock: &SharedClock,
    rng: &SharedRng,
) -> anyhow::Result<Database> {
    let (to_clock, to_rng) = (Arc::clone(clock), Arc::clone(rng));
    let backend: Arc<dyn Backend> = match Location::parse(url, data)? {
        Location::Embedded(dir) => {
            let options = kv_embedded::Options::new(to_clock, to_rng);
            kv_embedded::open(&dir, options).with_context(|| format!("the store in {}", dir.display()))?
        }
        Location::Postgres(url) => {
            let store = kv_postgres::open(&url, kv_postgres::Options::default(), to_clock, to_rng).await;
            store.context("the store in PostgreSQL")?
        }
    };
    Ok(Database::new(backend, Arc::clone(clock), Arc::clone(rng)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_stores() {
        let parse = |url| Location::parse(url, Path::new("data")).map_err(|e| e.to_string());
        assert_eq!(parse(None), Ok(Location::Embedded("data/store".into())));
        assert_eq!(parse(Some("embedded:")), Ok(Location::Embedded("data/store".into())));
        assert_eq!(parse(Some("embedded:/x")), Ok(Location::Embedded("/x".into())));
        assert_eq!(parse(Some("postgres://h/d")), Ok(Location::Postgres("postgres://h/d".into())));
        assert!(is_shared(Some("postgres://h/d")) && !is_shared(Some("embedded:/x")) && !is_shared(None));
        assert!(parse(Some("oracle:x")).unwrap_err().contains("oracle"));
    }
}
