//! What logins are counted by.

use accounts::AuthFailure;
use metrics::{counter, describe_counter};

const LOGINS: &str = "godwit_directory_logins_total";

/// Describes the metrics of this crate to the installed recorder.
pub fn describe() {
    describe_counter!(LOGINS, "Logins, by outcome (ok, invalid, disabled, unavailable, limited)");
}

pub(crate) fn count<T>(decision: &Result<T, AuthFailure>) {
    let outcome = match decision {
        Ok(_) => "ok",
        Err(AuthFailure::Invalid) => "invalid",
        Err(AuthFailure::Disabled) => "disabled",
        Err(AuthFailure::TemporarilyUnavailable) => "unavailable",
        Err(AuthFailure::RateLimited) => "limited",
    };
    counter!(LOGINS, "outcome" => outcome).increment(1);
}
