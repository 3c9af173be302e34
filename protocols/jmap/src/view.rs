//! What of an account somebody sees: emails, threads and the catalogue of both, without what is in mailboxes that may not be read.
//!
//! Methods read emails through these alone, and not from the store, so that counts, threads and results are of what is seen.

use std::sync::Arc;

use jmap_proto::MethodError;
use mail::{Catalog, Email, Mailbox, Remembered};
use schema::{EmailId, ThreadId};

use crate::Services;
use crate::access::Access;
use crate::fail::Fail;

/// More emails than this are looked through where others do not wait for it.
const APART: usize = 50_000;

/// Looks something up in a catalogue.
pub(crate) async fn look_at<T: Send + 'static>(
    catalog: Arc<Remembered>,
    work: impl FnOnce(&Catalog) -> T + Send + 'static,
) -> Result<T, Fail> {
    if catalog.read(Catalog::len) <= APART {
        return Ok(catalog.read(work));
    }
    let done = tokio::task::spawn_blocking(move || catalog.read(work)).await;
    done.map_err(|_| MethodError::ServerFail("the catalogue could not be looked at".to_owned()).into())
}

impl Services {
    /// Emails, those that are seen, in the order asked for.
    pub(crate) async fn emails(&self, access: &Access, ids: &[EmailId]) -> Result<Vec<Email>, Fail> {
        let emails = self.mail.emails(access.account, ids).await?;
        Ok(emails.into_iter().filter_map(|email| access.email(email)).collect())
    }

    /// One email, if it is seen.
    pub(crate) async fn email(&self, access: &Access, id: EmailId) -> Result<Option<Email>, Fail> {
        Ok(self.emails(access, &[id]).await?.pop())
    }

    /// The emails that are seen of threads, of those that have some; the oldest first.
    pub(crate) async fn threads(
        &self,
        access: &Access,
        ids: &[ThreadId],
    ) -> Result<Vec<(ThreadId, Vec<Email>)>, Fail> {
        let threads = self.mail.threads(access.account, ids).await?;
        let seen = |emails: Vec<Email>| {
            emails.into_iter().filter_map(|email| access.email(email)).collect::<Vec<_>>()
        };
        let threads = threads.into_iter().map(|(id, emails)| (id, seen(emails)));
        Ok(threads.filter(|(_, emails): &(_, Vec<Email>)| !emails.is_empty()).collect())
    }

    /// All emails that are seen. Of an account of which some mailboxes are shared it is made for each query.
    pub(crate) async fn catalog(&self, access: &Access) -> Result<Arc<Remembered>, Fail> {
        let all = self.mail.catalog(access.account).await?;
        if access.is_whole() {
            return Ok(all);
        }
        let some = all.read(|catalog| catalog.only(|mailbox| access.reads(mailbox)));
        Ok(Arc::new(Remembered::of(some)))
    }

    /// The mailboxes that are seen, parents before children. One whose parent is not seen lies at the top.
    pub(crate) async fn mailboxes(&self, access: &Access) -> Result<Vec<Mailbox>, Fail> {
        let mut tree = self.mail.mailboxes(access.account).await?;
        if !access.is_whole() {
            tree.retain(|mailbox| access.sees(mailbox.id));
            for mailbox in &mut tree {
                mailbox.parent = mailbox.parent.filter(|parent| access.sees(*parent));
            }
        }
        Ok(tree)
    }
}
