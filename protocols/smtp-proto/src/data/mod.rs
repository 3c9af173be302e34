//! The message itself: `DATA` in ([`Decoder`]) and out ([`Encoder`]), `BDAT` in ([`Chunk`]).

mod chunk;
mod decoder;
mod encoder;

pub use chunk::Chunk;
pub use decoder::{Decoder, Findings, Step};
pub use encoder::{BareLines, Encoder, Refused};
