//! The rehearsal under way: one at a time, so that nobody takes the fault of one for that of another.

use kv::Transaction;
use schema::keys::node::DrillKey;
use schema::{Key, Record, level};

use crate::level::need_in;
use crate::{Drill, Error, Leases};

impl Leases {
    /// The drill under way, if there is one.
    ///
    /// # Errors
    /// The store's.
    pub async fn drill(&self) -> Result<Option<Drill>, Error> {
        self.db.read("leases.drill", |txn| async move { drill_in(&txn).await }).await
    }

    /// Says that a drill is under way. Said again by the same one it changes nothing.
    ///
    /// # Errors
    /// [`Error::Drill`] if another one is, [`Error::Level`] while older nodes may be there; else the store's.
    pub async fn begin_drill(&self, drill: &Drill) -> Result<(), Error> {
        let at = self.clock.now().millis();
        self.db
            .transact("leases.begin_drill", |txn| async move {
                match drill_in(&txn).await? {
                    Some(other) if other.id != drill.id => Err(Error::Drill(other.id)),
                    Some(_) => Ok(()),
                    None => {
                        need_in(&txn, level::SITES).await?;
                        txn.set_bytes(DrillKey.encode(), Drill { at, ..drill.clone() }.to_bytes());
                        Ok(())
                    }
                }
            })
            .await
    }

    /// Says that the drill is over. Returns whether it was under way: another one is left alone.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_drill(&self, id: &str) -> Result<bool, Error> {
        self.db
            .transact("leases.end_drill", |txn| async move {
                let its = drill_in(&txn).await?.is_some_and(|drill| drill.id == id);
                if its {
                    txn.clear(&DrillKey.encode());
                }
                Ok(its)
            })
            .await
    }
}

async fn drill_in(txn: &Transaction) -> Result<Option<Drill>, Error> {
    let value = txn.get(&DrillKey.encode()).await?;
    Ok(value.map(|value| Drill::from_bytes(&value)).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;
    use runtime::SystemClock;

    #[tokio::test]
    async fn one_at_a_time() {
        let leases = Leases::new(kv::memory::database(), SystemClock::shared());
        let drill = |id: &str| Drill { id: id.into(), what: "zone a".into(), ..Drill::default() };
        let refused = Err(Error::Level { level: level::FIRST, needs: level::SITES });
        assert_eq!(leases.begin_drill(&drill("x")).await, refused);
        let node = Node { name: "n".into(), level_min: 1, level_max: level::SITES, ..Node::default() };
        leases.join(&node).await.unwrap();
        leases.begin_drill(&drill("x")).await.unwrap();
        leases.begin_drill(&drill("x")).await.unwrap();
        assert_eq!(leases.begin_drill(&drill("y")).await, Err(Error::Drill("x".into())));
        assert!(!leases.end_drill("y").await.unwrap());
        assert_eq!(leases.drill().await.unwrap().unwrap().what, "zone a");
        assert!(leases.end_drill("x").await.unwrap() && !leases.end_drill("x").await.unwrap());
        leases.begin_drill(&drill("y")).await.unwrap();
    }
}
