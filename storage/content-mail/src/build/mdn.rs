//! What a disposition notification says to machines (RFC 8098 §3.1): the fields of `message/disposition-notification`.

use super::{clean, field};
use crate::headers::fields;

/// Octets of a value.
const VALUE: usize = 2_000;
/// Fields of one name that are kept, and of extensions.
const FIELDS: usize = 50;

/// The fields that the RFC itself has.
pub const MDN_FIELDS: [&str; 7] = [
    "Reporting-UA",
    "MDN-Gateway",
    "Original-Recipient",
    "Final-Recipient",
    "Original-Message-ID",
    "Disposition",
    "Error",
];

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mdn {
    /// `Reporting-UA`
    pub reporting_ua: Option<String>,
    /// `MDN-Gateway`
    pub gateway: Option<String>,
    /// `Original-Recipient`, with its type: `rfc822; a@b`.
    pub original_recipient: Option<String>,
    /// `Final-Recipient`, with its type.
    pub final_recipient: String,
    /// `Original-Message-ID`, with its angle brackets.
    pub original_message_id: Option<String>,
    /// `manual-action` or `automatic-action`, in lower case.
    pub action: String,
    /// `mdn-sent-manually` or `mdn-sent-automatically`, in lower case.
    pub sending: String,
    /// `displayed`, `deleted`, `dispatched` or `processed`, in lower case.
    pub kind: String,
    /// What stands in fields `Error`.
    pub errors: Vec<String>,
    /// Further fields.
    pub extensions: Vec<(String, String)>,
}

impl Mdn {
    /// As it is written.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let mut put = |name: &str, value: &str| field(&mut out, name, &clean(value, VALUE));
        let single = [
            ("Reporting-UA", &self.reporting_ua),
            ("MDN-Gateway", &self.gateway),
            ("Original-Recipient", &self.original_recipient),
        ];
        for (name, value) in single {
            if let Some(value) = value {
                put(name, value);
            }
        }
        put("Final-Recipient", &self.final_recipient);
        if let Some(id) = &self.original_message_id {
            put("Original-Message-ID", id);
        }
        put("Disposition", &format!("{}/{}; {}", self.action, self.sending, self.kind));
        self.errors.iter().for_each(|error| put("Error", error));
        for (name, value) in &self.extensions {
            // A name that is none would end the fields, or begin another.
            if is_extension(name) {
                put(name, value);
            }
        }
        out
    }

    /// Reads one. None without the fields that there are always: for whom, and what became of it.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let mut mdn = Mdn::default();
        let mut disposition = None;
        for field in fields(octets) {
            let mut text = field.text();
            crate::fields::truncate(&mut text, VALUE);
            let place =
                MDN_FIELDS.iter().position(|name| field.is(name)).map(|at| MDN_FIELDS.get(at).copied());
            match place.flatten() {
                Some("Reporting-UA") => mdn.reporting_ua = Some(text),
                Some("MDN-Gateway") => mdn.gateway = Some(text),
                Some("Original-Recipient") => mdn.original_recipient = Some(text),
                Some("Final-Recipient") => mdn.final_recipient = text,
                Some("Original-Message-ID") => mdn.original_message_id = Some(text),
                Some("Disposition") => disposition = Some(text),
                Some(_) if mdn.errors.len() < FIELDS => mdn.errors.push(text),
                None if mdn.extensions.len() < FIELDS => {
                    mdn.extensions.push((String::from_utf8_lossy(field.name).into_owned(), text));
                }
                _ => {}
            }
        }
        let disposition = disposition?.to_ascii_lowercase();
        // §3.2.6: "manual-action/MDN-sent-manually; displayed/error,…"; comments and blanks do not matter.
        let (mode, kind) = disposition.split_once(';')?;
        let (action, sending) = mode.split_once('/')?;
        let kind = kind.split(['/', '(']).next().unwrap_or_default();
        (mdn.action, mdn.sending, mdn.kind) =
            (action.trim().to_owned(), sending.trim().to_owned(), kind.trim().to_owned());
        (!mdn.final_recipient.is_empty() && !mdn.kind.is_empty()).then_some(mdn)
    }
}

/// Whether a field may be added under this name (RFC 5322 §2.2): none that the RFC itself has.
pub fn is_extension(name: &str) -> bool {
    let fits =
        !name.is_empty() && name.len() <= 70 && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    fits && !MDN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8098 §9
    #[test]
    fn the_rfcs_example() {
        let text = "Reporting-UA: joes-pc.cs.example.com; Foomail 97.1\r\n\
            Original-Recipient: rfc822;Joe_Recipient@example.com\r\n\
            Final-Recipient: rfc822;Joe_Recipient@example.com\r\n\
            Original-Message-ID: <199509192301.23456@example.org>\r\n\
            Disposition: manual-action/MDN-sent-manually; displayed\r\n";
        let mdn = Mdn::parse(text.as_bytes()).unwrap();
        assert_eq!(mdn.reporting_ua.as_deref(), Some("joes-pc.cs.example.com; Foomail 97.1"));
        assert_eq!(mdn.final_recipient, "rfc822;Joe_Recipient@example.com");
        assert_eq!(
            (mdn.action.as_str(), mdn.sending.as_str(), mdn.kind.as_str()),
            ("manual-action", "mdn-sent-manually", "displayed")
        );
        assert_eq!(Mdn::parse(mdn.render().as_bytes()), Some(mdn));
    }

    #[test]
    fn nothing_breaks_out() {
        let mdn = Mdn {
            final_recipient: "rfc822; a@b\r\nError: forged".into(),
            action: "manual-action".into(),
            sending: "mdn-sent-manually".into(),
            kind: "displayed".into(),
            errors: vec!["one".into()],
            extensions: vec![
                ("X-Own".into(), "v".into()),
                ("Bad: x\r\nY".into(), "v".into()),
                ("disposition".into(), "x".into()),
            ],
            ..Mdn::default()
        };
        let text = mdn.render();
        assert_eq!(text.lines().count(), 4, "{text}");
        let again = Mdn::parse(text.as_bytes()).unwrap();
        assert_eq!(
            (again.errors, again.extensions),
            (vec!["one".into()], vec![("X-Own".into(), "v".into())])
        );
    }

    #[test]
    fn what_lacks_something_is_none() {
        for text in [
            "",
            "Final-Recipient: rfc822;a@b\r\n",
            "Disposition: manual-action/MDN-sent-manually; displayed\r\n",
            "Final-Recipient: rfc822;a@b\r\nDisposition: displayed\r\n",
            "Final-Recipient: rfc822;a@b\r\nDisposition: a/b;\r\n",
        ] {
            assert_eq!(Mdn::parse(text.as_bytes()), None, "{text}");
        }
        let odd = "final-recipient: rfc822;a@b\r\nDISPOSITION: automatic-action/mdn-sent-automatically ; deleted/error (x)\r\n";
        assert_eq!(Mdn::parse(odd.as_bytes()).unwrap().kind, "deleted");
    }
}
