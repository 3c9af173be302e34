//! Signatures of mail (S/MIME): whose word on certificates is taken, as a file has it, and what becomes of them with time.

use std::path::Path;
use std::sync::Arc;

use jmap::Trust;
use parking_lot::RwLock;
use schema::AccountId;

/// Who is believed about certificates of mail: those whom the file of the configuration names. A cheap handle.
#[derive(Clone)]
pub(crate) struct Authorities(Arc<RwLock<Arc<Trust>>>);

impl Authorities {
    /// Nobody without the file: then no signature is verified.
    pub(crate) fn read(file: &Path) -> Self {
        let authorities = Authorities(Arc::default());
        authorities.read_again(file);
        authorities
    }

    /// As the file has them now. If it cannot be read they stay who they were.
    pub(crate) fn read_again(&self, file: &Path) -> Arc<Trust> {
        match std::fs::read(file) {
            Ok(pem) => *self.0.write() = Arc::new(Trust::from_pem(&pem)),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "authorities for S/MIME cannot be read");
            }
        }
        let trust = self.now();
        if trust.is_empty() {
            tracing::warn!(file = %file.display(), "no authorities for S/MIME: signatures of mail can not be verified");
        }
        trust
    }

    fn now(&self) -> Arc<Trust> {
        Arc::clone(&self.0.read())
    }
}

/// Looks at signatures again, for clients to hear of those that are worth something else.
#[derive(Clone)]
pub(crate) struct Signatures {
    pub(crate) services: jmap::Services,
    pub(crate) authorities: Authorities,
}

impl Signatures {
    /// Those of an account that are due.
    pub(crate) async fn renew(&self, account: AccountId) -> Result<(), mail::Error> {
        jmap::renew_signatures(&self.services, &self.authorities.now(), account).await
    }
}
