//! Trace header fields (RFC 5321 §4.4).

use std::net::IpAddr;

use super::{clean, field};
use crate::date;

/// Bytes of one name in a trace field.
const NAME_MAX: usize = 300;

/// What a Received field says.
#[derive(Debug, Clone)]
pub struct Received<'a> {
    /// What the client called itself in EHLO.
    pub helo: &'a str,
    /// The client's address; `None` where the message was made here.
    pub remote: Option<IpAddr>,
    /// The name the client's address has, where it is known.
    pub remote_name: Option<&'a str>,
    /// This server's name.
    pub by: &'a str,
    /// The protocol of RFC 3848: `ESMTPS`, `ESMTPSA`, `LMTP`, `UTF8SMTPS` (RFC 6531 §3.7.3).
    pub with: &'a str,
    /// How the connection was secured, as `TLSv1.3 TLS_AES_256_GCM_SHA384`, for a comment.
    pub tls: Option<&'a str>,
    /// The queue or transaction id.
    pub id: &'a str,
    /// The recipient; only where there is one, so that Bcc stays blind.
    pub recipient: Option<&'a str>,
    /// Seconds since the epoch.
    pub date: i64,
}

/// `Received: from … by … with … id … for …; date` with its line end.
pub fn received(trace: &Received<'_>) -> String {
    let mut value = format!("from {}", word(trace.helo));
    if let Some(remote) = trace.remote {
        // RFC 5321 §4.4 TCP-info: the name if there is one, and the address literal.
        let literal = literal(remote);
        let name = trace.remote_name.map(|name| format!("{} ", word(name))).unwrap_or_default();
        value.push_str(&format!(" ({name}{literal})"));
    }
    if let Some(tls) = trace.tls {
        value.push_str(&format!(" (using {})", comment(tls)));
    }
    value.push_str(&format!(" by {} with {} id {}", word(trace.by), word(trace.with), word(trace.id)));
    if let Some(recipient) = trace.recipient {
        value.push_str(&format!(" for <{}>", path(recipient)));
    }
    value.push_str(&format!("; {}", date::rfc5322(trace.date)));
    let mut out = String::new();
    field(&mut out, "Received", &value);
    out
}

/// `Return-Path: <address>` with its line end; empty for the null reverse-path.
pub fn return_path(address: &str) -> String {
    format!("Return-Path: <{}>\r\n", path(address))
}

/// `Delivered-To: address` with its line end, by which loops are found.
pub fn delivered_to(address: &str) -> String {
    format!("Delivered-To: {}\r\n", path(address))
}

fn literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    }
}

/// A name that must stay one word: anything that would end it is replaced.
fn word(text: &str) -> String {
    let safe = |c: char| if c.is_whitespace() || "()<>;\\\"".contains(c) { '?' } else { c };
    let word: String = clean(text, NAME_MAX).chars().map(safe).collect();
    if word.is_empty() { "unknown".to_owned() } else { word }
}

fn comment(text: &str) -> String {
    clean(text, NAME_MAX).replace(['(', ')', '\\'], "?")
}

/// An address inside angle brackets: quoted local parts may have blanks and brackets, control characters
/// nothing may.
fn path(address: &str) -> String {
    clean(address, 2 * NAME_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers;

    fn trace() -> Received<'static> {
        Received {
            helo: "client.example",
            remote: Some(IpAddr::from([192, 0, 2, 1])),
            remote_name: None,
            by: "mx.example.test",
            with: "ESMTPS",
            tls: Some("TLSv1.3 TLS_AES_128_GCM_SHA256"),
            id: "1A2B",
            recipient: Some("alice@example.test"),
            date: 0,
        }
    }

    #[test]
    fn a_received_field() {
        let line = received(&trace());
        let expected = "from client.example ([192.0.2.1]) (using TLSv1.3 TLS_AES_128_GCM_SHA256) \
            by mx.example.test with ESMTPS id 1A2B for <alice@example.test>; Thu, 01 Jan 1970 00:00:00 +0000";
        let found = headers::find(line.as_bytes(), "received").expect("the field").text();
        assert_eq!(found.replace('\t', " "), expected);
        assert!(line.ends_with("\r\n") && line.lines().all(|line| line.len() <= 78));
    }

    #[test]
    fn addresses_of_version_6_and_mapped_ones() {
        let v6 = Received { remote: "2001:db8::1".parse().ok(), ..trace() };
        assert!(received(&v6).contains("([IPv6:2001:db8::1])"));
        let mapped =
            Received { remote: "::ffff:192.0.2.1".parse().ok(), remote_name: Some("h.x"), ..trace() };
        assert!(received(&mapped).contains("(h.x [192.0.2.1])"));
    }

    #[test]
    fn hostile_names_stay_words() {
        let hostile = Received { helo: "x) by evil; \r\nBcc: y", id: "", ..trace() };
        let line = received(&hostile);
        assert_eq!(headers::fields(line.as_bytes()).count(), 1);
        assert!(line.contains("from x??by?evil????Bcc:?y"), "{line}");
        assert!(line.contains("id unknown"));
        assert_eq!(return_path("a\r\nB: c"), "Return-Path: <a  B: c>\r\n");
        assert_eq!(return_path(""), "Return-Path: <>\r\n");
        assert_eq!(delivered_to("a@x"), "Delivered-To: a@x\r\n");
    }
}
