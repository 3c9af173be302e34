//! The standard methods (RFC 8620 §5): their arguments as they are read, and their answers as they are told.

mod changes;
mod copy;
mod get;
mod query;
mod query_changes;
mod set;

pub use changes::{Changes, ChangesAnswer};
pub use copy::{Copy, CopyAnswer};
pub use get::{Get, GetAnswer};
pub use query::{Query, QueryAnswer, Window};
pub use query_changes::{Added, QueryChanges, QueryChangesAnswer};
pub use set::{Edits, Set, SetAnswer};

use serde_json::Value;

use crate::id::Id;

/// Ids as they are told.
fn ids(ids: &[Id]) -> Value {
    Value::Array(ids.iter().map(|id| Value::from(id.as_str())).collect())
}
