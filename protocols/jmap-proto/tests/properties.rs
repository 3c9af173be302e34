//! Whatever a client sends: no panic, no growth beyond the limits, and what is written is read back.

use std::collections::BTreeSet;

use godwit_jmap_proto::date::{Date, parse_utc, render_utc};
use godwit_jmap_proto::limits::{self, Limits};
use godwit_jmap_proto::patch::Patch;
use godwit_jmap_proto::reference::{self, Copying};
use godwit_jmap_proto::standard::{QueryChangesAnswer, Window};
use godwit_jmap_proto::{Id, Invocation, Object, Request, json, pointer};
use proptest::prelude::*;
use serde_json::Value;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z/~#*0]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z/~#*0]{0,3}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Object> {
    proptest::collection::btree_map("[a-c/~#*0]{0,3}", value(), 0..5)
        .prop_map(|members| members.into_iter().collect())
}

/// The old results with `removed` taken out and `added` put in, as RFC 8620 §5.6 has a client do it.
fn applied(old: &[Id], answer: &QueryChangesAnswer) -> Vec<Id> {
    let mut now: Vec<Id> = old.iter().filter(|id| !answer.removed.contains(id)).cloned().collect();
    for added in &answer.added {
        now.insert(added.index.min(now.len()), added.id.clone());
    }
    now
}

proptest! {
    #[test]
    fn bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Request::parse(&bytes, &Limits::default());
    }

    #[test]
    fn values_are_read_back(value in value()) {
        prop_assert_eq!(json::parse(value.to_string().as_bytes()), Ok(value));
    }

    #[test]
    fn any_value_may_be_a_request(value in value()) {
        if let Ok(request) = Request::parse(value.to_string().as_bytes(), &Limits::default()) {
            prop_assert!(request.calls.len() <= 16);
        }
    }

    #[test]
    fn references_copy_no_more_than_they_may(arguments in object(), answers in proptest::collection::vec(object(), 0..3)) {
        let answers: Vec<Invocation> = answers
            .into_iter()
            .map(|arguments| Invocation { name: "a".into(), arguments, call_id: "0".into() })
            .collect();
        if let Ok(resolved) = reference::resolve(arguments, &answers, &mut Copying::default()) {
            prop_assert!(json::count(&Value::Object(resolved)) <= limits::VALUES * 2);
        }
    }

    #[test]
    fn pointers_find_what_they_are_made_of(path in proptest::collection::vec("[a-c/~]{0,3}", 1..5), leaf in any::<i32>()) {
        let mut value = Value::from(leaf);
        for token in path.iter().rev() {
            value = Value::Object([(token.clone(), value)].into_iter().collect());
        }
        let text: String = path.iter().map(|token| format!("/{}", pointer::escape(token))).collect();
        let tokens = pointer::parse(&text).unwrap();
        prop_assert_eq!(&tokens, &path);
        prop_assert_eq!(pointer::evaluate(&value, &tokens, &mut 1), Ok(Value::from(leaf)));
    }

    /// A patch that is taken leaves at each of its pointers what it says.
    #[test]
    fn patches_do_what_they_say(patch in object(), record in object()) {
        let mut after = record;
        let Ok(read) = Patch::parse(patch.clone()) else { return Ok(()) };
        if read.apply(&mut after).is_ok() {
            for (path, wanted) in patch {
                let tokens = pointer::parse(&format!("/{path}")).unwrap();
                let mut found = Some(&Value::Object(after.clone())).cloned();
                for token in &tokens {
                    found = found.and_then(|value| value.as_object().and_then(|o| o.get(token)).cloned());
                }
                prop_assert_eq!(found.unwrap_or(Value::Null), wanted);
            }
        }
    }

    #[test]
    fn dates_are_read_back(millis in -62_167_219_200_000i64..253_402_300_799_999) {
        prop_assert_eq!(parse_utc(&render_utc(millis)), Some(millis));
    }

    #[test]
    fn dates_keep_their_zone(seconds in 0i64..4_000_000_000, offset in -720i16..=840) {
        let date = Date { millis: seconds * 1000, offset };
        prop_assert_eq!(Date::parse(&date.render()), Some(date));
    }

    #[test]
    fn text_is_no_date_or_one(text in "[0-9TZ:.+-]{0,30}") {
        if let Some(date) = Date::parse(&text) {
            prop_assert_eq!(Date::parse(&date.render()), Some(date));
        }
    }

    #[test]
    fn windows_lie_within(total in 0usize..50, position in -60i64..60, limit in proptest::option::of(0u64..60), most in 0usize..60) {
        let range = Window { position, limit, ..Window::default() }.range(total, most, |_| None).unwrap();
        prop_assert!(range.start <= range.end && range.end <= total && range.len() <= most);
    }

    /// A client that applies what it is told has the results as they are.
    #[test]
    fn query_changes_keep_a_client_in_step(
        order in Just((0..20u8).collect::<Vec<_>>()).prop_shuffle(),
        old in proptest::collection::btree_set(0..20u8, 0..20),
        changed in proptest::collection::btree_set(0..20u8, 0..20),
        now in proptest::collection::btree_set(0..20u8, 0..20),
    ) {
        let id = |n: &u8| Id::new(&format!("m{n}")).unwrap();
        // What did not change is in both or in neither, in the same order.
        let was: Vec<Id> = order.iter().filter(|n| old.contains(n)).map(id).collect();
        let is_in = |n: &u8| if changed.contains(n) { now.contains(n) } else { old.contains(n) };
        let mut shuffled: Vec<u8> = order.iter().filter(|n| !changed.contains(n)).copied().collect();
        for n in &changed {
            shuffled.insert(usize::from(*n) % (shuffled.len() + 1), *n);
        }
        let results: Vec<Id> = shuffled.iter().filter(|n| is_in(n)).map(id).collect();
        let changed: BTreeSet<Id> = changed.iter().map(id).collect();
        let (account, state) = (id(&0), String::new());
        let empty = QueryChangesAnswer {
            account, old_state: state.clone(), new_state: state, total: None, removed: vec![], added: vec![],
        };
        let answer = empty.work_out(&changed, &results, None, None).unwrap();
        prop_assert_eq!(applied(&was, &answer), results);
    }
}
