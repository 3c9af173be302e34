//! The last pass, and what makes the destination a store like any other.

use crate::bodies::{Verified, verify};
use crate::copy::Copy;
use crate::{Error, Report, Vigil, mark, quiet};
use kv::Database;
use std::sync::Arc;

/// A finished copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The last pass, which read both sides.
    pub pass: Report,
    /// The bodies at the destination; none if they were not read.
    pub bodies: Option<Verified>,
    /// The source's last version. Commits of the destination are above it.
    pub version: u64,
}

impl Copy {
    /// The last pass: seals the source, which is open here and should be still, compares all of it with the destination,
    /// reads the bodies with `reader` (over the destination), and lets the destination go.
    ///
    /// `heir` says in words which store serves from now on. After an error the source stays sealed: finish again, or
    /// [`crate::abandon`].
    pub async fn finish(
        self: &Arc<Self>,
        source: &Database,
        heir: &str,
        reader: Option<&blob::Store>,
    ) -> Result<Finished, Error> {
        let source = &quiet(source);
        mark::seal(source, heir, &*self.clock).await?;
        let vigil = Vigil::begin(source).await?;
        let pass = self.run_pass(true).await?;
        let bodies = match reader {
            Some(reader) => Some(verify(&self.to, reader, self.options.workers).await?),
            None => None,
        };
        if let Some(Verified { faults: count @ 1.., first_fault, .. }) = &bodies
            && !self.options.accept_damaged
        {
            let first = first_fault.clone().unwrap_or_default();
            return Err(Error::Bodies { count: *count, first });
        }
        let version = source.read("transfer.version", |txn| async move { txn.read_version().await });
        let version = version.await?;
        // Everything up to here was read from a source that nobody wrote to.
        vigil.end().await?;
        self.to.advance_version(version).await?;
        mark::release(&self.to, self.run).await?;
        Ok(Finished { pass, bodies, version })
    }
}
