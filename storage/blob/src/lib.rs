//! Content-addressed bodies: small ones in the store, larger ones in durable files.
