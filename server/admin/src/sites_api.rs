//! `/api/v1/sites`: zones and regions, and whether they serve; `/api/v1/drill`: the rehearsal under way.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use leases::SiteChange;
use schema::{Site, SiteState};

use crate::{Admin, Problem, api};

pub(crate) async fn list(State(admin): State<Admin>) -> Result<Json<api::Page<api::Site>>, Problem> {
    let sites = admin.leases.sites().await?;
    let items = sites.into_iter().map(|(site, (setting, nodes))| {
        let state = setting.as_ref().map_or(Some(SiteState::Online), |set| SiteState::from_number(set.state));
        let setting = setting.unwrap_or_default();
        api::Site {
            kind: site.kind.name().to_owned(),
            name: site.name,
            state: state.map_or_else(|| setting.state.to_string(), |state| state.name().to_owned()),
            nodes,
            by: setting.by,
            at: setting.at,
            reason: setting.reason,
        }
    });
    Ok(Json(api::Page { items: items.collect(), next: None }))
}

pub(crate) async fn set(
    State(admin): State<Admin>,
    Path((kind, name)): Path<(String, String)>,
    Json(change): Json<api::SiteChange>,
) -> Result<StatusCode, Problem> {
    let kind = kind.parse().map_err(Problem::not_found)?;
    let state: SiteState = change.state.parse().map_err(Problem::invalid)?;
    if change.reason.is_empty() && !state.serves() {
        return Err(Problem::invalid("say why: others will ask"));
    }
    let site = Site { kind, name };
    let by = if change.by.is_empty() { "admin".to_owned() } else { change.by };
    tracing::info!(%site, state = state.name(), by, reason = change.reason, force = change.force, "site set");
    let change = SiteChange { state, by, reason: change.reason, force: change.force };
    admin.leases.set_site(&site, &change).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn drill(State(admin): State<Admin>) -> Result<Json<Option<api::Drill>>, Problem> {
    let drill = admin.leases.drill().await?;
    Ok(Json(drill.map(|drill| api::Drill { id: drill.id, what: drill.what, by: drill.by, at: drill.at })))
}

pub(crate) async fn begin_drill(
    State(admin): State<Admin>,
    Json(drill): Json<api::Drill>,
) -> Result<StatusCode, Problem> {
    if drill.id.is_empty() {
        return Err(Problem::invalid("a drill has a name"));
    }
    let drill = leases::Drill { id: drill.id, what: drill.what, by: drill.by, at: 0 };
    admin.leases.begin_drill(&drill).await?;
    tracing::info!(id = drill.id, what = drill.what, by = drill.by, "a drill begins");
    Ok(StatusCode::NO_CONTENT)
}

/// No error if it is over already: who aborts asks twice.
pub(crate) async fn end_drill(
    State(admin): State<Admin>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    if admin.leases.end_drill(&id).await? {
        tracing::info!(id, "the drill is over");
    }
    Ok(StatusCode::NO_CONTENT)
}
