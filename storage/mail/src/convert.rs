//! A message's summary as its structure record, and back.
//!
//! What repeats is stored once: sender and reply-to where they are From, ids where they are the envelope's.

use std::ops::Range;

use content_mail::address::{Address, Mailbox};
use content_mail::{
    Content, ContentType, Disposition, Encoding, Envelope, HeaderField, MessageIds, NestedMessage, Part,
    Summary,
};
use schema::records::structure::{
    AddressRecord, EnvelopeRecord, HeadRecord, PartRecord, StructureRecord, TypeRecord,
};

use crate::head::Head;

const SENDER_AS_FROM: u32 = 1;
const REPLY_TO_AS_FROM: u32 = 2;
const MESSAGE_ID_AS_ENVELOPE: u32 = 1;
const IN_REPLY_TO_AS_ENVELOPE: u32 = 2;

/// The record of a summary.
pub(crate) fn to_record(summary: &Summary) -> StructureRecord {
    let envelope = &summary.envelope;
    let ids = &summary.message_ids;
    let message_id_same =
        ids.message_id.is_some() && ids.message_id == bracketed(envelope.message_id.as_deref());
    let reply_same = matches!(ids.in_reply_to.as_slice(), [one] if Some(one) == bracketed(envelope.in_reply_to.as_deref()).as_ref());
    let base_same = envelope.subject.as_deref() == Some(summary.base_subject.as_str());
    StructureRecord {
        size: summary.size,
        header_size: summary.header_size,
        envelope: Some(envelope_out(envelope)),
        part: Some(part_out(&summary.structure)),
        preview: summary.preview.clone(),
        has_attachment: summary.has_attachment,
        message_id: if message_id_same { None } else { ids.message_id.clone() },
        in_reply_to: if reply_same { Vec::new() } else { ids.in_reply_to.clone() },
        references: ids.references.clone(),
        base_subject: (!base_same).then(|| summary.base_subject.clone()),
        is_reply_or_forward: summary.is_reply_or_forward,
        sent: summary.sent,
        headers: headers_out(&summary.headers),
        as_in_envelope: u32::from(message_id_same) * MESSAGE_ID_AS_ENVELOPE
            + u32::from(reply_same) * IN_REPLY_TO_AS_ENVELOPE,
    }
}

/// What lists show of a record.
pub(crate) fn head_of(record: HeadRecord) -> Head {
    let envelope = record.envelope.unwrap_or_default();
    let stored = MessageIds {
        message_id: record.message_id,
        in_reply_to: record.in_reply_to,
        references: record.references,
    };
    let fields = (envelope.message_id.as_deref(), envelope.in_reply_to.as_deref());
    Head {
        message_ids: message_ids(record.as_in_envelope, fields, stored),
        base_subject: record.base_subject.or_else(|| envelope.subject.clone()).unwrap_or_default(),
        date: envelope.date,
        subject: envelope.subject,
        from: addresses_in(envelope.from),
        to: addresses_in(envelope.to),
        cc: addresses_in(envelope.cc),
        bcc: addresses_in(envelope.bcc),
        preview: record.preview,
        has_attachment: record.has_attachment,
        sent: record.sent,
    }
}

/// A message's ids: as they are stored, or as the envelope's Message-ID and In-Reply-To have them.
fn message_ids(as_in_envelope: u32, fields: (Option<&str>, Option<&str>), stored: MessageIds) -> MessageIds {
    let same = |bit: u32| as_in_envelope & bit != 0;
    MessageIds {
        message_id: if same(MESSAGE_ID_AS_ENVELOPE) { bracketed(fields.0) } else { stored.message_id },
        in_reply_to: if same(IN_REPLY_TO_AS_ENVELOPE) {
            bracketed(fields.1).into_iter().collect()
        } else {
            stored.in_reply_to
        },
        references: stored.references,
    }
}

/// The summary of a record.
pub(crate) fn from_record(record: StructureRecord) -> Summary {
    let envelope = record.envelope.map(envelope_in).unwrap_or_default();
    let stored = MessageIds {
        message_id: record.message_id,
        in_reply_to: record.in_reply_to,
        references: record.references,
    };
    let fields = (envelope.message_id.as_deref(), envelope.in_reply_to.as_deref());
    let message_ids = message_ids(record.as_in_envelope, fields, stored);
    let base_subject = record.base_subject.or_else(|| envelope.subject.clone()).unwrap_or_default();
    Summary {
        size: record.size,
        header_size: record.header_size,
        structure: record.part.map(part_in).unwrap_or_default(),
        preview: record.preview,
        has_attachment: record.has_attachment,
        message_ids,
        base_subject,
        is_reply_or_forward: record.is_reply_or_forward,
        sent: record.sent,
        headers: headers_in(&record.headers),
        envelope,
    }
}

fn bracketed(field: Option<&str>) -> Option<String> {
    Some(field?.strip_prefix('<')?.strip_suffix('>')?.to_owned())
}

fn headers_out(headers: &[HeaderField]) -> Vec<u64> {
    let mut out = Vec::with_capacity(headers.len() * 4);
    let mut last = 0;
    for field in headers {
        out.push(field.name.start.saturating_sub(last));
        out.push(field.name.end.saturating_sub(field.name.start));
        out.push(field.value.start.saturating_sub(field.name.end));
        out.push(field.value.end.saturating_sub(field.value.start));
        last = field.value.end;
    }
    out
}

fn headers_in(numbers: &[u64]) -> Vec<HeaderField> {
    let mut last = 0;
    let field = |four: &[u64]| {
        let [gap, name, colon, value] = *four else { return None };
        let name_start = u64::saturating_add(last, gap);
        let name = name_start..name_start.saturating_add(name);
        let value_start = name.end.saturating_add(colon);
        let value = value_start..value_start.saturating_add(value);
        last = value.end;
        Some(HeaderField { name, value })
    };
    numbers.chunks_exact(4).filter_map(field).collect()
}

fn envelope_out(envelope: &Envelope) -> EnvelopeRecord {
    let sender_same = envelope.sender == envelope.from;
    let reply_same = envelope.reply_to == envelope.from;
    let unless = |same: bool, list: &[Address]| if same { Vec::new() } else { addresses_out(list) };
    EnvelopeRecord {
        date: envelope.date.clone(),
        subject: envelope.subject.clone(),
        from: addresses_out(&envelope.from),
        sender: unless(sender_same, &envelope.sender),
        reply_to: unless(reply_same, &envelope.reply_to),
        to: addresses_out(&envelope.to),
        cc: addresses_out(&envelope.cc),
        bcc: addresses_out(&envelope.bcc),
        in_reply_to: envelope.in_reply_to.clone(),
        message_id: envelope.message_id.clone(),
        as_from: u32::from(sender_same) * SENDER_AS_FROM + u32::from(reply_same) * REPLY_TO_AS_FROM,
    }
}

fn envelope_in(record: EnvelopeRecord) -> Envelope {
    let from = addresses_in(record.from);
    let or_from = |bit: u32, list| if record.as_from & bit != 0 { from.clone() } else { addresses_in(list) };
    Envelope {
        date: record.date,
        subject: record.subject,
        sender: or_from(SENDER_AS_FROM, record.sender),
        reply_to: or_from(REPLY_TO_AS_FROM, record.reply_to),
        to: addresses_in(record.to),
        cc: addresses_in(record.cc),
        bcc: addresses_in(record.bcc),
        in_reply_to: record.in_reply_to,
        message_id: record.message_id,
        from,
    }
}

fn addresses_out(list: &[Address]) -> Vec<AddressRecord> {
    let out = |address: &Address| match address {
        Address::Mailbox(mailbox) => mailbox_out(mailbox),
        Address::Group { name, members } => AddressRecord {
            name: Some(name.clone()),
            group: true,
            members: members.iter().map(mailbox_out).collect(),
            ..AddressRecord::default()
        },
    };
    list.iter().map(out).collect()
}

fn mailbox_out(mailbox: &Mailbox) -> AddressRecord {
    AddressRecord {
        name: mailbox.name.clone(),
        route: mailbox.route.clone(),
        local: mailbox.local.clone(),
        domain: mailbox.domain.clone(),
        ..AddressRecord::default()
    }
}

fn addresses_in(list: Vec<AddressRecord>) -> Vec<Address> {
    let back = |record: AddressRecord| {
        if record.group {
            let members = record.members.into_iter().map(mailbox_in).collect();
            Address::Group { name: record.name.unwrap_or_default(), members }
        } else {
            Address::Mailbox(mailbox_in(record))
        }
    };
    list.into_iter().map(back).collect()
}

fn mailbox_in(record: AddressRecord) -> Mailbox {
    Mailbox { name: record.name, route: record.route, local: record.local, domain: record.domain }
}

fn part_out(part: &Part) -> PartRecord {
    let (encoding, other_encoding) = match &part.encoding {
        Encoding::SevenBit => (0, ""),
        Encoding::EightBit => (1, ""),
        Encoding::Binary => (2, ""),
        Encoding::QuotedPrintable => (3, ""),
        Encoding::Base64 => (4, ""),
        Encoding::Other(other) => (5, other.as_str()),
    };
    let (parts, envelope) = match &part.content {
        Content::Leaf => (Vec::new(), None),
        Content::Multipart(parts) => (parts.iter().map(part_out).collect(), None),
        Content::Message(nested) => (vec![part_out(&nested.part)], Some(envelope_out(&nested.envelope))),
    };
    PartRecord {
        start: part.header.start,
        header_len: len(&part.header),
        gap: part.body.start.saturating_sub(part.header.end),
        body_len: len(&part.body),
        lines: part.lines,
        content_type: (part.content_type != ContentType::default()).then(|| type_out(&part.content_type)),
        encoding,
        other_encoding: other_encoding.to_owned(),
        id: part.id.clone(),
        description: part.description.clone(),
        md5: part.md5.clone(),
        disposition: part.disposition.as_ref().map(disposition_out),
        language: part.language.clone(),
        location: part.location.clone(),
        parts,
        envelope,
    }
}

fn len(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

fn type_out(content_type: &ContentType) -> TypeRecord {
    TypeRecord {
        kind: content_type.kind.clone(),
        subtype: content_type.subtype.clone(),
        params: params_out(&content_type.params),
    }
}

fn disposition_out(disposition: &Disposition) -> TypeRecord {
    TypeRecord {
        kind: disposition.kind.clone(),
        subtype: String::new(),
        params: params_out(&disposition.params),
    }
}

fn params_out(params: &[(String, String)]) -> Vec<String> {
    params.iter().flat_map(|(name, value)| [name.clone(), value.clone()]).collect()
}

fn params_in(params: Vec<String>) -> Vec<(String, String)> {
    let mut params = params.into_iter();
    std::iter::from_fn(|| Some((params.next()?, params.next()?))).collect()
}

fn part_in(record: PartRecord) -> Part {
    let header = record.start..record.start.saturating_add(record.header_len);
    let body_start = header.end.saturating_add(record.gap);
    let mut parts = record.parts.into_iter().map(part_in);
    let content = match record.envelope {
        Some(envelope) => Content::Message(Box::new(NestedMessage {
            envelope: envelope_in(envelope),
            part: parts.next().unwrap_or_default(),
        })),
        None => match parts.collect::<Vec<_>>() {
            none if none.is_empty() => Content::Leaf,
            parts => Content::Multipart(parts),
        },
    };
    Part {
        header,
        body: body_start..body_start.saturating_add(record.body_len),
        lines: record.lines,
        content_type: record.content_type.map_or_else(ContentType::default, |t| ContentType {
            kind: t.kind,
            subtype: t.subtype,
            params: params_in(t.params),
        }),
        encoding: match record.encoding {
            0 => Encoding::SevenBit,
            1 => Encoding::EightBit,
            2 => Encoding::Binary,
            3 => Encoding::QuotedPrintable,
            4 => Encoding::Base64,
            _ => Encoding::Other(record.other_encoding),
        },
        id: record.id,
        description: record.description,
        md5: record.md5,
        disposition: record.disposition.map(|d| Disposition { kind: d.kind, params: params_in(d.params) }),
        language: record.language,
        location: record.location,
        content,
    }
}
