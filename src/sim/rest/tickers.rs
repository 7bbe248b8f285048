//! Statistics and prices (binance.md section 10.2).

use std::fmt::Write as _;

use super::{
    both,
    parameters::{invalid, missing},
    symbol, symbols,
};
use crate::{
    market::Nanos,
    sim::{
        control::Query,
        door::Answer,
        floor::Floor,
        frame::{Unit, day_object, decimal, list, mini_object, wide, window_object},
        market::{BUCKET_MS, BUCKETS, MINUTE, Statistics},
        timeframe::{DAY_S, Timeframe, window_minutes, zone_offset},
    },
};

/// What a ticker object shows of a symbol.
enum Kind {
    Day,
    /// The last so many minutes.
    Window(i64),
    /// The day of a zone so many seconds east of UTC.
    TradingDay(i64),
    Price,
    Best,
}

/// `/api/v3/ticker` and what lies below it: `kind` is the rest of the path.
pub(super) fn tickers(floor: &mut Floor, kind: &str, query: &Query, unit: Unit, now: Nanos) -> Result<String, Answer> {
    let kind = match kind {
        "/24hr" => Kind::Day,
        "" => Kind::Window(match query.get("windowSize") {
            Some(size) => window_minutes(size).ok_or_else(|| invalid("windowSize"))?,
            None => 1_440,
        }),
        "/tradingDay" => {
            let zone = query.get("timeZone").unwrap_or("0");
            Kind::TradingDay(zone_offset(zone).ok_or_else(|| invalid("timeZone"))?)
        }
        "/price" => Kind::Price,
        "/bookTicker" => Kind::Best,
        _ => return Err(super::nothing_here()),
    };
    let is_mini = match query.get("type") {
        None | Some("FULL") => false,
        Some("MINI") => true,
        Some(_) => return Err(Answer::error(400, -1139, "Invalid ticker type.")),
    };
    let named = symbols(floor, query)?;
    if named.is_none() && matches!(kind, Kind::Window(_) | Kind::TradingDay(_)) {
        return Err(missing("symbol"));
    }
    let is_listed = is_trading(query)?;
    let is_one = query.get("symbol").is_some();
    if is_one && !is_listed {
        let text = "The symbol's status does not match the requested symbolStatus.";
        return Err(Answer::error(400, -1220, text));
    }
    let mut indexes = named.unwrap_or_else(|| (0..floor.market.symbols().len() as u32).collect());
    indexes.retain(|_| is_listed);
    let mut objects = Vec::with_capacity(indexes.len());
    for index in indexes {
        objects.push(object(floor, &kind, index, is_mini, unit, now));
    }
    Ok(match objects.pop() {
        Some(only) if is_one => only,
        last => list(objects.into_iter().chain(last), |out, object| out.push_str(&object)),
    })
}

/// `/api/v3/avgPrice`, `/api/v3/referencePrice` and `/api/v3/executionRules`.
pub(super) fn prices(floor: &mut Floor, name: &str, query: &Query, unit: Unit, now: Nanos) -> Result<String, Answer> {
    if name == "executionRules" {
        if query.get("symbol").is_some() && query.get("symbols").is_some() {
            return Err(both());
        }
        let all = || (0..floor.market.symbols().len() as u32).collect();
        let rules = list(symbols(floor, query)?.unwrap_or_else(all).into_iter(), |out, index| {
            let symbol = floor.market.symbols()[index as usize].name;
            let _ = write!(
                out,
                r#"{{"symbol":"{symbol}","rules":[{{"ruleType":"PRICE_RANGE","bidLimitMultUp":"5","bidLimitMultDown":"0.2","askLimitMultUp":"5","askLimitMultDown":"0.2"}}]}}"#
            );
        });
        return Ok(format!(r#"{{"symbolRules":{rules}}}"#));
    }
    let index = symbol(floor, query)?;
    let listed = floor.market.symbols()[index as usize];
    let ledger = floor.market.ledger(index, now);
    let mut out = String::new();
    match name {
        "avgPrice" => {
            wide(&mut out, "{\"mins\":5,\"price\":", ledger.average());
            let time = ledger.last().map_or(now, |trade| trade.time);
            let _ = write!(out, r#","closeTime":{}}}"#, unit.of(time));
        }
        _ if !listed.has_reference_price() => {
            return Err(Answer::error(400, -2043, "This symbol doesn't have a reference price."));
        }
        "referencePrice" => {
            let _ = write!(out, r#"{{"symbol":"{}""#, listed.name);
            crate::sim::frame::price_or_null(&mut out, ",\"referencePrice\":", ledger.reference(now));
            let _ = write!(out, r#","timestamp":{}}}"#, unit.of(now));
        }
        _ => {
            let symbol = listed.name;
            let _ = write!(
                out,
                r#"{{"symbol":"{symbol}","calculationType":"ARITHMETIC_MEAN","bucketCount":{BUCKETS},"bucketWidthMs":{BUCKET_MS}}}"#
            );
        }
    }
    Ok(out)
}

fn object(floor: &mut Floor, kind: &Kind, index: u32, is_mini: bool, unit: Unit, now: Nanos) -> String {
    let symbol = floor.market.symbols()[index as usize].name;
    let best = floor.market.best(index);
    let ledger = floor.market.ledger(index, now);
    let mut out = String::with_capacity(512);
    let statistics = match kind {
        Kind::Day => Statistics::of_day(ledger, &best, now),
        Kind::Window(minutes) => Statistics::of_window(ledger, &best, *minutes, now),
        Kind::TradingDay(offset) => {
            let open = Timeframe::day(*offset).open(ledger.second());
            let statistics = Statistics::since(ledger, &best, open.div_euclid(60), now);
            // The last unit of the day.
            let unit_nanos = if unit == Unit::Millisecond { 1_000_000 } else { 1_000 };
            Statistics { close_time: Nanos((open + DAY_S) * (MINUTE / 60) - unit_nanos), ..statistics }
        }
        Kind::Price => {
            let _ = write!(out, r#"{{"symbol":"{symbol}""#);
            decimal(&mut out, ",\"price\":", ledger.last_price());
            out.push('}');
            return out;
        }
        Kind::Best => {
            let _ = write!(out, r#"{{"symbol":"{symbol}""#);
            decimal(&mut out, ",\"bidPrice\":", best.bid.price.0);
            decimal(&mut out, ",\"bidQty\":", best.bid.quantity.0);
            decimal(&mut out, ",\"askPrice\":", best.ask.price.0);
            decimal(&mut out, ",\"askQty\":", best.ask.quantity.0);
            out.push('}');
            return out;
        }
    };
    match kind {
        _ if is_mini => mini_object(&mut out, symbol, &statistics, unit),
        Kind::Day => day_object(&mut out, symbol, &statistics, unit),
        _ => window_object(&mut out, symbol, &statistics, unit),
    }
    out
}

/// Whether symbols that trade, as all here do, have the status that is asked for.
fn is_trading(query: &Query) -> Result<bool, Answer> {
    match query.get("symbolStatus") {
        None | Some("TRADING") => Ok(true),
        Some("HALT" | "BREAK") => Ok(false),
        Some(_) => Err(Answer::error(400, -1122, "Invalid symbolStatus.")),
    }
}
