//! Disposition notifications (RFC 8098): sent as other messages are, but from nobody, so that nothing comes back.

use content_mail::headers::{Field, fields};
use jmap::{NewNotice, Path, Refused};
use smtp::{Envelope, HeaderFacts, Recipient};
use smtp_proto::SyntaxError;

use super::{Submissions, mail_of, nobody, rcpt_of, refusal, session};
use crate::intake::Intake;

impl Submissions {
    /// Sends it. Of those who asked for it somebody has to be there.
    pub(super) async fn send_notice(&self, new: NewNotice) -> Result<Result<(), Refused>, mail::Error> {
        if new.message.len() as u64 > self.max_message {
            return Ok(Err(Refused::TooLarge(self.max_message)));
        }
        let envelope = match envelope(&new) {
            Ok(envelope) => envelope,
            Err(refused) => return Ok(Err(refused)),
        };
        let session = session(&new.user);
        if let Some(refused) = self.unreachable(&new.to, &session, &envelope).await {
            return Ok(Err(refused));
        }
        let mut intake = match Intake::open(self.delivery.clone(), &session, &envelope).await {
            Ok(intake) => intake,
            Err(reply) => return Ok(Err(refusal(&reply))),
        };
        for octets in [self.received().as_bytes(), &new.message] {
            if let Err(reply) = intake.add(octets).await {
                return Ok(Err(refusal(&reply)));
            }
        }
        let header_8bit = fields(&new.message).any(|field: Field<'_>| !field.raw.is_ascii());
        let facts = HeaderFacts {
            header_8bit,
            body_8bit: !new.message.is_ascii(),
            automatic: true,
            ..HeaderFacts::default()
        };
        Ok(match Box::pin(intake.commit(&session, envelope, &facts, None)).await {
            Ok(outcomes) if outcomes.iter().any(|one| one.is_taken()) => Ok(()),
            Ok(outcomes) => Err(nobody(&new.to, &outcomes)),
            Err(reply) => Err(refusal(&reply)),
        })
    }
}

/// RFC 8098 §3: from nobody; RFC 3461 §4.1: of what becomes of it nobody is told.
fn envelope(new: &NewNotice) -> Result<Envelope, Refused> {
    let mail = mail_of(&Path { address: String::new(), parameters: String::new() })?;
    let path = |address: &String| Path { address: address.clone(), parameters: " NOTIFY=NEVER".to_owned() };
    let recipients: Result<_, SyntaxError> = new
        .to
        .iter()
        .map(|to| rcpt_of(&path(to)).map(|rcpt| Recipient { path: rcpt.to, params: rcpt.params }))
        .collect();
    let mut params = mail.params;
    params.smtputf8 = new.to.iter().any(|to| !to.is_ascii());
    match recipients {
        Ok(recipients) => Ok(Envelope { from: mail.from, params, recipients }),
        Err(_) => Err(Refused::Recipients(new.to.clone())),
    }
}
