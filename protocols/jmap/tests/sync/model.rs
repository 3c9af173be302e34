//! What a query has to find, by the emails as they are told.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::queries::Asked;

pub(crate) type Objects = BTreeMap<String, Value>;

/// The results of a query over all emails of an account.
pub(crate) fn results(asked: &Asked, emails: &Objects) -> Vec<String> {
    let mut found: Vec<&Value> = emails
        .values()
        .filter(|email| asked.filter.is_null() || holds(&asked.filter, email, emails))
        .collect();
    found.sort_by(|a, b| {
        let sort = asked.sort.as_array().unwrap().iter();
        let order = sort.map(|by| compare(by, a, b, emails)).find(|order| order.is_ne());
        let newest = text(b, "receivedAt").cmp(text(a, "receivedAt"));
        order.unwrap_or(newest.then_with(|| number(a).cmp(&number(b))))
    });
    let mut threads = BTreeSet::new();
    found.retain(|email| !asked.collapse || threads.insert(text(email, "threadId")));
    found.into_iter().map(|email| text(email, "id").to_owned()).collect()
}

/// The threads of all emails of an account.
pub(crate) fn threads(emails: &Objects) -> Objects {
    let mut sorted: Vec<&Value> = emails.values().collect();
    sorted.sort_by(|a, b| {
        let came = text(a, "receivedAt").cmp(text(b, "receivedAt"));
        came.then_with(|| number(a).cmp(&number(b)))
    });
    let mut threads = Objects::new();
    for email in sorted {
        let id = text(email, "threadId");
        let thread = threads.entry(id.to_owned()).or_insert_with(|| json!({"id": id, "emailIds": []}));
        thread["emailIds"].as_array_mut().unwrap().push(email["id"].clone());
    }
    threads
}

fn text<'v>(email: &'v Value, name: &str) -> &'v str {
    email[name].as_str().unwrap()
}

/// The order of ids as numbers.
fn number(email: &Value) -> (usize, &str) {
    let id = text(email, "id");
    (id.len(), id)
}

fn has(email: &Value, keyword: &Value) -> bool {
    email["keywords"].get(keyword.as_str().unwrap()).is_some()
}

fn holds(filter: &Value, email: &Value, emails: &Objects) -> bool {
    if let Some(operator) = filter.get("operator") {
        let mut parts =
            filter["conditions"].as_array().unwrap().iter().map(|part| holds(part, email, emails));
        return match operator.as_str().unwrap() {
            "AND" => parts.all(|yes| yes),
            "OR" => parts.any(|yes| yes),
            _ => !parts.any(|yes| yes),
        };
    }
    filter.as_object().unwrap().iter().all(|(name, wanted)| one_holds(name, wanted, email, emails))
}

fn one_holds(name: &str, wanted: &Value, email: &Value, emails: &Objects) -> bool {
    let within = email["mailboxIds"].as_object().unwrap();
    let thread = || emails.values().filter(|one| one["threadId"] == email["threadId"]);
    let subject = || email["subject"].as_str().unwrap_or_default().to_lowercase();
    match name {
        "inMailbox" => within.contains_key(wanted.as_str().unwrap()),
        "inMailboxOtherThan" => {
            within.keys().any(|id| !wanted.as_array().unwrap().contains(&id.as_str().into()))
        }
        "hasKeyword" => has(email, wanted),
        "notKeyword" => !has(email, wanted),
        "before" => text(email, "receivedAt") < wanted.as_str().unwrap(),
        "after" => text(email, "receivedAt") >= wanted.as_str().unwrap(),
        "minSize" => email["size"].as_u64() >= wanted.as_u64(),
        "maxSize" => email["size"].as_u64() < wanted.as_u64(),
        "hasVerifiedSmime" => (email["smimeStatus"] == "signed/verified") == *wanted,
        "hasVerifiedSmimeAtDelivery" => (email["smimeStatusAtDelivery"] == "signed/verified") == *wanted,
        "hasAttachment" => email["hasAttachment"] == *wanted,
        "subject" => wanted.as_str().unwrap().split(' ').all(|word| subject().contains(word)),
        "someInThreadHaveKeyword" => thread().any(|one| has(one, wanted)),
        "allInThreadHaveKeyword" => thread().all(|one| has(one, wanted)),
        "noneInThreadHaveKeyword" => !thread().any(|one| has(one, wanted)),
        other => panic!("{other}"),
    }
}

fn compare(by: &Value, a: &Value, b: &Value, emails: &Objects) -> Ordering {
    let name = text(by, "property");
    let both = |key: &dyn Fn(&Value) -> bool| key(a).cmp(&key(b));
    let thread = |email: &Value| -> Vec<&Value> {
        emails.values().filter(|one| one["threadId"] == email["threadId"]).collect()
    };
    let keyword = by.get("keyword").unwrap_or(&Value::Null);
    let order = match name {
        "receivedAt" | "id" => text(a, name).cmp(text(b, name)),
        "size" => a["size"].as_u64().cmp(&b["size"].as_u64()),
        "sentAt" => sent(a).cmp(sent(b)),
        "subject" => base(a).cmp(&base(b)),
        "from" | "to" => first(&a[name]).cmp(&first(&b[name])),
        "hasKeyword" => both(&|email| has(email, keyword)),
        "someInThreadHaveKeyword" => both(&|email| thread(email).iter().any(|one| has(one, keyword))),
        "allInThreadHaveKeyword" => both(&|email| thread(email).iter().all(|one| has(one, keyword))),
        other => panic!("{other}"),
    };
    if by["isAscending"] == false { order.reverse() } else { order }
}

/// To the second; what says so was made here, in UTC.
fn sent(email: &Value) -> &str {
    let sent = email["sentAt"].as_str().unwrap_or_else(|| text(email, "receivedAt"));
    sent.get(..19).unwrap()
}

/// The base subject of RFC 5256 §2.1, as far as the messages here need it.
fn base(email: &Value) -> String {
    let subject = email["subject"].as_str().unwrap_or_default().to_lowercase();
    subject.trim_start_matches("re: ").to_owned()
}

/// RFC 8621 §4.4.2: the name of the first or, without one, the address.
fn first(people: &Value) -> String {
    let one = &people[0];
    let name = one["name"].as_str().filter(|name| !name.is_empty());
    name.or(one["email"].as_str()).unwrap_or_default().to_lowercase()
}
