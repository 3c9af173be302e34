//! Mending: who does it, and what two domains do together.

use crate::across::{INBOX, check_row_in, is_unowned};
use crate::{Error, Finding, Kind, Mended, Verifier};
use blob::BlobOwner;
use kv::Transaction;
use schema::keys::account::PrincipalKey;
use schema::keys::blob::{BlobMetaKey, TAG as BODIES};
use schema::keys::mail::{EmailKey, RoleKey, TAG as MAIL};
use schema::keys::queue::TAG as QUEUE;
use schema::keys::search::TAG as SEARCH;
use schema::keys::{account, job, node};
use schema::records::account::Principal;
use schema::{AccountId, BlobHash, Key, Record};

impl Verifier {
    /// Mends a finding, if it still stands. With `drop_lost` what nothing is left of is taken away; without it is left
    /// as it is.
    ///
    /// # Errors
    /// The store's.
    pub async fn mend(&self, finding: &Finding, drop_lost: bool) -> Result<Mended, Error> {
        match (finding.kind, finding.source.first()) {
            (Kind::UnknownKey | Kind::ForeignFormat | Kind::BodyDamaged, _) => {
                Ok(Mended::kept(finding.kind.remedy()))
            }
            (Kind::BodyLost, _) => self.mend_body(finding, drop_lost).await,
            (Kind::MailUnowned, _) => self.mend_unowned(finding, drop_lost).await,
            (Kind::InboxLost | Kind::QuotaLimitDiffers, Some(&account::TAG)) => {
                self.mend_across(finding).await
            }
            (_, Some(&MAIL | &job::TAG)) => Ok(self.mail.mend(finding, drop_lost).await?),
            (_, Some(&BODIES)) => Ok(self.mail.blobs().mend(finding).await?),
            (_, Some(&account::TAG)) => Ok(self.accounts.mend(finding, drop_lost).await?),
            (_, Some(&node::TAG)) => self.mend_node(finding).await,
            (_, Some(&SEARCH)) => self.mend_index(finding).await,
            (_, Some(&QUEUE)) => Ok(self.spool.mend(finding, drop_lost).await?),
            _ => Ok(Mended::kept("nothing says what it was")),
        }
    }

    /// A body that is lost: known again if its pieces are there, else taken away with those that hold it if it may.
    async fn mend_body(&self, finding: &Finding, drop_lost: bool) -> Result<Mended, Error> {
        let BlobMetaKey { hash } = BlobMetaKey::decode(&finding.key)?;
        if self.mail.blobs().recover(hash).await? {
            return Ok(Mended::done("its pieces are all there: it is known again"));
        }
        if !drop_lost {
            return Ok(Mended::kept(finding.kind.remedy()));
        }
        match finding.source.first() {
            Some(&MAIL) if self.stands(finding).await? => Ok(self.mail.mend(finding, true).await?),
            Some(&QUEUE) => Ok(self.spool.mend(finding, true).await?),
            _ => match self.mail.blobs().probe(hash, &finding.source, false).await? {
                Some(found) if found.kind == Kind::BodyLost => self.drop_holders(hash).await,
                _ => Ok(Mended::Gone),
            },
        }
    }

    /// Takes away what holds a body that is lost.
    async fn drop_holders(&self, hash: BlobHash) -> Result<Mended, Error> {
        let mut done = Vec::new();
        loop {
            let before = done.len();
            for owner in self.mail.blobs().holders(hash).await? {
                let mended = match owner {
                    BlobOwner::Email(account, email) => {
                        self.mail.drop_lost(EmailKey { account, email }).await?
                    }
                    BlobOwner::Index { shard, .. } => self.anew(shard).await?,
                    BlobOwner::Queue(id) => self.spool.drop_entry(id).await?,
                    // It ends by itself.
                    BlobOwner::Upload { .. } => Mended::Gone,
                };
                done.extend(match mended {
                    Mended::Done(what) => Some(what),
                    _ => None,
                });
            }
            if done.len() == before {
                break;
            }
        }
        Ok(if done.is_empty() {
            Mended::kept("what holds it cannot be removed")
        } else {
            Mended::done(done.join("; "))
        })
    }

    async fn mend_index(&self, finding: &Finding) -> Result<Mended, Error> {
        let blobs = self.mail.blobs();
        let mended = self
            .db
            .transact("verify.mend", |txn| async move { segments::mend_in(&txn, blobs, finding).await });
        Ok(mended.await?)
    }

    /// Has the index of a shard made anew that misses a file.
    async fn anew(&self, shard: u32) -> Result<Mended, Error> {
        let mended =
            self.db.transact("verify.mend", |txn| async move { segments::anew_in(&txn, shard).await });
        Ok(mended.await?)
    }

    async fn mend_node(&self, finding: &Finding) -> Result<Mended, Error> {
        self.db.transact("verify.mend", |txn| async move { Ok(leases::mend_in(&txn, finding).await?) }).await
    }

    /// What the mail has to take from the directory.
    async fn mend_across(&self, finding: &Finding) -> Result<Mended, Error> {
        self.db
            .transact("verify.mend", |txn| async move {
                let Some(value) = txn.get(&finding.source).await? else { return Ok(Mended::Gone) };
                if !check_row_in(&txn, &finding.source, &value).await?.confirms(finding) {
                    return Ok(Mended::Gone);
                }
                let PrincipalKey { account } = PrincipalKey::decode(&finding.source)?;
                let principal = Principal::from_bytes(&value).map_err(mail::Error::from)?;
                self.take_over_in(&txn, account, &principal, finding.kind).await
            })
            .await
    }

    async fn take_over_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        principal: &Principal,
        kind: Kind,
    ) -> Result<Mended, Error> {
        if kind == Kind::InboxLost {
            self.mail.provision_in(txn, account).await?;
        }
        let limit = |value: u64| Some(value).filter(|value| *value != 0);
        let (octets, messages) = (limit(principal.quota_bytes), limit(principal.quota_messages));
        self.mail.set_quota_in(txn, account, octets, messages).await?;
        Ok(Mended::done(match kind {
            Kind::InboxLost => "empty mailboxes were made",
            _ => "the limit is the directory's",
        }))
    }

    /// Mail of an account that the directory does not know goes, as that of one that was removed.
    async fn mend_unowned(&self, finding: &Finding, drop_lost: bool) -> Result<Mended, Error> {
        if !drop_lost {
            return Ok(Mended::kept(finding.kind.remedy()));
        }
        let RoleKey { account, .. } = RoleKey::decode(&finding.key)?;
        let (mended, version) = self
            .db
            .transact_versioned("verify.mend", |txn| async move {
                let inbox = RoleKey { account, role: INBOX }.encode();
                if txn.get(&inbox).await?.is_none() || !is_unowned(&txn, account).await? {
                    return Ok::<_, Error>(Mended::Gone);
                }
                self.mail.remove_in(&txn, account, "");
                Ok(Mended::done("a job removes the mail"))
            })
            .await?;
        if mended != Mended::Gone {
            self.mail.removed(account, version);
        }
        Ok(mended)
    }
}
