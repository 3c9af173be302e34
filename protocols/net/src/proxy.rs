//! The PROXY protocol, versions 1 and 2: the balancer in front says who the client is.
//!
//! Only read from trusted networks, and there required: a header that may or may not come would let a client
//! choose its own address.

use crate::limits::{PROXY_V1, PROXY_V2};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How far a header has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// The header has `length` bytes. The client is `source`; none if the balancer speaks for itself.
    Complete { length: usize, source: Option<SocketAddr> },
    /// This is no PROXY header; the connection must be closed.
    Invalid,
}

const SIGNATURE_V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

pub(crate) fn parse(input: &[u8]) -> Parsed {
    if starts_like(input, SIGNATURE_V2) {
        parse_v2(input)
    } else if starts_like(input, b"PROXY ") {
        parse_v1(input)
    } else {
        Parsed::Invalid
    }
}

/// Whether `input` begins with `signature`, or could once more of it has come.
fn starts_like(input: &[u8], signature: &[u8]) -> bool {
    let n = input.len().min(signature.len());
    input[..n] == signature[..n]
}

fn parse_v1(input: &[u8]) -> Parsed {
    let window = &input[..input.len().min(PROXY_V1)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if input.len() < PROXY_V1 { Parsed::Incomplete } else { Parsed::Invalid };
    };
    match std::str::from_utf8(&input[..end]).ok().and_then(source_v1) {
        Some(source) => Parsed::Complete { length: end + 2, source },
        None => Parsed::Invalid,
    }
}

/// `PROXY TCP4 source destination sourceport destinationport`, or `PROXY UNKNOWN` and anything after it.
fn source_v1(line: &str) -> Option<Option<SocketAddr>> {
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let words: Vec<&str> = words.collect();
    let [source, destination, source_port, destination_port] = words[..] else { return None };
    let (source, _): (IpAddr, IpAddr) = (source.parse().ok()?, destination.parse().ok()?);
    let (port, _): (u16, u16) = (source_port.parse().ok()?, destination_port.parse().ok()?);
    match (family, source) {
        ("TCP4", IpAddr::V4(_)) | ("TCP6", IpAddr::V6(_)) => Some(Some(SocketAddr::new(source, port))),
        _ => None,
    }
}

fn parse_v2(input: &[u8]) -> Parsed {
    let Some(header) = input.first_chunk::<16>() else { return Parsed::Incomplete };
    let length = 16 + usize::from(u16::from_be_bytes([header[14], header[15]]));
    let (version, command) = (header[12] >> 4, header[12] & 0x0f);
    if version != 2 || command > 1 || length > PROXY_V2 {
        return Parsed::Invalid;
    }
    let Some(body) = input.get(16..length) else { return Parsed::Incomplete };
    if command == 0 {
        // LOCAL: a health check of the balancer itself; whatever follows is to be ignored.
        return Parsed::Complete { length, source: None };
    }
    match header[13] {
        0x11 => complete(length, source_v4(body)),
        0x21 => complete(length, source_v6(body)),
        // AF_UNSPEC: the real connection's address is to be used.
        0x00 => Parsed::Complete { length, source: None },
        _ => Parsed::Invalid,
    }
}

fn complete(length: usize, source: Option<SocketAddr>) -> Parsed {
    source.map_or(Parsed::Invalid, |source| Parsed::Complete { length, source: Some(source) })
}

fn source_v4(body: &[u8]) -> Option<SocketAddr> {
    let address: &[u8; 12] = body.first_chunk()?;
    let ip = Ipv4Addr::new(address[0], address[1], address[2], address[3]);
    Some(SocketAddr::new(ip.into(), u16::from_be_bytes([address[8], address[9]])))
}

fn source_v6(body: &[u8]) -> Option<SocketAddr> {
    let address: &[u8; 36] = body.first_chunk()?;
    let ip: &[u8; 16] = address.first_chunk()?;
    Some(SocketAddr::new(Ipv6Addr::from(*ip).into(), u16::from_be_bytes([address[32], address[33]])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut header = SIGNATURE_V2.to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        header.extend(body);
        header
    }

    #[test]
    fn version_1() {
        let line = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 25\r\nEHLO x";
        let source = Some("203.0.113.7:56324".parse().unwrap());
        assert_eq!(parse(line), Parsed::Complete { length: 43, source });
        let line = b"PROXY TCP6 2001:db8::7 2001:db8::1 1 25\r\n";
        assert_eq!(
            parse(line),
            Parsed::Complete { length: 41, source: Some("[2001:db8::7]:1".parse().unwrap()) }
        );
        assert_eq!(parse(b"PROXY UNKNOWN what ever\r\n"), Parsed::Complete { length: 25, source: None });
    }

    #[test]
    fn version_2() {
        let mut body = vec![203, 0, 113, 7, 192, 0, 2, 1, 0xdc, 0x04, 0, 25];
        body.extend([0x03, 0, 4, 1, 2, 3, 4]);
        let header = v2(1, 0x11, &body);
        let source = Some("203.0.113.7:56324".parse().unwrap());
        assert_eq!(parse(&header), Parsed::Complete { length: header.len(), source });
        let local = v2(0, 0, &[]);
        assert_eq!(parse(&local), Parsed::Complete { length: 16, source: None });
        assert_eq!(parse(&v2(1, 0x21, &[0; 35])), Parsed::Invalid);
        assert_eq!(parse(&v2(1, 0x31, &[0; 200])), Parsed::Invalid);
        assert_eq!(parse(&v2(1, 0x11, &[0; 5000])), Parsed::Invalid);
    }

    #[test]
    fn what_is_no_header_is_refused_at_once() {
        for text in
            ["EHLO x\r\n", "PROXX", "PROXY TCP4 1 2 3 4\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY \r\n"]
        {
            assert_eq!(parse(text.as_bytes()), Parsed::Invalid, "{text}");
        }
        assert_eq!(parse(format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)).as_bytes()), Parsed::Invalid);
    }

    #[test]
    fn each_beginning_of_a_header_is_incomplete() {
        let v1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 25\r\n".to_vec();
        for header in [v1, v2(1, 0x11, &[0; 12])] {
            for n in 0..header.len() {
                assert_eq!(parse(&header[..n]), Parsed::Incomplete, "{n}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(tail in prop::collection::vec(any::<u8>(), 0..200), version in 0..3) {
            let mut input = match version { 0 => Vec::new(), 1 => b"PROXY ".to_vec(), _ => SIGNATURE_V2.to_vec() };
            input.extend(tail);
            if let Parsed::Complete { length, .. } = parse(&input) {
                prop_assert!(length <= input.len());
            }
        }
    }
}
