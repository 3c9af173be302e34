//! An entry's envelope in the codec's types.

use smtp_proto::{
    Enhanced, EnvelopeId, ForwardPath, MailParams, Mailbox, OriginalRecipient, Rcpt, RcptParams, ReversePath,
};
use spool::{BodyType, Entry, Notify, Recipient, Ret};

use super::failure::Failure;

/// What MAIL and RCPT say.
pub(super) struct Envelope {
    pub(super) from: ReversePath,
    pub(super) params: MailParams,
    pub(super) recipients: Vec<Rcpt>,
}

impl Envelope {
    /// For these recipients of an entry.
    pub(super) fn of(entry: &Entry, pending: &[usize]) -> Result<Self, Failure> {
        let unusable = || Failure::permanent(Enhanced::new(5, 1, 3), "the address cannot be used");
        let from = match entry.return_path.as_str() {
            "" => ReversePath::Null,
            path => ReversePath::Mailbox(Mailbox::parse(path).ok_or_else(unusable)?),
        };
        let rcpt = |n: &usize| {
            let recipient = entry.recipients.get(*n)?;
            let to = ForwardPath::Mailbox(Mailbox::parse(&recipient.address)?);
            Some(Rcpt { to, params: RcptParams { notify: notify(recipient), orcpt: orcpt(recipient) } })
        };
        let recipients = pending.iter().map(rcpt).collect::<Option<Vec<_>>>().ok_or_else(unusable)?;
        let params = MailParams {
            size: Some(entry.size),
            body: match entry.body {
                BodyType::SevenBit => None,
                BodyType::EightBitMime => Some(smtp_proto::BodyType::EightBitMime),
                BodyType::BinaryMime => Some(smtp_proto::BodyType::BinaryMime),
            },
            smtputf8: entry.smtputf8,
            ret: match entry.ret {
                Ret::Unspecified => None,
                Ret::Full => Some(smtp_proto::Ret::Full),
                Ret::Headers => Some(smtp_proto::Ret::Headers),
            },
            envid: entry.envid.as_deref().and_then(EnvelopeId::new),
            auth: None,
        };
        Ok(Self { from, params, recipients })
    }
}

fn notify(recipient: &Recipient) -> Option<smtp_proto::Notify> {
    let bits = recipient.notify.0;
    let has = |n: Notify| bits & n.0 != 0;
    (bits != 0).then(|| smtp_proto::Notify {
        success: has(Notify::SUCCESS),
        failure: has(Notify::FAILURE),
        delay: has(Notify::DELAY),
    })
}

fn orcpt(recipient: &Recipient) -> Option<OriginalRecipient> {
    let (kind, address) = recipient.orcpt.as_deref()?.split_once(';')?;
    OriginalRecipient::new(kind, address)
}
