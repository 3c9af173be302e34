//! What clients of JMAP give to be sent (RFC 8621 §7): taken as SMTP submission takes it, by the same checks and the same
//! transaction, which also writes what is kept of it.
//!
//! What is to be sent later (RFC 4865) waits as a row of its own ([`later`]): nothing is queued before its time, so that it can
//! be taken back whole, and then it goes the way of what is sent at once.

mod kept;
mod later;
mod notice;

pub(crate) use kept::Kept;

use std::net::{Ipv4Addr, SocketAddr};

use accounts::Identity;
use content_mail::build;
use content_mail::headers::{Field, fields};
use futures::future::{BoxFuture, FutureExt};
use jmap::{NewNotice, NewSubmission, Path, Refused, Submitter, Undone};
use schema::{AccountId, ModSeq, SubmissionId};
use smtp::{Acceptor, Envelope, HeaderFacts, Recipient, RecipientVerdict, Role, SessionInfo};
use smtp_proto::{Command, EnvelopeId, Mail, Rcpt, Reply, SyntaxError};

use crate::accept::Delivery;
use crate::commit::Outcome;
use crate::intake::Intake;

/// Octets read at once.
const PIECE: u64 = 2 * 90_000;
/// Octets of a header in which blind copies are looked for.
const HEADER: u64 = 4 << 20;

/// Takes submissions. A cheap handle.
#[derive(Clone)]
pub struct Submissions {
    delivery: Delivery,
    /// The largest message, in octets.
    max_message: u64,
    /// Recipients of one message.
    max_recipients: usize,
}

/// A submission that may go: its envelope as SMTP has it.
struct Checked {
    session: SessionInfo,
    envelope: Envelope,
}

/// What came of a submission but for the store's errors.
type Taken<T> = Result<Result<T, Refused>, mail::Error>;

impl Submissions {
    /// Into this delivery, within these limits.
    #[must_use]
    pub fn new(delivery: Delivery, max_message: u64, max_recipients: usize) -> Self {
        Self { delivery, max_message, max_recipients }
    }

    async fn take(&self, new: NewSubmission) -> Taken<ModSeq> {
        if new.size > self.max_message {
            return Ok(Err(Refused::TooLarge(self.max_message)));
        }
        if new.to.len() > self.max_recipients {
            return Ok(Err(Refused::TooMany(self.max_recipients)));
        }
        let checked = match checked(&new) {
            Ok(checked) => checked,
            Err(refused) => return Ok(Err(refused)),
        };
        let to: Vec<String> = new.to.iter().map(|to| to.address.clone()).collect();
        if let Some(refused) = self.unreachable(&to, &checked.session, &checked.envelope).await {
            return Ok(Err(refused));
        }
        if new.not_before.is_some() {
            return self.keep(new).await.map(Ok);
        }
        let account = new.account;
        let sent = Box::pin(self.send(&new, checked, None)).await?;
        match sent {
            Ok(()) => Ok(Ok(self.state(account).await?)),
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn state(&self, account: AccountId) -> Result<ModSeq, mail::Error> {
        self.delivery.shared.services.mail.state(account).await
    }

    /// Whom nothing can be sent to, as they were given.
    async fn unreachable(
        &self,
        given: &[String],
        session: &SessionInfo,
        envelope: &Envelope,
    ) -> Option<Refused> {
        let mut unknown = Vec::new();
        for (given, to) in given.iter().zip(&envelope.recipients) {
            let rcpt = Rcpt { to: to.path.clone(), params: to.params.clone() };
            match self.delivery.recipient(session, envelope, &rcpt).await {
                RecipientVerdict::Local | RecipientVerdict::Relay | RecipientVerdict::MailboxFull => {}
                RecipientVerdict::TryLater => return Some(Refused::ToSend("try again later".to_owned())),
                RecipientVerdict::UnknownUser
                | RecipientVerdict::RelayDenied
                | RecipientVerdict::Disabled => {
                    unknown.push(given.clone());
                }
            }
        }
        (!unknown.is_empty()).then_some(Refused::Recipients(unknown))
    }

    /// Sends it now. `later` is the time at which it was to be sent, if it waited.
    async fn send(&self, new: &NewSubmission, checked: Checked, later: Option<i64>) -> Taken<()> {
        let Checked { session, mut envelope } = checked;
        let header = self.read(new, 0..new.header_size.min(HEADER)).await?;
        let header = without_blind_copies(&header);
        // RFC 6531 §3.4: a header with UTF-8 in it needs a server that takes that.
        envelope.params.smtputf8 |= !header.is_ascii();
        // RFC 3461 §4.4: what notifications of it name it by.
        envelope.params.envid = envelope.params.envid.or_else(|| EnvelopeId::new(&new.id.to_string()));
        let opened = Intake::open(self.delivery.clone(), &session, &envelope).await;
        let mut intake = match opened {
            Ok(intake) => intake,
            Err(reply) => return Ok(Err(refusal(&reply))),
        };
        let received = self.received();
        // RFC 3834 §2: an answer is for people.
        let automatic = fields(&header).any(|field| is_of_machine(&field));
        let header_8bit = !header.is_ascii();
        let mut facts = HeaderFacts { header_8bit, automatic, ..HeaderFacts::default() };
        for octets in [received.as_bytes(), header.as_slice()] {
            if let Err(reply) = intake.add(octets).await {
                return Ok(Err(refusal(&reply)));
            }
        }
        let mut at = new.header_size.min(HEADER);
        while at < new.size {
            let piece = self.read(new, at..new.size.min(at + PIECE)).await?;
            if piece.is_empty() {
                break;
            }
            facts.body_8bit |= !piece.is_ascii();
            if let Err(reply) = intake.add(&piece).await {
                return Ok(Err(refusal(&reply)));
            }
            at += piece.len() as u64;
        }
        let kept = Kept { account: new.account, id: new.id, record: new.record.clone(), later };
        match Box::pin(intake.commit(&session, envelope, &facts, Some(kept))).await {
            Ok(outcomes) if later.is_some() || outcomes.iter().any(|one| one.is_taken()) => Ok(Ok(())),
            Ok(outcomes) => {
                let to: Vec<String> = new.to.iter().map(|to| to.address.clone()).collect();
                Ok(Err(nobody(&to, &outcomes)))
            }
            Err(reply) => Ok(Err(refusal(&reply))),
        }
    }

    /// RFC 5321 §4.4. The client's address is left out: who is at home where is nobody's business.
    fn received(&self) -> String {
        let shared = &self.delivery.shared;
        build::received(&build::Received {
            helo: "jmap",
            remote: None,
            remote_name: None,
            by: &shared.options.hostname,
            with: "HTTPS",
            tls: None,
            id: &format!("{:016x}", shared.services.rng.u64()),
            recipient: None,
            date: shared.services.clock.now().secs(),
        })
    }

    async fn read(&self, new: &NewSubmission, range: std::ops::Range<u64>) -> Result<Vec<u8>, mail::Error> {
        let mail = &self.delivery.shared.services.mail;
        let (mut all, mut at) = (Vec::new(), range.start);
        while at < range.end {
            let piece = mail.body(new.blob, at..range.end.min(at + PIECE)).await?;
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}

impl Submitter for Submissions {
    fn submit(&self, new: NewSubmission) -> BoxFuture<'_, Taken<ModSeq>> {
        self.take(new).boxed()
    }

    fn notify(&self, new: NewNotice) -> BoxFuture<'_, Taken<()>> {
        self.send_notice(new).boxed()
    }

    fn cancel(&self, account: AccountId, id: SubmissionId) -> BoxFuture<'_, Result<Undone, mail::Error>> {
        self.take_back(account, id).boxed()
    }
}

/// The session that a client of SMTP would have.
fn session(user: &Identity) -> SessionInfo {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    SessionInfo {
        role: Role::Submission,
        peer: here,
        local: here,
        hello: None,
        extended: true,
        tls: None,
        identity: Some(user.clone()),
    }
}

/// The envelope as SMTP would read it.
fn checked(new: &NewSubmission) -> Result<Checked, Refused> {
    let mail = mail_of(&new.from)?;
    let (mut recipients, mut wrong) = (Vec::with_capacity(new.to.len()), Vec::new());
    for to in &new.to {
        match rcpt_of(to) {
            Ok(rcpt) => recipients.push(Recipient { path: rcpt.to, params: rcpt.params }),
            Err(SyntaxError::Recipient | SyntaxError::MalformedLine) => wrong.push(to.address.clone()),
            Err(_) => return Err(Refused::Envelope("a parameter of rcptTo cannot be")),
        }
    }
    if !wrong.is_empty() {
        return Err(Refused::Recipients(wrong));
    }
    let envelope = Envelope { from: mail.from, params: mail.params, recipients };
    Ok(Checked { session: session(&new.user), envelope })
}

fn mail_of(from: &Path) -> Result<Mail, Refused> {
    let says = from.parameters.to_ascii_uppercase();
    let utf8 = !from.address.is_ascii() && !says.split(' ').any(|one| one == "SMTPUTF8");
    let line =
        format!("MAIL FROM:<{}>{}{}", from.address, from.parameters, if utf8 { " SMTPUTF8" } else { "" });
    match Command::parse(line.as_bytes()) {
        Ok(Command::Mail(mail)) => Ok(mail),
        _ => Err(Refused::Envelope("mailFrom cannot be")),
    }
}

fn rcpt_of(to: &Path) -> Result<Rcpt, SyntaxError> {
    match Command::parse(format!("RCPT TO:<{}>{}", to.address, to.parameters).as_bytes())? {
        Command::Rcpt(rcpt) => Ok(rcpt),
        _ => Err(SyntaxError::MalformedLine),
    }
}

/// Whether a field says that a machine or a list has sent the message.
fn is_of_machine(field: &Field<'_>) -> bool {
    let value = field.text().to_lowercase();
    field.is("Auto-Submitted") && !value.starts_with("no")
        || field.name.len() > 5 && field.name[..5].eq_ignore_ascii_case(b"list-")
        || field.is("Precedence") && ["bulk", "junk", "list"].iter().any(|one| value.starts_with(one))
}

/// RFC 8621 §7.5: who gets a blind copy is not told.
fn without_blind_copies(header: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.len());
    let mut end = 0;
    for field in fields(header) {
        let from = field.raw.as_ptr() as usize - header.as_ptr() as usize;
        // What stands before the first field, if anything does.
        out.extend_from_slice(header.get(end..from).unwrap_or_default());
        end = from + field.raw.len();
        if !field.is("Bcc") && !field.is("Resent-Bcc") {
            out.extend_from_slice(field.raw);
        }
    }
    out.extend_from_slice(header.get(end..).unwrap_or_default());
    out
}

fn refusal(reply: &Reply) -> Refused {
    Refused::ToSend(reply.to_string())
}

/// Nobody got it: those who are not there, or have no room.
fn nobody(to: &[String], outcomes: &[Outcome]) -> Refused {
    let to = to.iter().zip(outcomes).filter(|(_, outcome)| !outcome.is_taken());
    Refused::Recipients(to.map(|(to, _)| to.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blind_copies_are_left_out() {
        let header = b"From: a\r\nBcc: b,\r\n\tc\r\nSubject: Bcc: x\r\nbcc:\r\n\r\n";
        assert_eq!(without_blind_copies(header), b"From: a\r\nSubject: Bcc: x\r\n\r\n");
        assert_eq!(without_blind_copies(b"no header"), b"no header");
    }

    #[test]
    fn paths_are_those_of_smtp() {
        let path =
            |address: &str, parameters: &str| Path { address: address.into(), parameters: parameters.into() };
        assert!(mail_of(&path("a@example.com", " RET=HDRS")).is_ok());
        assert!(mail_of(&path("\u{e4}@example.com", "")).unwrap().params.smtputf8);
        for bad in [path("a@example.com", " X-UNHEARD=1"), path("no address", ""), path("a@b>\r\nRSET", "")] {
            assert!(mail_of(&bad).is_err());
        }
        assert!(rcpt_of(&path("b@example.com", " NOTIFY=NEVER")).is_ok());
        assert!(rcpt_of(&path("b", "")).is_err());
    }
}
