//! Disposition notifications (RFC 9007): read receipts, sent for emails and read from blobs.

mod parse;
mod send;
mod write;

use content_mail::build::Mdn;
use jmap_proto::MethodError;
use serde_json::{Value, json};

use crate::access::Access;
use crate::registry::Method;

/// The capability (RFC 9007 §1.3).
pub(crate) const MDN: &str = "urn:ietf:params:jmap:mdn";

/// The methods of the type.
pub(crate) const METHODS: &[Method] = &[("MDN/send", send::send), ("MDN/parse", parse::parse)];

/// RFC 9007 §2.1, §2.2: an account that is not there has no error of its own.
fn account(access: Result<Access, MethodError>) -> Result<Access, MethodError> {
    access.map_err(|error| match error {
        MethodError::AccountNotFound => MethodError::invalid("accountId", "there is no such one"),
        other => other,
    })
}

/// The properties of a notification's own fields, as they are told.
fn told(mdn: &Mdn) -> Value {
    let extensions: serde_json::Map<String, Value> =
        mdn.extensions.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let errors = (!mdn.errors.is_empty()).then_some(&mdn.errors);
    json!({
        "reportingUA": mdn.reporting_ua,
        "disposition": {"actionMode": mdn.action, "sendingMode": mdn.sending, "type": mdn.kind},
        "mdnGateway": mdn.gateway,
        "originalRecipient": mdn.original_recipient,
        "finalRecipient": mdn.final_recipient,
        "originalMessageId": mdn.original_message_id,
        "error": errors,
        "extensionFields": (!extensions.is_empty()).then_some(extensions),
    })
}
