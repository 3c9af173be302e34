//! Tokens in use.

use super::Scope;
use super::token::{Kind, Token, same};
use crate::login::{PASSWORD, identity_in};
use crate::{Accounts, Admitted, Error, Identity, Proof, Secret, rows};
use kv::Transaction;
use schema::keys::account::{CredentialKey, GrantKey};
use schema::records::account::Credential;
use schema::records::oauth::Grant;
use schema::{AccountId, GrantId, Key, Record};

/// Somebody who has come with an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// On whose behalf.
    pub identity: Identity,
    /// By which grant.
    pub grant: GrantId,
    /// What for.
    pub scope: Scope,
    /// Until when, in milliseconds since the epoch.
    pub expires: i64,
}

impl Bearer {
    /// For who stays.
    pub fn admitted(self) -> Admitted {
        Admitted { identity: self.identity, proof: Proof::Token(self.grant), until: Some(self.expires) }
    }
}

/// What is known of a token that somebody has come with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It is good.
    Good(Box<Bearer>),
    /// It is not, or not any more, but it names a grant that there is: who shows it has had one, and is not guessing.
    Over,
    /// There is no such grant.
    Unknown,
}

impl Looked {
    /// Who it is, if the token is good.
    pub fn good(self) -> Option<Bearer> {
        match self {
            Looked::Good(bearer) => Some(*bearer),
            Looked::Over | Looked::Unknown => None,
        }
    }
}

/// A token, looked at (RFC 7662 §2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// To which client it was given.
    pub client: String,
    /// On whose behalf.
    pub identity: Identity,
    /// What for.
    pub scope: Scope,
    /// Since when there is such a grant, in milliseconds since the epoch.
    pub created: i64,
    /// Until when, in milliseconds since the epoch.
    pub expires: i64,
    /// Whether it is an access token and no refresh token.
    pub access: bool,
}

impl Accounts {
    /// Who comes with an access token. If the client says whose it is, it has to be so.
    ///
    /// # Errors
    /// The store's.
    pub async fn bearer(&self, token: &Secret, login: Option<&str>) -> Result<Looked, Error> {
        let Some(token) = &access(token) else { return Ok(Looked::Unknown) };
        self.db()
            .read("oauth.bearer", |txn| async move {
                if grant_in(&txn, token.account, token.grant).await?.is_none() {
                    return Ok(Looked::Unknown);
                }
                let Some((grant, scope, expires)) = self.good_in(&txn, token).await? else {
                    return Ok(Looked::Over);
                };
                if !stands_in(&txn, token.account, &grant).await?
                    || !self.is_whose_in(&txn, token.account, login).await?
                {
                    return Ok(Looked::Over);
                }
                let bearer = |identity| Bearer { identity, grant: token.grant, scope, expires };
                let identity = identity_in(&txn, token.account).await?;
                Ok(identity.map_or(Looked::Over, |identity| Looked::Good(Box::new(bearer(identity)))))
            })
            .await
    }

    /// Whether a login name is the account's, if there is one.
    async fn is_whose_in(
        &self,
        txn: &Transaction,
        account: AccountId,
        login: Option<&str>,
    ) -> Result<bool, Error> {
        let Some(login) = login else { return Ok(true) };
        let Some(address) = self.login_address(login) else { return Ok(false) };
        Ok(rows::target(txn, &address).await?.is_some_and(|target| target.account == account.0))
    }

    /// A token that a client asks about; none if it is not good.
    ///
    /// # Errors
    /// The store's.
    pub async fn inspect(&self, token: &Secret) -> Result<Option<Shown>, Error> {
        let Some(token) = &Token::parse(token.expose()) else { return Ok(None) };
        self.db()
            .read("oauth.inspect", |txn| async move {
                let Some((grant, scope, expires)) = self.good_in(&txn, token).await? else {
                    return Ok(None);
                };
                if !stands_in(&txn, token.account, &grant).await? {
                    return Ok(None);
                }
                let Some(identity) = identity_in(&txn, token.account).await? else { return Ok(None) };
                let (client, created) = (grant.client, grant.created);
                let access = token.kind == Kind::Access;
                Ok(Some(Shown { client, identity, scope, created, expires, access }))
            })
            .await
    }

    /// The grant that a token shows, with what for and until when; none for what is not, or not any more.
    async fn good_in(&self, txn: &Transaction, token: &Token) -> Result<Option<(Grant, Scope, i64)>, Error> {
        let Some(grant) = grant_in(txn, token.account, token.grant).await? else { return Ok(None) };
        let hash = token.hash();
        let found = match token.kind {
            Kind::Access => grant
                .tokens
                .iter()
                .find(|one| same(&one.hash, &hash))
                .map(|one| (scope_of(&one.scope, &grant), one.expires)),
            Kind::Refresh => same(&grant.refresh, &hash).then(|| (Scope::parse(&grant.scope), grant.expires)),
            Kind::Code | Kind::Step | Kind::Visit => None,
        };
        Ok(found.filter(|(_, expires)| *expires > self.now()).map(|(scope, until)| (grant, scope, until)))
    }
}

fn access(token: &Secret) -> Option<Token> {
    Token::parse(token.expose()).filter(|token| token.kind == Kind::Access)
}

fn scope_of(own: &str, grant: &Grant) -> Scope {
    Scope::parse(if own.is_empty() { &grant.scope } else { own })
}

pub(crate) async fn grant_in(
    txn: &Transaction,
    account: AccountId,
    grant: GrantId,
) -> Result<Option<Grant>, Error> {
    let value = txn.get(&GrantKey { account, grant }.encode()).await?;
    Ok(value.map(|value| Grant::from_bytes(&value)).transpose()?)
}

/// Whether the password by which something was allowed is still the account's.
pub(crate) async fn stands_in(txn: &Transaction, account: AccountId, grant: &Grant) -> Result<bool, Error> {
    Ok(password_in(txn, account).await? == Some(grant.credential))
}

/// The version of an account's password.
pub(crate) async fn password_in(txn: &Transaction, account: AccountId) -> Result<Option<u64>, Error> {
    let value = txn.get(&CredentialKey { account, number: PASSWORD }.encode()).await?;
    Ok(value.map(|value| Credential::from_bytes(&value)).transpose()?.map(|found| found.version))
}
