//! Octets on the streams.
//!
//! ```text
//! on the stream of hints, both ways:   kind 4 | flags 1 | length 4 | message
//! a call:                              kind 4 | deadline in ms 4 | message
//! its answer:                          status 1 | message
//! ```
//!
//! Numbers are big-endian. A stream's end is a call's and an answer's end.

use bytes::{BufMut, Bytes, BytesMut};
use quinn::{ReadExactError, RecvStream};

use crate::limits;

/// Flag: who does not know the message says so, instead of skipping it.
const MUST: u8 = 1;

/// What both sides begin the stream of hints with.
pub(crate) const HELLO: u32 = 0;
/// Back to the sender of a hint: it must be understood and was not.
pub(crate) const NOT_UNDERSTOOD: u32 = 1;
/// What a stream is reset with whose call was not answered by its deadline.
pub(crate) const LATE: u32 = 2;
/// The first number for messages of others.
pub(crate) const FIRST: u32 = 16;

/// Who speaks.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Hello {
    /// The node; its certificate has to say the same.
    #[prost(uint32, tag = "1")]
    pub node: u32,
    /// Its program's version.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// What was not understood.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct NotUnderstood {
    /// The message's number.
    #[prost(uint32, tag = "1")]
    pub kind: u32,
}

/// A hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub kind: u32,
    pub must: bool,
    pub message: Bytes,
}

impl Frame {
    pub(crate) fn new(kind: u32, must: bool, message: &impl prost::Message) -> Frame {
        Frame { kind, must, message: message.encode_to_vec().into() }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut octets = BytesMut::with_capacity(9 + self.message.len());
        octets.put_u32(self.kind);
        octets.put_u8(if self.must { MUST } else { 0 });
        // Checked against the limit before it came here.
        octets.put_u32(u32::try_from(self.message.len()).unwrap_or(u32::MAX));
        octets.put_slice(&self.message);
        octets.freeze()
    }

    /// The next frame of a stream; `None` at its end, or if it breaks off or holds what no frame is.
    pub(crate) async fn read(stream: &mut RecvStream) -> Option<Frame> {
        let mut header = [0; 9];
        read_exact(stream, &mut header).await.ok()?;
        let kind = u32::from_be_bytes(header[..4].try_into().ok()?);
        let len = u32::from_be_bytes(header[5..].try_into().ok()?) as usize;
        if len > limits::MESSAGE {
            return None;
        }
        let mut message = vec![0; len];
        read_exact(stream, &mut message).await.ok()?;
        Some(Frame { kind, must: header[4] & MUST != 0, message: message.into() })
    }
}

async fn read_exact(stream: &mut RecvStream, buffer: &mut [u8]) -> Result<(), ReadExactError> {
    stream.read_exact(buffer).await
}

/// A call as it is sent.
pub(crate) fn call(kind: u32, deadline: std::time::Duration, message: &[u8]) -> Bytes {
    let mut octets = BytesMut::with_capacity(8 + message.len());
    octets.put_u32(kind);
    octets.put_u32(u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX));
    octets.put_slice(message);
    octets.freeze()
}

/// Kind, deadline and message of a call.
pub(crate) fn read_call(octets: Vec<u8>) -> Option<(u32, std::time::Duration, Bytes)> {
    let octets = Bytes::from(octets);
    let kind = u32::from_be_bytes(octets.get(..4)?.try_into().ok()?);
    let millis = u32::from_be_bytes(octets.get(4..8)?.try_into().ok()?);
    Some((kind, std::time::Duration::from_millis(u64::from(millis)).min(limits::DEADLINE), octets.slice(8..)))
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Done(Bytes),
    NotUnderstood,
    Busy,
    Refused(crate::Refusal),
    /// The answer is too long, or of a kind that this version does not know.
    Unreadable,
}

const DONE: u8 = 0;
const UNKNOWN: u8 = 1;
const BUSY: u8 = 2;
const REFUSED: u8 = 3;
const UNREADABLE: u8 = 4;

impl Answer {
    pub(crate) fn encode(&self) -> Bytes {
        let mut octets = BytesMut::new();
        match self {
            Answer::Done(message) if message.len() <= limits::MESSAGE => {
                octets.put_u8(DONE);
                octets.put_slice(message);
            }
            Answer::Done(_) | Answer::Unreadable => octets.put_u8(UNREADABLE),
            Answer::NotUnderstood => octets.put_u8(UNKNOWN),
            Answer::Busy => octets.put_u8(BUSY),
            Answer::Refused(refusal) => {
                octets.put_u8(REFUSED);
                octets.put_u32(refusal.code);
                octets.put_slice(refusal.text.as_bytes());
            }
        }
        octets.freeze()
    }

    pub(crate) fn decode(octets: Vec<u8>) -> Answer {
        let octets = Bytes::from(octets);
        match octets.first() {
            Some(&DONE) => Answer::Done(octets.slice(1..)),
            Some(&UNKNOWN) => Answer::NotUnderstood,
            Some(&BUSY) => Answer::Busy,
            Some(&REFUSED) if octets.len() >= 5 => {
                let code = octets[1..5].iter().fold(0, |code, octet| (code << 8) | u32::from(*octet));
                let text = String::from_utf8_lossy(&octets[5..]).into_owned();
                Answer::Refused(crate::Refusal { code, text })
            }
            _ => Answer::Unreadable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;
    use std::time::Duration;

    #[test]
    fn golden_bytes() {
        // Nodes of other versions read these.
        let hello = Frame::new(HELLO, true, &Hello { node: 7, version: "1".into() });
        assert_eq!(hello.encode(), b"\0\0\0\0\x01\0\0\0\x05\x08\x07\x12\x011"[..]);
        let call = call(300, Duration::from_millis(258), b"xy");
        assert_eq!(call, b"\0\0\x01\x2c\0\0\x01\x02xy"[..]);
        let read = read_call(call.to_vec());
        assert_eq!(read, Some((300, Duration::from_millis(258), Bytes::from("xy"))));
        assert_eq!(read_call(vec![0; 7]), None);
        let answers: [(Answer, &[u8]); 5] = [
            (Answer::Done(Bytes::from("ok")), b"\0ok"),
            (Answer::NotUnderstood, b"\x01"),
            (Answer::Busy, b"\x02"),
            (Answer::Refused(Refusal::new(258, "no")), b"\x03\0\0\x01\x02no"),
            (Answer::Unreadable, b"\x04"),
        ];
        for (answer, octets) in answers {
            assert_eq!(answer.encode(), octets);
            assert_eq!(Answer::decode(octets.to_vec()), answer);
        }
        for odd in [&b""[..], b"\x09", b"\x03\0"] {
            assert_eq!(Answer::decode(odd.to_vec()), Answer::Unreadable);
        }
        let long = Answer::Done(vec![0; limits::MESSAGE + 1].into());
        assert_eq!(Answer::decode(long.encode().to_vec()), Answer::Unreadable);
    }
}
