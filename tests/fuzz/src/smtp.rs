//! The SMTP codec.

use smtp_proto::{
    Capabilities, Command, Frame, Framer, Reply, ReplyParser,
    data::{BareLines, Decoder, Encoder, Step},
    limits,
};

/// Command lines: packets do not matter; a command that was read is written and read as itself.
pub fn commands(data: &[u8]) {
    let (all, _) = crate::pieces(data);
    let whole = lines([all].into_iter());
    let (_, packets) = crate::pieces(data);
    let cut = lines(packets);
    // How much of an overlong line comes at once decides only when it is refused.
    if all.len() < limits::COMMAND_LINE {
        assert_eq!(whole, cut);
    }
    for line in whole.iter().flatten() {
        if let Ok(command) = Command::parse(line) {
            let mut out = Vec::new();
            command.render(&mut out);
            let text = out.strip_suffix(b"\r\n").expect("a command is a line");
            assert!(!text.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)), "{command:?}");
            assert_eq!(Command::parse(text).as_ref(), Ok(&command), "{}", text.escape_ascii());
        }
    }
}

/// Lines, and `None` for those that are refused.
fn lines<'a>(packets: impl Iterator<Item = &'a [u8]>) -> Vec<Option<Vec<u8>>> {
    let (mut framer, mut buffer, mut out) = (Framer::new(), Vec::new(), Vec::new());
    for packet in packets {
        buffer.extend_from_slice(packet);
        loop {
            let (consume, line) = match framer.next(&buffer, limits::COMMAND_LINE) {
                Frame::Incomplete { consume } => {
                    buffer.drain(..consume);
                    if consume == 0 || buffer.is_empty() {
                        break;
                    }
                    continue;
                }
                Frame::Line { end, consume } => (consume, Some(buffer[..end].to_vec())),
                Frame::Malformed { consume } | Frame::TooLong { consume } => (consume, None),
            };
            out.push(line);
            buffer.drain(..consume);
        }
    }
    out
}

/// The message after DATA: packets do not matter; what is written is read back and ends where it ends.
pub fn data(data: &[u8]) {
    let (all, _) = crate::pieces(data);
    let whole = decode([all].into_iter());
    let (_, packets) = crate::pieces(data);
    assert_eq!(whole, decode(packets));

    let mut wire = Vec::new();
    let mut encoder = Encoder::new(BareLines::Normalise);
    let (_, packets) = crate::pieces(data);
    for packet in packets {
        encoder.encode(packet, &mut wire).expect("everything can be normalised");
    }
    encoder.finish(&mut wire).expect("everything can be normalised");
    let length = wire.len();
    wire.extend_from_slice(b"QUIT\r\n");
    let (message, rest) = decode([&wire[..]].into_iter());
    assert_eq!(rest, Some(wire.len() - length), "one message in, one message out");
    assert_eq!(message, normalised(all));
}

/// The message, and how many bytes are left after its end.
fn decode<'a>(packets: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Option<usize>) {
    let (mut decoder, mut out, mut left) = (Decoder::new(), Vec::new(), None);
    for mut packet in packets {
        if let Some(left) = &mut left {
            *left += packet.len();
            continue;
        }
        loop {
            match decoder.next(&mut packet) {
                Step::Piece(piece) => out.extend_from_slice(piece),
                Step::More => break,
                Step::End => {
                    left = Some(packet.len());
                    break;
                }
            }
        }
    }
    assert_eq!(decoder.size(), out.len() as u64);
    (out, left)
}

/// Every bare CR or LF a CRLF, and a line end at the end.
fn normalised(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = message.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if(|next| **next == b'\n');
                out.extend_from_slice(b"\r\n");
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            byte => out.push(*byte),
        }
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Replies of other servers: packets do not matter; what is written is read back.
pub fn replies(data: &[u8]) {
    let (all, _) = crate::pieces(data);
    let whole = reply([all].into_iter());
    let (_, packets) = crate::pieces(data);
    assert_eq!(whole, reply(packets));
    if let Ok(Some((reply, used))) = whole {
        assert!(used <= all.len());
        let _ = Capabilities::of(&reply);
        let _ = reply.status();
        let mut out = Vec::new();
        reply.render(&mut out);
        assert!(out.ends_with(b"\r\n"));
        let read = ReplyParser::new().parse(&out).expect("what is written is a reply").expect("a whole one");
        assert_eq!((read.0.code, read.1), (reply.code, out.len()));
    }
}

fn reply<'a>(
    packets: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<(Reply, usize)>, smtp_proto::ReplyError> {
    let (mut parser, mut buffer) = (ReplyParser::new(), Vec::new());
    for packet in packets {
        buffer.extend_from_slice(packet);
        if let Some(found) = parser.parse(&buffer)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
