//! Parameters of Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2231).

/// Octets of a value in one piece; a longer one goes on in another (RFC 2231 §3).
const PIECE: usize = 50;

/// The parameter, in as many pieces as it takes.
pub(super) fn pieces(name: &str, value: &str) -> Vec<String> {
    let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$&'+-.^_`{|}~%".contains(&b);
    let quoted_size = value.len() + value.bytes().filter(|b| matches!(b, b'"' | b'\\')).count();
    if value.is_ascii() && quoted_size <= PIECE {
        if !value.is_empty() && value.bytes().all(token) {
            return vec![format!("{name}={value}")];
        }
        return vec![format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))];
    }
    extended(name, &value)
}

/// RFC 2231 §4, §4.1: in UTF-8, by percent, numbered if there are several.
fn extended(name: &str, value: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in value.chars() {
        let mut octets = [0; 4];
        let coded: String = c.encode_utf8(&mut octets).bytes().map(octet).collect();
        match parts.last_mut() {
            Some(last) if last.len() + coded.len() <= PIECE => last.push_str(&coded),
            _ => parts.push(coded),
        }
    }
    if let [only] = parts.as_slice() {
        return vec![format!("{name}*=utf-8''{only}")];
    }
    let first = |index: usize| if index == 0 { "utf-8''" } else { "" };
    parts.iter().enumerate().map(|(index, part)| format!("{name}*{index}*={}{part}", first(index))).collect()
}

fn octet(b: u8) -> String {
    if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
        char::from(b).to_string()
    } else {
        format!("%{b:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_every_kind() {
        assert_eq!(pieces("name", "a.txt"), ["name=a.txt"]);
        assert_eq!(pieces("name", "a \"b\".txt"), ["name=\"a \\\"b\\\".txt\""]);
        assert_eq!(pieces("name", ""), ["name=\"\""]);
        assert_eq!(pieces("name", "\u{20ac} 1"), ["name*=utf-8''%E2%82%AC%201"]);
        let long = pieces("name", &"\u{20ac}".repeat(10));
        assert_eq!(long.len(), 2);
        assert!(long[0].starts_with("name*0*=utf-8''%E2") && long[1].starts_with("name*1*=%E2"));
        assert_eq!(pieces("name", "a\r\nX: b"), ["name=\"a  X: b\""]);
    }
}
