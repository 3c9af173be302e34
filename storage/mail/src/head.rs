//! What lists show of a message: a part of its summary, read of the same row in less time.

use content_mail::{Address, MessageIds};
use schema::records::structure::HeadRecord;
use schema::{AccountId, EmailId, Record};

use crate::{Error, Store, convert};

/// Sender, recipients, subject, date and the beginning of the text. The fields are those of [`content_mail::Summary`] and its
/// envelope.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The text of the Date field.
    pub date: Option<String>,
    /// The text of the Subject field.
    pub subject: Option<String>,
    /// From.
    pub from: Vec<Address>,
    /// To.
    pub to: Vec<Address>,
    /// Cc.
    pub cc: Vec<Address>,
    /// Bcc.
    pub bcc: Vec<Address>,
    /// What the message is called, and what it refers to.
    pub message_ids: MessageIds,
    /// Beginning of the text.
    pub preview: String,
    /// Whether there is an attachment to show.
    pub has_attachment: bool,
    /// The base subject (RFC 5256 §2.1).
    pub base_subject: String,
    /// The Date field in milliseconds since the epoch.
    pub sent: Option<i64>,
}

impl Store {
    /// What lists show of emails, in the order asked for; none of those that are not there.
    ///
    /// # Errors
    /// The store's.
    pub async fn heads(&self, account: AccountId, emails: &[EmailId]) -> Result<Vec<Option<Head>>, Error> {
        self.structures(account, emails, |row| Ok(convert::head_of(HeadRecord::from_bytes(row)?))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use content_mail::{Limits, summarize};

    #[test]
    fn it_is_what_the_summary_says() {
        for header in [
            "From: A <a@x>, b@x\r\nTo: Friends: c@x, D <d@x>;\r\nCc: e@x\r\nBcc: f@x\r\nSubject: Re: =?utf-8?q?=C3=A4?=\r\n\
             Date: Tue, 1 Jul 2003 10:52:37 +0200\r\nMessage-ID: <1@x>\r\nIn-Reply-To: <2@x>\r\nReferences: <3@x> <2@x>\r\n\
             Sender: g@x\r\nContent-Type: multipart/mixed; boundary=b\r\n",
            "Message-ID: none\r\nIn-Reply-To: <2@x> <4@x>\r\nSubject: plain\r\n",
            "",
        ] {
            let message = format!(
                "{header}\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Disposition: attachment; filename=a\r\n\r\nx\r\n--b--\r\n"
            );
            let summary = summarize(message.as_bytes(), &Limits::default());
            let row = convert::to_record(&summary).to_bytes();
            let envelope = summary.envelope;
            let wanted = Head {
                date: envelope.date,
                subject: envelope.subject,
                from: envelope.from,
                to: envelope.to,
                cc: envelope.cc,
                bcc: envelope.bcc,
                message_ids: summary.message_ids,
                preview: summary.preview,
                has_attachment: summary.has_attachment,
                base_subject: summary.base_subject,
                sent: summary.sent,
            };
            assert_eq!(convert::head_of(HeadRecord::from_bytes(&row).unwrap()), wanted, "{header}");
        }
    }
}
