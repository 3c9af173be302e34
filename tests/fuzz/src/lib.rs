//! What the fuzz targets assert, one module per codec; the targets only call it.

pub mod imap;
pub mod jmap;
pub mod mail;
pub mod sasl;
pub mod smtp;
pub mod store;

/// Cuts bytes into pieces whose sizes come from the first byte; the rest is what is cut.
fn pieces(data: &[u8]) -> (&[u8], impl Iterator<Item = &[u8]>) {
    let (size, rest) =
        data.split_first().map_or((1, data), |(first, rest)| (usize::from(*first % 17) + 1, rest));
    (rest, rest.chunks(size))
}
