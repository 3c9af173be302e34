//! `/api/v1/store/rows`: the rows of the store as they are, for who copies it while this node has it open.

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use transfer::wire;

use crate::{Admin, Problem};

/// Which rows: from `begin` on and below `end`, keys in hexadecimal digits.
#[derive(Deserialize)]
pub(crate) struct Range {
    begin: String,
    end: String,
}

/// A page of them. Who asks goes on behind its last row.
pub(crate) async fn page(
    State(admin): State<Admin>,
    Query(range): Query<Range>,
) -> Result<impl IntoResponse, Problem> {
    let key = |hex: &str| {
        let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes());
        bytes.map_err(|_| Problem::invalid("a key is in hexadecimal digits"))
    };
    let page = admin.rows.page(&key(&range.begin)?, &key(&range.end)?).await.map_err(|error| {
        tracing::error!(%error, "the store cannot be read");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    })?;
    // Secrets are among them.
    let headers = [(header::CONTENT_TYPE, wire::MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, wire::encode(&page)))
}
