//! The bytes of every kind of event and row, written out by hand.

use super::*;
use crate::{
    market::{Best, Price, Quantity, UpdateIds},
    sim::{
        bar::Bar,
        market::{ALL_SYMBOLS, Array, Cadence, Element},
        timeframe::{Timeframe, Window},
    },
};

const TIME: Nanos = Nanos(1_789_000_000_124_311_000);

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

fn print(what: What) -> Print {
    Print { symbol: 0, time: TIME, what }
}

fn text(what: What, symbol: &str, unit: Unit) -> String {
    payload(&print(what), |_| symbol, unit)
}

fn trade() -> Trade {
    Trade {
        id: 1_890_123_456,
        price: Price(277_035_000_000),
        quantity: Quantity(71_000_000),
        time: Nanos(1_789_000_000_123_456_000),
        buyer_is_maker: true,
    }
}

/// Two trades: 2769.9 x 1.5 bought, 2770.35 x 0.5 sold.
fn bar() -> Bar {
    let bought = Bar::of_equal(1_890_123_001, 1, 276_990_000_000, 150_000_000, false);
    let sold = Bar::of_equal(1_890_123_002, 1, 277_035_000_000, 50_000_000, true);
    Bar::of_bars([bought, sold].into_iter()).expect("trades")
}

fn statistics() -> Statistics {
    Statistics {
        open_time: Nanos(1_788_913_600_124_000_000),
        close_time: Nanos(1_789_000_000_124_000_000),
        bar: bar(),
        previous_close: 276_985_000_000,
        last_quantity: 50_000_000,
        best: Best { update_id: 9, bid: level(277_034_000_000, 467_811_000), ask: level(277_036_000_000, 384_000) },
    }
}

#[test]
fn events_of_the_market_are_those_of_the_documented_samples() {
    assert_eq!(
        text(What::Trade(trade()), "ETHUSDT", Unit::Millisecond),
        r#"{"e":"trade","E":1789000000124,"s":"ETHUSDT","t":1890123456,"p":"2770.35000000","q":"0.71000000","T":1789000000123,"m":true,"M":true}"#
    );
    assert_eq!(
        text(What::Trade(trade()), "ETHUSDT", Unit::Microsecond),
        r#"{"e":"trade","E":1789000000124311,"s":"ETHUSDT","t":1890123456,"p":"2770.35000000","q":"0.71000000","T":1789000000123456,"m":true,"M":true}"#
    );
    assert_eq!(
        text(What::BlockTrade(trade()), "ETHUSDT", Unit::Millisecond),
        r#"{"e":"blockTrade","E":1789000000124,"s":"ETHUSDT","t":1890123456,"p":"2770.35000000","q":"0.71000000","T":1789000000123,"m":true}"#
    );
    let best = Best {
        update_id: 100_530_416_204,
        bid: level(8_670_477_000_000, 467_811_000),
        ask: level(8_670_479_000_000, 384_000),
    };
    assert_eq!(
        combined("btcusdt@bookTicker", &text(What::Best(best), "BTCUSDT", Unit::Millisecond)),
        r#"{"stream":"btcusdt@bookTicker","data":{"u":100530416204,"s":"BTCUSDT","b":"86704.77000000","B":"4.67811000","a":"86704.79000000","A":"0.00384000"}}"#
    );
    let diff = What::Diff {
        cadence: Cadence::Fast,
        ids: UpdateIds { first: 100_530_416_203, last: 100_530_416_223 },
        bids: vec![level(8_670_477_000_000, 467_823_000), level(8_670_100_000_000, 0)],
        asks: vec![],
    };
    assert_eq!(
        text(diff, "BTCUSDT", Unit::Millisecond),
        r#"{"e":"depthUpdate","E":1789000000124,"s":"BTCUSDT","U":100530416203,"u":100530416223,"b":[["86704.77000000","4.67823000"],["86701.00000000","0.00000000"]],"a":[]}"#
    );
}

#[test]
fn candles_say_o_c_h_l_and_an_empty_one_carries_the_price() {
    let minute = |bar, closed| {
        let (timeframe, open) = (Timeframe::MINUTE, 1_788_999_960);
        What::Kline(Box::new(Candle { timeframe, open, end: open + 60, bar, closed }))
    };
    assert_eq!(
        text(minute(bar(), false), "ETHUSDT", Unit::Millisecond),
        r#"{"e":"kline","E":1789000000124,"s":"ETHUSDT","k":{"t":1788999960000,"T":1789000019999,"s":"ETHUSDT","i":"1m","f":1890123001,"L":1890123002,"o":"2769.90000000","c":"2770.35000000","h":"2770.35000000","l":"2769.90000000","v":"2.00000000","n":2,"x":false,"q":"5540.02500000","V":"1.50000000","Q":"4154.85000000","B":"0"}}"#
    );
    assert_eq!(
        text(minute(Bar::empty(35_280_000), true), "NKNUSDT", Unit::Microsecond),
        r#"{"e":"kline","E":1789000000124311,"s":"NKNUSDT","k":{"t":1788999960000000,"T":1789000019999999,"s":"NKNUSDT","i":"1m","f":-1,"L":-1,"o":"0.35280000","c":"0.35280000","h":"0.35280000","l":"0.35280000","v":"0.00000000","n":0,"x":true,"q":"0.00000000","V":"0.00000000","Q":"0.00000000","B":"0"}}"#
    );
    let row =
        Candle { timeframe: Timeframe::MINUTE, open: 1_788_999_960, end: 1_789_000_020, bar: bar(), closed: true };
    assert_eq!(
        kline_list(&[row], Unit::Millisecond),
        r#"[[1788999960000,"2769.90000000","2770.35000000","2769.90000000","2770.35000000","2.00000000",1789000019999,"5540.02500000",2,"1.50000000","4154.85000000","0"]]"#
    );
}

#[test]
fn statistics_have_their_keys_in_the_order_of_the_wire() {
    let of = |statistic| text(What::Statistics(statistic, Box::new(statistics())), "ETHUSDT", Unit::Millisecond);
    let mini = r#"{"e":"24hrMiniTicker","E":1789000000124,"s":"ETHUSDT","c":"2770.35000000","o":"2769.90000000","h":"2770.35000000","l":"2769.90000000","v":"2.00000000","q":"5540.02500000"}"#;
    assert_eq!(of(Statistic::Mini), mini);
    // 0.45 / 2769.9 = 0.016246 %; 5540.025 / 2 = 2770.0125.
    assert_eq!(
        of(Statistic::Day),
        r#"{"e":"24hrTicker","E":1789000000124,"s":"ETHUSDT","p":"0.45000000","P":"0.016","w":"2770.01250000","x":"2769.85000000","c":"2770.35000000","Q":"0.50000000","b":"2770.34000000","B":"4.67811000","a":"2770.36000000","A":"0.00384000","o":"2769.90000000","h":"2770.35000000","l":"2769.90000000","v":"2.00000000","q":"5540.02500000","O":1788913600124,"C":1789000000124,"F":1890123001,"L":1890123002,"n":2}"#
    );
    assert_eq!(
        of(Statistic::Rolling(Window::Hour4)),
        r#"{"e":"4hTicker","E":1789000000124,"s":"ETHUSDT","p":"0.45000000","P":"0.016","w":"2770.01250000","o":"2769.90000000","h":"2770.35000000","l":"2769.90000000","c":"2770.35000000","v":"2.00000000","q":"5540.02500000","O":1788913600124,"C":1789000000124,"F":1890123001,"L":1890123002,"n":2}"#
    );
    let element = |symbol, time| Element { symbol, time, statistics: statistics() };
    let elements = vec![element(0, TIME), element(1, Nanos(1_789_000_000_999_000_000))];
    let array = Print { symbol: ALL_SYMBOLS, time: TIME, what: What::Array(Array::Mini, elements) };
    let second = mini.replace("ETHUSDT", "BTCUSDT").replace("0124,", "0999,");
    let name = |symbol| if symbol == 0 { "ETHUSDT" } else { "BTCUSDT" };
    assert_eq!(payload(&array, name, Unit::Millisecond), format!("[{mini},{second}]"));
}

#[test]
fn average_and_reference_price_have_their_forms() {
    let average = What::Average { price: 8_661_712_932_012, time: Nanos(1_789_000_000_123_000_000) };
    assert_eq!(
        text(average, "BTCUSDT", Unit::Millisecond),
        r#"{"e":"avgPrice","E":1789000000124,"s":"BTCUSDT","i":"5m","w":"86617.12932012","T":1789000000123}"#
    );
    assert_eq!(
        text(What::Reference(Some(8_669_909_224_517)), "BTCUSDT", Unit::Microsecond),
        r#"{"e":"referencePrice","s":"BTCUSDT","r":"86699.09224517","t":1789000000124311}"#
    );
    assert_eq!(
        text(What::Reference(None), "BTCUSDT", Unit::Millisecond),
        r#"{"e":"referencePrice","s":"BTCUSDT","r":null,"t":1789000000124}"#
    );
}

#[test]
fn rest_objects_have_long_names() {
    let object = |write: fn(&mut String, &str, &Statistics, Unit)| {
        let mut out = String::new();
        write(&mut out, "ETHUSDT", &statistics(), Unit::Millisecond);
        out
    };
    assert_eq!(
        object(day_object),
        r#"{"symbol":"ETHUSDT","priceChange":"0.45000000","priceChangePercent":"0.016","weightedAvgPrice":"2770.01250000","prevClosePrice":"2769.85000000","lastPrice":"2770.35000000","lastQty":"0.50000000","bidPrice":"2770.34000000","bidQty":"4.67811000","askPrice":"2770.36000000","askQty":"0.00384000","openPrice":"2769.90000000","highPrice":"2770.35000000","lowPrice":"2769.90000000","volume":"2.00000000","quoteVolume":"5540.02500000","openTime":1788913600124,"closeTime":1789000000124,"firstId":1890123001,"lastId":1890123002,"count":2}"#
    );
    assert_eq!(
        object(window_object),
        r#"{"symbol":"ETHUSDT","priceChange":"0.45000000","priceChangePercent":"0.016","weightedAvgPrice":"2770.01250000","openPrice":"2769.90000000","highPrice":"2770.35000000","lowPrice":"2769.90000000","lastPrice":"2770.35000000","volume":"2.00000000","quoteVolume":"5540.02500000","openTime":1788913600124,"closeTime":1789000000124,"firstId":1890123001,"lastId":1890123002,"count":2}"#
    );
    assert_eq!(
        object(mini_object),
        r#"{"symbol":"ETHUSDT","openPrice":"2769.90000000","highPrice":"2770.35000000","lowPrice":"2769.90000000","lastPrice":"2770.35000000","volume":"2.00000000","quoteVolume":"5540.02500000","openTime":1788913600124,"closeTime":1789000000124,"firstId":1890123001,"lastId":1890123002,"count":2}"#
    );
    assert_eq!(
        trade_list([trade()].iter(), Unit::Millisecond),
        r#"[{"id":1890123456,"price":"2770.35000000","qty":"0.71000000","quoteQty":"1966.94850000","time":1789000000123,"isBuyerMaker":true,"isBestMatch":true}]"#
    );
}
