//! `Blob/copy` (RFC 8620 §6.3).

use accounts::Rights;
use futures::future::BoxFuture;
use jmap_proto::{Arguments, MethodError, Object, SetError};
use serde_json::Value;

use crate::access::Access;
use crate::call::{Answer, Call};
use crate::fail::Fail;
use crate::options::PIECE;
use crate::{download, upload as uploads};

pub(super) fn copy(call: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(async move { Ok(run(call, arguments).await?) })
}

async fn run(call: &Call, arguments: Object) -> Result<Object, Fail> {
    let mut arguments = Arguments::new(arguments);
    let (from, to) = (arguments.id("fromAccountId")?, arguments.id("accountId")?);
    let ids = arguments.opt_id_refs("blobIds")?;
    let ids = ids.ok_or_else(|| MethodError::invalid("blobIds", "ids of blobs are wanted"))?;
    arguments.end()?;
    if ids.len() > call.limits().objects_in_set {
        return Err(MethodError::RequestTooLarge.into());
    }
    // RFC 8620 §6.3: that there is no such account is said of the one that it is.
    let source = call.viewer(&from).map_err(|error| match error {
        MethodError::AccountNotFound => MethodError::FromAccountNotFound,
        other => other,
    })?;
    let target = call.editor(&to)?;
    let (mut copied, mut refused) = (Object::new(), Object::new());
    for reference in ids {
        let id = call.created.resolve(&reference).map(jmap_proto::Id::into_string);
        let made = match &id {
            _ if !target.may_somewhere(Rights::INSERT) => Err(SetError::forbidden()),
            Some(id) => one(call, &source, &target, id).await?,
            None => Err(SetError::not_found()),
        };
        match made {
            Ok(blob) => copied.insert(reference.to_string(), blob.into()),
            Err(error) => refused.insert(reference.to_string(), error.to_value()),
        };
    }
    let or_null = |map: Object| if map.is_empty() { Value::Null } else { Value::Object(map) };
    let mut answer = Object::new();
    answer.insert("fromAccountId".to_owned(), from.into_string().into());
    answer.insert("accountId".to_owned(), to.into_string().into());
    answer.insert("copied".to_owned(), or_null(copied));
    answer.insert("notCopied".to_owned(), or_null(refused));
    Ok(answer)
}

/// Copies one, a piece at a time.
async fn one(call: &Call, from: &Access, to: &Access, id: &str) -> Result<Result<String, SetError>, Fail> {
    let services = call.services();
    let Some(found) = download::find(services, from, id).await? else {
        return Ok(Err(SetError::not_found()));
    };
    if found.size > call.server.options.core.size_upload {
        return Ok(Err(SetError::too_large()));
    }
    let (mut writer, mut at) = (services.blobs.writer(), 0);
    while at < found.size {
        let end = found.size.min(at + PIECE);
        let piece = found.read(services, at..end).await?;
        writer.write(&piece).await.map_err(mail::Error::from)?;
        at = end;
    }
    let staged = writer.finish().await.map_err(mail::Error::from)?;
    match uploads::keep_staged(&call.server, to, staged).await {
        Ok(blob) => Ok(Ok(blob)),
        Err(mail::Error::OverQuota) => Ok(Err(SetError::over_quota())),
        Err(error) => Err(error.into()),
    }
}
