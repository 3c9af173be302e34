//! NODE: one of three nodes is lost, rehearsed by `godwit drill` as an operator would (PostgreSQL, HAProxy).
//!
//! Criterion, for kill −9 and for a node that is drained before: mail in, mail read, search and bodies are back within 30 s, the
//! queue too; nothing that was acknowledged is lost, nothing is in a mailbox twice; afterwards all is as before.

use crate::Options;
use crate::rehearsal::{Loss, Scene, Wanted, rows};
use crate::table::Table;

pub(crate) fn run(_: &Options, table: &mut Table) -> anyhow::Result<()> {
    let Some(mut scene) = Scene::start()? else {
        table.skip("postgres", "everything", "HAProxy or PostgreSQL is not installed");
        return Ok(());
    };
    let scope = format!("node {}", scene.cluster.nodes.get(1).map(|node| node.id).unwrap_or_default());
    for planned in [false, true] {
        let wanted =
            Wanted { scope: scope.clone(), nodes: vec![1], loss: Loss::Kill, planned, hold: 10, steady: 3 };
        let what = if planned { "a node, drained before" } else { "a node, kill -9" };
        let report = scene.drill(&wanted, if planned { "planned" } else { "killed" }, &[])?;
        rows(table, "postgres", what, &report);
    }
    scene.cluster.stop()?;
    Ok(())
}
