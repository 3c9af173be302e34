//! Notifications that come for senders here (RFC 3464, RFC 8098): read once, before they are stored, and noted with the
//! submission that they are about by the transaction that stores them.

use std::ops::Range;
use std::sync::Arc;

use content_mail::notification::{FIELDS_MAX, Kind, Notification, Parts};
use content_mail::{Part, decode};
use mail::Incoming;

/// What a message tells of another, if it is a notification: any other costs a look at its content type.
pub(crate) async fn read(
    blobs: &blob::Store,
    message: &Incoming,
    from_nobody: bool,
) -> Result<Option<Arc<Notification>>, blob::Error> {
    let Some(parts) = Parts::of(&message.summary) else { return Ok(None) };
    // RFC 3464 §2: from nobody, or it is none. RFC 8098 §3 says the same, but clients send theirs as other mail.
    if parts.kind == Kind::Delivery && !from_nobody {
        return Ok(None);
    }
    let fields = decoded(blobs, message, parts.fields).await?;
    let header = match parts.header {
        Some(part) => decoded(blobs, message, part).await?,
        None => Vec::new(),
    };
    Ok(parts.read(&fields, &header).map(Arc::new))
}

/// The beginning of a part.
async fn decoded(blobs: &blob::Store, message: &Incoming, part: &Part) -> Result<Vec<u8>, blob::Error> {
    let Range { start, end } = part.body;
    let octets = blobs.read_staged(&message.staged, start..end.min(start + FIELDS_MAX)).await?;
    Ok(decode::transfer(&part.encoding, &octets).into_owned())
}
