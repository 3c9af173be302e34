//! Messages that tell what they are: an id, and bytes that follow from it.

/// A message of about `size` octets. It does not compress well, and no other is like it.
pub(crate) fn message(id: &str, size: usize) -> Vec<u8> {
    let mut state = id.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut text = format!("From: s@example.org\r\nSubject: {id}\r\nX-Id: {id}\r\nX-Size: {size}\r\n\r\n");
    while text.len() < size {
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("{:016x}", state ^ (state >> 29)));
        }
        text.push_str("\r\n");
    }
    text.into_bytes()
}

/// The id in a message that was fetched, and whether the rest is what was sent.
pub(crate) fn recognize(body: &[u8]) -> Option<(String, bool)> {
    let head = String::from_utf8_lossy(body.get(..body.len().min(4_096))?).into_owned();
    let field = |name: &str| Some(head.split(name).nth(1)?.lines().next()?.to_owned());
    let (id, size) = (field("X-Id: ")?, field("X-Size: ")?.parse().ok()?);
    let whole = body.ends_with(&message(&id, size));
    Some((id, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_recognized_and_a_changed_one_too() {
        let mut body = [b"Return-Path: <x>\r\n", &message("7-1", 3_000)[..]].concat();
        assert_eq!(recognize(&body), Some(("7-1".to_owned(), true)));
        let last = body.len() - 5;
        body[last] ^= 1;
        assert_eq!(recognize(&body), Some(("7-1".to_owned(), false)));
        assert_ne!(message("7-1", 3_000), message("7-2", 3_000));
    }
}
