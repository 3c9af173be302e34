//! Workers that read, and workers that die of what they read.

#![allow(clippy::unwrap_used)] // a test that can not go on says so

#[path = "../src/samples.rs"]
mod samples;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use content_mail::{Limits, summarize};
use godwit_extract::{Error, Extractor, Kind, limits};
use samples::{archive, line, pdf, pdf_of};

const WORKER: &str = env!("CARGO_BIN_EXE_godwit-extract");

/// With time for machines that have other things to do.
fn worker() -> Extractor {
    Extractor::new(WORKER.into(), Vec::new(), 2).within(Duration::from_secs(600))
}

/// A worker that does what it likes.
fn wild(script: &str) -> Extractor {
    Extractor::new("/bin/sh".into(), vec!["-c".into(), script.into()], 1)
}

async fn text(kind: Kind, file: &[u8]) -> Option<String> {
    worker().text(kind, file).await.unwrap()
}

/// Files whose text is `Contract`, and what else belongs to them.
fn good() -> Vec<(Kind, Vec<u8>)> {
    let document: &[u8] =
        b"<w:document><w:body><w:p><w:r><w:t>Contract</w:t></w:r></w:p></w:body></w:document>";
    let content: &[u8] = b"<office:text><text:p>Con<text:span>tract</text:span></text:p></office:text>";
    vec![
        (Kind::Plain, b"Contract\r\n".to_vec()),
        (Kind::Html, b"<html><style>no</style><p>Con<b>tract</b></html>".to_vec()),
        (Kind::Pdf, pdf(&[&line("Contract")])),
        (Kind::Office, archive(&[("[Content_Types].xml", b"<x>no</x>"), ("word/document.xml", document)])),
        (Kind::Office, archive(&[("xl/sharedStrings.xml", b"<sst><si><t>Contract</t></si></sst>")])),
        (Kind::Office, archive(&[("ppt/slides/slide1.xml", b"<a:p><a:t>Contract</a:t></a:p>")])),
        (Kind::OpenDocument, archive(&[("mimetype", b"no"), ("content.xml", content)])),
        (Kind::Rtf, b"{\\rtf1{\\fonttbl{\\f0 no;}}\\f0 Con{\\b tract}\\par}".to_vec()),
    ]
}

#[tokio::test]
async fn text_comes_back() {
    for (kind, file) in good() {
        assert_eq!(text(kind, &file).await.unwrap().trim(), "Contract", "{kind:?}");
    }
    let large = vec![b'x'; 3 << 20];
    assert_eq!(text(Kind::Plain, &large).await.unwrap().len(), large.len());
    let more = vec![b'x'; limits::TEXT + 100];
    assert_eq!(text(Kind::Plain, &more).await.unwrap().len(), limits::TEXT);
}

#[tokio::test]
async fn files_that_are_something_else_have_no_text() {
    for kind in [Kind::Pdf, Kind::Office, Kind::OpenDocument, Kind::Rtf] {
        assert_eq!(text(kind, b"something else").await, None, "{kind:?}");
        assert_eq!(text(kind, b"").await, None, "{kind:?}");
    }
    assert_eq!(text(Kind::Plain, &vec![0; limits::INPUT + 1]).await, None);
}

#[tokio::test]
async fn truncated_files_cost_nothing_but_their_text() {
    for (kind, file) in good() {
        for part in 1..8 {
            let _ = text(kind, &file[..file.len() * part / 8]).await;
        }
    }
}

#[tokio::test]
async fn archives_that_unpack_to_too_much() {
    let zeros = vec![b' '; 16 << 20];
    let one = archive(&[("word/document.xml", &zeros)]);
    assert!(one.len() < 1 << 20);
    assert!(text(Kind::Office, &one).await.unwrap().len() <= limits::TEXT);
    let names: Vec<String> = (0..300).map(|n| format!("word/header{n}.xml")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &zeros[..1 << 16])).collect();
    assert!(text(Kind::Office, &archive(&members)).await.unwrap().len() <= limits::TEXT);
    let names: Vec<String> = (0..limits::MEMBERS + 1).map(|n| format!("x{n}")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    assert_eq!(text(Kind::Office, &archive(&members)).await, None);
}

#[tokio::test]
async fn entities_are_not_resolved() {
    let laughs: String =
        (1..12).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
    let document = format!(
        "<!DOCTYPE x [<!ENTITY l0 \"lol\">{laughs}<!ENTITY f SYSTEM \"file:///etc/passwd\">]>\
         <w:p><w:t>ha &l11;&f;</w:t></w:p>"
    );
    let file = archive(&[("word/document.xml", document.as_bytes())]);
    assert_eq!(text(Kind::Office, &file).await.unwrap().trim(), "ha");
}

#[tokio::test]
async fn what_is_deep_or_goes_in_circles_costs_a_process() {
    let catalog = "<< /Type /Catalog /Pages 2 0 R >>".to_owned();
    let pages = |rest: &str| format!("<< /Type /Pages /Count 1 {rest} >>");
    let page = "<< /Type /Page /Parent 3 0 R /Contents 4 0 R >>".to_owned();
    let circles = [
        pdf_of(&[catalog.clone(), pages("/Kids [2 0 R]")]),
        // A page that looks for its size in itself, and one that draws itself.
        pdf_of(&[catalog.clone(), pages("/Kids [3 0 R]"), page, "<< /Length 4 0 R >>".to_owned()]),
        pdf(&["/X1 Do", &line("after")]),
        pdf_of(&["1 0 R".to_owned(), "2 0 R".to_owned()]),
    ];
    for file in circles {
        let _ = text(Kind::Pdf, &file).await;
    }
    for (open, close) in [("[", "]"), ("<< /A ", ">>"), ("(", ")")] {
        let deep = open.repeat(100_000);
        let file = pdf_of(&[catalog.clone(), pages("/Kids [3 0 R]"), deep.clone() + &close.repeat(100_000)]);
        let _ = text(Kind::Pdf, &file).await;
        let _ = text(Kind::Pdf, &pdf(&[&deep])).await;
    }
    let deep = "<w:p>".repeat(100_000) + "Contract";
    let file = archive(&[("word/document.xml", deep.as_bytes())]);
    assert_eq!(text(Kind::Office, &file).await.as_deref().map(str::trim), Some("Contract"));
    let deep = "{".repeat(100_000);
    assert_eq!(
        text(Kind::Rtf, format!("{{\\rtf1 {deep}Contract").as_bytes()).await.as_deref(),
        Some("Contract")
    );
    let _ = text(Kind::Html, "<div>".repeat(100_000).as_bytes()).await;
    assert_eq!(text(Kind::Plain, b"still there").await.as_deref(), Some("still there"));
}

#[tokio::test]
async fn workers_that_die_hang_or_flood() {
    let within = |script: &str| wild(script).within(Duration::from_secs(600));
    assert_eq!(within("exit 2").text(Kind::Pdf, &vec![0; 1 << 20]).await.unwrap(), None);
    assert_eq!(within("kill -11 $$").text(Kind::Pdf, b"x").await.unwrap(), None);
    assert_eq!(within("exec yes").text(Kind::Plain, b"x").await.unwrap(), None);
    assert_eq!(within("ulimit -t 1; while :; do :; done").text(Kind::Plain, b"x").await.unwrap(), None);
    assert_eq!(within("exec cat").text(Kind::Plain, b"ends").await.unwrap().as_deref(), Some("0ends"));
    let hanging = wild("while :; do :; done").within(Duration::from_millis(50));
    assert!(matches!(hanging.text(Kind::Plain, b"x").await, Err(Error::TooLong)));
    let gone = Extractor::new("/nonexistent/program".into(), Vec::new(), 1);
    assert!(matches!(gone.text(Kind::Plain, b"x").await, Err(Error::Io(_))));
}

#[tokio::test]
async fn a_worker_that_is_killed_is_started_once_more() {
    assert_eq!(wild("kill -9 $$").text(Kind::Pdf, b"x").await.unwrap(), None);
    let mark = std::env::temp_dir().join(format!("godwit-extract-killed-{}", std::process::id()));
    let script = format!("[ -e '{0}' ] && exec cat; : > '{0}'; kill -9 $$", mark.display());
    let found = wild(&script).text(Kind::Plain, b"ends").await;
    std::fs::remove_file(mark).unwrap();
    assert_eq!(found.unwrap().as_deref(), Some("0ends"));
}

#[tokio::test]
async fn a_worker_limits_itself() {
    let environment = wild("exec env").text(Kind::Plain, b"").await.unwrap().unwrap();
    let mut child = Command::new(WORKER)
        .envs(environment.lines().filter_map(|line| line.split_once('=')))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let limit = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        line.split_whitespace().next().unwrap().to_owned()
    };
    // The last one it sets.
    while limit("Max processes") != "0" {
        std::thread::yield_now();
    }
    assert_eq!(limit("Max cpu time"), limits::CPU.to_string());
    assert_eq!(limit("Max data size"), limits::MEMORY.to_string());
    // An allocator that takes more beforehand gets nothing from then on.
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let data = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    let data: u64 = data.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(data << 10 < limits::MEMORY / 8, "{data} kB");
    assert_eq!((limit("Max open files").as_str(), limit("Max file size").as_str()), ("3", "0"));
    child.stdin.take().unwrap().write_all(b"0text").unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success() && text == "text");
}

#[tokio::test]
async fn attachments_of_a_message() {
    let rtf = "{\\rtf1 Contract}";
    let message = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nbody\r\n\
         --b\r\nContent-Type: application/pdf\r\n\r\nnone\r\n\
         --b\r\nContent-Type: application/octet-stream; name=a.csv\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         b25lLHR3bw==\r\n--b\r\nContent-Type: application/rtf\r\n\r\n{rtf}\r\n--b--\r\n"
    );
    let summary = summarize(message.as_bytes(), &Limits::default());
    let found = worker().attachments(message.as_bytes(), &summary.structure).await.unwrap();
    assert_eq!(found, ["one,two", "Contract"]);
    let gone = Extractor::new("/nonexistent/program".into(), Vec::new(), 1);
    assert!(gone.attachments(message.as_bytes(), &summary.structure).await.is_err());
}

/// Seeds that are tried; more where `GODWIT_SEEDS` says so.
fn seeds() -> u64 {
    std::env::var("GODWIT_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

/// Numbers that look random (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// Changes a file a little: octets, and pieces that are cut out, doubled or put elsewhere.
    fn change(&mut self, file: &mut Vec<u8>) {
        for _ in 0..=self.below(6) {
            let (from, length) = (self.below(file.len()), self.below(40));
            let piece = from..file.len().min(from + length);
            match self.below(5) {
                0 | 1 => file.iter_mut().skip(from).take(1).for_each(|b| *b = self.below(256) as u8),
                2 => drop(file.drain(piece)),
                3 => {
                    let (copy, to) = (file[piece].to_vec(), self.below(file.len()));
                    file.splice(to..to, copy);
                }
                _ => {
                    let digits = [b"0", b"9", b"-", b"<", b">", b"[", b"(", b"{", b"}", b"\\"];
                    file.splice(from..from, digits[self.below(digits.len())].iter().copied());
                }
            }
        }
    }
}

#[tokio::test]
async fn changed_files_are_survived() {
    for seed in 0..seeds() {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for (kind, mut file) in good() {
            numbers.change(&mut file);
            let found = worker().text(kind, &file).await;
            assert!(found.is_ok(), "seed {seed}, {kind:?}: {found:?}");
        }
        // Within the archive, behind its checksums.
        let mut document =
            b"<w:p><w:r w:a='b'><w:t>Con&amp;tract &#65;</w:t><![CDATA[x]]></w:r></w:p>".to_vec();
        numbers.change(&mut document);
        let file = archive(&[("word/document.xml", &document)]);
        assert!(worker().text(Kind::Office, &file).await.is_ok_and(|text| text.is_some()), "seed {seed}");
    }
}
