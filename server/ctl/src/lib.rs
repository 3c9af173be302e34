//! Operator subcommands: clients of the admin API.
