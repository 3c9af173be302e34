//! `/api/v1/accounts/{address}/totp`: the device that makes codes (RFC 6238).

use accounts::Secret;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};

use crate::app_passwords_api::UNKEPT;
use crate::{Admin, Problem, api};

pub(crate) async fn show(
    State(admin): State<Admin>,
    Path(address): Path<String>,
) -> Result<Json<api::SecondFactor>, Problem> {
    let account = admin.account(&address).await?;
    let state = admin.accounts.second(account.id).await?;
    let since = state.and_then(|state| state.since);
    let name = match (state, since) {
        (None, _) => "none",
        (Some(_), None) => "waiting",
        (Some(_), Some(_)) => "on",
    };
    let recovery_codes = state.map_or(0, |state| state.recovery);
    Ok(Json(api::SecondFactor { state: name.to_owned(), since, recovery_codes }))
}

pub(crate) async fn enroll(
    State(admin): State<Admin>,
    Path(address): Path<String>,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1], Json<api::Enrolled>), Problem> {
    let account = admin.account(&address).await?;
    let enrolled = admin.accounts.enroll_second(account.id).await?;
    let text = |secret: &Secret| secret.expose().to_owned();
    let recovery_codes = enrolled.recovery.iter().map(text).collect();
    Ok((StatusCode::CREATED, UNKEPT, Json(api::Enrolled { uri: text(&enrolled.uri), recovery_codes })))
}

pub(crate) async fn confirm(
    State(admin): State<Admin>,
    Path(address): Path<String>,
    Json(shown): Json<api::TotpCode>,
) -> Result<StatusCode, Problem> {
    let account = admin.account(&address).await?;
    match admin.accounts.confirm_second(account.id, &shown.code).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::new(StatusCode::CONFLICT, "the code is wrong, or too many were")),
    }
}

pub(crate) async fn remove(
    State(admin): State<Admin>,
    Path(address): Path<String>,
) -> Result<StatusCode, Problem> {
    let account = admin.account(&address).await?;
    match admin.accounts.remove_second(account.id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(format!("{address} has no second factor"))),
    }
}
