//! `/api/v1/node` and `/api/v1/nodes`: this node's life, and that of others.
//!
//! A node is asked to leave in the store, where it sees it at its next look: it need not be reached from here.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use leases::{Error, Leases, Situation, Standing};
use schema::NodeId;

use crate::{Admin, Problem, api};

/// What the admin API can have this node do.
pub trait Control: Send + Sync {
    /// Begins the end: not ready, then the drain.
    fn leave(&self);

    /// Reads the configuration file again.
    ///
    /// # Errors
    /// Why it cannot be used; nothing has changed.
    fn reload(&self) -> Result<api::Reloaded, String>;
}

pub(crate) async fn drain(State(admin): State<Admin>) -> StatusCode {
    tracing::info!("asked to leave");
    admin.control.leave();
    StatusCode::ACCEPTED
}

pub(crate) async fn reload(State(admin): State<Admin>) -> Result<Json<api::Reloaded>, Problem> {
    let control = admin.control.clone();
    let done = tokio::task::spawn_blocking(move || control.reload()).await;
    match done {
        Ok(Ok(reloaded)) => Ok(Json(reloaded)),
        Ok(Err(why)) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why)),
        Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "reading it failed; see the log")),
    }
}

pub(crate) async fn list(State(admin): State<Admin>) -> Result<Json<api::Page<api::Node>>, Problem> {
    let situation = admin.leases.situation(&[]).await?;
    let nodes = admin.leases.nodes().await?;
    let items = nodes.into_iter().map(|(id, node, _)| render(id, node, &situation)).collect();
    Ok(Json(api::Page { items, next: None }))
}

pub(crate) async fn drain_other(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = named(&admin.leases, &name).await?;
    let live = admin.leases.situation(&[]).await?.live;
    let Some(live) = live.get(&id) else {
        return Err(Problem::new(StatusCode::CONFLICT, format!("node {name} does not run")));
    };
    admin.leases.drain(Standing { node: id, epoch: live.epoch }).await?;
    tracing::info!(node = %id, name, "another node is asked to leave");
    Ok(StatusCode::ACCEPTED)
}

pub(crate) async fn forget(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = named(&admin.leases, &name).await?;
    admin.leases.forget(id).await?;
    tracing::info!(node = %id, name, "node is forgotten");
    Ok(StatusCode::NO_CONTENT)
}

/// A node by its name, or by its id.
async fn named(leases: &Leases, name: &str) -> Result<NodeId, Problem> {
    let nodes = leases.nodes().await?;
    let of_name = nodes.iter().find(|(_, node, _)| node.name == name);
    let found = of_name.or_else(|| nodes.iter().find(|(id, _, _)| id.to_string() == name));
    found.map(|(id, _, _)| *id).ok_or_else(|| Problem::not_found(format!("there is no node {name}")))
}

fn render(id: NodeId, node: leases::Node, situation: &Situation) -> api::Node {
    let state = match situation.live.get(&id) {
        Some(live) if live.draining => "draining",
        Some(_) => "online",
        None if node.left => "left",
        None => "down",
    };
    api::Node {
        id: id.0,
        name: node.name,
        state: state.to_owned(),
        zone: node.zone,
        region: node.region,
        version: node.version,
        levels: [node.level_min, node.level_max],
        roles: node.roles,
        joined: node.joined,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Kv(error) => crate::problem::from_store(&error),
            Error::NotFound(_) | Error::NoSite(_) => Problem::not_found(error.to_string()),
            Error::Key(_) | Error::Record(_) => {
                tracing::error!(%error, "admin request failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the store failed; see the log")
            }
            // It runs, or does not any more, or another has its name by now.
            _ => Problem::new(StatusCode::CONFLICT, error.to_string()),
        }
    }
}
