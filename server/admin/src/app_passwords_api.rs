//! `/api/v1/accounts/{address}/app-passwords`: passwords of applications.

use accounts::{Application, Secret};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};

use crate::{Admin, Problem, api};

/// What shows a secret is kept nowhere.
pub(crate) const UNKEPT: [(HeaderName, HeaderValue); 1] =
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

pub(crate) async fn list(
    State(admin): State<Admin>,
    Path(address): Path<String>,
) -> Result<Json<api::Page<api::AppPassword>>, Problem> {
    let account = admin.account(&address).await?;
    let all = admin.accounts.applications(account.id).await?;
    Ok(Json(api::Page { items: all.into_iter().map(|one| render(one, None)).collect(), next: None }))
}

pub(crate) async fn add(
    State(admin): State<Admin>,
    Path(address): Path<String>,
    Json(new): Json<api::NewAppPassword>,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1], Json<api::AppPassword>), Problem> {
    let account = admin.account(&address).await?;
    let (made, password) = admin.accounts.add_application(account.id, &new.name).await?;
    Ok((StatusCode::CREATED, UNKEPT, Json(render(made, Some(password)))))
}

pub(crate) async fn remove(
    State(admin): State<Admin>,
    Path((address, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let account = admin.account(&address).await?;
    let number = u32::from_str_radix(&id, 16)
        .map_err(|_| Problem::invalid("a password of an application has 8 hexadecimal digits"))?;
    match admin.accounts.remove_application(account.id, number).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(format!("there is no password {id}"))),
    }
}

fn render(one: Application, password: Option<Secret>) -> api::AppPassword {
    let Application { number, name, created } = one;
    let password = password.map(|password| password.expose().to_owned());
    api::AppPassword { id: format!("{number:08x}"), name, created, password }
}
