//! The accounts of a demo, with their passwords in clear: they are printed at each start.

use kv::Transaction;
use schema::keys::system::DemoKey;
use schema::records::system::Demo;
use schema::{Key, Record};

use crate::{Accounts, Error};

impl Accounts {
    /// The demo's accounts as they are noted; `fresh` is noted if nothing is. Of nodes that begin at once all get the same.
    ///
    /// # Errors
    /// The store's.
    pub async fn demo(&self, fresh: &Demo) -> Result<Demo, Error> {
        let keep = |txn: Transaction| async move {
            let key = DemoKey.encode();
            if let Some(bytes) = txn.get(&key).await? {
                return Ok(Demo::from_bytes(&bytes)?);
            }
            txn.set(&key, &fresh.to_bytes());
            Ok(fresh.clone())
        };
        self.db().transact("accounts.demo", keep).await
    }
}
