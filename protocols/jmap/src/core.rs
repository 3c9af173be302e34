//! `Core/echo` (RFC 8620 §4).

use futures::future::BoxFuture;
use jmap_proto::Object;

use crate::call::{Answer, Call};
use crate::registry::Method;

/// The methods of the capability.
pub(crate) const METHODS: &[Method] = &[("Core/echo", echo)];

fn echo(_: &mut Call, arguments: Object) -> BoxFuture<'_, Answer> {
    Box::pin(std::future::ready(Ok(arguments)))
}
