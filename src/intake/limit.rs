//! At most so many in any span of time: messages on a connection, connections to a venue.

use std::{collections::VecDeque, time::Duration};

use crate::market::Nanos;

/// A sliding window: never more than `limit` within any `span`.
#[derive(Debug)]
pub(super) struct Window {
    limit: usize,
    span: Duration,
    /// The latest at most `limit` times.
    taken: VecDeque<Nanos>,
}

impl Window {
    /// At most `limit` (taken as one at least) within any `span`.
    pub(super) fn new(limit: u32, span: Duration) -> Self {
        Self { limit: limit.max(1) as usize, span, taken: VecDeque::new() }
    }

    /// How long until one more is allowed; zero: now.
    pub(super) fn wait(&mut self, now: Nanos) -> Duration {
        // After a step of the clock backwards, times that are still to come would block for as long as the step.
        self.taken.retain(|&time| time <= now);
        if self.taken.len() < self.limit {
            return Duration::ZERO;
        }
        self.taken.front().map_or(Duration::ZERO, |oldest| oldest.plus(self.span).since(now))
    }

    /// Counts one.
    pub(super) fn take(&mut self, now: Nanos) {
        if self.taken.len() == self.limit {
            self.taken.pop_front();
        }
        self.taken.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: i64) -> Nanos {
        Nanos::from_millis(1_789_000_000_000 + millis)
    }

    #[test]
    fn no_span_ever_holds_more_than_the_limit() {
        let mut window = Window::new(4, SECOND);
        let mut times = Vec::new();
        let mut now = 0;
        for step in [0, 10, 700, 0, 0, 0, 3, 999, 0, 0, 0, 0, 0, 250, 2500, 0, 0, 0, 0, 0] {
            now += step;
            now += i64::try_from(window.wait(at(now)).as_millis()).expect("a short wait");
            window.take(at(now));
            times.push(now);
        }
        for (index, &first) in times.iter().enumerate() {
            let within = times[index..].iter().filter(|&&time| time < first + 1000).count();
            assert!(within <= 4, "{within} within a second of {first}: {times:?}");
        }
    }

    #[test]
    fn it_waits_exactly_until_the_oldest_has_left() {
        let mut window = Window::new(2, SECOND);
        window.take(at(0));
        window.take(at(400));
        assert_eq!(window.wait(at(500)), Duration::from_millis(500));
        assert_eq!(window.wait(at(1000)), Duration::ZERO);
        window.take(at(1000));
        assert_eq!(window.wait(at(1000)), Duration::from_millis(400));
    }

    #[test]
    fn a_clock_set_back_does_not_block() {
        let mut window = Window::new(1, SECOND);
        window.take(at(3_600_000));
        assert_eq!(window.wait(at(0)), Duration::ZERO);
    }
}
