//! What passes between intake and the engine.

use bytes::Bytes;

use crate::market::{Decimals, InstrumentId, Kline, Nanos, Series, VenueId};

/// One connection to a venue, unique in the life of the process: a successor has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// One raw message of a venue.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When it was received.
    pub received: Nanos,
    /// Text or binary payload.
    pub bytes: Bytes,
}

/// What intake tells the engine. Of each connection: one `Opened`, then its `Frames` in order, then one `Closed`.
///
/// When a connection is replaced, its successor is opened first, and both send `Frames` for a while: the same data
/// comes twice, and neither is ahead for sure. Where book events carry update ids, the ids tell what is new. Where they
/// do not, books of two connections must not be mixed: events belong to the [`ConnectionId`] that brought them, and the
/// newest `Opened` connection of an instrument is the one to follow, at the latest from its first whole book on.
#[derive(Clone, Debug)]
pub enum Inbound {
    /// A connection is open, and its subscriptions are on their way: data may follow at once.
    Opened {
        /// Whose.
        venue: VenueId,
        /// Which.
        connection: ConnectionId,
        /// Which copy of its feed it carries, from 0: [`crate::intake::VenueFeed::connections`] says how many there are.
        leg: u32,
        /// Whose data comes over it.
        instruments: Vec<InstrumentId>,
        /// When.
        received: Nanos,
    },
    /// What one connection said, in order.
    Frames {
        /// Whose.
        venue: VenueId,
        /// Which.
        connection: ConnectionId,
        /// At least one.
        frames: Vec<Frame>,
    },
    /// A connection is gone; nothing more comes over it.
    Closed {
        /// Whose.
        venue: VenueId,
        /// Which.
        connection: ConnectionId,
        /// When.
        received: Nanos,
    },
    /// The answer to [`Request::Snapshot`]. Intake retries until it has one: the body is that of an HTTP success.
    Snapshot {
        /// Whose book.
        instrument: InstrumentId,
        /// How many levels per side were asked for.
        levels: u32,
        /// The body.
        body: Frame,
    },
    /// The venue refuses what was asked for. Snapshots are tried for ever.
    Refused {
        /// About whom.
        instrument: InstrumentId,
        /// What.
        what: Wanted,
        /// It has no such thing at all (404, 410), so that asking again is in vain.
        for_good: bool,
        /// When.
        received: Nanos,
    },
    /// The answer to [`Request::Trades`], if one came within ten seconds.
    Trades {
        /// Whose trades.
        instrument: InstrumentId,
        /// The body.
        body: Frame,
    },
    /// The answer to [`Request::RecentTrades`].
    RecentTrades {
        /// Whose trades.
        instrument: InstrumentId,
        /// The body.
        body: Frame,
    },
    /// The answer to [`Request::AggTrades`].
    AggTrades {
        /// Whose trades.
        instrument: InstrumentId,
        /// What was asked for.
        from_id: Option<i64>,
        /// The body.
        body: Frame,
    },
    /// The answer to [`Request::Klines`].
    Klines {
        /// Whose candles.
        instrument: InstrumentId,
        /// Which.
        series: Series,
        /// From when on.
        from: Nanos,
        /// The body.
        body: Frame,
    },
    /// An operator does not trust a book: it is to be put right by a new snapshot.
    Resync {
        /// Whose book.
        instrument: InstrumentId,
        /// When that was said.
        received: Nanos,
    },
    /// Candles that a store has kept from before: closed ones of one series, in order. They come before anything else.
    Kept {
        /// Whose candles.
        instrument: InstrumentId,
        /// With which decimals they were written. The listing is not known yet: if it says otherwise later on
        /// ([`Decimals::is_same_scale`]), the candles are of no use.
        decimals: Decimals,
        /// In order.
        klines: Vec<Kline>,
    },
}

impl Inbound {
    /// The instrument that all of it is about, if it is about one.
    pub fn instrument(&self) -> Option<InstrumentId> {
        match *self {
            Self::Opened { .. } | Self::Frames { .. } | Self::Closed { .. } => None,
            Self::Snapshot { instrument, .. }
            | Self::Refused { instrument, .. }
            | Self::Trades { instrument, .. }
            | Self::RecentTrades { instrument, .. }
            | Self::AggTrades { instrument, .. }
            | Self::Klines { instrument, .. }
            | Self::Resync { instrument, .. }
            | Self::Kept { instrument, .. } => Some(instrument),
        }
    }
}

/// What can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// [`Request::Trades`]
    Trades,
    /// [`Request::RecentTrades`]
    RecentTrades,
    /// [`Request::AggTrades`]
    AggTrades,
    /// [`Request::Klines`]
    Klines(Series),
}

/// What the engine asks of intake. A newer request of one kind for one instrument replaces one that still waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Fetch a whole book over REST, within the venue's weights; shallow ones go first.
    Snapshot {
        /// Whose.
        instrument: InstrumentId,
        /// Levels per side.
        levels: u32,
        /// Not before so many milliseconds (a snapshot that was too old is fetched again, not in a tight loop).
        after_ms: u32,
    },
    /// Fetch lost trades over REST; they go before snapshots.
    Trades {
        /// Whose.
        instrument: InstrumentId,
        /// First lost id.
        from_id: i64,
        /// How many.
        count: u32,
    },
    /// Fetch the newest trades, once at the start.
    RecentTrades {
        /// Whose.
        instrument: InstrumentId,
    },
    /// Fetch aggregate trades: lost ones, which are as urgent as lost trades, or the newest.
    AggTrades {
        /// Whose.
        instrument: InstrumentId,
        /// First lost id; `None`: the newest.
        from_id: Option<i64>,
        /// How many.
        count: u32,
    },
    /// Fetch candles: after everything else, in the order of asking; one request of each series of an instrument waits.
    Klines {
        /// Whose.
        instrument: InstrumentId,
        /// Which.
        series: Series,
        /// Those that open at this time or later.
        from: Nanos,
        /// At most so many, 1000 or less.
        count: u32,
    },
    /// Make the socket send this book again: the first time at once, then with growing back-off.
    Resubscribe {
        /// Whose.
        instrument: InstrumentId,
    },
    /// Replace a connection on which a stream has gone silent: successor first, then close.
    Renew {
        /// Which.
        connection: ConnectionId,
    },
}
