//! Who is pushed to (RFC 8620 §7.2).

use crate::Record;

/// A subscription.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PushRecord {
    /// `deviceClientId`
    #[prost(string, tag = "1")]
    pub device: String,
    /// Where pushes go.
    #[prost(string, tag = "2")]
    pub url: String,
    /// The device's key in base64url; empty if nothing is encrypted.
    #[prost(string, tag = "3")]
    pub p256dh: String,
    /// The device's secret in base64url.
    #[prost(string, tag = "4")]
    pub auth: String,
    /// What the device has to say before it is pushed to.
    #[prost(string, tag = "5")]
    pub code: String,
    /// Whether the device was sent its code.
    #[prost(bool, tag = "6")]
    pub asked: bool,
    /// Whether it has said it.
    #[prost(bool, tag = "7")]
    pub verified: bool,
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "8")]
    pub expires: i64,
    /// The types that it hears of, if not of all.
    #[prost(string, repeated, tag = "9")]
    pub types: Vec<String>,
    /// Whether it hears of some types only.
    #[prost(bool, tag = "10")]
    pub some: bool,
    /// The versions of the credentials that its owner may have logged in by.
    #[prost(fixed64, repeated, tag = "11")]
    pub credentials: Vec<u64>,
    /// Up to where it was told; empty if never.
    #[prost(string, tag = "12")]
    pub told: String,
    /// The grant that its owner's client came by, if it was one.
    #[prost(fixed64, optional, tag = "13")]
    pub grant: Option<u64>,
}

impl Record for PushRecord {}

/// When an account has subscribed of late.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PushRate {
    /// In milliseconds since the epoch.
    #[prost(int64, repeated, tag = "1")]
    pub at: Vec<i64>,
}

impl Record for PushRate {}

/// What pushes are signed with (RFC 8292).
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct PushSecret {
    /// A key pair of P-256, in PKCS #8.
    #[prost(bytes = "vec", tag = "1")]
    pub pair: Vec<u8>,
}

impl std::fmt::Debug for PushSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushSecret").finish_non_exhaustive()
    }
}

impl Record for PushSecret {}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture<R: Record + PartialEq + std::fmt::Debug>(record: &R, bytes: &[u8]) {
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(R::from_bytes(bytes).as_ref(), Ok(record));
    }

    #[test]
    fn fixtures() {
        let record = PushRecord {
            device: "d".into(),
            url: "u".into(),
            p256dh: "p".into(),
            auth: "a".into(),
            code: "c".into(),
            asked: true,
            verified: true,
            expires: 5,
            types: vec!["Email".into()],
            some: true,
            credentials: vec![7],
            told: "t".into(),
            grant: Some(9),
        };
        let bytes: &[u8] =
            b"\x01\x0a\x01d\x12\x01u\x1a\x01p\x22\x01a\x2a\x01c\x30\x01\x38\x01\x40\x05\x4a\x05Email\
            \x50\x01\x5a\x08\x07\0\0\0\0\0\0\0\x62\x01t\x69\x09\0\0\0\0\0\0\0";
        fixture(&record, bytes);
        fixture(&PushRate { at: vec![1, 300] }, b"\x01\x0a\x03\x01\xac\x02");
        let secret = PushSecret { pair: vec![9] };
        fixture(&secret, b"\x01\x0a\x01\x09");
        assert_eq!(format!("{secret:?}"), "PushSecret { .. }");
    }
}
