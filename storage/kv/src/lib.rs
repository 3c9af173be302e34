//! The ordered transactional key-value store: traits, tuple codec, the one retry loop, limits, fault injection, contract suite.
