//! Messages, and who answers them.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use schema::NodeId;

use crate::Refusal;
use crate::frame::{Answer, FIRST};

/// A message between nodes. Its number is never given to another, and its fields only grow in number.
pub trait Message: prost::Message + Default + 'static {
    /// Its number, from 16 on.
    const KIND: u32;
    /// Its name, for metrics and logs.
    const NAME: &'static str;
    /// As a hint: whether its sender wants to hear that it was not understood. Otherwise it is skipped.
    const MUST: bool = false;
}

/// A message that is answered.
pub trait Call: Message {
    /// The answer.
    type Reply: prost::Message + Default + 'static;
}

type Answering = Arc<dyn Fn(NodeId, Bytes) -> BoxFuture<'static, Answer> + Send + Sync>;
type Hearing = Arc<dyn Fn(NodeId, Bytes) -> BoxFuture<'static, ()> + Send + Sync>;

/// Who answers what.
#[derive(Clone, Default)]
pub struct Router {
    calls: HashMap<u32, (&'static str, Answering)>,
    hints: HashMap<u32, (&'static str, Hearing)>,
}

impl Router {
    /// Nobody answers anything yet.
    pub fn new() -> Router {
        Router::default()
    }

    /// Calls of this kind are answered so. The future is dropped when the caller gives up or its deadline has passed.
    pub fn on_call<M, F, Fut>(mut self, answer: F) -> Router
    where
        M: Call,
        F: Fn(NodeId, M) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<M::Reply, Refusal>> + Send + 'static,
    {
        debug_assert!(M::KIND >= FIRST && !self.calls.contains_key(&M::KIND), "{} is taken", M::KIND);
        let answer = Arc::new(answer);
        let answering: Answering = Arc::new(move |from, octets| {
            let answer = Arc::clone(&answer);
            Box::pin(async move {
                let Ok(message) = M::decode(octets) else { return Answer::Unreadable };
                match answer(from, message).await {
                    Ok(reply) => Answer::Done(prost::Message::encode_to_vec(&reply).into()),
                    Err(refusal) => Answer::Refused(refusal),
                }
            })
        });
        self.calls.insert(M::KIND, (M::NAME, answering));
        self
    }

    /// Hints of this kind are taken so, one after the other for each peer: while one is being taken, its peer waits.
    pub fn on_hint<M, F, Fut>(mut self, take: F) -> Router
    where
        M: Message,
        F: Fn(NodeId, M) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        debug_assert!(M::KIND >= FIRST && !self.hints.contains_key(&M::KIND), "{} is taken", M::KIND);
        let take = Arc::new(take);
        let hearing: Hearing = Arc::new(move |from, octets| {
            let take = Arc::clone(&take);
            Box::pin(async move {
                // What cannot be read is as good as lost, and hints may be lost.
                if let Ok(message) = M::decode(octets) {
                    take(from, message).await;
                }
            })
        });
        self.hints.insert(M::KIND, (M::NAME, hearing));
        self
    }

    /// The answer to a call.
    pub(crate) fn answer(&self, from: NodeId, kind: u32, octets: Bytes) -> BoxFuture<'static, Answer> {
        match self.calls.get(&kind) {
            Some((_, answering)) => answering(from, octets),
            None => Box::pin(std::future::ready(Answer::NotUnderstood)),
        }
    }

    /// Takes a hint; `None` if nobody knows it.
    pub(crate) fn hear(&self, from: NodeId, kind: u32, octets: Bytes) -> Option<BoxFuture<'static, ()>> {
        self.hints.get(&kind).map(|(_, hearing)| hearing(from, octets))
    }
}
