//! What is asked for.

use mail::MailboxRef;
use runtime::{Rng, SeededRng};
use serde_json::{Value, json};

/// Properties that rows have.
pub(crate) const ROWS: [&str; 5] = ["threadId", "mailboxIds", "keywords", "size", "receivedAt"];
/// Properties that a list shows.
pub(crate) const LIST: [&str; 10] = [
    "threadId",
    "mailboxIds",
    "keywords",
    "size",
    "receivedAt",
    "from",
    "to",
    "subject",
    "hasAttachment",
    "preview",
];

/// Queries by name; a position `anywhere` is another each time.
pub(crate) fn queries(mailboxes: &[MailboxRef]) -> Vec<(&'static str, Value)> {
    let (large, small) =
        (mailboxes[0].mailbox.to_string(), mailboxes[mailboxes.len() - 1].mailbox.to_string());
    let newest = json!([{"property": "receivedAt", "isAscending": false}]);
    let oldest = json!([{"property": "receivedAt"}]);
    let of =
        |filter: Value, sort: &Value| json!({"filter": filter, "sort": sort, "position": 0, "limit": 50});
    let with = |mut query: Value, name: &str, value: Value| {
        query[name] = value;
        query
    };
    let null = || Value::Null;
    vec![
        ("newest first", of(null(), &newest)),
        ("newest first, anywhere", with(of(null(), &newest), "position", "anywhere".into())),
        ("newest first, from the end", with(of(null(), &newest), "position", (-50).into())),
        ("newest first, 500 of them and how many", {
            let query = with(of(null(), &newest), "limit", 500.into());
            with(query, "calculateTotal", true.into())
        }),
        ("oldest first, anywhere", with(of(null(), &oldest), "position", "anywhere".into())),
        ("in a large mailbox", of(json!({"inMailbox": large}), &newest)),
        ("in a small mailbox", of(json!({"inMailbox": small}), &newest)),
        ("not in a large mailbox", of(json!({"inMailboxOtherThan": [large]}), &newest)),
        ("unread", of(json!({"notKeyword": "$seen"}), &newest)),
        ("with a keyword", of(json!({"hasKeyword": "work"}), &newest)),
        (
            "of a year",
            of(json!({"after": "2021-01-01T00:00:00Z", "before": "2022-01-01T00:00:00Z"}), &newest),
        ),
        ("larger than some", of(json!({"minSize": 600}), &newest)),
        ("unread in a large mailbox, of a year, small", {
            let filter = json!({"inMailbox": large, "notKeyword": "$seen", "after": "2021-01-01T00:00:00Z", "maxSize": 700});
            of(filter, &newest)
        }),
        ("threads", with(of(null(), &newest), "collapseThreads", true.into())),
        ("threads, anywhere", {
            let query = with(of(null(), &newest), "collapseThreads", true.into());
            with(query, "position", "anywhere".into())
        }),
        (
            "threads of a large mailbox",
            with(of(json!({"inMailbox": large}), &newest), "collapseThreads", true.into()),
        ),
        (
            "with a keyword somewhere in the thread",
            of(json!({"someInThreadHaveKeyword": "$flagged"}), &newest),
        ),
        ("flagged first, then newest", {
            let first = json!({"property": "hasKeyword", "keyword": "$flagged", "isAscending": false});
            of(null(), &json!([first, newest[0]]))
        }),
        ("by size", of(null(), &json!([{"property": "size"}]))),
        ("by subject, anywhere", {
            let query = of(null(), &json!([{"property": "subject"}]));
            with(query, "position", "anywhere".into())
        }),
        ("by sender in a large mailbox", of(json!({"inMailbox": large}), &json!([{"property": "from"}]))),
        ("by date sent, the last first", {
            of(null(), &json!([{"property": "sentAt", "isAscending": false}]))
        }),
        ("unread first, then by subject", {
            let first = json!({"property": "hasKeyword", "keyword": "$seen"});
            of(json!({"inMailbox": large}), &json!([first, {"property": "subject"}]))
        }),
        ("with attachments", of(json!({"hasAttachment": true}), &newest)),
        ("threads with attachments, by size", {
            let query =
                of(json!({"hasAttachment": true}), &json!([{"property": "size", "isAscending": false}]));
            with(query, "collapseThreads", true.into())
        }),
    ]
}

/// Draws a place for a query that may begin anywhere.
pub(crate) fn drawn(arguments: &Value, emails: usize, random: &SeededRng) -> Value {
    let mut arguments = arguments.clone();
    if arguments["position"] == "anywhere" {
        arguments["position"] = random.below(emails as u64).into();
    }
    arguments
}
