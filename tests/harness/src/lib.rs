//! Starts real nodes and plain clients for the tests.
