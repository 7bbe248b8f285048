//! One file per exchange: what to ask it and how to read it, as pure functions without I/O, tokio or clock.
//!
//! A venue is a [`Protocol`] (what intake asks for and sends) with a [`Decode`] (what the engine makes of the bytes).
//! To add one: write `venue/<name>.rs`, and add its line to the list at the bottom of this file.

use std::{sync::Arc, time::Duration};

use crate::{
    market::{Catalogue, ChecksumRule, Events, Instrument, InstrumentId, Listing, Nanos, Series, VenueId},
    normalise::Refusal,
};

/// What a venue is asked over REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestRequest {
    /// Path and query, behind the venue's `rest_url`.
    pub path: String,
    /// Its cost in the venue's own weights.
    pub weight: u32,
}

/// Where a venue's list of instruments comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListingSource {
    /// One REST answer.
    Rest(RestRequest),
    /// Frames on a socket of its own, after sending `subscribe`.
    Socket {
        /// Path and query, behind the venue's `ws_url`.
        path: String,
        /// What to send.
        subscribe: String,
    },
}

/// Where whole books come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookSource {
    /// Fetched over REST and joined with sequenced diffs.
    Rest,
    /// Sent on the socket after each subscription; a fresh one is had by subscribing again.
    Socket,
}

/// One connection to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Path and query, behind the venue's `ws_url`.
    pub path: String,
    /// Messages to send once open, in order and paced to [`Traits::messages_per_second`].
    pub messages: Vec<String>,
    /// Whose data comes over it.
    pub instruments: Vec<InstrumentId>,
}

/// What does not change from call to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Where whole books come from.
    pub book: BookSource,
    /// How the book is proven.
    pub checksum: Option<ChecksumRule>,
    /// Whether book events carry update ids that two connections share (else one connection only).
    pub has_update_ids: bool,
    /// Whether aggregate trades have ids of their own without holes (else theirs is that of their last fill).
    pub aggregates_numbered: bool,
    /// Most messages per second that we may send on one connection (pongs included).
    pub messages_per_second: u32,
    /// Most new connections in five minutes from one address.
    pub connects_per_five_minutes: u32,
    /// REST weight per minute.
    pub rest_weight_per_minute: u32,
    /// Least time between two REST requests.
    pub rest_apart: Duration,
    /// A message to send so often when the venue wants to hear from us; `None`: answering its pings is enough.
    pub keep_alive: Option<(&'static str, Duration)>,
}

/// What the body of an HTTP success says. Some venues report their errors in there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was asked for.
    Answer,
    /// We ask too often, and should pause for this long.
    Pause(Duration),
    /// Not now: the venue is in trouble.
    Unavailable,
    /// The request is refused; `for_good` if there is no such thing at all.
    Refused {
        /// Asking again is in vain.
        for_good: bool,
    },
}

/// What a venue wants to be asked. Implementations hold settings only; every method is pure.
pub trait Protocol: Sized {
    /// What [`Protocol::decoder`] makes.
    type Decoder: Decode;

    /// The `kind` in the configuration.
    const KIND: &'static str;

    /// A protocol with these settings: `book_depth` levels per side, `connections` copies of the feed.
    ///
    /// # Errors
    /// One line for a person if the venue does not offer that.
    fn new(book_depth: u32, connections: u32) -> Result<Self, String>;

    /// What does not change from call to call.
    fn traits(&self) -> Traits;

    /// Our spelling of the venue's symbol, upper case (`BTC/USD` is `BTCUSD`).
    fn symbol(native: &str) -> String;

    /// How to get the list of instruments for `natives`.
    fn listing(&self, natives: &[&str]) -> ListingSource;

    /// Reads a listing body or frame; `None` for a frame that is none.
    ///
    /// # Errors
    /// If it is one and cannot be read.
    fn parse_listing(&self, body: &[u8]) -> Result<Option<Vec<Listing>>, Refusal>;

    /// The connections to open for `instruments`, within the venue's limits.
    fn dials(&self, instruments: &[&Instrument]) -> Vec<Dial>;

    /// The request for a whole book with `levels` per side; `None` where books come over the socket.
    fn snapshot(&self, instrument: &Instrument, levels: u32) -> Option<RestRequest>;

    /// The request for up to `count` trades from `from_id` on; `None` where the venue has none.
    fn trades(&self, instrument: &Instrument, from_id: i64, count: u32) -> Option<RestRequest>;

    /// The request for the newest trades, as many as one answer holds; `None` where the venue has none.
    fn recent_trades(&self, instrument: &Instrument) -> Option<RestRequest>;

    /// The request for aggregate trades, up to `count` from `from_id` on or else the newest; `None` where the venue has none.
    fn agg_trades(&self, instrument: &Instrument, from_id: Option<i64>, count: u32) -> Option<RestRequest>;

    /// The request for up to `count` candles of `series` that open at `from` or later, the oldest first; `None` where the
    /// venue has none. The last row may still be in the making.
    fn klines(&self, instrument: &Instrument, series: Series, from: Nanos, count: u32) -> Option<RestRequest>;

    /// What the body of a REST answer with a status of success says; only what cannot be an answer is told from one.
    fn verdict(&self, _body: &[u8]) -> Verdict {
        Verdict::Answer
    }

    /// The messages that make the socket send this instrument's book again.
    fn resubscribe(&self, instrument: &Instrument) -> Vec<String>;

    /// Whether this frame announces that the venue is about to close the connection.
    fn is_farewell(&self, frame: &[u8]) -> bool;

    /// The reader of this venue's frames.
    fn decoder(&self, catalogue: Arc<Catalogue>, venue: VenueId) -> Self::Decoder;
}

/// What the engine makes of a venue's bytes. On an error, `events` may hold the frame's first part: the caller drops it.
pub trait Decode {
    /// Reads one frame and appends what it says. Acknowledgements and heartbeats append nothing.
    ///
    /// # Errors
    /// Why the frame was refused; the next one is read as if this one had not been.
    fn frame(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Refusal>;

    /// Reads the answer to [`Protocol::snapshot`] that asked for `levels`.
    ///
    /// # Errors
    /// Why it was refused.
    fn snapshot(
        &mut self,
        instrument: InstrumentId,
        levels: u32,
        body: &[u8],
        events: &mut Events,
    ) -> Result<(), Refusal>;

    /// Reads the answer to [`Protocol::trades`] or [`Protocol::recent_trades`].
    ///
    /// # Errors
    /// Why it was refused.
    fn trades(&mut self, instrument: InstrumentId, body: &[u8], events: &mut Events) -> Result<(), Refusal>;

    /// Reads the answer to [`Protocol::agg_trades`].
    ///
    /// # Errors
    /// Why it was refused.
    fn agg_trades(&mut self, instrument: InstrumentId, body: &[u8], events: &mut Events) -> Result<(), Refusal>;

    /// Reads the answer to [`Protocol::klines`] into candles without trade ids, none of them marked as closed: whether
    /// the last one is final only a clock knows.
    ///
    /// # Errors
    /// Why it was refused.
    fn klines(
        &mut self,
        instrument: InstrumentId,
        series: Series,
        body: &[u8],
        events: &mut Events,
    ) -> Result<(), Refusal>;
}

/// Makes the closed sets of all venues: static dispatch, one line a venue.
macro_rules! venues {
    ($($variant:ident => $module:ident,)*) => {
        $(mod $module;)*

        /// Any venue's protocol.
        #[derive(Debug)]
        #[allow(missing_docs, reason = "the variants are the venues")]
        pub enum AnyProtocol { $($variant($module::$variant)),* }

        /// Any venue's decoder.
        #[derive(Debug)]
        #[allow(missing_docs, reason = "the variants are the venues")]
        pub enum AnyDecoder { $($variant(<$module::$variant as Protocol>::Decoder)),* }

        /// Every `kind` that the configuration may name.
        pub const KINDS: &[&str] = &[$(<$module::$variant as Protocol>::KIND),*];

        impl AnyProtocol {
            /// The protocol of `kind`.
            ///
            /// # Errors
            /// One line for a person: an unknown kind, or settings that the venue does not offer.
            pub fn new(kind: &str, book_depth: u32, connections: u32) -> Result<Self, String> {
                $(if kind == <$module::$variant as Protocol>::KIND {
                    return <$module::$variant as Protocol>::new(book_depth, connections).map(Self::$variant);
                })*
                Err(format!("unknown kind `{kind}`; there are {}", KINDS.join(", ")))
            }
            /// See [`Protocol::traits`].
            pub fn traits(&self) -> Traits { match self { $(Self::$variant(it) => it.traits()),* } }
            /// See [`Protocol::symbol`].
            pub fn symbol(&self, native: &str) -> String {
                match self { $(Self::$variant(_) => <$module::$variant as Protocol>::symbol(native)),* }
            }
            /// See [`Protocol::listing`].
            pub fn listing(&self, natives: &[&str]) -> ListingSource {
                match self { $(Self::$variant(it) => it.listing(natives)),* }
            }
            /// See [`Protocol::parse_listing`].
            ///
            /// # Errors
            /// If it is a listing and cannot be read.
            pub fn parse_listing(&self, body: &[u8]) -> Result<Option<Vec<Listing>>, Refusal> {
                match self { $(Self::$variant(it) => it.parse_listing(body)),* }
            }
            /// See [`Protocol::dials`].
            pub fn dials(&self, instruments: &[&Instrument]) -> Vec<Dial> {
                match self { $(Self::$variant(it) => it.dials(instruments)),* }
            }
            /// See [`Protocol::snapshot`].
            pub fn snapshot(&self, instrument: &Instrument, levels: u32) -> Option<RestRequest> {
                match self { $(Self::$variant(it) => it.snapshot(instrument, levels)),* }
            }
            /// See [`Protocol::trades`].
            pub fn trades(&self, instrument: &Instrument, from_id: i64, count: u32) -> Option<RestRequest> {
                match self { $(Self::$variant(it) => it.trades(instrument, from_id, count)),* }
            }
            /// See [`Protocol::recent_trades`].
            pub fn recent_trades(&self, instrument: &Instrument) -> Option<RestRequest> {
                match self { $(Self::$variant(it) => it.recent_trades(instrument)),* }
            }
            /// See [`Protocol::agg_trades`].
            pub fn agg_trades(&self, instrument: &Instrument, from_id: Option<i64>, count: u32) -> Option<RestRequest> {
                match self { $(Self::$variant(it) => it.agg_trades(instrument, from_id, count)),* }
            }
            /// See [`Protocol::klines`].
            pub fn klines(
                &self, instrument: &Instrument, series: Series, from: Nanos, count: u32,
            ) -> Option<RestRequest> {
                match self { $(Self::$variant(it) => it.klines(instrument, series, from, count)),* }
            }
            /// See [`Protocol::verdict`].
            pub fn verdict(&self, body: &[u8]) -> Verdict {
                match self { $(Self::$variant(it) => it.verdict(body)),* }
            }
            /// See [`Protocol::resubscribe`].
            pub fn resubscribe(&self, instrument: &Instrument) -> Vec<String> {
                match self { $(Self::$variant(it) => it.resubscribe(instrument)),* }
            }
            /// See [`Protocol::is_farewell`].
            pub fn is_farewell(&self, frame: &[u8]) -> bool {
                match self { $(Self::$variant(it) => it.is_farewell(frame)),* }
            }
            /// See [`Protocol::decoder`].
            pub fn decoder(&self, catalogue: Arc<Catalogue>, venue: VenueId) -> AnyDecoder {
                match self { $(Self::$variant(it) => AnyDecoder::$variant(it.decoder(catalogue, venue))),* }
            }
        }

        impl Decode for AnyDecoder {
            fn frame(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Refusal> {
                match self { $(Self::$variant(it) => it.frame(frame, events)),* }
            }
            fn snapshot(
                &mut self, instrument: InstrumentId, levels: u32, body: &[u8], events: &mut Events,
            ) -> Result<(), Refusal> {
                match self { $(Self::$variant(it) => it.snapshot(instrument, levels, body, events)),* }
            }
            fn trades(
                &mut self, instrument: InstrumentId, body: &[u8], events: &mut Events,
            ) -> Result<(), Refusal> {
                match self { $(Self::$variant(it) => it.trades(instrument, body, events)),* }
            }
            fn agg_trades(
                &mut self, instrument: InstrumentId, body: &[u8], events: &mut Events,
            ) -> Result<(), Refusal> {
                match self { $(Self::$variant(it) => it.agg_trades(instrument, body, events)),* }
            }
            fn klines(
                &mut self, instrument: InstrumentId, series: Series, body: &[u8], events: &mut Events,
            ) -> Result<(), Refusal> {
                match self { $(Self::$variant(it) => it.klines(instrument, series, body, events)),* }
            }
        }
    };
}

venues! {
    Binance => binance,
    Kraken => kraken,
}
