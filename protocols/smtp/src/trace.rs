//! The Received field (RFC 5321 §4.4), and what a submitted message may lack (RFC 6409 §8).
//!
//! ```abnf
//! Time-stamp-line = "Received:" FWS Stamp <CRLF>
//! Stamp           = From-domain By-domain Opt-info [CFWS] ";" FWS date-time
//! ```

use std::fmt::Write as _;

use content_mail::{build, date};
use runtime::Timestamp;

use crate::{Config, Envelope, HeaderFacts, Role, SessionInfo};

/// The Received field of a message, folded, with its CRLF.
pub(crate) fn received(
    config: &Config,
    session: &SessionInfo,
    envelope: &Envelope,
    id: u64,
    now: Timestamp,
) -> String {
    let literal = format!("[{}]", session.peer.ip().to_canonical());
    let tls = session.tls.as_ref().map(|tls| format!("{} {}", tls.version, tls.cipher));
    // RFC 5321 §7.6: FOR with one recipient only, since it would tell the blind copies.
    let recipient = match envelope.recipients.as_slice() {
        [recipient] => recipient.path.mailbox().map(ToString::to_string),
        _ => None,
    };
    build::received(&build::Received {
        helo: session.hello.as_ref().map_or(literal.as_str(), |name| name.as_str()),
        remote: Some(session.peer.ip()),
        remote_name: None,
        by: &config.hostname,
        with: &with(session, envelope),
        tls: tls.as_deref(),
        id: &format!("{id:016x}"),
        recipient: recipient.as_deref(),
        date: now.secs(),
    })
}

/// The transmission type: RFC 3848 for ESMTP and LMTP, RFC 6531 §4.3 for SMTPUTF8.
fn with(session: &SessionInfo, envelope: &Envelope) -> String {
    let base = match (session.role, envelope.params.smtputf8, session.extended) {
        (Role::Lmtp, false, _) => "LMTP",
        (Role::Lmtp, true, _) => "UTF8LMTP",
        (_, true, _) => "UTF8SMTP",
        (_, false, true) => "ESMTP",
        (_, false, false) => "SMTP",
    };
    // RFC 3848 registers no suffix for SMTP without extensions.
    if base == "SMTP" {
        return base.to_owned();
    }
    let secure = if session.tls.is_some() { "S" } else { "" };
    let authenticated = if session.identity.is_some() { "A" } else { "" };
    format!("{base}{secure}{authenticated}")
}

/// The fields that a submitted message lacks: Date and Message-ID (RFC 6409 §8.2, §8.3).
pub(crate) fn missing(config: &Config, facts: &HeaderFacts, id: u64, now: Timestamp) -> String {
    let mut fields = String::new();
    if !facts.has_date {
        let _ = write!(fields, "Date: {}\r\n", date::rfc5322(now.secs()));
    }
    if !facts.has_message_id {
        let _ = write!(fields, "Message-ID: <{:x}.{id:016x}@{}>\r\n", now.millis(), config.hostname);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipient;
    use net::TlsInfo;
    use smtp_proto::{ClientName, ForwardPath, Mailbox, ReversePath};

    fn session(hello: &str) -> SessionInfo {
        SessionInfo {
            role: Role::Mx,
            peer: "192.0.2.7:1234".parse().unwrap(),
            local: "192.0.2.1:25".parse().unwrap(),
            hello: ClientName::new(hello),
            extended: true,
            tls: None,
            identity: None,
        }
    }

    fn envelope(recipients: usize) -> Envelope {
        let path = ForwardPath::Mailbox(Mailbox::parse("bob@example.com").unwrap());
        let recipient = Recipient { path, params: smtp_proto::RcptParams::default() };
        Envelope {
            from: ReversePath::Null,
            params: smtp_proto::MailParams::default(),
            recipients: vec![recipient; recipients],
        }
    }

    fn field(session: &SessionInfo, envelope: &Envelope) -> String {
        let config = Config::new(Role::Mx, "mx.example.com");
        received(&config, session, envelope, 0xabc, Timestamp::from_secs(0))
    }

    fn tls() -> Option<TlsInfo> {
        Some(TlsInfo { version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256".into(), alpn: None })
    }

    #[test]
    fn known_answer() {
        let mut session = session("client.example.org");
        session.tls = tls();
        let field = field(&session, &envelope(1)).replace("\r\n\t", " ").replace("\r\n ", " ");
        assert_eq!(
            field,
            "Received: from client.example.org ([192.0.2.7]) (using TLSv1.3 TLS_AES_128_GCM_SHA256) by \
             mx.example.com with ESMTPS id 0000000000000abc for <bob@example.com>; \
             Thu, 01 Jan 1970 00:00:00 +0000\r\n"
        );
    }

    #[test]
    fn blind_copies_stay_blind() {
        assert!(!field(&session("a"), &envelope(2)).contains("for"));
    }

    #[test]
    fn transmission_types() {
        let (mut session, mut envelope) = (session("a"), envelope(1));
        assert_eq!(with(&session, &envelope), "ESMTP");
        session.extended = false;
        assert_eq!(with(&session, &envelope), "SMTP");
        (session.extended, envelope.params.smtputf8) = (true, true);
        assert_eq!(with(&session, &envelope), "UTF8SMTP");
        session.role = Role::Lmtp;
        session.tls = tls();
        assert_eq!(with(&session, &envelope), "UTF8LMTPS");
    }

    #[test]
    fn what_is_there_is_not_added() {
        let config = Config::new(Role::Submission, "mx.example.com");
        let mut facts = HeaderFacts::default();
        let both = missing(&config, &facts, 1, Timestamp::from_secs(0));
        assert!(
            both.starts_with("Date: ")
                && both.contains("\r\nMessage-ID: <0.0000000000000001@mx.example.com>\r\n")
        );
        (facts.has_date, facts.has_message_id) = (true, true);
        assert_eq!(missing(&config, &facts, 1, Timestamp::from_secs(0)), "");
    }
}
