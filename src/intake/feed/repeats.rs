//! How long to wait before a book is asked for again on the socket.

use std::{collections::HashMap, time::Duration};

use super::super::backoff::{ceiling, jitter};
use crate::market::{InstrumentId, Nanos};

/// Remembers who asked how often. One entry per instrument of the feed at most.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    asked: HashMap<InstrumentId, (u32, Nanos)>,
    random: fastrand::Rng,
}

impl Repeats {
    /// Nobody asked yet.
    pub(super) fn new(random: fastrand::Rng) -> Self {
        Self { asked: HashMap::new(), random }
    }

    /// How long this request has to wait: the first not at all; those soon after another one longer and longer.
    pub(super) fn delay(&mut self, instrument: InstrumentId, now: Nanos) -> Duration {
        let (tries, last) = self.asked.get(&instrument).copied().unwrap_or((0, now));
        let tries = if now.since(last) > FORGIVEN_AFTER { 0 } else { tries };
        let delay = match tries {
            0 => Duration::ZERO,
            tries => jitter(&mut self.random, ceiling(DELAY_FIRST, DELAY_MAX, tries)),
        };
        // Measured from when it will be sent, so that a long delay does not forgive itself.
        self.asked.insert(instrument, (tries.saturating_add(1), now.plus(delay)));
        delay
    }
}

/// Doubled before it is first used: a book that fails at once again waits up to a second.
const DELAY_FIRST: Duration = Duration::from_millis(500);

/// A book that never proves right is asked for every few minutes, not given up.
const DELAY_MAX: Duration = Duration::from_secs(120);

/// A book that stayed right for this long starts over.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: InstrumentId = InstrumentId(3);

    #[test]
    fn the_first_goes_at_once_and_repeats_wait_longer_and_longer() {
        let mut longest = [Duration::ZERO; 12];
        for seed in 0..100 {
            let mut repeats = Repeats::new(fastrand::Rng::with_seed(seed));
            let mut now = Nanos::from_millis(1_789_000_000_000);
            for (tries, longest) in longest.iter_mut().enumerate() {
                let delay = repeats.delay(BOOK, now);
                assert!(tries > 0 || delay.is_zero());
                assert!(delay <= ceiling(DELAY_FIRST, DELAY_MAX, tries as u32));
                *longest = delay.max(*longest);
                now = now.plus(delay).plus(Duration::from_millis(50));
            }
        }
        assert!(longest[1..8].is_sorted(), "{longest:?}");
        assert!(longest[11] > DELAY_MAX / 2);
    }

    #[test]
    fn other_books_and_later_failures_start_over() {
        let mut repeats = Repeats::new(fastrand::Rng::with_seed(1));
        let now = Nanos::from_millis(1_789_000_000_000);
        repeats.delay(BOOK, now);
        assert_eq!(repeats.delay(InstrumentId(4), now), Duration::ZERO);
        assert_eq!(repeats.delay(BOOK, now.plus(FORGIVEN_AFTER * 2)), Duration::ZERO);
    }
}
