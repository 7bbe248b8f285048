//! What can be subscribed to, as dense ids.

use crate::market::{InstrumentId, Series, VenueId};

/// How often a depth stream speaks at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cadence {
    /// Every 20 ms: SBE `depth` (diffs only).
    Swift,
    /// Every 50 ms: SBE `depth20` (partial books only).
    Brisk,
    /// Every 100 ms (`@100ms`).
    Fast,
    /// Every 1000 ms (no suffix, or `@1000ms`).
    Slow,
}

impl Cadence {
    /// All of them, the fastest first.
    pub const ALL: [Self; 4] = [Self::Swift, Self::Brisk, Self::Fast, Self::Slow];

    /// Those of the JSON streams, which have diffs and partial books.
    pub const JSON: [Self; 2] = [Self::Fast, Self::Slow];

    /// The period in nanoseconds.
    pub const fn period_ns(self) -> i64 {
        match self {
            Self::Swift => 20_000_000,
            Self::Brisk => 50_000_000,
            Self::Fast => 100_000_000,
            Self::Slow => 1_000_000_000,
        }
    }

    /// The place in [`Cadence::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The window of a rolling ticker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// `ticker_1h`
    Hour1,
    /// `ticker_4h`
    Hour4,
    /// `ticker_1d`
    Day1,
}

impl Window {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hour1, Self::Hour4, Self::Day1];

    /// Its length in minutes.
    pub const fn minutes(self) -> i64 {
        match self {
            Self::Hour1 => 60,
            Self::Hour4 => 240,
            Self::Day1 => 1_440,
        }
    }

    /// As stream names and event types spell it: `1h`, `4h`, `1d`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Hour1 => "1h",
            Self::Hour4 => "4h",
            Self::Day1 => "1d",
        }
    }
}

/// What kind of update of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// `@trade`
    Trade,
    /// `@aggTrade`
    AggTrade,
    /// `@blockTrade`
    BlockTrade,
    /// `@bookTicker`; SBE `bestBidAsk`
    BookTicker,
    /// `@depth`, `@depth@100ms`; not at [`Cadence::Brisk`].
    Depth(Cadence),
    /// `@depth5`, `@depth10@100ms`, ...: the levels are 5, 10 or 20; at [`Cadence::Brisk`] 20; not at [`Cadence::Swift`].
    PartialDepth(u8, Cadence),
    /// `@kline_1m`, `@kline_1d@+08:00`, ...
    Kline(Series),
    /// `@miniTicker`
    MiniTicker,
    /// `@ticker`
    Ticker,
    /// `@ticker_1h`, ...
    Rolling(Window),
    /// `@avgPrice`
    AveragePrice,
    /// `@referencePrice`
    ReferencePrice,
}

/// Where the candles begin in [`Channel::ALL`].
const KLINES: usize = 14;
/// What follows behind the candles.
const BEHIND: usize = KLINES + Series::COUNT;

impl Channel {
    /// How many there are.
    pub const COUNT: usize = BEHIND + 7;

    /// Every channel, in the order of [`Channel::index`].
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::Trade; Self::COUNT];
        let front = [
            Self::Trade,
            Self::AggTrade,
            Self::BlockTrade,
            Self::BookTicker,
            Self::Depth(Cadence::Swift),
            Self::Depth(Cadence::Fast),
            Self::Depth(Cadence::Slow),
            Self::PartialDepth(20, Cadence::Brisk),
            Self::PartialDepth(5, Cadence::Fast),
            Self::PartialDepth(5, Cadence::Slow),
            Self::PartialDepth(10, Cadence::Fast),
            Self::PartialDepth(10, Cadence::Slow),
            Self::PartialDepth(20, Cadence::Fast),
            Self::PartialDepth(20, Cadence::Slow),
        ];
        let back = [
            Self::MiniTicker,
            Self::Ticker,
            Self::Rolling(Window::Hour1),
            Self::Rolling(Window::Hour4),
            Self::Rolling(Window::Day1),
            Self::AveragePrice,
            Self::ReferencePrice,
        ];
        let mut at = 0;
        while at < Self::COUNT {
            all[at] = if at < KLINES {
                front[at]
            } else if at < BEHIND {
                Self::Kline(Series::ALL[at - KLINES])
            } else {
                back[at - BEHIND]
            };
            at += 1;
        }
        all
    };

    /// The place of this channel in [`Channel::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Trade => 0,
            Self::AggTrade => 1,
            Self::BlockTrade => 2,
            Self::BookTicker => 3,
            Self::Depth(Cadence::Swift | Cadence::Brisk) => 4,
            Self::Depth(Cadence::Fast) => 5,
            Self::Depth(Cadence::Slow) => 6,
            Self::PartialDepth(_, Cadence::Swift | Cadence::Brisk) => 7,
            Self::PartialDepth(5, Cadence::Fast) => 8,
            Self::PartialDepth(5, Cadence::Slow) => 9,
            Self::PartialDepth(10, Cadence::Fast) => 10,
            Self::PartialDepth(10, Cadence::Slow) => 11,
            Self::PartialDepth(_, Cadence::Fast) => 12,
            Self::PartialDepth(_, Cadence::Slow) => 13,
            Self::Kline(series) => KLINES + series.index(),
            Self::MiniTicker => BEHIND,
            Self::Ticker => BEHIND + 1,
            Self::Rolling(window) => BEHIND + 2 + window as usize,
            Self::AveragePrice => BEHIND + 5,
            Self::ReferencePrice => BEHIND + 6,
        }
    }

    /// Whether a slow reader may be served the newest value alone.
    pub const fn is_state(self) -> bool {
        !matches!(self, Self::Trade | Self::AggTrade | Self::BlockTrade | Self::Depth(_))
    }
}

/// What kind of array about all instruments of a venue that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Array {
    /// `!miniTicker@arr`
    MiniTicker,
    /// `!miniTicker@arr@3000ms`
    MiniTickerSlow,
    /// `!ticker@arr`
    Ticker,
    /// `!ticker_1h@arr`, ...
    Rolling(Window),
}

impl Array {
    /// Every array, in the order of [`Array::index`].
    pub const ALL: [Self; 6] = [
        Self::MiniTicker,
        Self::MiniTickerSlow,
        Self::Ticker,
        Self::Rolling(Window::Hour1),
        Self::Rolling(Window::Hour4),
        Self::Rolling(Window::Day1),
    ];

    /// The place in [`Array::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::MiniTicker => 0,
            Self::MiniTickerSlow => 1,
            Self::Ticker => 2,
            Self::Rolling(window) => 3 + window as usize,
        }
    }

    /// The period in nanoseconds.
    pub const fn period_ns(self) -> i64 {
        match self {
            Self::MiniTickerSlow => 3_000_000_000,
            _ => 1_000_000_000,
        }
    }

    /// The canonical name of its stream.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MiniTicker => "!miniTicker@arr",
            Self::MiniTickerSlow => "!miniTicker@arr@3000ms",
            Self::Ticker => "!ticker@arr",
            Self::Rolling(Window::Hour1) => "!ticker_1h@arr",
            Self::Rolling(Window::Hour4) => "!ticker_4h@arr",
            Self::Rolling(Window::Day1) => "!ticker_1d@arr",
        }
    }
}

/// Most venues that one process serves: their topics come first.
pub const VENUES_MAX: usize = 32;

/// What an id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Something about one instrument.
    Instrument(InstrumentId, Channel),
    /// Something about all instruments of a venue.
    Venue(VenueId, Array),
}

/// A topic, dense from 0: first those of venues, then those of instruments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u32);

/// How many ids venues take.
const OF_VENUES: usize = VENUES_MAX * Array::ALL.len();

impl TopicId {
    /// The topic of `channel` of `instrument`.
    pub const fn new(instrument: InstrumentId, channel: Channel) -> Self {
        Self((OF_VENUES + instrument.index() * Channel::COUNT + channel.index()) as u32)
    }

    /// The topic of `array` of `venue`, which is one of the first [`VENUES_MAX`].
    pub const fn of_venue(venue: VenueId, array: Array) -> Self {
        Self(venue.0 * Array::ALL.len() as u32 + array.index() as u32)
    }

    /// How many ids there are with `instruments` instruments.
    pub const fn count(instruments: usize) -> usize {
        OF_VENUES + instruments * Channel::COUNT
    }

    /// The place in a table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// What it stands for.
    pub const fn topic(self) -> Topic {
        let index = self.index();
        if index < OF_VENUES {
            let venue = VenueId((index / Array::ALL.len()) as u32);
            return Topic::Venue(venue, Array::ALL[index % Array::ALL.len()]);
        }
        let index = index - OF_VENUES;
        Topic::Instrument(InstrumentId((index / Channel::COUNT) as u32), Channel::ALL[index % Channel::COUNT])
    }

    /// The channel of an instrument's topic.
    pub const fn channel(self) -> Option<Channel> {
        match self.topic() {
            Topic::Instrument(_, channel) => Some(channel),
            Topic::Venue(..) => None,
        }
    }

    /// Whether a slow reader may be served the newest value alone.
    pub const fn is_state(self) -> bool {
        match self.topic() {
            Topic::Instrument(_, channel) => channel.is_state(),
            // An array holds what has changed since the one before it.
            Topic::Venue(..) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_are_dense_and_reversible() {
        let mut expected = 0;
        for venue in (0..VENUES_MAX as u32).map(VenueId) {
            for (index, array) in Array::ALL.into_iter().enumerate() {
                assert_eq!(array.index(), index);
                let topic = TopicId::of_venue(venue, array);
                assert_eq!((topic.0, topic.topic()), (expected, Topic::Venue(venue, array)));
                expected += 1;
            }
        }
        for instrument in (0..3).map(InstrumentId) {
            for (index, channel) in Channel::ALL.into_iter().enumerate() {
                assert_eq!(channel.index(), index, "{channel:?}");
                let topic = TopicId::new(instrument, channel);
                assert_eq!((topic.0, topic.topic()), (expected, Topic::Instrument(instrument, channel)));
                expected += 1;
            }
        }
        assert_eq!(TopicId::count(3), expected as usize);
    }
}
