//! Task kinds and their supervisor, drain and stop signals, clock and randomness, duration and size newtypes.
