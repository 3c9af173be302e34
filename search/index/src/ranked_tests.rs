//! What relevance finds is what looking at every word of every message finds.

use std::collections::BTreeSet;
use std::sync::Arc;

use content_mail::{Limits, summarize};
use schema::{AccountId, EmailId};

use crate::analysis::{Language, bare, plain, words};
use crate::{Builder, Document, FileCache, Manifest, Memory, Ranked, Reader};

const ACCOUNT: AccountId = AccountId(1);

const TEXTS: [&str; 14] = [
    "The reports that you have asked for were written by the whole team and are attached here.",
    "We are reporting naïve results of running cafés; the runner ran, and runs on happily with happiness.",
    "Die Berichte, um die Sie gebeten haben, wurden von der Abteilung geschrieben und liegen bei.",
    "Das Büro berichtet über die Häuser und Straßen; ein Haus, eine Straße, große Bücher im Buch.",
    "Le rapport que vous avez demandé est joint à ce message, merci de le lire avant la réunion.",
    "Les cafés et les châteaux sont joints aux rapports, nous lisons des messages naïfs.",
    "Отчёт, который вы просили, приложен к этому письму, пожалуйста прочитайте его и отчёты.",
    "Los informes que usted pidió están adjuntos al mensaje, por favor léalos antes de la reunión.",
    "report café Haus",
    "die reports ran",
    "日本語のレポートを京都で読みます。ｶﾀｶﾅもｶﾞｷも",
    "서울에서 보고서를 읽습니다. 2024년 회의",
    "Ｆｕｌｌ ｗｉｄｔｈ １２３ ﬁles",
    "1a2b3c4d5e 20260101 mp3",
];

/// A message for each pair of texts, in three segments, two of which were merged.
fn open(bodies: &[String]) -> Reader {
    let (mut memory, mut manifest) = (Memory::default(), Manifest::default());
    for (part, chunk) in bodies.chunks(bodies.len().div_ceil(3)).enumerate() {
        let mut builder = Builder::new().unwrap();
        for (at, body) in chunk.iter().enumerate() {
            let message = format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{body}");
            let summary = summarize(message.as_bytes(), &Limits::default());
            let id = EmailId((part * bodies.len().div_ceil(3) + at) as u64);
            builder.add(Document::of_message(ACCOUNT, id, &summary, message.as_bytes())).unwrap();
        }
        let built = builder.finish().unwrap().unwrap();
        memory.add(built.files);
        manifest.segments.push(built.entry);
    }
    let ids: Vec<String> = manifest.segments.iter().take(2).map(|segment| segment.id.clone()).collect();
    let memory = Arc::new(memory);
    let all =
        Reader::open(manifest.clone(), Arc::<Memory>::clone(&memory), &FileCache::new(1 << 20)).unwrap();
    let merged = all.merge(&ids).unwrap().unwrap();
    let (entry, mut files) = (merged.entry, merged.files);
    for (name, length) in manifest.segments.iter().skip(2).flat_map(|segment| &segment.files) {
        let range = 0..usize::try_from(*length).unwrap();
        files.push((name.clone(), crate::Source::read(&*memory, name, range).unwrap().to_vec()));
    }
    let mut memory = Memory::default();
    memory.add(files);
    Reader::open(manifest.replaced(&ids, Some(entry)), Arc::new(memory), &FileCache::new(1 << 20)).unwrap()
}

fn stem(language: Language, word: &str) -> String {
    bare(&language.stemmer().stem(word)).into_owned()
}

/// Whether a text has a word in one of its forms.
fn has((text, language): &(String, Option<Language>), asked: &str, languages: &[Language]) -> bool {
    let forms: BTreeSet<String> =
        languages.iter().map(|l| stem(*l, asked)).chain([bare(asked).into_owned()]).collect();
    let mut found = false;
    words(&plain(text), &mut |word, stems| {
        found |= stems
            && match language {
                None => forms.contains(bare(word).as_ref()),
                Some(language) if language.is_stop_word(word) => false,
                Some(language) => bare(word) == bare(asked) || forms.contains(&stem(*language, word)),
            };
    });
    found
}

#[test]
fn what_is_found_is_what_every_word_says() {
    let bodies: Vec<String> = TEXTS
        .iter()
        .enumerate()
        .flat_map(|(at, text)| [(*text).to_owned(), format!("{text} {}", TEXTS[(at * 5 + 3) % TEXTS.len()])])
        .collect();
    let reader = open(&bodies);
    let languages: BTreeSet<Language> = bodies.iter().filter_map(|body| Language::of(body)).collect();
    let languages: Vec<Language> = languages.into_iter().collect();
    assert_eq!(reader.languages(), languages);
    assert!(languages.len() >= 4, "{languages:?}");
    let mut asked: BTreeSet<String> =
        ["report", "reporting", "run", "running", "hause", "cafe", "otchet", "fulls", "file", "none"]
            .map(str::to_owned)
            .into();
    for text in TEXTS {
        words(&plain(text), &mut |word, stems| asked.extend(stems.then(|| word.to_owned())));
    }
    let bodies: Vec<_> =
        bodies.into_iter().map(|body| (Language::of(&body), body)).map(|(l, b)| (b, l)).collect();
    let mut hits = 0;
    for asked in asked {
        let found = reader.rank(ACCOUNT, &Ranked::Words(asked.clone()), 1000).unwrap();
        let found: BTreeSet<u64> = found.iter().map(|hit| hit.email.0).collect();
        let expected = bodies.iter().enumerate().filter(|(_, body)| has(body, &asked, &languages));
        let expected: BTreeSet<u64> = expected.map(|(at, _)| at as u64).collect();
        assert_eq!(found, expected, "{asked}");
        hits += found.len();
    }
    assert!(hits > 200, "{hits}");
}

#[test]
fn parts_of_runs_are_found() {
    let bodies = TEXTS.map(str::to_owned);
    let reader = open(&bodies);
    for (asked, message) in
        [("カタカナ", 10), ("ガキ", 10), ("京都", 10), ("서울", 11), ("고서", 11), ("회", 11), ("1", 99)]
    {
        let found = reader.rank(ACCOUNT, &Ranked::Words(asked.to_owned()), 1000).unwrap();
        let expected: &[u64] = if message == 99 { &[] } else { &[message] };
        assert_eq!(found.iter().map(|hit| hit.email.0).collect::<Vec<_>>(), expected, "{asked}");
    }
}
