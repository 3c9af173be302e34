//! States (RFC 8620 §5.1): `incarnation.commit`. All types of an account share one, so that a change of any is seen at all.

use jmap_proto::MethodError;
use schema::{AccountId, ModSeq};

use crate::Services;
use crate::fail::Fail;

impl Services {
    /// As it is told.
    pub(crate) fn state_text(&self, state: ModSeq) -> String {
        format!("{:x}.{}", self.incarnation, state.0)
    }

    /// The account's state now.
    pub(crate) async fn state(&self, account: AccountId) -> Result<ModSeq, Fail> {
        Ok(self.mail.state(account).await?)
    }

    /// What a client was told.
    ///
    /// # Errors
    /// [`MethodError::CannotCalculateChanges`] for a state of another store, or what is none.
    pub(crate) fn state_of(&self, text: &str) -> Result<ModSeq, MethodError> {
        let parts = text.split_once('.').filter(|(own, _)| *own == format!("{:x}", self.incarnation));
        let commit = parts.and_then(|(_, commit)| commit.parse().ok());
        commit.map(ModSeq).ok_or(MethodError::CannotCalculateChanges)
    }

    /// The state before a change.
    ///
    /// # Errors
    /// [`MethodError::StateMismatch`] if a client wants another.
    pub(crate) async fn state_if(&self, account: AccountId, wanted: Option<&String>) -> Result<ModSeq, Fail> {
        let state = self.state(account).await?;
        if wanted.is_some_and(|wanted| *wanted != self.state_text(state)) {
            return Err(MethodError::StateMismatch.into());
        }
        Ok(state)
    }

    /// The state after changes that were made by these commits since `before`. If others changed something meanwhile, it is
    /// the one before: a client that asks for changes then misses none.
    pub(crate) async fn state_after(
        &self,
        account: AccountId,
        before: ModSeq,
        commits: &[ModSeq],
    ) -> Result<ModSeq, Fail> {
        let Some(last) = commits.last() else { return Ok(before) };
        let entries = changes::log::read(self.mail.database(), account, before, 10_000).await;
        let Ok(entries) = entries else { return Ok(before) };
        let own = |stamp: &kv::Versionstamp| commits.contains(&ModSeq(stamp.version()));
        let ours = !entries.more && entries.entries.iter().all(|(stamp, _)| own(stamp));
        Ok(if ours { *last } else { before })
    }
}
