//! `godwit search …`

use std::io::Write;

use admin::api;

use crate::client::Client;
use crate::command::Search;
use crate::output::print;

pub(crate) async fn search(client: &Client, command: Search, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match command {
        Search::Status => status(&client.get::<Vec<api::SearchShard>>(&["search"]).await?, json),
        Search::Rebuild { shard } => {
            let asked = api::SearchRebuild { shard };
            let begun: api::SearchRebuilt = client.post(&["search", "rebuild"], &asked).await?;
            if json {
                return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&begun)?)?);
            }
            let shards: Vec<String> = begun.begun.iter().map(u32::to_string).collect();
            Ok(match shards.is_empty() {
                true => writeln!(out, "nothing is begun: it is under way, or there is no index yet"),
                false => writeln!(out, "made anew: shards {}", shards.join(", ")),
            }?)
        }
        Search::Explain { query, account, field } => {
            let asked = api::SearchExplain { account, field, text: query };
            let told: api::SearchExplained = client.post(&["search", "explain"], &asked).await?;
            match json {
                true => writeln!(out, "{}", serde_json::to_string_pretty(&told)?)?,
                false => write!(out, "{}", explained(&told))?,
            }
            Ok(())
        }
    }
}

fn status(shards: &[api::SearchShard], json: bool) -> anyhow::Result<()> {
    let titles = ["SHARD", "EDITION", "GENERATION", "SEGMENTS", "MESSAGES", "DELETED", "MB", "BEING MADE"];
    print(json, shards, titles, |one| {
        let building = one.building.as_ref();
        [
            one.shard.to_string(),
            one.edition.to_string(),
            one.generation.to_string(),
            one.segments.to_string(),
            one.documents.to_string(),
            one.deleted.to_string(),
            format!("{}.{}", one.octets / 1_000_000, one.octets / 100_000 % 10),
            match building {
                Some(new) => format!("edition {}, {} messages: {}", new.edition, new.documents, new.reason),
                None if one.damaged => "not yet, but rows of it cannot be read".to_owned(),
                None => String::new(),
            },
        ]
    })
}

fn explained(told: &api::SearchExplained) -> String {
    let shard = told.shard;
    match &told.scanned {
        Some(why) => format!("shard {shard}: all messages are looked at ({})\n", why.replace('_', " ")),
        None => format!(
            "shard {shard}, edition {}, generation {}, {} segments, all changes up to {}\n\
             {} messages match, {} are to be looked at; {} of those are newer than the index\n",
            told.edition, told.generation, told.segments, told.upto, told.sure, told.looked_at, told.tail
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_words() {
        let scanned = Some("no_index".to_owned());
        let told = api::SearchExplained { shard: 3, scanned, ..Default::default() };
        assert_eq!(explained(&told), "shard 3: all messages are looked at (no index)\n");
        let told = api::SearchExplained { shard: 3, sure: 5, looked_at: 2, tail: 1, ..Default::default() };
        assert!(
            explained(&told)
                .ends_with("5 messages match, 2 are to be looked at; 1 of those are newer than the index\n")
        );
    }
}
