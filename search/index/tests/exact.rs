//! What the index finds is what a scan finds: random texts in many scripts, random needles.

#![allow(clippy::unwrap_used)] // a test that can not go on says so

use std::sync::Arc;

use content_mail::decode::Shown;
use content_mail::{Limits, Summary, decode, headers, summarize};
use godwit_index::{Answer, Builder, Document, FileCache, Manifest, Memory, Reader};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use query::{Field, Filter, Needle, decoded, haystack};
use schema::{AccountId, EmailId};

const ACCOUNT: AccountId = AccountId(7);
const OTHER: AccountId = AccountId(8);

/// A message and what is known of it.
struct Mail {
    bytes: Vec<u8>,
    summary: Summary,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.bytes))
    }
}

impl Mail {
    fn new(bytes: Vec<u8>) -> Mail {
        let summary = summarize(&bytes, &Limits::default());
        Mail { bytes, summary }
    }
}

/// Two segments, so that answers are put together.
fn index(mails: &[Mail]) -> (Manifest, Arc<Memory>) {
    let (mut manifest, mut memory) = (Manifest::default(), Memory::default());
    for (part, half) in mails.chunks(mails.len().div_ceil(2).max(1)).enumerate() {
        let mut builder = Builder::new().unwrap();
        for (at, mail) in half.iter().enumerate() {
            let id = EmailId((part * mails.len().div_ceil(2) + at) as u64);
            builder.add(Document::of_message(ACCOUNT, id, &mail.summary, &mail.bytes)).unwrap();
            builder.add(Document::of_message(OTHER, id, &mail.summary, &mail.bytes)).unwrap();
        }
        let built = builder.finish().unwrap().unwrap();
        memory.add(built.files);
        manifest.segments.push(built.entry);
    }
    (manifest, Arc::new(memory))
}

fn open(mails: &[Mail]) -> Reader {
    let (manifest, memory) = index(mails);
    Reader::open(manifest, memory, &FileCache::new(1 << 20)).unwrap()
}

fn has(text: &str, needle: &Needle) -> bool {
    needle.is_in_text(&decoded(text)) || needle.is_in_text(text)
}

/// By brute force.
fn scan(mail: &Mail, filter: &Filter) -> bool {
    let header = &mail.bytes[..mail.summary.header_size as usize];
    let anywhere = |needle: &Needle, hints: bool| {
        let mut found = false;
        decode::each_shown(&mail.bytes, &mail.summary.structure, &mut |shown| {
            found |= match shown {
                Shown::Text(text) => needle.is_in_text(text),
                Shown::Hint(hint) => hints && needle.is_in_text(hint),
            };
            true
        });
        found
    };
    let in_header = |needle: &Needle| headers::fields(header).any(|f| has(&haystack::line(&f), needle));
    match filter {
        Filter::Header(Field::Named(name), needle) => {
            headers::fields(header).filter(|f| f.is(name)).any(|f| has(&f.text(), needle))
        }
        Filter::Header(field, needle) => {
            !haystack::of_envelope(&mail.summary.envelope, field, &mut |text| !has(text, needle))
        }
        Filter::Body(needle) => anywhere(needle, false),
        Filter::Text(needle) => in_header(needle) || anywhere(needle, false),
        Filter::BodyOrHint(needle) => anywhere(needle, true),
        Filter::TextOrHint(needle) => in_header(needle) || anywhere(needle, true),
        _ => unreachable!(),
    }
}

fn filters(needle: &str) -> Vec<Filter> {
    let needle = Needle::new(needle);
    let named = |name: &str| Field::Named(name.to_owned());
    let fields = [
        Field::From,
        Field::To,
        Field::Subject,
        named("X-Note"),
        named("received"),
        named("SUBJECT"),
        named("x-none"),
    ];
    let headers = fields.map(|field| Filter::Header(field, needle.clone()));
    let texts = [Filter::Body, Filter::Text, Filter::BodyOrHint, Filter::TextOrHint];
    headers.into_iter().chain(texts.map(|make| make(needle.clone()))).collect()
}

/// Checks every filter for a needle; how many messages had to be looked at.
fn check(reader: &Reader, mails: &[Mail], needle: &str) -> Result<(usize, usize), TestCaseError> {
    let (mut sure, mut looked_at) = (0, 0);
    for filter in filters(needle) {
        let answer = reader.find(ACCOUNT, &filter).unwrap().unwrap();
        let again = reader.find(ACCOUNT, &filter).unwrap().unwrap();
        prop_assert_eq!(&again, &answer, "asked again");
        for (at, mail) in mails.iter().enumerate() {
            let id = EmailId(at as u64);
            let expected = scan(mail, &filter);
            let (said, maybe) = (answer.sure.contains(&id), answer.maybe.contains(&id));
            prop_assert!(!(said && maybe), "in both lists");
            prop_assert!(!said || expected, "{filter:?} does not match {at}");
            prop_assert!(!expected || said || maybe, "{filter:?} matches {at}");
        }
        sure += answer.sure.len();
        looked_at += answer.maybe.len();
    }
    Ok((sure, looked_at))
}

/// Words and separators of many kinds, made so that they meet.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-cA-C]{1,5}",
        2 => "[a-z]{1,12}",
        1 => "[a-c0-2]{6,14}",
        1 => "[a-f0-9]{30,90}",
        1 => "[а-вА-Вё]{1,6}",
        1 => "[α-γΣςσ]{1,4}",
        2 => "[日本語中文]{1,5}",
        1 => "[ぁ-うア-ウ]{1,4}",
        1 => "[กขคา]{1,5}",
        1 => "[אבג]{1,4}",
        1 => "[كتب\u{64b}]{1,4}",
        1 => "[한국어]{1,3}",
        1 => "[éöüßÉÖÜİıe\u{301}]{1,4}",
        1 => "[０-２Ａ-Ｃ]{1,3}",
        1 => "[😀👍]{1,2}",
        3 => "[-.,:@<>=_/]{1,3}",
        1 => "-{1,80}",
        6 => " {1,2}",
        1 => "\r\n",
        1 => "\t",
        1 => "\u{a0}",
    ]
}

fn text(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..most).prop_map(|pieces| pieces.concat())
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

fn mail() -> impl Strategy<Value = Mail> {
    let kinds = (any::<bool>(), any::<bool>());
    (text(6), text(8), text(40), text(5), kinds).prop_map(|(from, subject, body, note, (encoded, html))| {
        let (subject, note) = (one_line(&subject), one_line(&note));
        let (kind, body) = match html {
            true => ("html", format!("<p title='{note}' alt={subject}>{body}<img alt=\"{from}\">")),
            false => ("plain", body),
        };
        let subject = if encoded { q_encoded(&subject) } else { subject };
        let message = format!(
            "Received: from {note} by b.example\r\nFrom: \"{}\" <a.b@mail.example.org>\r\n\
             To: x@y.example, team: c@d.example;\r\nX-Note: {note}\r\nSubject: {subject}\r\nX-note:{subject}\r\n\
             Content-Type: text/{kind}; charset=utf-8\r\n\r\n{body}",
            one_line(&from).replace(['"', '\\'], "'"),
        );
        Mail::new(message.into_bytes())
    })
}

/// As an encoded word (RFC 2047 §4.2).
fn q_encoded(text: &str) -> String {
    let bytes: String = text.bytes().map(|b| format!("={b:02X}")).collect();
    format!("=?utf-8?q?{bytes}?=")
}

/// Parts of the texts, and texts that may be in none.
fn needles(mails: &[Mail], picks: &[(usize, usize, usize)], others: &[String]) -> Vec<String> {
    let mut out: Vec<String> = others.to_vec();
    for (which, from, length) in picks {
        let mail = &mails[which % mails.len()];
        let folded: Vec<char> = content_mail::fold(&String::from_utf8_lossy(&mail.bytes)).chars().collect();
        let from = from % folded.len();
        out.push(folded[from..folded.len().min(from + length)].iter().collect());
    }
    out
}

/// Seeds that are tried; more where `GODWIT_SEEDS` says so.
fn seeds() -> u64 {
    std::env::var("GODWIT_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(12)
}

#[test]
fn what_is_found_is_what_a_scan_finds() {
    let (mut sure, mut looked_at) = (0, 0);
    for seed in 0..seeds() {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config { cases: 1, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, rng);
        let strategy = (
            prop::collection::vec(mail(), 2..8),
            prop::collection::vec((0usize..100, 0usize..10_000, 0usize..24), 40),
            prop::collection::vec(text(3), 12),
        );
        let (a, b) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let result = runner.run(&strategy, |(mails, picks, others)| {
            let reader = open(&mails);
            for needle in needles(&mails, &picks, &others) {
                let (sure, looked_at) = check(&reader, &mails, &needle)?;
                a.set(a.get() + sure);
                b.set(b.get() + looked_at);
            }
            Ok(())
        });
        assert!(result.is_ok(), "seed {seed}: {}", result.unwrap_err());
        (sure, looked_at) = (sure + a.get(), looked_at + b.get());
    }
    assert!(sure > looked_at, "{sure} found, {looked_at} to be looked at");
}

#[test]
fn the_corpus_is_found_as_a_scan_finds_it() {
    let mails: Vec<Mail> = corpus::messages().take(240).map(|(_, bytes)| Mail::new(bytes)).collect();
    let reader = open(&mails);
    let picks: Vec<_> = (0..30).map(|n| (n * 37, n * n * 131 + 7, n % 19 + 1)).collect();
    for needle in needles(&mails, &picks, &["the".into(), "e".into(), "@".into(), "example.com".into()]) {
        check(&reader, &mails, &needle).unwrap();
    }
}

/// What stands behind three characters proves a needle, rules it out, or leaves it open.
#[test]
fn in_runs_that_are_no_words() {
    let runs = [
        "x1list2a3b",
        "lis1x2abc y2istz3w4",
        "lis1x2abc9lista",
        "9q8list",
        "a1b2lists c3d4list",
        "a1b2lisß c3d4list",
        "a1b2listes3",
    ];
    let mails: Vec<Mail> = runs.iter().map(|run| Mail::new(format!("\r\n{run}").into_bytes())).collect();
    let reader = open(&mails);
    let body = |needle: &str| {
        check(&reader, &mails, needle).unwrap();
        let answer = reader.find(ACCOUNT, &Filter::Body(Needle::new(needle))).unwrap().unwrap();
        let ids = |ids: &[EmailId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
        (ids(&answer.sure), ids(&answer.maybe))
    };
    assert_eq!(body("lis"), (vec![0, 1, 2, 3, 4, 5, 6], vec![]));
    assert_eq!(body("list"), (vec![0, 3, 4, 6], vec![2, 5]), "not where all that is behind is another");
    assert_eq!(body("lists"), (vec![], vec![4]), "an end is behind it, too");
    assert_eq!(body("liste"), (vec![6], vec![]));
    assert_eq!(body("1x2abc"), (vec![1, 2], vec![]));
    assert_eq!(
        body("bc9lis"),
        (vec![2], vec![]),
        "where the last three do not have to have one thing behind"
    );
}

/// Words that have all threes of a needle, of which those behind one another stand apart.
#[test]
fn in_words_in_which_letters_come_again() {
    let words = |make: &dyn Fn(char) -> String| ('e'..='v').map(make).collect::<Vec<_>>().join(" ");
    let mails = [
        words(&|c| format!("abc{c}bcd")),
        words(&|c| format!("{c}abcd")),
        words(&|c| format!("xyz{c}yz end")),
        words(&|c| format!("yz{c}xyz end")),
    ];
    let mails: Vec<Mail> = mails.iter().map(|body| Mail::new(format!("\r\n{body}").into_bytes())).collect();
    let reader = open(&mails);
    for (needle, found) in [("abcd", 1), ("xyz end", 3)] {
        check(&reader, &mails, needle).unwrap();
        let answer = reader.find(ACCOUNT, &Filter::Body(Needle::new(needle))).unwrap().unwrap();
        assert_eq!(answer, Answer { sure: vec![EmailId(found)], maybe: vec![] }, "{needle}");
    }
}

#[test]
fn what_a_needle_means() {
    let mail = |body: &str| Mail::new(format!("Subject: Über uns\r\n\r\n{body}").into_bytes());
    let mails = [mail("Hello, World! foo-bar"), mail("hello world foobar"), mail("東京都 key1a2b3c4d5e6f")];
    let reader = open(&mails);
    let body = |needle: &str| {
        let answer = reader.find(ACCOUNT, &Filter::Body(Needle::new(needle))).unwrap().unwrap();
        let ids = |ids: &[EmailId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
        (ids(&answer.sure), ids(&answer.maybe))
    };
    assert_eq!(body("lo wor"), (vec![1], vec![]));
    assert_eq!(body("lo, WOR"), (vec![0], vec![]));
    assert_eq!(body("oo-b"), (vec![0], vec![]));
    assert_eq!(body("oob"), (vec![1], vec![]));
    assert_eq!(body("京"), (vec![2], vec![]));
    assert_eq!(body("京都"), (vec![2], vec![]));
    assert_eq!(body("東都"), (vec![], vec![]));
    assert_eq!(body("1a2b3c"), (vec![2], vec![]));
    assert_eq!(body(" world"), (vec![], vec![0, 1]));
    let subject = Filter::Header(Field::Subject, Needle::new("BER U"));
    let all = Answer { sure: (0..3).map(EmailId).collect(), maybe: vec![] };
    assert_eq!(reader.find(ACCOUNT, &subject).unwrap(), Some(all));
    assert_eq!(reader.find(AccountId(1), &subject).unwrap(), Some(Answer::default()));
    assert_eq!(reader.find(ACCOUNT, &Filter::All).unwrap(), None);
}
