//! Whether a drill may begin.

use std::io::Write;

use admin::api;
use anyhow::bail;
use runtime::SharedClock;

use super::admins::Admins;
use super::imap::Imap;
use super::journal::Before;
use super::plan::{Plan, Scope};
use super::smtp;
use super::wire::Trust;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// How things are.
    pub(crate) before: Before,
    /// What is as it should be.
    pub(crate) good: Vec<String>,
    /// What is not.
    pub(crate) bad: Vec<String>,
}

impl Found {
    fn say(&mut self, outcome: Result<String, String>) {
        match outcome {
            Ok(good) => self.good.push(good),
            Err(bad) => self.bad.push(bad),
        }
    }

    /// For people to read.
    pub(crate) fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        self.good.iter().try_for_each(|line| writeln!(out, "ok   {line}"))?;
        self.bad.iter().try_for_each(|line| writeln!(out, "NOT  {line}"))
    }

    /// # Errors
    /// If anything is not as it should be.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        if self.bad.is_empty() { Ok(()) } else { bail!("the drill must not begin: {}", self.bad.join("; ")) }
    }
}

/// Looks whether the plan's drill may begin.
pub(crate) async fn look(plan: &Plan, clock: &SharedClock) -> anyhow::Result<Found> {
    let admins = Admins::new(&plan.admin)?;
    let (nodes, sites) = (admins.nodes().await?, admins.sites().await?);
    let mut found = judge(plan, &nodes, &sites);
    let unready = admins.unready().await;
    found.say(match unready.is_empty() {
        true => Ok("every node that was named is ready".to_owned()),
        false => Err(unready.join("; ")),
    });
    found.say(match admins.drill().await? {
        None => Ok("no other drill is under way".to_owned()),
        Some(drill) => Err(format!("drill {} ({}) is under way, by {:?}", drill.id, drill.what, drill.by)),
    });
    let trust = Trust::new(plan.mail.ca.as_deref())?;
    found.say(match Imap::login(plan, &trust).await {
        Ok(_) => Ok(format!("{} can log in", plan.mail.account)),
        Err(error) => Err(format!("{} cannot log in: {error:#}", plan.mail.account)),
    });
    let mark = format!("check{:x}", clock.now().millis());
    found.say(match smtp::deliver(plan, &trust, &mark).await {
        Ok(()) => Ok(format!("{} gets mail", plan.mail.account)),
        Err(error) => Err(format!("{} gets no mail: {error:#}", plan.mail.account)),
    });
    Ok(found)
}

/// What nodes and sites say.
fn judge(plan: &Plan, nodes: &[api::Node], sites: &[api::Site]) -> Found {
    let mut found = Found::default();
    let online = |node: &&api::Node| node.state == "online";
    let within = |node: &&api::Node| is_within(&plan.scope, node);
    let names = |nodes: Vec<&api::Node>| -> Vec<String> { nodes.iter().map(|n| n.name.clone()).collect() };
    found.before.nodes = names(nodes.iter().filter(online).collect());
    found.before.lost = names(nodes.iter().filter(online).filter(within).collect());
    // Who has left on purpose is missed by nobody.
    let off: Vec<String> = nodes
        .iter()
        .filter(|node| node.state != "online" && node.state != "left")
        .map(|node| format!("{} is {}", node.name, node.state))
        .collect();
    found.say(match off.is_empty() {
        true => Ok(format!("all {} nodes are online", found.before.nodes.len())),
        false => Err(format!("not all nodes are online: {}", off.join(", "))),
    });
    let (lost, rest) = (found.before.lost.len(), found.before.nodes.len() - found.before.lost.len());
    found.say(match lost {
        0 => Err(format!("no node is, or is in, {}", plan.scope)),
        _ => Ok(format!("{} has {lost} nodes: {}", plan.scope, found.before.lost.join(", "))),
    });
    found.say(match rest >= plan.spare {
        true => Ok(format!("{rest} nodes remain")),
        false => Err(format!("{rest} nodes would remain, {} are needed", plan.spare)),
    });
    let away: Vec<String> = sites
        .iter()
        .filter(|site| site.state != "online")
        .map(|site| format!("{} {} is {}", site.kind, site.name, site.state))
        .collect();
    found.say(match away.is_empty() {
        true => Ok("all sites are online".to_owned()),
        false => Err(away.join(", ")),
    });
    found
}

fn is_within(scope: &Scope, node: &api::Node) -> bool {
    match scope {
        Scope::Node(name) => node.name == *name || node.id.to_string() == *name,
        Scope::Zone(name) => node.zone == *name,
        Scope::Region(name) => node.region == *name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, zone: &str, state: &str) -> api::Node {
        api::Node {
            id: 1,
            name: name.into(),
            state: state.into(),
            zone: zone.into(),
            region: "r".into(),
            version: "1".into(),
            levels: [1, 1],
            roles: Vec::new(),
            joined: 0,
        }
    }

    fn bad(scope: &str, nodes: &[api::Node], sites: &[api::Site]) -> String {
        judge(&Plan::example(scope, true, "restore = 'y'"), nodes, sites).bad.join("; ")
    }

    #[test]
    fn enough_has_to_remain_and_all_has_to_be_well() {
        let nodes = [node("n1", "a", "online"), node("n2", "b", "online"), node("n3", "c", "left")];
        assert_eq!(bad("zone a", &nodes, &[]), "");
        assert_eq!(bad("node n2", &nodes, &[]), "");
        assert!(bad("region r", &nodes, &[]).contains("0 nodes would remain"));
        assert!(bad("zone c", &nodes, &[]).contains("no node is, or is in, zone c"));
        let down = [node("n1", "a", "online"), node("n2", "b", "down")];
        assert!(bad("zone a", &down, &[]).contains("n2 is down"));
        let site = api::Site {
            kind: "zone".into(),
            name: "b".into(),
            state: "standby".into(),
            nodes: 1,
            by: String::new(),
            at: 0,
            reason: String::new(),
        };
        assert!(bad("zone a", &nodes, &[site]).contains("zone b is standby"));
    }
}
