//! Header properties (RFC 8621 §4.1.2, §4.1.3): `header:{field-name}:as{form}:all`.

use std::fmt;

/// How a header field is told (RFC 8621 §4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// As it is, but for octets that are no UTF-8 (§4.1.2.1).
    Raw,
    /// Decoded and unfolded (§4.1.2.2).
    Text,
    /// A list of addresses (§4.1.2.3).
    Addresses,
    /// Addresses with their groups (§4.1.2.4).
    GroupedAddresses,
    /// Message ids (§4.1.2.5).
    MessageIds,
    /// A date (§4.1.2.6).
    Date,
    /// URLs (§4.1.2.7).
    Urls,
}

impl Form {
    const ALL: [(Form, &'static str); 7] = [
        (Form::Raw, "asRaw"),
        (Form::Text, "asText"),
        (Form::Addresses, "asAddresses"),
        (Form::GroupedAddresses, "asGroupedAddresses"),
        (Form::MessageIds, "asMessageIds"),
        (Form::Date, "asDate"),
        (Form::Urls, "asURLs"),
    ];

    fn name(self) -> &'static str {
        Form::ALL.into_iter().find(|(form, _)| *form == self).map_or("asRaw", |(_, name)| name)
    }

    /// Whether a field may be told so: each form lists the fields it is for, and is for all that RFC 5322 and RFC 2369 do
    /// not define.
    pub fn is_for(self, field: &str) -> bool {
        let field = field.to_ascii_lowercase();
        let is = |names: &[&str]| names.contains(&field.as_str());
        let known = ADDRESSES.iter().chain(TEXT).chain(IDS).chain(DATES).chain(URLS).chain(OTHERS);
        let unknown = !known.into_iter().any(|name| *name == field);
        match self {
            Form::Raw => true,
            Form::Text => unknown || is(TEXT),
            Form::Addresses | Form::GroupedAddresses => unknown || is(ADDRESSES),
            Form::MessageIds => unknown || is(IDS),
            Form::Date => unknown || is(DATES),
            Form::Urls => unknown || is(URLS),
        }
    }
}

const ADDRESSES: &[&str] = &[
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "resent-from",
    "resent-sender",
    "resent-reply-to",
    "resent-to",
    "resent-cc",
    "resent-bcc",
];
const TEXT: &[&str] = &["subject", "comments", "keywords", "list-id"];
const IDS: &[&str] = &["message-id", "in-reply-to", "references", "resent-message-id"];
const DATES: &[&str] = &["date", "resent-date"];
const URLS: &[&str] =
    &["list-help", "list-unsubscribe", "list-subscribe", "list-post", "list-owner", "list-archive"];
const OTHERS: &[&str] = &["return-path", "received"];

/// A header property.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderProperty {
    /// The field's name, as the client writes it.
    pub field: String,
    /// How it is told.
    pub form: Form,
    /// Whether all fields of the name are, or the last one only.
    pub all: bool,
}

impl HeaderProperty {
    /// Reads a property's name: none for what does not begin with `header:`, an error for what does and is none.
    ///
    /// # Errors
    /// A field's name is printable ASCII without a colon; a form must be known and fit the field.
    pub fn parse(name: &str) -> Option<Result<HeaderProperty, InvalidHeader>> {
        name.strip_prefix("header:").map(|rest| read(rest).ok_or(InvalidHeader))
    }
}

/// It is no header property, or of a form that is not for its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHeader;

fn read(rest: &str) -> Option<HeaderProperty> {
    let mut parts = rest.split(':');
    let field = parts.next().filter(|field| is_field_name(field))?.to_owned();
    let (mut form, mut all) = (Form::Raw, false);
    let mut next = parts.next();
    if let Some(named) = next.and_then(|part| Form::ALL.into_iter().find(|(_, name)| *name == part)) {
        form = named.0;
        next = parts.next();
    }
    if next == Some("all") {
        all = true;
        next = parts.next();
    }
    (next.is_none() && form.is_for(&field)).then_some(HeaderProperty { field, form, all })
}

/// RFC 5322 §2.2
pub fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 998 && name.bytes().all(|b| (33..=126).contains(&b) && b != b':')
}

impl fmt::Display for HeaderProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header:{}", self.field)?;
        if self.form != Form::Raw {
            write!(f, ":{}", self.form.name())?;
        }
        if self.all { f.write_str(":all") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Option<HeaderProperty> {
        HeaderProperty::parse(name)?.ok()
    }

    /// RFC 8621 §4.1.3, §4.2.1
    #[test]
    fn names_are_read() {
        let plain = |field: &str, form, all| Some(HeaderProperty { field: field.into(), form, all });
        assert_eq!(parse("header:List-POST:asURLs"), plain("List-POST", Form::Urls, false));
        assert_eq!(parse("header:Received:all"), plain("Received", Form::Raw, true));
        assert_eq!(parse("header:X-A:asText:all"), plain("X-A", Form::Text, true));
        assert_eq!(parse("header:From:asRaw"), plain("From", Form::Raw, false));
        assert_eq!(parse("header:X-A:asText:all").unwrap().to_string(), "header:X-A:asText:all");
        assert_eq!(HeaderProperty::parse("from"), None);
    }

    #[test]
    fn others_are_refused() {
        for name in [
            "header:",
            "header:a b",
            "header:é",
            "header:Subject:all:asText",
            "header:Subject:asX",
            "header:Subject:asDate",
            "header:From:asText",
            "header:Date:asMessageIds",
            "header:X:all:all",
            "header::asText",
            "header:Received:asText",
        ] {
            assert_eq!(HeaderProperty::parse(name), Some(Err(InvalidHeader)), "{name}");
        }
    }
}
