//! Uploads (RFC 8620 §6.1): stored as they come in, kept for a while, counted.

use std::sync::Arc;

use accounts::{Identity, Rights};
use axum::Extension;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use blob::Staged;
use futures::StreamExt;
use jmap_proto::RequestError;
use mail::UploadLimits;
use schema::{AccountId, BlobHash};
use serde_json::json;

use crate::access::{self, Access};
use crate::{Server, api, download};

/// The id of an upload: when it is let go, and what it is.
pub(crate) fn upload_id(expires: i64, hash: BlobHash) -> String {
    format!("U{expires:x}-{hash}")
}

/// What an id of a blob names, if it is an upload's.
pub(crate) fn upload_of(id: &str) -> Option<(i64, BlobHash)> {
    let (expires, hash) = id.strip_prefix('U')?.split_once('-')?;
    let expires = i64::from_str_radix(expires, 16).ok().filter(|expires| *expires >= 0)?;
    if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(hash.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some((expires, BlobHash(bytes)))
}

pub(crate) async fn upload(
    State(server): State<Arc<Server>>,
    Extension(identity): Extension<Identity>,
    Path(account): Path<String>,
    request: Request,
) -> Response {
    let account: Option<AccountId> = account.parse().ok();
    let Some(access) = account.and_then(|id| access::of(&identity, id)) else {
        return download::problem(StatusCode::NOT_FOUND, "there is no such account");
    };
    if !access.may_somewhere(Rights::INSERT) {
        return download::problem(StatusCode::FORBIDDEN, "nothing can be added to this account");
    }
    let Some(_place) = server.busy.uploads.enter(identity.account) else {
        return api::problem(&RequestError::Limit("maxConcurrentUpload"));
    };
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or("application/octet-stream").to_owned();
    match take(&server, request).await {
        Ok(staged) => keep(&server, &access, staged, &kind).await,
        Err(refused) => refused,
    }
}

/// Stores a body as it comes in.
async fn take(server: &Server, request: Request) -> Result<Staged, Response> {
    let most = server.options.core.size_upload;
    let mut writer = server.services.blobs.writer();
    let mut body = request.into_body().into_data_stream();
    while let Some(piece) = body.next().await {
        // It broke off, or came too slowly.
        let piece = piece.map_err(|_| StatusCode::REQUEST_TIMEOUT.into_response())?;
        if writer.len() + piece.len() as u64 > most {
            return Err(api::problem(&RequestError::Limit("maxSizeUpload")));
        }
        writer.write(&piece).await.map_err(|error| failed(&error.into()))?;
    }
    writer.finish().await.map_err(|error| failed(&error.into()))
}

async fn keep(server: &Server, access: &Access, staged: Staged, kind: &str) -> Response {
    let size = staged.size();
    let id = match keep_staged(server, access, staged).await {
        Ok(id) => id,
        Err(mail::Error::OverQuota) => {
            return download::problem(StatusCode::INSUFFICIENT_STORAGE, "that is more than may be uploaded");
        }
        Err(error) => return failed(&error),
    };
    let told = json!({
        "accountId": access.account.to_string(),
        "blobId": id,
        "type": kind,
        "size": size,
    });
    (StatusCode::CREATED, Json(told)).into_response()
}

/// Keeps what was stored for a while, and gives it an id. RFC 8620 §6, §6.1: it is the user's, who alone sees it until something
/// uses it, and counts for the user, whoever's account it is for.
///
/// # Errors
/// [`mail::Error::OverQuota`] for more than may be uploaded; else the store's.
pub(crate) async fn keep_staged(
    server: &Server,
    access: &Access,
    staged: Staged,
) -> Result<String, mail::Error> {
    let (time, limits) = (server.options.upload_time, UploadLimits::default());
    match server.services.mail.keep_upload(access.user, &staged, time, limits).await {
        Ok(expires) => Ok(upload_id(expires, staged.hash())),
        Err(error) => {
            if matches!(error, mail::Error::OverQuota) {
                let _ = server.services.blobs.discard(staged).await;
            }
            Err(error)
        }
    }
}

fn failed(error: &mail::Error) -> Response {
    tracing::warn!(%error, "an upload failed");
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_uploads() {
        let id = upload_id(1_800_000_000_123, BlobHash([0xa5; 32]));
        assert!(jmap_proto::id::is_id(&id));
        assert_eq!(upload_of(&id), Some((1_800_000_000_123, BlobHash([0xa5; 32]))));
        for bad in ["U", "U1-", "GM1", "U1-zz", &id.to_uppercase(), &id.replace('U', "U-"), &id[..70]] {
            assert_eq!(upload_of(bad), None, "{bad}");
        }
    }
}
