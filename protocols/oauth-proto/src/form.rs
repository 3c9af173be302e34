//! `application/x-www-form-urlencoded` (RFC 6749 appendix B), in bodies and queries.

use crate::{Error, ErrorCode};

/// Longest form, in octets.
pub const MAX_FORM: usize = 16 * 1024;

/// Most parameters.
const MAX_PARAMETERS: usize = 64;

/// Parameters, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form.
    ///
    /// # Errors
    /// `invalid_request` for one that is too long, not UTF-8 (RFC 6749 appendix B), not encoded as it must be, or has a
    /// parameter twice (§3.1).
    pub fn parse(text: &[u8]) -> Result<Form, Error> {
        let bad = |detail| Error::new(ErrorCode::InvalidRequest, detail);
        if text.len() > MAX_FORM {
            return Err(bad("the form is too long"));
        }
        let mut form = Form::default();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(at);
            let name = decode(name).ok_or_else(|| bad("a parameter is not encoded as UTF-8"))?;
            let value = decode(value.get(1..).unwrap_or_default())
                .ok_or_else(|| bad("a parameter is not encoded as UTF-8"))?;
            if form.0.iter().any(|(known, _)| *known == name) {
                return Err(bad("a parameter comes twice"));
            }
            if form.0.len() >= MAX_PARAMETERS {
                return Err(bad("there are too many parameters"));
            }
            form.0.push((name, value));
        }
        Ok(form)
    }

    /// A parameter. One that is empty did not come (RFC 6749 §3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn need(&self, name: &'static str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| Error::missing(name))
    }
}

fn decode(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (digit(*bytes.next()?)?, digit(*bytes.next()?)?);
                high << 4 | low
            }
            // Not in a form, and nothing that would be meant.
            0..0x20 => return None,
            other => *other,
        });
    }
    String::from_utf8(out).ok().filter(|text| !text.contains('\0'))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A value, encoded.
pub(crate) fn encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(HEX.get(usize::from(digit)).copied().unwrap_or(b'0')));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 6749 appendix B.
    #[test]
    fn the_rfcs_example() {
        let form = Form::parse(b"a=+%25%26%2B%C2%A3%E2%82%AC&b=&c").unwrap();
        assert_eq!(form.get("a"), Some(" %&+£€"));
        assert_eq!((form.get("b"), form.get("c"), form.get("d")), (None, None, None));
        assert!(form.need("b").is_err());
    }

    #[test]
    fn what_is_no_form() {
        for bad in
            [&b"a=1&a=2"[..], b"a=%", b"a=%4", b"a=%zz", b"a=%ff", b"a=\xff", b"a=%00", b"a=\n", b"%ff=a"]
        {
            assert_eq!(Form::parse(bad).unwrap_err().code, ErrorCode::InvalidRequest, "{bad:?}");
        }
        // Also if one of the two is empty.
        assert!(Form::parse(b"a=&a=1").is_err() && Form::parse(b"a&a").is_err());
        assert!(Form::parse(&vec![b'a'; MAX_FORM + 1]).is_err());
        let many: Vec<String> = (0..65).map(|n| format!("a{n}=1")).collect();
        assert!(Form::parse(many.join("&").as_bytes()).is_err());
        assert!(Form::parse(many[..64].join("&").as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Form::parse(&bytes);
        }

        #[test]
        fn what_is_encoded_reads_back(text in "[^\0]{1,40}") {
            let mut encoded = "a=".to_owned();
            encode(&text, &mut encoded);
            let form = Form::parse(encoded.as_bytes()).unwrap();
            prop_assert_eq!(form.get("a"), Some(text.as_str()));
        }
    }
}
