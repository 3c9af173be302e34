//! A page of rows as bytes, between a node and who copies its store.
//!
//! ```text
//! format (1) · whether more follows (0, 1) · rows: length of the key u32 · key · length of the value u32 · value
//! ```
//!
//! Numbers are big-endian.

use bytes::{Buf, BufMut, Bytes};
use kv::{RangePage, limits};

/// The one format so far.
const FORMAT: u8 = 1;

/// The media type of a page.
pub const MEDIA_TYPE: &str = "application/vnd.godwit.rows";

/// The page as bytes.
pub fn encode(page: &RangePage) -> Vec<u8> {
    let bytes: usize = page.rows.iter().map(|(key, value)| 8 + key.len() + value.len()).sum();
    let mut out = Vec::with_capacity(2 + bytes);
    out.put_u8(FORMAT);
    out.put_u8(u8::from(page.more));
    for (key, value) in &page.rows {
        for field in [key, value] {
            // Keys and values are far below 4 GiB.
            out.put_u32(field.len() as u32);
            out.put_slice(field);
        }
    }
    out
}

/// The page; `None` if the bytes are none.
pub fn decode(mut bytes: Bytes) -> Option<RangePage> {
    let format = bytes.try_get_u8().ok()?;
    let more = bytes.try_get_u8().ok().filter(|more| *more < 2)?;
    let mut page = RangePage { rows: Vec::new(), more: more == 1 };
    while bytes.has_remaining() {
        let key = field(&mut bytes, limits::KEY)?;
        let value = field(&mut bytes, limits::VALUE)?;
        page.rows.push((key, value));
    }
    let ordered = page.rows.is_sorted_by(|a, b| a.0 < b.0);
    (format == FORMAT && ordered && (!page.more || !page.rows.is_empty())).then_some(page)
}

fn field(bytes: &mut Bytes, longest: usize) -> Option<Bytes> {
    let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
    (length <= longest && length <= bytes.remaining()).then(|| bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rows: &[(&'static str, &'static str)], more: bool) -> RangePage {
        RangePage { rows: rows.iter().map(|(k, v)| (Bytes::from(*k), Bytes::from(*v))).collect(), more }
    }

    #[test]
    fn pages_read_back() {
        for page in [page(&[], false), page(&[("a", ""), ("b", "value")], true), page(&[("", "x")], false)] {
            assert_eq!(decode(encode(&page).into()), Some(page));
        }
        let golden = b"\x01\x01\0\0\0\x01a\0\0\0\x02bc";
        assert_eq!(encode(&page(&[("a", "bc")], true)), golden);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let whole = encode(&page(&[("a", "1"), ("b", "2")], true));
        for cut in [0, 1, 3, 6, 9, whole.len() - 1] {
            assert_eq!(decode(Bytes::copy_from_slice(&whole[..cut])), None, "{cut}");
        }
        assert_eq!(decode(encode(&page(&[("b", ""), ("a", "")], false)).into()), None, "out of order");
        assert_eq!(decode(Bytes::from_static(b"\x02\0")), None, "another format");
        assert_eq!(decode(Bytes::from_static(b"\x01\x01")), None, "more, but where?");
        assert_eq!(decode(Bytes::from_static(b"\x01\0\xff\xff\xff\xff")), None);
    }
}
