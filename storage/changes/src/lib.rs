//! Modseq and state, the change log, the Feed and Sink of committed changes.
