//! BER as DER: mail programs sign as they go, with lengths they do not know beforehand (X.690 §8.1.3.6), and cut
//! contents in pieces (§8.7); what reads certificates and signatures knows DER alone.

/// How deep values may be in each other.
const DEPTH: usize = 32;
/// How many values a set may have: who reads them sorts them, at a cost of their square.
const SET_VALUES: usize = 64;

/// Tags (X.690 §8.1.2).
const CONSTRUCTED: u8 = 0x20;
const OCTET_STRING: u8 = 0x04;
/// Sets, and what may be one under another name: certificates, revocation lists, attributes (RFC 5652 §5.1, §5.3).
const SETS: [u8; 3] = [0x31, 0xa0, 0xa1];
/// The low bits of a tag whose number follows.
const LONG_NUMBER: u8 = 0x1f;
/// The first octet of a length that is not known yet.
const INDEFINITE: u8 = 0x80;

/// The first value of `input`, with all lengths known and each octet string in one piece; none for what is no BER.
/// Sets stay in their order. What is DER stays as it is.
pub(crate) fn to_der(input: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(input.len());
    value(input, &mut out, 0)?;
    Some(out)
}

/// Appends the first value, and says what is behind it.
fn value<'i>(input: &'i [u8], out: &mut Vec<u8>, depth: usize) -> Option<&'i [u8]> {
    let (tag, rest) = tag(input).filter(|_| depth < DEPTH)?;
    let (length, rest) = length(rest)?;
    let is_constructed = tag[0] & CONSTRUCTED != 0;
    if !is_constructed {
        let (content, behind) = rest.split_at_checked(length?)?;
        put(tag, content, out);
        return Some(behind);
    }
    let mut content = Vec::new();
    let most = if SETS.contains(&tag[0]) { SET_VALUES } else { usize::MAX };
    let behind = match length {
        Some(length) => {
            let (within, behind) = rest.split_at_checked(length)?;
            values(within, &mut content, depth, most, |rest| rest.is_empty().then_some(rest))?;
            behind
        }
        // X.690 §8.1.5: up to two zeros behind the last one.
        None => values(rest, &mut content, depth, most, |rest| rest.strip_prefix(&[0, 0]))?,
    };
    if tag[0] & !CONSTRUCTED == OCTET_STRING {
        put(&[OCTET_STRING], &joined(&content)?, out);
    } else {
        put(tag, &content, out);
    }
    Some(behind)
}

/// Appends values up to the end, `most` at most, and says what is behind it.
fn values<'i>(
    mut rest: &'i [u8],
    content: &mut Vec<u8>,
    depth: usize,
    most: usize,
    end: impl Fn(&'i [u8]) -> Option<&'i [u8]>,
) -> Option<&'i [u8]> {
    let mut count = 0;
    loop {
        if let Some(behind) = end(rest) {
            return Some(behind);
        }
        count += 1;
        rest = value(rest, content, depth + 1).filter(|_| count <= most)?;
    }
}

/// The octets of an octet string in pieces, which are in one piece each.
fn joined(mut pieces: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(pieces.len());
    while !pieces.is_empty() {
        let (_, rest) = tag(pieces).filter(|(tag, _)| *tag == [OCTET_STRING])?;
        let (length, rest) = length(rest)?;
        let (piece, rest) = rest.split_at_checked(length?)?;
        whole.extend_from_slice(piece);
        pieces = rest;
    }
    Some(whole)
}

fn tag(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = *input.first()?;
    let mut size = 1;
    if first & LONG_NUMBER == LONG_NUMBER {
        let more = input[1..].iter().take(4).position(|octet| octet & 0x80 == 0)?;
        size += more + 1;
    }
    input.split_at_checked(size)
}

/// A length, none if it is not known yet; and what is behind it.
fn length(input: &[u8]) -> Option<(Option<usize>, &[u8])> {
    let (&first, rest) = input.split_first()?;
    if first < INDEFINITE {
        return Some((Some(first.into()), rest));
    }
    if first == INDEFINITE {
        return Some((None, rest));
    }
    let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    let significant = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len());
    let octets = octets.get(significant..).filter(|octets| octets.len() <= 4)?;
    Some((Some(octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet))), rest))
}

fn put(tag: &[u8], content: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(tag);
    let octets = content.len().to_be_bytes();
    let significant = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len() - 1);
    let octets = &octets[significant..];
    match octets {
        [short] if *short < INDEFINITE => out.push(*short),
        long => {
            out.push(INDEFINITE | long.len() as u8);
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_stays_as_it_is() {
        let long = [&[0x04, 0x82, 0x01, 0x00][..], &[7; 256]].concat();
        for der in
            [&b"\x02\x01\x05"[..], b"\x30\x00", b"\x30\x05\x04\x03abc", b"\xbf\x81\x01\x02\x05\x00", &long]
        {
            assert_eq!(to_der(der).as_deref(), Some(der));
        }
        assert_eq!(to_der(b"\x05\x00behind").as_deref(), Some(&b"\x05\x00"[..]));
    }

    #[test]
    fn lengths_become_known_and_pieces_one() {
        let ber = b"\x30\x80\x02\x01\x05\xa0\x80\x24\x80\x04\x02ab\x04\x01c\x00\x00\x00\x00\x00\x00";
        assert_eq!(to_der(ber).as_deref(), Some(&b"\x30\x0a\x02\x01\x05\xa0\x05\x04\x03abc"[..]));
        // Pieces of pieces, and lengths longer than they need be.
        assert_eq!(to_der(b"\x24\x81\x07\x24\x05\x04\x03abc").as_deref(), Some(&b"\x04\x03abc"[..]));
    }

    #[test]
    fn what_is_wrong_or_too_deep_is_none() {
        for bad in [
            &b""[..],
            b"\x30",
            b"\x30\x80",
            b"\x30\x02\x05",
            b"\x04\x80\x00\x00",
            b"\x04\x89\x01",
            b"\x1f\xff",
        ] {
            assert_eq!(to_der(bad), None, "{bad:?}");
        }
        assert_eq!(to_der(&b"\x30\x80".repeat(100_000)), None);
        assert_eq!(to_der(b"\x24\x04\x02\x02ab"), None);
        let set = |count: usize| [&b"\x31\x80"[..], &b"\x05\x00".repeat(count), b"\x00\x00"].concat();
        assert!(to_der(&set(SET_VALUES)).is_some());
        assert_eq!(to_der(&set(SET_VALUES + 1)), None);
        // Lengths that no address has.
        assert_eq!(to_der(b"\x04\x88\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }
}
