//! `/api/v1/purges`: removed accounts whose mail is not all gone yet.

use axum::Json;
use axum::extract::{Query, State};
use schema::AccountId;

use crate::domains_api::Paging;
use crate::{Admin, Problem, api};

pub(crate) async fn list(
    State(admin): State<Admin>,
    Query(paging): Query<Paging>,
) -> Result<Json<api::Page<api::Purge>>, Problem> {
    let after = paging.after.as_deref().map(str::parse).transpose();
    let after = after.map_err(|_| Problem::invalid("an account's id is a number"))?.map(AccountId);
    let purges = admin.mail.purges(after, paging.limit()).await?;
    let next =
        purges.last().filter(|_| purges.len() == paging.limit()).map(|last| last.account.0.to_string());
    Ok(Json(api::Page { items: purges.into_iter().map(render).collect(), next }))
}

fn render(purge: mail::Purge) -> api::Purge {
    let mail::Purge { account, address, removed, rows, emails, octets } = purge;
    api::Purge { id: account.0, address, removed, rows, emails, octets }
}
