//! Segments come and go: deletion, merging, files read by ranges; and what relevance finds.

#![allow(clippy::unwrap_used)] // a test that can not go on says so

use std::io;
use std::ops::Range;
use std::sync::Arc;

use content_mail::{Limits, summarize};
use godwit_index::{
    Builder, Built, Document, Error, FileCache, Manifest, Memory, OwnedBytes, Ranked, Reader, Source,
};
use query::{Filter, Needle};
use schema::{AccountId, EmailId};

const ALICE: AccountId = AccountId(1);
const BOB: AccountId = AccountId(2);

fn document(account: AccountId, id: u64, subject: &str, body: &str) -> Document {
    let message = format!(
        "From: Jürgen Weiß <jurgen@mail.example.org>\r\nSubject: {subject}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{body}"
    );
    let summary = summarize(message.as_bytes(), &Limits::default());
    Document::of_message(account, EmailId(id), &summary, message.as_bytes())
}

fn segment(documents: Vec<Document>) -> Built {
    let mut builder = Builder::new().unwrap();
    for document in documents {
        builder.add(document).unwrap();
    }
    builder.finish().unwrap().unwrap()
}

/// A manifest and its files, as they would be published.
struct Published {
    manifest: Manifest,
    files: Vec<(String, Vec<u8>)>,
    /// All readers have the same: what one was told another may be told.
    cache: FileCache,
}

impl Default for Published {
    fn default() -> Self {
        Published { manifest: Manifest::default(), files: Vec::new(), cache: FileCache::new(1 << 20) }
    }
}

impl Published {
    fn add(&mut self, built: Built) {
        self.files.extend(built.files);
        self.manifest.segments.push(built.entry);
    }

    fn open(&self) -> Reader {
        let mut memory = Memory::default();
        memory.add(self.files.clone());
        Reader::open(self.manifest.clone(), Arc::new(memory), &self.cache).unwrap()
    }
}

fn body(reader: &Reader, account: AccountId, needle: &str) -> Vec<u64> {
    let answer = reader.find(account, &Filter::Body(Needle::new(needle))).unwrap().unwrap();
    assert!(answer.maybe.is_empty());
    answer.sure.iter().map(|id| id.0).collect()
}

fn two_segments() -> Published {
    let mut published = Published::default();
    published.add(segment(vec![
        document(ALICE, 1, "one", "apples and pears"),
        document(ALICE, 2, "two", "apples"),
        document(BOB, 1, "three", "apples of Bob"),
    ]));
    published.add(segment(vec![document(ALICE, 3, "four", "pears"), document(BOB, 5, "five", "apples")]));
    published
}

#[test]
fn accounts_see_their_own_mail() {
    let reader = two_segments().open();
    assert_eq!(body(&reader, ALICE, "pple"), [1, 2]);
    assert_eq!(body(&reader, BOB, "pple"), [1, 5]);
    assert!(reader.has(BOB, EmailId(5)).unwrap() && !reader.has(ALICE, EmailId(5)).unwrap());
}

#[test]
fn what_is_deleted_is_not_found() {
    let mut published = two_segments();
    let before = published.open();
    assert_eq!(body(&before, ALICE, "pears"), [1, 3]);
    let (manifest, files) = before.delete(ALICE, &[EmailId(1), EmailId(3), EmailId(99)]).unwrap();
    assert_eq!(files.len(), 2);
    published.manifest = manifest;
    published.files.extend(files);
    let after = published.open();
    assert_eq!((body(&after, ALICE, "apples"), body(&after, ALICE, "pears")), (vec![2], Vec::<u64>::new()));
    assert_eq!(body(&after, BOB, "apples"), [1, 5]);
    assert_eq!(body(&before, ALICE, "pears"), [1, 3], "files of the old manifest are as they were");
    // A second list takes the place of the first, and what was deleted stays so.
    let (manifest, files) = after.delete(ALICE, &[EmailId(1), EmailId(2)]).unwrap();
    assert_eq!(manifest.segments.iter().map(|s| s.deleted).sum::<u32>(), 3);
    published.manifest = manifest;
    published.files.extend(files);
    assert!(body(&published.open(), ALICE, "apples").is_empty());
    let (manifest, _) = published.open().delete_account(BOB).unwrap();
    assert!(manifest.segments.is_empty(), "segments of which nothing is left");
}

#[test]
fn merging_leaves_out_what_is_deleted() {
    let mut published = two_segments();
    let (manifest, files) = published.open().delete(ALICE, &[EmailId(2)]).unwrap();
    published.manifest = manifest;
    published.files.extend(files);
    let reader = published.open();
    let ids: Vec<String> = published.manifest.segments.iter().map(|s| s.id.clone()).collect();
    let built = reader.merge(&ids).unwrap().unwrap();
    assert_eq!((built.entry.documents, built.entry.deleted), (4, 0));
    let manifest = published.manifest.replaced(&ids, Some(built.entry));
    let merged = Published { manifest, files: built.files, ..published }.open();
    assert_eq!((body(&merged, ALICE, "apples"), body(&merged, ALICE, "ear")), (vec![1], vec![1, 3]));
    assert!(reader.merge(&[]).unwrap().is_none());
}

/// Words that many documents have, beside runs that are none, as they come by a number.
fn text(at: u64) -> String {
    const WORDS: [&str; 10] = ["rhythm", "Ärger", "within", "the", "in", "then", "ID", "x", "日本", "σας"];
    // Runs that are no words, and begin or end as words do.
    const NOISE: [&str; 3] = ["q7e4f2a9c0d1e", "the9a8b7c6d", "x1y2z3w4in"];
    let word = |bit: usize| match at >> bit & 1 {
        1 => WORDS[bit],
        _ if (at + bit as u64).is_multiple_of(13) => NOISE[at as usize % NOISE.len()],
        _ => "-",
    };
    let words: Vec<&str> = (0..WORDS.len()).map(word).collect();
    let noise = if at.is_multiple_of(97) { NOISE[0] } else { "" };
    format!("{} {noise}", words.join(" "))
}

/// Large segments keep sets of documents for what many of them have, small ones do not: what is found is the same.
#[test]
fn letters_and_rows_of_words_are_found_as_a_scan_finds_them() {
    const COUNT: u64 = 1_500;
    let documents = |range: Range<u64>| -> Vec<Document> {
        range.map(|at| document(if at % 5 == 4 { BOB } else { ALICE }, at, "within", &text(at))).collect()
    };
    let keeps = |published: &Published| {
        let files = || published.files.iter().map(|(name, _)| name);
        [".sets", ".neighbours"].map(|end| files().filter(|name| name.ends_with(end)).count())
    };
    let (mut large, mut small) = (Published::default(), Published::default());
    large.add(segment(documents(0..COUNT)));
    (0..COUNT).step_by(300).for_each(|from| small.add(segment(documents(from..from + 300))));
    let ids: Vec<String> = small.manifest.segments.iter().map(|s| s.id.clone()).collect();
    let mut merged = Published::default();
    merged.add(small.open().merge(&ids).unwrap().unwrap());
    assert_eq!((keeps(&large), keeps(&small), keeps(&merged)), ([1, 1], [0, 0], [1, 1]));
    let (manifest, files) = large.open().delete(ALICE, &[EmailId(1), EmailId(1_402)]).unwrap();
    let mut deleted = Published { manifest, files: large.files.clone(), ..Published::default() };
    deleted.files.extend(files);

    let texts: Vec<String> = (0..COUNT).map(|at| text(at).to_lowercase()).collect();
    let mut needles: Vec<String> = Vec::new();
    for text in texts.iter().step_by(37) {
        let chars: Vec<char> = text.chars().collect();
        let letters = (1..=4).flat_map(|length| chars.windows(length));
        let letters = letters.filter(|cut| !cut.contains(&' ') && !cut.contains(&'-'));
        // Words side by side, too: of lists that are so long that they have blocks.
        let rows = [7, 12, 20].into_iter().flat_map(|length| chars.windows(length).step_by(3));
        let rows = rows.filter(|cut| cut.first() != Some(&' ') && cut.last() != Some(&' '));
        needles.extend(letters.chain(rows).map(|cut| cut.iter().collect::<String>()));
    }
    let words = ["rhythm", "ärger", "within", "in", "the", "then", "th", "id", "x"];
    for (first, second) in words.iter().flat_map(|first| words.map(|second| (first, second))) {
        needles.push(format!("{first} {second}"));
        needles.push(format!("{first} {second} then"));
    }
    needles.sort_unstable();
    needles.dedup();
    assert!(needles.len() > 200, "{needles:?}");
    let readers = [large.open(), small.open(), merged.open()];
    for needle in &needles {
        let expected: Vec<u64> =
            (0..COUNT).filter(|at| at % 5 != 4 && texts[*at as usize].contains(needle)).collect();
        let filter = Filter::Body(Needle::new(needle));
        for reader in &readers {
            let answer = reader.find(ALICE, &filter).unwrap().unwrap();
            let sure: Vec<u64> = answer.sure.iter().map(|id| id.0).collect();
            let maybe: Vec<u64> = answer.maybe.iter().map(|id| id.0).collect();
            assert!(sure.iter().all(|id| expected.contains(id)), "{needle} is in others");
            assert!(expected.iter().all(|id| sure.contains(id) || maybe.contains(id)), "{needle} is missed");
            // Also in runs that are no words, none of which has the same three characters twice.
            let is_one = needle.chars().all(char::is_alphanumeric);
            assert!(!is_one || maybe.is_empty(), "{needle} has to be looked at");
        }
        let mut left = body_of(&deleted.open(), needle);
        let mut kept = body_of(&readers[0], needle);
        kept.retain(|id| ![1, 1_402].contains(id));
        left.sort_unstable();
        kept.sort_unstable();
        assert_eq!(left, kept, "{needle}");
    }
}

fn body_of(reader: &Reader, needle: &str) -> Vec<u64> {
    let answer = reader.find(ALICE, &Filter::Body(Needle::new(needle))).unwrap().unwrap();
    answer.sure.iter().chain(&answer.maybe).map(|id| id.0).collect()
}

#[test]
fn an_empty_index_finds_nothing() {
    assert!(Builder::new().unwrap().finish().unwrap().is_none());
    let reader = Published::default().open();
    assert!(body(&reader, ALICE, "x").is_empty());
    assert!(reader.rank(ALICE, &Ranked::Words("x".into()), 10).unwrap().is_empty());
}

/// Files that are far away, and may be gone or cut.
struct Far {
    files: Memory,
    broken: bool,
}

impl Source for Far {
    fn read(&self, name: &str, range: Range<usize>) -> io::Result<OwnedBytes> {
        if self.broken { Err(io::ErrorKind::TimedOut.into()) } else { self.files.read(name, range) }
    }
}

#[test]
fn files_are_read_by_ranges_and_errors_are_told() {
    let published = two_segments();
    let far = |broken| {
        let mut files = Memory::default();
        files.add(published.files.clone());
        Arc::new(Far { files, broken })
    };
    let cache = FileCache::new(1 << 16);
    let reader = Reader::open(published.manifest.clone(), far(false), &cache).unwrap();
    assert_eq!(body(&reader, ALICE, "pple"), [1, 2]);
    let other = FileCache::new(1 << 16);
    assert!(Reader::open(published.manifest.clone(), far(true), &other).is_err());
}

#[test]
fn damaged_files_are_refused_or_found_out() {
    let published = two_segments();
    for (at, (name, bytes)) in published.files.iter().enumerate() {
        let mut files = published.files.clone();
        files[at].1 = vec![0xa5; bytes.len()];
        let mut memory = Memory::default();
        memory.add(files);
        let reader = Reader::open(published.manifest.clone(), Arc::new(memory), &FileCache::new(1 << 20));
        let refused = reader.map(|reader| reader.find(ALICE, &Filter::Text(Needle::new("apples"))).is_err());
        // What is not read by this search is not found out by it.
        let read = !["fieldnorm", "store", "pos"].iter().any(|kind| name.ends_with(kind));
        assert!(refused.unwrap_or(true) || !read, "{name}");
    }
}

/// What is asked of damaged files: an error, or what undamaged ones say.
fn asked(files: Vec<(String, Vec<u8>)>, manifest: &Manifest) -> Result<(Vec<EmailId>, usize), Error> {
    let mut memory = Memory::default();
    memory.add(files);
    let reader = Reader::open(manifest.clone(), Arc::new(memory), &FileCache::new(1 << 20))?;
    let found = reader.find(ALICE, &Filter::Text(Needle::new("pple")))?.unwrap();
    let hits = reader.rank(ALICE, &words("pears"), 10)?.len();
    Ok((found.sure, hits))
}

#[test]
fn files_that_end_too_soon_are_never_a_wrong_answer() {
    let published = two_segments();
    let whole = asked(published.files.clone(), &published.manifest).unwrap();
    assert_eq!(whole, (vec![EmailId(1), EmailId(2)], 2));
    for at in 0..published.files.len() {
        let length = published.files[at].1.len();
        for cut in (0..length).step_by(7) {
            let mut files = published.files.clone();
            files[at].1.truncate(cut);
            let said = asked(files, &published.manifest);
            assert!(said.is_err() || said.is_ok_and(|said| said == whole), "{} {cut}", published.files[at].0);
        }
    }
}

/// Bodies are checked when they are read, so nobody gets to see such files. If somebody did, he would not fall over
/// what is ours in them.
#[test]
fn files_of_ours_can_be_read_whatever_is_in_them() {
    let published = two_segments();
    let (mut seed, mut errors) = (1u64, 0);
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for round in 0..400 {
        let mut files = published.files.clone();
        let ours: Vec<usize> = (0..files.len())
            .filter(|at| files[*at].0.ends_with("pieces") || files[*at].0.ends_with("forms"))
            .collect();
        let bytes = &mut files[ours[round % ours.len()]].1;
        for _ in 0..=next(8) {
            let at = next(bytes.len());
            bytes[at] = next(256) as u8;
        }
        errors += usize::from(asked(files, &published.manifest).is_err());
    }
    assert!(errors > 20, "{errors}");
}

#[test]
fn files_of_another_format_are_not_looked_into() {
    let mut published = two_segments();
    for (name, _) in published.manifest.segments[1].files.iter_mut() {
        *name = name.replace(".threes", ".pieces");
    }
    assert!(!published.manifest.is_current());
    let said = asked(published.files.clone(), &published.manifest);
    assert!(matches!(said, Err(Error::Damaged(_))));
}

fn ranked(reader: &Reader, asked: &Ranked) -> Vec<u64> {
    reader.rank(ALICE, asked, 10).unwrap().iter().map(|hit| hit.email.0).collect()
}

fn words(text: &str) -> Ranked {
    Ranked::Words(text.to_owned())
}

fn library() -> Reader {
    let mut published = Published::default();
    let english = "The reports that you have asked for were written by the whole team and are attached here.";
    let german =
        "Die Berichte, um die Sie gebeten haben, wurden von der Abteilung geschrieben und liegen bei.";
    published.add(segment(vec![
        document(ALICE, 1, "Monthly reports", english),
        document(ALICE, 2, "Nothing", &format!("{english} This one speaks of a café in Łódź.")),
        document(ALICE, 3, "Berichte", german),
        document(BOB, 4, "Monthly reports", english),
    ]));
    let mut attached = document(ALICE, 5, "日本語のメール", "東京都に行きます。ｶﾀｶﾅ");
    attached.add_file("plan.pdf", "The budget of the expedition to Antarctica.");
    published
        .add(segment(vec![attached, document(ALICE, 6, "Nothing", &format!("{english} This one too."))]));
    published.open()
}

#[test]
fn words_in_any_form_best_first() {
    let reader = library();
    assert_eq!(ranked(&reader, &words("reporting"))[0], 1, "a word of the subject counts more");
    assert_eq!(ranked(&reader, &words("report")).len(), 3);
    assert_eq!(ranked(&reader, &words("Bericht")), [3]);
    assert_eq!(ranked(&reader, &words("CAFE lodz")), [2]);
    assert_eq!(ranked(&reader, &words("jurgen@mail.example.org")).len(), 5);
    assert_eq!(ranked(&reader, &words("example")).len(), 5);
    assert_eq!(ranked(&reader, &words("weiss mail.example.org")).len(), 5);
    assert_eq!(ranked(&reader, &words("京都")), [5]);
    assert_eq!(ranked(&reader, &words("京")), [5]);
    assert!(ranked(&reader, &words("都京")).is_empty());
    assert_eq!(ranked(&reader, &words("カタカナ")), [5], "width does not matter");
    assert_eq!(ranked(&reader, &words("antarctica")), [5]);
    assert_eq!(ranked(&reader, &words("the antarctica")), [5], "a stop word may be missing");
}

#[test]
fn equal_ones_are_newest_first() {
    let mut published = Published::default();
    published.add(segment((1..=4).map(|id| document(ALICE, id, "same", "words")).collect()));
    assert_eq!(ranked(&published.open(), &words("same words")), [4, 3, 2, 1]);
}

#[test]
fn phrases_beginnings_misspellings_and_what_is_joined() {
    let reader = library();
    assert_eq!(ranked(&reader, &Ranked::Phrase("expedition to".into())), [5]);
    assert!(ranked(&reader, &Ranked::Phrase("to expedition".into())).is_empty());
    assert_eq!(ranked(&reader, &Ranked::Prefix("antarc".into())), [5]);
    assert!(ranked(&reader, &Ranked::Prefix("ntarc".into())).is_empty());
    assert_eq!(ranked(&reader, &Ranked::Fuzzy("antractica".into(), 1)), [5]);
    assert!(ranked(&reader, &Ranked::Fuzzy("antrcctica".into(), 1)).is_empty());
    let both = Ranked::All(vec![words("report"), Ranked::Not(Box::new(words("cafe")))]);
    assert_eq!(ranked(&reader, &both), [1, 6]);
    assert_eq!(ranked(&reader, &Ranked::Any(vec![words("cafe"), words("bericht")])).len(), 2);
}
