//! The store on one machine: FoundationDB's semantics over a local engine.
