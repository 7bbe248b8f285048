//! How long to wait before trying again: exponential, with full jitter.

use std::time::Duration;

use crate::config;

/// Waits that grow: the n-th is random between nothing and `min(max, first * 2^n)`.
///
/// Full jitter spreads the clients of a venue that went down over the whole span instead of letting them return in waves.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    max: Duration,
    tries: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// The waits that the configuration asks for.
    pub(super) fn new(settings: &config::Intake) -> Self {
        Self::between(
            Duration::from_millis(settings.backoff_first_ms),
            Duration::from_millis(settings.backoff_max_ms),
            fastrand::Rng::new(),
        )
    }

    /// Waits of up to `first`, doubling up to `max`.
    pub(super) fn between(first: Duration, max: Duration, random: fastrand::Rng) -> Self {
        Self { first, max, tries: 0, random }
    }

    /// How long to wait now, after one more failure.
    pub(super) fn after_failure(&mut self) -> Duration {
        let ceiling = ceiling(self.first, self.max, self.tries);
        self.tries = self.tries.saturating_add(1);
        jitter(&mut self.random, ceiling)
    }

    /// It works again: the next wait is a short one.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }
}

/// The longest wait after `tries` failures in a row.
pub(super) fn ceiling(first: Duration, max: Duration, tries: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(tries)).min(max)
}

/// A random time up to `ceiling`, which is included.
pub(super) fn jitter(random: &mut fastrand::Rng, ceiling: Duration) -> Duration {
    let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random.u64(0..=nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn the_ceiling_doubles_and_stays() {
        let ceilings: Vec<_> = (0..8).map(|tries| ceiling(FIRST, MAX, tries).as_millis()).collect();
        assert_eq!(ceilings, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(ceiling(FIRST, MAX, u32::MAX), MAX);
    }

    #[test]
    fn waits_use_the_whole_span_and_never_more() {
        for seed in 0..200 {
            let mut backoff = Backoff::between(FIRST, MAX, fastrand::Rng::with_seed(seed));
            for tries in 0..40 {
                assert!(backoff.after_failure() <= ceiling(FIRST, MAX, tries));
            }
        }
        let mut backoff = Backoff::between(FIRST, MAX, fastrand::Rng::with_seed(1));
        let waits: Vec<_> = (0..200).map(|_| backoff.after_failure()).skip(6).collect();
        assert!(waits.iter().any(|&wait| wait < MAX / 10) && waits.iter().any(|&wait| wait > MAX / 10 * 9));
    }

    #[test]
    fn a_reset_starts_over() {
        let mut backoff = Backoff::between(FIRST, MAX, fastrand::Rng::with_seed(7));
        for _ in 0..10 {
            backoff.after_failure();
        }
        backoff.reset();
        assert!(backoff.after_failure() <= FIRST);
    }
}
