//! The contract between the halves: what can be subscribed to, and what is published on it.
//!
//! Above the ring, [`Update`]s are made; below it, they are encoded. Neither half knows the other.

mod interest;
mod name;
mod update;

pub use interest::Interest;
pub use name::{SYMBOL_CHARS_MAX, StreamName};
pub use update::{Batch, BookState, Payload, Update};

use crate::market::InstrumentId;

/// How often a depth stream speaks at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cadence {
    /// Every 100 ms (`@100ms`).
    Fast,
    /// Every 1000 ms (no suffix, or `@1000ms`).
    Slow,
}

impl Cadence {
    /// Both, the fast one first.
    pub const ALL: [Self; 2] = [Self::Fast, Self::Slow];

    /// The period in nanoseconds.
    pub const fn period_ns(self) -> i64 {
        match self {
            Self::Fast => 100_000_000,
            Self::Slow => 1_000_000_000,
        }
    }

    /// 0 or 1, for tables.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// In which unit a client wants its times (`timeUnit`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// 13 digits.
    #[default]
    Milliseconds,
    /// 16 digits.
    Microseconds,
}

/// What kind of update of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// `@trade`
    Trade,
    /// `@aggTrade`
    AggTrade,
    /// `@bookTicker`
    BookTicker,
    /// `@depth`, `@depth@100ms`
    Depth(Cadence),
    /// `@depth5`, `@depth10@100ms`, ...: the levels are 5, 10 or 20.
    PartialDepth(u8, Cadence),
    /// `@kline_1m`
    KlineMinute,
    /// `@miniTicker`
    MiniTicker,
    /// `@ticker`
    Ticker,
}

impl Channel {
    /// Every channel, in the order of [`Channel::index`].
    pub const ALL: [Self; 14] = [
        Self::Trade,
        Self::AggTrade,
        Self::BookTicker,
        Self::Depth(Cadence::Fast),
        Self::Depth(Cadence::Slow),
        Self::PartialDepth(5, Cadence::Fast),
        Self::PartialDepth(5, Cadence::Slow),
        Self::PartialDepth(10, Cadence::Fast),
        Self::PartialDepth(10, Cadence::Slow),
        Self::PartialDepth(20, Cadence::Fast),
        Self::PartialDepth(20, Cadence::Slow),
        Self::KlineMinute,
        Self::MiniTicker,
        Self::Ticker,
    ];

    /// The place of this channel in [`Channel::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Trade => 0,
            Self::AggTrade => 1,
            Self::BookTicker => 2,
            Self::Depth(cadence) => 3 + cadence.index(),
            Self::PartialDepth(5, cadence) => 5 + cadence.index(),
            Self::PartialDepth(10, cadence) => 7 + cadence.index(),
            Self::PartialDepth(_, cadence) => 9 + cadence.index(),
            Self::KlineMinute => 11,
            Self::MiniTicker => 12,
            Self::Ticker => 13,
        }
    }

    /// Whether a slow reader may be served the newest value alone.
    pub const fn is_state(self) -> bool {
        matches!(self, Self::BookTicker | Self::PartialDepth(..) | Self::KlineMinute | Self::MiniTicker | Self::Ticker)
    }
}

/// One channel of one instrument, dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u32);

impl TopicId {
    /// The topic of `channel` of `instrument`.
    pub const fn new(instrument: InstrumentId, channel: Channel) -> Self {
        Self(instrument.0 * Channel::ALL.len() as u32 + channel.index() as u32)
    }

    /// How many topics `instruments` instruments have.
    pub const fn count(instruments: usize) -> usize {
        instruments * Channel::ALL.len()
    }

    /// The place in a table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Whose it is.
    pub const fn instrument(self) -> InstrumentId {
        InstrumentId(self.0 / Channel::ALL.len() as u32)
    }

    /// What it is.
    pub const fn channel(self) -> Channel {
        Channel::ALL[self.0 as usize % Channel::ALL.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_are_dense_and_reversible() {
        let mut expected = 0;
        for instrument in 0..3 {
            for (index, channel) in Channel::ALL.into_iter().enumerate() {
                assert_eq!(channel.index(), index);
                let topic = TopicId::new(InstrumentId(instrument), channel);
                assert_eq!(topic.0, expected);
                assert_eq!((topic.instrument(), topic.channel()), (InstrumentId(instrument), channel));
                expected += 1;
            }
        }
        assert_eq!(TopicId::count(3), expected as usize);
    }
}
