//! Identities (RFC 8621 §6): as whom an account sends. The account itself is one that cannot be removed.

mod set;

use accounts::{Identity as User, Rights};
use futures::future::BoxFuture;
use jmap_proto::standard::{Changes, Get};
use jmap_proto::{Arguments, Id, MethodError, Object};
use schema::keys::mail::ObjectKind;
use schema::records::object::{IdentityRecord, PersonRecord};
use schema::{AccountId, IdentityId};
use serde_json::{Value, json};

use crate::Services;
use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::objects;
use crate::registry::Method;

/// The methods of the type.
pub(crate) const METHODS: &[Method] =
    &[("Identity/get", get), ("Identity/changes", changes), ("Identity/set", set::set)];

/// That of the account itself.
pub(crate) const OWN: IdentityId = IdentityId(0);

/// Identities that an account may have.
const MOST: usize = 200;

/// All properties (RFC 8621 §6).
const PROPERTIES: [&str; 8] =
    ["id", "name", "email", "replyTo", "bcc", "textSignature", "htmlSignature", "mayDelete"];

/// An identity.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Identity {
    pub(crate) id: IdentityId,
    /// Its address is never empty here.
    pub(crate) record: IdentityRecord,
}

/// All identities of an account.
pub(crate) async fn all(services: &Services, account: AccountId) -> Result<Vec<Identity>, Fail> {
    let mut rows: Vec<(u64, IdentityRecord)> =
        services.mail.objects(account, ObjectKind::Identity, MOST + 1).await?;
    if rows.first().is_none_or(|(id, _)| *id != OWN.0) {
        rows.insert(0, (OWN.0, IdentityRecord::default()));
    }
    let mut found = Vec::with_capacity(rows.len());
    for (id, mut record) in rows {
        if id == OWN.0 {
            let own = services.accounts.account(account).await?;
            let own = own.ok_or(MethodError::AccountNotFound)?;
            if record == IdentityRecord::default() {
                record.name = own.display_name;
            }
            record.email = own.address;
        }
        found.push(Identity { id: IdentityId(id), record });
    }
    Ok(found)
}

/// Whether somebody may send as an address in the name of an account: it is one of the account's, and the user may send for it
/// (RFC 4314 §4, the right `p`).
pub(crate) async fn may_send_as(
    services: &Services,
    user: &User,
    account: AccountId,
    address: &str,
) -> Result<bool, Fail> {
    let may = crate::access::of(user, account).is_some_and(|access| access.may(Rights::POST));
    let found = services.accounts.find(address).await?;
    Ok(may && found.is_some_and(|found| found.id == account && found.enabled))
}

/// RFC 8621 §6.1
fn get(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let mut get = Get::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let (account, services) = (call.reader(&get.account)?.account, call.services());
    let wanted = objects::wanted(get.properties.take(), &PROPERTIES)?;
    let state = services.state_text(services.state(account).await?);
    let identities = all(services, account).await?;
    let each = (|one: &Identity| one.id.to_string(), |one: &Identity| object(one, &wanted));
    Ok(objects::answer(call, get, state, &identities, each))
}

/// An identity as it is told.
fn object(identity: &Identity, wanted: &[String]) -> Object {
    let Identity { id, record } = identity;
    let all = json!({
        "id": id.to_string(),
        "name": record.name,
        "email": record.email,
        "replyTo": people(&record.reply_to),
        "bcc": people(&record.bcc),
        "textSignature": record.text_signature,
        "htmlSignature": record.html_signature,
        "mayDelete": *id != OWN,
    });
    objects::only(all, wanted)
}

fn people(people: &[PersonRecord]) -> Value {
    let one = |person: &PersonRecord| json!({"name": person.name, "email": person.email});
    if people.is_empty() { Value::Null } else { people.iter().map(one).collect() }
}

/// RFC 8621 §6.2
fn changes(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run_changes(call, arguments).await?) })
}

async fn run_changes(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let changes = Changes::read(&mut arguments)?;
    arguments.end()?;
    let (access, services) = (call.reader(&changes.account)?, call.services());
    let mut folded =
        objects::since(services, &access, ObjectKind::Identity, &changes.since, changes.max).await?;
    // The account's own was there before it was written down.
    if folded.created.remove(&OWN.0) {
        folded.updated.insert(OWN.0);
    }
    Ok(folded.answer(changes, services, |id| Id::of(IdentityId(id))).into_object())
}
