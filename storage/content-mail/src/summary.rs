//! What is known of a message after it was read once.

use std::ops::Range;

use crate::{Address, Part};

/// Everything that list views, ENVELOPE, BODYSTRUCTURE and section fetches need, without the body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Octets of the whole message.
    pub size: u64,
    /// Octets of the header, its blank line included; the body is the rest.
    pub header_size: u64,
    /// The message's own ENVELOPE.
    pub envelope: Envelope,
    /// The root of the BODYSTRUCTURE tree.
    pub structure: Part,
    /// The beginning of the text as one line, at most 256 characters (RFC 8970 §3.1).
    pub preview: String,
    /// Whether a client should show a paper clip (RFC 8621 §4.1.4 `hasAttachment`).
    pub has_attachment: bool,
    /// The ids that thread this message.
    pub message_ids: MessageIds,
    /// The subject without prefixes and suffixes (RFC 5256 §2.1), decoded.
    pub base_subject: String,
    /// Whether removing them found a reply or a forward (RFC 5256 §2.1).
    pub is_reply_or_forward: bool,
    /// The Date field in milliseconds since the epoch, where it can be read.
    pub sent: Option<i64>,
    /// Where each field of the message's header is; capped by `Limits::header_fields`.
    pub headers: Vec<HeaderField>,
}

/// The fields of an IMAP ENVELOPE (RFC 9051 §7.5.2), unfolded and otherwise as they were written: encoded
/// words (RFC 2047) are kept, see [`crate::decode::words`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// The text of the Date field.
    pub date: Option<String>,
    /// The text of the Subject field.
    pub subject: Option<String>,
    /// From.
    pub from: Vec<Address>,
    /// Sender; From where there is none (RFC 9051 §7.5.2).
    pub sender: Vec<Address>,
    /// Reply-To; From where there is none (RFC 9051 §7.5.2).
    pub reply_to: Vec<Address>,
    /// To.
    pub to: Vec<Address>,
    /// Cc.
    pub cc: Vec<Address>,
    /// Bcc.
    pub bcc: Vec<Address>,
    /// The text of the In-Reply-To field.
    pub in_reply_to: Option<String>,
    /// The text of the Message-ID field.
    pub message_id: Option<String>,
}

/// Message ids without their angle brackets, in the order of the header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageIds {
    /// Message-ID.
    pub message_id: Option<String>,
    /// In-Reply-To.
    pub in_reply_to: Vec<String>,
    /// References, oldest first.
    pub references: Vec<String>,
}

/// Where one header field is in the message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderField {
    /// The field's name, without the colon.
    pub name: Range<u64>,
    /// What follows the colon, folds and the final line end included.
    pub value: Range<u64>,
}

impl HeaderField {
    /// The whole field, from the first octet of its name through its line end.
    pub fn span(&self) -> Range<u64> {
        self.name.start..self.value.end
    }
}
