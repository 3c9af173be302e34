//! What callers give and get.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use leases::Fence;
use runtime::{CancellationToken, SharedClock};
use schema::{Duty, NodeId};
use tokio::sync::Notify;

/// How often, and how long. The defaults give a new owner within 5 s of a holder's death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// Between two renewals.
    pub renew: Duration,
    /// Between two looks.
    pub look: Duration,
    /// How long a lease is seen not renewed before it is revoked. Longer than two renewals.
    pub lease: Duration,
    /// How long the second in rank leaves a vacant duty to the first; the third waits twice as long.
    pub rank: Duration,
    /// How long a duty is held before it goes to a node that should have it rather.
    pub settle: Duration,
    /// How long a worker may take to end before its duty goes to another regardless.
    pub grace: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Timings {
            renew: Duration::from_secs(1),
            look: Duration::from_millis(500),
            lease: Duration::from_secs(3),
            rank: Duration::from_secs(1),
            settle: Duration::from_secs(5),
            grace: Duration::from_secs(5),
        }
    }
}

/// What members say of themselves: good for choosing, proof of nothing.
pub trait Hints: Send + Sync {
    /// What the node can do against others (capacity and load); 0 while it is thought dead. Changes of it move duties: let it
    /// change seldom and in large steps.
    fn weight(&self, node: NodeId) -> u32;
}

/// Every node that has a lease counts by its configured capacity.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unhinted;

impl Hints for Unhinted {
    fn weight(&self, _: NodeId) -> u32 {
        100
    }
}

/// Begins to work on duties.
pub trait Worker: Send + Sync {
    /// Begins, in tasks of its own, and keeps the tenure until it has ended.
    fn begin(&self, tenure: Tenure);
}

/// Duties that this node works on when they are its own, and who does it.
#[derive(Clone)]
pub struct Charge {
    /// The duties: the same on all nodes that have the role.
    pub duties: Vec<Duty>,
    /// Who works on them.
    pub worker: Arc<dyn Worker>,
}

/// The time in which a node works on a duty. The work has ended when all clones are dropped.
#[derive(Clone)]
pub struct Tenure {
    fence: Fence,
    signals: Signals,
    renewed: Renewed,
    _working: Arc<Working>,
}

/// What a tenure's holder hears.
#[derive(Clone, Default)]
pub(crate) struct Signals {
    /// Finish what is begun and take nothing new.
    pub ending: CancellationToken,
    /// Another may work on it already.
    pub lost: CancellationToken,
}

/// Says when the last tenure is dropped.
pub(crate) struct Working {
    pub done: Arc<AtomicBool>,
    pub poke: Arc<Notify>,
}

impl Drop for Working {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        self.poke.notify_one();
    }
}

/// When the lease was renewed last, in this process's monotonic time.
#[derive(Clone)]
pub(crate) struct Renewed {
    pub clock: SharedClock,
    pub at: Arc<AtomicU64>,
    pub lease: Duration,
}

impl Renewed {
    pub(crate) fn set(&self, at: Duration) {
        self.at.store(u64::try_from(at.as_micros()).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(crate) fn ago(&self) -> Duration {
        self.clock.monotonic().saturating_sub(Duration::from_micros(self.at.load(Ordering::Acquire)))
    }
}

impl Tenure {
    pub(crate) fn new(fence: Fence, signals: Signals, renewed: Renewed, working: Working) -> Self {
        Tenure { fence, signals, renewed, _working: Arc::new(working) }
    }

    /// What to assert in each transaction ([`leases::assert_in`]).
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// The duty.
    pub fn duty(&self) -> Duty {
        self.fence.duty
    }

    /// Cancelled when the duty is to go to another: finish what is begun, take nothing new, drop the tenure.
    pub fn ending(&self) -> &CancellationToken {
        &self.signals.ending
    }

    /// Cancelled when another may work on the duty already: nothing can be finished any more.
    pub fn lost(&self) -> &CancellationToken {
        &self.signals.lost
    }

    /// Whether nobody can have revoked the lease, by this process's own time. To be asked before anything is done outside the
    /// store: a process that was paused is told no before it goes on. Inside the store the fence alone counts. (A second
    /// process under this node's name, which operators must not begin, takes the lease without a wait; this one hears of
    /// it with its next renewal.)
    pub fn sure(&self) -> bool {
        // A tenth is left for clocks that do not run alike.
        !self.signals.lost.is_cancelled() && self.renewed.ago() < self.renewed.lease * 9 / 10
    }
}
