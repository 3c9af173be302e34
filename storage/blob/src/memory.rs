//! Objects in memory: for simulations and tests, where each call gives other tasks a turn.

use crate::{Error, ObjectName, Objects, Pending, Spill};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

/// Objects that are gone with the process.
#[derive(Debug, Default)]
pub struct MemoryObjects {
    objects: Mutex<BTreeMap<ObjectName, Bytes>>,
}

impl MemoryObjects {
    /// The names of all objects.
    pub fn names(&self) -> Vec<ObjectName> {
        self.objects.lock().keys().copied().collect()
    }

    /// Puts other bytes under a name that exists, as a failing disk would.
    pub fn damage(&self, name: &ObjectName, bytes: Bytes) {
        self.objects.lock().insert(*name, bytes);
    }

    /// Does something to the bytes under a name, or takes them away, as a failing disk would.
    pub fn change(&self, name: &ObjectName, change: impl FnOnce(&[u8]) -> Option<Bytes>) {
        let mut objects = self.objects.lock();
        if let Some(bytes) = objects.remove(name).and_then(|bytes| change(&bytes)) {
            objects.insert(*name, bytes);
        }
    }
}

impl Objects for MemoryObjects {
    fn put<'a>(&'a self, name: &'a ObjectName, bytes: Pending) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let bytes = match bytes {
                Pending::Memory(bytes) => bytes,
                Pending::Spilled(spill) => read_back(spill)?,
            };
            self.objects.lock().insert(*name, bytes);
            tokio::task::yield_now().await;
            Ok(())
        })
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, Error>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let failed = |kind: io::ErrorKind| Error::Io {
                action: "read",
                object: name.to_string(),
                source: kind.into(),
            };
            let bytes = self.objects.lock().get(name).cloned();
            let bytes = bytes.ok_or_else(|| failed(io::ErrorKind::NotFound))?;
            let bounds = |n: u64| usize::try_from(n).ok().filter(|n| *n <= bytes.len());
            match (bounds(range.start), bounds(range.end)) {
                (Some(start), Some(end)) if start <= end => Ok(bytes.slice(start..end)),
                _ => Err(failed(io::ErrorKind::UnexpectedEof)),
            }
        })
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.objects.lock().remove(name);
            tokio::task::yield_now().await;
            Ok(())
        })
    }

    fn list(&self, shard: u8) -> BoxFuture<'_, Result<Vec<ObjectName>, Error>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(self.objects.lock().keys().filter(|name| name.shard() == shard).copied().collect())
        })
    }
}

fn read_back(mut spill: Spill) -> Result<Bytes, Error> {
    spill.read_back().map(Bytes::from)
}
