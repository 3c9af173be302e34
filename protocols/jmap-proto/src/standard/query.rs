//! `/query` (RFC 8620 §5.5).

use std::ops::Range;

use serde_json::Value;

use crate::id::Id;
use crate::sort::{self, Comparator};
use crate::standard::ids;
use crate::{Arguments, MethodError, Object};

/// Which of the results are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// Where it begins; below zero, from the end.
    pub position: i64,
    /// The result that it begins at, in place of a position.
    pub anchor: Option<Id>,
    /// How far from the anchor.
    pub anchor_offset: i64,
    /// How many.
    pub limit: Option<u64>,
}

impl Window {
    /// The places of the wanted results among `total`, at most `most` of them; `find` says where the anchor is.
    ///
    /// # Errors
    /// [`MethodError::AnchorNotFound`]
    pub fn range(
        &self,
        total: usize,
        most: usize,
        find: impl FnOnce(&Id) -> Option<usize>,
    ) -> Result<Range<usize>, MethodError> {
        let length = i64::try_from(total).unwrap_or(i64::MAX);
        let begin = match &self.anchor {
            Some(anchor) => {
                let place = find(anchor).ok_or(MethodError::AnchorNotFound)?;
                i64::try_from(place).unwrap_or(i64::MAX).saturating_add(self.anchor_offset)
            }
            None if self.position < 0 => length.saturating_add(self.position),
            None => self.position,
        };
        let begin = usize::try_from(begin.clamp(0, length)).unwrap_or(0);
        let limit = self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(begin..total.min(begin.saturating_add(limit.min(most))))
    }
}

/// What is asked for. The filter is read by the method, which knows its conditions.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Whose.
    pub account: Id,
    /// Null for all.
    pub filter: Value,
    /// Empty for the server's own order.
    pub sort: Vec<Comparator>,
    /// Which of the results.
    pub window: Window,
    /// Whether the number of all is wanted.
    pub calculate_total: bool,
}

impl Query {
    /// Reads them; what a method has of its own stays in `arguments`.
    ///
    /// # Errors
    /// [`MethodError::InvalidArguments`], [`MethodError::UnsupportedSort`].
    pub fn read(arguments: &mut Arguments) -> Result<Query, MethodError> {
        let window = Window {
            position: arguments.opt_int("position")?.unwrap_or(0),
            anchor: arguments.opt_id("anchor")?,
            anchor_offset: arguments.opt_int("anchorOffset")?.unwrap_or(0),
            limit: arguments.opt_uint("limit")?,
        };
        Ok(Query {
            account: arguments.id("accountId")?,
            filter: arguments.value("filter").unwrap_or_default(),
            sort: sort::parse(arguments.value("sort").unwrap_or_default())?,
            window,
            calculate_total: arguments.flag("calculateTotal")?,
        })
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryAnswer {
    /// Whose.
    pub account: Id,
    /// Another whenever the results may be others.
    pub query_state: String,
    /// Whether `/queryChanges` may tell what changes.
    pub can_calculate_changes: bool,
    /// The place of the first.
    pub position: usize,
    /// The results.
    pub ids: Vec<Id>,
    /// How many there are in all, if that was asked for.
    pub total: Option<usize>,
    /// The limit that the server applied, if it is not the client's.
    pub limit: Option<usize>,
}

impl QueryAnswer {
    /// The arguments of the answer.
    pub fn into_object(self) -> Object {
        let mut object = Object::new();
        object.insert("accountId".to_owned(), self.account.into_string().into());
        object.insert("queryState".to_owned(), self.query_state.into());
        object.insert("canCalculateChanges".to_owned(), self.can_calculate_changes.into());
        object.insert("position".to_owned(), self.position.into());
        object.insert("ids".to_owned(), ids(&self.ids));
        if let Some(total) = self.total {
            object.insert("total".to_owned(), total.into());
        }
        if let Some(limit) = self.limit {
            object.insert("limit".to_owned(), limit.into());
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Query, MethodError> {
        let Value::Object(object) = value else { panic!("an object") };
        let mut arguments = Arguments::new(object);
        let query = Query::read(&mut arguments)?;
        arguments.end().map(|()| query)
    }

    #[test]
    fn arguments() {
        let query = read(
            json!({"accountId": "A1", "position": -5, "limit": 2, "calculateTotal": true, "anchor": "x", "anchorOffset": -1}),
        );
        let window = Window { position: -5, anchor: Id::new("x"), anchor_offset: -1, limit: Some(2) };
        assert_eq!(query.unwrap().window, window);
        for bad in [json!({"accountId": "A1", "limit": -1}), json!({"accountId": "A1", "position": "a"})] {
            assert!(matches!(read(bad), Err(MethodError::InvalidArguments { .. })));
        }
    }

    #[test]
    fn windows() {
        let at = |position, limit| Window { position, limit, ..Window::default() }.range(10, 5, |_| None);
        assert_eq!(at(0, None), Ok(0..5));
        assert_eq!(at(8, Some(4)), Ok(8..10));
        assert_eq!(at(20, Some(4)), Ok(10..10));
        assert_eq!(at(-3, None), Ok(7..10));
        assert_eq!(at(-30, Some(2)), Ok(0..2));
        assert_eq!(at(3, Some(0)), Ok(3..3));
        let anchored = |offset| {
            let window = Window { anchor: Id::new("x"), anchor_offset: offset, limit: Some(2), position: 99 };
            window.range(10, 5, |_| Some(4))
        };
        assert_eq!(anchored(0), Ok(4..6));
        assert_eq!(anchored(-9), Ok(0..2));
        assert_eq!(anchored(9), Ok(10..10));
        let gone = Window { anchor: Id::new("x"), ..Window::default() }.range(10, 5, |_| None);
        assert_eq!(gone, Err(MethodError::AnchorNotFound));
    }
}
