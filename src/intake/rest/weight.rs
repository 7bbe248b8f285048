//! The venue's REST weights: how much of this minute's is used, and when all requests have to pause.

use std::time::Duration;

use crate::market::Nanos;

/// Weight per calendar minute, as Binance counts it: everything is forgotten at second zero.
///
/// Two limits hold at once. Our own requests stay within our share of the venue's limit. And all that the venue counted
/// for our address, which may be shared, stays within the limit itself: what it says in its answers corrects our count
/// upward, never downward, because answers overtake each other.
#[derive(Debug)]
pub(in crate::intake) struct Weights {
    limit: u32,
    share: u32,
    minute: i64,
    ours: u32,
    total: u32,
    paused_until: Nanos,
}

impl Weights {
    /// `share_percent` of `limit` per minute is ours at most.
    pub(in crate::intake) fn new(limit: u32, share_percent: u32) -> Self {
        let share = u64::from(limit) * u64::from(share_percent.min(100)) / 100;
        Self { limit, share: share as u32, minute: 0, ours: 0, total: 0, paused_until: Nanos::default() }
    }

    /// Counts a request, if it may go now; otherwise says how long to wait before asking again.
    ///
    /// # Errors
    /// The wait. A request heavier than the whole share goes alone, at the start of a minute.
    pub(in crate::intake) fn admit(&mut self, weight: u32, now: Nanos) -> Result<(), Duration> {
        if self.paused_until > now {
            return Err(self.paused_until.since(now));
        }
        self.turn(now);
        // A deep snapshot never takes what a silent symbol may need within this minute.
        let share = if weight >= HEAVY { self.share / 2 } else { self.share };
        let fits_ours = self.ours == 0 || self.ours.saturating_add(weight) <= share;
        let fits_all = self.total == 0 || self.total.saturating_add(weight) <= self.limit;
        if !fits_ours || !fits_all {
            return Err(Nanos::from_millis((self.minute + 1).saturating_mul(MINUTE_MS)).since(now));
        }
        self.ours = self.ours.saturating_add(weight);
        self.total = self.total.saturating_add(weight);
        Ok(())
    }

    /// The venue says how much our address has used in this minute.
    pub(in crate::intake) fn correct(&mut self, used: u32, now: Nanos) {
        self.turn(now);
        self.total = self.total.max(used);
    }

    /// Nothing may go for this long: the venue said so.
    pub(in crate::intake) fn pause(&mut self, pause: Duration, now: Nanos) {
        self.paused_until = self.paused_until.max(now.plus(pause));
    }

    /// What is known to be used in this minute.
    pub(in crate::intake) fn used(&self) -> u32 {
        self.total
    }

    /// Forgets everything when the minute is another one, earlier ones (a clock that was set back) included.
    fn turn(&mut self, now: Nanos) {
        let minute = now.millis().div_euclid(MINUTE_MS);
        if minute != self.minute {
            (self.minute, self.ours, self.total) = (minute, 0, 0);
        }
    }
}

const MINUTE_MS: i64 = 60_000;

/// Requests of this weight and more (Binance: depth beyond 1000 levels weighs 250) can wait.
const HEAVY: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    /// A time so many ms after the start of a minute.
    fn at(millis: i64) -> Nanos {
        Nanos::from_millis(1_789_000_020_000 / MINUTE_MS * MINUTE_MS + millis)
    }

    #[test]
    fn our_share_is_kept_until_the_minute_turns() {
        let mut weights = Weights::new(800, 50);
        assert_eq!(weights.admit(190, at(59_000)), Ok(()));
        assert_eq!(weights.admit(210, at(59_100)), Err(Duration::from_millis(900)), "it is heavy");
        assert_eq!(weights.admit(190, at(59_100)), Ok(()));
        assert_eq!(weights.admit(20, at(59_100)), Ok(()));
        assert_eq!(weights.admit(1, at(59_200)), Err(Duration::from_millis(800)));
        assert_eq!(weights.used(), 400);
        assert_eq!(weights.admit(1, at(60_000)), Ok(()));
        assert_eq!(weights.used(), 1);
    }

    #[test]
    fn what_others_use_counts_against_the_limit_but_not_against_our_share() {
        let mut weights = Weights::new(1000, 50);
        assert_eq!(weights.admit(20, at(0)), Ok(()));
        weights.correct(760, at(100));
        assert_eq!(weights.admit(190, at(200)), Ok(()));
        assert_eq!(weights.admit(100, at(300)), Err(Duration::from_millis(59_700)));
        // An answer that was overtaken does not lower the count.
        weights.correct(30, at(400));
        assert_eq!(weights.used(), 950);
        assert!(weights.admit(100, at(500)).is_err());
    }

    #[test]
    fn a_pause_holds_everything_back_and_only_grows() {
        let mut weights = Weights::new(1000, 50);
        weights.pause(Duration::from_secs(30), at(0));
        weights.pause(Duration::from_secs(5), at(1000));
        assert_eq!(weights.admit(1, at(10_000)), Err(Duration::from_secs(20)));
        assert_eq!(weights.admit(1, at(30_000)), Ok(()));
    }

    #[test]
    fn a_request_heavier_than_the_share_goes_alone() {
        let mut weights = Weights::new(100, 10);
        assert_eq!(weights.admit(50, at(0)), Ok(()));
        assert!(weights.admit(1, at(1)).is_err());
        assert_eq!(weights.admit(50, at(MINUTE_MS)), Ok(()));
    }
}
