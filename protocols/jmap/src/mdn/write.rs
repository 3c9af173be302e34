//! A notification as a message (RFC 8098 §3): a text for people, fields for machines, and the message that it is about if that is asked for.

use content_mail::build::Mdn;
use content_mail::compose::{self, Entry, Facts, NewContent, NewPart, Person, Piece, Transfer};
use content_mail::{ContentType, Summary, decode};

use crate::Services;
use crate::identity::Identity;

/// What is in it for people.
pub(super) struct Letter {
    from: Person,
    to: Vec<Entry>,
    pub(super) subject: String,
    pub(super) text: String,
    /// The ids of the message that it is about, and of those before.
    references: Vec<String>,
}

impl Letter {
    /// To these, about a message; subject and text are ours where none are given.
    pub(super) fn of(
        mdn: &Mdn,
        identity: &Identity,
        to: &[String],
        about: &Summary,
        (subject, text): (Option<&String>, Option<&String>),
    ) -> Self {
        let original = about.envelope.subject.as_deref().map(decode::words).unwrap_or_default();
        let record = &identity.record;
        let name = Some(record.name.clone()).filter(|name| !name.is_empty());
        let own = mdn.final_recipient.rsplit(';').next().unwrap_or_default().trim();
        let what = format!(
            "Your message to {own} was {}: {original}\n\nThat it was read or understood is not said.\n",
            mdn.kind
        );
        let mut references = about.message_ids.references.clone();
        references.extend(about.message_ids.message_id.clone());
        Letter {
            from: Person { name, email: record.email.clone() },
            to: to.iter().map(|email| Entry::Person(Person { name: None, email: email.clone() })).collect(),
            subject: subject.cloned().unwrap_or_else(|| format!("Disposition notification: {original}")),
            text: text.cloned().unwrap_or(what),
            references,
        }
    }
}

/// The message.
pub(super) fn message(services: &Services, letter: &Letter, mdn: &Mdn, original: Option<&[u8]>) -> Vec<u8> {
    let (now, rng) = (services.clock.now(), &services.rng);
    let domain = letter.from.email.rsplit('@').next().unwrap_or_default();
    let id = format!("{:x}.{:016x}@{domain}", now.millis(), rng.u64());
    let mut fields = vec![compose::date("Date", now.secs(), 0)];
    fields.extend(compose::addresses("From", &[Entry::Person(letter.from.clone())]));
    fields.extend(compose::addresses("To", &letter.to));
    fields.push(compose::text("Subject", &letter.subject));
    fields.push(compose::ids("Message-ID", &[id]));
    if let Some(last) = letter.references.last() {
        fields.push(compose::ids("In-Reply-To", std::slice::from_ref(last)));
        fields.push(compose::ids("References", &letter.references));
    }
    if mdn.action == "automatic-action" {
        // RFC 3834 §5
        fields.push(compose::text("Auto-Submitted", "auto-replied"));
    }
    let report = mdn.render();
    let stored: Vec<&[u8]> = std::iter::once(report.as_bytes()).chain(original).collect();
    let mut boundary = || format!("{:016x}{:016x}", rng.u64(), rng.u64());
    let pieces = compose::compose(&fields, &root(letter, &stored), &mut boundary);
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Octets(octets) => out.extend_from_slice(&octets),
            Piece::Stored { number, encoding } => {
                let mut transfer = Transfer::new(&encoding);
                transfer.push(stored.get(number).copied().unwrap_or_default(), &mut out);
                transfer.finish(&mut out);
            }
        }
    }
    out
}

/// RFC 8098 §3: text, fields, message. What is stored is known by its number.
fn root(letter: &Letter, stored: &[&[u8]]) -> NewPart {
    let text = NewContent::Text(letter.text.clone());
    let mut parts = vec![NewPart::new(ContentType::new("text", "plain"), text)];
    for ((number, octets), subtype) in stored.iter().enumerate().zip(["disposition-notification", "rfc822"]) {
        let mut facts = Facts::default();
        facts.push(octets);
        parts.push(NewPart::new(ContentType::new("message", subtype), NewContent::Stored { number, facts }));
    }
    let mut kind = ContentType::new("multipart", "report");
    kind.params.push(("report-type".to_owned(), "disposition-notification".to_owned()));
    NewPart::new(kind, NewContent::Multipart(parts))
}
