//! What a venue told us, in no venue's shape.

use super::{InstrumentId, Kline, Level, Nanos, Price, Quantity, Volume};

/// A run of levels in the pool that comes with a list of events or updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Index of the first.
    pub start: u32,
    /// How many.
    pub len: u32,
}

impl Span {
    /// The levels of this run in their pool.
    pub fn of(self, pool: &[Level]) -> &[Level] {
        &pool[self.start as usize..(self.start + self.len) as usize]
    }

    /// The run from `start` to the present end of the pool.
    pub fn since(start: usize, pool: &[Level]) -> Self {
        Self { start: start as u32, len: (pool.len() - start) as u32 }
    }
}

/// Events of one or more frames, with the pool their levels are in; cleared and reused.
#[derive(Debug, Default)]
pub struct Events {
    /// In the order of the bytes.
    pub list: Vec<Event>,
    /// What the spans of book events point into.
    pub levels: Vec<Level>,
}

impl Events {
    /// Forgets the events, keeps the memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.levels.clear();
    }
}

/// One thing that a venue said about one instrument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// About whom.
    pub instrument: InstrumentId,
    /// The venue's own event time (Binance `E`), where it sends one.
    pub time: Option<Nanos>,
    /// What.
    pub kind: EventKind,
}

/// What an [`Event`] says.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "events live in one reused Vec, the wide kinds are the rare ones")]
pub enum EventKind {
    /// A fill.
    Trade(Trade),
    /// Fills of one taker order at one price.
    AggTrade(AggTrade),
    /// The venue's own best bid and ask.
    Best(Best),
    /// Changed levels.
    BookDiff(BookDiff),
    /// The whole book (or its window).
    BookSnapshot(BookSnapshot),
    /// The venue acknowledged a book subscription with this many levels per side; the book is cut to it.
    BookWindow(u32),
    /// A fill outside the order book, with ids of its own (Binance `blockTrade`).
    BlockTrade(Trade),
    /// A candle in the making or closed. Rows of REST answers are told from pushed candles by where they come from; they
    /// have no trade ids.
    Kline(Kline),
    /// Day statistics, short.
    MiniTicker(MiniTicker),
    /// Day statistics, long.
    Ticker(Ticker),
    /// The mean price of the last minutes.
    AveragePrice(AveragePrice),
    /// The venue's reference price.
    ReferencePrice(ReferencePrice),
    /// The venue refuses this instrument's subscription for good (delisted, unknown).
    Refused,
}

/// The update ids that a diff covers, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateIds {
    /// Binance `U`.
    pub first: i64,
    /// Binance `u`.
    pub last: i64,
}

/// Changed levels with absolute quantities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookDiff {
    /// The venue's ids; `None` where it has none (Kraken).
    pub ids: Option<UpdateIds>,
    /// Bid levels in message order (the last of equal prices wins).
    pub bids: Span,
    /// Ask levels in message order.
    pub asks: Span,
    /// The checksum after this diff and the cut to the window.
    pub checksum: Option<u32>,
}

/// A whole book, or the venue's window of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookSnapshot {
    /// The id of the last change contained (Binance `lastUpdateId`); `None` where the venue has no ids.
    pub last_id: Option<i64>,
    /// Bid levels, any order.
    pub bids: Span,
    /// Ask levels, any order.
    pub asks: Span,
    /// The checksum of this book.
    pub checksum: Option<u32>,
    /// How many levels per side were asked for, or the venue acknowledged: of a fetched book, fewer received means that
    /// the side is complete. `None`: not known.
    pub limit: Option<u32>,
}

/// A fill. Ids rise by one per symbol where the venue numbers them so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// The venue's trade id.
    pub id: i64,
    /// Price.
    pub price: Price,
    /// Base quantity.
    pub quantity: Quantity,
    /// When it happened.
    pub time: Nanos,
    /// Whether the taker sold.
    pub buyer_is_maker: bool,
}

/// Fills of one taker order at the same price and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggTrade {
    /// Aggregate id; where the venue has none, the last trade id.
    pub id: i64,
    /// Price.
    pub price: Price,
    /// Sum of the base quantities.
    pub quantity: Quantity,
    /// First fill inside.
    pub first_id: i64,
    /// Last fill inside.
    pub last_id: i64,
    /// When it happened.
    pub time: Nanos,
    /// Whether the taker sold.
    pub buyer_is_maker: bool,
}

/// What has an id that rises.
pub trait Numbered {
    /// The id.
    fn id(&self) -> i64;
}

impl Numbered for Trade {
    fn id(&self) -> i64 {
        self.id
    }
}

impl Numbered for AggTrade {
    fn id(&self) -> i64 {
        self.id
    }
}

/// Best bid and best ask at one update id. A side without any order has price and quantity zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Best {
    /// The update id at which this became so.
    pub update_id: i64,
    /// Highest buyer.
    pub bid: Level,
    /// Lowest seller.
    pub ask: Level,
}

/// 24 h statistics, short form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MiniTicker {
    /// Last price.
    pub close: Price,
    /// First price in the window.
    pub open: Price,
    /// High.
    pub high: Price,
    /// Low.
    pub low: Price,
    /// Base volume.
    pub volume: Volume,
    /// Quote volume.
    pub quote_volume: Volume,
}

/// 24 h statistics, long form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticker {
    /// The short form.
    pub mini: MiniTicker,
    /// Close minus open.
    pub change: Price,
    /// Change in percent of the open, three decimals.
    pub change_percent: i64,
    /// Quote volume over base volume.
    pub weighted_average: Price,
    /// The last price before the window.
    pub previous_close: Price,
    /// Quantity of the last trade.
    pub last_quantity: Quantity,
    /// Best bid.
    pub bid: Level,
    /// Best ask.
    pub ask: Level,
    /// Window opens.
    pub open_time: Nanos,
    /// Window closes.
    pub close_time: Nanos,
    /// First trade inside, -1 if none.
    pub first_id: i64,
    /// Last trade inside, -1 if none.
    pub last_id: i64,
    /// Number of trades.
    pub trades: i64,
}

/// Statistics of a window of 1 h, 4 h or a day, as rolling-window tickers show them (binance.md section 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollingTicker {
    /// Open, high, low, close and volumes.
    pub mini: MiniTicker,
    /// Close minus open.
    pub change: Price,
    /// Change in percent of the open, three decimals.
    pub change_percent: i64,
    /// Quote volume over base volume.
    pub weighted_average: Price,
    /// Window opens, at a whole minute.
    pub open_time: Nanos,
    /// The time of the statistics.
    pub close_time: Nanos,
    /// First trade inside, -1 if none.
    pub first_id: i64,
    /// Last trade inside, -1 if none.
    pub last_id: i64,
    /// Number of trades.
    pub trades: i64,
}

/// The volume-weighted mean price of the last minutes (Binance: 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AveragePrice {
    /// The window, in minutes.
    pub minutes: u8,
    /// The mean; without trades in the window, the last price.
    pub price: Price,
    /// When the last trade was.
    pub last_trade: Nanos,
}

/// A venue's reference price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferencePrice {
    /// The price; `None` where the venue has none at present.
    pub price: Option<Price>,
    /// When it was valid.
    pub time: Nanos,
}
