//! The pages.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use schemars::schema_for;
use serde::Deserialize;
use serde_json::Value;

use super::{Health, Leases, Member, Slot, Status};
use crate::{Admin, Problem};

/// What is asked of `/cluster/health`.
#[derive(Deserialize)]
pub(crate) struct Asked {
    /// Given, with or without a value: anything but green is 503, for what reads the status alone.
    strict: Option<String>,
}

/// 503 for red, and for yellow too if it is asked for strictly.
pub(crate) async fn health(
    State(admin): State<Admin>,
    Query(asked): Query<Asked>,
) -> (StatusCode, Json<Health>) {
    let health = admin.cluster.health();
    let strict = asked.strict.is_some_and(|value| value != "false" && value != "0");
    let well = health.status == Status::Green || (health.status == Status::Yellow && !strict);
    (if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(health))
}

/// The JSON Schema of [`health`].
pub(crate) async fn schema() -> Json<Value> {
    Json(schema_for!(Health).to_value())
}

pub(crate) async fn nodes(State(admin): State<Admin>) -> Json<Vec<Member>> {
    Json(admin.cluster.health().observed.members)
}

pub(crate) async fn leases(State(admin): State<Admin>) -> Json<Leases> {
    Json(admin.cluster.leases())
}

pub(crate) async fn queues(State(admin): State<Admin>) -> Result<Json<Vec<Slot>>, Problem> {
    let slots = admin.cluster.queues().await;
    slots.map(Json).map_err(|why| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why))
}
