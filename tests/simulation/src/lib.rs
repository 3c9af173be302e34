//! Whole nodes on one store in one process, in virtual time and from a seed: the tests are in `tests/`.
