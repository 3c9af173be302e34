//! Clients that write marks while things go wrong, and the account that is settled afterwards.

use crate::{Database, Error, ErrorKind, TransactionOptions, Versionstamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What became of a mark.
#[derive(Debug)]
enum Fate {
    Acknowledged(Versionstamp),
    Failed(ErrorKind),
}

/// Clients at work.
pub struct Load {
    clients: JoinSet<Vec<(String, Fate)>>,
    stop: Arc<AtomicBool>,
    acknowledged: watch::Sender<u64>,
}

impl Load {
    /// Starts `clients`, each of which commits one mark after the other.
    pub fn start(db: &Database, clients: usize) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(0));
        let mut load = Load { clients: JoinSet::new(), stop, acknowledged };
        let options = TransactionOptions { timeout: Duration::from_secs(3), ..TransactionOptions::default() };
        for client in 0..clients {
            let (db, stop, acknowledged) =
                (db.with_options(options), Arc::clone(&load.stop), load.acknowledged.clone());
            load.clients.spawn(async move {
                let mut fates = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let mark = format!("mark/{client}/{:06}", fates.len());
                    let fate = match commit(&db, &mark).await {
                        Ok(stamp) => {
                            acknowledged.send_modify(|count| *count += 1);
                            Fate::Acknowledged(stamp)
                        }
                        Err(e) => Fate::Failed(e.kind()),
                    };
                    fates.push((mark, fate));
                }
                fates
            });
        }
        load
    }

    /// Waits until `more` further marks were acknowledged.
    pub async fn acknowledged(&self, more: u64) {
        let mut count = self.acknowledged.subscribe();
        let goal = *count.borrow() + more;
        let reached = count.wait_for(|count| *count >= goal);
        tokio::time::timeout(Duration::from_secs(60), reached)
            .await
            .expect("the store does not come back")
            .unwrap();
    }

    /// Ends the load and checks what `db` holds: each acknowledged mark at its version, no failed one, and
    /// each applied once.
    pub async fn settle(mut self, db: &Database) -> String {
        self.stop.store(true, Ordering::SeqCst);
        let mut fates = Vec::new();
        while let Some(of_client) = self.clients.join_next().await {
            let of_client = of_client.unwrap();
            let stamps = of_client.iter().filter_map(|(_, fate)| stamp(fate));
            assert!(stamps.is_sorted_by(|a, b| a < b), "a client's commits go back");
            fates.extend(of_client);
        }
        // The store may be about to get up.
        let patient =
            TransactionOptions { timeout: Duration::from_secs(60), ..TransactionOptions::default() };
        let (marks, count) = db.with_options(patient).read("settle", read).await.unwrap();
        let mut unknown = 0;
        for (mark, fate) in &fates {
            match (marks.get(mark), fate) {
                (Some(at), Fate::Acknowledged(stamp)) => assert_eq!(at, stamp, "{mark}"),
                (None, Fate::Acknowledged(_)) => panic!("{mark} was acknowledged and is lost"),
                (_, Fate::Failed(ErrorKind::MaybeCommitted)) => unknown += 1,
                (Some(_), Fate::Failed(kind)) => panic!("{mark} failed ({kind:?}) and is there"),
                (None, Fate::Failed(_)) => {}
            }
        }
        assert_eq!(count, marks.len() as u64, "each is applied once");
        let stamps: BTreeSet<_> = marks.values().collect();
        assert_eq!(stamps.len(), marks.len(), "versions are given once");
        let acknowledged = fates.iter().filter(|(_, fate)| stamp(fate).is_some()).count();
        format!("{acknowledged} acknowledged, {unknown} unsettled, {} in all", fates.len())
    }
}

fn stamp(fate: &Fate) -> Option<Versionstamp> {
    if let Fate::Acknowledged(stamp) = fate { Some(*stamp) } else { None }
}

async fn commit(db: &Database, mark: &str) -> Result<Versionstamp, Error> {
    let write = db.transact_versioned("mark", |txn| async move {
        txn.set_versionstamped_value(mark.as_bytes(), &[0; 10], 0);
        txn.add_i64(b"count", 1);
        Ok::<_, Error>(())
    });
    write.await.map(|((), stamp)| stamp)
}

async fn read(txn: crate::Transaction) -> Result<(BTreeMap<String, Versionstamp>, u64), Error> {
    let rows = txn.scan_prefix(b"mark/").collect().await?;
    let mark = |(key, value): (bytes::Bytes, bytes::Bytes)| {
        (String::from_utf8(key.to_vec()).unwrap(), Versionstamp::from_slice(&value).unwrap())
    };
    let count = txn.get(b"count").await?.map_or(0, |count| u64::from_le_bytes(count[..].try_into().unwrap()));
    Ok((rows.into_iter().map(mark).collect(), count))
}
