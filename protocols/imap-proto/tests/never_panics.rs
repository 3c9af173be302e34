//! Whatever a client sends: no panic, no frame beyond the caps, and the same commands however the bytes are cut.

use godwit_imap_proto::framer::{Event, Framer, Limits};
use godwit_imap_proto::{limits, parse};
use proptest::prelude::*;

/// Real commands for mutation to start from.
const COMMANDS: &[&str] = &[
    "a1 LOGIN {5+}\r\nalice \"pass word\"\r\n",
    "a2 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n",
    "a3 ID (\"name\" \"x\" \"version\" NIL)\r\n",
    "a4 SELECT \"Entw&APw-rfe\" (QRESYNC (67890007 20050715194045000 41,43:211 (1,5 42,48)))\r\n",
    "a5 LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"a\" %) RETURN (CHILDREN STATUS (MESSAGES SIZE))\r\n",
    "a6 APPEND INBOX (\\Seen) \"17-Jul-1996 02:44:25 -0700\" {3+}\r\nabc (x) ~{2+}\r\nde\r\n",
    "a7 UID FETCH 1:*,7 (FLAGS BODY.PEEK[1.2.HEADER.FIELDS (From \"To\")]<0.10> BINARY[1]) (CHANGEDSINCE 5 VANISHED)\r\n",
    "a8 SEARCH RETURN (MIN ALL) CHARSET UTF-8 OR (NOT SEEN SINCE 1-Feb-1994) HEADER X {2+}\r\nyz LARGER 5\r\n",
    "a9 UID STORE $ (UNCHANGEDSINCE 12) +FLAGS.SILENT (\\Deleted $Foo)\r\n",
    "b1 UID SORT (REVERSE DATE SUBJECT) UTF-8 ALL\r\n",
    "b2 CREATE x (USE (\\Drafts))\r\n",
    "b3 SETQUOTA \"\" (STORAGE 512)\r\n",
    "b4 SETACL INBOX fred +lrs\r\n",
];

/// Everything `bytes` are taken for, cut after `cuts`. Messages are accepted.
fn drive(bytes: &[u8], cuts: &[usize]) -> Vec<String> {
    let mut framer = Framer::new(Limits::after_login(1 << 20));
    let (mut seen, mut from) = (Vec::new(), 0);
    for to in cuts.iter().copied().chain([bytes.len()]) {
        while let Some(rest) = bytes.get(from..to) {
            let (used, event) = framer.next(rest);
            assert!(used <= rest.len());
            from += used;
            assert!(framer.frame().len() <= limits::COMMAND);
            match event {
                Event::More => break,
                Event::Data { .. } | Event::Continue => {}
                Event::Refused { close, .. } => {
                    seen.push("refused".to_owned());
                    if close {
                        return seen;
                    }
                }
                Event::Message { .. } => {
                    seen.push(format!("{:?}", parse(framer.frame(), false)));
                    framer.accept();
                }
                Event::Command => {
                    seen.push(format!("{:?}", parse(framer.frame(), false)));
                    let _ = parse(framer.frame(), true);
                }
            }
        }
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600), cut in 0usize..600) {
        let whole = drive(&bytes, &[]);
        let parts = drive(&bytes, &[cut.min(bytes.len())]);
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn any_text(text in "a [A-Z]{2,8} [ -~\r\n{}()+*\"]{0,200}\r\n") {
        drive(text.as_bytes(), &[]);
        let _ = parse(text.trim_end().as_bytes(), true);
    }

    #[test]
    fn mutated_commands(
        picks in prop::collection::vec(0..COMMANDS.len(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes: Vec<u8> = picks.iter().flat_map(|&i| COMMANDS[i].bytes()).collect();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        let cut = cut.index(bytes.len() + 1);
        prop_assert_eq!(drive(&bytes, &[]), drive(&bytes, &[cut]));
    }
}

#[test]
fn the_seeds_are_valid() {
    for command in COMMANDS {
        let seen = drive(command.as_bytes(), &[]);
        assert!(seen[0].starts_with("Ok("), "{command}: {seen:?}");
    }
}

#[test]
fn ten_million_parentheses() {
    let mut bytes = b"a SEARCH ".to_vec();
    bytes.resize(10_000_000, b'(');
    bytes.extend_from_slice(b"\r\nb NOOP\r\n");
    let seen = drive(&bytes, &[4096, 5_000_000]);
    assert_eq!(seen.len(), 2);
    assert!(seen[1].contains("Noop"));
}
