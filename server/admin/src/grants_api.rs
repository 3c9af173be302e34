//! `/api/v1/accounts/{address}/grants`: what an account's user has allowed to clients.

use accounts::oauth::Allowed;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schema::GrantId;

use crate::{Admin, Problem, api};

pub(crate) async fn list(
    State(admin): State<Admin>,
    Path(address): Path<String>,
) -> Result<Json<api::Page<api::Grant>>, Problem> {
    let account = admin.account(&address).await?;
    let grants = admin.accounts.grants(account.id).await?;
    Ok(Json(api::Page { items: grants.into_iter().map(render).collect(), next: None }))
}

pub(crate) async fn take_back(
    State(admin): State<Admin>,
    Path((address, grant)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let account = admin.account(&address).await?;
    let id =
        u64::from_str_radix(&grant, 16).map_err(|_| Problem::invalid("a grant is 16 hexadecimal digits"))?;
    match admin.accounts.take_back(account.id, GrantId(id)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(format!("there is no grant {grant}"))),
    }
}

fn render(grant: Allowed) -> api::Grant {
    let Allowed { id, client, name, scope, created, expires, used: _ } = grant;
    api::Grant { id: format!("{:016x}", id.0), client, name, scope: scope.to_string(), created, expires }
}
