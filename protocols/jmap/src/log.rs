//! What changed since a state: the change log of an account, as `/changes` tells it (RFC 8620 §5.2).

use std::collections::BTreeSet;

use jmap_proto::standard::{Changes, ChangesAnswer};
use jmap_proto::{Id, MethodError};
use schema::ModSeq;
use schema::records::mail::{ChangeKind, ChangeRecord};

use crate::Services;
use crate::access::Access;
use crate::fail::Fail;
use crate::options::CHANGES;

/// Entries read at once.
const ENTRIES: usize = 1_000;

/// What happened to a record, by one entry of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Created,
    Updated,
    Destroyed,
}

/// What became of records between two states, each in one of the sets at most.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folded {
    pub(crate) created: BTreeSet<u64>,
    pub(crate) updated: BTreeSet<u64>,
    pub(crate) destroyed: BTreeSet<u64>,
    /// Up to when.
    pub(crate) upto: ModSeq,
    pub(crate) more: bool,
}

impl Folded {
    fn len(&self) -> usize {
        self.created.len() + self.updated.len() + self.destroyed.len()
    }

    /// These, if they are all that there is.
    ///
    /// # Errors
    /// [`MethodError::CannotCalculateChanges`]
    pub(crate) fn whole(self) -> Result<Self, MethodError> {
        if self.more { Err(MethodError::CannotCalculateChanges) } else { Ok(self) }
    }

    /// The answer to `/changes`.
    pub(crate) fn answer(
        &self,
        asked: Changes,
        services: &Services,
        id_of: impl Fn(u64) -> Id,
    ) -> ChangesAnswer {
        let ids = |ids: &BTreeSet<u64>| ids.iter().map(|id| id_of(*id)).collect();
        ChangesAnswer {
            account: asked.account,
            old_state: asked.since,
            new_state: services.state_text(self.upto),
            more: self.more,
            created: ids(&self.created),
            updated: ids(&self.updated),
            destroyed: ids(&self.destroyed),
        }
    }

    fn note(&mut self, what: What, id: u64) {
        match what {
            What::Created => {
                // Who may see it again has seen it before; and what was told of it before it was seen is not told.
                if self.destroyed.remove(&id) {
                    self.updated.insert(id);
                } else {
                    self.updated.remove(&id);
                    self.created.insert(id);
                }
            }
            What::Updated if self.created.contains(&id) || self.destroyed.contains(&id) => {}
            What::Updated => {
                self.updated.insert(id);
            }
            What::Destroyed => {
                self.updated.remove(&id);
                // RFC 8620 §5.2: what came and went since is not told.
                if !self.created.remove(&id) {
                    self.destroyed.insert(id);
                }
            }
        }
    }
}

/// The kind of an entry.
pub(crate) fn kind(entry: &ChangeRecord) -> Option<ChangeKind> {
    ChangeKind::try_from(entry.kind).ok()
}

/// Folds the log since a state: `told` says what an entry tells of records of one type. No more than `max` are told, and
/// never a part of a commit. What the user does not see is passed over.
pub(crate) async fn fold(
    services: &Services,
    access: &Access,
    since: &str,
    max: Option<usize>,
    mut told: impl FnMut(&ChangeRecord) -> Vec<(What, u64)>,
) -> Result<Folded, Fail> {
    let (since, account) = (services.state_of(since)?, access.account);
    if since > services.state(account).await? {
        // Not a state that anybody was given: of a store that was set back, perhaps.
        return Err(MethodError::CannotCalculateChanges.into());
    }
    let max = max.unwrap_or(CHANGES).min(CHANGES);
    let mut folded = Folded { upto: since, ..Folded::default() };
    loop {
        let page = changes::log::read(services.mail.database(), account, folded.upto, ENTRIES).await?;
        let mut rest = page.entries.as_slice();
        while let Some((first, _)) = rest.first() {
            let commit = first.version();
            let length = rest.iter().take_while(|(stamp, _)| stamp.version() == commit).count();
            let (entries, later) = rest.split_at(length);
            let news: Vec<(What, u64)> = entries
                .iter()
                .filter(|(_, entry)| access.hears(entry))
                .flat_map(|(_, entry)| told(entry))
                .collect();
            // Kept only where it may be too much.
            let before = (folded.len() + news.len() > max).then(|| folded.clone());
            news.into_iter().for_each(|(what, id)| folded.note(what, id));
            folded.upto = ModSeq(commit);
            if let Some(before) = before.filter(|_| folded.len() > max) {
                // RFC 8620 §5.2: if not even one step fits, there is nothing to tell.
                if before.len() == 0 && before.upto == since {
                    return Err(MethodError::CannotCalculateChanges.into());
                }
                return Ok(Folded { more: true, ..before });
            }
            rest = later;
        }
        folded.upto = folded.upto.max(page.upto);
        if !page.more {
            return Ok(folded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_went_is_not_told() {
        let mut folded = Folded::default();
        for (what, id) in [
            (What::Created, 1),
            (What::Updated, 1),
            (What::Created, 2),
            (What::Destroyed, 2),
            (What::Updated, 3),
            (What::Destroyed, 3),
            (What::Updated, 3),
            (What::Updated, 4),
        ] {
            folded.note(what, id);
        }
        let sets = [&folded.created, &folded.updated, &folded.destroyed]
            .map(|set| Vec::from_iter(set.iter().copied()));
        assert_eq!(sets, [vec![1], vec![4], vec![3]]);
    }

    #[test]
    fn what_is_seen_again_was_known_and_what_is_seen_first_is_new() {
        let mut folded = Folded::default();
        for (what, id) in [
            (What::Destroyed, 1),
            (What::Created, 1),
            (What::Updated, 2),
            (What::Created, 2),
            (What::Updated, 2),
        ] {
            folded.note(what, id);
        }
        let sets = [&folded.created, &folded.updated, &folded.destroyed]
            .map(|set| Vec::from_iter(set.iter().copied()));
        assert_eq!(sets, [vec![2], vec![1], vec![]]);
    }
}
