//! The body of an email that is made: a tree of parts, or lists of them, and the texts in them (RFC 8621 §4.1.4, §4.6).

use std::collections::{BTreeMap, BTreeSet};

use content_mail::compose::{Facts, NewContent, NewPart};
use content_mail::{ContentType, Disposition, Limits, summarize};
use jmap_proto::Object;
use jmap_proto::mail::header::HeaderProperty;
use serde_json::{Map, Value};

use super::header::Header;
use crate::options::PARTS;

/// Properties of an email that are about its body.
pub(super) const PROPERTIES: [&str; 5] =
    ["bodyStructure", "textBody", "htmlBody", "attachments", "bodyValues"];

/// A body as it is asked for; blobs are named by number.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) root: NewPart,
    pub(super) blobs: Vec<String>,
}

/// Names of properties that are wrong.
type Wrong = Vec<String>;

impl Body {
    /// Reads it; `names` are the fields that the email defines, in lower case.
    ///
    /// # Errors
    /// Names of properties that are not valid.
    pub(super) fn read<'a>(object: &Object, names: impl Iterator<Item = &'a str>) -> Result<Self, Wrong> {
        let given = |name: &str| object.get(name).filter(|value| !value.is_null());
        let values = values(given("bodyValues")).ok_or_else(|| vec!["bodyValues".to_owned()])?;
        let mut reader = Reader { values: &values, blobs: Vec::new(), parts: 0, fields: BTreeSet::new() };
        let lists = ["textBody", "htmlBody", "attachments"];
        let root = match given("bodyStructure") {
            // RFC 8621 §4.6: the one or the others.
            Some(_) if lists.iter().any(|name| given(name).is_some()) => None,
            Some(structure) => reader.part(structure, &Default::none("text/plain"), true),
            None => return lists_of(given, reader),
        };
        let twice = names.into_iter().any(|name| reader.fields.contains(name));
        let root = root.filter(|_| !twice).ok_or_else(|| vec!["bodyStructure".to_owned()])?;
        Ok(Body { root, blobs: reader.blobs })
    }
}

/// RFC 8621 §4.6: the lists become the tree that RFC 8621 §4.1.4 makes them of.
fn lists_of<'v>(given: impl Fn(&str) -> Option<&'v Value>, mut reader: Reader<'_>) -> Result<Body, Wrong> {
    let mut wrong = Wrong::new();
    let mut list = |name: &str, default: Default, one: bool| {
        let parts = match given(name) {
            None => Some(Vec::new()),
            Some(Value::Array(parts)) if !one || parts.len() == 1 => {
                parts.iter().map(|part| reader.part(part, &default, false)).collect()
            }
            Some(_) => None,
        };
        let is_text = |part: &NewPart| {
            format!("{}/{}", part.content_type.kind, part.content_type.subtype) == default.kind
        };
        let parts = parts.filter(|parts: &Vec<NewPart>| !one || parts.iter().all(is_text));
        parts.unwrap_or_else(|| {
            wrong.push(name.to_owned());
            Vec::new()
        })
    };
    let text = list("textBody", Default::none("text/plain"), true).pop();
    let html = list("htmlBody", Default::none("text/html"), true).pop();
    let attachments = list(
        "attachments",
        Default { kind: "application/octet-stream", disposition: Some("attachment") },
        false,
    );
    if wrong.is_empty() {
        Ok(Body { root: tree(text, html, attachments), blobs: reader.blobs })
    } else {
        Err(wrong)
    }
}

/// Text and HTML are alternatives; what the HTML shows is related to it; the rest is attached.
fn tree(text: Option<NewPart>, html: Option<NewPart>, attachments: Vec<NewPart>) -> NewPart {
    let shown = |part: &NewPart| {
        html.is_some()
            && part.id.is_some()
            && part.disposition.as_ref().is_some_and(|one| one.kind == "inline")
    };
    let (related, mut attached): (Vec<_>, Vec<_>) = attachments.into_iter().partition(shown);
    let html = html.map(|html| match related.is_empty() {
        true => html,
        false => multipart("related", std::iter::once(html).chain(related).collect()),
    });
    let body = match (text, html) {
        (Some(text), Some(html)) => Some(multipart("alternative", vec![text, html])),
        (text, html) => text.or(html),
    };
    match (body, attached.len()) {
        (Some(body), 0) => body,
        (None, 0) => NewPart::new(ContentType::new("text", "plain"), NewContent::Text(String::new())),
        (None, 1) => attached.remove(0),
        (body, _) => multipart("mixed", body.into_iter().chain(attached).collect()),
    }
}

fn multipart(subtype: &str, parts: Vec<NewPart>) -> NewPart {
    NewPart::new(ContentType::new("multipart", subtype), NewContent::Multipart(parts))
}

/// `bodyValues` (RFC 8621 §4.6): nothing in them is cut off, or could not be read.
fn values(value: Option<&Value>) -> Option<BTreeMap<&str, &str>> {
    let Some(value) = value else { return Some(BTreeMap::new()) };
    let one = |(id, value): (&'_ String, &'_ Value)| -> bool {
        let _ = id;
        let Some(object) = value.as_object() else { return false };
        let absent = |name: &str| object.get(name).is_none_or(|flag| *flag == Value::Bool(false));
        let known = ["value", "isTruncated", "isEncodingProblem"];
        object.get("value").is_some_and(Value::is_string)
            && absent("isTruncated")
            && absent("isEncodingProblem")
            && object.keys().all(|name| known.contains(&name.as_str()))
    };
    let object = value.as_object().filter(|object| object.iter().all(one))?;
    object.iter().map(|(id, value)| Some((id.as_str(), value.get("value")?.as_str()?))).collect()
}

/// What a part is where it does not say it.
struct Default {
    kind: &'static str,
    disposition: Option<&'static str>,
}

impl Default {
    fn none(kind: &'static str) -> Self {
        Default { kind, disposition: None }
    }
}

struct Reader<'v> {
    values: &'v BTreeMap<&'v str, &'v str>,
    blobs: Vec<String>,
    parts: usize,
    /// Fields that the root defines, in lower case.
    fields: BTreeSet<String>,
}

/// Properties of a part (RFC 8621 §4.1.4) besides `header:*`.
const PART: [&str; 11] = [
    "partId",
    "blobId",
    "size",
    "name",
    "type",
    "charset",
    "disposition",
    "cid",
    "language",
    "location",
    "subParts",
];

impl Reader<'_> {
    /// An `EmailBodyPart`; none if it breaks a rule of RFC 8621 §4.6.
    fn part(&mut self, value: &Value, default: &Default, root: bool) -> Option<NewPart> {
        self.parts += 1;
        let object = value.as_object().filter(|_| self.parts <= PARTS)?;
        let properties = Properties::read(object)?;
        let within = object.get("subParts").filter(|value| !value.is_null());
        let default_kind = if within.is_some() { "multipart/mixed" } else { default.kind };
        let mut content_type = properties.content_type(default_kind)?;
        let content = match within {
            Some(parts) => {
                let parts = parts.as_array().filter(|parts| !parts.is_empty())?;
                let own = ["partId", "blobId", "charset"].iter().all(|name| properties.text(name).is_none());
                if content_type.kind != "multipart" || !own {
                    return None;
                }
                let parts = parts.iter().map(|part| self.part(part, &Default::none("text/plain"), false));
                NewContent::Multipart(parts.collect::<Option<_>>()?)
            }
            None => self.leaf(&properties, &mut content_type)?,
        };
        let mut part = NewPart::new(content_type, content);
        part.disposition = properties.disposition(default.disposition)?;
        part.id = properties.text("cid").map(str::to_owned);
        part.location = properties.text("location").map(str::to_owned);
        part.language = properties.language.clone();
        if root {
            self.fields = properties.defined();
        }
        part.fields = properties.header.into_fields();
        Some(part)
    }

    fn leaf(&mut self, properties: &Properties<'_>, kind: &mut ContentType) -> Option<NewContent> {
        if kind.kind == "multipart" {
            return None;
        }
        let charset = properties.text("charset");
        match (properties.text("partId"), properties.text("blobId")) {
            (Some(id), None) => {
                // RFC 8621 §4.6: the server says in which charset it writes the text, and how long that is.
                let text = self.values.get(id).filter(|_| charset.is_none() && properties.size.is_none())?;
                kind.params.retain(|(name, _)| name != "charset");
                // RFC 2046 §4.1: what is text is text, whatever it is called.
                (kind.kind == "text").then(|| NewContent::Text((*text).to_owned()))
            }
            (None, Some(blob)) => {
                if let Some(charset) = charset {
                    kind.params.push(("charset".to_owned(), charset.to_owned()));
                }
                self.blobs.push(blob.to_owned());
                Some(NewContent::Stored { number: self.blobs.len() - 1, facts: Facts::default() })
            }
            _ => None,
        }
    }
}

/// The properties of a part, each of its kind.
struct Properties<'v> {
    texts: BTreeMap<&'v str, &'v str>,
    size: Option<&'v Value>,
    language: Vec<String>,
    header: Header,
    /// `header:Content-Type` and `header:Content-Disposition`, as they are read.
    given: Vec<(String, ContentType, Option<Disposition>)>,
}

/// Fields for which there are properties of a part.
const OWN: [(&str, &[&str]); 5] = [
    ("content-type", &["type", "charset", "name"]),
    ("content-disposition", &["disposition", "name"]),
    ("content-id", &["cid"]),
    ("content-language", &["language"]),
    ("content-location", &["location"]),
];

impl<'v> Properties<'v> {
    fn read(object: &'v Map<String, Value>) -> Option<Self> {
        let mut read = Properties {
            texts: BTreeMap::new(),
            size: None,
            language: Vec::new(),
            header: Header::default(),
            given: Vec::new(),
        };
        for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            match name.as_str() {
                "subParts" => {}
                "size" => read.size = Some(value),
                "language" => {
                    let texts =
                        value.as_array()?.iter().map(|one| one.as_str().and_then(plain).map(str::to_owned));
                    read.language = texts.collect::<Option<_>>()?;
                }
                name if PART.contains(&name) => {
                    read.texts.insert(name, value.as_str().and_then(plain)?);
                }
                name => read.field(&HeaderProperty::parse(name)?.ok()?, value)?,
            }
        }
        // RFC 8621 §4.6: no two properties for the same field.
        let has = |name: &&str| object.get(*name).is_some_and(|value| !value.is_null());
        let twice = OWN.iter().any(|(field, names)| read.defines(field) && names.iter().any(&has));
        (!twice).then_some(read)
    }

    fn field(&mut self, property: &HeaderProperty, value: &Value) -> Option<()> {
        let name = property.field.to_ascii_lowercase();
        if name != "content-type" && name != "content-disposition" {
            return self.header.read_of_part(property, value).then_some(());
        }
        // These two are written anew, since the server has to add to them.
        let text = value.as_str().filter(|text| !text.contains(['\r', '\n']) && !self.defines(&name))?;
        let part = summarize(format!("{name}: {text}\r\n\r\n").as_bytes(), &Limits::default()).structure;
        self.given.push((name, part.content_type, part.disposition));
        Some(())
    }

    fn defines(&self, field: &str) -> bool {
        self.header.names().any(|name| name == field) || self.given.iter().any(|(name, ..)| name == field)
    }

    /// All fields that it defines, by whatever property.
    fn defined(&self) -> BTreeSet<String> {
        let given = self.given.iter().map(|(name, ..)| name.as_str());
        self.header.names().chain(given).map(str::to_owned).collect()
    }

    fn text(&self, name: &str) -> Option<&'v str> {
        self.texts.get(name).copied()
    }

    fn content_type(&self, default: &str) -> Option<ContentType> {
        if let Some((_, kind, _)) = self.given.iter().find(|(name, ..)| name == "content-type") {
            let mut kind = kind.clone();
            kind.params.retain(|(name, _)| name != "boundary");
            return Some(kind);
        }
        let (kind, subtype) = self.text("type").unwrap_or(default).split_once('/')?;
        let mut of = ContentType::new(token(kind)?, token(subtype)?);
        if let Some(name) = self.text("name") {
            of.params.push(("name".to_owned(), name.to_owned()));
        }
        Some(of)
    }

    #[allow(clippy::option_option, reason = "none for what is no disposition, none within for no field")]
    fn disposition(&self, default: Option<&str>) -> Option<Option<Disposition>> {
        if let Some((.., given)) = self.given.iter().find(|(name, ..)| name == "content-disposition") {
            return given.clone().map(Some);
        }
        let name = self.text("name");
        let kind = match self.text("disposition").or(default) {
            Some(kind) => token(kind)?.to_owned(),
            None if name.is_some() => "attachment".to_owned(),
            None => return Some(None),
        };
        let params = name.map(|name| ("filename".to_owned(), name.to_owned())).into_iter().collect();
        Some(Some(Disposition { kind, params }))
    }
}

/// A text of which nothing is a control character, and that fits a line.
fn plain(text: &str) -> Option<&str> {
    (text.len() <= 1_000 && !text.chars().any(char::is_control)).then_some(text)
}

/// RFC 2045 §5.1, in lower case.
fn token(text: &str) -> Option<&str> {
    let allowed = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b);
    (!text.is_empty() && text.len() <= 100 && text.bytes().all(allowed)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(email: &Value) -> Result<Body, Wrong> {
        Body::read(email.as_object().unwrap(), ["subject"].into_iter())
    }

    /// Types as they nest.
    fn shape(part: &NewPart) -> String {
        let kind = format!("{}/{}", part.content_type.kind, part.content_type.subtype);
        match &part.content {
            NewContent::Multipart(parts) => {
                format!("{kind}({})", parts.iter().map(shape).collect::<Vec<_>>().join(" "))
            }
            _ => kind,
        }
    }

    /// RFC 8621 §4.6
    #[test]
    fn lists_become_a_tree() {
        let values = json!({"t": {"value": "a"}, "h": {"value": "<b>"}});
        let (text, html) = (json!([{"partId": "t"}]), json!([{"partId": "h", "type": "text/html"}]));
        let image = json!({"blobId": "U1", "type": "image/png", "cid": "i@x", "disposition": "inline"});
        let file = json!({"blobId": "U2", "type": "application/pdf", "name": "a.pdf"});
        for (email, wanted) in [
            (json!({}), "text/plain"),
            (json!({"textBody": text, "bodyValues": values}), "text/plain"),
            (
                json!({"textBody": text, "htmlBody": html, "bodyValues": values}),
                "multipart/alternative(text/plain text/html)",
            ),
            (json!({"attachments": [file]}), "application/pdf"),
            (
                json!({"textBody": text, "htmlBody": html, "attachments": [image, file], "bodyValues": values}),
                "multipart/mixed(multipart/alternative(text/plain multipart/related(text/html image/png)) application/pdf)",
            ),
        ] {
            assert_eq!(shape(&read(&email).unwrap().root), wanted);
        }
    }

    #[test]
    fn a_structure_is_taken_as_it_is() {
        let body = read(&json!({
            "bodyValues": {"1": {"value": "x", "isTruncated": false}},
            "bodyStructure": {"type": "multipart/mixed", "subParts": [
                {"partId": "1", "header:X-Part:asText": "p", "language": ["de"]},
                {"blobId": "U1", "size": 5, "type": "text/csv", "charset": "latin1", "name": "a.csv"},
                {"blobId": "U2", "header:Content-Type": "message/rfc822; x=y", "header:Content-Disposition": "inline"},
            ]},
        }))
        .unwrap();
        assert_eq!(shape(&body.root), "multipart/mixed(text/plain text/csv message/rfc822)");
        assert_eq!(body.blobs, ["U1", "U2"]);
        let NewContent::Multipart(parts) = &body.root.content else { panic!("a multipart") };
        assert_eq!(parts[0].fields, ["X-Part: p\r\n"]);
        let param = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parts[1].content_type.params, [param("name", "a.csv"), param("charset", "latin1")]);
        assert_eq!(parts[1].disposition.as_ref().map(|one| one.kind.as_str()), Some("attachment"));
        assert_eq!(parts[2].content_type.params, [param("x", "y")]);
    }

    /// RFC 8621 §4.6: each rule.
    #[test]
    fn what_breaks_a_rule_is_named() {
        let structure = |part: Value| json!({"bodyStructure": part, "bodyValues": {"1": {"value": "x"}}});
        let bad_parts = [
            json!({"partId": "1", "blobId": "U1"}),
            json!({}),
            json!({"partId": "2"}),
            json!({"partId": "1", "charset": "utf-8"}),
            json!({"partId": "1", "size": 1}),
            json!({"partId": "1", "headers": []}),
            json!({"partId": "1", "header:Content-Transfer-Encoding": "7bit"}),
            json!({"partId": "1", "header:Content-Type": "text/plain", "type": "text/html"}),
            json!({"partId": "1", "header:Subject": "again"}),
            json!({"partId": "1", "type": "multipart/mixed"}),
            json!({"partId": "1", "type": "text/plain\r\nX: y"}),
            json!({"partId": "1", "type": "application/json"}),
            json!({"subParts": []}),
            json!({"type": "text/plain", "subParts": [{"partId": "1"}]}),
            json!({"partId": "1", "unheard": 1}),
        ];
        for part in bad_parts {
            assert_eq!(read(&structure(part.clone())).unwrap_err(), ["bodyStructure"], "{part}");
        }
        let text = json!([{"partId": "1"}]);
        let values = json!({"1": {"value": "x"}});
        for (email, names) in [
            (
                json!({"bodyStructure": {"partId": "1"}, "textBody": text, "bodyValues": values}),
                vec!["bodyStructure"],
            ),
            (json!({"textBody": [], "htmlBody": text, "bodyValues": values}), vec!["textBody"]),
            (
                json!({"textBody": [{"partId": "1", "type": "text/html"}], "bodyValues": values}),
                vec!["textBody"],
            ),
            (
                json!({"htmlBody": [{"partId": "1", "type": "text/plain"}], "bodyValues": values}),
                vec!["htmlBody"],
            ),
            (json!({"attachments": {}, "textBody": "x"}), vec!["textBody", "attachments"]),
            (json!({"bodyValues": {"1": {"value": "x", "isTruncated": true}}}), vec!["bodyValues"]),
            (json!({"bodyValues": {"1": {"value": "x", "isEncodingProblem": true}}}), vec!["bodyValues"]),
            (json!({"bodyValues": {"1": "x"}}), vec!["bodyValues"]),
        ] {
            assert_eq!(read(&email).unwrap_err(), names, "{email}");
        }
    }
}
