//! Candles and trades (binance.md sections 10.1 and 10.2).

use super::{
    parameters::{invalid, limit, missing, number},
    symbol,
};
use crate::{
    market::Nanos,
    sim::{
        control::Query,
        door::Answer,
        floor::Floor,
        frame::{Unit, aggregate_list, block_list, kline_list, trade_list},
        timeframe::{Timeframe, zone_offset},
    },
};

/// 2017-01-01: earlier times mean this one.
const EARLIEST: Nanos = Nanos::from_millis(1_483_228_800_000);
/// So far beyond now a time may be; a later one means this.
const AHEAD_MAX: i64 = 10_000_000_000;
/// From here on a time is in microseconds: milliseconds reach this in the year 5138.
const MICROS_MIN: i64 = 100_000_000_000_000;
const SECOND: i64 = 1_000_000_000;

/// `/api/v3/klines`; `/api/v3/uiKlines` shows the same here.
pub(super) fn klines(floor: &mut Floor, query: &Query, unit: Unit, now: Nanos) -> Result<String, Answer> {
    let symbol = symbol(floor, query)?;
    let interval = query.get("interval").filter(|text| !text.is_empty()).ok_or_else(|| missing("interval"))?;
    let offset = zone_offset(query.get("timeZone").unwrap_or("0")).ok_or_else(|| invalid("timeZone"))?;
    let timeframe = Timeframe::parse(interval, offset).ok_or_else(|| Answer::error(400, -1120, "Invalid interval."))?;
    let limit = limit(query, 500, 1_000)?;
    let (begin, end) = (begin(query, now)?, end(query, now)?);
    let ledger = floor.market.ledger(symbol, now);
    let first_known = timeframe.open(ledger.candles_from(timeframe));
    // By opening time: not before the begin, not after the end.
    let last = timeframe.open(end.map_or(ledger.second(), |end| end.0.div_euclid(SECOND)).min(ledger.second()));
    let first = match begin {
        Some(begin) => {
            let second = begin.0.div_euclid(SECOND) + i64::from(begin.0.rem_euclid(SECOND) > 0);
            let open = timeframe.open(second);
            (if open < second { timeframe.next(open) } else { open }).max(first_known)
        }
        None => (1..limit)
            .try_fold(last, |open, _| Some(timeframe.open(open - 1)).filter(|it| *it >= first_known).ok_or(open))
            .unwrap_or_else(|open| open),
    };
    let mut rows = ledger.candles(timeframe, first, limit);
    rows.retain(|candle| candle.open <= last);
    Ok(kline_list(&rows, unit))
}

/// `/api/v3/trades` and its kind.
pub(super) fn trades(floor: &mut Floor, name: &str, query: &Query, unit: Unit, now: Nanos) -> Result<String, Answer> {
    let symbol = symbol(floor, query)?;
    let limit = limit(query, 500, 1_000)?;
    let from = if name == "trades" { None } else { number(query, "fromId")? };
    let (begin, end) = (begin(query, now)?, end(query, now)?);
    let ledger = floor.market.ledger(symbol, now);
    Ok(match name {
        "aggTrades" => {
            let until = end.unwrap_or(Nanos(i64::MAX));
            let mut found = match (from, begin) {
                (Some(id), _) => ledger.aggregates_from(id, limit),
                (None, Some(begin)) => ledger.aggregates_from(ledger.aggregate_after(Nanos(begin.0 - 1)), limit),
                (None, None) => ledger.newest_aggregates(until.min(now), limit),
            };
            if from.is_none() {
                found.retain(|aggregate| aggregate.time <= until);
            }
            aggregate_list(found.iter(), unit)
        }
        "historicalBlockTrades" => block_list(ledger.blocks_from(from.ok_or_else(|| missing("fromId"))?, limit), unit),
        _ => {
            let found = match from {
                Some(id) => ledger.trades_from(id, limit),
                None => ledger.newest_trades(limit),
            };
            trade_list(found.iter(), unit)
        }
    })
}

/// Where a query begins: at the first instant of what it names.
fn begin(query: &Query, now: Nanos) -> Result<Option<Nanos>, Answer> {
    Ok(time(query, "startTime", now)?.map(|(first, _)| first))
}

/// Where it ends: with the last instant, as both times are inclusive in the unit in which they were given.
fn end(query: &Query, now: Nanos) -> Result<Option<Nanos>, Answer> {
    Ok(time(query, "endTime", now)?.map(|(_, last)| last))
}

/// The first and the last instant of a millisecond or microsecond, within what makes sense.
fn time(query: &Query, key: &str, now: Nanos) -> Result<Option<(Nanos, Nanos)>, Answer> {
    let latest = Nanos(now.0.saturating_add(AHEAD_MAX));
    let read = |value: i64| match value {
        ..MICROS_MIN => (Nanos::from_millis(value), 999_999),
        _ => (Nanos::from_micros(value), 999),
    };
    Ok(number(query, key)?.map(|value| {
        let (first, rest) = read(value);
        let first = first.clamp(EARLIEST, latest);
        (first, Nanos(first.0 + rest))
    }))
}
