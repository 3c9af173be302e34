//! SEARCH: what the grammar takes and what it refuses.

use super::super::body;
use super::SearchKey as K;
use super::*;
use crate::limits;

fn search(text: &str) -> Search {
    match body(text) {
        Ok(Body::Search(search)) => search,
        other => panic!("{text}: {other:?}"),
    }
}

fn key_of(text: &str) -> K {
    search(&format!("SEARCH {text}")).key
}

fn not(key: K) -> K {
    K::Not(Box::new(key))
}

fn date(year: i32, month: u32, day: u32) -> Date {
    Date::new(year, month, day).unwrap()
}

/// RFC 9051 §6.4.4
#[test]
fn examples_of_the_rfc() {
    let s = search("SEARCH RETURN (MIN COUNT) FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"");
    assert_eq!(s.returns, Some(SearchReturn { min: true, count: true, ..SearchReturn::default() }));
    let expected =
        K::And(vec![K::Flag(Flag::Flagged), K::Since(date(1994, 2, 1)), not(K::From("Smith".into()))]);
    assert_eq!(s.key, expected);
    let s = search("SEARCH CHARSET UTF-8 TEXT {12}\r\n\u{43c}\u{430}\u{442}\u{44c}\u{442}\u{44c}");
    assert_eq!((s.key, s.charset), (K::Text("матьть".into()), Charset::Utf8));
    let s = search("SEARCH RETURN () UNSEEN");
    assert!(s.returns.unwrap().all);
}

/// RFC 5182 §2
#[test]
fn saved_results() {
    assert!(search("SEARCH RETURN (SAVE) SINCE 1-Feb-1994").returns.unwrap().save);
    assert_eq!(key_of("$ SMALLER 4096"), K::And(vec![K::Sequence(SequenceSet::Saved), K::Smaller(4096)]));
    assert_eq!(key_of("UID $"), K::Uid(SequenceSet::Saved));
    assert_eq!(key_of("OR $ 1,3000:3021 TEXT \"C&B\"").clone(), {
        let set = K::Sequence(SequenceSet::from_text("1,3000:3021").unwrap());
        let or = K::Or(Box::new(K::Sequence(SequenceSet::Saved)), Box::new(set));
        K::And(vec![or, K::Text("C&B".into())])
    });
}

#[test]
fn flags() {
    for (word, flag) in [
        ("ANSWERED", Flag::Answered),
        ("DELETED", Flag::Deleted),
        ("DRAFT", Flag::Draft),
        ("FLAGGED", Flag::Flagged),
        ("SEEN", Flag::Seen),
        ("KEYWORD $Junk", Flag::Keyword("$Junk".into())),
    ] {
        assert_eq!(key_of(word), K::Flag(flag.clone()));
        assert_eq!(key_of(&format!("UN{word}")), not(K::Flag(flag)));
    }
    assert_eq!(key_of("OLD"), not(K::Flag(Flag::Recent)));
    assert_eq!(key_of("new"), K::And(vec![K::Flag(Flag::Recent), not(K::Flag(Flag::Seen))]));
}

#[test]
fn keys_with_arguments() {
    let day = date(2020, 2, 29);
    for (text, expected) in [
        ("ALL", K::All),
        ("BCC a", K::Bcc("a".into())),
        ("CC \"\"", K::Cc(String::new())),
        ("TO b", K::To("b".into())),
        ("SUBJECT \"x y\"", K::Subject("x y".into())),
        ("BODY {1+}\r\nz", K::Body("z".into())),
        ("HEADER Message-ID \"<a@b>\"", K::Header("Message-ID".into(), "<a@b>".into())),
        ("BEFORE 29-Feb-2020", K::Before(day)),
        ("ON \"29-Feb-2020\"", K::On(day)),
        ("SENTBEFORE 29-Feb-2020", K::SentBefore(day)),
        ("SENTON 29-Feb-2020", K::SentOn(day)),
        ("SENTSINCE 29-Feb-2020", K::SentSince(day)),
        ("SAVEDBEFORE 29-Feb-2020", K::SavedBefore(day)), // RFC 8514 §4.3
        ("SAVEDON 29-Feb-2020", K::SavedOn(day)),
        ("SAVEDSINCE 29-Feb-2020", K::SavedSince(day)),
        ("SAVEDATESUPPORTED", K::SaveDateSupported),
        ("OLDER 259200", K::Older(NonZeroU32::new(259_200).unwrap())), // RFC 5032 §5
        ("YOUNGER 60", K::Younger(NonZeroU32::new(60).unwrap())),
        ("LARGER 4294967296", K::Larger(1 << 32)),
        ("MODSEQ \"/flags/\\\\draft\" all 620162338", K::ModSeq(620_162_338)), // RFC 7162 §3.1.5
        ("MODSEQ 0", K::ModSeq(0)),
        ("EMAILID M6d99ac3275bb4e", K::EmailId("M6d99ac3275bb4e".into())), // RFC 8474 §6
        ("THREADID T64b478a75b7ea9", K::ThreadId("T64b478a75b7ea9".into())),
        ("2,4:7", K::Sequence(SequenceSet::from_text("2,4:7").unwrap())),
        ("*", K::Sequence(SequenceSet::from_text("*").unwrap())),
    ] {
        assert_eq!(key_of(text), expected, "{text}");
    }
}

#[test]
fn charsets() {
    assert_eq!(search("SEARCH CHARSET us-ascii ALL").charset, Charset::Utf8);
    assert_eq!(search("SEARCH CHARSET KOI8-R ALL").charset, Charset::Unsupported("KOI8-R".into()));
    assert!(search("UID SEARCH ALL").uid);
}

#[test]
fn grouping() {
    assert_eq!(key_of("(SEEN)"), K::Flag(Flag::Seen));
    assert_eq!(key_of("(SEEN (DRAFT ALL))"), {
        let inner = K::And(vec![K::Flag(Flag::Draft), K::All]);
        K::And(vec![K::Flag(Flag::Seen), inner])
    });
}

#[test]
fn nesting_is_bounded() {
    let parens = |n: usize| format!("SEARCH {}ALL{}", "(".repeat(n), ")".repeat(n));
    assert!(body(&parens(limits::DEPTH)).is_ok());
    for text in [
        parens(limits::DEPTH + 1),
        parens(30_000),
        format!("SEARCH {}ALL", "NOT ".repeat(10_000)),
        format!("SEARCH {}ALL ALL", "OR ALL ".repeat(10_000)),
        format!("SEARCH {}", "OR ".repeat(10_000)),
    ] {
        assert!(matches!(body(&text), Err(Problem::Limit(_))));
    }
}

#[test]
fn refused() {
    for bad in [
        "SEARCH",
        "SEARCH ",
        "SEARCH ()",
        "SEARCH NOT",
        "SEARCH OR ALL",
        "SEARCH FROM",
        "SEARCH (ALL",
        "SEARCH ALL)",
        "SEARCH UNRECENT",
        "SEARCH UNALL",
        "SEARCH FOO",
        "SEARCH FOO bar",
        "SEARCH BEFORE yesterday",
        "SEARCH RETURN (FOO) ALL",
        "SEARCH RETURN (MIN)",
        "SEARCH CHARSET UTF-8",
        "SEARCH OLDER 0",
        "SEARCH KEYWORD \\Seen",
        "SEARCH EMAILID \"a b\"",
        "SEARCH MODSEQ \"/flags/a\" 5",
        "SEARCH ALL  SEEN",
    ] {
        assert!(body(bad).is_err(), "{bad}");
    }
}

/// Each key may cost a look at every message: at any depth they count.
#[test]
fn the_number_of_keys_is_bounded() {
    let most = limits::SEARCH_KEYS;
    assert!(body(&format!("SEARCH{}", " SEEN".repeat(most))).is_ok());
    for (word, count) in
        [(" SEEN", most + 1), (" 1:*", most + 1), (" NOT SEEN", most / 2 + 1), (" (SEEN)", most)]
    {
        let many = body(&format!("SEARCH{}", word.repeat(count)));
        assert!(matches!(many, Err(Problem::Limit(_))), "{word}");
    }
    let sorted = body(&format!("SORT (DATE) UTF-8{}", " SEEN".repeat(most + 1)));
    assert!(matches!(sorted, Err(Problem::Limit(_))));
}
