//! What nodes know each other by: made by the first node, read by all.

use schema::keys::node::SecretsKey;
use schema::{Key, Record};

use crate::{Error, Leases, Secrets, touch};

impl Leases {
    /// The cluster's secrets: those in the store, or else `made`, which is in the store from then on. Of nodes that begin
    /// at once one makes them, and all get the same.
    ///
    /// # Errors
    /// The store's.
    pub async fn secrets_or(&self, made: &Secrets) -> Result<Secrets, Error> {
        self.db
            .transact("leases.secrets", |txn| async move {
                let key = SecretsKey.encode();
                if let Some(value) = txn.get(&key).await? {
                    return Ok(Secrets::from_bytes(&value)?);
                }
                txn.set_bytes(key, made.to_bytes());
                touch(&txn);
                Ok(made.clone())
            })
            .await
    }

    /// The cluster's secrets, if any node has begun.
    ///
    /// # Errors
    /// The store's.
    pub async fn secrets(&self) -> Result<Option<Secrets>, Error> {
        self.db
            .read("leases.secrets", |txn| async move {
                let value = txn.get(&SecretsKey.encode()).await?;
                Ok(value.map(|value| Secrets::from_bytes(&value)).transpose()?)
            })
            .await
    }

    /// Changes the cluster's secrets, to rotate a key or an authority. A new one is added behind the others first, so that
    /// all nodes know it before it is put first and used.
    ///
    /// # Errors
    /// The store's.
    pub async fn change_secrets(
        &self,
        change: impl Fn(&mut Secrets) + Send + Sync,
    ) -> Result<Secrets, Error> {
        let change = &change;
        self.db
            .transact("leases.change_secrets", |txn| async move {
                let key = SecretsKey.encode();
                let value = txn.get(&key).await?;
                let mut secrets =
                    value.map(|value| Secrets::from_bytes(&value)).transpose()?.unwrap_or_default();
                change(&mut secrets);
                txn.set_bytes(key, secrets.to_bytes());
                touch(&txn);
                Ok(secrets)
            })
            .await
    }
}
