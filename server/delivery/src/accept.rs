//! The acceptor of SMTP sessions: which recipients are whose, and where a message is written to.

use std::sync::Arc;

use accounts::Status;
use futures::future::{BoxFuture, FutureExt};
use runtime::Supervisor;
use smtp::{Acceptor, BodyWriter, Envelope, RecipientVerdict, Role, SessionInfo};
use smtp_proto::{ForwardPath, Rcpt, Reply};

use crate::combiner::{Combiner, CombinerLimits, Errors};
use crate::commit::{self, Item, Outcomes};
use crate::intake::Intake;
use crate::{Error, Options, PATIENCE, Services, Shared, SharedRef};

/// Accepts messages. A cheap handle.
#[derive(Clone)]
pub struct Delivery {
    pub(crate) shared: SharedRef,
    pub(crate) combiner: Combiner<Item, Outcomes, Error>,
}

impl Delivery {
    /// Over these services; commits run as tasks of `supervisor`.
    #[must_use]
    pub fn new(services: Services, options: Options, limits: CombinerLimits, supervisor: Supervisor) -> Self {
        let shared = Arc::new(Shared { services, options });
        let committing = Arc::clone(&shared);
        let commit = Box::new(move |items: Arc<Vec<Item>>, patience| {
            let shared = Arc::clone(&committing);
            async move { commit::commit(&shared, &items, patience).await }.boxed()
        });
        let errors = Errors { is_of_a_part: Error::is_of_a_part, late: || Error::Late };
        Self { shared, combiner: Combiner::new(limits, supervisor, commit, errors) }
    }

    async fn verdict(&self, session: &SessionInfo, envelope: &Envelope, rcpt: &Rcpt) -> RecipientVerdict {
        let expansion = match self.shared.expand(&address_of(&rcpt.to)).await {
            Ok(expansion) => expansion,
            Err(error) => {
                tracing::warn!(%error, "recipient cannot be looked up");
                return RecipientVerdict::TryLater;
            }
        };
        match expansion.status {
            Status::UnknownUser => RecipientVerdict::UnknownUser,
            Status::Disabled => RecipientVerdict::Disabled,
            // RFC 6409 §3: who authenticated may send anywhere; nobody else may send through us.
            Status::UnknownDomain if session.role == Role::Submission => RecipientVerdict::Relay,
            Status::UnknownDomain => RecipientVerdict::RelayDenied,
            Status::Known => self.room(&expansion, envelope.params.size.unwrap_or_default()).await,
        }
    }

    /// Whether one account has room for `size` octets. Those of a list are told by notification.
    async fn room(&self, expansion: &accounts::Expansion, size: u64) -> RecipientVerdict {
        let ([one], true) = (expansion.local.as_slice(), expansion.remote.is_empty()) else {
            return RecipientVerdict::Local;
        };
        let (mail, account) = (&self.shared.services.mail, one.account);
        let usage = |txn| async move { mail.usage_in(&txn, account).await };
        match self.shared.patient(PATIENCE, None).read("mail.usage", usage).await {
            Ok(usage)
                if usage
                    .octets_limit
                    .is_some_and(|limit| usage.octets.saturating_add(size.max(1)) > limit) =>
            {
                RecipientVerdict::MailboxFull
            }
            Ok(_) => RecipientVerdict::Local,
            Err(error) => {
                tracing::warn!(%error, "quota cannot be read");
                RecipientVerdict::TryLater
            }
        }
    }
}

/// A path as the directory knows it: the bare postmaster has no domain.
pub(crate) fn address_of(path: &ForwardPath) -> String {
    path.mailbox().map_or_else(|| "postmaster".to_owned(), ToString::to_string)
}

impl Acceptor for Delivery {
    fn recipient<'a>(
        &'a self,
        session: &'a SessionInfo,
        envelope: &'a Envelope,
        rcpt: &'a Rcpt,
    ) -> BoxFuture<'a, RecipientVerdict> {
        self.verdict(session, envelope, rcpt).boxed()
    }

    fn body<'a>(
        &'a self,
        session: &'a SessionInfo,
        envelope: &'a Envelope,
    ) -> BoxFuture<'a, Result<Box<dyn BodyWriter>, Reply>> {
        async move {
            let intake = Intake::open(self.clone(), session, envelope).await?;
            Ok(Box::new(intake) as Box<dyn BodyWriter>)
        }
        .boxed()
    }
}
