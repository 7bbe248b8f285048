//! The JSON of REST's lists and objects (binance.md section 10.2).

use std::fmt::Write as _;

use super::{Unit, aggregate_fields, decimal, percent, wide};
use crate::{
    market::{AggTrade, Trade},
    sim::{
        bar::value_of,
        market::{Candle, Statistics},
    },
};

/// A list of fills.
pub(in crate::sim) fn trade_list<'a>(trades: impl Iterator<Item = &'a Trade>, unit: Unit) -> String {
    list(trades, |out, trade| {
        trade_object(out, trade, unit);
        out.push_str(",\"isBestMatch\":true}");
    })
}

/// A list of block trades: the same without the last key.
pub(in crate::sim) fn block_list<'a>(trades: impl Iterator<Item = &'a Trade>, unit: Unit) -> String {
    list(trades, |out, trade| {
        trade_object(out, trade, unit);
        out.push('}');
    })
}

/// A list of aggregates.
pub(in crate::sim) fn aggregate_list<'a>(aggregates: impl Iterator<Item = &'a AggTrade>, unit: Unit) -> String {
    list(aggregates, |out, aggregate| {
        out.push('{');
        aggregate_fields(out, aggregate, unit);
        out.push('}');
    })
}

/// Rows of `/api/v3/klines`: open, high, low, close, unlike the stream's order.
pub(in crate::sim) fn kline_list(candles: &[Candle], unit: Unit) -> String {
    list(candles.iter(), |out, Candle { open, end, bar, .. }| {
        let _ = write!(out, "[{}", unit.of_second(*open));
        for price in [bar.open, bar.high, bar.low, bar.close] {
            decimal(out, ",", price);
        }
        wide(out, ",", bar.volume);
        let _ = write!(out, ",{}", unit.of_second(*end) - 1);
        wide(out, ",", bar.value);
        let _ = write!(out, ",{}", bar.trades);
        wide(out, ",", bar.taker_volume);
        wide(out, ",", bar.taker_value);
        out.push_str(",\"0\"]");
    })
}

/// The full object of `/api/v3/ticker/24hr`.
pub(in crate::sim) fn day_object(out: &mut String, symbol: &str, statistics: &Statistics, unit: Unit) {
    let Statistics { bar, best, .. } = statistics;
    changes(out, symbol, statistics);
    decimal(out, ",\"prevClosePrice\":", statistics.previous_close);
    decimal(out, ",\"lastPrice\":", bar.close);
    decimal(out, ",\"lastQty\":", statistics.last_quantity);
    decimal(out, ",\"bidPrice\":", best.bid.price.0);
    decimal(out, ",\"bidQty\":", best.bid.quantity.0);
    decimal(out, ",\"askPrice\":", best.ask.price.0);
    decimal(out, ",\"askQty\":", best.ask.quantity.0);
    decimal(out, ",\"openPrice\":", bar.open);
    decimal(out, ",\"highPrice\":", bar.high);
    decimal(out, ",\"lowPrice\":", bar.low);
    tail(out, statistics, unit);
}

/// The full object of `/api/v3/ticker` and `/api/v3/ticker/tradingDay`.
pub(in crate::sim) fn window_object(out: &mut String, symbol: &str, statistics: &Statistics, unit: Unit) {
    changes(out, symbol, statistics);
    prices(out, statistics);
    tail(out, statistics, unit);
}

/// The short object of all of these.
pub(in crate::sim) fn mini_object(out: &mut String, symbol: &str, statistics: &Statistics, unit: Unit) {
    let _ = write!(out, r#"{{"symbol":"{symbol}""#);
    prices(out, statistics);
    tail(out, statistics, unit);
}

/// Items as a JSON array.
pub(in crate::sim) fn list<T>(items: impl Iterator<Item = T>, write_one: impl Fn(&mut String, T)) -> String {
    let mut out = String::from("[");
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_one(&mut out, item);
    }
    out.push(']');
    out
}

fn changes(out: &mut String, symbol: &str, Statistics { bar, .. }: &Statistics) {
    let _ = write!(out, r#"{{"symbol":"{symbol}""#);
    decimal(out, ",\"priceChange\":", bar.change());
    percent(out, ",\"priceChangePercent\":", bar.change_percent());
    wide(out, ",\"weightedAvgPrice\":", bar.average());
}

fn prices(out: &mut String, Statistics { bar, .. }: &Statistics) {
    decimal(out, ",\"openPrice\":", bar.open);
    decimal(out, ",\"highPrice\":", bar.high);
    decimal(out, ",\"lowPrice\":", bar.low);
    decimal(out, ",\"lastPrice\":", bar.close);
}

fn tail(out: &mut String, Statistics { bar, open_time, close_time, .. }: &Statistics, unit: Unit) {
    wide(out, ",\"volume\":", bar.volume);
    wide(out, ",\"quoteVolume\":", bar.value);
    let (open, close) = (unit.of(*open_time), unit.of(*close_time));
    let (first, last, count) = (bar.first_id(), bar.last_id(), bar.trades);
    let _ =
        write!(out, r#","openTime":{open},"closeTime":{close},"firstId":{first},"lastId":{last},"count":{count}}}"#);
}

fn trade_object(out: &mut String, trade: &Trade, unit: Unit) {
    let _ = write!(out, r#"{{"id":{}"#, trade.id);
    decimal(out, ",\"price\":", trade.price.0);
    decimal(out, ",\"qty\":", trade.quantity.0);
    wide(out, ",\"quoteQty\":", value_of(trade.price.0, trade.quantity.0));
    let _ = write!(out, r#","time":{},"isBuyerMaker":{}"#, unit.of(trade.time), trade.buyer_is_maker);
}
