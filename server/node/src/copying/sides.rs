//! The two stores of a copy, opened by their configurations.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use kv::{Database, prefix_end};
use transfer::{Bodies, Direct, Pieces, Source};

use super::Work;
use crate::{secrets, store};

/// The store that is copied.
pub(super) enum Origin {
    /// Open in this process.
    Open { db: Database, rows: Arc<dyn Source>, embedded: bool },
    /// An embedded one that its node has open.
    Node(Arc<dyn Source>),
}

/// The store that is copied to.
pub(super) struct Destination {
    pub(super) db: Database,
}

impl Origin {
    pub(super) fn rows(&self) -> Arc<dyn Source> {
        match self {
            Origin::Open { rows, .. } | Origin::Node(rows) => Arc::clone(rows),
        }
    }

    /// Whether at most one process can have it open.
    pub(super) fn is_embedded(&self) -> bool {
        !matches!(self, Origin::Open { embedded: false, .. })
    }

    pub(super) async fn close(&self) -> anyhow::Result<()> {
        match self {
            Origin::Open { db, .. } => db.close().await.context("closing the store that is copied"),
            Origin::Node(_) => Ok(()),
        }
    }
}

impl Work {
    /// Opens the store that is copied, or finds the node that has it open.
    pub(super) async fn origin(&self) -> anyhow::Result<Origin> {
        let config = &self.from;
        let same = store::is_same((&config.store, &config.data), (&self.to.store, &self.to.data))?;
        ensure!(!same, "both configurations name the same store");
        let folder = store::embedded_folder(&config.store, &config.data)?;
        if let Some(folder) = &folder {
            ensure!(folder.is_dir(), "there is no store in {}", folder.display());
        }
        let db = match store::open(&config.store, &config.data, &self.clock, &self.rng).await {
            Ok(db) => db,
            Err(error) if store::is_locked(&error) => return Ok(Origin::Node(Arc::new(self.node().await?))),
            Err(error) => return Err(error),
        };
        if holds_anything(&db).await? {
            // One that no node of this version has served yet has none.
            changes::incarnation::current(&db, &*self.clock, &*self.rng).await?;
        }
        let rows = Arc::new(Direct::new(&db));
        Ok(Origin::Open { db, rows, embedded: folder.is_some() })
    }

    /// The node that has the embedded store open.
    async fn node(&self) -> anyhow::Result<ctl::NodeRows> {
        let config = &self.from;
        let listener = config.listeners.admin.first().map(|address| format!("http://{address}"));
        let left = config.data.join(secrets::ADMIN_URL).exists();
        let connection = ctl::Connection {
            admin: listener.filter(|_| !left),
            password: None,
            data: config.data.clone(),
            json: false,
        };
        let rows = ctl::NodeRows::open(&connection).await;
        rows.context("the store is in use, and the node that uses it cannot be asked for its rows")
    }

    /// Opens the store that is copied to.
    pub(super) async fn destination(&self) -> anyhow::Result<Destination> {
        let config = &self.to;
        std::fs::create_dir_all(&config.data)
            .with_context(|| format!("cannot make {}", config.data.display()))?;
        match store::open(&config.store, &config.data, &self.clock, &self.rng).await {
            Ok(db) => Ok(Destination { db }),
            Err(error) if store::is_locked(&error) => {
                bail!("a node uses the store of {}: stop it", self.arguments.to.display())
            }
            Err(error) => Err(error),
        }
    }

    /// The way of bodies outside of rows; none if they stay where they are.
    pub(super) fn bodies(
        &self,
        origin: &Origin,
        destination: &Destination,
    ) -> anyhow::Result<Option<Bodies>> {
        let (from, to) = (self.from.body_place()?, self.to.body_place()?);
        let identities = (from.identity(&self.from.data), to.identity(&self.to.data));
        if identities.0 == identities.1 {
            return Ok(None);
        }
        let from: Arc<dyn blob::Objects> = match &from {
            blob::Place::Chunks => Arc::new(Pieces::new(origin.rows())),
            // No other place needs a store.
            place => {
                let timeout = self.from.blob.timeout.get();
                place.objects(&self.from.data, &destination.db, &self.clock, timeout)?
            }
        };
        let to = to.objects(&self.to.data, &destination.db, &self.clock, self.to.blob.timeout.get())?;
        let spill = self.to.data.join("spill");
        Ok(Some(Bodies::new((identities.0, from), (identities.1, to), spill)))
    }

    /// Reads bodies of the copy as a node of it will.
    pub(super) fn reader(&self, destination: &Destination) -> anyhow::Result<blob::Store> {
        let config = &self.to;
        let place = config.body_place()?;
        let options = blob::Options { timeout: config.blob.timeout.get(), ..blob::Options::default() };
        let (clock, rng) = (self.clock.clone(), self.rng.clone());
        let db = destination.db.clone();
        Ok(blob::Store::open_at(&place, &config.data, db, clock, rng, options)?)
    }
}

/// Whether there is a row that does not belong to the store itself.
async fn holds_anything(db: &Database) -> Result<bool, kv::Error> {
    let tokens = [kv::idempotency::TAG];
    let after = &prefix_end(&tokens);
    db.read("copy.empty", |txn| async move {
        let below = txn.range(b"", &tokens).snapshot().first().await?;
        Ok(below.is_some()
            || txn.range(after, &[kv::limits::SYSTEM_KEYS]).snapshot().first().await?.is_some())
    })
    .await
}
