//! `/api/v1/cluster/level`: the feature level that all nodes write by.

use axum::Json;
use axum::extract::State;
use leases::Node;
use schema::NodeId;

use crate::{Admin, Problem, api};

pub(crate) async fn show(State(admin): State<Admin>) -> Result<Json<api::Levels>, Problem> {
    let levels = admin.leases.levels().await?;
    let live = admin.leases.situation(&[]).await?.live;
    Ok(Json(api::Levels {
        current: levels.current,
        supported: levels.supported,
        nodes: live.into_iter().map(|(id, live)| render(id, live.node)).collect(),
        rewriting: admin.spool.rewriting().await?.map(progress),
    }))
}

pub(crate) async fn raise(
    State(admin): State<Admin>,
    Json(wanted): Json<api::RaiseLevel>,
) -> Result<Json<api::Levels>, Problem> {
    let to = match wanted.to {
        Some(to) => to,
        None => admin.leases.levels().await?.supported,
    };
    admin.leases.raise_level(to).await?;
    tracing::info!(to, "feature level raised");
    show(State(admin)).await
}

fn render(id: NodeId, node: Node) -> api::NodeLevels {
    let Node { name, version, level_min, level_max, .. } = node;
    api::NodeLevels { id: id.0, name, version, lowest: level_min, highest: level_max }
}

fn progress(job: spool::Rewrite) -> api::Rewriting {
    let spool::Rewrite { level, begun, cursor, seen, rewritten, finished } = job;
    let (begun, finished) = (begun.millis(), finished.map(runtime::Timestamp::millis));
    let cursor = data_encoding::HEXLOWER.encode(&cursor);
    api::Rewriting { level, begun, cursor, seen, rewritten, finished }
}
