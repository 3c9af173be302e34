//! The IMAP codec: framing does not depend on packets, parsing depends on nothing but the frame.

use imap_proto::{
    command::parse,
    framer::{Event, Framer, Limits},
    mailbox::{utf7_decode, utf7_encode},
};

/// A client's bytes, before login and after it.
pub fn client(data: &[u8]) {
    let (all, _) = crate::pieces(data);
    for limits in [Limits::before_login(), Limits::after_login(1 << 20)] {
        let whole = events([all].into_iter(), limits);
        let (_, pieces) = crate::pieces(data);
        assert_eq!(whole, events(pieces, limits));
    }
}

/// What the framer makes of packets. Messages are accepted and their bytes gathered.
fn events<'a>(packets: impl Iterator<Item = &'a [u8]>, limits: Limits) -> Vec<String> {
    let mut framer = Framer::new(limits);
    let (mut out, mut message) = (Vec::new(), Vec::new());
    for mut packet in packets {
        loop {
            let (used, event) = framer.next(packet);
            assert!(used <= packet.len());
            let taken = &packet[..used];
            packet = &packet[used..];
            match event {
                Event::More => break,
                Event::Continue => out.push("continue".to_owned()),
                Event::Command => {
                    out.push(format!("{:?}", framer.frame().escape_ascii().to_string()));
                    for utf8 in [false, true] {
                        out.push(format!("{:?}", parse(framer.frame(), utf8)));
                    }
                }
                Event::Message { size, sync } => {
                    out.push(format!("message {size} {sync}"));
                    framer.accept();
                }
                Event::Data { length, last } => {
                    message.extend_from_slice(&taken[taken.len() - length..]);
                    if last {
                        out.push(format!("data {}", message.escape_ascii()));
                        message.clear();
                    }
                }
                Event::Refused { tag, why, close } => {
                    out.push(format!("{tag:?} {why:?} {close}"));
                    if close {
                        return out;
                    }
                }
            }
        }
    }
    out
}

/// Mailbox names: what decodes is what it encodes to.
pub fn names(data: &[u8]) {
    if let Some(name) = utf7_decode(data) {
        assert_eq!(utf7_decode(utf7_encode(&name).as_bytes()), Some(name));
    }
    let name = String::from_utf8_lossy(data);
    let encoded = utf7_encode(&name);
    assert!(encoded.bytes().all(|b| (32..127).contains(&b)) || name.chars().any(char::is_control));
    assert_eq!(utf7_decode(encoded.as_bytes()).as_deref(), Some(name.as_ref()));
}
