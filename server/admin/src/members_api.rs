//! Members of groups (other accounts, with rights) and of lists (addresses of any kind).

use accounts::Rights;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;

use crate::domains_api::Paging;
use crate::{Admin, Problem, api};

pub(crate) async fn of_group(
    State(admin): State<Admin>,
    Path(address): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<api::Page<api::Member>>, Problem> {
    let group = admin.account(&address).await?;
    let page = admin.accounts.members(group.id, paging.after.as_deref(), paging.limit()).await?;
    let render = |m: accounts::Member| api::Member { address: m.address, rights: m.rights.to_string() };
    Ok(Json(api::Page { items: page.items.into_iter().map(render).collect(), next: page.next }))
}

pub(crate) async fn add_to_group(
    State(admin): State<Admin>,
    Path(address): Path<String>,
    Json(member): Json<api::Member>,
) -> Result<(StatusCode, Json<api::Member>), Problem> {
    let rights =
        Rights::parse(&member.rights).ok_or_else(|| Problem::invalid("rights are letters of RFC 4314"))?;
    let group = admin.account(&address).await?;
    let account = admin.account(&member.address).await?;
    admin.accounts.add_member(group.id, account.id, rights).await?;
    Ok((StatusCode::CREATED, Json(member)))
}

pub(crate) async fn remove_from_group(
    State(admin): State<Admin>,
    Path((address, member)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let group = admin.account(&address).await?;
    let account = admin.account(&member).await?;
    admin.accounts.remove_member(group.id, account.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn of_list(
    State(admin): State<Admin>,
    Path(address): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<api::Page<api::Address>>, Problem> {
    let list = admin.account(&address).await?;
    let page = admin.accounts.list_members(list.id, paging.after.as_deref(), paging.limit()).await?;
    let items = page.items.into_iter().map(|address| api::Address { address }).collect();
    Ok(Json(api::Page { items, next: page.next }))
}

pub(crate) async fn add_to_list(
    State(admin): State<Admin>,
    Path(address): Path<String>,
    Json(member): Json<api::Address>,
) -> Result<(StatusCode, Json<api::Address>), Problem> {
    let list = admin.account(&address).await?;
    admin.accounts.add_list_member(list.id, &member.address).await?;
    Ok((StatusCode::CREATED, Json(member)))
}

pub(crate) async fn remove_from_list(
    State(admin): State<Admin>,
    Path((address, member)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let list = admin.account(&address).await?;
    admin.accounts.remove_list_member(list.id, &member).await?;
    Ok(StatusCode::NO_CONTENT)
}
