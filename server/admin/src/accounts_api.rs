//! `/api/v1/accounts` and `/api/v1/aliases`.

use accounts::{Account, PasswordHash, Quota, Secret};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use crate::domains_api::Paging;
use crate::{Admin, Problem, api};

impl Admin {
    /// The account with an address.
    pub(crate) async fn account(&self, address: &str) -> Result<Account, Problem> {
        let found = self.accounts.find(address).await?;
        found.ok_or_else(|| Problem::not_found(format!("there is no account {address}")))
    }

    async fn hash(&self, password: String) -> Result<PasswordHash, Problem> {
        if password.is_empty() {
            return Err(Problem::invalid("a password is not empty"));
        }
        Ok(self.accounts.hash_password(&Secret::new(password)).await?)
    }
}

/// Which accounts to list.
#[derive(Deserialize)]
pub(crate) struct Filter {
    domain: Option<String>,
}

pub(crate) async fn list(
    State(admin): State<Admin>,
    Query(paging): Query<Paging>,
    Query(filter): Query<Filter>,
) -> Result<Json<api::Page<api::Account>>, Problem> {
    let page = admin.accounts.list(filter.domain.as_deref(), paging.after.as_deref(), paging.limit()).await?;
    let own = |account: &Account| account.address.ends_with(&format!("@{}", crate::OWN_DOMAIN));
    let items = page.items.into_iter().filter(|account| !own(account)).map(render).collect();
    Ok(Json(api::Page { items, next: page.next }))
}

pub(crate) async fn create(
    State(admin): State<Admin>,
    Json(new): Json<api::NewAccount>,
) -> Result<(StatusCode, Json<api::Account>), Problem> {
    let password = match new.password {
        Some(password) => Some(admin.hash(password).await?),
        None => None,
    };
    let account = accounts::NewAccount {
        kind: new.kind.parse()?,
        address: new.address.clone(),
        display_name: new.display_name,
        quota: Quota { bytes: new.quota_bytes.filter(|b| *b > 0), messages: None },
        password,
    };
    admin.registrar.create(&account).await?;
    Ok((StatusCode::CREATED, Json(render(admin.account(&new.address).await?))))
}

pub(crate) async fn show(
    State(admin): State<Admin>,
    Path(address): Path<String>,
) -> Result<Json<api::Account>, Problem> {
    Ok(Json(render(admin.account(&address).await?)))
}

pub(crate) async fn update(
    State(admin): State<Admin>,
    Path(address): Path<String>,
    Json(change): Json<api::AccountChange>,
) -> Result<Json<api::Account>, Problem> {
    let account = admin.account(&address).await?;
    let limit = |new: Option<u64>, old| new.map_or(old, |n| Some(n).filter(|n| *n > 0));
    let quota = Quota {
        bytes: limit(change.quota_bytes, account.quota.bytes),
        messages: limit(change.quota_messages, account.quota.messages),
    };
    let change = accounts::AccountChange {
        display_name: change.display_name,
        quota: (quota != account.quota).then_some(quota),
        enabled: change.enabled,
    };
    Ok(Json(render(admin.registrar.update(account.id, &change).await?)))
}

pub(crate) async fn remove(
    State(admin): State<Admin>,
    Path(address): Path<String>,
) -> Result<StatusCode, Problem> {
    let account = admin.account(&address).await?;
    admin.registrar.delete(account.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn set_password(
    State(admin): State<Admin>,
    Path(address): Path<String>,
    Json(new): Json<api::Password>,
) -> Result<StatusCode, Problem> {
    let account = admin.account(&address).await?;
    let hash = admin.hash(new.password).await?;
    admin.accounts.set_password_hash(account.id, &hash).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn aliases(
    State(admin): State<Admin>,
    Path(address): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<api::Page<api::Address>>, Problem> {
    let account = admin.account(&address).await?;
    let page = admin.accounts.aliases(account.id, paging.after.as_deref(), paging.limit()).await?;
    let items = page.items.into_iter().map(|address| api::Address { address }).collect();
    Ok(Json(api::Page { items, next: page.next }))
}

pub(crate) async fn add_alias(
    State(admin): State<Admin>,
    Path(address): Path<String>,
    Json(alias): Json<api::Address>,
) -> Result<(StatusCode, Json<api::Address>), Problem> {
    let account = admin.account(&address).await?;
    admin.accounts.add_alias(account.id, &alias.address).await?;
    Ok((StatusCode::CREATED, Json(alias)))
}

pub(crate) async fn remove_alias(
    State(admin): State<Admin>,
    Path(address): Path<String>,
) -> Result<StatusCode, Problem> {
    admin.accounts.remove_alias(&address).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn render(account: Account) -> api::Account {
    api::Account {
        address: account.address,
        kind: account.kind.to_string(),
        id: account.id.0,
        display_name: account.display_name,
        enabled: account.enabled,
        quota_bytes: account.quota.bytes,
        quota_messages: account.quota.messages,
    }
}
