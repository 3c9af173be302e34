//! Task kinds and their supervisor, drain and stop signals, clock and randomness, duration and size newtypes.
//!
//! Everything here is passed in: no crate above asks the operating system for the time or for random bytes, so
//! that a simulation can replace both, and no crate spawns a task without saying what its end means.

mod apart;
mod random;
mod shutdown;
mod task;
mod time;
mod units;

pub use apart::Apart;
pub use random::{Rng, SeededRng, SharedRng, SystemRng};
pub use shutdown::{Guard, Ledger, Shutdown};
pub use task::{Outcome, Supervisor, TaskKind};
pub use time::{Clock, ManualClock, SharedClock, SystemClock, Timestamp};
/// The two signals of [`Shutdown`] are tokens of this type.
pub use tokio_util::sync::CancellationToken;
pub use units::{ByteSize, HumanDuration, UnitError};
