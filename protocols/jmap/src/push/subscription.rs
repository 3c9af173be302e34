//! Who wants to be pushed to (RFC 8620 §7.2). Subscriptions belong to who has logged in and not to an account: they have no
//! state, and nothing of them is in a change log.

use std::fmt::Write as _;

use accounts::Subscribed;
use futures::future::BoxFuture;
use jmap_proto::arguments::texts;
use jmap_proto::date::{parse_utc, render_utc};
use jmap_proto::id::IdRef;
use jmap_proto::patch::Patch;
use jmap_proto::standard::{Edits, GetAnswer, SetAnswer};
use jmap_proto::{Arguments, Id, MethodError, Object, SetError};
use schema::PushId;
use schema::records::push::PushRecord;
use serde_json::{Value, json};

use super::port::PushError;
use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::objects;
use crate::registry::Method;

/// The methods of the type.
pub(crate) const METHODS: &[Method] = &[("PushSubscription/get", get), ("PushSubscription/set", set)];

/// The properties that are told (RFC 8620 §7.2): `url` and `keys` never are.
const PROPERTIES: [&str; 5] = ["id", "deviceClientId", "verificationCode", "expires", "types"];
/// The properties that are never told.
const PRIVATE: [&str; 2] = ["url", "keys"];
/// What a client gives.
const GIVEN: [&str; 6] = ["deviceClientId", "url", "keys", "verificationCode", "expires", "types"];

/// How long a subscription lasts at most, in milliseconds (RFC 8620 §7.2: 7 days or more).
const LONGEST: i64 = 30 * 86_400_000;
/// How long if the client does not say.
const USUAL: i64 = 7 * 86_400_000;
/// Octets of a `deviceClientId`.
const DEVICE_MAX: usize = 255;
/// Names of types, and octets of one.
const TYPES: usize = 50;
const TYPE_MAX: usize = 100;

/// RFC 8620 §7.2.1
fn get(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_get(call, arguments).await?) })
}

async fn run_get(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let ids = arguments.opt_id_refs("ids")?;
    let properties = arguments.opt_texts("properties")?;
    arguments.end()?;
    if ids.as_ref().is_some_and(|ids| ids.len() > call.limits().objects_in_get) {
        return Err(MethodError::RequestTooLarge.into());
    }
    if properties.iter().flatten().any(|name| PRIVATE.contains(&name.as_str())) {
        return Err(MethodError::Forbidden.into());
    }
    let wanted = objects::wanted(properties, &PROPERTIES)?;
    let all = call.services().accounts.pushes(call.identity.account).await?;
    let mut answer = GetAnswer::default();
    match ids {
        None => answer.list = all.iter().map(|(id, record)| object(*id, record, &wanted)).collect(),
        Some(mut ids) => {
            let mut seen = std::collections::BTreeSet::new();
            ids.retain(|id| seen.insert(id.clone()));
            for reference in ids {
                let id: Option<PushId> = call.resolve(&reference);
                match all.iter().find(|(one, _)| Some(*one) == id) {
                    Some((id, record)) => answer.list.push(object(*id, record, &wanted)),
                    None => answer.not_found.push(reference.to_string()),
                }
            }
        }
    }
    let mut answer = answer.into_object();
    // §7.2.1: there is no state, since there is no /changes.
    answer.remove("state");
    Ok(answer)
}

fn object(id: PushId, record: &PushRecord, wanted: &[String]) -> Object {
    let all = json!({
        "id": id.to_string(),
        "deviceClientId": record.device,
        "verificationCode": record.verified.then_some(&record.code),
        "expires": render_utc(record.expires),
        "types": record.some.then_some(&record.types),
    });
    objects::only(all, wanted)
}

/// RFC 8620 §7.2.2
fn set(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_set(call, arguments).await?) })
}

async fn run_set(call: &mut Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let edits = Edits::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let mut answer = SetAnswer::default();
    for (creation, given) in &edits.create {
        match create(call, given).await? {
            Ok((id, told)) => {
                call.created.insert(creation.clone(), Id::of(id));
                answer.created.insert(creation.clone(), told);
            }
            Err(error) => {
                answer.not_created.insert(creation.clone(), error);
            }
        }
    }
    for (reference, patch) in &edits.update {
        let outcome = match (call.resolve::<PushId>(reference), patch) {
            (None, _) => Err(SetError::not_found()),
            (Some(_), Err(error)) => Err(error.clone()),
            (Some(_), Ok(_)) if edits.destroy.contains(reference) => Err(SetError::will_destroy()),
            (Some(id), Ok(patch)) => update(call, id, patch).await?.map(|told| (id, told)),
        };
        match outcome {
            Ok((id, told)) => {
                answer.updated.insert(Id::of(id), told);
            }
            Err(error) => {
                answer.not_updated.insert(reference.to_string(), error);
            }
        }
    }
    destroy(call, &edits.destroy, &mut answer).await?;
    let mut answer = answer.into_object();
    answer.retain(|name, _| !["oldState", "newState"].contains(&name.as_str()));
    Ok(answer)
}

async fn create(call: &Call, given: &Object) -> Result<Result<(PushId, Object), SetError>, Fail> {
    let services = call.services();
    let now = services.clock.now().millis();
    let mut record = match read(given, now) {
        Ok(record) => record,
        Err(error) => return Ok(Err(error)),
    };
    let keys = (!record.p256dh.is_empty()).then_some((record.p256dh.as_str(), record.auth.as_str()));
    if let Err(error) = services.push.check(&record.url, keys) {
        let property = match error {
            PushError::Url => "url",
            PushError::Keys => "keys",
        };
        return Ok(Err(SetError::invalid_properties([property])));
    }
    record.code = code(&*services.rng);
    let id = match services.accounts.subscribe_push(call.identity.account, call.proof, &record).await? {
        Subscribed::Yes(id) => id,
        Subscribed::TooMany => return Ok(Err(SetError::over_quota())),
        Subscribed::TooOften => return Ok(Err(SetError::rate_limit())),
    };
    let mut told = Object::new();
    told.insert("id".to_owned(), id.to_string().into());
    told.insert("expires".to_owned(), render_utc(record.expires).into());
    for name in ["keys", "types"] {
        if !given.contains_key(name) {
            told.insert(name.to_owned(), Value::Null);
        }
    }
    Ok(Ok((id, told)))
}

/// What nobody guesses: 128 bits.
fn code(rng: &dyn runtime::Rng) -> String {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a client gives, at a time in milliseconds since the epoch.
fn read(given: &Object, now: i64) -> Result<PushRecord, SetError> {
    let mut wrong: Vec<&str> =
        given.keys().map(String::as_str).filter(|name| !GIVEN.contains(name)).collect();
    let text = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut record = PushRecord {
        device: text("deviceClientId"),
        url: text("url"),
        expires: now + USUAL,
        ..PushRecord::default()
    };
    if record.device.is_empty() || record.device.len() > DEVICE_MAX {
        wrong.push("deviceClientId");
    }
    if record.url.is_empty() {
        wrong.push("url");
    }
    match keys(given.get("keys").unwrap_or(&Value::Null)) {
        Some((p256dh, auth)) => (record.p256dh, record.auth) = (p256dh, auth),
        None => wrong.push("keys"),
    }
    // RFC 8620 §7.2: the server makes it.
    if given.get("verificationCode").is_some_and(|code| !code.is_null()) {
        wrong.push("verificationCode");
    }
    for name in ["expires", "types"] {
        if given.get(name).is_some_and(|value| !edit(&mut record, name, value, now)) {
            wrong.push(name);
        }
    }
    if wrong.is_empty() { Ok(record) } else { Err(SetError::invalid_properties(wrong)) }
}

/// Both keys; two empty texts for null.
fn keys(value: &Value) -> Option<(String, String)> {
    if value.is_null() {
        return Some(Default::default());
    }
    let object = value.as_object().filter(|object| object.len() == 2)?;
    let text = |name: &str| object.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    Some((text("p256dh")?, text("auth")?))
}

/// Makes a property that may change another; whether it may be so.
fn edit(record: &mut PushRecord, name: &str, value: &Value, now: i64) -> bool {
    match name {
        "expires" if value.is_null() => record.expires = now + USUAL,
        "expires" => match value.as_str().and_then(parse_utc).filter(|at| *at > now) {
            // RFC 8620 §7.2: one that is too far away is brought nearer, and told.
            Some(at) => record.expires = at.min(now + LONGEST),
            None => return false,
        },
        "types" if value.is_null() => (record.types, record.some) = (Vec::new(), false),
        "types" => {
            let fits = |types: &Vec<String>| {
                types.len() <= TYPES && types.iter().all(|name| !name.is_empty() && name.len() <= TYPE_MAX)
            };
            match texts(value.clone()).filter(fits) {
                Some(types) => (record.types, record.some) = (types, true),
                None => return false,
            }
        }
        // The device says that it was reached.
        "verificationCode" if value.is_null() => return !record.verified,
        "verificationCode" if value.as_str() == Some(&record.code) => record.verified = true,
        "deviceClientId" => return value.as_str() == Some(&record.device),
        _ => return false,
    }
    true
}

/// What the client does not know of it.
type Told = Option<Object>;

async fn update(call: &Call, id: PushId, patch: &Patch) -> Result<Result<Told, SetError>, Fail> {
    let services = call.services();
    let (now, account) = (services.clock.now().millis(), call.identity.account);
    // What is over, or whose credentials are gone, is not there.
    if !services.accounts.pushes(account).await?.iter().any(|(one, _)| *one == id) {
        return Ok(Err(SetError::not_found()));
    }
    let changed = |before: Option<PushRecord>| {
        let Some(mut record) = before else { return (Err(SetError::not_found()), None) };
        let mut told = Object::new();
        for name in patch.properties() {
            for (within, value) in patch.changes_of(name) {
                let own = name == "id" && value.as_str() == Some(id.to_string().as_str());
                if !within.is_empty() || !(own || edit(&mut record, name, value, now)) {
                    return (Err(SetError::invalid_properties([name])), None);
                }
                let expires = Value::from(render_utc(record.expires));
                if name == "expires" && *value != expires {
                    told.insert("expires".to_owned(), expires);
                }
            }
        }
        (Ok((!told.is_empty()).then_some(told)), Some(Some(record)))
    };
    Ok(services.accounts.edit_push((account, id), true, &changed).await?)
}

async fn destroy(call: &Call, ids: &[IdRef], answer: &mut SetAnswer) -> Result<(), Fail> {
    let services = call.services();
    for reference in ids {
        let gone = match call.resolve::<PushId>(reference) {
            None => None,
            Some(id) => {
                let remove = |before: Option<PushRecord>| (before.is_some(), Some(None));
                let at = (call.identity.account, id);
                services.accounts.edit_push(at, true, &remove).await?.then_some(id)
            }
        };
        match gone {
            Some(id) => answer.destroyed.push(Id::of(id)),
            None => {
                answer.not_destroyed.insert(reference.to_string(), SetError::not_found());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(value: Value) -> Result<PushRecord, SetError> {
        let Value::Object(object) = value else { panic!("an object") };
        read(&object, 1_000)
    }

    #[test]
    fn what_is_given_is_read() {
        let keys = json!({"p256dh": "a", "auth": "b"});
        let record =
            given(json!({"deviceClientId": "d", "url": "https://x/", "keys": keys, "types": ["Email"]}));
        let record = record.unwrap();
        assert_eq!((record.p256dh.as_str(), record.auth.as_str()), ("a", "b"));
        assert_eq!(
            (record.expires, record.some, record.types),
            (1_000 + USUAL, true, vec!["Email".to_owned()])
        );
        let far =
            given(json!({"deviceClientId": "d", "url": "https://x/", "expires": "2999-01-01T00:00:00Z"}));
        assert_eq!(far.unwrap().expires, 1_000 + LONGEST);
        for (name, value) in [
            ("deviceClientId", json!("")),
            ("url", json!(7)),
            ("keys", json!({"p256dh": "a"})),
            ("keys", json!({"p256dh": "a", "auth": ""})),
            ("verificationCode", json!("guess")),
            ("expires", json!("1970-01-01T00:00:01Z")),
            ("expires", json!("soon")),
            ("types", json!([7])),
            ("types", json!([""])),
            ("id", json!("P1")),
        ] {
            let mut object = json!({"deviceClientId": "d", "url": "https://x/"});
            object[name] = value;
            assert_eq!(given(object), Err(SetError::invalid_properties([name])), "{name}");
        }
    }

    #[test]
    fn only_the_code_verifies() {
        let mut record = PushRecord { code: "secret".into(), device: "d".into(), ..PushRecord::default() };
        assert!(!edit(&mut record, "verificationCode", &json!("guess"), 0) && !record.verified);
        assert!(edit(&mut record, "verificationCode", &json!("secret"), 0) && record.verified);
        assert!(!edit(&mut record, "verificationCode", &Value::Null, 0));
        assert!(edit(&mut record, "deviceClientId", &json!("d"), 0));
        for name in ["deviceClientId", "url", "keys"] {
            assert!(!edit(&mut record, name, &json!("another"), 0), "{name}");
        }
    }
}
