//! What changed since a state: the change log of an account, as `/changes` tells it (RFC 8620 §5.2).

use std::collections::BTreeSet;

use jmap_proto::MethodError;
use schema::records::mail::{ChangeKind, ChangeRecord};
use schema::{AccountId, ModSeq};

use crate::Services;
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

    fn note(&mut self, what: What, id: u64) {
        match what {
            What::Created => {
                self.created.insert(id);
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
/// never a part of a commit.
pub(crate) async fn fold(
    services: &Services,
    account: AccountId,
    since: &str,
    max: Option<usize>,
    mut told: impl FnMut(&ChangeRecord) -> Vec<(What, u64)>,
) -> Result<Folded, Fail> {
    let since = services.state_of(since)?;
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
            let mut next = folded.clone();
            entries.iter().flat_map(|(_, entry)| told(entry)).for_each(|(what, id)| next.note(what, id));
            next.upto = ModSeq(commit);
            if next.len() > max {
                // RFC 8620 §5.2: if not even one step fits, there is nothing to tell.
                if folded.len() == 0 && folded.upto == since {
                    return Err(MethodError::CannotCalculateChanges.into());
                }
                return Ok(Folded { more: true, ..folded });
            }
            (folded, rest) = (next, later);
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
}
