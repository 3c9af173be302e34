//! What texts a message is searched in: the scan looks at them, and an index is made of the same.

use content_mail::address::{Address, Mailbox};
use content_mail::{Envelope, headers};

use crate::Field;

/// Bytes of a header that are searched.
pub const HEADER: u64 = 1 << 20;
/// Bytes of a message that are searched; what lies behind is text of no human.
pub const BODY: u64 = 32 << 20;

/// The texts of a field of the envelope, until `visit` returns false; nothing for a named field. Returns whether all
/// were visited.
pub fn of_envelope(envelope: &Envelope, field: &Field, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    match field {
        Field::From => addresses(&envelope.from, visit),
        Field::To => addresses(&envelope.to, visit),
        Field::Cc => addresses(&envelope.cc, visit),
        Field::Bcc => addresses(&envelope.bcc, visit),
        Field::Subject => envelope.subject.as_deref().is_none_or(visit),
        Field::Named(_) => true,
    }
}

/// Each address as `name <address>`, each group by its name.
fn addresses(list: &[Address], visit: &mut dyn FnMut(&str) -> bool) -> bool {
    let mut one =
        |m: &Mailbox| visit(&format!("{} <{}>", m.name.as_deref().unwrap_or_default(), m.address()));
    for address in list {
        let more = match address {
            Address::Mailbox(mailbox) => one(mailbox),
            Address::Group { members, .. } => members.iter().all(&mut one),
        };
        if !more {
            return false;
        }
    }
    let groups = list.iter().filter_map(|address| match address {
        Address::Group { name, .. } => Some(name),
        Address::Mailbox(_) => None,
    });
    for name in groups {
        if !visit(name) {
            return false;
        }
    }
    true
}

/// The line of a header field that a search for text anywhere looks at.
pub fn line(field: &headers::Field<'_>) -> String {
    let (name, text) = (String::from_utf8_lossy(field.name), field.text());
    [&*name, ": ", &*text].concat()
}
