//! The store on FoundationDB 7.3 or newer, through its own client library.
//!
//! FoundationDB is what the contract of `kv` is shaped on, so this crate adds little: it finds the library and the
//! cluster and says what is missing (`client`, `cluster`), puts a prefix before each key, sorts errors into those that
//! help when tried again and those that do not (`error`), and knows which of a transaction's own writes cannot be read
//! back (`stamps`). Read decision 006 for the choices.
//!
//! What always holds:
//! - Nothing is linked: without [`open`] the process never touches the library.
//! - Nothing waits for ever: a transaction ends after [`kv::limits::TRANSACTION_TIME`], its commit included, and
//!   [`open`] gives up after [`CONNECT`].
//! - A commit whose answer did not come is [`kv::ErrorKind::MaybeCommitted`]; the retry loop's token settles it.
//! - The library's network runs once in a process, on a thread of its own, until [`stop`] or the process's exit.

mod client;
mod cluster;
mod error;
mod stamps;
mod transaction;
mod version;

pub use client::{LIBRARY, client_version, stop};
pub use cluster::DEFAULT_CLUSTER_FILE;

use cluster::ClusterFile;
use foundationdb::Database;
use foundationdb::options::{DatabaseOption, TransactionOption};
use futures::future::BoxFuture;
use kv::{Backend, BackendTransaction, Error, Priority, TransactionOptions, limits};
use runtime::CancellationToken;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use transaction::FdbTransaction;

/// How long a cluster may take to answer for the first time.
pub const CONNECT: Duration = Duration::from_secs(5);

/// Longest prefix, in bytes. With one, the longest key is shorter by as much.
pub const LONGEST_PREFIX: usize = 256;

/// Most watches of this process; FoundationDB's own default is 10,000, and each idle session has one.
const WATCHES: i32 = 1_000_000;

/// Longest tag that FoundationDB takes.
const TAG: usize = 16;

/// Which cluster, and by which client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The file that names the coordinators; [`DEFAULT_CLUSTER_FILE`] if absent. The client rewrites it when
    /// coordinators move, so the process must be able to write it.
    pub cluster_file: Option<PathBuf>,
    /// The client library; looked for in the usual places if absent.
    pub client_library: Option<PathBuf>,
    /// A directory with client libraries of other versions, for clusters that are about to be upgraded.
    pub external_clients: Option<PathBuf>,
    /// Comes before every key, so that several deployments share one cluster.
    pub prefix: Vec<u8>,
    /// The datacenter that this process is in, as the cluster's processes name theirs: reads go to the near ones.
    pub datacenter: Option<String>,
}

/// An open store.
pub struct Fdb {
    shared: Arc<Shared>,
}

/// What transactions need of the store.
struct Shared {
    database: Database,
    prefix: Vec<u8>,
    /// Held for reading by each commit under way; closing waits for all of them.
    open: tokio::sync::RwLock<bool>,
    stop: CancellationToken,
    cluster: ClusterFile,
}

/// Opens the store: loads the client library, if that has not been done, and asks the cluster for a version.
///
/// The error says what was looked for and where. It is fatal where the configuration is wrong, and retryable where the
/// cluster does not answer.
pub async fn open(options: Options) -> Result<Arc<Fdb>, Error> {
    if options.prefix.len() > LONGEST_PREFIX || options.prefix.first() == Some(&limits::SYSTEM_KEYS) {
        let what = format!("a key prefix has up to {LONGEST_PREFIX} bytes and does not begin with 0xFF");
        return Err(Error::fatal(format!("FoundationDB: {what}")));
    }
    let cluster = ClusterFile::read(options.cluster_file.as_deref())?;
    client::start(options.client_library.as_deref(), options.external_clients.as_deref())?;
    let database = database(&cluster, options.datacenter)?;
    let fdb = Fdb {
        shared: Arc::new(Shared {
            database,
            prefix: options.prefix,
            open: tokio::sync::RwLock::new(true),
            stop: CancellationToken::new(),
            cluster,
        }),
    };
    fdb.check().await?;
    Ok(Arc::new(fdb))
}

fn database(cluster: &ClusterFile, datacenter: Option<String>) -> Result<Database, Error> {
    let path = cluster.path.to_str().ok_or_else(|| Error::fatal("FoundationDB: cluster file: not UTF-8"))?;
    let broken = |e| Error::fatal(format!("FoundationDB: {}: {}", cluster.path.display(), error::text(e)));
    let database = Database::from_path(path).map_err(broken)?;
    let mut settings = vec![
        DatabaseOption::MaxWatches(WATCHES),
        DatabaseOption::TransactionTimeout(millis(limits::TRANSACTION_TIME)),
    ];
    settings.extend(datacenter.map(DatabaseOption::DatacenterId));
    settings.into_iter().try_for_each(|setting| database.set_option(setting)).map_err(broken)?;
    Ok(database)
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

impl Fdb {
    /// Asks the cluster for a version.
    pub async fn check(&self) -> Result<(), Error> {
        // With external clients the first answer is that another of them takes over.
        let asked = async {
            loop {
                let transaction = self.shared.database.create_trx().map_err(error::of_read)?;
                match transaction.get_read_version().await.map_err(error::of_read) {
                    Err(e) if e.is_retryable() => tokio::time::sleep(limits::BACKOFF_FIRST).await,
                    answer => return answer.map(drop),
                }
            }
        };
        match tokio::time::timeout(CONNECT, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(self.silent().await),
        }
    }

    /// Why the cluster does not answer, as far as the client knows.
    async fn silent(&self) -> Error {
        let status = tokio::time::timeout(CONNECT, self.shared.database.get_client_status()).await;
        let seen = match &status {
            Ok(Ok(json)) => cluster::connections(json),
            _ => String::new(),
        };
        let ClusterFile { path, coordinators, .. } = &self.shared.cluster;
        let client = client_version();
        Error::unavailable(format!(
            "FoundationDB: no answer within {CONNECT:?} from the cluster with the coordinators {coordinators} ({}){seen}; \
             client {client}",
            path.display()
        ))
    }

    /// Removes everything in the store, in one transaction.
    pub async fn clear(&self) -> Result<(), Error> {
        #[allow(clippy::disallowed_methods)]
        let transaction = self.begin(&TransactionOptions::default());
        transaction.clear_range(b"", &[limits::SYSTEM_KEYS]);
        transaction.commit().await.map(drop)
    }
}

impl Shared {
    fn begin(&self, options: &TransactionOptions) -> Result<foundationdb::Transaction, Error> {
        if self.stop.is_cancelled() {
            return Err(error::closed());
        }
        let transaction = self.database.create_trx().map_err(error::of_read)?;
        let mut settings = Vec::new();
        if options.timeout < limits::TRANSACTION_TIME {
            settings.push(TransactionOption::Timeout(millis(options.timeout).max(1)));
        }
        match options.priority {
            Priority::Interactive => {}
            Priority::Background => settings.push(TransactionOption::PriorityBatch),
            // What the cluster's throttling of mail does not reach.
            Priority::Vital => settings.push(TransactionOption::PrioritySystemImmediate),
        }
        if let Some(tag) = options.tag {
            let tag = tag.get(..TAG).unwrap_or(tag);
            settings.push(TransactionOption::AutoThrottleTag(tag.to_owned()));
        }
        for setting in settings {
            transaction.set_option(setting).map_err(error::of_read)?;
        }
        Ok(transaction)
    }
}

impl Backend for Fdb {
    fn name(&self) -> &'static str {
        "foundationdb"
    }

    fn begin(&self, options: &TransactionOptions) -> Box<dyn BackendTransaction> {
        let transaction = self.shared.begin(options);
        Box::new(FdbTransaction::new(Arc::clone(&self.shared), transaction))
    }

    fn outcome_can_be_unknown(&self) -> bool {
        true
    }

    fn advance_version(&self, version: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(version::advance(&self.shared, version))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.shared.stop.cancel();
            *self.shared.open.write().await = false;
            Ok(())
        })
    }
}

impl Drop for Fdb {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        client::stop_at_exit();
    }
}
