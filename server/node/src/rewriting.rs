//! Records of a former format are written anew after the feature level was raised, in steps with pauses between them.

use spool::{Spool, Step};

use crate::purge::Purger;

impl Purger {
    /// Writes all entries of the queue anew that are of the former format, as soon as the level allows it, until it is to
    /// stop.
    pub(crate) async fn rewrite(&self, spool: &Spool) -> Result<(), spool::Error> {
        loop {
            let begun = self.clock.monotonic();
            if spool.rewrite_step().await? != Step::More || !self.pause(begun).await {
                return Ok(());
            }
        }
    }
}
