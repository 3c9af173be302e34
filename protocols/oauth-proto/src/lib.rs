//! OAuth 2.0 (RFC 6749, RFC 9700) and OpenID Connect (Core 1.0, Discovery 1.0) as a server reads and writes it: parameters, what they mean, and the errors that name what
//! is wrong with them. Pure: text in, values out.
//!
//! # Invariants
//! - A parameter comes once or not at all (RFC 6749 §3.1); an empty one is one that did not come; one that is not known is
//!   passed over. What is no UTF-8 is no parameter.
//! - There is one response type, `code`, and no code without PKCE by S256 (RFC 9700 §2.1.1).
//! - A redirect URI is compared as text; but for the port where it leads to a loopback address (RFC 8252 §7.3).
//! - Nothing that a client sent comes back to it in a description.

mod authorize;
mod error;
mod form;
mod id_token;
mod jws;
mod metadata;
mod pkce;
mod redirect;
mod register;
mod token;

pub use authorize::{Authorize, Stated, scope};
pub use error::{Error, ErrorCode};
pub use form::{Form, MAX_FORM};
pub use id_token::{IdToken, OPEN_ID, OPEN_ID_SCOPES, user_info};
pub use jws::{MadeKey, NoKey, Signer, claims_of, key_set};
pub use metadata::{Endpoints, protected_resource, provider, server};
pub use pkce::Challenge;
pub use redirect::{is_loopback, matches, register_problem};
pub use register::{DEVICE_CODE, Registration, registered};
pub use token::{TokenRequest, client_of_basic};
