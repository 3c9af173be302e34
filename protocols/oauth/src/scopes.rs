//! What clients may ask for, in words.

use accounts::oauth::Scope;
use oauth_proto::{Error, ErrorCode, OPEN_ID_SCOPES};

use crate::Server;
use crate::answer::Refused;

/// What a user reads, by the scope's name.
const WORDS: [(&str, &str); 9] = [
    ("openid", "Know by which account you use it"),
    ("email", "See your mail address"),
    ("profile", "See your name and by which name you log in"),
    ("urn:ietf:params:jmap:core", "See which mailboxes you can reach"),
    ("urn:ietf:params:jmap:mail", "Read, change and delete your mail"),
    ("urn:ietf:params:jmap:submission", "Send mail in your name"),
    ("urn:ietf:params:jmap:vacationresponse", "Change your automatic reply"),
    ("urn:ietf:params:jmap:blob", "Read and store the files that messages are made of"),
    ("urn:ietf:params:jmap:quota", "See how much room your mail takes"),
];

/// What a scope means, in words; its name, if nobody has said.
pub(crate) fn words(scope: &str) -> &str {
    WORDS.iter().find(|(name, _)| *name == scope).map_or(scope, |(_, words)| words)
}

impl Server {
    /// What is granted of what is asked for: what there is, and what the client has registered for (RFC 6749 §3.3).
    pub(crate) async fn granted(&self, asked: Option<&str>, registered: &Scope) -> Result<Scope, Refused> {
        let asked = match asked {
            Some(asked) => Scope::parse(asked),
            None => registered.clone(),
        };
        let more = OPEN_ID_SCOPES.iter().any(|scope| asked.has(scope)) && self.signing().await?.is_some();
        let there =
            |token: &str| self.options.scopes.contains(&token) || (more && OPEN_ID_SCOPES.contains(&token));
        let may = |token: &&str| there(token) && (registered.is_empty() || registered.has(token));
        let granted: Scope = asked.tokens().filter(may).collect();
        if granted.is_empty() {
            return Err(
                Error::new(ErrorCode::InvalidScope, "nothing is asked for that could be granted").into()
            );
        }
        Ok(granted)
    }
}
