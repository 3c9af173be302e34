//! What types have in common of which an account has few: identities, submissions, the automatic reply, quotas.

use std::collections::HashMap;

use jmap_proto::standard::{Get, GetAnswer};
use jmap_proto::{MethodError, Object};
use schema::keys::mail::ObjectKind;
use schema::records::mail::{ChangeKind, ChangeRecord};
use serde_json::Value;

use crate::Services;
use crate::access::Access;
use crate::call::Call;
use crate::fail::Fail;
use crate::log::{self, Folded, What};

/// What became of objects of a kind since a state.
pub(crate) async fn since(
    services: &Services,
    access: &Access,
    kind: ObjectKind,
    since: &str,
    max: Option<usize>,
) -> Result<Folded, Fail> {
    log::fold(services, access, since, max, |entry| told(entry, kind)).await
}

fn told(entry: &ChangeRecord, kind: ObjectKind) -> Vec<(What, u64)> {
    let what = match log::kind(entry) {
        Some(ChangeKind::ObjectCreated) => What::Created,
        Some(ChangeKind::ObjectUpdated) => What::Updated,
        Some(ChangeKind::ObjectDestroyed) => What::Destroyed,
        _ => return Vec::new(),
    };
    let ids = entry.objects.iter().filter(|_| entry.object_kind == u32::from(kind.tag()));
    ids.map(|id| (what, *id)).collect()
}

/// The answer to `/get` (RFC 8620 §5.1), where `all` there are is known: by their ids, and as they are told.
pub(crate) fn answer<T>(
    call: &Call,
    get: Get,
    state: String,
    all: &[T],
    (id, told): (impl Fn(&T) -> String, impl Fn(&T) -> Object),
) -> Object {
    let mut answer = GetAnswer { account: Some(get.account), state, ..GetAnswer::default() };
    let Some(ids) = get.ids else {
        answer.list = all.iter().map(told).collect();
        return answer.into_object();
    };
    let by_id: HashMap<String, &T> = all.iter().map(|one| (id(one), one)).collect();
    for reference in ids {
        let found = call.created.resolve(&reference).and_then(|id| by_id.get(id.as_str()));
        match found {
            Some(one) => answer.list.push(told(one)),
            None => answer.not_found.push(reference.to_string()),
        }
    }
    answer.into_object()
}

/// The properties that are asked for: all if none are.
pub(crate) fn wanted(asked: Option<Vec<String>>, known: &[&str]) -> Result<Vec<String>, MethodError> {
    let asked = asked.unwrap_or_else(|| known.iter().map(|name| (*name).to_owned()).collect());
    if asked.iter().all(|name| known.contains(&name.as_str())) {
        Ok(asked)
    } else {
        Err(MethodError::invalid("properties", "there is no such property"))
    }
}

/// Of an object what is wanted, and its id (RFC 8620 §5.1).
pub(crate) fn only(all: Value, wanted: &[String]) -> Object {
    let Value::Object(mut all) = all else { return Object::new() };
    all.retain(|name, _| name == "id" || wanted.iter().any(|one| one == name));
    all
}
