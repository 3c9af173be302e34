//! Principals, credentials, aliases, groups, access rights, quota limits; the Authenticator port.
