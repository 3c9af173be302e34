//! `/api/v1/signing-keys`: what id tokens are signed with.

use axum::extract::State;
use axum::http::StatusCode;

use crate::{Admin, Problem};

/// Withdraws them, of which one has leaked. To do it again does no harm.
pub(crate) async fn withdraw(State(admin): State<Admin>) -> Result<StatusCode, Problem> {
    let there = admin.accounts.withdraw_signing_keys().await?;
    tracing::info!(there, "the keys that sign id tokens were withdrawn");
    Ok(StatusCode::NO_CONTENT)
}
