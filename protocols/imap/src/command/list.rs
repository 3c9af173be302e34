//! LIST and LSUB (RFC 9051 §6.3.9, RFC 3501 §6.3.9), LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819),
//! SPECIAL-USE (RFC 6154), NAMESPACE (RFC 2342).

use std::collections::BTreeMap;

use accounts::Rights;
use imap_proto::command::List;
use imap_proto::render::{self, Code, ListEntry, ListKind, Namespace};
use mail::{Mailbox, MailboxPath, MailboxRef};
use query::Spending;

use crate::command::status;
use crate::namespace::{Found, SHARED, shares};
use crate::pattern::{Pattern, SEPARATOR};
use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;

/// A name that LIST may tell.
#[derive(Default)]
struct Name {
    /// The mailbox there; none for a level that only holds others, and for a subscription to nothing.
    found: Option<Found>,
    /// A level that exists but can not be opened.
    level: bool,
    has_children: bool,
    subscribed: bool,
    /// Something below is subscribed.
    subscribed_below: bool,
    /// Something below has a special use.
    special_below: bool,
}

/// RFC 9051 §6.3.9
pub(crate) async fn run(session: &mut Session, list: &List, kind: ListKind) -> Outcome {
    // RFC 9051 §6.3.9: the empty pattern asks for the separator.
    if !list.extended && list.patterns.iter().all(String::is_empty) {
        let entry = entry("", &["\\Noselect"], &[]);
        let utf8 = session.modes.utf8();
        render::list(session.out(), kind, &entry, utf8);
        return Ok(Reply::ok("done"));
    }
    let reference = list.reference.as_str();
    let patterns: Vec<Pattern> =
        list.patterns.iter().map(|pattern| Pattern::new(reference, pattern)).collect();
    let names = names(session).await?;
    // RFC 3501 §6.3.9: a `%` at the end of LSUB tells what lies above subscriptions.
    let level = kind == ListKind::Lsub && patterns.iter().any(Pattern::ends_in_level);
    // All before the first is told: a client that reads slowly does not use the budget up.
    let (mut wanted, spending) = (Vec::new(), session.spending());
    for (name, what) in names {
        if matches_any(&patterns, &name, &spending).await? {
            wanted.push((name, what));
        }
    }
    for (name, what) in &wanted {
        tell(session, list, kind, name, what, level).await?;
        tokio::task::consume_budget().await;
    }
    Ok(Reply::ok("done"))
}

/// Whether a name matches. Both may be long, and there may be many of both.
async fn matches_any(patterns: &[Pattern], name: &str, spending: &Spending) -> Result<bool, Stop> {
    for pattern in patterns {
        spending.pay(pattern.cost(name)).await?;
        if pattern.matches(name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every name the user sees, in order, with what is known of it.
async fn names(session: &Session) -> Result<BTreeMap<String, Name>, Stop> {
    let identity = session.identity()?;
    let services = session.services();
    let mut names = BTreeMap::new();
    for mailbox in services.mail.mailboxes(identity.account).await? {
        add(&mut names, "", identity.account, mailbox);
    }
    for share in shares(identity) {
        for mailbox in services.mail.mailboxes(share.account).await? {
            add(&mut names, &share.prefix, share.account, mailbox);
        }
        for level in [SHARED, &share.prefix] {
            let name = names.entry(level.trim_end_matches('/').to_owned()).or_insert_with(Name::default);
            name.level = true;
        }
    }
    for subscribed in services.mail.subscriptions(identity.account).await? {
        // What lies above it may have to be told for its sake, whether or not it exists.
        for above in levels_above(&subscribed) {
            if !names.contains_key(above) {
                names.insert(above.to_owned(), Name::default());
            }
        }
        names.entry(subscribed).or_default().subscribed = true;
    }
    note_children(&mut names);
    Ok(names)
}

/// The names that a name lies below.
fn levels_above(name: &str) -> impl Iterator<Item = &str> {
    let levels = name.match_indices(SEPARATOR).map(|(at, _)| &name[..at]);
    levels.filter(|above| !above.is_empty()).take(MailboxPath::MAX_DEPTH)
}

fn add(names: &mut BTreeMap<String, Name>, prefix: &str, account: schema::AccountId, row: Mailbox) {
    let name = format!("{prefix}{}", row.path);
    let mailbox = MailboxRef { account, mailbox: row.id };
    names.entry(name).or_default().found = Some(Found { mailbox, row });
}

/// Tells each name what is below it.
fn note_children(names: &mut BTreeMap<String, Name>) {
    let mut parents: BTreeMap<String, (bool, bool, bool)> = BTreeMap::new();
    for (name, what) in names.iter() {
        let exists = what.found.is_some() || what.level;
        let special =
            what.found.as_ref().is_some_and(|found| found.row.role.and_then(mail::Role::attribute).is_some());
        for above in levels_above(name) {
            let below = parents.entry(above.to_owned()).or_default();
            below.0 |= exists;
            below.1 |= what.subscribed;
            below.2 |= special;
        }
    }
    for (name, (exists, subscribed, special)) in parents {
        if let Some(what) = names.get_mut(&name) {
            (what.has_children, what.subscribed_below, what.special_below) = (exists, subscribed, special);
        }
    }
}

/// Tells a name that matches, if it is selected, and its STATUS if that is asked for. `level`: also for the sake
/// of subscriptions below it.
async fn tell(
    session: &mut Session,
    list: &List,
    kind: ListKind,
    name: &str,
    what: &Name,
    level: bool,
) -> Result<(), Stop> {
    let special = what.found.as_ref().and_then(|found| found.row.role.and_then(mail::Role::attribute));
    let selection = &list.selection;
    let mut hit = true;
    let mut child_info: Vec<&str> = Vec::new();
    if selection.subscribed || selection.special_use {
        let subscribed = what.subscribed || (level && what.subscribed_below);
        hit = (!selection.subscribed || subscribed) && (!selection.special_use || special.is_some());
        // RFC 5258 §3.5: a name is told for the sake of what is below it.
        if selection.recursive_match {
            if selection.subscribed && what.subscribed_below {
                child_info.push("SUBSCRIBED");
            }
            if selection.special_use && what.special_below {
                child_info.push("SPECIAL-USE");
            }
        }
    }
    let exists = what.found.is_some() || what.level;
    // A subscription to what is not there is told only to who asks for subscriptions.
    if (!hit && child_info.is_empty()) || !(exists || selection.subscribed) {
        return Ok(());
    }
    let attributes = attributes(list, kind, what, exists);
    let utf8 = session.modes.utf8();
    render::list(session.out(), kind, &entry(name, &attributes, &child_info), utf8);
    if let Some(found) = &what.found
        && !list.returns.status.is_empty()
        && session.rights(found.mailbox.account).contain(Rights::READ)
    {
        // RFC 5819 §2: what has no status, such as one that was deleted meanwhile, is told without.
        match status::tell(session, found, name, &list.returns.status).await {
            Err(Stop::Reply(reply)) if reply.code == Some(Code::NonExistent) => {}
            told => told?,
        }
    }
    session.connection.relieve().await?;
    Ok(())
}

/// RFC 9051 §7.3.1
fn attributes(list: &List, kind: ListKind, what: &Name, exists: bool) -> Vec<&'static str> {
    let mut attributes = Vec::new();
    if kind == ListKind::Lsub && !(exists && what.subscribed) {
        attributes.push("\\Noselect"); // RFC 3501 §6.3.9
    } else if !exists {
        attributes.push("\\NonExistent");
    } else if what.level && what.found.is_none() {
        attributes.push("\\Noselect");
    }
    if kind == ListKind::List {
        attributes.push(if what.has_children { "\\HasChildren" } else { "\\HasNoChildren" });
        if what.subscribed && (list.returns.subscribed || list.selection.subscribed) {
            attributes.push("\\Subscribed");
        }
        // RFC 6154 §2: also told to who did not ask.
        if let Some(role) = what.found.as_ref().and_then(|found| found.row.role) {
            attributes.extend(role.attribute());
        }
    }
    attributes
}

fn entry<'a>(name: &'a str, attributes: &'a [&'a str], child_info: &'a [&'a str]) -> ListEntry<'a> {
    ListEntry { attributes, separator: Some('/'), name, child_info, old_name: None }
}

/// RFC 2342, RFC 9051 §6.3.10
pub(crate) fn namespace(session: &mut Session) -> Outcome {
    let shared = [Namespace { prefix: SHARED }];
    let any = !session.identity()?.groups.is_empty();
    let utf8 = session.modes.utf8();
    let personal = [Namespace { prefix: "" }];
    render::namespace(session.out(), &personal, &[], if any { &shared } else { &[] }, utf8);
    Ok(Reply::ok("done"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use query::{Budget, BudgetExceeded};

    #[tokio::test]
    async fn long_patterns_are_paid_for() {
        let pattern = |text: &str| Pattern::new("", text);
        let few = [pattern("a"), pattern("b%")];
        let many: Vec<_> = (0..100).map(|_| pattern(&"*x".repeat(1000))).collect();
        let name = "x/".repeat(500);
        let clock = runtime::SystemClock::shared();
        let spending = Spending::new(Budget { bytes: 1 << 20, ..Budget::default() }, clock);
        assert!(matches_any(&few, "bee", &spending).await.unwrap());
        assert!(!matches_any(&few, "a/b", &spending).await.unwrap());
        let limit = |stop| matches!(stop, Stop::Reply(reply) if reply.code == Some(Code::Limit));
        assert!(matches_any(&many, &name, &spending).await.is_err_and(limit));
        assert!(limit(Stop::from(BudgetExceeded)));
    }
}
