//! A node that its store is out of reach of, while there are others who may reach it, says so to its clients at once.
//!
//! Taking mail waits for the store for longer than a cluster of it needs to recover, since a sender that is told to come later
//! comes later. But who has other nodes to go to is better off there: once this node's lease was not renewed for as long as
//! others wait before they revoke it, and the store does not answer a read either, new sessions and transactions of mail hear
//! 421, everything else fails at once, and the node is not ready. Mail that is already on its way in keeps its patience.
//! Where there are no others nobody is better off.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use kv::{Database, Priority, TransactionOptions};
use ownership::Ownership;
use runtime::Supervisor;
use smtp::{Envelope, HeaderFacts, Policy, SessionInfo, Verdict};
use smtp_proto::{Enhanced, Mail, Rcpt, Reply};

/// Between two looks at the lease.
const LOOK: Duration = Duration::from_millis(100);
/// A lease that is younger says nothing: it is renewed each second.
const YOUNG: Duration = Duration::from_millis(1_500);
/// How long the store may take to answer a question that is asked because the lease was not renewed: one that is busy takes
/// its time.
const ANSWER: Duration = Duration::from_secs(2);

/// Watches the lease, and says whether the store is out of reach.
pub(crate) fn watch(db: &Database, ownership: &Ownership, supervisor: &Supervisor) {
    metrics::describe_gauge!("store_out_of_reach", "1 while this node alone cannot reach the store");
    let (db, ownership) = (db.clone(), ownership.clone());
    supervisor.spawn_recurring("store-reach", LOOK, move || {
        let (db, ownership) = (db.clone(), ownership.clone());
        async move {
            let others = ownership.situation().borrow().live.len() > 1;
            // A store without room renews no lease, and can still be read.
            let silent = others && ownership.unrenewed() >= YOUNG && !answers(&db).await;
            // As long as others wait before they revoke it.
            say(&db, silent && ownership.unrenewed() >= ownership.timings().lease);
        }
    });
}

/// Whether the store answers a read.
async fn answers(db: &Database) -> bool {
    // Not whether it answers mail in time, but whether it can be reached.
    let priority = Priority::Vital;
    let options = TransactionOptions { timeout: ANSWER, holds_out: true, priority, ..db.options() };
    let db = db.with_options(options);
    let read = db.read("reach", |txn| async move { txn.get(b"").await.map(drop) });
    // What it waits for below may take longer than it tries.
    matches!(tokio::time::timeout(ANSWER, read).await, Ok(Ok::<(), kv::Error>(())))
}

fn say(db: &Database, away: bool) {
    if db.set_out_of_reach(away) {
        metrics::gauge!("store_out_of_reach").set(f64::from(u8::from(away)));
        match away {
            true => tracing::error!("the store is out of reach: clients are sent away"),
            false => tracing::info!("the store is in reach again"),
        }
    }
}

/// A policy, and before it the question whether the store is in reach.
pub(crate) struct InReach {
    db: Database,
    policy: Arc<dyn Policy>,
}

impl InReach {
    pub(crate) fn new(db: Database, policy: Arc<dyn Policy>) -> Self {
        Self { db, policy }
    }

    /// RFC 5321 §3.8: 421 before the connection is closed; RFC 3463: 4.3.0, trouble of this system.
    fn asked<'a>(&self, further: impl FnOnce() -> BoxFuture<'a, Verdict>) -> BoxFuture<'a, Verdict> {
        match self.db.is_out_of_reach() {
            true => ready(Verdict::Close(Reply::new(421, Enhanced::new(4, 3, 0), "Try again later"))).boxed(),
            false => further(),
        }
    }
}

impl Policy for InReach {
    fn connect<'a>(&'a self, session: &'a SessionInfo) -> BoxFuture<'a, Verdict> {
        self.asked(|| self.policy.connect(session))
    }

    fn hello<'a>(&'a self, session: &'a SessionInfo) -> BoxFuture<'a, Verdict> {
        self.policy.hello(session)
    }

    fn mail_from<'a>(&'a self, session: &'a SessionInfo, mail: &'a Mail) -> BoxFuture<'a, Verdict> {
        self.asked(|| self.policy.mail_from(session, mail))
    }

    fn rcpt<'a>(
        &'a self,
        session: &'a SessionInfo,
        envelope: &'a Envelope,
        rcpt: &'a Rcpt,
    ) -> BoxFuture<'a, Verdict> {
        self.policy.rcpt(session, envelope, rcpt)
    }

    fn data<'a>(
        &'a self,
        session: &'a SessionInfo,
        envelope: &'a Envelope,
        headers: &'a HeaderFacts,
    ) -> BoxFuture<'a, Verdict> {
        self.policy.data(session, envelope, headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::memory;
    use smtp::{OpenPolicy, Role};
    use std::net::{Ipv4Addr, SocketAddr};

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_closed_to_others_still_answers_who_asks_whether_it_does() {
        let db = memory::database();
        say(&db, true);
        assert!(answers(&db).await);
        db.close().await.unwrap();
        assert!(!answers(&db).await);
    }

    #[tokio::test]
    async fn new_sessions_and_transactions_are_sent_away_until_the_store_is_back() {
        let db = memory::database();
        let policy = InReach::new(db.clone(), Arc::new(OpenPolicy));
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 25));
        let session = SessionInfo {
            role: Role::Mx,
            peer: here,
            local: here,
            hello: None,
            extended: false,
            tls: None,
            identity: None,
        };
        assert_eq!(policy.connect(&session).await, Verdict::Accept);
        say(&db, true);
        let Verdict::Close(reply) = policy.connect(&session).await else { panic!("it is let in") };
        assert_eq!(reply.code, 421);
        say(&db, false);
        assert_eq!(policy.connect(&session).await, Verdict::Accept);
    }
}
