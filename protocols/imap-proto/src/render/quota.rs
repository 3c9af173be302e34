//! QUOTA and QUOTAROOT responses (RFC 9208 §4.2).

use super::string::list;
use super::{astring, crlf, mailbox, number};

/// A resource of a quota root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaResource<'a> {
    /// `STORAGE`, `MESSAGE`, …
    pub name: &'a str,
    /// In use, in the resource's unit (STORAGE: 1024 bytes).
    pub usage: u64,
    /// Allowed, in the same unit.
    pub limit: u64,
}

/// `* QUOTA root (STORAGE usage limit …)`
pub fn quota(out: &mut Vec<u8>, root: &str, resources: &[QuotaResource<'_>]) {
    out.extend_from_slice(b"* QUOTA ");
    astring(out, root.as_bytes());
    out.push(b' ');
    list(out, resources, |out, resource| {
        astring(out, resource.name.as_bytes());
        out.push(b' ');
        number(out, resource.usage);
        out.push(b' ');
        number(out, resource.limit);
    });
    crlf(out);
}

/// `* QUOTAROOT mailbox root …`
pub fn quota_root(out: &mut Vec<u8>, name: &str, roots: &[&str], utf8: bool) {
    out.extend_from_slice(b"* QUOTAROOT ");
    mailbox(out, name, utf8);
    for root in roots {
        out.push(b' ');
        astring(out, root.as_bytes());
    }
    crlf(out);
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn known_answers() {
        let storage = QuotaResource { name: "STORAGE", usage: 10, limit: 512 };
        assert_eq!(written(|o| quota(o, "", &[storage])), "* QUOTA \"\" (STORAGE 10 512)\r\n");
        assert_eq!(written(|o| quota_root(o, "INBOX", &[""], false)), "* QUOTAROOT \"INBOX\" \"\"\r\n");
    }
}
