//! SORT and THREAD (RFC 5256).

use std::collections::HashMap;

use imap_proto::Tag;
use imap_proto::command::{Sort, SortKey as WireKey, Thread, ThreadAlgorithm as WireAlgorithm};
use imap_proto::render::{self, Esearch, ThreadNode};
use mail::UidSet;
use query::{Query, Relevancy, SortCriterion, SortKey, ThreadAlgorithm, ThreadMessage};

use crate::command::search::{matching, scores, selected};
use crate::command::search_filter::check_charset;
use crate::options::ROWS;
use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;

pub(crate) async fn sort(session: &mut Session, tag: &Tag, sort: Sort) -> Outcome {
    check_charset(&sort.charset)?;
    let found = matching(session, &sort.key).await?;
    let by_relevancy = sort.criteria.iter().any(|criterion| criterion.key == WireKey::Relevancy);
    let told = sort.returns.is_some_and(|returns| returns.relevancy);
    let relevancy = match by_relevancy || told {
        true => scores(session, &sort.key).await?,
        false => Relevancy::default(),
    };
    let selected = selected(session)?;
    let services = session.services();
    let query = Query {
        store: &services.mail,
        index: &*services.index,
        mailbox: selected.mailbox,
        within: selected.view.uids(),
        budget: session.server.options.search_budget,
        clock: services.clock.clone(),
    };
    let criteria: Vec<SortCriterion> =
        sort.criteria.iter().map(|c| SortCriterion { key: key(c.key), reverse: c.reverse }).collect();
    let uids = query::sort_by_relevancy(&query, &found, &criteria, &relevancy).await?;
    let told = if told { Some(scored(&query, &uids, &relevancy).await?) } else { None };
    let number = |uid: &u32| if sort.uid { Some(*uid) } else { selected.view.seq_of(*uid) };
    let numbers: Vec<u32> = uids.iter().filter_map(number).collect();
    let score = |uid: &u32| number(uid).and(told.as_ref()).map(|told| told.get(uid).copied().unwrap_or(1));
    let relevancies: Option<Vec<u8>> = told.is_some().then(|| uids.iter().filter_map(score).collect());
    match sort.returns {
        None => render::sort(session.out(), numbers),
        Some(returns) => {
            // RFC 5267 §3.2: the order is what was asked for, so neighbours are no ranges.
            let all: Vec<_> = numbers.iter().map(|n| *n..=*n).collect();
            let result = Esearch {
                min: numbers.first().copied().filter(|_| returns.min),
                max: numbers.last().copied().filter(|_| returns.max),
                count: returns.count.then(|| u32::try_from(numbers.len()).unwrap_or(u32::MAX)),
                all: Some(all.as_slice()).filter(|a| returns.all && !a.is_empty()),
                modseq: None,
                relevancy: relevancies.as_deref(),
            };
            render::esearch(session.out(), tag, sort.uid, &result);
        }
    }
    Ok(Reply::ok("sorted"))
}

fn key(key: WireKey) -> SortKey {
    match key {
        WireKey::Arrival => SortKey::Arrival,
        WireKey::Cc => SortKey::Cc,
        WireKey::Date => SortKey::Date,
        WireKey::From => SortKey::From,
        WireKey::Size => SortKey::Size,
        WireKey::Subject => SortKey::Subject,
        WireKey::To => SortKey::To,
        WireKey::DisplayFrom => SortKey::DisplayFrom,
        WireKey::DisplayTo => SortKey::DisplayTo,
        WireKey::Relevancy => SortKey::Relevancy,
    }
}

/// How well each of the messages fits.
async fn scored(query: &Query<'_>, uids: &[u32], relevancy: &Relevancy) -> Result<HashMap<u32, u8>, Stop> {
    let mut left = uids.to_vec();
    left.sort_unstable();
    let mut scores = HashMap::with_capacity(left.len());
    for page in left.chunks(ROWS) {
        let rows = query.store.messages_at(query.mailbox, page).await?;
        scores.extend(rows.iter().map(|row| (row.uid, relevancy.score(row.email))));
    }
    Ok(scores)
}

pub(crate) async fn thread(session: &mut Session, thread: Thread) -> Outcome {
    check_charset(&thread.charset)?;
    let found = matching(session, &thread.key).await?;
    let messages = messages(session, &found, thread.uid).await?;
    let algorithm = match thread.algorithm {
        WireAlgorithm::OrderedSubject => ThreadAlgorithm::OrderedSubject,
        WireAlgorithm::References => ThreadAlgorithm::References,
    };
    // Not on a worker: it goes on without a pause, however many they are.
    let threads = tokio::task::spawn_blocking(move || query::thread(algorithm, &messages)).await;
    let threads = threads.map_err(std::io::Error::other)?;
    let node = |n: query::ThreadNode| ThreadNode { number: n.number, children: n.children };
    let nodes: Vec<ThreadNode> = threads.nodes.into_iter().map(node).collect();
    render::thread(session.out(), &nodes, &threads.roots);
    Ok(Reply::ok("threaded"))
}

/// Bytes that a message takes until all are threaded, about.
fn held(message: &ThreadMessage) -> u64 {
    const EACH: usize = 512;
    let id = |id: &String| id.len() + 64;
    let ids: usize = message.references.iter().chain(&message.message_id).map(id).sum();
    (EACH + ids + message.subject.len()) as u64
}

/// What threading needs of the hits.
async fn messages(session: &Session, found: &UidSet, uid: bool) -> Result<Vec<ThreadMessage>, Stop> {
    let selected = selected(session)?;
    let mail = &session.services().mail;
    let spending = session.spending();
    let mut messages = Vec::new();
    let (mut next, last) = (found.first(), found.last().unwrap_or(0));
    while let Some(first) = next.filter(|first| *first <= last) {
        let page = mail.messages(selected.mailbox, first..=last, ROWS).await?;
        for row in page.rows.iter().filter(|row| found.contains(row.uid)) {
            let Some(number) = (if uid { Some(row.uid) } else { selected.view.seq_of(row.uid) }) else {
                continue;
            };
            let summary = match mail.summary(selected.mailbox.account, row.email).await {
                Ok(summary) => summary,
                // Gone while we looked.
                Err(mail::Error::NotFound) => continue,
                Err(error) => return Err(error.into()),
            };
            let ids = &summary.message_ids;
            // RFC 5256 §3: References, or else the first of In-Reply-To.
            let references = if ids.references.is_empty() {
                ids.in_reply_to.iter().take(1)
            } else {
                ids.references.iter().take(usize::MAX)
            };
            let message = ThreadMessage {
                number,
                message_id: ids.message_id.clone(),
                references: references.cloned().collect(),
                subject: content_mail::fold(&summary.base_subject),
                is_reply: summary.is_reply_or_forward,
                sent: summary.sent.unwrap_or(row.internal_date.saturating_mul(1000)),
            };
            spending.pay(held(&message)).await?;
            messages.push(message);
        }
        next = page.next;
    }
    Ok(messages)
}
