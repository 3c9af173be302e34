//! What people look for: words in any form, of many languages and scripts, in every field.

#![allow(clippy::unwrap_used)] // a test that can not go on says so

use std::sync::Arc;

use content_mail::{Limits, summarize};
use godwit_index::{Builder, Document, FileCache, Manifest, Memory, Ranked, Reader, marked};
use query::{Field, Filter, Needle};
use schema::{AccountId, EmailId};

const ACCOUNT: AccountId = AccountId(1);

fn document(id: u64, message: &str) -> Document {
    let summary = summarize(message.as_bytes(), &Limits::default());
    Document::of_message(ACCOUNT, EmailId(id), &summary, message.as_bytes())
}

fn open(documents: Vec<Document>) -> Reader {
    let mut builder = Builder::new().unwrap();
    documents.into_iter().for_each(|document| builder.add(document).unwrap());
    let built = builder.finish().unwrap().unwrap();
    let mut memory = Memory::default();
    memory.add(built.files);
    let manifest = Manifest { segments: vec![built.entry] };
    Reader::open(manifest, Arc::new(memory), &FileCache::new(1 << 20)).unwrap()
}

/// A message for each text, numbered from 0.
fn bodies<'a>(texts: impl IntoIterator<Item = &'a str>) -> Reader {
    let message = |text| format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n");
    open(texts.into_iter().zip(0..).map(|(text, id)| document(id, &message(text))).collect())
}

fn rank(reader: &Reader, asked: &Ranked) -> Vec<u64> {
    reader.rank(ACCOUNT, asked, 100).unwrap().iter().map(|hit| hit.email.0).collect()
}

fn found(reader: &Reader, words: &str) -> Vec<u64> {
    rank(reader, &Ranked::Words(words.to_owned()))
}

#[test]
fn parts_of_runs_in_scripts_without_blanks() {
    let reader = bodies([
        "我们明天在北京大学开会。",
        "東京都に行きます。ｶﾀｶﾅもあります。",
        "서울에서 회의를 합니다. 2024년",
        "ขอเชิญประชุมที่กรุงเทพมหานคร",
    ]);
    let needles = [
        ("北京", 0),
        ("京大学", 0),
        ("学", 0),
        ("京都", 1),
        ("カタカナ", 1),
        ("서울", 2),
        ("회의", 2),
        ("2024", 2),
        ("กรุงเทพ", 3),
    ];
    for (needle, message) in needles {
        assert_eq!(found(&reader, needle), [message], "{needle}");
    }
    for needle in ["京北", "울서", "大京"] {
        assert!(found(&reader, needle).is_empty(), "{needle}");
    }
    for (needle, message) in [("울에서 회", 2), ("大学开", 0), ("ｶﾀｶ", 1), ("เทพมหา", 3)]
    {
        let answer = reader.find(ACCOUNT, &Filter::Body(Needle::new(needle))).unwrap().unwrap();
        assert_eq!(answer.sure, [EmailId(message)], "{needle}");
    }
}

#[test]
fn width_and_diacritics_do_not_matter() {
    let texts = [
        ("Ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("a naïve Ångström", "naive angstrom"),
        ("zażółć gęślą jaźń", "zazolc gesla jazn"),
        ("Straße und Œuvre", "strasse oeuvre"),
        ("Việt Nam, Đà Nẵng", "viet da nang"),
        ("ёлка", "елка"),
    ];
    let reader = bodies(texts.map(|(text, _)| text));
    for ((text, bare), message) in texts.into_iter().zip(0..) {
        assert_eq!(found(&reader, bare), [message], "{bare}");
        assert_eq!(found(&reader, text), [message], "{text}");
    }
}

#[test]
fn addresses_and_hosts_whole_and_in_parts() {
    let reader = bodies([
        "Write to <Jane.Doe+news@mail.example.co.uk>, or look at https://www.example.org/path/page.html",
        "Jane was at the mail office.",
    ]);
    let whole = [
        "jane.doe+news@mail.example.co.uk",
        "mail.example.co.uk",
        "www.example.org",
        "example",
        "doe",
        "news",
    ];
    for needle in whole {
        assert_eq!(found(&reader, needle), [0], "{needle}");
    }
    assert_eq!(found(&reader, "jane").len(), 2);
    assert!(found(&reader, "john.doe@mail.example.co.uk").is_empty());
}

#[test]
fn every_field_is_searched() {
    let message = "From: Fromword <f@from.example>\r\nTo: Toword <t@to.example>\r\nCc: Ccword <c@cc.example>\r\n\
        Bcc: Bccword <b@bcc.example>\r\nSubject: =?utf-8?q?Subjectw=C3=B6rd?=\r\nList-Id: <listword.lists.example>\r\n\
        X-Ticket: 4711-headerword\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/html\r\n\r\n<p>Body<b>word</b>\r\n\
        --b\r\nContent-Type: application/pdf; name=\"Nameword.pdf\"\r\n\r\n%PDF\r\n--b--\r\n";
    let mut with_file = document(7, message);
    with_file.add_file("", "The text of it: Fileword.");
    let reader = open(vec![with_file, document(8, "Subject: other\r\n\r\nother\r\n")]);
    let words = [
        "fromword",
        "toword",
        "ccword",
        "bccword",
        "subjectword",
        "listword",
        "bodyword",
        "nameword",
        "fileword",
    ];
    for word in words {
        assert_eq!(found(&reader, word), [7], "{word}");
    }
    let fields = [
        (Field::From, "romwor"),
        (Field::To, "owor"),
        (Field::Cc, "cc.exam"),
        (Field::Bcc, "bccw"),
        (Field::Subject, "ctwör"),
        (Field::Named("list-id".into()), "listword.l"),
        (Field::Named("X-Ticket".into()), "711-head"),
    ];
    for (field, needle) in fields {
        let answer = reader.find(ACCOUNT, &Filter::Header(field, Needle::new(needle))).unwrap().unwrap();
        assert_eq!(answer.sure, [EmailId(7)], "{needle}");
    }
}

#[test]
fn what_says_more_comes_first() {
    let filler = "and much else that this message has to say of other things ".repeat(20);
    let once = format!("{filler} budget");
    let reader = bodies([once.as_str(), "budget budget budget", "weather", "weather", "weather"]);
    assert_eq!(found(&reader, "budget"), [1, 0], "more of it, and less of other things");
    let either = ["budget", "weather"].map(|word| Ranked::Words(word.to_owned())).to_vec();
    assert_eq!(rank(&reader, &Ranked::Any(either))[0], 1, "a rare word says more than a frequent one");
    let without = Ranked::Not(Box::new(Ranked::Words("weather".into())));
    assert_eq!(rank(&reader, &Ranked::All(vec![Ranked::Words("budget".into()), without])).len(), 2);
}

#[test]
fn snippets_in_scripts_without_blanks() {
    assert_eq!(marked("서울에서 만나요", "서울").as_deref(), Some("<mark>서울</mark>에서 만나요"));
    assert_eq!(marked("在北京大学", "北京").as_deref(), Some("在<mark>北京</mark>大学"));
}
