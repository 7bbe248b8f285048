//! What travels through the ring.

use super::{Array, Cadence, Window};
use crate::market::{
    AggTrade, AveragePrice, Best, InstrumentId, Kline, Level, MiniTicker, Nanos, ReferencePrice, RollingTicker, Span,
    Ticker, Trade, VenueId,
};

/// One value to publish: plain data, no pointers; wide parts lie in the pools of its [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// About whom; of an array, the first one inside.
    pub instrument: InstrumentId,
    /// When the frame that caused it was received.
    pub received: Nanos,
    /// The event time to print (`E`).
    pub time: Nanos,
    /// What.
    pub payload: Payload,
}

/// What an [`Update`] carries. `u32`s are indices into the pools of the [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Payload {
    /// For `@trade`.
    Trade(Trade),
    /// For `@aggTrade`.
    AggTrade(AggTrade),
    /// For `@bookTicker`.
    BookTicker(Best),
    /// For `@depth`: bids descending, asks ascending, each price once, absolute quantities.
    DepthDiff {
        /// Whose tick this is.
        cadence: Cadence,
        /// `U`: that cadence's previous `u` + 1.
        first_id: i64,
        /// `u`.
        last_id: i64,
        /// Changed bids.
        bids: Span,
        /// Changed asks.
        asks: Span,
    },
    /// For `@depth5`, `@depth10` and `@depth20`: up to 20 levels per side, best first.
    PartialDepth {
        /// Whose tick this is.
        cadence: Cadence,
        /// `lastUpdateId`.
        last_id: i64,
        /// Best bids.
        bids: Span,
        /// Best asks.
        asks: Span,
    },
    /// For mirrors, never sent to clients: the whole book after `last_id`, best first.
    BookSnapshot {
        /// The id of the last change contained.
        last_id: i64,
        /// All bids.
        bids: Span,
        /// All asks.
        asks: Span,
        /// The venue's ids fell: whoever follows this symbol's depth has to start over.
        reset: bool,
    },
    /// For mirrors and health, never sent to clients: how the book of this instrument is.
    BookState(BookState),
    /// For `@blockTrade`.
    BlockTrade(Trade),
    /// For mirrors and history, never sent to clients: a trade from before the live stream, in the order of ids.
    PastTrade(Trade),
    /// For mirrors and history, never sent to clients: as [`Payload::PastTrade`].
    PastAggTrade(AggTrade),
    /// For `@kline_1m` and its kind: an index into [`Batch::klines`].
    Kline(u32),
    /// For history, never sent to clients: a closed candle that was fetched; an index into [`Batch::klines`]. One that is
    /// known already is replaced.
    PastKline(u32),
    /// For `@miniTicker`: an index into [`Batch::mini_tickers`].
    MiniTicker(u32),
    /// For `@ticker`: an index into [`Batch::tickers`].
    Ticker(u32),
    /// For `@ticker_1h` and its kind: an index into [`Batch::rollings`].
    Rolling(Window, u32),
    /// For `@avgPrice`.
    AveragePrice(AveragePrice),
    /// For `@referencePrice`.
    ReferencePrice(ReferencePrice),
    /// For `!ticker@arr` and its kind: what has changed since the array before; never empty.
    Array {
        /// Whose instruments.
        venue: VenueId,
        /// Of what: it says which pool the elements point into.
        array: Array,
        /// Index of the first one in [`Batch::elements`].
        start: u32,
        /// How many.
        len: u32,
    },
}

/// One object of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// About whom.
    pub instrument: InstrumentId,
    /// Its own event time (`E`).
    pub time: Nanos,
    /// The value in the pool of the array's kind.
    pub index: u32,
}

/// How far the book of an instrument can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BookState {
    /// No snapshot has joined yet.
    #[default]
    Waiting,
    /// In step with the venue.
    Live,
    /// The venue's messages had a gap or the connection was lost; what is shown is the last good book.
    Healing,
    /// The venue refuses this instrument.
    Refused,
}

impl BookState {
    /// What people and programs are shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Live => "live",
            Self::Healing => "healing",
            Self::Refused => "refused",
        }
    }
}

/// All updates of one engine pass: the content of a ring slot, cleared and reused.
#[derive(Debug, Default)]
pub struct Batch {
    /// In order of publication.
    pub updates: Vec<Update>,
    /// What the spans point into.
    pub levels: Vec<Level>,
    /// What [`Payload::Kline`] points into.
    pub klines: Vec<Kline>,
    /// What [`Payload::MiniTicker`] points into.
    pub mini_tickers: Vec<MiniTicker>,
    /// What [`Payload::Ticker`] points into.
    pub tickers: Vec<Ticker>,
    /// What [`Payload::Rolling`] points into.
    pub rollings: Vec<RollingTicker>,
    /// What [`Payload::Array`] points into.
    pub elements: Vec<Element>,
    /// When the pass published it.
    pub published: Nanos,
}

impl Batch {
    /// Forgets the content, keeps the memory.
    pub fn clear(&mut self) {
        self.updates.clear();
        self.levels.clear();
        self.klines.clear();
        self.mini_tickers.clear();
        self.tickers.clear();
        self.rollings.clear();
        self.elements.clear();
    }

    /// Takes a ticker in; gives what an update says to point to it.
    pub fn mini_ticker(&mut self, ticker: MiniTicker) -> Payload {
        self.mini_tickers.push(ticker);
        Payload::MiniTicker(self.mini_tickers.len() as u32 - 1)
    }

    /// The same of a ticker of 24 hours.
    pub fn ticker(&mut self, ticker: Ticker) -> Payload {
        self.tickers.push(ticker);
        Payload::Ticker(self.tickers.len() as u32 - 1)
    }

    /// The same of a ticker of a window.
    pub fn rolling(&mut self, window: Window, ticker: RollingTicker) -> Payload {
        self.rollings.push(ticker);
        Payload::Rolling(window, self.rollings.len() as u32 - 1)
    }

    /// What it occupies, for the ring's capacity in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.updates)
            + size_of_val(&*self.levels)
            + size_of_val(&*self.klines)
            + size_of_val(&*self.mini_tickers)
            + size_of_val(&*self.tickers)
            + size_of_val(&*self.rollings)
            + size_of_val(&*self.elements)
    }
}

impl crate::ring::Content for Batch {
    fn clear(&mut self) {
        Self::clear(self);
    }

    fn bytes(&self) -> usize {
        Self::bytes(self)
    }
}
