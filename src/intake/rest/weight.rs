//! The venue's REST weights: how much of this minute's is used, and when all requests have to pause.

use std::time::Duration;

use crate::{
    market::Nanos,
    venue::{BookSource, Traits},
};

/// Weight per calendar minute, as Binance counts it: everything is forgotten at second zero.
///
/// Two limits hold at once. Our own requests stay within our share of the venue's limit. And all that the venue counted
/// for our address, which may be shared, stays within the limit itself: what it says in its answers corrects our count
/// upward, never downward, because answers overtake each other.
///
/// Of our share, history gets a part only, and nothing of the last quarter: a venue that loses a connection while a
/// history is being filled still has weight for new books.
#[derive(Debug)]
pub(in crate::intake) struct Weights {
    limit: u32,
    share: u32,
    history_share: u32,
    /// Least time between two requests.
    apart: Duration,
    minute: i64,
    ours: u32,
    history: u32,
    total: u32,
    last: Nanos,
    paused_until: Nanos,
}

/// How much of our share a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::intake) enum Claim {
    /// All of it.
    Present,
    /// What the present does not need.
    History,
}

impl Weights {
    /// `share_percent` of the venue's limit per minute is ours at most.
    pub(in crate::intake) fn new(traits: &Traits, share_percent: u32) -> Self {
        let limit = traits.rest_weight_per_minute;
        let share = (u64::from(limit) * u64::from(share_percent.min(100)) / 100) as u32;
        let history_share = match traits.book {
            BookSource::Rest => share / 2,
            // Hardly anything else is asked for.
            BookSource::Socket => share,
        };
        let never = Nanos::default();
        Self {
            limit,
            share,
            history_share,
            apart: traits.rest_apart,
            minute: 0,
            ours: 0,
            history: 0,
            total: 0,
            last: never,
            paused_until: never,
        }
    }

    /// Counts a request, if it may go now; otherwise says how long to wait before asking again.
    ///
    /// # Errors
    /// The wait. A request heavier than the whole share goes alone, at the start of a minute.
    pub(in crate::intake) fn admit(&mut self, weight: u32, claim: Claim, now: Nanos) -> Result<(), Duration> {
        if self.paused_until > now {
            return Err(self.paused_until.since(now));
        }
        // After a step of the clock backwards, the last request is still to come: it holds up nothing.
        let next = self.last.plus(self.apart);
        if self.last <= now && now < next {
            return Err(next.since(now));
        }
        self.turn(now);
        // A deep snapshot never takes what a silent symbol may need within this minute, and history even less.
        let (ours, share) = (self.ours.saturating_add(weight), self.share);
        let fits_ours = match claim {
            Claim::Present if weight >= HEAVY => ours <= share / 2,
            Claim::Present => ours <= share,
            Claim::History => {
                let free = if self.history_share < share { share / 4 } else { 0 };
                ours <= share - free && self.history.saturating_add(weight) <= self.history_share
            }
        };
        let fits_all = self.total == 0 || self.total.saturating_add(weight) <= self.limit;
        if !(fits_ours || self.ours == 0) || !fits_all {
            return Err(Nanos::from_millis((self.minute + 1).saturating_mul(MINUTE_MS)).since(now));
        }
        self.ours = ours;
        if claim == Claim::History {
            self.history = self.history.saturating_add(weight);
        }
        self.total = self.total.saturating_add(weight);
        self.last = now;
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
            (self.minute, self.ours, self.history, self.total) = (minute, 0, 0, 0);
        }
    }
}

const MINUTE_MS: i64 = 60_000;

/// Requests of this weight and more (Binance: depth beyond 1000 levels weighs 250) can wait.
const HEAVY: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(limit: u32, share_percent: u32) -> Weights {
        Weights::new(&traits(limit, Duration::ZERO, BookSource::Rest), share_percent)
    }

    fn traits(limit: u32, apart: Duration, book: BookSource) -> Traits {
        Traits {
            book,
            checksum: None,
            has_update_ids: true,
            aggregates_numbered: true,
            messages_per_second: 4,
            connects_per_five_minutes: 300,
            rest_weight_per_minute: limit,
            rest_apart: apart,
            keep_alive: None,
        }
    }

    /// A time so many ms after the start of a minute.
    fn at(millis: i64) -> Nanos {
        Nanos::from_millis(1_789_000_020_000 / MINUTE_MS * MINUTE_MS + millis)
    }

    #[test]
    fn our_share_is_kept_until_the_minute_turns() {
        let mut weights = weights(800, 50);
        assert_eq!(weights.admit(190, Claim::Present, at(59_000)), Ok(()));
        assert_eq!(weights.admit(210, Claim::Present, at(59_100)), Err(Duration::from_millis(900)), "it is heavy");
        assert_eq!(weights.admit(190, Claim::Present, at(59_100)), Ok(()));
        assert_eq!(weights.admit(20, Claim::Present, at(59_100)), Ok(()));
        assert_eq!(weights.admit(1, Claim::Present, at(59_200)), Err(Duration::from_millis(800)));
        assert_eq!(weights.used(), 400);
        assert_eq!(weights.admit(1, Claim::Present, at(60_000)), Ok(()));
        assert_eq!(weights.used(), 1);
    }

    #[test]
    fn what_others_use_counts_against_the_limit_but_not_against_our_share() {
        let mut weights = weights(1000, 50);
        assert_eq!(weights.admit(20, Claim::Present, at(0)), Ok(()));
        weights.correct(760, at(100));
        assert_eq!(weights.admit(190, Claim::Present, at(200)), Ok(()));
        assert_eq!(weights.admit(100, Claim::Present, at(300)), Err(Duration::from_millis(59_700)));
        // An answer that was overtaken does not lower the count.
        weights.correct(30, at(400));
        assert_eq!(weights.used(), 950);
        assert!(weights.admit(100, Claim::Present, at(500)).is_err());
    }

    #[test]
    fn a_pause_holds_everything_back_and_only_grows() {
        let mut weights = weights(1000, 50);
        weights.pause(Duration::from_secs(30), at(0));
        weights.pause(Duration::from_secs(5), at(1000));
        assert_eq!(weights.admit(1, Claim::Present, at(10_000)), Err(Duration::from_secs(20)));
        assert_eq!(weights.admit(1, Claim::Present, at(30_000)), Ok(()));
    }

    #[test]
    fn a_request_heavier_than_the_share_goes_alone() {
        let mut weights = weights(100, 10);
        assert_eq!(weights.admit(50, Claim::Present, at(0)), Ok(()));
        assert!(weights.admit(1, Claim::Present, at(1)).is_err());
        assert_eq!(weights.admit(50, Claim::Present, at(MINUTE_MS)), Ok(()));
    }

    #[test]
    fn history_leaves_weight_for_the_present() {
        let mut weights = weights(800, 50);
        let count = (0..1000).filter(|_| weights.admit(2, Claim::History, at(0)).is_ok()).count();
        assert_eq!(count, 100, "half of our share");
        assert_eq!(weights.admit(150, Claim::Present, at(1)), Ok(()), "the other half is free");
        assert_eq!(weights.admit(2, Claim::History, at(60_000)), Ok(()), "and the minute turns");

        // Behind other requests it stops earlier: a quarter stays.
        assert_eq!(weights.admit(190, Claim::Present, at(60_001)), Ok(()));
        let count = (0..1000).filter(|_| weights.admit(2, Claim::History, at(60_002)).is_ok()).count();
        assert_eq!((count, weights.used()), (54, 300));
        assert_eq!(weights.admit(100, Claim::Present, at(60_003)), Ok(()));
    }

    #[test]
    fn where_no_books_are_fetched_history_may_use_everything() {
        let mut weights = Weights::new(&traits(60, Duration::ZERO, BookSource::Socket), 50);
        let count = (0..100).filter(|_| weights.admit(1, Claim::History, at(0)).is_ok()).count();
        assert_eq!(count, 30);
    }

    #[test]
    fn requests_keep_their_distance_where_the_venue_wants_it() {
        let second = Duration::from_secs(1);
        let mut weights = Weights::new(&traits(60, second, BookSource::Socket), 50);
        assert_eq!(weights.admit(1, Claim::History, at(0)), Ok(()));
        assert_eq!(weights.admit(1, Claim::Present, at(400)), Err(Duration::from_millis(600)));
        assert_eq!(weights.admit(1, Claim::Present, at(1000)), Ok(()));
        assert_eq!(weights.admit(1, Claim::Present, at(500)), Ok(()), "the clock was set back");
    }
}
