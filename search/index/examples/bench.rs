//! What the index costs on real mail: rate, size and latency, beside Tantivy without what is ours.
//!
//! `GODWIT_CORPUS=… cargo run --release -p godwit-index --example bench`; times are CPU time of one thread.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program that prints and stops

use std::sync::Arc;
use std::time::{Duration, Instant};

use content_mail::{Limits, Summary, decode, summarize};
use godwit_index::{Builder, Document, FileCache, Manifest, Memory, Ranked, Reader};
use query::{Field, Filter, Needle};
use schema::{AccountId, EmailId};
use tantivy::collector::Count;
use tantivy::query::{PhraseQuery, Query, TermQuery};
use tantivy::schema::{INDEXED, IndexRecordOption, Schema, TEXT};
use tantivy::{Index, TantivyDocument, Term};

const ACCOUNT: AccountId = AccountId(1);
/// Times each query is asked.
const ROUNDS: usize = 40;

struct Mail {
    bytes: Vec<u8>,
    summary: Summary,
    /// Header and texts, decoded.
    text: String,
}

fn read() -> Vec<Mail> {
    let of = |(_, bytes): corpus::Named| {
        let summary = summarize(&bytes, &Limits::default());
        let header = usize::try_from(summary.header_size).unwrap();
        let mut text = String::from_utf8_lossy(&bytes[..header]).into_owned();
        decode::each_text(&bytes, &summary.structure, &mut |part| {
            text.push_str(part);
            text.push('\n');
            true
        });
        Mail { bytes, summary, text }
    };
    let mails: Vec<Mail> = corpus::public_domain().map(of).collect();
    if mails.is_empty() { corpus::messages().map(of).collect() } else { mails }
}

fn main() {
    let mails = read();
    let copies: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    let raw: usize = mails.iter().map(|mail| mail.bytes.len()).sum::<usize>() * copies;
    let text: usize = mails.iter().map(|mail| mail.text.len()).sum::<usize>() * copies;
    let count = mails.len() * copies;
    println!("{count} messages, {:.1} MB, text {:.1} MB", mb(raw), mb(text));
    let reader = ours(&mails, copies, text);
    let bare = bare(&mails, copies, text);
    for needle in
        ["report", "the", "linux", "spamassassin", "ssassi", "mailing list", "in the", "zzzzqqq", "e-mail"]
    {
        exact(&reader, &bare, needle);
    }
    let from = Filter::Header(Field::From, Needle::new("@yahoo"));
    println!("FROM @yahoo: {}", timed(|| reader.find(ACCOUNT, &from).unwrap().unwrap().sure.len()));
    let named = Filter::Header(Field::Named("List-Id".into()), Needle::new("razor"));
    println!("HEADER List-Id razor: {}", timed(|| reader.find(ACCOUNT, &named).unwrap().unwrap().sure.len()));
    for asked in [Ranked::Words("linux kernels".into()), Ranked::Fuzzy("recieve".into(), 1)] {
        println!("{asked:?}: {}", timed(|| reader.rank(ACCOUNT, &asked, 50).unwrap().len()));
    }
}

fn ours(mails: &[Mail], copies: usize, text: usize) -> Reader {
    let begin = Instant::now();
    let (mut manifest, mut memory) = (Manifest::default(), Memory::default());
    let mut id = 0;
    for _ in 0..copies {
        let mut builder = Builder::new().unwrap();
        for mail in mails {
            builder.add(Document::of_message(ACCOUNT, EmailId(id), &mail.summary, &mail.bytes)).unwrap();
            id += 1;
        }
        let built = builder.finish().unwrap().unwrap();
        memory.add(built.files);
        manifest.segments.push(built.entry);
    }
    let took = begin.elapsed();
    report("godwit", id, text, took, manifest.segments.iter().map(|s| s.bytes()).sum());
    let mut parts = std::collections::BTreeMap::new();
    for (name, length) in manifest.segments.iter().flat_map(|segment| &segment.files) {
        *parts.entry(name.rsplit('.').next().unwrap_or_default().to_owned()).or_insert(0) += length;
    }
    println!("  files: {parts:?}");
    let ids: Vec<String> = manifest.segments.iter().map(|segment| segment.id.clone()).collect();
    let reader = Reader::open(manifest, Arc::new(memory), &FileCache::new(1 << 20)).unwrap();
    if copies == 1 {
        return reader;
    }
    let begin = Instant::now();
    let built = reader.merge(&ids).unwrap().unwrap();
    println!(
        "  merged in {:.1} s to {:.3} of the text",
        begin.elapsed().as_secs_f64(),
        built.entry.bytes() as f64 / text as f64
    );
    let mut memory = Memory::default();
    memory.add(built.files);
    let manifest = Manifest { segments: vec![built.entry] };
    Reader::open(manifest, Arc::new(memory), &FileCache::new(1 << 20)).unwrap()
}

/// One field of words with positions, Tantivy's own tokenizer, the same thread.
fn bare(mails: &[Mail], copies: usize, text: usize) -> Index {
    let mut schema = Schema::builder();
    let field = schema.add_text_field("text", TEXT);
    let key = schema.add_u64_field("key", INDEXED);
    let directory = tantivy::directory::RamDirectory::create();
    let builder = Index::builder().schema(schema.build());
    let begin = Instant::now();
    let mut writer =
        builder.single_segment_index_writer::<TantivyDocument>(directory.clone(), 64 << 20).unwrap();
    let mut id = 0;
    for mail in (0..copies).flat_map(|_| mails) {
        let mut document = TantivyDocument::default();
        document.add_text(field, &mail.text);
        document.add_u64(key, id);
        writer.add_document(document).unwrap();
        id += 1;
    }
    let index = writer.finalize().unwrap();
    report("bare Tantivy", id, text, begin.elapsed(), directory.total_mem_usage() as u64);
    index
}

fn report(name: &str, documents: u64, text: usize, took: Duration, bytes: u64) {
    let seconds = took.as_secs_f64();
    println!(
        "{name}: {:.0} messages/s, {:.2} MB of text/s, index {:.1} MB = {:.3} of the text",
        documents as f64 / seconds,
        mb(text) / seconds,
        bytes as f64 / 1e6,
        bytes as f64 / text as f64
    );
}

fn exact(reader: &Reader, bare: &Index, needle: &str) {
    let filter = Filter::Text(Needle::new(needle));
    let answer = reader.find(ACCOUNT, &filter).unwrap().unwrap();
    let ours = timed(|| reader.find(ACCOUNT, &filter).unwrap().unwrap().sure.len());
    let field = bare.schema().get_field("text").unwrap();
    let terms: Vec<Term> = needle.split([' ', '-']).map(|word| Term::from_field_text(field, word)).collect();
    let query: Box<dyn Query> = match terms.as_slice() {
        [term] => Box::new(TermQuery::new(term.clone(), IndexRecordOption::Basic)),
        _ => Box::new(PhraseQuery::new(terms)),
    };
    let searcher = bare.reader().unwrap().searcher();
    let theirs = timed(|| searcher.search(&query, &Count).unwrap());
    println!("TEXT {needle:?}: {ours}, {} to be looked at; Tantivy's words: {theirs}", answer.maybe.len());
}

fn timed(mut run: impl FnMut() -> usize) -> String {
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        found = run();
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    let ms = |at: usize| times[at].as_secs_f64() * 1e3;
    format!("{found} in p50 {:.2} ms, p99 {:.2} ms", ms(ROUNDS / 2), ms(ROUNDS - 1))
}

fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
