//! What tokens look like.
//!
//! `gwa_` and so on for people (and programs that look for secrets where none should be), then base64url of the account (4
//! bytes), the grant (8 bytes), and random ones: 32 of a code or an access token; 16 that all of a grant have in common and 32
//! of its own for a refresh token.

use crate::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::Rng;
use schema::{AccountId, GrantId};
use zeroize::Zeroizing;

/// Bytes that all refresh tokens of a grant have in common.
pub(super) const FAMILY: usize = 16;
/// Bytes that are a token's own.
const OWN: usize = 32;
/// Bytes that say of what a token is.
const HEAD: usize = 12;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An authorization code.
    Code,
    Access,
    Refresh,
    /// What shows on a page that the password was shown before. It is of no grant.
    Step,
    /// What a browser shows whose user has logged in to the page of the account. It is of no grant.
    Visit,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::Code, Kind::Access, Kind::Refresh, Kind::Step, Kind::Visit];

    fn prefix(self) -> &'static str {
        match self {
            Kind::Code => "gwc_",
            Kind::Access => "gwa_",
            Kind::Refresh => "gwr_",
            Kind::Step => "gws_",
            Kind::Visit => "gwv_",
        }
    }

    fn secret(self) -> usize {
        if self == Kind::Refresh { FAMILY + OWN } else { OWN }
    }
}

/// A token. Wiped from memory when dropped.
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) account: AccountId,
    pub(super) grant: GrantId,
    secret: Zeroizing<Vec<u8>>,
}

impl Token {
    /// A new one.
    pub(super) fn new(kind: Kind, account: AccountId, grant: GrantId, rng: &dyn Rng) -> Token {
        let mut secret = Zeroizing::new(vec![0; kind.secret()]);
        rng.fill(&mut secret);
        Token { kind, account, grant, secret }
    }

    /// The refresh token that comes after this one.
    pub(super) fn next(&self, rng: &dyn Rng) -> Token {
        let mut secret = self.secret.clone();
        let own = secret.len().min(FAMILY);
        rng.fill(secret.get_mut(own..).unwrap_or_default());
        Token { kind: self.kind, account: self.account, grant: self.grant, secret }
    }

    /// Reads what a client shows; none for what was never given out.
    pub(super) fn parse(text: &str) -> Option<Token> {
        let kind = Kind::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.get(kind.prefix().len()..)?).ok()?);
        let (head, secret) = bytes.split_at_checked(HEAD)?;
        let (account, grant) = head.split_at_checked(4)?;
        let account = AccountId(u32::from_be_bytes(account.try_into().ok()?));
        let grant = GrantId(u64::from_be_bytes(grant.try_into().ok()?));
        let secret = Zeroizing::new(secret.to_vec());
        (secret.len() == kind.secret()).then_some(Token { kind, account, grant, secret })
    }

    /// As the client gets it.
    pub(super) fn text(&self) -> Secret {
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD + self.secret.len()));
        bytes.extend_from_slice(&self.account.0.to_be_bytes());
        bytes.extend_from_slice(&self.grant.0.to_be_bytes());
        bytes.extend_from_slice(&self.secret);
        let mut text = Zeroizing::new(self.kind.prefix().to_owned());
        URL_SAFE_NO_PAD.encode_string(&*bytes, &mut text);
        Secret::new(std::mem::take(&mut *text))
    }

    /// The hash of what is its own.
    pub(super) fn hash(&self) -> Vec<u8> {
        hash(&self.secret)
    }

    /// The hash of what all refresh tokens of its grant have in common.
    pub(super) fn family(&self) -> Vec<u8> {
        hash(self.secret.get(..FAMILY).unwrap_or_default())
    }
}

/// A word that shows what was shown before, so that it need not be shown again. It is of an account, and of no grant.
pub(crate) struct Word(Token);

impl Word {
    /// A new one, for a page that asks for the code of a second factor: the password was shown.
    pub(crate) fn step(account: AccountId, rng: &dyn Rng) -> Self {
        Word(Token::new(Kind::Step, account, GrantId(0), rng))
    }

    /// A new one, for the browser of who has logged in to the page of the account.
    pub(crate) fn visit(account: AccountId, rng: &dyn Rng) -> Self {
        Word(Token::new(Kind::Visit, account, GrantId(0), rng))
    }

    /// Reads what a page shows with a code; none for what was never given out.
    pub(crate) fn parse_step(text: &Secret) -> Option<Self> {
        Token::parse(text.expose()).filter(|token| token.kind == Kind::Step).map(Word)
    }

    /// Reads what a browser shows; none for what was never given out.
    pub(crate) fn parse_visit(text: &Secret) -> Option<Self> {
        Token::parse(text.expose()).filter(|token| token.kind == Kind::Visit).map(Word)
    }

    /// Of whom.
    pub(crate) fn account(&self) -> AccountId {
        self.0.account
    }

    /// What is in the store of it.
    pub(crate) fn hash(&self) -> Vec<u8> {
        self.0.hash()
    }

    /// Whether that is in the store of it.
    pub(crate) fn is(&self, hash: &[u8]) -> bool {
        same(&self.0.hash(), hash)
    }

    /// What only who has the word can make of it. `context`: what for.
    pub(crate) fn derived(&self, context: &'static str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(context, &self.0.secret))
    }

    /// As it is given out.
    pub(crate) fn text(&self) -> Secret {
        self.0.text()
    }
}

/// What is in the store of a secret. It is random and long: no salt, and no work.
pub(super) fn hash(secret: &[u8]) -> Vec<u8> {
    blake3::derive_key("godwit 2026 oauth secret", secret).to_vec()
}

/// Whether two hashes are the same. Takes as long if they are not.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    let hash = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).ok().map(blake3::Hash::from_bytes);
    // What cannot be a hash is equal to none.
    hash(one).zip(hash(other)).is_some_and(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::SeededRng;

    #[test]
    fn tokens_read_back() {
        let rng = SeededRng::new(1);
        for (kind, prefix, length) in
            [(Kind::Code, "gwc_", 63), (Kind::Access, "gwa_", 63), (Kind::Refresh, "gwr_", 84)]
        {
            let token = Token::new(kind, AccountId(7), GrantId(9), &rng);
            let text = token.text();
            assert!(text.expose().starts_with(prefix), "{}", text.expose());
            assert_eq!(text.expose().len(), length);
            let back = Token::parse(text.expose()).unwrap();
            assert_eq!((back.kind, back.account, back.grant), (kind, AccountId(7), GrantId(9)));
            assert!(same(&back.hash(), &token.hash()));
            for bad in [&text.expose()[1..], &text.expose()[..length - 2], "", "gwa_", "gwa_é", "gwx_AAAA"] {
                assert!(Token::parse(bad).is_none(), "{bad}");
            }
        }
    }

    #[test]
    fn those_of_a_family_have_half_in_common() {
        let rng = SeededRng::new(1);
        let one = Token::new(Kind::Refresh, AccountId(7), GrantId(9), &rng);
        let two = one.next(&rng);
        assert!(same(&one.family(), &two.family()) && !same(&one.hash(), &two.hash()));
        assert!(!same(&[], &[]) && !same(&one.hash(), &[]));
    }
}
