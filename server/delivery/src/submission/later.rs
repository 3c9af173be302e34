//! What is to be sent later (RFC 4865): kept, sent when it is due, or taken back before.

use std::sync::Arc;
use std::time::Duration;

use accounts::Identity;
use jmap::{NewSubmission, Path, Undone};
use kv::TransactError;
use mail::{ObjectChange, make_submission_in, write_object_in};
use ownership::{Charge, Tenure, Worker};
use runtime::Supervisor;
use schema::keys::blob::BlobOwner;
use schema::keys::job::LaterKey;
use schema::keys::mail::ObjectKind;
use schema::records::object::{SubmissionRecipient, SubmissionRecord};
use schema::{AccountId, BlobHash, Duty, EmailId, Key, ModSeq, SubmissionId};

use super::kept::release_body_in;
use super::{Submissions, checked};
use crate::Error;

/// Between two looks for what is due.
const LOOK: Duration = Duration::from_secs(1);
/// Rows of one look.
const BATCH: usize = 100;
/// How long a message is kept beyond its time: for as long as nobody can send it.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// A failure here is one of the store's there.
fn of_store(error: Error) -> mail::Error {
    match error {
        Error::Mail(error) => error,
        Error::Kv(error) => error.into(),
        Error::Blob(error) => error.into(),
        other => {
            tracing::error!(error = %other, "submission failed");
            mail::Error::Invalid("a submission failed")
        }
    }
}

impl Submissions {
    /// Keeps a submission until it is due.
    pub(super) async fn keep(&self, new: NewSubmission) -> Result<ModSeq, mail::Error> {
        let shared = &self.delivery.shared;
        let services = &shared.services;
        let time = new.record.send_at;
        let kept_until = time.saturating_add(i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX));
        let record = SubmissionRecord {
            blob: new.blob.0.to_vec(),
            size: new.size,
            header_size: new.header_size,
            kept_until,
            ..new.record
        };
        let (account, id, record) = (new.account, new.id, &record);
        let ((), version) = services
            .db
            .transact_versioned("submission.keep", |txn| async move {
                let from = BlobOwner::Email(account, EmailId(record.email));
                let to = BlobOwner::Upload { account, expires: kept_until };
                // It conflicts with the removal of the account.
                services.mail.inbox_in(&txn, account).await?;
                services.mail.blobs().copy_reference_in(&txn, new.blob, from, to).await?;
                txn.set(&LaterKey { time, account, id }.encode(), b"");
                make_submission_in(&txn, (account, id), record, services.clock.now().secs());
                Ok::<_, Error>(())
            })
            .await
            .map_err(of_store)?;
        services.mail.tell_objects(account, version);
        Ok(ModSeq(version.version()))
    }

    /// Takes back what waits.
    pub(super) async fn take_back(
        &self,
        account: AccountId,
        id: SubmissionId,
    ) -> Result<Undone, mail::Error> {
        let shared = &self.delivery.shared;
        let services = &shared.services;
        let (undone, version) = services
            .db
            .transact_versioned("submission.cancel", |txn| async move {
                let found = services.mail.object_in(&txn, account, ObjectKind::Submission, id.0).await?;
                let Some(record): Option<SubmissionRecord> = found else { return Ok(None) };
                let due = LaterKey { time: record.send_at, account, id }.encode();
                if record.sending || record.canceled || txn.get(&due).await?.is_none() {
                    return Ok(Some(false));
                }
                txn.clear(&due);
                release_body_in(shared, &txn, account, &record).await?;
                let record = SubmissionRecord { canceled: true, blob: Vec::new(), ..record };
                let key = (account, ObjectKind::Submission, id.0);
                write_object_in(&txn, key, &ObjectChange::Updated(&record), services.clock.now().secs());
                Ok::<_, Error>(Some(true))
            })
            .await
            .map_err(of_store)?;
        Ok(match undone {
            None => Undone::NotFound,
            Some(false) => Undone::No,
            Some(true) => {
                services.mail.tell_objects(account, version);
                Undone::Yes(ModSeq(version.version()))
            }
        })
    }

    /// Sending what is due, which one node does for all.
    pub fn charge(&self, supervisor: &Supervisor) -> Charge {
        let worker = Release { submissions: self.clone(), supervisor: supervisor.clone() };
        Charge { duties: vec![Duty::DELAYED_SEND], worker: Arc::new(worker) }
    }

    /// Sends all that is due.
    async fn release(&self) -> Result<(), Error> {
        let services = &self.delivery.shared.services;
        let mut begin = LaterKey::range().0;
        loop {
            let (from, end) = (&begin, &LaterKey::until(services.clock.now().millis()));
            let rows = services
                .db
                .read("submission.due", |txn| async move {
                    Ok::<_, Error>(txn.range(from, end).snapshot().limit(BATCH).collect().await?)
                })
                .await?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            let after = [&last[..], &[0]].concat();
            for (key, _) in &rows {
                let key = LaterKey::decode(key).map_err(mail::Error::from)?;
                // One that cannot be sent now keeps none of the others.
                if let Err(error) = self.release_one(key).await {
                    tracing::warn!(%error, account = %key.account, "a delayed message waits on");
                }
            }
            begin = after;
        }
    }

    async fn release_one(&self, key: LaterKey) -> Result<(), Error> {
        let services = &self.delivery.shared.services;
        let LaterKey { time, account, id } = key;
        let record: Option<SubmissionRecord> = services
            .db
            .read("submission.read", |txn| async move {
                services.mail.object_in(&txn, account, ObjectKind::Submission, id.0).await
            })
            .await?;
        let user = match &record {
            Some(record) => services.accounts.account(AccountId(record.user)).await?,
            None => None,
        };
        let (Some(record), Some(user)) = (record, user.filter(|user| user.enabled)) else {
            return self.drop_due(key).await;
        };
        let Ok(blob) = record.blob.as_slice().try_into().map(BlobHash) else {
            return self.drop_due(key).await;
        };
        let path = |address: &str, parameters: &str| Path {
            address: address.to_owned(),
            parameters: jmap::parameters(parameters),
        };
        let new = NewSubmission {
            account,
            id,
            user: Identity {
                account: user.id,
                address: user.address,
                display_name: user.display_name,
                groups: Vec::new(),
                shares: Vec::new(),
            },
            from: path(&record.mail_from, &record.mail_parameters),
            to: record.recipients.iter().map(|to| path(&to.address, &to.parameters)).collect(),
            blob,
            size: record.size,
            header_size: record.header_size,
            not_before: None,
            record,
        };
        match checked(&new) {
            Ok(checked) => self.sent(&new, checked, time).await,
            // It was taken by another version of the program, perhaps.
            Err(refused) => {
                tracing::error!(?refused, %account, "a delayed message cannot be sent");
                self.drop_due(key).await
            }
        }
    }

    async fn sent(&self, new: &NewSubmission, checked: super::Checked, time: i64) -> Result<(), Error> {
        match Box::pin(self.send(new, checked, Some(time))).await? {
            Ok(()) => metrics::counter!("submissions_released_total").increment(1),
            Err(refused) => tracing::info!(?refused, account = %new.account, "a delayed message waits on"),
        }
        Ok(())
    }

    /// What cannot be sent any more: its sender's account is gone or disabled. It is noted as not delivered.
    async fn drop_due(&self, key: LaterKey) -> Result<(), Error> {
        let shared = &self.delivery.shared;
        let services = &shared.services;
        let LaterKey { account, id, .. } = key;
        services
            .db
            .transact("submission.drop", |txn| async move {
                txn.clear(&key.encode());
                let found = services.mail.object_in(&txn, account, ObjectKind::Submission, id.0).await?;
                let Some(mut record): Option<SubmissionRecord> = found else { return Ok(()) };
                release_body_in(shared, &txn, account, &record).await?;
                if !record.sending && !record.canceled {
                    (record.sending, record.blob) = (true, Vec::new());
                    for to in &mut record.recipients {
                        (to.delivered, to.reply) = (
                            SubmissionRecipient::FAILED,
                            "550 5.7.1 Not sent: the sender is disabled".to_owned(),
                        );
                    }
                    let at = (account, ObjectKind::Submission, id.0);
                    write_object_in(&txn, at, &ObjectChange::Updated(&record), services.clock.now().secs());
                }
                Ok::<_, Error>(())
            })
            .await
    }
}

struct Release {
    submissions: Submissions,
    supervisor: Supervisor,
}

impl Worker for Release {
    fn begin(&self, tenure: Tenure) {
        let (end, submissions) = (tenure.ending().clone(), self.submissions.clone());
        self.supervisor.spawn_recurring_until(end, "delayed-send", LOOK, move || {
            let _held = &tenure;
            let submissions = submissions.clone();
            async move { submissions.release().await.map_err(|error| describe(&error)) }
        });
    }
}

fn describe(error: &Error) -> String {
    TransactError::as_kv(error).map_or_else(|| error.to_string(), ToString::to_string)
}
