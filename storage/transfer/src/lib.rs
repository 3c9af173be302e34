//! Copying a store to another one while its nodes serve, and handing over.
//!
//! # The story
//!
//! 1. A **pass** reads the rows of the source, page by page, each page from a snapshot of its own, and makes those of the
//!    destination the same ([`Copy::pass`]). It leaves a row for each piece of the key space, in the transaction that
//!    wrote the piece: where it ends, in which pass it was looked at, and a digest of its rows. A later pass reads the
//!    source again and touches only pieces whose digest has changed. A body outside of the store is carried before the
//!    row that names it is written, so that no row of the destination ever names nothing.
//! 2. While nodes write to the source, a pass ends with a copy that is nearly right. For the **last pass**
//!    ([`Copy::finish`]) the source is sealed, which nodes respect when they start and when they look, and it has to
//!    be still. That it was is proved, not believed: a [`Vigil`] holds a chain of overlapping transactions, each of
//!    which counts as having read every row, so that any commit of anybody else makes one of them conflict.
//! 3. The last pass reads both sides and compares them piece by piece; what differs is written and both are read again.
//!    The bodies are read at the destination. Versions of the destination are raised above those of the source, since
//!    rows carry them. Then the mark goes, and the destination is a store like any other, with the incarnation of the
//!    source: clients go on where they were.
//!
//! # What always holds
//!
//! - Of source and destination at most one may be served: the destination has its mark ([`schema::keys::system::TransferKey`])
//!   until it is finished, the source has its seal from before the last pass on. [`admit`] is asked by each node.
//! - Killed at any point, it goes on: the rows about pieces say what is there. Where none says anything, both sides are
//!   compared.
//! - Of two that copy into one destination the first stops: each batch reads the mark with the run's own number.
//! - Tokens of the retry loop (`I`), nodes and their leases (`N`), where bodies lie, and rows about transfers are each
//!   store's own and are not copied.
//!
//! # Crash points
//!
//! | it stops | then |
//! |---|---|
//! | before a piece is written | The piece is not noted, or is noted with an earlier pass: it is read again. |
//! | between a body and the row that names it | The body is carried again; an object that no row comes to name goes with the sweep. |
//! | after the seal | The source is not served. `finish` goes on, or `abandon` takes the seal away. |
//! | while the pieces are cleared at the end | The mark is there still: `finish` compares everything once more. |
//! | after the mark is gone | The copy is finished; another run says so. |

mod bodies;
mod copy;
mod difference;
mod error;
mod finish;
mod mark;
mod pace;
mod plan;
mod ranges;
mod report;
mod source;
mod step;
mod still;
#[cfg(test)]
mod tests;
pub mod wire;

pub use bodies::{Bodies, Pieces, Verified};
pub use copy::{Copy, Options};
pub use error::Error;
pub use finish::Finished;
pub use mark::{Standing, abandon, admit, seal, standing};
pub use report::Report;
pub use source::{Direct, PAGE_BYTES, PAGE_ROWS, Source, quiet};
pub use still::Vigil;
