//! The godwit binary: configuration and wiring.

fn main() {}
