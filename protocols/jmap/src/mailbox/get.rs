//! `Mailbox/get` (RFC 8621 §2.1).

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use jmap_proto::standard::{Get, GetAnswer};
use jmap_proto::{Arguments, MethodError, Object};
use mail::{Mailbox, MailboxRef};
use schema::MailboxId;

use super::sharing::{SHARE_WITH, Sharing, is_used};
use super::{COUNTS, PROPERTIES, object};
use crate::access::Access;
use crate::call::{Answer, Call};
use crate::fail::Fail;

pub(crate) fn get(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let get = Get::read(&mut arguments, &call.limits())?;
    arguments.end()?;
    let access = call.viewer(&get.account)?;
    let known = || PROPERTIES.into_iter().filter(move |name| *name != SHARE_WITH || is_used(call));
    let properties = get.properties.unwrap_or_else(|| known().map(str::to_owned).collect());
    if let Some(unknown) = properties.iter().find(|name| !known().any(|one| one == name.as_str())) {
        tracing::trace!(%unknown, "no property of a mailbox");
        return Err(MethodError::invalid("properties", "a mailbox has no such property").into());
    }
    let state = call.services().state(access.account).await?;
    let tree = call.services().mailboxes(&access).await?;
    let mut answer = GetAnswer { account: Some(get.account), ..GetAnswer::default() };
    answer.state = call.services().state_text(state);
    let wanted: Vec<Mailbox> = match get.ids {
        // RFC 8621 §2: an account may have more of them than a call may ask for; all are told.
        None => tree,
        Some(ids) => {
            let mut found = Vec::with_capacity(ids.len());
            for reference in ids {
                let id = call.resolve::<MailboxId>(&reference);
                match tree.iter().find(|one| Some(one.id) == id) {
                    Some(mailbox) => found.push(mailbox.clone()),
                    None => answer.not_found.push(reference.to_string()),
                }
            }
            found
        }
    };
    answer.list = objects(call, &access, &wanted, &properties).await?;
    Ok(answer.into_object())
}

/// Mailboxes as they are told; one that goes meanwhile is told without what was in it.
pub(super) async fn objects(
    call: &Call,
    access: &Access,
    mailboxes: &[Mailbox],
    properties: &[String],
) -> Result<Vec<Object>, Fail> {
    let wanted = |name: &str| properties.iter().any(|one| one == name);
    let sharing = Sharing::read(call, access, wanted(SHARE_WITH)).await?;
    let subscribed = match wanted("isSubscribed") && access.is_whole() {
        true => call.services().mail.subscriptions(access.account).await?,
        false => BTreeSet::new(),
    };
    let counted = COUNTS.iter().any(|name| wanted(name));
    let mut list = Vec::with_capacity(mailboxes.len());
    for mailbox in mailboxes {
        let at = MailboxRef { account: access.account, mailbox: mailbox.id };
        // What is in it is not told to who may not read it, not even how much.
        let tally = match counted && access.reads(mailbox.id) {
            true => match call.services().mail.tally(at).await {
                Err(mail::Error::NotFound) => Some(mail::Tally::default()),
                tally => Some(tally?),
            },
            false => counted.then(mail::Tally::default),
        };
        list.push(object(mailbox, access, (&subscribed, &sharing), tally.as_ref(), &wanted));
    }
    Ok(list)
}
