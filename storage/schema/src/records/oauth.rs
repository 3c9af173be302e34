//! Clients of OAuth 2.0, and what they were allowed. Of secrets there are hashes only, but for what id tokens are signed with.

use crate::Record;

/// A client, as it has registered (RFC 7591 §2).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Client {
    /// For people to read; it says of itself what it likes.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Where users may be sent back to.
    #[prost(string, repeated, tag = "2")]
    pub redirect_uris: Vec<String>,
    /// The hash of its secret; empty: it has none.
    #[prost(bytes = "vec", tag = "3")]
    pub secret: Vec<u8>,
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "4")]
    pub created: i64,
    /// The grant types that it uses.
    #[prost(string, repeated, tag = "5")]
    pub grant_types: Vec<String>,
    /// What it may ask for, as in RFC 6749 §3.3; empty: anything.
    #[prost(string, tag = "6")]
    pub scope: String,
    /// Its page.
    #[prost(string, tag = "7")]
    pub uri: String,
    /// How it shows its secret: `client_secret_basic`, `client_secret_post`, or `none`.
    #[prost(string, tag = "8")]
    pub method: String,
}

impl Record for Client {}

/// What a client was allowed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Grant {
    /// The client's id, as text.
    #[prost(string, tag = "1")]
    pub client: String,
    /// As in RFC 6749 §3.3.
    #[prost(string, tag = "2")]
    pub scope: String,
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub created: i64,
    /// When nothing of it is good any more, in milliseconds since the epoch.
    #[prost(int64, tag = "4")]
    pub expires: i64,
    /// The version of the password with which it was allowed: it ends with that.
    #[prost(fixed64, tag = "5")]
    pub credential: u64,
    /// The code; stays when it was exchanged, so that who shows it again is found out.
    #[prost(message, optional, tag = "6")]
    pub code: Option<Code>,
    /// The hash of what all refresh tokens of the grant have in common; empty: there are none.
    #[prost(bytes = "vec", tag = "7")]
    pub family: Vec<u8>,
    /// The hash of what the newest refresh token has of its own.
    #[prost(bytes = "vec", tag = "8")]
    pub refresh: Vec<u8>,
    /// Few.
    #[prost(message, repeated, tag = "9")]
    pub tokens: Vec<AccessToken>,
    /// When the user logged in, in milliseconds since the epoch.
    #[prost(int64, tag = "10")]
    pub authenticated: i64,
    /// What the client wants to see again in an id token.
    #[prost(string, tag = "11")]
    pub nonce: String,
    /// The user has shown a code besides the password.
    #[prost(bool, tag = "12")]
    pub second: bool,
}

impl Record for Grant {}

/// An authorization code (RFC 6749 §4.1.2).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Code {
    /// Its hash.
    #[prost(bytes = "vec", tag = "1")]
    pub hash: Vec<u8>,
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "2")]
    pub expires: i64,
    /// SHA-256 of the verifier (RFC 7636 §4.2).
    #[prost(bytes = "vec", tag = "3")]
    pub challenge: Vec<u8>,
    /// Where it was sent.
    #[prost(string, tag = "4")]
    pub redirect_uri: String,
    /// It was exchanged.
    #[prost(bool, tag = "5")]
    pub spent: bool,
}

/// An access token.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AccessToken {
    /// Its hash.
    #[prost(bytes = "vec", tag = "1")]
    pub hash: Vec<u8>,
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "2")]
    pub expires: i64,
    /// What it is good for; empty: all that was granted.
    #[prost(string, tag = "3")]
    pub scope: String,
}

/// A device that waits for its user's word (RFC 8628).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Device {
    /// The client's id, as text.
    #[prost(string, tag = "1")]
    pub client: String,
    /// As in RFC 6749 §3.3.
    #[prost(string, tag = "2")]
    pub scope: String,
    /// The hash of what the device shows.
    #[prost(bytes = "vec", tag = "3")]
    pub secret: Vec<u8>,
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "4")]
    pub expires: i64,
    /// When it asked last, in milliseconds since the epoch.
    #[prost(int64, tag = "5")]
    pub asked: i64,
    /// How long it is to wait between two questions, in seconds.
    #[prost(int64, tag = "6")]
    pub interval: i64,
    /// 0: nobody has said anything; 1: no; 2: yes.
    #[prost(uint32, tag = "7")]
    pub state: u32,
    /// Whose user has allowed it.
    #[prost(uint32, tag = "8")]
    pub account: u32,
    /// The version of the password with which that was.
    #[prost(fixed64, tag = "9")]
    pub credential: u64,
    /// When the user logged in, in milliseconds since the epoch.
    #[prost(int64, tag = "10")]
    pub authenticated: i64,
    /// The user has shown a code besides the password.
    #[prost(bool, tag = "11")]
    pub second: bool,
}

impl Record for Device {}

/// What id tokens are signed with (OpenID Connect Core §10.1). Since level 4.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SigningKeys {
    /// In the order in which they were made: the last one signs.
    #[prost(message, repeated, tag = "1")]
    pub keys: Vec<SigningKey>,
}

impl Record for SigningKeys {}

/// A key, or what is left of it.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct SigningKey {
    /// By what tokens name it (RFC 7638).
    #[prost(string, tag = "1")]
    pub id: String,
    /// A key pair of RSA, in PKCS #8; empty: it signs no more.
    #[prost(bytes = "vec", tag = "2")]
    pub pair: Vec<u8>,
    /// Its public half (RFC 8017 §A.1.1).
    #[prost(bytes = "vec", tag = "3")]
    pub public: Vec<u8>,
    /// In milliseconds since the epoch.
    #[prost(int64, tag = "4")]
    pub created: i64,
    /// When nobody needs it any more to look at what it has signed, in milliseconds since the epoch; 0: it still signs.
    #[prost(int64, tag = "5")]
    pub until: i64,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture<R: Record + PartialEq + std::fmt::Debug>(record: &R, bytes: &[u8]) {
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(R::from_bytes(bytes).as_ref(), Ok(record));
    }

    #[test]
    fn fixtures() {
        let client = Client {
            name: "A".into(),
            redirect_uris: vec!["a:/".into()],
            secret: vec![1],
            created: 300,
            grant_types: vec!["g".into()],
            scope: "s".into(),
            uri: "u".into(),
            method: "m".into(),
        };
        fixture(
            &client,
            b"\x01\x0a\x01A\x12\x03a:/\x1a\x01\x01\x20\xac\x02\x2a\x01g\x32\x01s\x3a\x01u\x42\x01m",
        );
        let device = Device {
            client: "c".into(),
            scope: "s".into(),
            secret: vec![1],
            expires: 2,
            asked: 3,
            interval: 4,
            state: 2,
            account: 5,
            credential: 6,
            authenticated: 7,
            second: true,
        };
        let bytes = b"\x01\x0a\x01c\x12\x01s\x1a\x01\x01\x20\x02\x28\x03\x30\x04\x38\x02\x40\x05\x49\x06\0\0\0\0\0\0\0\x50\x07\x58\x01";
        fixture(&device, bytes);
        let grant = Grant {
            client: "c".into(),
            scope: "s".into(),
            created: 1,
            expires: 2,
            credential: 3,
            code: Some(Code {
                hash: vec![1],
                expires: 2,
                challenge: vec![3],
                redirect_uri: "a:/".into(),
                spent: true,
            }),
            family: vec![4],
            refresh: vec![5],
            tokens: vec![AccessToken { hash: vec![6], expires: 7, scope: "s".into() }],
            authenticated: 8,
            nonce: "n".into(),
            second: true,
        };
        let code = b"\x0a\x01\x01\x10\x02\x1a\x01\x03\x22\x03a:/\x28\x01";
        let head = b"\x01\x0a\x01c\x12\x01s\x18\x01\x20\x02\x29\x03\0\0\0\0\0\0\0\x32\x0f";
        let tail = b"\x3a\x01\x04\x42\x01\x05\x4a\x08\x0a\x01\x06\x10\x07\x1a\x01s\x50\x08\x5a\x01n\x60\x01";
        fixture(&grant, &[&head[..], code, tail].concat());
        let key = SigningKey { id: "k".into(), pair: vec![1], public: vec![2], created: 3, until: 4 };
        assert_eq!(format!("{key:?}"), "SigningKey { id: \"k\", .. }");
        let bytes = b"\x01\x0a\x0d\x0a\x01k\x12\x01\x01\x1a\x01\x02\x20\x03\x28\x04";
        fixture(&SigningKeys { keys: vec![key] }, bytes);
    }
}
