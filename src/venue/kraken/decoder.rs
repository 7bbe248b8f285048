//! Frames of the public channels, from raw tokens: a checksum holds only over the digits that were sent.

use std::sync::Arc;

use super::rest;
use crate::{
    market::{
        AggTrade, BookDiff, BookSnapshot, Catalogue, Decimals, Event, EventKind, Events, InstrumentId, Level, Nanos,
        Price, Quantity, Series, Span, Trade, VenueId,
    },
    normalise::{Refusal, Scanner, Symbols, TEXT_BYTES_MAX, rfc3339},
    venue::Decode,
};

/// Its frames. Nothing is allocated in steady state.
#[derive(Debug)]
pub struct Decoder {
    symbols: Symbols,
    /// Levels per side as acknowledged last, by instrument.
    windows: Vec<Option<u32>>,
    /// Levels per side as asked for.
    book_depth: u32,
}

impl Decoder {
    /// A reader for the instruments of `venue` that asks for books of `book_depth`.
    pub(super) fn new(catalogue: Arc<Catalogue>, venue: VenueId, book_depth: u32) -> Self {
        let windows = vec![None; catalogue.instruments().len()];
        Self { symbols: Symbols::new(catalogue, venue, |instrument| &instrument.native), windows, book_depth }
    }

    fn data(&self, channel: Channel, kind: Kind, scanner: &mut Scanner<'_>, events: &mut Events) -> Result<(), Refusal> {
        match channel {
            Channel::Book => scanner.array(|scanner| self.book(kind, scanner, events)),
            Channel::Trade if kind == Kind::Update => self.trades(scanner, events),
            // Old trades once more.
            Channel::Trade | Channel::Other => scanner.skip(),
        }
    }

    fn book(&self, kind: Kind, scanner: &mut Scanner<'_>, events: &mut Events) -> Result<(), Refusal> {
        let mut whose = None;
        let (mut bids, mut asks) = (Side::Missing, Side::Missing);
        let (mut checksum, mut time) = (None, None);
        scanner.object(|scanner, key| {
            match key {
                b"symbol" => whose = Some(self.whose(scanner)?),
                b"bids" => bids = Side::read(whose, scanner, &mut events.levels)?,
                b"asks" => asks = Side::read(whose, scanner, &mut events.levels)?,
                b"checksum" => checksum = Some(u32::try_from(scanner.integer()?).map_err(|_| Refusal::Number)?),
                b"timestamp" => time = Some(timestamp(scanner)?),
                _ => scanner.skip()?,
            }
            Ok(())
        })?;
        let (instrument, decimals) = whose.ok_or(Refusal::Malformed)?;
        let bids = bids.span(decimals, &mut events.levels)?;
        let asks = asks.span(decimals, &mut events.levels)?;
        let checksum = Some(checksum.ok_or(Refusal::Malformed)?);
        let kind = match kind {
            Kind::Snapshot => {
                let limit = Some(self.windows[instrument.index()].unwrap_or(self.book_depth));
                EventKind::BookSnapshot(BookSnapshot { last_id: None, bids, asks, checksum, limit })
            }
            Kind::Update => EventKind::BookDiff(BookDiff { ids: None, bids, asks, checksum }),
        };
        events.list.push(Event { instrument, time, kind });
        Ok(())
    }

    /// Fills, and behind each run of fills at one price, time and side what Binance would call their aggregate.
    fn trades(&self, scanner: &mut Scanner<'_>, events: &mut Events) -> Result<(), Refusal> {
        let mut run: Option<(InstrumentId, AggTrade)> = None;
        scanner.array(|scanner| {
            let (instrument, trade) = self.trade(scanner)?;
            match &mut run {
                Some((last, aggregate)) if *last == instrument && is_same_run(aggregate, &trade) => {
                    *aggregate = with(aggregate, &trade)?;
                }
                _ => {
                    finish(run.take(), events);
                    run = Some((instrument, run_of(&trade)));
                }
            }
            events.list.push(Event { instrument, time: Some(trade.time), kind: EventKind::Trade(trade) });
            Ok(())
        })?;
        finish(run, events);
        Ok(())
    }

    fn trade(&self, scanner: &mut Scanner<'_>) -> Result<(InstrumentId, Trade), Refusal> {
        let mut whose = None;
        let (mut id, mut price, mut quantity, mut time, mut buyer_is_maker) = (None, None, None, None, None);
        scanner.object(|scanner, key| {
            match key {
                b"symbol" => whose = Some(self.whose(scanner)?),
                b"side" => buyer_is_maker = Some(taker_sold(scanner)?),
                // Read once the decimals are known, whatever comes first.
                b"price" => price = Some(scanner.number()?),
                b"qty" => quantity = Some(scanner.number()?),
                b"trade_id" => id = Some(scanner.integer()?),
                b"timestamp" => time = Some(timestamp(scanner)?),
                _ => scanner.skip()?,
            }
            Ok(())
        })?;
        let (instrument, decimals) = whose.ok_or(Refusal::Malformed)?;
        let trade = Trade {
            id: id.ok_or(Refusal::Malformed)?,
            price: Price(number(price, decimals.price)?),
            quantity: Quantity(number(quantity, decimals.quantity)?),
            time: time.ok_or(Refusal::Malformed)?,
            buyer_is_maker: buyer_is_maker.ok_or(Refusal::Malformed)?,
        };
        Ok((instrument, trade))
    }

    /// What became of a subscription.
    fn answer(&mut self, answer: &Answer<'_>, events: &mut Events) -> Result<(), Refusal> {
        match (answer.method, answer.success) {
            (Method::Subscribe, Some(true)) => self.subscribed(answer, events),
            (Method::Subscribe, Some(false)) => self.refused(answer, events),
            // The end of a subscription that has ended already is no fault.
            (Method::Unsubscribe | Method::Pong, _) => Ok(()),
            (_, Some(false)) => Err(Refusal::VenueError),
            _ => Err(Refusal::UnknownMessage),
        }
    }

    fn subscribed(&mut self, answer: &Answer<'_>, events: &mut Events) -> Result<(), Refusal> {
        let Some(result) = answer.result else { return Err(Refusal::Malformed) };
        let (mut channel, mut symbol, mut depth) = (Channel::Other, None, None);
        Scanner::new(result).object(|scanner, key| {
            match key {
                b"channel" => channel = Channel::read(scanner)?,
                b"symbol" => symbol = Some(scanner.raw()?),
                b"depth" => depth = Some(u32::try_from(scanner.integer()?).map_err(|_| Refusal::Number)?),
                _ => scanner.skip()?,
            }
            Ok(())
        })?;
        if channel == Channel::Book {
            let symbol = symbol.ok_or(Refusal::Malformed)?;
            let (instrument, _) = self.whose(&mut Scanner::new(symbol))?;
            let depth = depth.unwrap_or(self.book_depth);
            self.windows[instrument.index()] = Some(depth);
            events.list.push(Event { instrument, time: None, kind: EventKind::BookWindow(depth) });
        }
        Ok(())
    }

    /// `Currency pair not supported X/Y` and `Currency pair not in ISO 4217-A3 format X` are for good; anything else (too fast, subscribed already) may pass.
    fn refused(&self, answer: &Answer<'_>, events: &mut Events) -> Result<(), Refusal> {
        let mut buffer = [0; TEXT_BYTES_MAX];
        let error = match answer.error {
            Some(error) => Scanner::new(error).string()?.plain(&mut buffer)?,
            None => b"",
        };
        if !error.starts_with(b"Currency pair") {
            return Err(Refusal::VenueError);
        }
        let named = match answer.symbol {
            Some(symbol) => self.whose(&mut Scanner::new(symbol)),
            None => self.symbols.find(error.rsplit(|&byte| byte == b' ').next().unwrap_or_default()),
        };
        let (instrument, _) = named.map_err(|_| Refusal::VenueError)?;
        events.list.push(Event { instrument, time: None, kind: EventKind::Refused });
        Ok(())
    }

    fn whose(&self, scanner: &mut Scanner<'_>) -> Result<(InstrumentId, Decimals), Refusal> {
        let symbol = scanner.string()?;
        match symbol.unescaped() {
            Some(symbol) => self.symbols.find(symbol),
            None => self.symbols.find(symbol.plain(&mut [0; TEXT_BYTES_MAX])?),
        }
    }
}

impl Decode for Decoder {
    fn frame(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Refusal> {
        let (mut channel, mut kind, mut early, mut done) = (None, None, None, false);
        let mut answer = Answer::default();
        let mut scanner = Scanner::new(frame);
        scanner.object(|scanner, key| {
            match key {
                b"channel" => channel = Some(Channel::read(scanner)?),
                b"type" => kind = Some(Kind::read(scanner)?),
                b"data" => match (channel, kind) {
                    (Some(channel), Some(kind)) => {
                        self.data(channel, kind, scanner, events)?;
                        done = true;
                    }
                    // Its meaning stands behind it.
                    _ => early = Some(scanner.raw()?),
                },
                b"method" => answer.method = Method::read(scanner)?,
                b"success" => answer.success = Some(scanner.boolean()?),
                b"result" => answer.result = Some(scanner.raw()?),
                b"symbol" => answer.symbol = Some(scanner.raw()?),
                b"error" => answer.error = Some(scanner.raw()?),
                _ => scanner.skip()?,
            }
            Ok(())
        })?;
        scanner.end()?;
        match (channel, kind, early) {
            (Some(channel), Some(kind), Some(data)) => self.data(channel, kind, &mut Scanner::new(data), events),
            (Some(Channel::Book | Channel::Trade), ..) if !done => Err(Refusal::Malformed),
            (Some(_), ..) => Ok(()),
            (None, ..) => self.answer(&answer, events),
        }
    }

    fn snapshot(&mut self, _: InstrumentId, _: u32, _: &[u8], _: &mut Events) -> Result<(), Refusal> {
        // Books come over the socket.
        Err(Refusal::UnknownMessage)
    }

    fn trades(&mut self, instrument: InstrumentId, body: &[u8], events: &mut Events) -> Result<(), Refusal> {
        let decimals = self.symbols.decimals(instrument);
        rest::rows(body, |scanner| {
            let trade = rest::trade(scanner, decimals)?;
            events.list.push(Event { instrument, time: None, kind: EventKind::Trade(trade) });
            Ok(())
        })
    }

    fn agg_trades(&mut self, instrument: InstrumentId, body: &[u8], events: &mut Events) -> Result<(), Refusal> {
        let decimals = self.symbols.decimals(instrument);
        let mut run: Option<AggTrade> = None;
        let mut finish = |run: Option<AggTrade>| {
            events.list.extend(run.map(|run| Event { instrument, time: None, kind: EventKind::AggTrade(run) }));
        };
        rest::rows(body, |scanner| {
            let trade = rest::trade(scanner, decimals)?;
            match &mut run {
                Some(aggregate) if is_same_run(aggregate, &trade) => *aggregate = with(aggregate, &trade)?,
                _ => finish(run.replace(run_of(&trade))),
            }
            Ok(())
        })?;
        finish(run);
        Ok(())
    }

    fn klines(
        &mut self,
        instrument: InstrumentId,
        series: Series,
        body: &[u8],
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let decimals = self.symbols.decimals(instrument);
        let mut last = None;
        rest::rows(body, |scanner| {
            let kline = rest::kline(scanner, series, decimals)?;
            if last.is_some_and(|last| last >= kline.open_time) {
                return Err(Refusal::Malformed);
            }
            last = Some(kline.open_time);
            events.list.push(Event { instrument, time: None, kind: EventKind::Kline(kline) });
            Ok(())
        })
    }
}

/// The channels that say something to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Book,
    Trade,
    /// Documented, and nothing to us.
    Other,
}

impl Channel {
    fn read(scanner: &mut Scanner<'_>) -> Result<Self, Refusal> {
        match scanner.string()?.unescaped() {
            Some(b"book") => Ok(Self::Book),
            Some(b"trade") => Ok(Self::Trade),
            Some(b"heartbeat" | b"status" | b"instrument" | b"ticker" | b"ohlc") => Ok(Self::Other),
            _ => Err(Refusal::UnknownMessage),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Snapshot,
    Update,
}

impl Kind {
    fn read(scanner: &mut Scanner<'_>) -> Result<Self, Refusal> {
        match scanner.string()?.unescaped() {
            Some(b"snapshot") => Ok(Self::Snapshot),
            Some(b"update") => Ok(Self::Update),
            _ => Err(Refusal::UnknownMessage),
        }
    }
}

/// What is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Method {
    Subscribe,
    Unsubscribe,
    Pong,
    #[default]
    Other,
}

impl Method {
    fn read(scanner: &mut Scanner<'_>) -> Result<Self, Refusal> {
        Ok(match scanner.string()?.unescaped() {
            Some(b"subscribe") => Self::Subscribe,
            Some(b"unsubscribe") => Self::Unsubscribe,
            Some(b"pong") => Self::Pong,
            _ => Self::Other,
        })
    }
}

/// An answer to a message of ours, its parts as raw values.
#[derive(Debug, Default)]
struct Answer<'a> {
    method: Method,
    success: Option<bool>,
    result: Option<&'a [u8]>,
    symbol: Option<&'a [u8]>,
    error: Option<&'a [u8]>,
}

/// One side of a book message: its levels, or their text as long as nobody knows whose they are.
#[derive(Clone, Copy)]
enum Side<'a> {
    Missing,
    Levels(Span),
    Text(&'a [u8]),
}

impl<'a> Side<'a> {
    fn read(
        whose: Option<(InstrumentId, Decimals)>,
        scanner: &mut Scanner<'a>,
        pool: &mut Vec<Level>,
    ) -> Result<Self, Refusal> {
        match whose {
            Some((_, decimals)) => levels(scanner, decimals, pool).map(Self::Levels),
            None => scanner.raw().map(Self::Text),
        }
    }

    fn span(self, decimals: Decimals, pool: &mut Vec<Level>) -> Result<Span, Refusal> {
        match self {
            Self::Missing => Ok(Span::since(pool.len(), pool)),
            Self::Levels(span) => Ok(span),
            Self::Text(text) => levels(&mut Scanner::new(text), decimals, pool),
        }
    }
}

/// Appends `[{"price":..,"qty":..},...]` in message order: the same price may come twice, and the last one counts.
fn levels(scanner: &mut Scanner<'_>, decimals: Decimals, pool: &mut Vec<Level>) -> Result<Span, Refusal> {
    let start = pool.len();
    scanner.array(|scanner| {
        let (mut price, mut quantity) = (None, None);
        scanner.object(|scanner, key| {
            match key {
                b"price" => price = Some(scanner.decimal(decimals.price)?),
                b"qty" => quantity = Some(scanner.decimal(decimals.quantity)?),
                _ => scanner.skip()?,
            }
            Ok(())
        })?;
        let (Some(price), Some(quantity)) = (price, quantity) else { return Err(Refusal::Malformed) };
        pool.push(Level { price: Price(price), quantity: Quantity(quantity) });
        Ok(())
    })?;
    Ok(Span::since(start, pool))
}

fn number(text: Option<&[u8]>, decimals: u8) -> Result<i64, Refusal> {
    crate::normalise::unsigned(text.ok_or(Refusal::Malformed)?, decimals)
}

fn timestamp(scanner: &mut Scanner<'_>) -> Result<Nanos, Refusal> {
    rfc3339(scanner.string()?.unescaped().ok_or(Refusal::Malformed)?)
}

fn taker_sold(scanner: &mut Scanner<'_>) -> Result<bool, Refusal> {
    match scanner.string()?.unescaped() {
        Some(b"sell") => Ok(true),
        Some(b"buy") => Ok(false),
        _ => Err(Refusal::Malformed),
    }
}

/// A run of one fill.
fn run_of(trade: &Trade) -> AggTrade {
    let Trade { id, price, quantity, time, buyer_is_maker } = *trade;
    AggTrade { id, price, quantity, first_id: id, last_id: id, time, buyer_is_maker }
}

/// A run with one more fill.
fn with(run: &AggTrade, trade: &Trade) -> Result<AggTrade, Refusal> {
    let quantity = run.quantity.0.checked_add(trade.quantity.0).ok_or(Refusal::Number)?;
    Ok(AggTrade { id: trade.id, last_id: trade.id, quantity: Quantity(quantity), ..*run })
}

fn is_same_run(run: &AggTrade, trade: &Trade) -> bool {
    (run.price, run.time, run.buyer_is_maker) == (trade.price, trade.time, trade.buyer_is_maker)
}

fn finish(run: Option<(InstrumentId, AggTrade)>, events: &mut Events) {
    if let Some((instrument, trade)) = run {
        events.list.push(Event { instrument, time: Some(trade.time), kind: EventKind::AggTrade(trade) });
    }
}
