//! The blobs of an email that is made: that they are there, are not too much, and how they may go.

use std::collections::BTreeSet;

use content_mail::compose::{NewContent, NewPart};
use jmap_proto::SetError;
use serde_json::Value;

use super::body::Body;
use crate::access::Access;
use crate::call::Call;
use crate::download::{self, Source};
use crate::fail::Fail;
use crate::options::PIECE;

/// Looks up the blobs of a body, and what has to be known of them.
pub(super) async fn find(
    call: &Call,
    access: &Access,
    body: Body,
) -> Result<Result<(Vec<Source>, NewPart), SetError>, Fail> {
    let Body { mut root, blobs } = body;
    let (mut sources, mut missing) = (Vec::with_capacity(blobs.len()), BTreeSet::new());
    for blob in blobs {
        let id = call.created.resolve_text(&blob);
        let found = match &id {
            Some(id) => download::find(call.services(), access, id.as_str()).await?,
            None => None,
        };
        match found {
            Some(source) => sources.push(source),
            None => {
                missing.insert(blob);
            }
        }
    }
    if !missing.is_empty() {
        let missing: Vec<String> = missing.into_iter().collect();
        return Ok(Err(SetError::new("blobNotFound").with("notFound", Value::from(missing))));
    }
    // RFC 8621 §1.3.1 `maxSizeAttachmentsPerEmail`
    let most = call.server.options.core.size_upload;
    if sources.iter().map(|source| source.size).sum::<u64>() > most {
        return Ok(Err(SetError::too_large().with("maxSize", most.into())));
    }
    look(call, &mut root, &sources).await?;
    Ok(Ok((sources, root)))
}

/// Reads stored texts and messages, which go as they are if they can.
async fn look(call: &Call, root: &mut NewPart, sources: &[Source]) -> Result<(), Fail> {
    let mut waiting = vec![root];
    while let Some(part) = waiting.pop() {
        let readable = matches!(part.content_type.kind.as_str(), "text" | "message");
        match &mut part.content {
            NewContent::Multipart(parts) => waiting.extend(parts),
            NewContent::Stored { number, facts } if readable => {
                let Some(source) = sources.get(*number) else { continue };
                let mut at = 0;
                while at < source.size {
                    let piece = source.read(call.services(), at..source.size.min(at + PIECE)).await?;
                    if piece.is_empty() {
                        break;
                    }
                    facts.push(&piece);
                    at += piece.len() as u64;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
