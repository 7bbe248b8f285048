//! The one place that reads time; `clippy.toml` bans the others.

mod beat;

pub use beat::{Age, Beat, Beats};

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::market::Nanos;

/// Nanoseconds that this process lives in the past; see [`begin_at`].
static BEHIND: AtomicI64 = AtomicI64::new(0);

/// The wall clock in nanoseconds since the Unix epoch, or what [`begin_at`] made of it.
pub fn now() -> Nanos {
    Nanos(wall() - BEHIND.load(Ordering::Relaxed))
}

/// Lets this process live on from `start`: one that serves a recording lives in its time. By the time of today every
/// recorded trade is late for its candle, and no window holds one. To be called before anything else reads the time.
pub fn begin_at(start: Nanos) {
    BEHIND.store(wall() - start.0, Ordering::Relaxed);
}

/// Microseconds of the machine's monotonic clock, for whoever compares with it: systemd does, around a reload.
pub fn monotonic_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (time.tv_sec as u64).saturating_mul(1_000_000).saturating_add(time.tv_nsec as u64 / 1000)
}

#[allow(clippy::disallowed_methods, reason = "this is the one place")]
fn wall() -> i64 {
    // A clock set before 1970 reads as the epoch: everything downstream subtracts, nothing panics.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}
