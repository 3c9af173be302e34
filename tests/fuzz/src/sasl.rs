//! SASL exchanges.

use sasl::{Credentials, Exchange, Mechanism, Step};

/// A client's responses, line by line; the exchange ends and stays ended.
pub fn client(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::OauthBearer, Mechanism::XOauth2] {
        assert_eq!(Mechanism::from_name(mechanism.name()), Some(mechanism));
        let initial = lines.next().filter(|line| !line.is_empty());
        let (mut exchange, mut step) = Exchange::begin(mechanism, initial);
        for line in lines.by_ref() {
            match &step {
                Step::Challenge(_) => step = exchange.respond(line),
                Step::Done(credentials) => {
                    let login = match credentials {
                        Credentials::Password { login, .. } => Some(login),
                        Credentials::Token { login, .. } => login.as_ref(),
                    };
                    assert!(login.is_none_or(|login| !login.contains('\0')));
                    break;
                }
                Step::Failed(_) => {
                    assert!(matches!(exchange.respond(line), Step::Failed(_)), "what failed stays failed");
                    break;
                }
            }
        }
    }
}
