//! Emails as lists show them, off the account's catalogue: of each no more is read than a part of its summary.

use std::sync::Arc;

use jmap_proto::Object;
use mail::Catalog;
use schema::{AccountId, EmailId, ModSeq};

use super::wanted::Wanted;
use super::{get, head};
use crate::fail::Fail;
use crate::{Services, view};

/// Emails of an account all of which is seen, as they are told, and the state that they are of; none of those that are not
/// there. None at all where there is no catalogue that can tell of them: then they are to be read.
pub(super) async fn tell(
    services: &Services,
    account: AccountId,
    ids: &[Option<EmailId>],
    wanted: &Arc<Wanted>,
) -> Result<Option<(ModSeq, Vec<Option<Object>>)>, Fail> {
    let Some(catalog) = services.mail.catalog_at_hand(account).await? else { return Ok(None) };
    let known: Vec<EmailId> = ids.iter().flatten().copied().collect();
    let (asked, of) = (known.clone(), Arc::clone(wanted));
    let told = view::look_at(catalog, move |catalog| rows(catalog, &asked, &of)).await?;
    let Some((state, mut told)) = told else { return Ok(None) };
    if !wanted.is_of_rows() {
        heads(services, account, &known, &mut told, wanted).await?;
    }
    let mut told = told.into_iter();
    // There is one for each that is an id.
    let told = ids.iter().map(|id| id.and_then(|_| told.next().flatten())).collect();
    Ok(Some((state, told)))
}

/// Adds what summaries say.
async fn heads(
    services: &Services,
    account: AccountId,
    ids: &[EmailId],
    told: &mut [Option<Object>],
    wanted: &Wanted,
) -> Result<(), Fail> {
    let there = ids.iter().zip(told.iter()).filter_map(|(id, told)| told.as_ref().map(|_| *id));
    let there: Vec<EmailId> = there.collect();
    let mut read = services.mail.heads(account, &there).await?.into_iter();
    for one in told.iter_mut().filter(|one| one.is_some()) {
        match (one.as_mut(), read.next().flatten()) {
            (Some(object), Some(fields)) => head::tell(object, &(&fields).into(), wanted),
            // It went meanwhile.
            _ => *one = None,
        }
    }
    Ok(())
}

/// What rows say, of the moment that is told with it.
fn rows(catalog: &Catalog, ids: &[EmailId], wanted: &Wanted) -> Option<(ModSeq, Vec<Option<Object>>)> {
    let listed = catalog.listed(ids)?;
    let told = listed.into_iter().map(|email| Some(get::rows(&email?, wanted))).collect();
    Some((catalog.as_of(), told))
}
