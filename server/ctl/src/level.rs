//! `godwit cluster level`.

use std::io::Write;

use admin::api;
use reqwest::Method;

use crate::client::Client;
use crate::command::RaiseLevel;
use crate::output::print;

pub(crate) async fn level(client: &Client, raise: Option<RaiseLevel>, json: bool) -> anyhow::Result<()> {
    if let Some(RaiseLevel::Raise { to }) = raise {
        client.act(Method::POST, &["cluster", "level"], Some(&api::RaiseLevel { to })).await?;
    }
    let levels: api::Levels = client.get(&["cluster", "level"]).await?;
    let mut out = std::io::stdout();
    if json {
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&levels)?)?);
    }
    write!(out, "{}", told(&levels))?;
    print(false, &levels.nodes, ["NODE", "NAME", "VERSION", "LEVELS"], |node| {
        let range = format!("{} to {}", node.lowest, node.highest);
        [node.id.to_string(), node.name.clone(), node.version.clone(), range]
    })
}

fn told(levels: &api::Levels) -> String {
    let api::Levels { current, supported, .. } = levels;
    let mut text = format!("feature level {current}");
    if supported > current {
        text.push_str(&format!(", can be raised to {supported}: then no older program can join"));
    }
    text.push('\n');
    if let Some(job) = &levels.rewriting {
        let state = match job.finished {
            Some(_) => "all are of the current format".to_owned(),
            None => format!("under way, at key {}", job.cursor),
        };
        text.push_str(&format!("old records: {} of {} rewritten, {state}\n", job.rewritten, job.seen));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_words() {
        let mut levels = api::Levels { current: 1, supported: 2, nodes: Vec::new(), rewriting: None };
        assert_eq!(told(&levels), "feature level 1, can be raised to 2: then no older program can join\n");
        levels.current = 2;
        let cursor = "5165".to_owned();
        let job = api::Rewriting { level: 2, begun: 1, cursor, seen: 7, rewritten: 5, finished: None };
        levels.rewriting = Some(job.clone());
        let text = told(&levels);
        assert_eq!(text, "feature level 2\nold records: 5 of 7 rewritten, under way, at key 5165\n");
        levels.rewriting = Some(api::Rewriting { finished: Some(3), ..job });
        assert!(told(&levels).ends_with("all are of the current format\n"));
    }
}
