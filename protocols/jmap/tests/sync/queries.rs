//! Queries that a client keeps the results of.

use runtime::{Rng, SeededRng};
use serde_json::{Value, json};

/// What is asked, besides whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `Email` or `Mailbox`.
    pub(crate) kind: &'static str,
    pub(crate) filter: Value,
    pub(crate) sort: Value,
    pub(crate) collapse: bool,
}

impl Asked {
    /// All emails, in the server's order.
    pub(crate) fn everything() -> Asked {
        Asked { kind: "Email", filter: Value::Null, sort: json!([]), collapse: false }
    }

    pub(crate) fn arguments(&self, account: &str) -> Value {
        let mut arguments = json!({"accountId": account, "filter": self.filter, "sort": self.sort});
        if self.kind == "Email" {
            arguments["collapseThreads"] = self.collapse.into();
        }
        arguments
    }

    /// Whether nothing that happens to an email but its end changes whether and where it is among the results: then a
    /// client may say up to where it knows them (RFC 8620 §5.6).
    pub(crate) fn is_of_what_stays(&self) -> bool {
        let text = format!("{}{}", self.filter, self.sort);
        self.kind == "Email"
            && !self.collapse
            && !["Keyword", "Mailbox", "Verified"].iter().any(|name| text.contains(name))
    }
}

fn pick<T: Clone>(random: &SeededRng, among: &[T]) -> T {
    among[usize::try_from(random.below(among.len() as u64)).unwrap()].clone()
}

fn condition(random: &SeededRng, mailboxes: &[String]) -> Value {
    let keyword = pick(random, &["$seen", "$flagged", "work", "nobody-has-it"]);
    let mailbox = pick(random, mailboxes);
    let minutes = random.below(60);
    let date = format!("2027-01-15T08:{minutes:02}:00Z");
    match random.below(15) {
        14 => json!({"hasVerifiedSmime": random.below(2) == 0}),
        13 => json!({"hasVerifiedSmimeAtDelivery": random.below(2) == 0}),
        12 => json!({"hasAttachment": random.below(2) == 0}),
        0 | 1 => json!({"inMailbox": mailbox}),
        2 => json!({"inMailboxOtherThan": [mailbox, pick(random, mailboxes)]}),
        3 => json!({"hasKeyword": keyword}),
        4 => json!({"notKeyword": keyword}),
        5 => json!({"before": date}),
        6 => json!({"after": date}),
        7 => json!({"minSize": random.below(300)}),
        8 => json!({"maxSize": random.below(300)}),
        9 => json!({"subject": pick(random, &["lunch", "report", "no such word"])}),
        10 => {
            json!({ pick(random, &["someInThreadHaveKeyword", "allInThreadHaveKeyword", "noneInThreadHaveKeyword"]): keyword })
        }
        _ => json!({"inMailbox": mailbox, "notKeyword": keyword}),
    }
}

fn filter(random: &SeededRng, mailboxes: &[String], depth: usize) -> Value {
    if depth == 0 || random.below(2) == 0 {
        return condition(random, mailboxes);
    }
    let parts: Vec<Value> = (0..=random.below(2)).map(|_| filter(random, mailboxes, depth - 1)).collect();
    json!({"operator": pick(random, &["AND", "OR", "NOT"]), "conditions": parts})
}

fn comparator(random: &SeededRng) -> Value {
    let ascending = random.below(2) == 0;
    let names = ["receivedAt", "receivedAt", "receivedAt", "size", "subject", "sentAt", "from", "to", "id"];
    match random.below(10) {
        0 => json!({"property": "hasKeyword", "keyword": "$seen", "isAscending": ascending}),
        1 => json!({"property": "someInThreadHaveKeyword", "keyword": "$flagged", "isAscending": ascending}),
        2 => json!({"property": "allInThreadHaveKeyword", "keyword": "$flagged", "isAscending": ascending}),
        _ => json!({"property": pick(random, &names), "isAscending": ascending}),
    }
}

pub(crate) fn asked(random: &SeededRng, mailboxes: &[String]) -> Asked {
    Asked {
        kind: "Email",
        filter: if random.below(4) == 0 { Value::Null } else { filter(random, mailboxes, 2) },
        sort: (0..random.below(3)).map(|_| comparator(random)).collect(),
        collapse: random.below(3) == 0,
    }
}

/// A query of mailboxes.
pub(crate) fn asked_of_mailboxes(random: &SeededRng, mailboxes: &[String]) -> Asked {
    let is = random.below(2) == 0;
    let filter = match random.below(7) {
        0 => json!({"hasAnyRole": is}),
        1 => json!({"isSubscribed": is}),
        2 => json!({"name": pick(random, &["Old", "o", "nobody-has-it"])}),
        3 => json!({"parentId": null}),
        4 => json!({"parentId": pick(random, mailboxes)}),
        5 => json!({"operator": "NOT", "conditions": [{"role": "inbox"}, {"isSubscribed": is}]}),
        _ => Value::Null,
    };
    let names = ["sortOrder", "name"];
    let by = |_| json!({"property": pick(random, &names), "isAscending": random.below(2) == 0});
    Asked { kind: "Mailbox", filter, sort: (0..random.below(3)).map(by).collect(), collapse: false }
}
