//! What is known of a message after it was parsed once: ENVELOPE, BODYSTRUCTURE, preview, header offsets.
//!
//! The fields mirror `content_mail::Summary`; the conversion lives with the mail model.

use crate::Record;

/// The structure record of an email.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StructureRecord {
    /// Octets of the message.
    #[prost(uint64, tag = "1")]
    pub size: u64,
    /// Octets of its header, the blank line included.
    #[prost(uint64, tag = "2")]
    pub header_size: u64,
    /// ENVELOPE.
    #[prost(message, optional, tag = "3")]
    pub envelope: Option<EnvelopeRecord>,
    /// Root of the parts.
    #[prost(message, optional, tag = "4")]
    pub part: Option<PartRecord>,
    /// Beginning of the text.
    #[prost(string, tag = "5")]
    pub preview: String,
    /// Whether there is an attachment to show.
    #[prost(bool, tag = "6")]
    pub has_attachment: bool,
    /// Message-ID without brackets; none if it is the envelope's, in brackets.
    #[prost(string, optional, tag = "7")]
    pub message_id: Option<String>,
    /// In-Reply-To, split; empty if it is the envelope's one id.
    #[prost(string, repeated, tag = "8")]
    pub in_reply_to: Vec<String>,
    /// References, oldest first.
    #[prost(string, repeated, tag = "9")]
    pub references: Vec<String>,
    /// Base subject (RFC 5256 §2.1); none if it is the envelope's subject as it stands.
    #[prost(string, optional, tag = "10")]
    pub base_subject: Option<String>,
    /// Whether the subject marks a reply or a forward.
    #[prost(bool, tag = "11")]
    pub is_reply_or_forward: bool,
    /// Date field in milliseconds since the epoch.
    #[prost(int64, optional, tag = "12")]
    pub sent: Option<i64>,
    /// Offsets of the header's fields, four to a field: octets from the end of the last field to the name,
    /// the name's length, octets from its end to the value, the value's length.
    #[prost(uint64, repeated, tag = "13")]
    pub headers: Vec<u64>,
    /// What of the message's ids is the envelope's, in brackets: bit 0 Message-ID, bit 1 In-Reply-To.
    #[prost(uint32, tag = "14")]
    pub as_in_envelope: u32,
}

impl Record for StructureRecord {}

/// What lists show of a [`StructureRecord`]: read of the same bytes, of which parts and offsets are passed over, and never
/// written.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeadRecord {
    /// ENVELOPE.
    #[prost(message, optional, tag = "3")]
    pub envelope: Option<HeadEnvelopeRecord>,
    /// As [`StructureRecord::preview`].
    #[prost(string, tag = "5")]
    pub preview: String,
    /// As [`StructureRecord::has_attachment`].
    #[prost(bool, tag = "6")]
    pub has_attachment: bool,
    /// As [`StructureRecord::message_id`].
    #[prost(string, optional, tag = "7")]
    pub message_id: Option<String>,
    /// As [`StructureRecord::in_reply_to`].
    #[prost(string, repeated, tag = "8")]
    pub in_reply_to: Vec<String>,
    /// As [`StructureRecord::references`].
    #[prost(string, repeated, tag = "9")]
    pub references: Vec<String>,
    /// As [`StructureRecord::base_subject`].
    #[prost(string, optional, tag = "10")]
    pub base_subject: Option<String>,
    /// As [`StructureRecord::sent`].
    #[prost(int64, optional, tag = "12")]
    pub sent: Option<i64>,
    /// As [`StructureRecord::as_in_envelope`].
    #[prost(uint32, tag = "14")]
    pub as_in_envelope: u32,
}

impl Record for HeadRecord {}

/// What lists show of an [`EnvelopeRecord`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct HeadEnvelopeRecord {
    /// Date field.
    #[prost(string, optional, tag = "1")]
    pub date: Option<String>,
    /// Subject field.
    #[prost(string, optional, tag = "2")]
    pub subject: Option<String>,
    /// From.
    #[prost(message, repeated, tag = "3")]
    pub from: Vec<AddressRecord>,
    /// To.
    #[prost(message, repeated, tag = "6")]
    pub to: Vec<AddressRecord>,
    /// Cc.
    #[prost(message, repeated, tag = "7")]
    pub cc: Vec<AddressRecord>,
    /// Bcc.
    #[prost(message, repeated, tag = "8")]
    pub bcc: Vec<AddressRecord>,
    /// In-Reply-To field.
    #[prost(string, optional, tag = "9")]
    pub in_reply_to: Option<String>,
    /// Message-ID field.
    #[prost(string, optional, tag = "10")]
    pub message_id: Option<String>,
}

/// An ENVELOPE.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EnvelopeRecord {
    /// Date field.
    #[prost(string, optional, tag = "1")]
    pub date: Option<String>,
    /// Subject field.
    #[prost(string, optional, tag = "2")]
    pub subject: Option<String>,
    /// From.
    #[prost(message, repeated, tag = "3")]
    pub from: Vec<AddressRecord>,
    /// Sender, unless it is From.
    #[prost(message, repeated, tag = "4")]
    pub sender: Vec<AddressRecord>,
    /// Reply-To, unless it is From.
    #[prost(message, repeated, tag = "5")]
    pub reply_to: Vec<AddressRecord>,
    /// To.
    #[prost(message, repeated, tag = "6")]
    pub to: Vec<AddressRecord>,
    /// Cc.
    #[prost(message, repeated, tag = "7")]
    pub cc: Vec<AddressRecord>,
    /// Bcc.
    #[prost(message, repeated, tag = "8")]
    pub bcc: Vec<AddressRecord>,
    /// In-Reply-To field.
    #[prost(string, optional, tag = "9")]
    pub in_reply_to: Option<String>,
    /// Message-ID field.
    #[prost(string, optional, tag = "10")]
    pub message_id: Option<String>,
    /// What is the same as From: bit 0 Sender, bit 1 Reply-To.
    #[prost(uint32, tag = "11")]
    pub as_from: u32,
}

/// An entry of an address list: a mailbox, or a named group.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AddressRecord {
    /// Display name; a group's name.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// Source route.
    #[prost(string, optional, tag = "2")]
    pub route: Option<String>,
    /// Local part.
    #[prost(string, tag = "3")]
    pub local: String,
    /// Domain; empty where there is none.
    #[prost(string, tag = "4")]
    pub domain: String,
    /// Whether it is a group.
    #[prost(bool, tag = "5")]
    pub group: bool,
    /// Members of a group.
    #[prost(message, repeated, tag = "6")]
    pub members: Vec<AddressRecord>,
}

/// A body part.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PartRecord {
    /// Start of its header, in octets from the start of the message.
    #[prost(uint64, tag = "1")]
    pub start: u64,
    /// Octets of its header.
    #[prost(uint64, tag = "2")]
    pub header_len: u64,
    /// Octets between header and body.
    #[prost(uint64, tag = "3")]
    pub gap: u64,
    /// Octets of its body.
    #[prost(uint64, tag = "4")]
    pub body_len: u64,
    /// Lines of its body.
    #[prost(uint64, tag = "5")]
    pub lines: u64,
    /// Content-Type; none for `text/plain; charset=us-ascii`.
    #[prost(message, optional, tag = "6")]
    pub content_type: Option<TypeRecord>,
    /// Content-Transfer-Encoding: 0 `7bit`, 1 `8bit`, 2 `binary`, 3 `quoted-printable`, 4 `base64`, 5 other.
    #[prost(uint32, tag = "7")]
    pub encoding: u32,
    /// The other encoding's name.
    #[prost(string, tag = "8")]
    pub other_encoding: String,
    /// Content-ID.
    #[prost(string, optional, tag = "9")]
    pub id: Option<String>,
    /// Content-Description.
    #[prost(string, optional, tag = "10")]
    pub description: Option<String>,
    /// Content-MD5.
    #[prost(string, optional, tag = "11")]
    pub md5: Option<String>,
    /// Content-Disposition; the subtype is empty.
    #[prost(message, optional, tag = "12")]
    pub disposition: Option<TypeRecord>,
    /// Content-Language.
    #[prost(string, repeated, tag = "13")]
    pub language: Vec<String>,
    /// Content-Location.
    #[prost(string, optional, tag = "14")]
    pub location: Option<String>,
    /// Parts of a multipart, or the one root of an enclosed message.
    #[prost(message, repeated, tag = "15")]
    pub parts: Vec<PartRecord>,
    /// ENVELOPE of an enclosed message.
    #[prost(message, optional, tag = "16")]
    pub envelope: Option<EnvelopeRecord>,
}

/// A media type or disposition with its parameters.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TypeRecord {
    /// Type or disposition.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// Subtype.
    #[prost(string, tag = "2")]
    pub subtype: String,
    /// Names and values of the parameters, alternating.
    #[prost(string, repeated, tag = "3")]
    pub params: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixture() {
        let record = StructureRecord {
            size: 300,
            header_size: 100,
            envelope: Some(EnvelopeRecord { subject: Some("x".into()), as_from: 3, ..Default::default() }),
            part: Some(PartRecord { header_len: 100, body_len: 200, lines: 4, ..Default::default() }),
            preview: "p".into(),
            headers: vec![0, 4, 2, 10],
            ..Default::default()
        };
        let bytes = [
            1, 8, 0xac, 2, 16, 100, 26, 5, 18, 1, b'x', 88, 3, 34, 7, 16, 100, 32, 0xc8, 1, 40, 4, 42, 1,
            b'p', 106, 4, 0, 4, 2, 10,
        ];
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(StructureRecord::from_bytes(&bytes), Ok(record));
    }
}
