//! The stores that are here, each on this machine and made for the bench.

use std::path::PathBuf;
use std::sync::Arc;

use kv::{Backend, Database};
use runtime::{SystemClock, SystemRng};
use servers::PostgreSql;
use servers::foundationdb::{self, Cluster};

use crate::raw::{self, Raw};
use crate::subject::{Layer, Subject};

/// What the bench writes to FoundationDB is below this.
const PREFIX: &[u8] = b"bench/";

/// A store, and what measures it.
pub(crate) struct Store {
    /// The heading of its column.
    pub(crate) name: String,
    /// Through our layer first.
    pub(crate) subjects: Vec<Arc<dyn Subject>>,
    /// What `godwit dev --store` is given for a node that starts on an empty store.
    pub(crate) url: String,
    database: Option<Database>,
    clear: Option<Arc<kv_fdb::Fdb>>,
    _server: Server,
}

/// Ends with its store.
enum Server {
    Folder(#[allow(dead_code, reason = "it is removed when dropped")] tempfile::TempDir),
    Postgres(#[allow(dead_code, reason = "it ends when dropped")] PostgreSql),
    FoundationDb(#[allow(dead_code, reason = "it ends when dropped")] Option<Cluster>),
}

impl Store {
    /// Ends the work through `kv`, so that a node may use the store.
    pub(crate) async fn close(&mut self) -> anyhow::Result<()> {
        self.subjects.clear();
        if let Some(fdb) = self.clear.take() {
            fdb.clear().await?;
        }
        if let Some(database) = self.database.take() {
            database.close().await?;
        }
        Ok(())
    }

    fn new(name: &str, backend: Arc<dyn Backend>, url: String, server: Server) -> Self {
        let database = Database::new(backend, SystemClock::shared(), SystemRng::shared());
        let layer = Layer { name: name.to_owned(), database: database.clone() };
        let subjects: Vec<Arc<dyn Subject>> = vec![Arc::new(layer)];
        Store { name: name.to_owned(), subjects, url, database: Some(database), clear: None, _server: server }
    }
}

/// Opens all that are installed, or those of them that are `wanted`.
pub(crate) async fn all(wanted: &[String]) -> anyhow::Result<Vec<Store>> {
    let wants = |name| wanted.is_empty() || wanted.iter().any(|own| own == name);
    let mut stores = Vec::new();
    if wants("embedded") {
        stores.push(embedded()?);
    }
    if wants("postgres") {
        stores.extend(postgres().await?);
    }
    if wants("foundationdb") {
        stores.extend(fdb().await?);
    }
    Ok(stores)
}

fn embedded() -> anyhow::Result<Store> {
    let within = std::env::var_os("GODWIT_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(within)?;
    let options = kv_embedded::Options::new(SystemClock::shared(), SystemRng::shared());
    let backend = kv_embedded::open(&folder.path().join("rows"), options)?;
    let url = format!("embedded:{}", folder.path().join("mail").display());
    Ok(Store::new("embedded", backend, url, Server::Folder(folder)))
}

async fn postgres() -> anyhow::Result<Option<Store>> {
    // With fsync, as it is by itself.
    let Some(server) = PostgreSql::start(&["max_connections=200"]) else { return Ok(None) };
    let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
    let url = format!("{}?schema=rows", server.url());
    let backend = kv_postgres::open(&url, kv_postgres::Options::default(), clock, rng).await?;
    let version = server.sql("SHOW server_version");
    let name = format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default());
    let url = format!("{}?schema=mail", server.url());
    Ok(Some(Store::new(&name, backend, url, Server::Postgres(server))))
}

async fn fdb() -> anyhow::Result<Option<Store>> {
    let own = std::env::var_os("GODWIT_FDB_CLUSTER").map(PathBuf::from);
    let Some(library) = foundationdb::client_library() else { return Ok(None) };
    let cluster = if own.is_none() { foundationdb::cluster(1, 1, "single ssd") } else { None };
    let Some(file) = own.or_else(|| cluster.as_ref().map(Cluster::file)) else { return Ok(None) };
    let options = kv_fdb::Options {
        cluster_file: Some(file.clone()),
        client_library: Some(library.clone()),
        prefix: PREFIX.to_vec(),
        ..kv_fdb::Options::default()
    };
    let backend = kv_fdb::open(options).await?;
    backend.clear().await?;
    let name = format!("FoundationDB {}", kv_fdb::client_version());
    let url = format!("fdb:{}?prefix=mail/&client_library={}", file.display(), library.display());
    let mut store = Store::new(&name, Arc::clone(&backend) as _, url, Server::FoundationDb(cluster));
    let database = Arc::new(raw::open(&file)?);
    for (name, once) in [("its own client, with a token", true), ("its own client, blind", false)] {
        let raw = Raw { name, database: Arc::clone(&database), prefix: PREFIX, once };
        store.subjects.push(Arc::new(raw));
    }
    store.clear = Some(backend);
    Ok(Some(store))
}
