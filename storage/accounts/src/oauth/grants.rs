//! What users allow, and what clients get for it.

use super::bearer::{grant_in, password_in, stands_in};
use super::token::{Kind, Token, same};
use super::{ACCESS_TIME, CODE_TIME, IDLE_TIME, Scope, clients};
use crate::login::identity_in;
use crate::{Accounts, Error, Secret, visit};
use changes::log;
use kv::{Transaction, Versionstamp};
use schema::keys::account::GrantKey;
use schema::records::oauth::{AccessToken, Code, Grant};
use schema::{AccountId, GrantId, Key, Record};

/// Most grants of an account; the one that was not used for longest goes for one more.
pub const GRANTS: usize = 100;

/// Most access tokens of a grant that are good at once; the oldest goes for one more.
const TOKENS: usize = 10;

/// What a user allows to a client.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// Whose user.
    pub account: AccountId,
    /// The version of the password that the user has shown.
    pub credential: u64,
    /// To which client.
    pub client: String,
    /// What for.
    pub scope: Scope,
    /// Where the code is sent.
    pub redirect_uri: String,
    /// SHA-256 of the client's verifier (RFC 7636 §4.2).
    pub challenge: [u8; 32],
    /// What the client wants to see again in an id token.
    pub nonce: String,
    /// Whether the user has shown a code besides the password.
    pub second: bool,
}

/// A code, shown by a client (RFC 6749 §4.1.3).
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The code.
    pub code: &'a Secret,
    /// By which client, which has proved that it is that.
    pub client: &'a str,
    /// Where it says that the code was sent.
    pub redirect_uri: &'a str,
    /// SHA-256 of the verifier that it shows.
    pub challenge: [u8; 32],
    /// Whether it uses refresh tokens.
    pub refreshes: bool,
}

/// What a client gets.
#[derive(Debug)]
pub struct Issued {
    /// The access token.
    pub access: Secret,
    /// How long it is good, in seconds.
    pub seconds: i64,
    /// The refresh token.
    pub refresh: Option<Secret>,
    /// What for.
    pub scope: Scope,
    /// On whose behalf.
    pub account: AccountId,
    /// When the user logged in, in milliseconds since the epoch.
    pub authenticated: i64,
    /// Whether the user has shown a code besides the password.
    pub second: bool,
    /// What the client wants to see again in an id token: in the first one only (OpenID Connect Core §12.2).
    pub nonce: Option<String>,
}

/// Why a client gets nothing (RFC 6749 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `invalid_grant`
    Grant,
    /// `invalid_scope`
    Scope,
}

/// A grant, for who looks what was allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The grant.
    pub id: GrantId,
    /// To which client.
    pub client: String,
    /// The client's name, as it says.
    pub name: String,
    /// What for.
    pub scope: Scope,
    /// Since when, in milliseconds since the epoch.
    pub created: i64,
    /// Until when if it is not used, in milliseconds since the epoch.
    pub expires: i64,
    /// When the client got its newest access token, in milliseconds since the epoch; none: it has got none yet. Clients that go on
    /// get one each hour.
    pub used: Option<i64>,
}

/// What a transaction has found, and whether a grant has ended by it.
type Outcome<T> = (T, Option<AccountId>);

impl Accounts {
    /// A user allows something: the code that the client gets. None if the client or the password is not there any more.
    ///
    /// # Errors
    /// The store's.
    pub async fn allow(&self, new: &NewGrant) -> Result<Option<Secret>, Error> {
        let id = GrantId(self.rng().u64());
        let code = Token::new(Kind::Code, new.account, id, &**self.rng());
        let (grant, key) =
            (&self.grant_of(new, &code), &GrantKey { account: new.account, grant: id }.encode());
        let allowed = self.db().transact_versioned("oauth.allow", |txn| async move {
            let person = identity_in(&txn, new.account).await?.is_some();
            if !person || !stands_in(&txn, new.account, grant).await? {
                return Ok::<_, Error>((false, None));
            }
            if !clients::keep_in(&txn, &new.client).await? {
                return Ok((false, None));
            }
            let ended = self.make_room_in(&txn, new.account).await?.then_some(new.account);
            txn.set(key, &grant.to_bytes());
            Ok((true, ended))
        });
        Ok(self.told(allowed.await?).then(|| code.text()))
    }

    fn grant_of(&self, new: &NewGrant, code: &Token) -> Grant {
        let (now, until) = (self.now(), self.now() + CODE_TIME);
        Grant {
            client: new.client.clone(),
            scope: new.scope.to_string(),
            created: now,
            expires: until,
            credential: new.credential,
            code: Some(Code {
                hash: code.hash(),
                expires: until,
                challenge: new.challenge.to_vec(),
                redirect_uri: new.redirect_uri.clone(),
                spent: false,
            }),
            authenticated: now,
            nonce: new.nonce.clone(),
            second: new.second,
            ..Grant::default()
        }
    }

    /// What a client gets for a code. Whatever is wrong about it ends the grant, if the code itself is right: it was
    /// shown before, or has come into other hands (RFC 6749 §4.1.2, RFC 9700 §4.5).
    ///
    /// # Errors
    /// The store's.
    pub async fn exchange(&self, shown: Exchange<'_>) -> Result<Result<Issued, Refusal>, Error> {
        let code = Token::parse(shown.code.expose()).filter(|token| token.kind == Kind::Code);
        let Some(code) = &code else { return Ok(Err(Refusal::Grant)) };
        let refresh =
            shown.refreshes.then(|| Token::new(Kind::Refresh, code.account, code.grant, &**self.rng()));
        let access = Token::new(Kind::Access, code.account, code.grant, &**self.rng());
        let (refresh, access) = (refresh.as_ref(), &access);
        let exchanged = self.db().transact_versioned("oauth.exchange", |txn| async move {
            let Some(mut grant) = grant_in(&txn, code.account, code.grant).await? else {
                return Ok::<_, Error>((Err(Refusal::Grant), None));
            };
            let known = grant.code.as_mut().filter(|known| same(&known.hash, &code.hash()));
            let Some(known) = known else { return Ok((Err(Refusal::Grant), None)) };
            let fits = !known.spent
                && known.expires > self.now()
                && known.redirect_uri == shown.redirect_uri
                && known.challenge == shown.challenge
                && grant.client == shown.client;
            known.spent = true;
            if !fits || !self.usable_in(&txn, code.account, &grant).await? {
                end_in(&txn, code.account, code.grant);
                return Ok((Err(Refusal::Grant), Some(code.account)));
            }
            if let Some(refresh) = refresh {
                grant.family = refresh.family();
            }
            let nonce = Some(grant.nonce.clone()).filter(|nonce| !nonce.is_empty());
            let issued = self.issue_in(&txn, grant, access, refresh, None);
            Ok((Ok(Issued { nonce, ..issued }), None))
        });
        Ok(self.told(exchanged.await?))
    }

    /// What a client gets for a refresh token (RFC 6749 §6), which is good once. One that was used before ends the grant
    /// (RFC 9700 §4.14.2).
    ///
    /// # Errors
    /// The store's.
    pub async fn refresh(
        &self,
        token: &Secret,
        client: &str,
        scope: Option<&Scope>,
    ) -> Result<Result<Issued, Refusal>, Error> {
        let token = Token::parse(token.expose()).filter(|token| token.kind == Kind::Refresh);
        let Some(token) = &token else { return Ok(Err(Refusal::Grant)) };
        let (access, next) = (
            &Token::new(Kind::Access, token.account, token.grant, &**self.rng()),
            &token.next(&**self.rng()),
        );
        let refreshed = self.db().transact_versioned("oauth.refresh", |txn| async move {
            let grant = grant_in(&txn, token.account, token.grant).await?;
            let grant = grant.filter(|grant| same(&grant.family, &token.family()) && grant.client == client);
            let Some(grant) = grant else { return Ok::<_, Error>((Err(Refusal::Grant), None)) };
            let good = same(&grant.refresh, &token.hash()) && grant.expires > self.now();
            if !good || !self.usable_in(&txn, token.account, &grant).await? {
                end_in(&txn, token.account, token.grant);
                return Ok((Err(Refusal::Grant), Some(token.account)));
            }
            // RFC 6749 §6: not more than was granted.
            if scope.is_some_and(|scope| !Scope::parse(&grant.scope).covers(scope)) {
                return Ok((Err(Refusal::Scope), None));
            }
            Ok((Ok(self.issue_in(&txn, grant, access, Some(next), scope)), None))
        });
        Ok(self.told(refreshed.await?))
    }

    /// Ends the grant that a token of it shows (RFC 7009 §2.1), if it is the client's. A refresh token that was used before shows
    /// it as well.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoke(&self, token: &Secret, client: &str) -> Result<bool, Error> {
        let Some(token) = &Token::parse(token.expose()) else { return Ok(false) };
        let revoked = self.db().transact_versioned("oauth.revoke", |txn| async move {
            let grant = grant_in(&txn, token.account, token.grant).await?;
            let shows = |grant: &Grant| match token.kind {
                Kind::Access => grant.tokens.iter().any(|one| same(&one.hash, &token.hash())),
                Kind::Refresh => same(&grant.family, &token.family()),
                Kind::Code | Kind::Step | Kind::Visit => false,
            };
            if !grant.is_some_and(|grant| grant.client == client && shows(&grant)) {
                return Ok::<_, Error>((false, None));
            }
            end_in(&txn, token.account, token.grant);
            Ok((true, Some(token.account)))
        });
        Ok(self.told(revoked.await?))
    }

    /// What an account's user has allowed.
    ///
    /// # Errors
    /// The store's.
    pub async fn grants(&self, account: AccountId) -> Result<Vec<Allowed>, Error> {
        self.db()
            .read("oauth.grants", |txn| async move {
                let mut all = Vec::new();
                for (id, grant) in rows(&txn, account).await? {
                    if grant.expires <= self.now() || !stands_in(&txn, account, &grant).await? {
                        continue;
                    }
                    let client = clients::client_in(&txn, &grant.client).await?;
                    let used = grant.tokens.last().map(|newest| newest.expires - ACCESS_TIME);
                    all.push(Allowed {
                        id,
                        name: client.map_or_else(String::new, |client| client.says.name),
                        client: grant.client,
                        scope: Scope::parse(&grant.scope),
                        created: grant.created,
                        expires: grant.expires,
                        used,
                    });
                }
                Ok(all)
            })
            .await
    }

    /// Takes back what was allowed. False if there is no such grant.
    ///
    /// # Errors
    /// The store's.
    pub async fn take_back(&self, account: AccountId, grant: GrantId) -> Result<bool, Error> {
        let taken = self.db().transact_versioned("oauth.take_back", |txn| async move {
            if grant_in(&txn, account, grant).await?.is_none() {
                return Ok::<_, Error>((false, None));
            }
            end_in(&txn, account, grant);
            Ok((true, Some(account)))
        });
        Ok(self.told(taken.await?))
    }

    /// Clears an account's grants that nobody can use any more, and visits to its page that are over. Returns how many grants.
    ///
    /// # Errors
    /// The store's.
    pub async fn expire_grants(&self, account: AccountId) -> Result<usize, Error> {
        self.db()
            .transact("oauth.expire", |txn| async move {
                visit::expire_in(&txn, account, self.now()).await?;
                let (password, mut gone) = (password_in(&txn, account).await?, 0);
                for (grant, row) in rows(&txn, account).await? {
                    if row.expires <= self.now() || password != Some(row.credential) {
                        txn.clear(&GrantKey { account, grant }.encode());
                        gone += 1;
                    }
                }
                Ok(gone)
            })
            .await
    }

    /// Tells who uses the account that a grant has ended.
    pub(super) fn told<T>(&self, ((value, ended), version): (Outcome<T>, Versionstamp)) -> T {
        if let Some(account) = ended {
            self.tell_standing(account, version);
        }
        value
    }

    async fn usable_in(&self, txn: &Transaction, account: AccountId, grant: &Grant) -> Result<bool, Error> {
        Ok(stands_in(txn, account, grant).await? && identity_in(txn, account).await?.is_some())
    }

    /// Whether a grant had to go that somebody may be using.
    pub(super) async fn make_room_in(&self, txn: &Transaction, account: AccountId) -> Result<bool, Error> {
        let mut all = rows(txn, account).await?;
        all.sort_by_key(|(_, grant)| grant.expires);
        let now = self.now();
        let excess = (all.len() + 1).saturating_sub(GRANTS);
        let mut ended = false;
        for (number, (id, grant)) in all.into_iter().enumerate() {
            if number < excess || grant.expires <= now {
                txn.clear(&GrantKey { account, grant: id }.encode());
                ended |= grant.expires > now;
            }
        }
        if ended {
            log::touch_standing_in(txn, account);
        }
        Ok(ended)
    }

    /// Writes the grant with new tokens, and says what the client gets.
    pub(super) fn issue_in(
        &self,
        txn: &Transaction,
        mut grant: Grant,
        access: &Token,
        refresh: Option<&Token>,
        scope: Option<&Scope>,
    ) -> Issued {
        let (now, until) = (self.now(), self.now() + ACCESS_TIME);
        grant.tokens.retain(|one| one.expires > now);
        let excess = (grant.tokens.len() + 1).saturating_sub(TOKENS);
        grant.tokens.drain(..excess);
        let own = scope.map_or_else(String::new, ToString::to_string);
        grant.tokens.push(AccessToken { hash: access.hash(), expires: until, scope: own });
        grant.expires = if refresh.is_some() { now + IDLE_TIME } else { until };
        grant.refresh = refresh.map_or_else(Vec::new, Token::hash);
        txn.set(&GrantKey { account: access.account, grant: access.grant }.encode(), &grant.to_bytes());
        Issued {
            access: access.text(),
            seconds: ACCESS_TIME / 1000,
            refresh: refresh.map(Token::text),
            scope: scope.cloned().unwrap_or_else(|| Scope::parse(&grant.scope)),
            account: access.account,
            authenticated: grant.authenticated,
            second: grant.second,
            nonce: None,
        }
    }
}

/// Ends a grant, and notes that those who use it may not stay.
fn end_in(txn: &Transaction, account: AccountId, grant: GrantId) {
    txn.clear(&GrantKey { account, grant }.encode());
    log::touch_standing_in(txn, account);
}

async fn rows(txn: &Transaction, account: AccountId) -> Result<Vec<(GrantId, Grant)>, Error> {
    let (begin, end) = GrantKey::range(account);
    let rows = txn.range(&begin, &end).collect().await?;
    let read = |(key, value): &kv::Row| Ok((GrantKey::decode(key)?.grant, Grant::from_bytes(value)?));
    rows.iter().map(read).collect()
}
