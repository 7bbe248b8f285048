//! The JSON of Binance's streams and REST answers, key by key as on the wire (binance.md sections 3, 4 and 10).

use std::fmt::Write as _;

use super::{
    decimal::push,
    market::{Cadence, Print, What},
};
use crate::market::{AggTrade, Kline, Level, MiniTicker, Nanos, Ticker, Trade};

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
}

/// What a stream name can ask of a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Channel {
    AggTrade,
    Best,
    Diff(Cadence),
    Kline,
    MiniTicker,
    /// So many levels, each time that cadence's diff is due.
    Partial(u8, Cadence),
    Ticker,
    Trade,
}

impl Channel {
    /// The channel behind the `@` of a stream name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "aggTrade" => Self::AggTrade,
            "bookTicker" => Self::Best,
            "depth@100ms" => Self::Diff(Cadence::Fast),
            "depth" | "depth@1000ms" => Self::Diff(Cadence::Slow),
            "kline_1m" => Self::Kline,
            "miniTicker" => Self::MiniTicker,
            "depth5@100ms" => Self::Partial(5, Cadence::Fast),
            "depth10@100ms" => Self::Partial(10, Cadence::Fast),
            "depth20@100ms" => Self::Partial(20, Cadence::Fast),
            "depth5" | "depth5@1000ms" => Self::Partial(5, Cadence::Slow),
            "depth10" | "depth10@1000ms" => Self::Partial(10, Cadence::Slow),
            "depth20" | "depth20@1000ms" => Self::Partial(20, Cadence::Slow),
            "ticker" => Self::Ticker,
            "trade" => Self::Trade,
            _ => return None,
        })
    }

    /// The channel on which `what` is published as it is.
    pub(super) fn of(what: &What) -> Self {
        match what {
            What::Trade(_) => Self::Trade,
            What::AggTrade(_) => Self::AggTrade,
            What::Best(_) => Self::Best,
            What::Diff { cadence, .. } => Self::Diff(*cadence),
            What::Kline(_) => Self::Kline,
            What::MiniTicker(_) => Self::MiniTicker,
            What::Ticker(_) => Self::Ticker,
        }
    }
}

/// The raw payload of an event of `symbol`.
pub(super) fn payload(print: &Print, symbol: &str, unit: Unit) -> String {
    let mut out = String::with_capacity(256);
    let event = |out: &mut String, name: &str| {
        let _ = write!(out, r#"{{"e":"{name}","E":{},"s":"{symbol}""#, unit.of(print.time));
    };
    match &print.what {
        What::Trade(trade) => {
            event(&mut out, "trade");
            let _ = write!(out, r#","t":{}"#, trade.id);
            trade_tail(&mut out, trade, unit);
        }
        What::AggTrade(aggregate) => {
            event(&mut out, "aggTrade");
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
            event(&mut out, "depthUpdate");
            let _ = write!(out, r#","U":{},"u":{},"b":"#, ids.first, ids.last);
            levels(&mut out, bids);
            out.push_str(",\"a\":");
            levels(&mut out, asks);
            out.push('}');
        }
        What::Kline(kline) => {
            event(&mut out, "kline");
            out.push_str(",\"k\":");
            candle(&mut out, kline, symbol, unit);
            out.push('}');
        }
        What::MiniTicker(mini) => {
            event(&mut out, "24hrMiniTicker");
            mini_ticker(&mut out, mini);
        }
        What::Ticker(it) => {
            event(&mut out, "24hrTicker");
            ticker(&mut out, it, unit);
        }
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

/// A list of fills in REST's shape.
pub(super) fn trade_list<'a>(trades: impl Iterator<Item = &'a Trade>, unit: Unit) -> String {
    list(trades, |out, trade| {
        let quote = i128::from(trade.price.0) * i128::from(trade.quantity.0);
        let quote = super::decimal::divide_nearest(quote, i128::from(super::decimal::ONE));
        let _ = write!(out, r#"{{"id":{}"#, trade.id);
        decimal(out, ",\"price\":", trade.price.0);
        decimal(out, ",\"qty\":", trade.quantity.0);
        wide(out, ",\"quoteQty\":", quote);
        let (time, maker) = (unit.of(trade.time), trade.buyer_is_maker);
        let _ = write!(out, r#","time":{time},"isBuyerMaker":{maker},"isBestMatch":true}}"#);
    })
}

/// A list of aggregates in REST's shape.
pub(super) fn aggregate_list<'a>(aggregates: impl Iterator<Item = &'a AggTrade>, unit: Unit) -> String {
    list(aggregates, |out, aggregate| {
        out.push('{');
        aggregate_fields(out, aggregate, unit);
        out.push('}');
    })
}

/// Rows of `/api/v3/klines`: open, high, low, close, unlike the stream's order.
pub(super) fn kline_list(klines: impl Iterator<Item = Kline>, unit: Unit) -> String {
    list(klines, |out, kline| {
        let _ = write!(out, "[{}", unit.of(kline.open_time));
        for price in [kline.open, kline.high, kline.low, kline.close] {
            decimal(out, ",", price.0);
        }
        wide(out, ",", kline.volume.0);
        let _ = write!(out, ",{}", close_time(&kline, unit));
        wide(out, ",", kline.quote_volume.0);
        let _ = write!(out, ",{}", kline.trades);
        wide(out, ",", kline.taker_volume.0);
        wide(out, ",", kline.taker_quote_volume.0);
        out.push_str(",\"0\"]");
    })
}

fn list<T>(items: impl Iterator<Item = T>, write_one: impl Fn(&mut String, T)) -> String {
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

fn decimal(out: &mut String, key: &str, mantissa: i64) {
    wide(out, key, i128::from(mantissa));
}

fn wide(out: &mut String, key: &str, mantissa: i128) {
    out.push_str(key);
    out.push('"');
    push(out, mantissa, 8);
    out.push('"');
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

fn trade_tail(out: &mut String, trade: &Trade, unit: Unit) {
    decimal(out, ",\"p\":", trade.price.0);
    decimal(out, ",\"q\":", trade.quantity.0);
    let _ = write!(out, r#","T":{},"m":{},"M":true}}"#, unit.of(trade.time), trade.buyer_is_maker);
}

fn aggregate_fields(out: &mut String, aggregate: &AggTrade, unit: Unit) {
    let _ = write!(out, r#""a":{}"#, aggregate.id);
    decimal(out, ",\"p\":", aggregate.price.0);
    decimal(out, ",\"q\":", aggregate.quantity.0);
    let (time, maker) = (unit.of(aggregate.time), aggregate.buyer_is_maker);
    let _ = write!(out, r#","f":{},"l":{},"T":{time},"m":{maker},"M":true"#, aggregate.first_id, aggregate.last_id);
}

/// The last unit of the candle's minute.
fn close_time(kline: &Kline, unit: Unit) -> i64 {
    unit.of(Nanos(kline.open_time.0 + super::market::MINUTE)) - 1
}

fn candle(out: &mut String, kline: &Kline, symbol: &str, unit: Unit) {
    let (open, close) = (unit.of(kline.open_time), close_time(kline, unit));
    let (first, last) = (kline.first_id, kline.last_id);
    let _ = write!(out, r#"{{"t":{open},"T":{close},"s":"{symbol}","i":"1m","f":{first},"L":{last}"#);
    decimal(out, ",\"o\":", kline.open.0);
    decimal(out, ",\"c\":", kline.close.0);
    decimal(out, ",\"h\":", kline.high.0);
    decimal(out, ",\"l\":", kline.low.0);
    wide(out, ",\"v\":", kline.volume.0);
    let _ = write!(out, r#","n":{},"x":{}"#, kline.trades, kline.closed);
    wide(out, ",\"q\":", kline.quote_volume.0);
    wide(out, ",\"V\":", kline.taker_volume.0);
    wide(out, ",\"Q\":", kline.taker_quote_volume.0);
    out.push_str(",\"B\":\"0\"}");
}

fn mini_ticker(out: &mut String, mini: &MiniTicker) {
    decimal(out, ",\"c\":", mini.close.0);
    decimal(out, ",\"o\":", mini.open.0);
    decimal(out, ",\"h\":", mini.high.0);
    decimal(out, ",\"l\":", mini.low.0);
    wide(out, ",\"v\":", mini.volume.0);
    wide(out, ",\"q\":", mini.quote_volume.0);
    out.push('}');
}

fn ticker(out: &mut String, ticker: &Ticker, unit: Unit) {
    decimal(out, ",\"p\":", ticker.change.0);
    out.push_str(",\"P\":\"");
    push(out, i128::from(ticker.change_percent), 3);
    out.push('"');
    let mini = &ticker.mini;
    let fields = [
        ("w", ticker.weighted_average.0),
        ("x", ticker.previous_close.0),
        ("c", mini.close.0),
        ("Q", ticker.last_quantity.0),
        ("b", ticker.bid.price.0),
        ("B", ticker.bid.quantity.0),
        ("a", ticker.ask.price.0),
        ("A", ticker.ask.quantity.0),
        ("o", mini.open.0),
        ("h", mini.high.0),
        ("l", mini.low.0),
    ];
    for (key, mantissa) in fields {
        let _ = write!(out, r#","{key}":"#);
        decimal(out, "", mantissa);
    }
    wide(out, ",\"v\":", mini.volume.0);
    wide(out, ",\"q\":", mini.quote_volume.0);
    let (open, close) = (unit.of(ticker.open_time), unit.of(ticker.close_time));
    let (first, last, count) = (ticker.first_id, ticker.last_id, ticker.trades);
    let _ = write!(out, r#","O":{open},"C":{close},"F":{first},"L":{last},"n":{count}}}"#);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Best, Price, Quantity, Series, UpdateIds, Volume};

    const TIME: Nanos = Nanos(1_789_000_000_124_311_000);

    fn level(price: i64, quantity: i64) -> Level {
        Level { price: Price(price), quantity: Quantity(quantity) }
    }

    fn print(what: What) -> Print {
        Print { symbol: 0, time: TIME, what }
    }

    #[test]
    fn payloads_are_those_of_the_documented_samples() {
        let trade = Trade {
            id: 1_890_123_456,
            price: Price(277_035_000_000),
            quantity: Quantity(71_000_000),
            time: Nanos(1_789_000_000_123_456_000),
            buyer_is_maker: true,
        };
        assert_eq!(
            payload(&print(What::Trade(trade)), "ETHUSDT", Unit::Millisecond),
            r#"{"e":"trade","E":1789000000124,"s":"ETHUSDT","t":1890123456,"p":"2770.35000000","q":"0.71000000","T":1789000000123,"m":true,"M":true}"#
        );
        assert_eq!(
            payload(&print(What::Trade(trade)), "ETHUSDT", Unit::Microsecond),
            r#"{"e":"trade","E":1789000000124311,"s":"ETHUSDT","t":1890123456,"p":"2770.35000000","q":"0.71000000","T":1789000000123456,"m":true,"M":true}"#
        );
        let best = Best {
            update_id: 100_530_416_204,
            bid: level(8_670_477_000_000, 467_811_000),
            ask: level(8_670_479_000_000, 384_000),
        };
        let raw = payload(&print(What::Best(best)), "BTCUSDT", Unit::Millisecond);
        assert_eq!(
            combined("btcusdt@bookTicker", &raw),
            r#"{"stream":"btcusdt@bookTicker","data":{"u":100530416204,"s":"BTCUSDT","b":"86704.77000000","B":"4.67811000","a":"86704.79000000","A":"0.00384000"}}"#
        );
        let diff = What::Diff {
            cadence: Cadence::Fast,
            ids: UpdateIds { first: 100_530_416_203, last: 100_530_416_223 },
            bids: vec![level(8_670_477_000_000, 467_823_000), level(8_670_100_000_000, 0)],
            asks: vec![],
        };
        assert_eq!(
            payload(&print(diff), "BTCUSDT", Unit::Millisecond),
            r#"{"e":"depthUpdate","E":1789000000124,"s":"BTCUSDT","U":100530416203,"u":100530416223,"b":[["86704.77000000","4.67823000"],["86701.00000000","0.00000000"]],"a":[]}"#
        );
    }

    #[test]
    fn an_empty_candle_is_that_of_the_documented_sample() {
        let price = Price(35_280_000);
        let kline = Kline {
            series: Series::MINUTE,
            open_time: Nanos(1_788_999_960_000_000_000),
            first_id: -1,
            last_id: -1,
            open: price,
            close: price,
            high: price,
            low: price,
            volume: Volume(0),
            quote_volume: Volume(0),
            taker_volume: Volume(0),
            taker_quote_volume: Volume(0),
            trades: 0,
            closed: true,
        };
        assert_eq!(
            payload(&print(What::Kline(kline)), "NKNUSDT", Unit::Microsecond),
            r#"{"e":"kline","E":1789000000124311,"s":"NKNUSDT","k":{"t":1788999960000000,"T":1789000019999999,"s":"NKNUSDT","i":"1m","f":-1,"L":-1,"o":"0.35280000","c":"0.35280000","h":"0.35280000","l":"0.35280000","v":"0.00000000","n":0,"x":true,"q":"0.00000000","V":"0.00000000","Q":"0.00000000","B":"0"}}"#
        );
    }
}
