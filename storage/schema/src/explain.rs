//! Any key, read back for a human.

use crate::keys::FAMILIES;

/// The key's kind and fields, for `godwit key explain`; an unknown key is shown as its bytes.
pub fn explain(bytes: &[u8]) -> String {
    known(bytes).unwrap_or_else(|| format!("unknown key: {}", bytes.escape_ascii()))
}

/// Whether the bytes are a key of any family here.
pub fn is_known(bytes: &[u8]) -> bool {
    known(bytes).is_some()
}

fn known(bytes: &[u8]) -> Option<String> {
    let family = bytes.first().and_then(|tag| FAMILIES.iter().find(|(first, _)| first == tag));
    family.and_then(|(_, explain)| explain(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown() {
        assert_eq!(explain(b"Si"), "IncarnationKey");
        assert_eq!(explain(b"S?"), "unknown key: S?");
        assert_eq!(explain(b"\x00"), "unknown key: \\x00");
        assert_eq!(explain(b""), "unknown key: ");
        assert!(is_known(b"Si") && !is_known(b"S?") && !is_known(b""));
    }
}
