//! What `/query` and `/queryChanges` of all types have in common (RFC 8620 §5.5, §5.6).

use std::collections::BTreeSet;

use jmap_proto::standard::{Query, QueryAnswer, QueryChanges, QueryChangesAnswer};
use jmap_proto::{Id, MethodError, Object};
use schema::AccountId;

use crate::Services;
use crate::fail::Fail;
use crate::log::Folded;
use crate::options::RESULTS;

/// How often the changes of results are worked out anew because something changed meanwhile.
pub(crate) const TRIES: usize = 3;

/// The part of the results that is asked for. `state` was read before them.
pub(crate) fn part(
    query: Query,
    state: String,
    can_calculate_changes: bool,
    ids: &[Id],
) -> Result<Object, MethodError> {
    let range = query.window.range(ids.len(), RESULTS, |id| ids.iter().position(|one| one == id))?;
    let wanted = ids.get(range.clone()).unwrap_or_default().to_vec();
    Ok(answer(query, state, can_calculate_changes, ids.len(), (range.start, wanted)))
}

/// The answer to `/query`: the part of so many results that is asked for, and where it begins.
pub(crate) fn answer(
    query: Query,
    state: String,
    can_calculate_changes: bool,
    total: usize,
    (position, ids): (usize, Vec<Id>),
) -> Object {
    let limited = query.window.limit.is_none_or(|limit| limit > RESULTS as u64);
    let answer = QueryAnswer {
        account: query.account,
        query_state: state,
        can_calculate_changes,
        position,
        total: query.calculate_total.then_some(total),
        // RFC 8620 §5.5: told whether there are so many or not.
        limit: limited.then_some(RESULTS),
        ids,
    };
    answer.into_object()
}

/// What became of the results, by what changed since and the results as they are, which were read after it. None if something
/// changed while they were read: places that are told have to be those of the state that is told, or a client that goes on
/// from there keeps what has moved in the wrong place for ever.
pub(crate) async fn changes(
    services: &Services,
    account: AccountId,
    asked: &QueryChanges,
    (folded, id_of): (&Folded, impl Fn(u64) -> Id),
    ids: &[Id],
) -> Result<Option<Object>, Fail> {
    if services.state(account).await? > folded.upto {
        return Ok(None);
    }
    let all = [&folded.created, &folded.updated, &folded.destroyed];
    let changed: BTreeSet<Id> = all.into_iter().flatten().map(|id| id_of(*id)).collect();
    let answer = QueryChangesAnswer {
        account: asked.account.clone(),
        old_state: asked.since.clone(),
        new_state: services.state_text(folded.upto),
        total: asked.calculate_total.then_some(ids.len()),
        removed: Vec::new(),
        added: Vec::new(),
    };
    Ok(Some(answer.work_out(&changed, ids, asked.up_to.as_ref(), asked.max)?.into_object()))
}
