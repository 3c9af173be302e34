//! ENVELOPE and thread data from the fields of a header.

use crate::{
    Address, Envelope, Limits, MessageIds,
    address::parse_list,
    fields::{Block, text},
    ids,
};

/// What the fields of a message's header say of it.
#[derive(Debug, Default)]
pub(crate) struct Interpreted {
    pub(crate) envelope: Envelope,
    pub(crate) ids: MessageIds,
}

/// Reads the header of a message. Of a field that may stand once, the first counts; address fields that
/// stand twice are read as one (RFC 5322 §4.5 allows neither and reads both).
pub(crate) fn interpret(block: &Block, limits: &Limits) -> Interpreted {
    let mut out = Interpreted::default();
    let envelope = &mut out.envelope;
    for (name, value) in block.iter() {
        // The longest name of interest; others are not copied.
        if name.len() > 11 {
            continue;
        }
        match name.to_ascii_lowercase().as_slice() {
            b"date" => first(&mut envelope.date, value, limits),
            b"subject" => first(&mut envelope.subject, value, limits),
            b"message-id" => first(&mut envelope.message_id, value, limits),
            b"in-reply-to" => first(&mut envelope.in_reply_to, value, limits),
            b"references" if out.ids.references.is_empty() => {
                out.ids.references = ids::list(&text(value, limits.header_bytes), limits.references);
            }
            b"from" => addresses(&mut envelope.from, value, limits),
            b"sender" => addresses(&mut envelope.sender, value, limits),
            b"reply-to" => addresses(&mut envelope.reply_to, value, limits),
            b"to" => addresses(&mut envelope.to, value, limits),
            b"cc" => addresses(&mut envelope.cc, value, limits),
            b"bcc" => addresses(&mut envelope.bcc, value, limits),
            _ => {}
        }
    }
    default_senders(envelope);
    out.ids.message_id = envelope.message_id.as_deref().and_then(ids::single);
    out.ids.in_reply_to =
        envelope.in_reply_to.as_deref().map(|value| ids::list(value, limits.references)).unwrap_or_default();
    out
}

fn first(slot: &mut Option<String>, value: &[u8], limits: &Limits) {
    if slot.is_none() {
        *slot = Some(text(value, limits.string_bytes));
    }
}

fn addresses(slot: &mut Vec<Address>, value: &[u8], limits: &Limits) {
    let room = limits.addresses.saturating_sub(slot.len());
    slot.extend(parse_list(&text(value, limits.header_bytes), room));
}

/// RFC 9051 §7.5.2: an absent or empty Sender or Reply-To is given as From.
fn default_senders(envelope: &mut Envelope) {
    for slot in [&mut envelope.sender, &mut envelope.reply_to] {
        if slot.is_empty() {
            slot.clone_from(&envelope.from);
        }
    }
}

impl Envelope {
    /// Bytes of its strings, with something for each address.
    pub(crate) fn cost(&self) -> usize {
        let texts = [&self.date, &self.subject, &self.in_reply_to, &self.message_id];
        let lists = [&self.from, &self.sender, &self.reply_to, &self.to, &self.cc, &self.bcc];
        let texts: usize = texts.iter().map(|text| text.as_ref().map_or(0, String::len)).sum();
        texts + lists.iter().flat_map(|list| list.iter()).map(cost).sum::<usize>()
    }

    /// Leaves out addresses, from the end of Bcc, then Cc, To, Reply-To, Sender and From, until the rest costs at most
    /// `max`; where that is not enough, everything.
    pub(crate) fn fit(&mut self, max: usize) {
        let mut total = self.cost();
        let lists =
            [&mut self.bcc, &mut self.cc, &mut self.to, &mut self.reply_to, &mut self.sender, &mut self.from];
        for list in lists {
            while total > max
                && let Some(last) = list.pop()
            {
                total -= cost(&last);
            }
        }
        if total > max {
            *self = Self::default();
        }
    }
}

fn cost(address: &Address) -> usize {
    let one = |mailbox: &crate::Mailbox| {
        let name = mailbox.name.as_ref().map_or(0, String::len);
        let route = mailbox.route.as_ref().map_or(0, String::len);
        8 + name + route + mailbox.local.len() + mailbox.domain.len()
    };
    match address {
        Address::Mailbox(mailbox) => one(mailbox),
        Address::Group { name, members } => 8 + name.len() + members.iter().map(one).sum::<usize>(),
    }
}
