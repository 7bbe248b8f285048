//! The JSON of Binance's streams, key by key as on the wire (binance.md sections 3 and 4).

mod rows;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

pub(super) use rows::{
    aggregate_list, block_list, day_object, kline_list, list, mini_object, trade_list, window_object,
};

use super::{
    decimal::push,
    market::{Candle, Print, Statistic, Statistics, What},
};
use crate::market::{AggTrade, Level, Nanos, Trade};

/// The unit of every time on one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Unit {
    #[default]
    Millisecond,
    Microsecond,
}

impl Unit {
    /// The unit with this spelling; there are exactly four.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "MILLISECOND" | "millisecond" => Some(Self::Millisecond),
            "MICROSECOND" | "microsecond" => Some(Self::Microsecond),
            _ => None,
        }
    }

    /// `time` in this unit.
    pub(super) fn of(self, time: Nanos) -> i64 {
        match self {
            Self::Millisecond => time.millis(),
            Self::Microsecond => time.micros(),
        }
    }

    /// A whole second in this unit.
    pub(super) const fn of_second(self, second: i64) -> i64 {
        match self {
            Self::Millisecond => second * 1_000,
            Self::Microsecond => second * 1_000_000,
        }
    }
}

/// The raw payload of an event. `symbol` names the symbol of an index.
pub(super) fn payload<'a>(print: &Print, symbol: impl Fn(u32) -> &'a str, unit: Unit) -> String {
    let mut out = String::with_capacity(256);
    if let What::Array(array, elements) = &print.what {
        for element in elements {
            out.push(if out.is_empty() { '[' } else { ',' });
            let (name, statistics) = (symbol(element.symbol), &element.statistics);
            statistics_event(&mut out, array.statistic(), (element.time, name), statistics, unit);
        }
        out.push(']');
        return out;
    }
    let (time, symbol) = (print.time, symbol(print.symbol));
    match &print.what {
        What::Trade(trade) => {
            event(&mut out, "trade", time, symbol, unit);
            trade_fields(&mut out, trade, unit);
            out.push_str(",\"M\":true}");
        }
        What::BlockTrade(trade) => {
            event(&mut out, "blockTrade", time, symbol, unit);
            trade_fields(&mut out, trade, unit);
            out.push('}');
        }
        What::AggTrade(aggregate) => {
            event(&mut out, "aggTrade", time, symbol, unit);
            out.push(',');
            aggregate_fields(&mut out, aggregate, unit);
            out.push('}');
        }
        What::Best(best) => {
            let _ = write!(out, r#"{{"u":{},"s":"{symbol}""#, best.update_id);
            decimal(&mut out, ",\"b\":", best.bid.price.0);
            decimal(&mut out, ",\"B\":", best.bid.quantity.0);
            decimal(&mut out, ",\"a\":", best.ask.price.0);
            decimal(&mut out, ",\"A\":", best.ask.quantity.0);
            out.push('}');
        }
        What::Diff { ids, bids, asks, .. } => {
            event(&mut out, "depthUpdate", time, symbol, unit);
            let _ = write!(out, r#","U":{},"u":{},"b":"#, ids.first, ids.last);
            levels(&mut out, bids);
            out.push_str(",\"a\":");
            levels(&mut out, asks);
            out.push('}');
        }
        What::Kline(candle) => {
            event(&mut out, "kline", time, symbol, unit);
            kline(&mut out, candle, symbol, unit);
        }
        What::Statistics(statistic, statistics) => {
            statistics_event(&mut out, *statistic, (time, symbol), statistics, unit);
        }
        What::Average { price, time: last } => {
            event(&mut out, "avgPrice", time, symbol, unit);
            wide(&mut out, ",\"i\":\"5m\",\"w\":", *price);
            let _ = write!(out, r#","T":{}}}"#, unit.of(*last));
        }
        What::Reference(price) => {
            let _ = write!(out, r#"{{"e":"referencePrice","s":"{symbol}""#);
            price_or_null(&mut out, ",\"r\":", *price);
            let _ = write!(out, r#","t":{}}}"#, unit.of(time));
        }
        What::Array(..) => {}
    }
    out
}

/// A payload inside the combined wrapper under the name that the client uses.
pub(super) fn combined(name: &str, payload: &str) -> String {
    let mut out = String::with_capacity(payload.len() + name.len() + 24);
    // Names come from clients: what JSON cannot hold as it is gets escaped.
    let _ = write!(out, r#"{{"stream":{},"data":{payload}}}"#, serde_json::Value::from(name));
    out
}

/// A partial depth payload, and the answer of `/api/v3/depth`: they are alike.
pub(super) fn depth(last_id: i64, bids: &[Level], asks: &[Level]) -> String {
    let mut out = String::with_capacity(64 + (bids.len() + asks.len()) * 34);
    let _ = write!(out, r#"{{"lastUpdateId":{last_id},"bids":"#);
    levels(&mut out, bids);
    out.push_str(",\"asks\":");
    levels(&mut out, asks);
    out.push('}');
    out
}

/// A number as a string with eight decimals, behind `key`.
pub(super) fn decimal(out: &mut String, key: &str, mantissa: i64) {
    wide(out, key, i128::from(mantissa));
}

/// As [`decimal`], for sums.
pub(super) fn wide(out: &mut String, key: &str, mantissa: i128) {
    out.push_str(key);
    out.push('"');
    push(out, mantissa, 8);
    out.push('"');
}

/// A price, or `null` where there is none.
pub(super) fn price_or_null(out: &mut String, key: &str, price: Option<i64>) {
    match price {
        Some(price) => decimal(out, key, price),
        None => {
            out.push_str(key);
            out.push_str("null");
        }
    }
}

/// A percentage: always three decimals.
fn percent(out: &mut String, key: &str, thousandths: i128) {
    out.push_str(key);
    out.push('"');
    push(out, thousandths, 3);
    out.push('"');
}

fn event(out: &mut String, name: &str, time: Nanos, symbol: &str, unit: Unit) {
    let _ = write!(out, r#"{{"e":"{name}","E":{},"s":"{symbol}""#, unit.of(time));
}

fn levels(out: &mut String, levels: &[Level]) {
    out.push('[');
    for (index, level) in levels.iter().enumerate() {
        decimal(out, if index == 0 { "[" } else { ",[" }, level.price.0);
        decimal(out, ",", level.quantity.0);
        out.push(']');
    }
    out.push(']');
}

fn trade_fields(out: &mut String, trade: &Trade, unit: Unit) {
    let _ = write!(out, r#","t":{}"#, trade.id);
    decimal(out, ",\"p\":", trade.price.0);
    decimal(out, ",\"q\":", trade.quantity.0);
    let _ = write!(out, r#","T":{},"m":{}"#, unit.of(trade.time), trade.buyer_is_maker);
}

fn aggregate_fields(out: &mut String, aggregate: &AggTrade, unit: Unit) {
    let _ = write!(out, r#""a":{}"#, aggregate.id);
    decimal(out, ",\"p\":", aggregate.price.0);
    decimal(out, ",\"q\":", aggregate.quantity.0);
    let (time, maker) = (unit.of(aggregate.time), aggregate.buyer_is_maker);
    let _ = write!(out, r#","f":{},"l":{},"T":{time},"m":{maker},"M":true"#, aggregate.first_id, aggregate.last_id);
}

/// The key `k` of a kline event: open, close, high, low.
fn kline(out: &mut String, candle: &Candle, symbol: &str, unit: Unit) {
    let (open, close) = (unit.of_second(candle.open), unit.of_second(candle.end) - 1);
    let (interval, bar) = (candle.timeframe.text(), &candle.bar);
    let (first, last) = (bar.first_id(), bar.last_id());
    let _ = write!(out, r#","k":{{"t":{open},"T":{close},"s":"{symbol}","i":"{interval}","f":{first},"L":{last}"#);
    decimal(out, ",\"o\":", bar.open);
    decimal(out, ",\"c\":", bar.close);
    decimal(out, ",\"h\":", bar.high);
    decimal(out, ",\"l\":", bar.low);
    wide(out, ",\"v\":", bar.volume);
    let _ = write!(out, r#","n":{},"x":{}"#, bar.trades, candle.closed);
    wide(out, ",\"q\":", bar.value);
    wide(out, ",\"V\":", bar.taker_volume);
    wide(out, ",\"Q\":", bar.taker_value);
    out.push_str(",\"B\":\"0\"}}");
}

fn statistics_event(
    out: &mut String,
    statistic: Statistic,
    (time, symbol): (Nanos, &str),
    statistics: &Statistics,
    unit: Unit,
) {
    let Statistics { bar, best, .. } = statistics;
    match statistic {
        Statistic::Mini => {
            event(out, "24hrMiniTicker", time, symbol, unit);
            for (key, price) in [("c", bar.close), ("o", bar.open), ("h", bar.high), ("l", bar.low)] {
                let _ = write!(out, r#","{key}":"#);
                decimal(out, "", price);
            }
            wide(out, ",\"v\":", bar.volume);
            wide(out, ",\"q\":", bar.value);
            out.push('}');
            return;
        }
        Statistic::Day => {
            event(out, "24hrTicker", time, symbol, unit);
            decimal(out, ",\"p\":", bar.change());
            percent(out, ",\"P\":", bar.change_percent());
            wide(out, ",\"w\":", bar.average());
            decimal(out, ",\"x\":", statistics.previous_close);
            decimal(out, ",\"c\":", bar.close);
            decimal(out, ",\"Q\":", statistics.last_quantity);
            decimal(out, ",\"b\":", best.bid.price.0);
            decimal(out, ",\"B\":", best.bid.quantity.0);
            decimal(out, ",\"a\":", best.ask.price.0);
            decimal(out, ",\"A\":", best.ask.quantity.0);
            decimal(out, ",\"o\":", bar.open);
            decimal(out, ",\"h\":", bar.high);
            decimal(out, ",\"l\":", bar.low);
        }
        Statistic::Rolling(window) => {
            event(out, &format!("{}Ticker", window.text()), time, symbol, unit);
            decimal(out, ",\"p\":", bar.change());
            percent(out, ",\"P\":", bar.change_percent());
            wide(out, ",\"w\":", bar.average());
            decimal(out, ",\"o\":", bar.open);
            decimal(out, ",\"h\":", bar.high);
            decimal(out, ",\"l\":", bar.low);
            decimal(out, ",\"c\":", bar.close);
        }
    }
    wide(out, ",\"v\":", bar.volume);
    wide(out, ",\"q\":", bar.value);
    let (open, close) = (unit.of(statistics.open_time), unit.of(statistics.close_time));
    let (first, last, count) = (bar.first_id(), bar.last_id(), bar.trades);
    let _ = write!(out, r#","O":{open},"C":{close},"F":{first},"L":{last},"n":{count}}}"#);
}
