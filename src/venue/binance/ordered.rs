//! The frequent frames in the documented key order, in one pass over their bytes.
//!
//! `None` means "not exactly that shape" and never "wrong": the reader of any order then decides. Measured in
//! `benches/parse.rs`, recorded in `docs/decisions/002-frame-parser.md`.

use crate::{
    market::{
        AggTrade, Best, BookDiff, BookSnapshot, Decimals, Event, EventKind, Events, InstrumentId, Level, Nanos, Price,
        Quantity, Span, Trade, UpdateIds,
    },
    normalise::{Scanner, Symbols},
};

/// Reads a wrapped or raw `depthUpdate`, `trade`, `aggTrade` or book ticker.
pub(super) fn frame(symbols: &Symbols, frame: &[u8], events: &mut Events) -> Option<()> {
    let mut scanner = Scanner::new(frame);
    let wrapped = scanner.literal(b"{\"stream\":");
    if wrapped {
        scanner.string().ok()?;
        literal(&mut scanner, b",\"data\":")?;
    }
    if scanner.literal(b"{\"u\":") {
        best(symbols, &mut scanner, events)?;
    } else if scanner.literal(b"{\"e\":\"depthUpdate\",\"E\":") {
        depth_update(symbols, &mut scanner, events)?;
    } else if scanner.literal(b"{\"e\":\"trade\",\"E\":") {
        trade(symbols, &mut scanner, events)?;
    } else if scanner.literal(b"{\"e\":\"aggTrade\",\"E\":") {
        agg_trade(symbols, &mut scanner, events)?;
    } else {
        return None;
    }
    if wrapped {
        literal(&mut scanner, b"}")?;
    }
    scanner.end().ok()
}

/// Reads the body of `/api/v3/depth`.
pub(super) fn snapshot(
    instrument: InstrumentId,
    decimals: Decimals,
    limit: u32,
    body: &[u8],
    events: &mut Events,
) -> Option<()> {
    let mut scanner = Scanner::new(body);
    literal(&mut scanner, b"{\"lastUpdateId\":")?;
    let last_id = scanner.integer().ok()?;
    literal(&mut scanner, b",\"bids\":")?;
    let bids = levels(&mut scanner, decimals, &mut events.levels)?;
    literal(&mut scanner, b",\"asks\":")?;
    let asks = levels(&mut scanner, decimals, &mut events.levels)?;
    literal(&mut scanner, b"}")?;
    scanner.end().ok()?;
    let book = BookSnapshot { last_id: Some(last_id), bids, asks, checksum: None, limit: Some(limit) };
    events.list.push(Event { instrument, time: None, kind: EventKind::BookSnapshot(book) });
    Some(())
}

/// Behind `"E":`.
fn depth_update(symbols: &Symbols, scanner: &mut Scanner<'_>, events: &mut Events) -> Option<()> {
    let time = time(scanner)?;
    literal(scanner, b",\"s\":")?;
    let (instrument, decimals) = symbol(symbols, scanner)?;
    literal(scanner, b",\"U\":")?;
    let first = scanner.integer().ok()?;
    literal(scanner, b",\"u\":")?;
    let last = scanner.integer().ok()?;
    literal(scanner, b",\"b\":")?;
    let bids = levels(scanner, decimals, &mut events.levels)?;
    literal(scanner, b",\"a\":")?;
    let asks = levels(scanner, decimals, &mut events.levels)?;
    literal(scanner, b"}")?;
    let diff = BookDiff { ids: Some(UpdateIds { first, last }), bids, asks, checksum: None };
    events.list.push(Event { instrument, time: Some(time), kind: EventKind::BookDiff(diff) });
    Some(())
}

/// Behind `"u":`.
fn best(symbols: &Symbols, scanner: &mut Scanner<'_>, events: &mut Events) -> Option<()> {
    let update_id = scanner.integer().ok()?;
    literal(scanner, b",\"s\":")?;
    let (instrument, decimals) = symbol(symbols, scanner)?;
    literal(scanner, b",\"b\":")?;
    let bid_price = price(scanner, decimals)?;
    literal(scanner, b",\"B\":")?;
    let bid_quantity = quantity(scanner, decimals)?;
    literal(scanner, b",\"a\":")?;
    let ask_price = price(scanner, decimals)?;
    literal(scanner, b",\"A\":")?;
    let ask_quantity = quantity(scanner, decimals)?;
    literal(scanner, b"}")?;
    let bid = Level { price: bid_price, quantity: bid_quantity };
    let ask = Level { price: ask_price, quantity: ask_quantity };
    events.list.push(Event { instrument, time: None, kind: EventKind::Best(Best { update_id, bid, ask }) });
    Some(())
}

/// Behind `"E":`.
fn trade(symbols: &Symbols, scanner: &mut Scanner<'_>, events: &mut Events) -> Option<()> {
    let event_time = time(scanner)?;
    literal(scanner, b",\"s\":")?;
    let (instrument, decimals) = symbol(symbols, scanner)?;
    literal(scanner, b",\"t\":")?;
    let id = scanner.integer().ok()?;
    literal(scanner, b",\"p\":")?;
    let price = price(scanner, decimals)?;
    literal(scanner, b",\"q\":")?;
    let quantity = quantity(scanner, decimals)?;
    literal(scanner, b",\"T\":")?;
    let time = time(scanner)?;
    let buyer_is_maker = maker(scanner)?;
    let trade = Trade { id, price, quantity, time, buyer_is_maker };
    events.list.push(Event { instrument, time: Some(event_time), kind: EventKind::Trade(trade) });
    Some(())
}

/// Behind `"E":`.
fn agg_trade(symbols: &Symbols, scanner: &mut Scanner<'_>, events: &mut Events) -> Option<()> {
    let event_time = time(scanner)?;
    literal(scanner, b",\"s\":")?;
    let (instrument, decimals) = symbol(symbols, scanner)?;
    literal(scanner, b",\"a\":")?;
    let id = scanner.integer().ok()?;
    literal(scanner, b",\"p\":")?;
    let price = price(scanner, decimals)?;
    literal(scanner, b",\"q\":")?;
    let quantity = quantity(scanner, decimals)?;
    literal(scanner, b",\"f\":")?;
    let first_id = scanner.integer().ok()?;
    literal(scanner, b",\"l\":")?;
    let last_id = scanner.integer().ok()?;
    literal(scanner, b",\"T\":")?;
    let time = time(scanner)?;
    let buyer_is_maker = maker(scanner)?;
    let trade = AggTrade { id, price, quantity, first_id, last_id, time, buyer_is_maker };
    events.list.push(Event { instrument, time: Some(event_time), kind: EventKind::AggTrade(trade) });
    Some(())
}

/// The end of both kinds of trades. `M` has no meaning.
fn maker(scanner: &mut Scanner<'_>) -> Option<bool> {
    literal(scanner, b",\"m\":")?;
    let buyer_is_maker = scanner.boolean().ok()?;
    literal(scanner, b",\"M\":")?;
    scanner.boolean().ok()?;
    literal(scanner, b"}")?;
    Some(buyer_is_maker)
}

/// Appends `[["price","quantity"],...]`.
fn levels(scanner: &mut Scanner<'_>, decimals: Decimals, pool: &mut Vec<Level>) -> Option<Span> {
    let start = pool.len();
    if scanner.literal(b"[]") {
        return Some(Span::since(start, pool));
    }
    literal(scanner, b"[")?;
    loop {
        literal(scanner, b"[")?;
        let price = price(scanner, decimals)?;
        literal(scanner, b",")?;
        let quantity = quantity(scanner, decimals)?;
        literal(scanner, b"]")?;
        pool.push(Level { price, quantity });
        if !scanner.literal(b",") {
            literal(scanner, b"]")?;
            return Some(Span::since(start, pool));
        }
    }
}

#[inline]
fn literal<const LENGTH: usize>(scanner: &mut Scanner<'_>, text: &[u8; LENGTH]) -> Option<()> {
    scanner.literal(text).then_some(())
}

#[inline]
fn symbol(symbols: &Symbols, scanner: &mut Scanner<'_>) -> Option<(InstrumentId, Decimals)> {
    symbols.find(scanner.string().ok()?.unescaped()?).ok()
}

#[inline]
fn time(scanner: &mut Scanner<'_>) -> Option<Nanos> {
    Some(Nanos::from_epoch_integer(scanner.integer().ok()?))
}

#[inline]
fn price(scanner: &mut Scanner<'_>, decimals: Decimals) -> Option<Price> {
    scanner.quoted_decimal(decimals.price).ok().map(Price)
}

#[inline]
fn quantity(scanner: &mut Scanner<'_>, decimals: Decimals) -> Option<Quantity> {
    scanner.quoted_decimal(decimals.quantity).ok().map(Quantity)
}
