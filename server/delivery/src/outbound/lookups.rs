//! Looking up where mail goes: how many destinations at a time, and who waits for whom.
//!
//! A destination that is being looked up has no attempt, and so neither a place among those nor anything of the store. A
//! lookup has one of the quick places while it is young. One that takes longer moves to a slow place; if there is none, it has
//! failed for now. So names that nobody answers for keep the others waiting no longer than it takes them to grow old, and
//! never are more asked for than there are places.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use smtp_proto::Enhanced;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::failure::Failure;
use super::route::Target;
use super::runner::caught;

/// Quick places of a node.
const QUICK: usize = 64;
/// Slow places of a node.
const SLOW: usize = 192;
/// How long a lookup may have a quick place.
const YOUNG: Duration = Duration::from_secs(1);
/// The longest that a destination is looked up: each of its hosts may be slow.
const LONGEST: Duration = Duration::from_secs(60);

/// Where mail for a destination goes, or why it does not.
pub(super) type Route = Result<Arc<[Target]>, Failure>;

/// What a lookup has come to.
pub(super) enum Looked {
    /// Its end.
    Done(Route),
    /// A slow place, where it goes on.
    Slow(BoxFuture<'static, Route>),
}

/// The places for lookups of a node.
pub(super) struct Lookups {
    quick: Semaphore,
    slow: Arc<Semaphore>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { quick: Semaphore::new(QUICK), slow: Arc::new(Semaphore::new(SLOW)) }
    }
}

impl Lookups {
    /// Looks up when there is a quick place: first come, first served.
    pub(super) async fn look(&self, lookup: BoxFuture<'static, Result<Vec<Target>, Failure>>) -> Looked {
        // It is never closed.
        let _quick = self.quick.acquire().await.ok();
        let mut lookup = guarded(lookup).boxed();
        if let Ok(done) = timeout(YOUNG, &mut lookup).await {
            return Looked::Done(done);
        }
        let Ok(slow) = Arc::clone(&self.slow).try_acquire_owned() else {
            metrics::counter!("outbound_lookups_given_up_total").increment(1);
            return Looked::Done(Err(late("too many lookups are slow at present")));
        };
        let rest = async move {
            let _slow = slow;
            timeout(LONGEST, lookup).await.unwrap_or_else(|_| Err(late("lookup took too long")))
        };
        Looked::Slow(rest.boxed())
    }

    /// Looks up, however long it takes.
    pub(super) async fn wait(&self, lookup: BoxFuture<'static, Result<Vec<Target>, Failure>>) -> Route {
        match self.look(lookup).await {
            Looked::Done(route) => route,
            Looked::Slow(rest) => rest.await,
        }
    }
}

/// A panic in it is a failure that passes.
async fn guarded(lookup: BoxFuture<'static, Result<Vec<Target>, Failure>>) -> Route {
    match caught(lookup).await {
        Some(found) => found.map(Arc::from),
        None => {
            tracing::error!("lookup panicked");
            Err(Failure::ours("internal error"))
        }
    }
}

/// RFC 3463 X.4.3: the directory server failed.
fn late(why: &str) -> Failure {
    Failure::transient(Enhanced::new(4, 4, 3), why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::{join_all, pending, ready};

    fn never() -> BoxFuture<'static, Result<Vec<Target>, Failure>> {
        pending().boxed()
    }

    fn at_once() -> BoxFuture<'static, Result<Vec<Target>, Failure>> {
        let target = Target { host: "mx.example".into(), address: ([192, 0, 2, 1], 25).into() };
        ready(Ok(vec![target])).boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_never_answered_keeps_others_waiting_only_while_young() {
        let lookups = Lookups::default();
        let mut slow = Vec::new();
        for round in 0..SLOW.div_ceil(QUICK) {
            let (looked, well) = tokio::join!(join_all((0..QUICK).map(|_| lookups.look(never()))), async {
                let begun = tokio::time::Instant::now();
                (lookups.look(at_once()).await, begun.elapsed())
            });
            assert!(matches!(well.0, Looked::Done(Ok(_))), "round {round}");
            assert!(well.1 <= YOUNG, "round {round}");
            slow.extend(looked);
        }
        assert!(slow.iter().all(|looked| matches!(looked, Looked::Slow(_))));
        let Looked::Done(Err(failure)) = lookups.look(never()).await else {
            panic!("there is no place left")
        };
        assert!(!failure.permanent);
        // Who gives up makes room.
        slow.pop();
        let Looked::Slow(rest) = lookups.look(never()).await else { panic!("there is a place") };
        assert!(!rest.await.unwrap_err().permanent, "it comes to an end");
    }

    #[tokio::test]
    async fn a_panic_passes() {
        let broken = async { panic!("in a test") }.boxed();
        assert!(!Lookups::default().wait(broken).await.unwrap_err().permanent);
    }
}
