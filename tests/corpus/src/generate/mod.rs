//! The generator: a table of shapes, each filled with different people, languages and texts from a seed.

mod broken;
mod headers;
mod maker;
mod multipart;
mod plain;
mod reports;
mod text;

use crate::Named;
use maker::Maker;

/// A kind of message and how one is made.
type Shape = (&'static str, fn(&mut Maker) -> Vec<u8>);

/// `count` messages, the shapes in turn; the same for the same seed.
pub fn generated(count: usize, seed: u64) -> impl Iterator<Item = Named> {
    let shapes: Vec<Shape> =
        [plain::SHAPES, headers::SHAPES, multipart::SHAPES, reports::SHAPES, broken::SHAPES].concat();
    (0..count).map(move |number| {
        let (name, make) = shapes[number % shapes.len()];
        let mut maker = Maker::new(seed, number as u64);
        (format!("generated-{name}-{number}"), make(&mut maker))
    })
}
