//! `/api/v1/search`: the index of mail, its renewal, and how a search would be answered.

use axum::Json;
use axum::extract::State;
use query::{Field, Filter, Needle};
use segments::{Edition, Manifest};

use crate::{Admin, Problem, api};

/// Why a shard is made anew if nobody says.
const ASKED: &str = "an operator asked for it";

pub(crate) async fn status(State(admin): State<Admin>) -> Result<Json<Vec<api::SearchShard>>, Problem> {
    let editions = admin.index.segments.editions().await?;
    Ok(Json(editions.iter().map(shown).collect()))
}

fn shown(edition: &Edition) -> api::SearchShard {
    let state = edition.state.clone().unwrap_or_default();
    let sum = |of: &dyn Fn(&segments::Segment) -> u64| edition.current.segments.iter().map(of).sum();
    api::SearchShard {
        shard: edition.shard,
        edition: state.current,
        generation: edition.current.generation,
        segments: edition.current.segments.len(),
        documents: sum(&|segment| u64::from(segment.documents)),
        deleted: sum(&|segment| u64::from(segment.deleted)),
        octets: octets(&edition.current),
        published: edition.current.published,
        damaged: edition.damaged,
        building: (state.building != 0).then(|| api::SearchBuilding {
            edition: state.building,
            begun: state.begun,
            reason: state.reason,
            documents: edition.building.segments.iter().map(|s| u64::from(s.documents)).sum(),
        }),
    }
}

fn octets(manifest: &Manifest) -> u64 {
    let bodies = manifest.segments.iter().flat_map(|segment| &segment.bodies);
    bodies.flat_map(|body| &body.files).map(|file| file.length).sum()
}

pub(crate) async fn rebuild(
    State(admin): State<Admin>,
    Json(asked): Json<api::SearchRebuild>,
) -> Result<Json<api::SearchRebuilt>, Problem> {
    let segments = &admin.index.segments;
    let shards: Vec<u32> = asked.shard.map_or_else(|| (0..segments.shards()).collect(), |one| vec![one]);
    let mut begun = Vec::new();
    for shard in shards {
        if segments.rebuild(shard, ASKED, 0).await? {
            begun.push(shard);
        }
    }
    tracing::info!(shards = ?begun, "the index is made anew");
    Ok(Json(api::SearchRebuilt { begun }))
}

pub(crate) async fn explain(
    State(admin): State<Admin>,
    Json(asked): Json<api::SearchExplain>,
) -> Result<Json<api::SearchExplained>, Problem> {
    let account = admin.accounts.find(&asked.account).await?;
    let account =
        account.ok_or_else(|| Problem::not_found(format!("there is no account {}", asked.account)))?;
    let filter = filter(&asked.field, &asked.text);
    let shard = admin.index.segments.shard_of(account.id);
    let answered = admin.index.searcher.ask(account.id, &filter).await?;
    Ok(Json(match answered {
        Err(scanned) => api::SearchExplained {
            shard,
            scanned: Some(scanned.name().to_owned()),
            ..api::SearchExplained::default()
        },
        Ok(told) => api::SearchExplained {
            shard,
            scanned: None,
            edition: told.manifest.0,
            generation: told.manifest.1,
            segments: told.manifest.2,
            upto: told.upto.0,
            sure: told.sure.len(),
            looked_at: told.maybe.len(),
            tail: told.tail,
        },
    }))
}

/// A filter on a field: `text` for all of a message, `body`, or the name of a header field.
fn filter(field: &str, text: &str) -> Filter {
    let needle = Needle::new(text);
    let header = |field| Filter::Header(field, needle.clone());
    match field.to_ascii_lowercase().as_str() {
        "" | "text" => Filter::Text(needle),
        "body" => Filter::Body(needle),
        "from" => header(Field::From),
        "to" => header(Field::To),
        "cc" => header(Field::Cc),
        "bcc" => header(Field::Bcc),
        "subject" => header(Field::Subject),
        _ => header(Field::Named(field.to_owned())),
    }
}
