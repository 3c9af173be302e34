//! From text to tokens, twice: [`units`] keep every character, so that substrings can be found exactly; [`words`] keep
//! what people mean, for relevance.

mod language;
mod stop;
mod stream;
mod units;
mod words;

pub use language::Language;
pub(crate) use stream::{READY, Ready, Stream};
pub use units::{Unit, Units, is_noise, units};
pub(crate) use words::{bare, pairs};
pub use words::{plain, words};
