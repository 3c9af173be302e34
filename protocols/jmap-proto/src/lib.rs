//! JMAP as values: what a client posts becomes a [`Request`] of [`Invocation`]s, what a server says is JSON again. No
//! socket, no clock, no async, nothing of ours underneath.
//!
//! The way of a request: [`json`] reads the bytes and bounds them before anything looks at them; [`Request::parse`] checks
//! the shape; [`reference`] fills in what later calls take from earlier answers; a method reads its arguments with
//! [`Arguments`] or one of [`standard`]; what goes wrong is a [`RequestError`], a [`MethodError`] or a [`SetError`].
//!
//! Invariants:
//! - No input makes anything here panic, recurse deeper than [`limits::DEPTH`], or grow without a named limit; a result
//!   reference copies no more values than a request may have.
//! - Ids, dates, pointers and patches are checked where they are read, once.
//! - An object is a JSON map here: which properties there are is known by who has them. What is more than a map, such as
//!   the name of a header property, is in [`mail`].
//!
//! RFC 8620 (JMAP) is the base, RFC 8621 (JMAP Mail) where mail is spoken of.

pub mod arguments;
pub mod created;
pub mod date;
mod error;
pub mod filter;
pub mod id;
pub mod json;
pub mod limits;
pub mod mail;
pub mod patch;
pub mod pointer;
pub mod push;
pub mod reference;
mod request;
pub mod session;
mod set_error;
pub mod sort;
pub mod standard;
pub mod websocket;

pub use arguments::Arguments;
pub use created::CreatedIds;
pub use error::{MethodError, RequestError};
pub use id::Id;
pub use request::{Invocation, Request, Response};
pub use set_error::SetError;

/// A JSON object.
pub type Object = serde_json::Map<String, serde_json::Value>;
