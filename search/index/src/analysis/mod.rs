//! From text to tokens, twice: [`units`] keep every character, so that substrings can be found exactly; [`words`] keep
//! what people mean, for relevance.

mod language;
mod stop;
mod units;
mod words;

pub use language::Language;
pub use units::{Unit, Units, is_noise, units};
pub(crate) use words::{bare, has_half_marks, pairs};
pub use words::{plain, words};
