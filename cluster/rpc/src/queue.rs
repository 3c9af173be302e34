//! Hints that wait for one peer.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limits;

/// A queue with an end: when it is full, the oldest is lost.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<VecDeque<Bytes>>,
    filled: Notify,
}

impl Queue {
    /// Puts one behind the others. Returns whether another was lost for it.
    pub(crate) fn push(&self, frame: Bytes) -> bool {
        let mut waiting = self.waiting.lock();
        let full = waiting.len() >= limits::HINTS;
        if full {
            waiting.pop_front();
        }
        waiting.push_back(frame);
        drop(waiting);
        self.filled.notify_one();
        full
    }

    pub(crate) fn pop(&self) -> Option<Bytes> {
        self.waiting.lock().pop_front()
    }

    /// Resolves when there is something. For one task.
    pub(crate) async fn filled(&self) {
        while self.waiting.lock().is_empty() {
            self.filled.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_is_lost() {
        let queue = Queue::default();
        for n in 0..limits::HINTS + 3 {
            assert_eq!(queue.push(n.to_string().into()), n >= limits::HINTS);
        }
        queue.filled().await;
        assert_eq!(queue.pop().unwrap(), "3");
        while queue.pop().is_some() {}
        let filled = queue.filled();
        tokio::pin!(filled);
        assert!(futures::poll!(&mut filled).is_pending());
        queue.push("x".into());
        filled.await;
    }
}
