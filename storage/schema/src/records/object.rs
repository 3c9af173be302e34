//! What an account has besides mail: identities to send as, submissions, the automatic reply, what others shared.

use crate::Record;

/// An address and who has it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PersonRecord {
    /// The display name.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// `local@domain`.
    #[prost(string, tag = "2")]
    pub email: String,
}

/// Somebody to send as (RFC 8621 §6).
#[derive(Clone, PartialEq, prost::Message)]
pub struct IdentityRecord {
    /// The display name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The address; empty for the account's own.
    #[prost(string, tag = "2")]
    pub email: String,
    /// Where replies go.
    #[prost(message, repeated, tag = "3")]
    pub reply_to: Vec<PersonRecord>,
    /// Who gets blind copies.
    #[prost(message, repeated, tag = "4")]
    pub bcc: Vec<PersonRecord>,
    /// The signature of a plain text.
    #[prost(string, tag = "5")]
    pub text_signature: String,
    /// The signature of an HTML text.
    #[prost(string, tag = "6")]
    pub html_signature: String,
}

impl Record for IdentityRecord {}

/// A recipient of a submission.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubmissionRecipient {
    /// The address.
    #[prost(string, tag = "1")]
    pub address: String,
    /// Parameters of RCPT as a JSON object; empty for none.
    #[prost(string, tag = "2")]
    pub parameters: String,
    /// What the last server said.
    #[prost(string, tag = "3")]
    pub reply: String,
    /// One of [`SubmissionRecipient::QUEUED`] and those after it.
    #[prost(uint32, tag = "4")]
    pub delivered: u32,
    /// What a notification of another server says of it: [`SubmissionRecipient::DELIVERED`], [`SubmissionRecipient::FAILED`],
    /// or 0 for nothing. It counts where the message was handed on.
    #[prost(uint32, tag = "5")]
    pub told: u32,
    /// What that server said; empty for nothing.
    #[prost(string, tag = "6")]
    pub told_reply: String,
    /// Whether somebody says that it was displayed.
    #[prost(bool, tag = "7")]
    pub displayed: bool,
}

impl SubmissionRecipient {
    /// It waits in the queue.
    pub const QUEUED: u32 = 0;
    /// It was delivered.
    pub const DELIVERED: u32 = 1;
    /// It was not.
    pub const FAILED: u32 = 2;
    /// It was handed on to who does not tell.
    pub const HANDED_ON: u32 = 3;
}

/// What was given to be sent (RFC 8621 §7).
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubmissionRecord {
    /// The identity.
    #[prost(fixed64, tag = "1")]
    pub identity: u64,
    /// The email.
    #[prost(fixed64, tag = "2")]
    pub email: u64,
    /// Its thread.
    #[prost(fixed64, tag = "3")]
    pub thread: u64,
    /// The reverse-path, without brackets.
    #[prost(string, tag = "4")]
    pub mail_from: String,
    /// Parameters of MAIL as a JSON object; empty for none.
    #[prost(string, tag = "5")]
    pub mail_parameters: String,
    /// Who gets it.
    #[prost(message, repeated, tag = "6")]
    pub recipients: Vec<SubmissionRecipient>,
    /// When it is or was to be sent, in milliseconds since the epoch.
    #[prost(int64, tag = "7")]
    pub send_at: i64,
    /// When it was given, in milliseconds since the epoch.
    #[prost(int64, tag = "8")]
    pub created: i64,
    /// Whether it was taken back.
    #[prost(bool, tag = "9")]
    pub canceled: bool,
    /// Hash of the message while it waits to be sent later; empty otherwise.
    #[prost(bytes = "vec", tag = "10")]
    pub blob: Vec<u8>,
    /// Whether it is being sent, or was: it cannot be taken back any more.
    #[prost(bool, tag = "11")]
    pub sending: bool,
    /// Octets of the message that waits.
    #[prost(uint64, tag = "12")]
    pub size: u64,
    /// Octets of its header.
    #[prost(uint64, tag = "13")]
    pub header_size: u64,
    /// Until when it is kept, in milliseconds since the epoch: names who holds it.
    #[prost(int64, tag = "14")]
    pub kept_until: i64,
    /// The account of who gave it.
    #[prost(uint32, tag = "15")]
    pub user: u32,
    /// What notifications may name it by, as [`SubmittedKey`](crate::keys::mail::SubmittedKey) has it.
    #[prost(fixed64, repeated, tag = "16")]
    pub names: Vec<u64>,
    /// The emails that are delivery status notifications of it, in the order in which they came.
    #[prost(fixed64, repeated, tag = "17")]
    pub delivery_notices: Vec<u64>,
    /// The emails that are disposition notifications of it, in the order in which they came.
    #[prost(fixed64, repeated, tag = "18")]
    pub disposition_notices: Vec<u64>,
}

impl Record for SubmissionRecord {}

/// The automatic reply (RFC 8621 §8).
#[derive(Clone, PartialEq, prost::Message)]
pub struct VacationRecord {
    /// Whether it is sent.
    #[prost(bool, tag = "1")]
    pub enabled: bool,
    /// From when on, in milliseconds since the epoch.
    #[prost(int64, optional, tag = "2")]
    pub from: Option<i64>,
    /// Until when, in milliseconds since the epoch.
    #[prost(int64, optional, tag = "3")]
    pub to: Option<i64>,
    /// The subject; none for one of ours.
    #[prost(string, optional, tag = "4")]
    pub subject: Option<String>,
    /// The plain text.
    #[prost(string, optional, tag = "5")]
    pub text: Option<String>,
    /// The HTML text.
    #[prost(string, optional, tag = "6")]
    pub html: Option<String>,
}

impl Record for VacationRecord {}

/// That rights to a mailbox of another have changed (RFC 9670 §3).
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShareNotificationRecord {
    /// When, in milliseconds since the epoch.
    #[prost(int64, tag = "1")]
    pub created: i64,
    /// The account of who changed them; 0 if nobody of ours did.
    #[prost(uint32, tag = "2")]
    pub changed_by: u32,
    /// Who that was, as they were called then.
    #[prost(message, optional, tag = "3")]
    pub changer: Option<PersonRecord>,
    /// Whose the mailbox is.
    #[prost(uint32, tag = "4")]
    pub owner: u32,
    /// Which.
    #[prost(uint32, tag = "5")]
    pub mailbox: u32,
    /// Its name then.
    #[prost(string, tag = "6")]
    pub name: String,
    /// Bits of RFC 4314 letters before; 0 for no right.
    #[prost(uint32, tag = "7")]
    pub old_rights: u32,
    /// The same after.
    #[prost(uint32, tag = "8")]
    pub new_rights: u32,
}

impl Record for ShareNotificationRecord {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    fn check<R: Record + PartialEq + std::fmt::Debug>(record: &R, fixture: &str) {
        let bytes = record.to_bytes();
        let hex = bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        assert_eq!(hex, fixture, "{record:?}");
        assert_eq!(R::from_bytes(&bytes).as_ref(), Ok(record));
    }

    #[test]
    fn fixtures() {
        let person = PersonRecord { name: None, email: "a@b".into() };
        let identity = IdentityRecord {
            name: "A".into(),
            email: "a@b".into(),
            reply_to: vec![person],
            text_signature: "x".into(),
            ..IdentityRecord::default()
        };
        check(&identity, "010a014112036140621a0512036140622a0178");
        let to =
            SubmissionRecipient { address: "b@c".into(), delivered: 1, ..SubmissionRecipient::default() };
        let submission = SubmissionRecord {
            identity: 1,
            email: 2,
            mail_from: "a@b".into(),
            recipients: vec![to],
            send_at: 5,
            canceled: true,
            user: 3,
            ..SubmissionRecord::default()
        };
        check(&submission, "01090100000000000000110200000000000000220361406232070a036240632001380548017803");
        let told = SubmissionRecipient {
            delivered: SubmissionRecipient::HANDED_ON,
            told: SubmissionRecipient::FAILED,
            told_reply: "550".into(),
            displayed: true,
            ..SubmissionRecipient::default()
        };
        let told = SubmissionRecord {
            recipients: vec![told],
            names: vec![1],
            delivery_notices: vec![2],
            disposition_notices: vec![3],
            ..SubmissionRecord::default()
        };
        check(
            &told,
            "01320b20032802320335353038018201080100000000000000 8a01080200000000000000 9201080300000000000000"
                .replace(' ', "")
                .as_str(),
        );
        let vacation = VacationRecord {
            enabled: true,
            to: Some(7),
            text: Some("t".into()),
            ..VacationRecord::default()
        };
        check(&vacation, "01080118072a0174");
        let notification = ShareNotificationRecord {
            created: 5,
            changed_by: 2,
            changer: Some(PersonRecord { name: Some("B".into()), email: "b@c".into() }),
            owner: 2,
            mailbox: 9,
            name: "Work".into(),
            old_rights: 0,
            new_rights: 7,
        };
        check(
            &notification,
            "0108051002 1a080a014212036240632002 28093204576f726b4007".replace(' ', "").as_str(),
        );
    }
}
