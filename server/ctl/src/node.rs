//! `godwit node …`

use std::io::Write;

use admin::api;
use reqwest::Method;

use crate::client::Client;
use crate::command::Node;
use crate::commands::NOTHING;
use crate::output::print;

pub(crate) async fn node(client: &Client, command: Node, json: bool) -> anyhow::Result<()> {
    match command {
        Node::List => print_nodes(json, &client.all(&["nodes"], &[]).await?),
        Node::Drain { node: Some(node) } => {
            client.act(Method::POST, &["nodes", &node, "drain"], NOTHING).await
        }
        Node::Drain { node: None } => client.act(Method::POST, &["node", "drain"], NOTHING).await,
        Node::Forget { node } => client.act(Method::DELETE, &["nodes", &node], NOTHING).await,
        Node::Reload => {
            let done: api::Reloaded = client.ask(&["node", "reload"]).await?;
            let mut out = std::io::stdout().lock();
            if json {
                writeln!(out, "{}", serde_json::to_string_pretty(&done)?)?;
            } else {
                write!(out, "{}", told(&done))?;
            }
            Ok(())
        }
    }
}

fn print_nodes(json: bool, nodes: &[api::Node]) -> anyhow::Result<()> {
    print(json, nodes, ["NODE", "ID", "STATE", "ZONE", "VERSION", "LEVELS", "ROLES"], |node| {
        let zone = [&*node.region, &*node.zone].into_iter().filter(|name| !name.is_empty());
        let roles = if node.roles.is_empty() { "all".to_owned() } else { node.roles.join(",") };
        [
            node.name.clone(),
            node.id.to_string(),
            node.state.clone(),
            zone.collect::<Vec<_>>().join("/"),
            node.version.clone(),
            format!("{}-{}", node.levels[0], node.levels[1]),
            roles,
        ]
    })
}

/// What reading the configuration again has done, in words.
fn told(done: &api::Reloaded) -> String {
    let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let mut text = format!("changed: {}\n", list(&done.changed));
    if !done.kept.is_empty() {
        text.push_str(&format!("as before until a restart: {}\n", list(&done.kept)));
    }
    let renewed = if done.renewed { "renewed" } else { "the same" };
    text + &format!("certificate {}: {renewed}\n", done.certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_restart_is_said() {
        let done = api::Reloaded {
            changed: Vec::new(),
            kept: vec!["store.url".into(), "data".into()],
            certificate: "c.pem".into(),
            renewed: true,
            certificate_expires: None,
        };
        let text =
            "changed: nothing\nas before until a restart: store.url, data\ncertificate c.pem: renewed\n";
        assert_eq!(told(&done), text);
    }
}
