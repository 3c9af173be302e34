//! Who is who: addresses to recipients, and the Authenticator over storage/accounts.
