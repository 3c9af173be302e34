//! Filters (RFC 8620 §5.5): conditions of a method's own, put together by operators.

use serde_json::Value;

use crate::{MethodError, Object, limits};

/// What operators do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// All match.
    And,
    /// One at least matches.
    Or,
    /// None matches.
    Not,
}

/// A filter over conditions `C`.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter<C> {
    /// A `FilterOperator`.
    Operator(Operator, Vec<Filter<C>>),
    /// A `FilterCondition`.
    Condition(C),
}

impl<C> Filter<C> {
    /// Reads a filter; null is none. Depth was bounded when the request was read.
    ///
    /// # Errors
    /// What `condition` says; [`MethodError::InvalidArguments`] for what is no filter,
    /// [`MethodError::UnsupportedFilter`] for too many conditions or an operator that is not known.
    pub fn parse(
        value: Value,
        condition: &mut dyn FnMut(Object) -> Result<C, MethodError>,
    ) -> Result<Option<Filter<C>>, MethodError> {
        if value.is_null() {
            return Ok(None);
        }
        read(value, condition, &mut limits::CONDITIONS.clone()).map(Some)
    }

    /// Whether it holds, where `condition` says whether one does. RFC 8620 §5.5: AND of nothing holds, OR of nothing does not.
    pub fn holds(&self, condition: &mut dyn FnMut(&C) -> bool) -> bool {
        match self {
            Filter::Condition(one) => condition(one),
            Filter::Operator(Operator::And, all) => all.iter().all(|one| one.holds(condition)),
            Filter::Operator(Operator::Or, all) => all.iter().any(|one| one.holds(condition)),
            Filter::Operator(Operator::Not, all) => !all.iter().any(|one| one.holds(condition)),
        }
    }

    /// Every condition of it.
    pub fn conditions(&self) -> Vec<&C> {
        match self {
            Filter::Condition(one) => vec![one],
            Filter::Operator(_, all) => all.iter().flat_map(Filter::conditions).collect(),
        }
    }
}

fn read<C>(
    value: Value,
    condition: &mut dyn FnMut(Object) -> Result<C, MethodError>,
    left: &mut usize,
) -> Result<Filter<C>, MethodError> {
    *left = left.checked_sub(1).ok_or(MethodError::UnsupportedFilter)?;
    let wrong = |text| MethodError::invalid("filter", text);
    let Value::Object(mut members) = value else { return Err(wrong("a filter is an object")) };
    let Some(operator) = members.remove("operator") else { return condition(members).map(Filter::Condition) };
    let operator = match operator.as_str() {
        Some("AND") => Operator::And,
        Some("OR") => Operator::Or,
        Some("NOT") => Operator::Not,
        Some(_) => return Err(MethodError::UnsupportedFilter),
        None => return Err(wrong("an operator is a text")),
    };
    let Some(Value::Array(parts)) = members.remove("conditions") else {
        return Err(wrong("an operator has conditions"));
    };
    if !members.is_empty() {
        return Err(wrong("an operator has conditions and nothing else"));
    }
    let parts = parts.into_iter().map(|part| read(part, condition, left));
    Ok(Filter::Operator(operator, parts.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<Option<Filter<String>>, MethodError> {
        Filter::parse(value, &mut |object| {
            let name = object.get("is").and_then(Value::as_str);
            name.map(str::to_owned).ok_or(MethodError::UnsupportedFilter)
        })
    }

    #[test]
    fn operators_nest() {
        let filter = json!({"operator": "AND", "conditions": [
            {"operator": "OR", "conditions": [{"is": "a"}, {"is": "b"}]},
            {"operator": "NOT", "conditions": [{"is": "c"}]}
        ]});
        let filter = parse(filter).unwrap().unwrap();
        assert_eq!(filter.conditions(), ["a", "b", "c"]);
        let holds = |names: &str| filter.holds(&mut |name| names.contains(name.as_str()));
        assert!(holds("a") && holds("ab") && !holds("bc") && !holds(""));
        assert!(parse(json!({"operator": "AND", "conditions": []})).unwrap().unwrap().holds(&mut |_| false));
        assert!(!parse(json!({"operator": "OR", "conditions": []})).unwrap().unwrap().holds(&mut |_| true));
        assert_eq!(parse(json!(null)), Ok(None));
    }

    #[test]
    fn what_is_no_filter() {
        for bad in [
            json!(1),
            json!({"operator": 1, "conditions": []}),
            json!({"operator": "AND"}),
            json!({"operator": "AND", "conditions": [1]}),
            json!({"operator": "AND", "conditions": [], "is": "a"}),
        ] {
            assert!(matches!(parse(bad.clone()), Err(MethodError::InvalidArguments { .. })), "{bad}");
        }
        let many = json!({"operator": "OR", "conditions": vec![json!({"is": "a"}); limits::CONDITIONS]});
        for unsupported in [json!({"operator": "XOR", "conditions": []}), json!({"was": "a"}), many] {
            assert_eq!(parse(unsupported), Err(MethodError::UnsupportedFilter));
        }
    }
}
