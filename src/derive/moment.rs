//! By what it is decided that something has ended or is to be done: our clock, and the venue's.

use crate::market::Nanos;

/// A time by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Receive time.
    pub now: Nanos,
    /// The highest event time that the venue sent so far, of any instrument.
    pub venue: Nanos,
    /// Trades are held back behind a hole that is being refilled.
    pub held: bool,
}

impl Moment {
    /// Whether a candle that ends at `end` gets no more trades.
    pub fn is_past(&self, end: Nanos) -> bool {
        Due::past(end).has_come(self.now, self.venue)
    }
}

/// When something is to be done: as soon as either clock says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    at: Nanos,
    by_venue: Nanos,
}

impl Due {
    /// Nothing is to be done.
    pub const NEVER: Self = Self { at: Nanos(i64::MAX), by_venue: Nanos(i64::MAX) };

    /// Something is to be done at the next opportunity.
    pub const NOW: Self = Self { at: Nanos(i64::MIN), by_venue: Nanos(i64::MAX) };

    /// At this receive time.
    pub const fn at(at: Nanos) -> Self {
        Self { at, ..Self::NEVER }
    }

    /// As soon as the venue's clock shows this.
    pub const fn by_venue(time: Nanos) -> Self {
        Self { by_venue: time, ..Self::NEVER }
    }

    /// When a candle that ends at `end` gets no more trades.
    pub const fn past(end: Nanos) -> Self {
        Self { at: Nanos(end.0 + RECEIVE_GRACE_NS), by_venue: Nanos(end.0 + VENUE_GRACE_NS) }
    }

    /// The earlier of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { at: self.at.min(other.at), by_venue: self.by_venue.min(other.by_venue) }
    }

    /// Whether it is time, at receive time `now` while the venue's clock shows `venue`.
    pub fn has_come(&self, now: Nanos, venue: Nanos) -> bool {
        now >= self.at || venue >= self.by_venue
    }
}

/// Trades of a minute come no later behind the venue's clock.
const VENUE_GRACE_NS: i64 = 100_000_000;

/// A venue that is silent: no trade is so long on its way.
pub(super) const RECEIVE_GRACE_NS: i64 = 2_000_000_000;
