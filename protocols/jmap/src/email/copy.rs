//! `Email/copy` (RFC 8621 §4.7): emails of another account, stored once more.

use std::collections::BTreeMap;

use accounts::Rights;
use futures::future::BoxFuture;
use jmap_proto::date::parse_utc;
use jmap_proto::id::IdRef;
use jmap_proto::standard::{Copy, CopyAnswer};
use jmap_proto::{Arguments, Id, MethodError, Object, SetError};
use schema::EmailId;
use serde_json::Value;

use super::{create, import, keywords, set};
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::download::Source;
use crate::fail::Fail;

pub(crate) fn copy(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &mut Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let copy = Copy::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let access = call.editor(&copy.account)?;
    let from = source(call, &copy.from)?;
    let before = call.services().state_if(access.account, copy.if_in_state.as_ref()).await?;
    call.services().state_if(from.account, copy.if_from_in_state.as_ref()).await?;
    let mut answer = CopyAnswer {
        from: copy.from.clone(),
        account: copy.account,
        old_state: Some(call.services().state_text(before)),
        new_state: String::new(),
        created: BTreeMap::new(),
        not_created: BTreeMap::new(),
    };
    let (mut commits, mut copied) = (Vec::new(), Vec::new());
    for (creation, (original, object)) in copy.create {
        match one(call, &access, &from, &original, &object).await? {
            Ok((made, told, original)) => {
                commits.push(made.modseq);
                copied.push(Value::from(original.to_string()));
                call.created.insert(creation.clone(), Id::of(made.email));
                answer.created.insert(creation, told);
            }
            Err(error) => {
                answer.not_created.insert(creation, error);
            }
        }
    }
    let after = call.services().state_after(access.account, before, &commits).await?;
    answer.new_state = call.services().state_text(after);
    if copy.destroy_original && !copied.is_empty() {
        destroy(call, &copy.from, copied, copy.destroy_from_if_in_state).await;
    }
    Ok(answer.into_object())
}

/// The account to copy from, which the user may read (RFC 8620 §5.4).
pub(crate) fn source(call: &Call, id: &Id) -> Result<Access, MethodError> {
    match call.viewer(id) {
        Ok(access) => Ok(access),
        Err(MethodError::AccountNotFound) => Err(MethodError::FromAccountNotFound),
        Err(error) => Err(error),
    }
}

type Copied = Result<(mail::Appended, Object, EmailId), SetError>;

async fn one(
    call: &Call,
    access: &Access,
    from: &Access,
    original: &IdRef,
    object: &Object,
) -> Result<Copied, Fail> {
    if !access.may_somewhere(Rights::INSERT) {
        return Ok(Err(SetError::forbidden()));
    }
    let services = call.services();
    let found = match call.resolve::<EmailId>(original) {
        Some(id) => services.email(from, id).await?,
        None => None,
    };
    let Some(email) = found else { return Ok(Err(SetError::not_found())) };
    // RFC 8621 §4.7: what may be another in the copy.
    let known = ["mailboxIds", "keywords", "receivedAt"];
    let unknown: Vec<&str> = object.keys().map(String::as_str).filter(|name| !known.contains(name)).collect();
    if !unknown.is_empty() {
        return Ok(Err(SetError::invalid_properties(unknown)));
    }
    let read = || {
        let mailboxes = keywords::mailboxes(call, object.get("mailboxIds").unwrap_or(&Value::Null))?;
        let flags = object.get("keywords").filter(|value| !value.is_null());
        let flags = flags.map_or(Ok(email.flags()), keywords::of_object)?;
        let received = match object.get("receivedAt").filter(|value| !value.is_null()) {
            None => email.received,
            Some(value) => {
                let millis = value.as_str().and_then(parse_utc);
                millis.ok_or_else(|| SetError::invalid_properties(["receivedAt"]))?.div_euclid(1_000)
            }
        };
        create::few(&mailboxes, &flags)?;
        Ok((mailboxes, flags, received))
    };
    let (mailboxes, flags, received) = match read() {
        Ok(read) => read,
        Err(error) => return Ok(Err(error)),
    };
    let incoming = import::incoming(call, &Source::stored(email.blob, email.size)).await?;
    let made = create::store(call, access, &incoming, &mailboxes, &flags, received).await?;
    Ok(made.map(|(made, told)| (made, told, email.id)))
}

/// RFC 8620 §5.4: the originals go by a call that is answered as if the client had made it.
async fn destroy(call: &mut Call, from: &Id, originals: Vec<Value>, if_in_state: Option<String>) {
    let mut arguments = Object::new();
    arguments.insert("accountId".to_owned(), from.as_str().into());
    arguments.insert("ifInState".to_owned(), if_in_state.map_or(Value::Null, Value::from));
    arguments.insert("destroy".to_owned(), Value::Array(originals));
    set::further(call, arguments).await;
}
