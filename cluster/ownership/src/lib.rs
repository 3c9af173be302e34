//! Who works on what. Rendezvous hashing over the nodes that have a lease says who *should* work on a duty (a slot of the
//! queue, a shard of the index, a job that there is once); a claim in the store says who *may*. Nothing is assigned by hand.
//!
//! Keys are in [`schema::keys::node`], records in [`schema::records::node`], their transactions and errors in
//! [`leases`]; here are the algorithm and its timing.
//!
//! # The story
//! 1. A node **joins** ([`Ownership::join`]): it gets a lease with an epoch that nobody had before.
//! 2. It **renews** the lease each second ([`Timings::renew`]). A renewal is a counter in the store, and no time.
//! 3. Twice a second ([`Timings::look`]) it **looks**: at one number that changes with every lease and claim, and at the counters of
//!    nodes it watches: all of them, or in a large cluster those that the hash gives to it, so that each node is watched by
//!    [`WATCHERS`].
//! 4. A counter that has stood still for [`Timings::lease`] of the *watcher's own* monotonic time makes it **revoke** that lease,
//!    in a transaction that fails if the counter has moved. Time in which the watcher itself could not look counts for at
//!    most one look: after a stall of the store, or a pause of the watcher, nobody is revoked for it.
//! 5. Duties without a living holder are **taken** by the node that the hash puts first; by the second and third after a while
//!    ([`Timings::rank`] each), should the first one not come.
//! 6. Duties that the hash gives to another, since a node joined or its weight changed, are **handed over** once they have been held
//!    for [`Timings::settle`]: the worker is asked to end, ends, and one transaction makes them the other's. A
//!    node that drains hands over all it has at once, and takes nothing.
//!    A node whose zone or region is not to serve ([`schema::SiteState`]) does the same, and stays.
//! 7. What the store shows as this node's is **adopted**: its [`Worker`] begins, with a [`Tenure`] that holds the [`Fence`].
//!
//! # What may happen between any two steps
//! - *The holder crashes.* Its counter stands still; others revoke and take (3 to 5), within 5 s of the last renewal. Begun again under
//!   its name sooner, it gets another lease, which ends the former at once, and takes its duties back without a wait.
//! - *The holder is paused, or cut off from the store, and comes back.* Until somebody revoked its lease it goes on rightfully. After
//!   that each of its transactions fails at the fence, [`Tenure::sure`] says no before anything is done outside the store, and
//!   its next renewal tells it to give up all and join again.
//! - *The watcher crashes or sleeps.* Others watch too; revoking is one transaction, and taking another.
//! - *A crash after the revocation, before anything is taken.* The duties are vacant, and anybody's to take.
//! - *A crash in the middle of a hand-over.* Before its transaction the duty is the former holder's, who is
//!   dead: as above. After it, it is the other's, who adopts it at its next look; if that one has crashed, as above.
//! - *A worker that does not end* delays a hand-over by [`Timings::grace`]; then it goes ahead, and the fence stops the worker.
//! - *An answer of the store is lost.* The retry loop settles it. What was taken all the same shows at the next look, and is adopted.
//! - *Nodes see different members* (gossip is late or partitioned). Two may want one duty; one transaction wins. A duty may move
//!   once too often, and not more often than each [`Timings::settle`].
//! - *A wall clock steps.* Nothing here reads one.
//! - *The store stalls.* Nobody can renew, look, or do work. Afterwards all go on as before.
//! - *Two processes have one name.* The later one supersedes the earlier, whose [`Ownership::run`] ends with an error.

mod algorithm;
mod hash;
mod metrics;
mod node;
mod observer;
mod types;

pub use hash::{rank, watched};
pub use leases::{Error, Fence, Node, Situation, Standing};
pub use metrics::describe as describe_metrics;
pub use node::Ownership;
pub use observer::{Observer, WATCHERS};
pub use types::{Charge, Hints, Tenure, Timings, Unhinted, Worker};
