//! Watches: woken by notifications, and by a look from time to time where one was lost.
//!
//! Each commit notifies with a hash of each key that it wrote; the listener of each process reads those of its
//! watched keys whose hash is among them and compares. One connection serves all watches of a process; as long
//! as it is away they sleep, and when it is back all are looked at.

use crate::config::Connector;
use crate::error;
use crate::position::{Head, Known};
use crate::session;
use crate::sql::{self, Sql};
use crate::window::WriteSet;
use bytes::Bytes;
use kv::{Error, Watch, idempotency};
use parking_lot::Mutex;
use runtime::CancellationToken;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::{AsyncMessage, Client};

/// How often all watched keys are looked at without a notification.
const POLL: Duration = Duration::from_secs(1);

/// The wait before a lost connection is tried again.
const RECONNECT: Duration = Duration::from_millis(300);

/// Keys asked for at once.
const CHUNK: usize = 1_000;

/// Most hashes in a notification, whose payload can have 7,999 bytes.
const HASHES: usize = 1_500;

/// Stands for every key: where a range was written, or more keys than fit.
const ANY_KEY: &str = "*";

/// All watches of this process.
pub(crate) struct Watches {
    by_key: Mutex<HashMap<Bytes, Vec<Watch>>>,
    /// Keys to be looked at once, since they may have changed before their watch was there.
    fresh: mpsc::UnboundedSender<Bytes>,
}

impl Watches {
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Bytes>) {
        let (fresh, due) = mpsc::unbounded_channel();
        (Arc::new(Watches { by_key: Mutex::default(), fresh }), due)
    }

    pub(crate) fn add(&self, watch: Watch) {
        let key = watch.key.clone();
        let mut by_key = self.by_key.lock();
        let watches = by_key.entry(key.clone()).or_default();
        watches.retain(|other| !other.is_abandoned());
        watches.push(watch);
        // After the store was closed nobody looks any more.
        if self.fresh.send(key).is_err() {
            by_key.clear();
        }
    }

    /// Ends all of them: who waits is told that the store is away.
    fn clear(&self) {
        self.by_key.lock().clear();
    }

    fn all(&self) -> Vec<Bytes> {
        self.select(|_| true)
    }

    /// Watched keys for which `wanted` says so, without those that nobody waits for any more.
    fn select(&self, wanted: impl Fn(&Bytes) -> bool) -> Vec<Bytes> {
        let mut by_key = self.by_key.lock();
        by_key.retain(|_, watches| {
            watches.retain(|watch| !watch.is_abandoned());
            !watches.is_empty()
        });
        by_key.keys().filter(|key| wanted(key)).cloned().collect()
    }

    /// Wakes those who saw something else.
    fn compare(&self, key: &Bytes, value: Option<&Bytes>) {
        let mut by_key = self.by_key.lock();
        let Some(watches) = by_key.get_mut(key) else { return };
        for watch in std::mem::take(watches) {
            if watch.seen.as_ref() == value {
                watches.push(watch);
            } else {
                watch.wake();
            }
        }
        if watches.is_empty() {
            by_key.remove(key);
        }
    }
}

/// What a commit tells the listeners: four hexadecimal digits for each key.
pub(crate) fn payload<'a>(writes: impl Iterator<Item = &'a WriteSet>) -> String {
    let mut hashes = BTreeSet::new();
    for writes in writes {
        if !writes.ranges.is_empty() {
            return ANY_KEY.to_owned();
        }
        // Nobody watches a token.
        let keys = writes.keys.iter().filter(|key| key.first() != Some(&idempotency::TAG));
        hashes.extend(keys.map(|key| hash(key)));
    }
    if hashes.len() > HASHES {
        return ANY_KEY.to_owned();
    }
    hashes.iter().map(|hash| format!("{hash:04x}")).collect()
}

/// FNV-1a, folded. All processes must agree on it.
fn hash(key: &[u8]) -> u16 {
    let hash =
        key.iter().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash >> 16) as u16 ^ hash as u16
}

/// The task that looks.
pub(crate) struct Listener {
    pub(crate) connector: Connector,
    pub(crate) sql: Arc<Sql>,
    pub(crate) known: Arc<Known>,
    pub(crate) watches: Arc<Watches>,
    pub(crate) due: mpsc::UnboundedReceiver<Bytes>,
}

/// What to look at.
#[derive(Default)]
struct Due {
    all: bool,
    hashes: BTreeSet<u16>,
    keys: BTreeSet<Bytes>,
}

impl Due {
    fn notified(&mut self, payload: &str) {
        self.all |= payload == ANY_KEY;
        let hashes = payload.as_bytes().chunks_exact(4).filter_map(|hex| std::str::from_utf8(hex).ok());
        self.hashes.extend(hashes.filter_map(|hex| u16::from_str_radix(hex, 16).ok()));
    }
}

impl Listener {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let listened = tokio::select! {
                () = stop.cancelled() => break,
                listened = self.listen() => listened,
            };
            if let Err(e) = listened {
                tracing::warn!(error = %e, "listener for watches lost its connection");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RECONNECT) => {}
            }
        }
        self.due.close();
        self.watches.clear();
    }

    /// Listens until the connection is lost.
    async fn listen(&mut self) -> Result<(), Error> {
        let mut driver = JoinSet::new();
        let (client, mut connection) =
            error::answered(self.connector.config.connect(self.connector.tls.clone())).await?;
        let (heard, mut notifications) = mpsc::unbounded_channel();
        driver.spawn(async move {
            while let Some(Ok(message)) =
                std::future::poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notification(notification) = message {
                    // The listener ends with this task; one that has ended hears nothing.
                    let _ = heard.send(notification.payload().to_owned());
                }
            }
        });
        error::answered(client.batch_execute(sql::SETTINGS)).await?;
        error::answered(client.batch_execute(&self.sql.listen)).await?;
        let values = error::answered(client.prepare(&self.sql.get_many)).await?;
        let head = error::answered(client.prepare(&self.sql.head)).await?;
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let mut due = Due::default();
            tokio::select! {
                _ = poll.tick() => {
                    due.all = true;
                    let row = error::answered(client.query_one(&head, &[])).await?;
                    self.known.observe(Head::read(&row)?.position);
                }
                payload = notifications.recv() => match payload {
                    Some(payload) => due.notified(&payload),
                    None => return Err(Error::unavailable("PostgreSQL: connection closed")),
                },
                key = self.due.recv() => drop(key.map(|key| due.keys.insert(key))),
            }
            while let Ok(payload) = notifications.try_recv() {
                due.notified(&payload);
            }
            while let Ok(key) = self.due.try_recv() {
                due.keys.insert(key);
            }
            self.look(&client, &values, &due).await?;
        }
    }

    async fn look(
        &self,
        client: &Client,
        values: &tokio_postgres::Statement,
        due: &Due,
    ) -> Result<(), Error> {
        let keys = if due.all {
            self.watches.all()
        } else {
            self.watches.select(|key| due.keys.contains(key) || due.hashes.contains(&hash(key)))
        };
        for keys in keys.chunks(CHUNK) {
            let asked: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
            let rows = error::answered(client.query(values, &[&asked])).await?;
            let found: BTreeMap<Bytes, Bytes> = session::rows(&rows)?.into_iter().collect();
            keys.iter().for_each(|key| self.watches.compare(key, found.get(key)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: impl IntoIterator<Item = String>) -> WriteSet {
        WriteSet { keys: names.into_iter().map(Bytes::from).collect(), ranges: Vec::new() }
    }

    #[test]
    fn a_notification_names_what_was_written() {
        let writes = [keys(["a".to_owned(), "b".to_owned()]), keys(["a".to_owned(), "I token".to_owned()])];
        let mut due = Due::default();
        due.notified(&payload(writes.iter()));
        assert!(!due.all);
        assert_eq!(due.hashes, BTreeSet::from([hash(b"a"), hash(b"b")]));
        // FNV-1a of `a` is e40c292c.
        assert_eq!(hash(b"a"), 0xe40c ^ 0x292c);
    }

    #[test]
    fn ranges_and_many_keys_are_everything() {
        let range = WriteSet { keys: vec![], ranges: vec![(Bytes::from("a"), Bytes::from("b"))] };
        assert_eq!(payload([range].iter()), ANY_KEY);
        let many = keys((0..20_000).map(|n| n.to_string()));
        assert_eq!(payload([many].iter()), ANY_KEY);
        let some = payload([keys((0..1_000).map(|n| n.to_string()))].iter());
        assert!(some.len() > 3_900 && some.len() < 8_000);
        let mut due = Due::default();
        due.notified(ANY_KEY);
        assert!(due.all && due.hashes.is_empty());
    }

    #[tokio::test]
    async fn who_saw_something_else_wakes() {
        let (watches, _due) = Watches::new();
        let watch = |seen: Option<&'static str>| {
            let (watch, woken) = Watch::new(b"k", seen.map(Bytes::from));
            watches.add(watch);
            woken
        };
        let (same, other, gone) = (watch(Some("1")), watch(Some("2")), watch(Some("1")));
        drop(gone);
        watches.compare(&Bytes::from("k"), Some(&Bytes::from("1")));
        assert_eq!(other.await, Ok(()));
        assert_eq!(watches.all(), ["k"]);
        watches.clear();
        assert!(same.await.is_err());
    }
}
