//! Nodes tell each other which passwords they have verified, and which logins have failed.
//!
//! Hashing a password takes tens of milliseconds of a core. When a node drains, all its clients log in elsewhere within seconds; when it
//! is there again, clients come to it whom it does not know. So it tells the others what it remembers when it is about to drain, and asks
//! them when it is new, before it opens its doors. What is told are keyed hashes ([`Directory`]) under a key made of the cluster's; over
//! connections of the cluster alone. What is lost on the way is hashed.
//!
//! Who guesses passwords is counted by all: failures are told twice a second at most, so that trying one node after the other gains less than
//! a second of guessing.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use directory::{Directory, Failures, Name, Tag};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use leases::Situation;
use membership::{Members, Membership, State};
use ownership::Ownership;
use rpc::{Call, Message, Router, Rpc};
use runtime::{CancellationToken, Supervisor, TaskKind};
use schema::NodeId;
use schema::records::node::Secrets;

/// Hashes in a message: half of the longest one.
const PAGE: usize = 16_384;
/// So many nodes are told. In a larger cluster each gets few of the clients of one that drains.
const TOLD: usize = 64;
/// So many are asked.
const ASKED: usize = 3;
/// How long one of them has for a page.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a new node waits for the first of them before it opens its doors.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two times that failures are told.
const PACE: Duration = Duration::from_millis(500);

/// Logins that failed.
#[derive(Clone, prost::Message)]
struct Failed {
    /// Hashes of addresses, one behind the other.
    #[prost(bytes = "vec", tag = "1")]
    addresses: Vec<u8>,
    /// Hashes of login names.
    #[prost(bytes = "vec", tag = "2")]
    logins: Vec<u8>,
}

impl Message for Failed {
    const KIND: u32 = 28;
    const NAME: &'static str = "logins.failed";
}

/// What is remembered, and by whom.
#[derive(Clone, prost::Message)]
struct Remembered {
    /// One hash behind the other.
    #[prost(bytes = "vec", tag = "1")]
    tags: Vec<u8>,
}

impl Message for Remembered {
    const KIND: u32 = 24;
    const NAME: &'static str = "logins.remembered";
}

/// Asks for it.
#[derive(Clone, Copy, prost::Message)]
struct Recall {
    /// How many the asker has been told of.
    #[prost(uint64, tag = "1")]
    skip: u64,
}

impl Message for Recall {
    const KIND: u32 = 26;
    const NAME: &'static str = "logins.recall";
}

impl Call for Recall {
    type Reply = Remembered;
}

/// This node's logins among those of others: a cheap handle.
#[derive(Clone)]
pub(crate) struct Logins {
    directory: Arc<Directory>,
    /// Set when the node has joined.
    rpc: Arc<OnceLock<Rpc>>,
    /// Cancelled when another node has told all that it remembers, or nobody will.
    recalled: CancellationToken,
}

impl Logins {
    /// Of this node, which has not joined yet.
    pub(crate) fn new(directory: Arc<Directory>) -> Logins {
        Logins { directory, rpc: Arc::default(), recalled: CancellationToken::new() }
    }

    /// Has others answered, and believed.
    pub(crate) fn route(&self, router: Router) -> Router {
        let (answering, hearing, counting) = (self.clone(), self.clone(), self.clone());
        router
            .on_call(move |_, Recall { skip }| {
                let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                let tags: Vec<Tag> =
                    answering.directory.remembered().into_iter().skip(skip).take(PAGE).collect();
                std::future::ready(Ok(Remembered { tags: tags.concat() }))
            })
            .on_hint(move |_, message: Remembered| {
                hearing.adopt(&message);
                std::future::ready(())
            })
            .on_hint(move |_, Failed { addresses, logins }: Failed| {
                let failures = Failures { addresses: names(&addresses), logins: names(&logins) };
                counting.directory.count_failures(&failures);
                std::future::ready(())
            })
    }

    /// Asks others as soon as the store says who is there, and tells them when this node leaves.
    pub(super) fn begin(
        &self,
        secrets: &Secrets,
        (me, rpc): (NodeId, &Rpc),
        (ownership, membership): (&Ownership, &Membership),
        supervisor: &Supervisor,
    ) {
        let Some(key) = key(secrets) else { return self.recalled.cancel() };
        self.directory.share(key);
        // Once: a node joins once.
        let _ = self.rpc.set(rpc.clone());
        let (logins, membership, mut situation) = (self.clone(), membership.clone(), ownership.situation());
        let notice = supervisor.shutdown().notice.clone();
        let (failing, members, until) = (self.clone(), membership.clone(), notice.clone());
        supervisor.spawn(TaskKind::Background, "failed logins", async move {
            let _ = until.run_until_cancelled(failing.tell_failures(&members, me)).await;
        });
        supervisor.spawn(TaskKind::Background, "logins", async move {
            let asking = async {
                let seen = situation.wait_for(|seen| seen.live.contains_key(&me)).await;
                let nodes: Vec<_> =
                    seen.map(|seen| others(&seen, me).take(ASKED).collect()).unwrap_or_default();
                logins.recall(&nodes).await;
            };
            tokio::select! {
                () = asking => {}
                () = notice.cancelled() => {}
            }
            notice.cancelled().await;
            let remembered = logins.directory.remembered();
            serving(&membership.members(), me).take(TOLD).for_each(|node| logins.tell(node, &remembered));
        });
    }

    /// Waits until another node has told what it remembers, if that takes no time to speak of.
    pub(super) async fn recalled(&self) {
        let _ = tokio::time::timeout(PATIENCE, self.recalled.cancelled()).await;
    }

    /// Asks these nodes, all at a time.
    async fn recall(&self, nodes: &[NodeId]) {
        let mut asked: FuturesUnordered<_> = nodes.iter().map(|node| self.recall_from(*node)).collect();
        while let Some(told) = asked.next().await {
            match told {
                Ok(()) => self.recalled.cancel(),
                Err(error) => tracing::debug!(%error, "another node's logins are not known"),
            }
        }
        self.recalled.cancel();
    }

    async fn recall_from(&self, node: NodeId) -> Result<(), rpc::Error> {
        let Some(rpc) = self.rpc.get() else { return Ok(()) };
        let mut skip = 0;
        loop {
            let page = rpc.call(node, &Recall { skip }, DEADLINE).await?;
            let told = self.adopt(&page);
            skip += told as u64;
            if told < PAGE {
                return Ok(());
            }
        }
    }

    /// Believes what another says; how many they are.
    fn adopt(&self, message: &Remembered) -> usize {
        let tags = message.tags.chunks_exact(size_of::<Tag>());
        let told = tags.len();
        self.directory.adopt(tags.filter_map(|tag| tag.try_into().ok()));
        told
    }

    /// Tells all others who has failed, for as long as it is asked.
    async fn tell_failures(&self, membership: &Membership, me: NodeId) {
        loop {
            let Failures { addresses, logins } = self.directory.failures().await;
            let failed = Failed { addresses: addresses.concat(), logins: logins.concat() };
            serving(&membership.members(), me).for_each(|node| self.hint(node, &failed));
            tokio::time::sleep(PACE).await;
        }
    }

    fn tell(&self, to: NodeId, tags: &[Tag]) {
        for page in tags.chunks(PAGE) {
            self.hint(to, &Remembered { tags: page.concat() });
        }
    }

    fn hint<M: Message>(&self, to: NodeId, message: &M) {
        let Some(rpc) = self.rpc.get() else { return };
        if let Err(error) = rpc.hint(to, message) {
            tracing::debug!(%error, "logins could not be told");
        }
    }
}

fn names(hashes: &[u8]) -> Vec<Name> {
    hashes.chunks_exact(size_of::<Name>()).filter_map(|name| name.try_into().ok()).collect()
}

/// Those who serve by what gossip says, but this node.
fn serving(members: &Members, me: NodeId) -> impl Iterator<Item = NodeId> {
    let serving = members.alive.iter().filter(|(_, member)| member.state == State::Online);
    serving.map(|(node, _)| *node).filter(move |node| *node != me)
}

/// Those who are there by what the store says, but this node.
fn others(seen: &Situation, me: NodeId) -> impl Iterator<Item = NodeId> {
    let there = seen.live.iter().filter(|(_, live)| !live.draining);
    there.map(|(node, _)| *node).filter(move |node| *node != me)
}

/// A key of its own, made of the cluster's first.
fn key(secrets: &Secrets) -> Option<[u8; 32]> {
    let first = secrets.keys.first()?;
    Some(blake3::derive_key("godwit 2026 remembered logins", &first.key))
}
