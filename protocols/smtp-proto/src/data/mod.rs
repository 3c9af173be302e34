//! The message itself: `DATA` in ([`Decoder`]) and out ([`Encoder`]), `BDAT` in ([`Chunk`]).

mod chunk;
mod decoder;
mod encoder;
mod lines;

pub use chunk::Chunk;
pub use decoder::{Decoder, Findings, Step};
pub use encoder::{BareLines, Encoder, Refused};
pub use lines::LineCheck;
