//! `/queryChanges` (RFC 8620 §5.6).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::id::Id;
use crate::sort::{self, Comparator};
use crate::standard::ids;
use crate::{Arguments, MethodError, Object};

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryChanges {
    /// Whose.
    pub account: Id,
    /// As it was for the query.
    pub filter: Value,
    /// As it was for the query.
    pub sort: Vec<Comparator>,
    /// Since when.
    pub since: String,
    /// Most changes that the client takes.
    pub max: Option<usize>,
    /// The last result that the client knows: what comes after it is of no interest.
    pub up_to: Option<Id>,
    /// Whether the number of all is wanted.
    pub calculate_total: bool,
}

impl QueryChanges {
    /// Reads them; what a method has of its own stays in `arguments`.
    ///
    /// # Errors
    /// [`MethodError::InvalidArguments`], [`MethodError::UnsupportedSort`].
    pub fn read(arguments: &mut Arguments) -> Result<QueryChanges, MethodError> {
        let max = arguments.opt_uint("maxChanges")?;
        Ok(QueryChanges {
            account: arguments.id("accountId")?,
            filter: arguments.value("filter").unwrap_or_default(),
            sort: sort::parse(arguments.value("sort").unwrap_or_default())?,
            since: arguments.text("sinceQueryState")?,
            max: max.map(|max| usize::try_from(max).unwrap_or(usize::MAX)),
            up_to: arguments.opt_id("upToId")?,
            calculate_total: arguments.flag("calculateTotal")?,
        })
    }
}

/// A result that was not there, or elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Which.
    pub id: Id,
    /// Its place in the results as they are now.
    pub index: usize,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryChangesAnswer {
    /// Whose.
    pub account: Id,
    /// Since when.
    pub old_state: String,
    /// Up to when.
    pub new_state: String,
    /// How many there are in all, if that was asked for.
    pub total: Option<usize>,
    /// What is to be taken out of the old results, where it is in them.
    pub removed: Vec<Id>,
    /// What is to be put in after that, the lowest index first.
    pub added: Vec<Added>,
}

impl QueryChangesAnswer {
    /// Works out `removed` and `added` from what changed since, whatever it was, and the results as they are now.
    ///
    /// What did not change is where it was among what did not change; this holds only where place and match of a result
    /// follow from itself. RFC 8620 §5.6 allows `removed` to name what was not in the old results.
    ///
    /// # Errors
    /// [`MethodError::TooManyChanges`] for more than `max`.
    pub fn work_out(
        self,
        changed: &BTreeSet<Id>,
        results: &[Id],
        up_to: Option<&Id>,
        max: Option<usize>,
    ) -> Result<Self, MethodError> {
        let last = up_to.and_then(|id| results.iter().position(|one| one == id));
        let there = results.iter().enumerate().filter(|(_, id)| changed.contains(*id));
        let there = there.map(|(index, id)| Added { id: id.clone(), index }).collect();
        self.of_places(changed, there, up_to.zip(last), max)
    }

    /// The same, by the places of what changed among the results, the lowest first, and that of the last result that the
    /// client knows.
    ///
    /// # Errors
    /// [`MethodError::TooManyChanges`] for more than `max`.
    pub fn of_places(
        mut self,
        changed: &BTreeSet<Id>,
        mut there: Vec<Added>,
        up_to: Option<(&Id, usize)>,
        max: Option<usize>,
    ) -> Result<Self, MethodError> {
        self.removed = changed.iter().cloned().collect();
        // Without the client's last result nothing says what it does not want to know.
        if let Some((_, end)) = up_to.filter(|(id, _)| !changed.contains(*id)) {
            there.retain(|one| one.index < end);
        }
        self.added = there;
        if max.is_some_and(|max| self.removed.len() + self.added.len() > max) {
            return Err(MethodError::TooManyChanges);
        }
        Ok(self)
    }

    /// The arguments of the answer.
    pub fn into_object(self) -> Object {
        let mut object = Object::new();
        object.insert("accountId".to_owned(), self.account.into_string().into());
        object.insert("oldQueryState".to_owned(), self.old_state.into());
        object.insert("newQueryState".to_owned(), self.new_state.into());
        if let Some(total) = self.total {
            object.insert("total".to_owned(), total.into());
        }
        object.insert("removed".to_owned(), ids(&self.removed));
        let added = self.added.iter().map(|one| json!({"id": one.id.as_str(), "index": one.index}));
        object.insert("added".to_owned(), Value::Array(added.collect()));
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let Value::Object(object) =
            json!({"accountId": "A1", "sinceQueryState": "1", "maxChanges": 3, "upToId": "x"})
        else {
            unreachable!()
        };
        let mut arguments = Arguments::new(object);
        let read = QueryChanges::read(&mut arguments).unwrap();
        assert_eq!((read.since.as_str(), read.max, read.up_to), ("1", Some(3), Id::new("x")));
        arguments.end().unwrap();
    }

    #[test]
    fn an_answer() {
        let id = |text: &str| Id::new(text).unwrap();
        let answer = QueryChangesAnswer {
            account: id("A1"),
            old_state: "1".into(),
            new_state: "2".into(),
            total: Some(3),
            removed: vec![],
            added: vec![],
        };
        let changed = BTreeSet::from([id("b"), id("z")]);
        let results = [id("a"), id("b"), id("c")];
        let told = answer.clone().work_out(&changed, &results, None, None).unwrap().into_object();
        let wanted = json!({"accountId": "A1", "oldQueryState": "1", "newQueryState": "2", "total": 3, "removed": ["b", "z"],
            "added": [{"id": "b", "index": 1}]});
        assert_eq!(Value::Object(told), wanted);
        let short = answer.clone().work_out(&changed, &results, Some(&id("a")), None).unwrap();
        assert_eq!(short.added, []);
        assert_eq!(answer.work_out(&changed, &results, None, Some(2)), Err(MethodError::TooManyChanges));
    }
}
