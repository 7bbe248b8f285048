//! The vocabulary: what every room means by a price, a level, an instrument, an event.
//!
//! Numbers are scaled integers, never floats: a [`Price`] is a mantissa at its instrument's
//! [`Decimals::price`]. Times are nanoseconds since the Unix epoch.

mod candle;
mod catalogue;
mod event;
mod interval;

pub use candle::{Kline, divide_nearest};
pub use catalogue::{Catalogue, Decimals, Instrument, InstrumentId, Listing, Status, Venue, VenueId};
pub use event::{
    AggTrade, AveragePrice, Best, BookDiff, BookSnapshot, Event, EventKind, Events, MiniTicker, Numbered,
    ReferencePrice, RollingTicker, Span, Ticker, Trade, UpdateIds,
};
pub use interval::{DAY, Interval, MINUTE, Series, Zone};

use std::time::Duration;

/// A price: mantissa at the instrument's price decimals (`8` for nearly every symbol).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(pub i64);

/// A quantity of the base asset: mantissa at the instrument's quantity decimals. Zero removes a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(pub i64);

impl Quantity {
    /// No quantity: the level is gone.
    pub const ZERO: Self = Self(0);
}

/// A sum of quantities or of price times quantity; 64 bits do not hold a day of a cheap coin.
///
/// The decimals are those of the field: quantity decimals for base volumes, quote decimals for quote volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Volume(pub i128);

/// Which half of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Buyers; the best is the highest.
    Bid,
    /// Sellers; the best is the lowest.
    Ask,
}

/// One price of one side of a book with its absolute resting quantity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Level {
    /// The price.
    pub price: Price,
    /// What rests there now; zero: nothing does any more.
    pub quantity: Quantity,
}

/// Nanoseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub i64);

impl Nanos {
    /// The time that a count of milliseconds since the epoch names.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The time that a count of microseconds since the epoch names.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// Reads a venue's epoch integer, telling seconds, ms, us and ns apart by magnitude (10, 13, 16 and 19 digits).
    ///
    /// Binance answers in the unit that was asked for, and old hosts ignore the question, so the unit is never assumed.
    pub const fn from_epoch_integer(value: i64) -> Self {
        match value {
            ..100_000_000_000 => Self(value.saturating_mul(1_000_000_000)),
            100_000_000_000..100_000_000_000_000 => Self::from_millis(value),
            100_000_000_000_000..100_000_000_000_000_000 => Self::from_micros(value),
            _ => Self(value),
        }
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Whole microseconds since the epoch, rounded down.
    pub const fn micros(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// An id for something that has none of its own: whole steps of 10 us since the epoch, so that ids do not fall over a
    /// restart as long as no more than 100,000 a second are used up.
    ///
    /// They have 15 digits until 2286. With 16, as microseconds have, JavaScript's json-bigint makes an object of them,
    /// and node-binance-api waits for `u` + 1 in vain.
    pub const fn as_id(self) -> i64 {
        self.0.div_euclid(10_000)
    }

    /// This time moved by `duration`.
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_nanos() as i64))
    }

    /// From `earlier` to this; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// How a venue proves its book in the messages themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumRule {
    /// CRC-32 over the digits of the best ten asks, then the best ten bids (Kraken v1 and v2).
    KrakenTopTen,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_integers_are_told_apart_by_magnitude() {
        let expected = Nanos(1_789_000_000_123_000_000);
        assert_eq!(Nanos::from_epoch_integer(1_789_000_000_123), expected);
        assert_eq!(Nanos::from_epoch_integer(1_789_000_000_123_000), expected);
        assert_eq!(Nanos::from_epoch_integer(1_789_000_000_123_000_000), expected);
        assert_eq!(Nanos::from_epoch_integer(1_789_000_000), Nanos(1_789_000_000_000_000_000));
    }

    #[test]
    fn made_ids_have_no_more_than_15_digits() {
        let year = 365 * 24 * 3_600_000;
        assert_eq!(Nanos::from_millis(1_789_000_000_123).as_id(), 178_900_000_012_300);
        assert!(Nanos::from_millis(315 * year).as_id() < 1_000_000_000_000_000);
    }

    #[test]
    fn times_before_the_epoch_round_down() {
        assert_eq!(Nanos(-1).millis(), -1);
        assert_eq!(Nanos(10).since(Nanos(20)), Duration::ZERO);
    }
}
