//! The ports of a service that sends nothing: for tests and measurements of the rest.

use futures::future::BoxFuture;
use schema::{AccountId, ModSeq, SubmissionId};

use crate::{
    NewNotice, NewSubmission, PushError, PushMessage, PushService, Pushed, Refused, Submitter, Undone,
};

/// Takes nothing that is to be sent, and drops what is to be pushed.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Submitter for Nobody {
    fn submit(&self, _: NewSubmission) -> BoxFuture<'_, Result<Result<ModSeq, Refused>, mail::Error>> {
        Box::pin(async { Ok(Err(Refused::ToSend("not here".into()))) })
    }

    fn notify(&self, _: NewNotice) -> BoxFuture<'_, Result<Result<(), Refused>, mail::Error>> {
        Box::pin(async { Ok(Err(Refused::ToSend("not here".into()))) })
    }

    fn cancel(&self, _: AccountId, _: SubmissionId) -> BoxFuture<'_, Result<Undone, mail::Error>> {
        Box::pin(async { Ok(Undone::NotFound) })
    }
}

impl PushService for Nobody {
    fn key(&self) -> &str {
        "key"
    }

    fn check(&self, _: &str, _: Option<(&str, &str)>) -> Result<(), PushError> {
        Ok(())
    }

    fn push<'a>(&'a self, _: &'a PushMessage) -> BoxFuture<'a, Pushed> {
        Box::pin(async { Pushed::Dropped })
    }
}
