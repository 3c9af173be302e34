//! Real time, as far as it matters: which of two things was over before the other began.

use std::sync::atomic::{AtomicU64, Ordering};

/// A moment. All threads take theirs from one [`Clock`], so that of two there is always one that came first.
pub(crate) type Tick = u64;

/// Later than anything: what has not ended.
pub(crate) const NEVER: Tick = Tick::MAX;

/// Gives out moments, each once.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn tick(&self) -> Tick {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// When an operation was asked for, and when its answer had come: it took effect at some moment between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) begun: Tick,
    pub(crate) ended: Tick,
}

/// When a change took effect: not before `from`, not after `by`. What others have seen makes it narrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) from: Tick,
    pub(crate) by: Tick,
}

impl Event {
    /// Of an operation that was asked for at this moment.
    pub(crate) fn begun(at: Tick) -> Self {
        Event { from: at, by: NEVER }
    }

    /// Whether whoever reads then may find it done.
    pub(crate) fn possible(&self, read: Span) -> bool {
        self.from < read.ended
    }

    /// Whether whoever reads then has to find it done.
    pub(crate) fn certain(&self, read: Span) -> bool {
        self.by < read.begun
    }

    /// Somebody has found it done: all who ask later have to.
    pub(crate) fn seen(&mut self, read: Span) {
        self.by = self.by.min(read.ended);
    }

    /// Somebody has found it not done: those whose answer had come before cannot have found it done.
    pub(crate) fn missed(&mut self, read: Span) {
        self.from = self.from.max(read.begun);
    }
}
