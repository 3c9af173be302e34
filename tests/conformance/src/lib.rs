//! Transcripts, real clients, corpus and crash tests against a running node.
