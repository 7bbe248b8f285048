//! The one place that reads time; `clippy.toml` bans the others.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::market::Nanos;

/// The wall clock, in nanoseconds since the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Nanos {
    // A clock set before 1970 reads as the epoch: everything downstream subtracts, nothing panics.
    Nanos(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64))
}
