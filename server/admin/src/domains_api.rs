//! `/api/v1/domains`.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use crate::{Admin, Problem, api};

/// Items of a page, unless the client asks for fewer.
const PAGE: usize = 100;

/// Which page of a list.
#[derive(Deserialize)]
pub(crate) struct Paging {
    /// Go on behind this item.
    pub(crate) after: Option<String>,
    limit: Option<usize>,
}

impl Paging {
    /// At least one, at most 1,000.
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, 1_000)
    }
}

pub(crate) async fn list(
    State(admin): State<Admin>,
    Query(paging): Query<Paging>,
) -> Result<Json<api::Page<api::Domain>>, Problem> {
    let page = admin.accounts.domains(paging.after.as_deref(), paging.limit()).await?;
    let items = page.items.into_iter().filter(|domain| domain.name != crate::OWN_DOMAIN).map(render);
    Ok(Json(api::Page { items: items.collect(), next: page.next }))
}

pub(crate) async fn create(
    State(admin): State<Admin>,
    Json(new): Json<api::NewDomain>,
) -> Result<(StatusCode, Json<api::Domain>), Problem> {
    let domain = admin.accounts.create_domain(&new.name, accounts::DomainSettings::default()).await?;
    Ok((StatusCode::CREATED, Json(render(domain))))
}

pub(crate) async fn show(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<Json<api::Domain>, Problem> {
    let domain = admin.accounts.domain(&name).await?;
    domain.map(|d| Json(render(d))).ok_or_else(|| Problem::not_found(format!("there is no domain {name}")))
}

pub(crate) async fn update(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    Json(change): Json<api::DomainChange>,
) -> Result<Json<api::Domain>, Problem> {
    let separator = change.separator.map(|text| one_character(&text)).transpose()?;
    let catch_all = change.catch_all.map(|address| Some(address).filter(|a| !a.is_empty()));
    let change = accounts::DomainChange { separator, catch_all };
    Ok(Json(render(admin.accounts.update_domain(&name, change).await?)))
}

pub(crate) async fn remove(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    admin.accounts.delete_domain(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn one_character(text: &str) -> Result<Option<char>, Problem> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(Problem::invalid("a separator is one character")),
    }
}

fn render(domain: accounts::Domain) -> api::Domain {
    let accounts::DomainSettings { separator, catch_all } = domain.settings;
    api::Domain { name: domain.name, separator, catch_all }
}
