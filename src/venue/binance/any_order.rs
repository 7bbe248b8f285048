//! Every documented message with its keys in any order, from simd-json's tape: the rare kinds, and the frequent ones
//! should their order or their fields change.

use simd_json::{
    prelude::*,
    tape::{Object, Value},
};

use crate::{
    market::{
        AggTrade, AveragePrice, Best, BookDiff, BookSnapshot, Decimals, Event, EventKind, Events, InstrumentId, Kline, Level,
        MiniTicker, Nanos, Price, Quantity, ReferencePrice, Series, Span, Ticker, Trade, UpdateIds, Volume,
    },
    normalise::{Refusal, Symbols, nearest, signed, unsigned, wide},
};

/// Digits after the point of `P`, whatever the symbol.
const PERCENT_DECIMALS: u8 = 3;

/// Reads a frame, wrapped or raw. Of a list, as the `@arr` streams have it, what is of other instruments is passed.
pub(super) fn frame(symbols: &Symbols, root: Value<'_, '_>, events: &mut Events) -> Result<(), Refusal> {
    let said = match root.as_object() {
        Some(object) => match (object.get("stream"), object.get("data")) {
            (Some(_), Some(data)) => data,
            _ => return payload(symbols, &object, events),
        },
        None => root,
    };
    if let Some(object) = said.as_object() {
        return payload(symbols, &object, events);
    }
    for element in said.as_array().ok_or(Refusal::UnknownMessage)?.iter() {
        match payload(symbols, &element.as_object().ok_or(Refusal::UnknownMessage)?, events) {
            Ok(()) | Err(Refusal::UnknownInstrument) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(())
}

/// Reads the body of `/api/v3/depth`.
pub(super) fn snapshot(
    instrument: InstrumentId,
    decimals: Decimals,
    limit: u32,
    root: Value<'_, '_>,
    events: &mut Events,
) -> Result<(), Refusal> {
    let object = root.as_object().ok_or(Refusal::Malformed)?;
    if is_error(&object) {
        return Err(Refusal::VenueError);
    }
    let fields = Fields { object: &object, decimals };
    let book = BookSnapshot {
        last_id: Some(fields.integer("lastUpdateId")?),
        bids: fields.levels("bids", &mut events.levels)?,
        asks: fields.levels("asks", &mut events.levels)?,
        checksum: None,
        limit: Some(limit),
    };
    events.list.push(Event { instrument, time: None, kind: EventKind::BookSnapshot(book) });
    Ok(())
}

/// Reads the body of `/api/v3/historicalTrades` or `/api/v3/trades`.
pub(super) fn trades(
    instrument: InstrumentId,
    decimals: Decimals,
    root: Value<'_, '_>,
    events: &mut Events,
) -> Result<(), Refusal> {
    if root.as_object().is_some_and(|object| is_error(&object)) {
        return Err(Refusal::VenueError);
    }
    for element in root.as_array().ok_or(Refusal::Malformed)?.iter() {
        let fields = Fields { object: &element.as_object().ok_or(Refusal::Malformed)?, decimals };
        let trade = Trade {
            id: fields.integer("id")?,
            price: fields.price("price")?,
            quantity: fields.quantity("qty")?,
            time: fields.time("time")?,
            buyer_is_maker: fields.boolean("isBuyerMaker")?,
        };
        events.list.push(Event { instrument, time: None, kind: EventKind::Trade(trade) });
    }
    Ok(())
}

/// Reads the body of `/api/v3/aggTrades`.
pub(super) fn agg_trades(
    instrument: InstrumentId,
    decimals: Decimals,
    root: Value<'_, '_>,
    events: &mut Events,
) -> Result<(), Refusal> {
    if root.as_object().is_some_and(|object| is_error(&object)) {
        return Err(Refusal::VenueError);
    }
    for element in root.as_array().ok_or(Refusal::Malformed)?.iter() {
        let fields = Fields { object: &element.as_object().ok_or(Refusal::Malformed)?, decimals };
        events.list.push(Event { instrument, time: None, kind: EventKind::AggTrade(fields.agg_trade()?) });
    }
    Ok(())
}

fn payload(symbols: &Symbols, object: &Object<'_, '_>, events: &mut Events) -> Result<(), Refusal> {
    let Some(kind) = object.get("e") else { return nameless(symbols, object, events) };
    let kind = kind.as_str().ok_or(Refusal::Malformed)?;
    let read = match kind {
        "depthUpdate" => depth_update,
        "trade" => trade,
        "aggTrade" => agg_trade,
        "kline" => kline,
        "24hrTicker" => ticker,
        "24hrMiniTicker" => mini_ticker,
        "avgPrice" => average_price,
        "referencePrice" => reference_price,
        "blockTrade" => block_trade,
        // Spot has no such name on it, its derivatives have.
        "bookTicker" => best,
        // Documented, and nothing to us: the farewell is noticed by whoever owns the connection.
        "serverShutdown" | "1hTicker" | "4hTicker" | "1dTicker" => return Ok(()),
        _ => return Err(Refusal::UnknownMessage),
    };
    let (instrument, decimals) = symbols.find(text(object, "s")?.as_bytes())?;
    let fields = Fields { object, decimals };
    // These have none (binance.md sections 4.8 and 4.12).
    let time = if matches!(kind, "referencePrice" | "bookTicker") { None } else { Some(fields.time("E")?) };
    if let Some(kind) = read(&fields, events)? {
        events.list.push(Event { instrument, time, kind });
    }
    Ok(())
}

/// What has no `e`: book tickers, acknowledgements, errors, partial books.
fn nameless(symbols: &Symbols, object: &Object<'_, '_>, events: &mut Events) -> Result<(), Refusal> {
    let has = |key| object.get(key).is_some();
    if is_error(object) {
        return Err(Refusal::VenueError);
    }
    if has("u") && has("s") {
        let (instrument, decimals) = symbols.find(text(object, "s")?.as_bytes())?;
        let best = Fields { object, decimals }.best()?;
        events.list.push(Event { instrument, time: None, kind: EventKind::Best(best) });
        return Ok(());
    }
    let is_answer = has("result") && has("id");
    if is_answer || has("lastUpdateId") { Ok(()) } else { Err(Refusal::UnknownMessage) }
}

/// `{"error":{..},"id":1}` on the wire, `{"code":-1121,"msg":".."}` in REST and in the documentation.
pub(super) fn is_error(object: &Object<'_, '_>) -> bool {
    object.get("error").is_some_and(|error| !error.is_null())
        || (object.get("code").is_some() && object.get("msg").is_some())
}

/// What a payload says; `None` for a documented one that says nothing to us.
type Said = Result<Option<EventKind>, Refusal>;

fn depth_update(fields: &Fields<'_, '_, '_>, events: &mut Events) -> Said {
    let ids = UpdateIds { first: fields.integer("U")?, last: fields.integer("u")? };
    let bids = fields.levels("b", &mut events.levels)?;
    let asks = fields.levels("a", &mut events.levels)?;
    Ok(Some(EventKind::BookDiff(BookDiff { ids: Some(ids), bids, asks, checksum: None })))
}

fn trade(fields: &Fields<'_, '_, '_>, _events: &mut Events) -> Said {
    Ok(Some(EventKind::Trade(fields.trade()?)))
}

fn block_trade(fields: &Fields<'_, '_, '_>, _events: &mut Events) -> Said {
    Ok(Some(EventKind::BlockTrade(fields.trade()?)))
}

fn agg_trade(fields: &Fields<'_, '_, '_>, _events: &mut Events) -> Said {
    Ok(Some(EventKind::AggTrade(fields.agg_trade()?)))
}

fn best(fields: &Fields<'_, '_, '_>, _events: &mut Events) -> Said {
    Ok(Some(EventKind::Best(fields.best()?)))
}

fn average_price(fields: &Fields<'_, '_, '_>, _events: &mut Events) -> Said {
    let minutes = fields.text("i")?.strip_suffix('m').and_then(|minutes| minutes.parse().ok());
    Ok(Some(EventKind::AveragePrice(AveragePrice {
        minutes: minutes.ok_or(Refusal::Malformed)?,
        price: fields.mean("w")?,
        last_trade: fields.time("T")?,
    })))
}

fn reference_price(fields: &Fields<'_, '_, '_>, _events: &mut Events) -> Said {
    let is_null = fields.object.get("r").is_some_and(|price| price.is_null());
    let price = if is_null { None } else { Some(fields.price("r")?) };
    Ok(Some(EventKind::ReferencePrice(ReferencePrice { price, time: fields.time("t")? })))
}

fn kline(fields: &Fields<'_, '_, '_>, _events: &mut Events) -> Said {
    let object = fields.object.get("k").and_then(|candle| candle.as_object()).ok_or(Refusal::Malformed)?;
    let candle = Fields { object: &object, decimals: fields.decimals };
    // Every longer interval is made of minutes by us; others are not asked for.
    let series = match candle.text("i")? {
        "1m" => Series::MINUTE,
        "1s" => Series::SECOND,
        _ => return Ok(None),
    };
    Ok(Some(EventKind::Kline(Kline {
        series,
        open_time: candle.time("t")?,
        first_id: candle.integer("f")?,
        last_id: candle.integer("L")?,
        open: candle.price("o")?,
        close: candle.price("c")?,
        high: candle.price("h")?,
        low: candle.price("l")?,
        volume: candle.base_volume("v")?,
        quote_volume: candle.quote_volume("q")?,
        taker_volume: candle.base_volume("V")?,
        taker_quote_volume: candle.quote_volume("Q")?,
        trades: candle.integer("n")?,
        closed: candle.boolean("x")?,
    })))
}

fn mini_ticker(fields: &Fields<'_, '_, '_>, _events: &mut Events) -> Said {
    Ok(Some(EventKind::MiniTicker(fields.mini()?)))
}

fn ticker(fields: &Fields<'_, '_, '_>, _events: &mut Events) -> Said {
    Ok(Some(EventKind::Ticker(Ticker {
        mini: fields.mini()?,
        change: Price(signed(fields.text("p")?.as_bytes(), fields.decimals.price)?),
        change_percent: nearest(fields.text("P")?.as_bytes(), PERCENT_DECIMALS)?,
        weighted_average: fields.mean("w")?,
        previous_close: fields.price("x")?,
        last_quantity: fields.quantity("Q")?,
        bid: Level { price: fields.price("b")?, quantity: fields.quantity("B")? },
        ask: Level { price: fields.price("a")?, quantity: fields.quantity("A")? },
        open_time: fields.time("O")?,
        close_time: fields.time("C")?,
        first_id: fields.integer("F")?,
        last_id: fields.integer("L")?,
        trades: fields.integer("n")?,
    })))
}

/// An object whose numbers have these decimals.
struct Fields<'o, 'tape, 'input> {
    object: &'o Object<'tape, 'input>,
    decimals: Decimals,
}

impl<'input> Fields<'_, '_, 'input> {
    fn text(&self, key: &str) -> Result<&'input str, Refusal> {
        text(self.object, key)
    }

    fn integer(&self, key: &str) -> Result<i64, Refusal> {
        self.object.get(key).and_then(|value| value.as_i64()).ok_or(Refusal::Malformed)
    }

    fn boolean(&self, key: &str) -> Result<bool, Refusal> {
        self.object.get(key).and_then(|value| value.as_bool()).ok_or(Refusal::Malformed)
    }

    fn time(&self, key: &str) -> Result<Nanos, Refusal> {
        self.integer(key).map(Nanos::from_epoch_integer)
    }

    fn price(&self, key: &str) -> Result<Price, Refusal> {
        unsigned(self.text(key)?.as_bytes(), self.decimals.price).map(Price)
    }

    /// What is worked out may come with more digits than prices have.
    fn mean(&self, key: &str) -> Result<Price, Refusal> {
        match nearest(self.text(key)?.as_bytes(), self.decimals.price)? {
            mean if mean >= 0 => Ok(Price(mean)),
            _ => Err(Refusal::Number),
        }
    }

    fn quantity(&self, key: &str) -> Result<Quantity, Refusal> {
        unsigned(self.text(key)?.as_bytes(), self.decimals.quantity).map(Quantity)
    }

    fn base_volume(&self, key: &str) -> Result<Volume, Refusal> {
        volume(self.text(key)?, self.decimals.quantity)
    }

    fn quote_volume(&self, key: &str) -> Result<Volume, Refusal> {
        volume(self.text(key)?, self.decimals.quote)
    }

    fn trade(&self) -> Result<Trade, Refusal> {
        Ok(Trade {
            id: self.integer("t")?,
            price: self.price("p")?,
            quantity: self.quantity("q")?,
            time: self.time("T")?,
            buyer_is_maker: self.boolean("m")?,
        })
    }

    fn agg_trade(&self) -> Result<AggTrade, Refusal> {
        Ok(AggTrade {
            id: self.integer("a")?,
            price: self.price("p")?,
            quantity: self.quantity("q")?,
            first_id: self.integer("f")?,
            last_id: self.integer("l")?,
            time: self.time("T")?,
            buyer_is_maker: self.boolean("m")?,
        })
    }

    fn best(&self) -> Result<Best, Refusal> {
        Ok(Best {
            update_id: self.integer("u")?,
            bid: Level { price: self.price("b")?, quantity: self.quantity("B")? },
            ask: Level { price: self.price("a")?, quantity: self.quantity("A")? },
        })
    }

    fn mini(&self) -> Result<MiniTicker, Refusal> {
        Ok(MiniTicker {
            close: self.price("c")?,
            open: self.price("o")?,
            high: self.price("h")?,
            low: self.price("l")?,
            volume: self.base_volume("v")?,
            quote_volume: self.quote_volume("q")?,
        })
    }

    /// Levels may have had a third element once; it never meant anything.
    fn levels(&self, key: &str, pool: &mut Vec<Level>) -> Result<Span, Refusal> {
        let start = pool.len();
        let levels = self.object.get(key).and_then(|levels| levels.as_array()).ok_or(Refusal::Malformed)?;
        for level in levels.iter() {
            let level = level.as_array().ok_or(Refusal::Malformed)?;
            let text = |index| level.get(index).and_then(|value| value.into_string()).ok_or(Refusal::Malformed);
            pool.push(Level {
                price: Price(unsigned(text(0)?.as_bytes(), self.decimals.price)?),
                quantity: Quantity(unsigned(text(1)?.as_bytes(), self.decimals.quantity)?),
            });
        }
        Ok(Span::since(start, pool))
    }
}

fn text<'input>(object: &Object<'_, 'input>, key: &str) -> Result<&'input str, Refusal> {
    object.get(key).and_then(|value| value.into_string()).ok_or(Refusal::Malformed)
}

pub(super) fn volume(text: &str, decimals: u8) -> Result<Volume, Refusal> {
    match wide(text.as_bytes(), decimals)? {
        volume if volume >= 0 => Ok(Volume(volume)),
        _ => Err(Refusal::Number),
    }
}
