//! Signatures of S/MIME (RFC 8551): whether a message bears one, and whether it is by whom it says.
//!
//! Pure: what is trusted and what time it is are given. Whether a certificate was revoked is not asked (RFC 8550 §4.3):
//! that would tell its issuer who reads which mail, and when. What is encrypted stays so: keys are with users.

mod ber;
mod signed;
mod signer;
#[cfg(test)]
mod tests;
mod trust;

use std::time::Duration;

use rustls_pki_types::UnixTime;

pub use trust::Trust;

use crate::{Content, Mailbox, Part, Summary, address, decode};

/// How a message is of S/MIME.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The signature is beside what is signed (RFC 8551 §3.5.3).
    Detached,
    /// All is within a value of CMS (RFC 8551 §3.5.2), which is signed, encrypted or compressed.
    Opaque,
    /// Signed or encrypted by something else, or encrypted.
    Other,
}

/// What is known of a signature (RFC 9219 §4.1 `smimeStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing was signed that could be verified.
    Unknown,
    /// It was, by whom From says, and somebody who is trusted vouches for the certificate.
    Verified,
    /// It was, and that could not be verified.
    Failed,
}

/// What came of verifying a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome.
    pub status: Status,
    /// Why it failed, for people.
    pub errors: Vec<String>,
    /// Up to when it is the same, if the same authorities are trusted, in seconds since the epoch: then a certificate that came
    /// with the message begins or ends. None if none will.
    pub until: Option<u64>,
}

/// Octets of a message whose signature is verified: it is read as a whole.
pub const LARGEST: u64 = 32 << 20;

/// Whether a message is of S/MIME, by its structure; a signed one within another message or multipart is not, since
/// what is around it was not signed.
pub fn kind(structure: &Part) -> Option<Kind> {
    let content_type = &structure.content_type;
    if content_type.is("multipart", "signed") {
        let protocol = content_type.param("protocol").unwrap_or_default();
        let is_ours = ["application/pkcs7-signature", "application/x-pkcs7-signature"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(protocol.trim()));
        return Some(if is_ours { Kind::Detached } else { Kind::Other });
    }
    if !["pkcs7-mime", "x-pkcs7-mime"].iter().any(|known| content_type.is("application", known)) {
        return None;
    }
    let is_signed =
        content_type.param("smime-type").is_none_or(|kind| kind.eq_ignore_ascii_case("signed-data"));
    Some(if is_signed { Kind::Opaque } else { Kind::Other })
}

/// Verifies the signature of a message as of a time, in seconds since the epoch; none for a message without one.
/// `message` are the octets that `summary` describes.
pub fn verify(message: &[u8], summary: &Summary, trust: &Trust, at: u64) -> Option<Verdict> {
    let structure = &summary.structure;
    let (outcome, until) = match kind(structure)? {
        Kind::Other => (Ok(Status::Unknown), None),
        Kind::Opaque => {
            let der = decode::transfer(&structure.encoding, octets(message, &structure.body));
            check(&der, None, summary, trust, at)
        }
        Kind::Detached => match two_parts(structure) {
            // RFC 8551 §3.5.3: its header is signed, too.
            Some((content, signature)) => {
                let content = octets(message, &(content.header.start..content.body.end));
                let der = decode::transfer(&signature.encoding, octets(message, &signature.body));
                check(&der, Some(content), summary, trust, at)
            }
            None => (Err(vec![signed::Error::NoSignature.to_string()]), None),
        },
    };
    Some(match outcome {
        Ok(status) => Verdict { status, errors: Vec::new(), until },
        Err(errors) => Verdict { status: Status::Failed, errors, until },
    })
}

/// RFC 1847 §2.1: what is signed, and the signature.
fn two_parts(structure: &Part) -> Option<(&Part, &Part)> {
    match &structure.content {
        Content::Multipart(parts) => match parts.as_slice() {
            [content, signature] => Some((content, signature)),
            _ => None,
        },
        _ => None,
    }
}

fn octets<'m>(message: &'m [u8], range: &std::ops::Range<u64>) -> &'m [u8] {
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(message.len());
    message.get(at(range.start)..at(range.end)).unwrap_or_default()
}

/// The outcome, and up to when it is that.
fn check(
    cms: &[u8],
    content: Option<&[u8]>,
    summary: &Summary,
    trust: &Trust,
    at: u64,
) -> (Result<Status, Vec<String>>, Option<u64>) {
    match signed::Signed::parse(cms, content) {
        Ok(Some(signed)) => (by_a_signer(&signed, summary, trust, at), signed.next_boundary(at)),
        Ok(None) => (Ok(Status::Unknown), None),
        Err(error) => (Err(vec![error.to_string()]), None),
    }
}

/// One signer who is whom From names is enough: others may sign by ways that are not known here (RFC 5652 §5.1).
fn by_a_signer(
    signed: &signed::Signed,
    summary: &Summary,
    trust: &Trust,
    at: u64,
) -> Result<Status, Vec<String>> {
    let from: Vec<String> = address::mailboxes(&summary.envelope.from).map(Mailbox::address).collect();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let mut errors = Vec::new();
    for signer in signed.signers() {
        match signed.verify(signer).and_then(|certificate| certificate.vouched(signed, trust, &from, at)) {
            Ok(()) => return Ok(Status::Verified),
            Err(error) => errors.push(error.to_string()),
        }
    }
    if errors.is_empty() {
        // Certificates alone (RFC 8551 §3.2.2).
        return Ok(Status::Unknown);
    }
    Err(errors)
}
