//! The worker's side: limits on itself, a file in, its text out.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use content_mail::decode;
use rustix::process::{Resource, Rlimit, nice, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::limits::{CPU, CPU_ENOUGH, INPUT, MEMORY, NICE, TEXT};
use crate::{Kind, office, pdf, rtf};

/// Bytes of addresses: more than memory, as allocators reserve some they do not use.
const ADDRESSES: u64 = 16 * MEMORY;
/// How the worker ends where the file has no text.
pub(crate) const UNREADABLE: i32 = 2;

/// Reads a file from standard input and writes its text to standard output. For a process that does nothing else.
pub fn work() -> ExitCode {
    if limit().is_err() {
        return ExitCode::from(3);
    }
    let mut file = Vec::new();
    let read = io::stdin().lock().take(INPUT as u64 + 1).read_to_end(&mut file);
    let text = match (read, file.split_first()) {
        (Ok(_), Some((kind, file))) => Kind::of_byte(*kind).and_then(|kind| text(kind, file)),
        _ => None,
    };
    let Some(text) = text else { return ExitCode::from(UNREADABLE as u8) };
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The kernel ends what goes beyond them, or refuses it: no file is opened, no process started. By two signals, so that
/// the caller can tell this from a kill.
fn limit() -> rustix::io::Result<()> {
    // Where memory is short this is the process to end. Not everybody may say so.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let _ = nice(NICE);
    let limits = [
        (Resource::Data, MEMORY, MEMORY),
        (Resource::As, ADDRESSES, ADDRESSES),
        (Resource::Cpu, CPU, CPU + 5),
        (Resource::Fsize, 0, 0),
        (Resource::Core, 0, 0),
        // Beside the three it has.
        (Resource::Nofile, 3, 3),
        (Resource::Nproc, 0, 0),
    ];
    for (resource, current, maximum) in limits {
        setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })?;
    }
    Ok(())
}

/// The text of a file. May panic, loop, or overflow the stack: only for the worker.
pub(crate) fn text(kind: Kind, file: &[u8]) -> Option<String> {
    let mut text = match kind {
        Kind::Plain => plain(file),
        Kind::Html => html(file),
        Kind::Pdf => pdf::text(file)?,
        Kind::Office | Kind::OpenDocument => office::text(kind, file)?,
        Kind::Rtf => rtf::text(file)?,
    };
    text.truncate(text.floor_char_boundary(TEXT));
    Some(text)
}

fn plain(file: &[u8]) -> String {
    match file {
        [0xff, 0xfe, ..] => decode::charset("utf-16le", &file[2..]).into_owned(),
        [0xfe, 0xff, ..] => decode::charset("utf-16be", &file[2..]).into_owned(),
        [0xef, 0xbb, 0xbf, rest @ ..] => decode::guess(rest).into_owned(),
        _ => decode::guess(file).into_owned(),
    }
}

/// Bytes of an HTML file in which its charset is named (HTML, "prescan a byte stream").
const PRESCAN: usize = 1024;

fn html(file: &[u8]) -> String {
    let head = String::from_utf8_lossy(&file[..file.len().min(PRESCAN)]).to_ascii_lowercase();
    let named = head.find("charset=").map(|at| head[at + 8..].trim_start_matches(['"', '\'', ' ']));
    let label = named.and_then(|rest| rest.split(['"', '\'', ' ', '>', ';', '/']).next());
    match label.filter(|label| decode::knows_charset(label) && !label.starts_with("utf-16")) {
        Some(label) => decode::html_to_text(&decode::charset(label, file)),
        None => decode::html_to_text(&plain(file)),
    }
}

/// Whether so much CPU time went into the file that what was found has to do.
pub(crate) fn is_spent(since: Duration) -> bool {
    cpu_time().saturating_sub(since) > CPU_ENOUGH
}

/// CPU time of the process until now.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_and_html_in_their_charsets() {
        assert_eq!(text(Kind::Plain, b"caf\xe9").as_deref(), Some("caf\u{e9}"));
        assert_eq!(text(Kind::Plain, b"\xff\xfea\0\xe9\0").as_deref(), Some("a\u{e9}"));
        assert_eq!(text(Kind::Plain, b"\xef\xbb\xbfa,b").as_deref(), Some("a,b"));
        let html = |file: &[u8]| text(Kind::Html, file).map(|text| text.trim().to_owned());
        assert_eq!(html(b"<p>one<script>no</script>").as_deref(), Some("one"));
        let koi8 = b"<meta charset=\"koi8-r\"><p>\xf0\xd2\xc9</p>";
        assert_eq!(html(koi8).as_deref(), Some("\u{41f}\u{440}\u{438}"));
        assert_eq!(text(Kind::Office, b"PK nothing"), None);
    }
}
