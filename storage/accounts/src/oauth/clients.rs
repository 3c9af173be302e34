//! Clients, and who may register them.

use super::{Scope, WAITING_TIME, token};
use crate::{Accounts, Error, Secret};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kv::Transaction;
use schema::keys::oauth::{ClientId, ClientKey, NewClientKey, RANDOM};
use schema::records::oauth as records;
use schema::{Key, Record};

/// Most clients that wait for somebody to allow them something; the oldest goes for one more.
pub const WAITING_CLIENTS: usize = 1_000;

/// What a client says of itself (RFC 7591 §2), looked at already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewClient {
    /// For people to read.
    pub name: String,
    /// Where users may be sent back to.
    pub redirect_uris: Vec<String>,
    /// The grant types that it uses.
    pub grant_types: Vec<String>,
    /// What it may ask for; empty: anything.
    pub scope: Scope,
    /// Its page.
    pub uri: String,
    /// How it shows its secret; `none`: it gets none.
    pub method: String,
}

/// A client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its id, as it shows it.
    pub id: String,
    /// What it has said of itself.
    pub says: NewClient,
    /// When it was registered, in milliseconds since the epoch.
    pub created: i64,
    /// The hash of its secret; empty: it has none.
    secret: Vec<u8>,
}

/// A client that has just been registered.
#[derive(Debug)]
pub struct Registered {
    /// The client.
    pub client: Client,
    /// Its secret, if it wants one; nobody can tell it again.
    pub secret: Option<Secret>,
}

impl Client {
    fn of(id: String, record: records::Client) -> Client {
        let says = NewClient {
            name: record.name,
            redirect_uris: record.redirect_uris,
            grant_types: record.grant_types,
            scope: Scope::parse(&record.scope),
            uri: record.uri,
            method: record.method,
        };
        Client { id, says, created: record.created, secret: record.secret }
    }

    /// Whether it has no secret (RFC 6749 §2.1).
    pub fn is_public(&self) -> bool {
        self.secret.is_empty()
    }

    /// Whether this is its secret.
    pub fn proves(&self, secret: &Secret) -> bool {
        token::same(&token::hash(secret.expose().as_bytes()), &self.secret)
    }

    /// Whether it uses a grant type.
    pub fn uses(&self, grant_type: &str) -> bool {
        self.says.grant_types.iter().any(|one| one == grant_type)
    }
}

impl Accounts {
    /// Registers a client, which waits for somebody to allow it something.
    ///
    /// # Errors
    /// The store's.
    pub async fn register_client(&self, new: &NewClient) -> Result<Registered, Error> {
        let mut random = [0; RANDOM];
        self.rng().fill(&mut random);
        let created = self.now();
        let id = ClientId { time: created.div_euclid(1000), random };
        let secret = (new.method != "none").then(|| self.client_secret());
        let record = records::Client {
            name: new.name.clone(),
            redirect_uris: new.redirect_uris.clone(),
            secret: secret.as_ref().map_or_else(Vec::new, |secret| token::hash(secret.expose().as_bytes())),
            created,
            grant_types: new.grant_types.clone(),
            scope: new.scope.to_string(),
            uri: new.uri.clone(),
            method: new.method.clone(),
        };
        let row = &record;
        let set = self.db().transact("oauth.register", |txn| async move {
            make_room_in(&txn).await?;
            txn.set(&NewClientKey { id }.encode(), &row.to_bytes());
            Ok::<_, Error>(())
        });
        set.await?;
        Ok(Registered { client: Client::of(text_of(&id), record), secret })
    }

    fn client_secret(&self) -> Secret {
        let mut random = zeroize::Zeroizing::new([0; 32]);
        self.rng().fill(&mut *random);
        Secret::new(URL_SAFE_NO_PAD.encode(*random))
    }

    /// The client that has an id.
    ///
    /// # Errors
    /// The store's.
    pub async fn client(&self, id: &str) -> Result<Option<Client>, Error> {
        self.db().read("oauth.client", |txn| async move { client_in(&txn, id).await }).await
    }

    /// Forgets clients that nobody has allowed anything for too long. Returns how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn expire_clients(&self, limit: usize) -> Result<usize, Error> {
        let end = NewClientKey::since(self.now().div_euclid(1000) - WAITING_TIME);
        let (begin, _) = NewClientKey::range();
        let (begin, end) = (&begin, &end);
        self.db()
            .transact("oauth.expire_clients", |txn| async move {
                let rows = txn.range(begin, end).limit(limit).collect().await?;
                rows.iter().for_each(|(key, _)| txn.clear(key));
                Ok(rows.len())
            })
            .await
    }
}

/// The oldest goes where there are too many. Read without conflicts: a few more do no harm.
async fn make_room_in(txn: &Transaction) -> Result<(), Error> {
    let (begin, end) = NewClientKey::range();
    let rows = txn.range(&begin, &end).snapshot().limit(WAITING_CLIENTS).collect().await?;
    if rows.len() >= WAITING_CLIENTS {
        rows.first().into_iter().for_each(|(key, _)| txn.clear(key));
    }
    Ok(())
}

fn text_of(id: &ClientId) -> String {
    URL_SAFE_NO_PAD.encode(id.to_bytes())
}

fn id_of(text: &str) -> Option<ClientId> {
    // Only what was given out: no other text of the same bytes.
    let id = ClientId::from_bytes(&URL_SAFE_NO_PAD.decode(text).ok()?)?;
    (text_of(&id) == text).then_some(id)
}

pub(super) async fn client_in(txn: &Transaction, text: &str) -> Result<Option<Client>, Error> {
    let Some(id) = id_of(text) else { return Ok(None) };
    let mut value = txn.get(&ClientKey { id }.encode()).await?;
    if value.is_none() {
        value = txn.get(&NewClientKey { id }.encode()).await?;
    }
    let record = value.map(|value| records::Client::from_bytes(&value)).transpose()?;
    Ok(record.map(|record| Client::of(text.to_owned(), record)))
}

/// The client has been allowed something: it stays. False if there is none.
pub(super) async fn keep_in(txn: &Transaction, text: &str) -> Result<bool, Error> {
    let Some(id) = id_of(text) else { return Ok(false) };
    let kept = ClientKey { id }.encode();
    if txn.get(&kept).await?.is_some() {
        return Ok(true);
    }
    let waiting = NewClientKey { id }.encode();
    let Some(value) = txn.get(&waiting).await? else { return Ok(false) };
    txn.clear(&waiting);
    txn.set(&kept, &value);
    Ok(true)
}
