//! SASL mechanisms as pure state machines.
