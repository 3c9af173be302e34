//! The framer, fed in pieces.

use super::*;

const APPEND_LIMIT: u64 = 1 << 40;

/// What a run over `chunks` produces, in words; messages are accepted and their bytes shown.
fn run(limits: Limits, chunks: &[&[u8]]) -> Vec<String> {
    let mut framer = Framer::new(limits);
    let mut seen: Vec<String> = Vec::new();
    for chunk in chunks {
        let mut rest = *chunk;
        loop {
            let (used, event) = framer.next(rest);
            let text = match &event {
                Event::More => break,
                Event::Continue => "+".to_owned(),
                Event::Command => format!("command {}", String::from_utf8_lossy(framer.frame())),
                Event::Message { size, sync } => {
                    format!("message {size} sync={sync} after {}", String::from_utf8_lossy(framer.frame()))
                }
                Event::Data { length, last } => {
                    format!("data {} last={last}", String::from_utf8_lossy(&rest[used - length..used]))
                }
                Event::Refused { tag, why, close } => {
                    format!("refused {:?} {why:?} close={close}", tag.as_ref().map(Tag::as_str))
                }
            };
            seen.push(text);
            if matches!(event, Event::Message { .. }) {
                framer.accept();
            }
            if matches!(event, Event::Refused { close: true, .. }) {
                return seen;
            }
            rest = &rest[used..];
        }
    }
    seen
}

fn after(text: &[u8]) -> Vec<String> {
    run(Limits::after_login(APPEND_LIMIT), &[text])
}

#[test]
fn lines() {
    assert_eq!(after(b"a NOOP\r\nb NOOP\r\n"), ["command a NOOP", "command b NOOP"]);
    assert_eq!(after(b"a NOO"), Vec::<String>::new());
    assert_eq!(after(b"\r\n"), ["command "]);
}

/// RFC 9051 §6.2.3 and §4.3: LOGIN with synchronizing literals.
#[test]
fn synchronizing_literals_ask_for_continuation() {
    let seen = after(b"A001 LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man\r\n");
    assert_eq!(seen, ["+", "+", "command A001 LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man"]);
}

/// RFC 7888 §4: the client does not wait.
#[test]
fn non_synchronizing_literals_do_not() {
    let seen = after(b"A001 LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man\r\n");
    assert_eq!(seen, ["command A001 LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man"]);
}

#[test]
fn any_cut_of_the_bytes_gives_the_same_commands() {
    let text = b"A LOGIN {3+}\r\na\r\n {2}\r\n{}\r\nB APPEND x {5}\r\nab\r\nc {1}\r\nd\r\nC NOOP\r\n";
    let whole: Vec<_> = after(text).into_iter().filter(|e| !e.starts_with("data")).collect();
    assert_eq!(whole.len(), 6, "{whole:?}");
    for cut in 0..text.len() {
        let parts = run(Limits::after_login(9), &[&text[..cut], &text[cut..]]);
        assert_eq!(parts.into_iter().filter(|e| !e.starts_with("data")).collect::<Vec<_>>(), whole, "{cut}");
    }
    let bytes: Vec<&[u8]> = text.chunks(1).collect();
    let single = run(Limits::after_login(9), &bytes);
    assert_eq!(single.into_iter().filter(|e| !e.starts_with("data")).collect::<Vec<_>>(), whole);
}

/// RFC 9051 §6.3.12, RFC 3502 §6.3.11: messages pass through, the mailbox as a literal does not.
#[test]
fn the_message_of_an_append_is_a_stream() {
    let seen = after(b"a APPEND {5}\r\nINBOX (\\Seen) {3}\r\nabc {2+}\r\nde\r\nb NOOP\r\n");
    assert_eq!(
        seen,
        [
            "+",
            "message 3 sync=true after a APPEND {5}\r\nINBOX (\\Seen) {3}",
            "data abc last=true",
            "message 2 sync=false after  {2+}",
            "data de last=true",
            "command ",
            "command b NOOP",
        ]
    );
    assert_eq!(
        after(b"a append x UTF8 (~{0}\r\n)\r\n"),
        ["message 0 sync=true after a append x UTF8 (~{0}", "data  last=true", "command )"]
    );
}

#[test]
fn a_huge_message_needs_no_memory() {
    let mut framer = Framer::new(Limits::after_login(APPEND_LIMIT));
    let (used, event) = framer.next(b"a APPEND x {1073741824+}\r\n");
    assert_eq!((used, event), (26, Event::Message { size: 1 << 30, sync: false }));
    framer.accept();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..1023 {
        assert_eq!(framer.next(&chunk), (1 << 20, Event::Data { length: 1 << 20, last: false }));
    }
    assert_eq!(framer.next(&chunk), (1 << 20, Event::Data { length: 1 << 20, last: true }));
    assert_eq!(framer.next(b"\r\n"), (2, Event::Command));
    assert!(framer.frame.capacity() < 100);
    framer.release();
    assert!(framer.is_idle());
    assert_eq!(framer.frame.capacity(), 0);
}

#[test]
fn an_unwanted_message_is_skipped() {
    for (text, expected) in
        [("a APPEND x {9}\r\nb NOOP\r\n", 2), ("a APPEND x {9+}\r\n123456789 {2+}\r\nxy\r\nb NOOP\r\n", 2)]
    {
        let mut framer = Framer::new(Limits::after_login(100));
        let (used, event) = framer.next(text.as_bytes());
        assert!(matches!(event, Event::Message { .. }));
        assert!(!framer.refuse());
        let (_, event) = framer.next(&text.as_bytes()[used..]);
        assert_eq!((event, framer.frame()), (Event::Command, &b"b NOOP"[..]), "{expected}");
    }
}

#[test]
fn a_message_given_up_half_way_is_skipped() {
    let mut framer = Framer::new(Limits::after_login(100));
    framer.next(b"a APPEND x {9+}\r\n");
    framer.accept();
    assert_eq!(framer.next(b"1234"), (4, Event::Data { length: 4, last: false }));
    framer.abort_message();
    let (_, event) = framer.next(b"56789 (\\Seen) {3+}\r\nabc\r\nb NOOP\r\n");
    assert_eq!((event, framer.frame()), (Event::Command, &b"b NOOP"[..]));
}

#[test]
fn literals_beyond_the_caps() {
    // A waiting client gets its answer and sends nothing.
    assert_eq!(
        after(b"a LOGIN {4294967296}\r\nb NOOP\r\n"),
        ["refused Some(\"a\") LiteralTooBig close=false", "command b NOOP"]
    );
    assert_eq!(
        after(b"a X {99999999999999999999999999}\r\n"),
        ["refused Some(\"a\") LiteralTooBig close=false"]
    );
    // One that does not wait is skipped over, or closed if that is too much.
    let big =
        [&b"a X {70000+}\r\n"[..], &vec![b'z'; 70_000], b" more {3+}\r\nabc tail\r\nb NOOP\r\n"].concat();
    assert_eq!(after(&big), ["refused Some(\"a\") LiteralTooBig close=false", "command b NOOP"]);
    assert_eq!(after(b"a X {9999999999+}\r\n"), ["refused Some(\"a\") LiteralTooBig close=true"]);
    let small = Limits::after_login(10);
    assert_eq!(run(small, &[b"a APPEND x {11}\r\n"]), ["refused Some(\"a\") MessageTooBig close=false"]);
    assert_eq!(
        after(b"a X {00000000000000000000000}\r\n"),
        ["refused Some(\"a\") LiteralTooBig close=false"]
    );
    assert_eq!(after(b"a X {003}\r\nabc\r\n").len(), 2);
}

#[test]
fn before_login_little_is_taken() {
    let before = Limits::before_login();
    assert_eq!(run(before, &[b"a APPEND x {1}\r\n"]), ["refused Some(\"a\") MessageTooBig close=false"]);
    assert_eq!(run(before, &[b"a LOGIN {4097+}\r\n"]), ["refused Some(\"a\") NonSyncTooBig close=false"]);
    assert_eq!(run(before, &[b"a LOGIN {8192}\r\n"]), ["refused Some(\"a\") CommandTooLong close=false"]);
    let parens = [&b"a "[..], &vec![b'('; 10_000_000], b"\r\nb NOOP\r\n"].concat();
    assert_eq!(run(before, &[&parens]), ["refused Some(\"a\") LineTooLong close=false", "command b NOOP"]);
}

#[test]
fn endless_lines_end() {
    let chunk = vec![b'x'; 1 << 20];
    let chunks: Vec<&[u8]> = (0..80).map(|_| &chunk[..]).collect();
    let seen = run(Limits::after_login(0), &chunks);
    assert_eq!(seen, ["refused None LineTooLong close=false", "refused None LineTooLong close=true"]);
}

#[test]
fn many_literals_and_long_commands() {
    let many = [&b"a X"[..], &b" {0+}\r\n".repeat(limits::LITERALS + 1), b"\r\nb NOOP\r\n"].concat();
    assert_eq!(after(&many), ["refused Some(\"a\") TooManyLiterals close=false", "command b NOOP"]);
    let literal = [&b" {60000+}\r\n"[..], &vec![b'z'; 60_000]].concat();
    let long = [&b"a X"[..], &literal.repeat(5), b"\r\nb NOOP\r\n"].concat();
    assert_eq!(after(&long), ["refused Some(\"a\") CommandTooLong close=false", "command b NOOP"]);
}

#[test]
fn line_ends() {
    assert_eq!(after(b"a NOOP\nb NOOP\r\n"), ["refused Some(\"a\") BareLf close=false", "command b NOOP"]);
    assert_eq!(after(b"a N\rOOP\r\n"), ["command a N\rOOP"]);
}

#[test]
fn lines_that_are_no_commands() {
    let mut framer = Framer::new(Limits::before_login());
    assert_eq!(framer.next_line(b"dGVz"), (4, Event::More));
    assert_eq!(framer.next_line(b"dA=={3}\r\nrest"), (9, Event::Command));
    assert_eq!(framer.frame(), b"dGVzdA=={3}");
    assert_eq!(framer.next_line(b"DONE\r\n"), (6, Event::Command));
    assert_eq!(framer.frame(), b"DONE");
    let long = vec![b'A'; 9000];
    assert!(matches!(framer.next_line(&long), (0, Event::Refused { why: Refusal::LineTooLong, .. })));
}

#[test]
fn reset_forgets() {
    let mut framer = Framer::new(Limits::before_login());
    framer.next(b"a STARTTLS\r\n");
    framer.next(b"a LOG");
    assert!(!framer.is_idle());
    framer.reset();
    assert_eq!(framer.next(b"b NOOP\r\n").1, Event::Command);
    assert_eq!(framer.frame(), b"b NOOP");
}
