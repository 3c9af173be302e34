//! SEARCH (RFC 9051 §6.4.4) with ESEARCH (RFC 4731), SEARCHRES (RFC 5182), MODSEQ (RFC 7162 §3.1.5) and FUZZY (RFC 6203).

use imap_proto::Tag;
use imap_proto::command::{Search, SearchKey, SearchReturn};
use imap_proto::render::{self, Esearch};
use mail::UidSet;
use query::{Query, Relevancy};

use crate::command::search_filter::{check_charset, filter};
use crate::flow::Selected;
use crate::options::ROWS;
use crate::reply::{Outcome, Reply, Stop};
use crate::session::Session;

pub(crate) async fn run(session: &mut Session, tag: &Tag, search: Search) -> Outcome {
    let outcome = answer(session, tag, &search).await;
    if outcome.is_err()
        && search.returns.is_some_and(|returns| returns.save)
        && let Some(selected) = session.state.selected_mut()
    {
        // RFC 5182 §2.1: a search that fails leaves an empty result. Until then `$` is the one before.
        selected.saved = UidSet::default();
    }
    outcome
}

async fn answer(session: &mut Session, tag: &Tag, search: &Search) -> Outcome {
    check_charset(&search.charset)?;
    let found = matching(session, &search.key).await?;
    let modseq = if names_modseq(&search.key) { highest(session, &found).await? } else { None };
    session.modes.condstore |= modseq.is_some() || names_modseq(&search.key);
    let extended =
        search.returns.or(session.modes.rev2.then_some(SearchReturn { all: true, ..Default::default() }));
    match extended {
        None => {
            let numbers = numbers(selected(session)?, &found, search.uid);
            render::search(session.out(), numbers, modseq);
        }
        Some(returns) => {
            let relevancy = match returns.relevancy {
                true => Some(relevancy(session, &search.key, &found).await?),
                false => None,
            };
            let numbers = numbers(selected(session)?, &found, search.uid);
            tell(session, tag, search.uid, &returns, &numbers, (modseq, relevancy.as_deref()));
            save(session, &returns, found)?;
        }
    }
    Ok(Reply::ok("searched"))
}

pub(crate) fn selected(session: &Session) -> Result<&Selected, Stop> {
    session.state.selected().ok_or_else(|| Reply::bad("open a mailbox first").into())
}

/// The messages of the view that match.
pub(crate) async fn matching(session: &Session, key: &SearchKey) -> Result<UidSet, Stop> {
    let selected = selected(session)?;
    let services = session.services();
    let filter = filter(selected, key, services.clock.now().secs())?;
    let query = Query {
        store: &services.mail,
        index: &*services.index,
        mailbox: selected.mailbox,
        within: selected.view.uids(),
        budget: session.server.options.search_budget,
        clock: services.clock.clone(),
    };
    Ok(query::search(&query, &filter).await?)
}

/// Hits as the client asked for them: UIDs or sequence numbers.
pub(crate) fn numbers(selected: &Selected, found: &UidSet, uid: bool) -> Vec<u32> {
    selected.view.numbers(found, uid).collect()
}

/// `* ESEARCH` (RFC 4731 §3.1). Only SAVE asks for no answer (RFC 5182 §2.1).
fn tell(
    session: &mut Session,
    tag: &Tag,
    uid: bool,
    returns: &SearchReturn,
    numbers: &[u32],
    (modseq, relevancy): (Option<u64>, Option<&[u8]>),
) {
    if !(returns.min || returns.max || returns.all || returns.count || returns.relevancy) {
        return;
    }
    let ranges: Vec<_> = numbers.iter().copied().collect::<UidSet>().ranges().collect();
    let result = Esearch {
        min: numbers.first().copied().filter(|_| returns.min),
        max: numbers.last().copied().filter(|_| returns.max),
        count: returns.count.then(|| u32::try_from(numbers.len()).unwrap_or(u32::MAX)),
        all: Some(ranges.as_slice()).filter(|r| returns.all && !r.is_empty()),
        modseq,
        relevancy,
    };
    render::esearch(session.out(), tag, uid, &result);
}

/// RFC 5182 §2.1, §2.4: with MIN or MAX alone only those are saved.
fn save(session: &mut Session, returns: &SearchReturn, found: UidSet) -> Result<(), Stop> {
    if !returns.save {
        return Ok(());
    }
    let ends = (returns.min || returns.max) && !returns.all && !returns.count;
    let saved = if ends {
        let (min, max) = (found.first().filter(|_| returns.min), found.last().filter(|_| returns.max));
        min.into_iter().chain(max).collect()
    } else {
        found
    };
    if let Some(selected) = session.state.selected_mut() {
        selected.saved = saved;
    }
    Ok(())
}

/// How well messages of the view fit, in their order (RFC 6203 §4).
async fn relevancy(session: &Session, key: &SearchKey, found: &UidSet) -> Result<Vec<u8>, Stop> {
    let scores = scores(session, key).await?;
    let (selected, mail) = (selected(session)?, &session.services().mail);
    let shown: UidSet = selected.view.numbers(found, true).collect();
    let (mut all, mut left) = (Vec::new(), shown.iter().collect::<Vec<u32>>());
    while !left.is_empty() {
        let later = left.split_off(left.len().min(ROWS));
        let rows = mail.messages_at(selected.mailbox, &left).await?;
        // What has gone meanwhile is told, and fits no better than the least.
        let email = |uid: &u32| rows.binary_search_by_key(uid, |row| row.uid).ok().map(|at| rows[at].email);
        all.extend(left.iter().map(|uid| email(uid).map_or(1, |email| scores.score(email))));
        left = later;
    }
    Ok(all)
}

/// What the index says of how well emails fit.
pub(crate) async fn scores(session: &Session, key: &SearchKey) -> Result<Relevancy, Stop> {
    if !key.is_fuzzy() {
        // RFC 6203 §4, §5
        return Err(Reply::bad("RELEVANCY is of FUZZY searches").into());
    }
    let (selected, services) = (selected(session)?, session.services());
    let filter = filter(selected, key, services.clock.now().secs())?;
    Ok(Relevancy::of(&*services.index, selected.mailbox.account, &filter).await?)
}

fn names_modseq(key: &SearchKey) -> bool {
    match key {
        SearchKey::ModSeq(_) => true,
        SearchKey::And(keys) => keys.iter().any(names_modseq),
        SearchKey::Or(a, b) => names_modseq(a) || names_modseq(b),
        SearchKey::Not(inner) | SearchKey::Fuzzy(inner) => names_modseq(inner),
        _ => false,
    }
}

/// The highest mod-sequence among the hits.
async fn highest(session: &Session, found: &UidSet) -> Result<Option<u64>, Stop> {
    let mailbox = selected(session)?.mailbox;
    let mut highest = None;
    let (mut next, last) = (found.first(), found.last().unwrap_or(0));
    while let Some(first) = next.filter(|first| *first <= last) {
        let page = session.services().mail.messages(mailbox, first..=last, ROWS).await?;
        let here = page.rows.iter().filter(|row| found.contains(row.uid)).map(|row| row.modseq.0);
        highest = highest.max(here.max());
        next = page.next;
    }
    Ok(highest)
}
