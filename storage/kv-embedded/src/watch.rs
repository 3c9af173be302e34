//! Waking those who wait for a key to change.

use crate::engine::Engine;
use bytes::Bytes;
use kv::Watch;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Bound;

/// All watches of committed transactions.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<Bytes, Vec<Watch>>,
    count: usize,
    /// Count at which those who no longer wait are swept out.
    sweep_at: usize,
    closed: bool,
}

impl Watches {
    /// Begins to watch; wakes at once if the key has changed already.
    pub(crate) fn add(&self, watch: Watch, engine: &dyn Engine) {
        let key = watch.key.clone();
        {
            let mut state = self.state.lock();
            if state.closed {
                return;
            }
            state.count += 1;
            if state.count > state.sweep_at {
                state.sweep();
            }
            state.waiting.entry(key.clone()).or_default().push(watch);
        }
        // Only now, so that no commit falls between the look and the wait.
        self.look(&[key], engine);
    }

    /// Wakes those who wait for one of `keys`, or for a key in one of `ranges`, if its value is another now.
    pub(crate) fn written(&self, keys: &[Bytes], ranges: &[(Bytes, Bytes)], engine: &dyn Engine) {
        let watched = {
            let state = self.state.lock();
            if state.waiting.is_empty() {
                return;
            }
            let mut watched: Vec<Bytes> =
                keys.iter().filter(|key| state.waiting.contains_key(*key)).cloned().collect();
            for (begin, end) in ranges.iter().filter(|(begin, end)| begin < end) {
                let range = (Bound::Included(begin), Bound::Excluded(end));
                watched.extend(state.waiting.range::<Bytes, _>(range).map(|(key, _)| key.clone()));
            }
            watched
        };
        self.look(&watched, engine);
    }

    fn look(&self, keys: &[Bytes], engine: &dyn Engine) {
        if keys.is_empty() {
            return;
        }
        let now = engine.snapshot();
        for key in keys {
            // If it cannot be read, who waits finds out by looking.
            let value = now.get(key);
            let mut state = self.state.lock();
            let Some(waiters) = state.waiting.remove(key) else { continue };
            let (same, changed): (Vec<_>, Vec<_>) =
                waiters.into_iter().partition(|watch| value.as_ref().is_ok_and(|value| *value == watch.seen));
            state.count -= changed.len();
            if !same.is_empty() {
                state.waiting.insert(key.clone(), same);
            }
            changed.into_iter().for_each(Watch::wake);
        }
    }

    /// Fails all watches, those to come included.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.waiting.clear();
        state.count = 0;
    }
}

impl State {
    fn sweep(&mut self) {
        const AT_LEAST: usize = 256;
        self.waiting.retain(|_, waiters| {
            waiters.retain(|watch| !watch.is_abandoned());
            !waiters.is_empty()
        });
        let alive: usize = self.waiting.values().map(Vec::len).sum();
        self.count = alive + 1;
        self.sweep_at = (2 * alive).max(AT_LEAST);
    }
}
