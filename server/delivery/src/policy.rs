//! Who may send as whom.

use accounts::Accounts;
use futures::future::{BoxFuture, FutureExt};
use smtp::{Policy, SessionInfo, Verdict};
use smtp_proto::{Enhanced, Mail, Reply};

/// Submission: a sender's address is the client's own, or an alias of it (RFC 6409 §6.1); the null sender is nobody's.
pub struct OwnAddress {
    accounts: Accounts,
}

impl OwnAddress {
    /// By the directory.
    #[must_use]
    pub fn new(accounts: Accounts) -> Self {
        Self { accounts }
    }

    async fn verdict(&self, session: &SessionInfo, mail: &Mail) -> Verdict {
        let (Some(identity), Some(sender)) = (&session.identity, mail.from.mailbox()) else {
            return Verdict::Accept;
        };
        match self.accounts.find(&sender.to_string()).await {
            Ok(Some(account)) if account.id == identity.account => Verdict::Accept,
            Ok(_) => Verdict::Refuse(Reply::new(553, Enhanced::new(5, 7, 1), "Not your address")),
            Err(error) => {
                tracing::warn!(%error, "sender cannot be looked up");
                Verdict::Refuse(Reply::new(451, Enhanced::new(4, 3, 0), "Try again later"))
            }
        }
    }
}

impl Policy for OwnAddress {
    fn mail_from<'a>(&'a self, session: &'a SessionInfo, mail: &'a Mail) -> BoxFuture<'a, Verdict> {
        self.verdict(session, mail).boxed()
    }
}
