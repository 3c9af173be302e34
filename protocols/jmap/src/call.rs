//! A call: what a method works with.

use std::sync::Arc;

use accounts::{Identity, Proof};
use futures::future::BoxFuture;
use jmap_proto::id::IdRef;
use jmap_proto::{CreatedIds, MethodError, Object};
use schema::InvalidId;

use crate::{Server, Services};

/// What a method answers.
pub(crate) type Answer = Result<Object, MethodError>;

/// A method.
pub(crate) type Run = fn(&mut Call, Object) -> BoxFuture<'_, Answer>;

/// What the calls of a request share.
pub(crate) struct Call {
    pub(crate) server: Arc<Server>,
    /// Who asks.
    pub(crate) identity: Identity,
    /// By what the client has come.
    pub(crate) proof: Proof,
    /// What was made so far, by creation id.
    pub(crate) created: CreatedIds,
    /// The capabilities that the request uses.
    pub(crate) using: Vec<String>,
    /// What is answered besides, by method.
    pub(crate) further: Vec<(&'static str, Object)>,
}

impl Call {
    pub(crate) fn new(
        server: Arc<Server>,
        (identity, proof): (Identity, Proof),
        created: CreatedIds,
    ) -> Self {
        Call { server, identity, proof, created, using: Vec::new(), further: Vec::new() }
    }

    pub(crate) fn services(&self) -> &Services {
        &self.server.services
    }

    pub(crate) fn limits(&self) -> jmap_proto::limits::Limits {
        self.server.options.core.limits
    }

    /// The id of ours that is meant; none for what is not known, or no id of the kind.
    pub(crate) fn resolve<T: std::str::FromStr<Err = InvalidId>>(&self, reference: &IdRef) -> Option<T> {
        self.created.resolve(reference)?.as_str().parse().ok()
    }
}
