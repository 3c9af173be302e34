//! SORT and THREAD (RFC 5256) with the return options of ESORT (RFC 5267 §3.1).

use super::search::{keys, parse_charset, return_options};
use super::{Body, Charset, SearchKey, SearchReturn};
use crate::Problem;
use crate::cursor::{Cursor, Result};

/// SORT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// Whether the answer is of UIDs.
    pub uid: bool,
    /// What the answer holds (RFC 5267 §3.1); `None`: `* SORT`.
    pub returns: Option<SearchReturn>,
    /// By what, first things first; at least one.
    pub criteria: Vec<SortCriterion>,
    /// The charset of the strings.
    pub charset: Charset,
    /// Which messages.
    pub key: SearchKey,
}

/// A key and its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortCriterion {
    /// By what.
    pub key: SortKey,
    /// `REVERSE`
    pub reverse: bool,
}

/// `sort-key` (RFC 5256 §5, RFC 5957 §4, RFC 6203 §6)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // named as on the wire
pub enum SortKey {
    Arrival,
    Cc,
    Date,
    From,
    Size,
    Subject,
    To,
    DisplayFrom,
    DisplayTo,
    Relevancy,
}

/// THREAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Whether the answer is of UIDs.
    pub uid: bool,
    /// How threads are made.
    pub algorithm: ThreadAlgorithm,
    /// The charset of the strings.
    pub charset: Charset,
    /// Which messages.
    pub key: SearchKey,
}

/// `thread-alg` (RFC 5256 §3)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    /// By base subject and date.
    OrderedSubject,
    /// By References, then by base subject.
    References,
}

/// `sort = ["UID" SP] "SORT" SP sort-criteria SP search-criteria`;
/// `sort-criteria = "(" sort-criterion *(SP sort-criterion) ")"`; `sort-criterion = ["REVERSE" SP] sort-key`;
/// `search-criteria = charset 1*(SP search-key)` (RFC 5256 §5)
pub(super) fn parse_sort(cursor: &mut Cursor<'_>, uid: bool) -> Result<Body> {
    cursor.space()?;
    let mut returns = None;
    if cursor.eat_word("RETURN") {
        cursor.space()?;
        returns = Some(return_options(cursor)?);
        cursor.space()?;
    }
    let mut criteria: Vec<SortCriterion> = Vec::new();
    cursor.list(false, |cursor| {
        let next = criterion(cursor)?;
        // What is equal under a criterion stays equal under another of its key.
        if criteria.iter().all(|one| one.key != next.key) {
            criteria.push(next);
        }
        Ok(())
    })?;
    let (charset, key) = search_criteria(cursor)?;
    Ok(Body::Sort(Sort { uid, returns, criteria, charset, key }))
}

/// `thread = ["UID" SP] "THREAD" SP thread-alg SP search-criteria` (RFC 5256 §5)
pub(super) fn parse_thread(cursor: &mut Cursor<'_>, uid: bool) -> Result<Body> {
    cursor.space()?;
    let algorithm = if cursor.eat_word("REFERENCES") {
        ThreadAlgorithm::References
    } else if cursor.eat_word("ORDEREDSUBJECT") {
        ThreadAlgorithm::OrderedSubject
    } else {
        return Err(Problem::Syntax("unknown THREAD algorithm"));
    };
    let (charset, key) = search_criteria(cursor)?;
    Ok(Body::Thread(Thread { uid, algorithm, charset, key }))
}

fn search_criteria(cursor: &mut Cursor<'_>) -> Result<(Charset, SearchKey)> {
    cursor.space()?;
    let charset = parse_charset(cursor)?;
    cursor.space()?;
    Ok((charset, keys(cursor)?))
}

fn criterion(cursor: &mut Cursor<'_>) -> Result<SortCriterion> {
    let mut word = cursor.atom()?;
    let reverse = word.eq_ignore_ascii_case("REVERSE");
    if reverse {
        cursor.space()?;
        word = cursor.atom()?;
    }
    let key = match word.to_ascii_uppercase().as_str() {
        "ARRIVAL" => SortKey::Arrival,
        "CC" => SortKey::Cc,
        "DATE" => SortKey::Date,
        "FROM" => SortKey::From,
        "SIZE" => SortKey::Size,
        "SUBJECT" => SortKey::Subject,
        "TO" => SortKey::To,
        "DISPLAYFROM" => SortKey::DisplayFrom, // RFC 5957 §3
        "DISPLAYTO" => SortKey::DisplayTo,
        "RELEVANCY" => SortKey::Relevancy, // RFC 6203 §5
        _ => return Err(Problem::Syntax("unknown SORT key")),
    };
    Ok(SortCriterion { key, reverse })
}

#[cfg(test)]
mod tests {
    use super::super::body;
    use super::*;
    use crate::flag::Flag;

    /// RFC 5256 §3
    #[test]
    fn sort_examples() {
        let Ok(Body::Sort(sort)) = body("SORT (SUBJECT) UTF-8 SINCE 1-Feb-1994") else { panic!() };
        assert_eq!(sort.criteria, [SortCriterion { key: SortKey::Subject, reverse: false }]);
        let Ok(Body::Sort(sort)) = body("UID SORT (SUBJECT REVERSE DATE) UTF-8 ALL") else { panic!() };
        let Ok(Body::Sort(often)) = body("SORT (DATE REVERSE DATE TO DATE) UTF-8 ALL") else { panic!() };
        assert_eq!(often.criteria.len(), 2);
        assert_eq!(sort.criteria[1], SortCriterion { key: SortKey::Date, reverse: true });
        assert!(sort.uid && sort.returns.is_none());
        let Ok(Body::Sort(sort)) = body("SORT RETURN (COUNT) (ARRIVAL) KOI8-R ALL") else { panic!() };
        assert_eq!(sort.charset, Charset::Unsupported("KOI8-R".into()));
        assert!(sort.returns.unwrap().count);
    }

    /// RFC 6203 §4, §5
    #[test]
    fn relevancy() {
        let Ok(Body::Sort(sort)) = body("UID SORT (RELEVANCY) UTF-8 FUZZY SUBJECT \"Helo\"") else {
            panic!()
        };
        assert_eq!(sort.criteria, [SortCriterion { key: SortKey::Relevancy, reverse: false }]);
        assert_eq!(sort.key, SearchKey::Fuzzy(Box::new(SearchKey::Subject("Helo".into()))));
        assert!(sort.key.is_fuzzy() && !SearchKey::All.is_fuzzy());
        let Ok(Body::Search(search)) = body("SEARCH RETURN (RELEVANCY ALL) FUZZY TEXT Bananna") else {
            panic!()
        };
        assert!(search.returns.is_some_and(|returns| returns.relevancy && returns.all));
        assert!(body("SEARCH FUZZY").is_err() && body("SEARCH FUZZY FUZZY").is_err());
    }

    /// RFC 5256 §3
    #[test]
    fn thread_examples() {
        let expected = Thread {
            uid: false,
            algorithm: ThreadAlgorithm::References,
            charset: Charset::Utf8,
            key: SearchKey::Flag(Flag::Seen),
        };
        assert_eq!(body("THREAD REFERENCES US-ASCII SEEN"), Ok(Body::Thread(expected)));
        assert!(body("UID THREAD orderedsubject UTF-8 ALL").is_ok());
    }

    #[test]
    fn refused() {
        for bad in [
            "SORT () UTF-8 ALL",
            "SORT (FOO) UTF-8 ALL",
            "SORT (REVERSE) UTF-8 ALL",
            "SORT (DATE) ALL",
            "SORT DATE UTF-8 ALL",
            "THREAD REFS UTF-8 ALL",
            "THREAD REFERENCES ALL",
        ] {
            assert!(body(bad).is_err(), "{bad}");
        }
    }
}
