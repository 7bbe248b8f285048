//! The bytes of every payload kind, in both units, against literals in the documented shapes.

use super::*;
use crate::{
    encode::frame,
    market::{Catalogue, Interval, Listing, Series, Span, Status, Zone},
    topic::Cadence,
};

const RECEIVED: Nanos = Nanos::from_micros(1_789_000_000_125_000);
const EVENT: Nanos = Nanos::from_micros(1_789_000_000_124_311);

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    catalogue.add_instrument(venue, "ETHUSDT", "ETHUSDT");
    let rupiah = catalogue.add_instrument(venue, "币安BIDR", "币安BIDR");
    let decimals = Decimals { price: 2, quantity: 5, quote: 2, checksum_price: 2, checksum_quantity: 5 };
    let text = str::to_owned;
    assert!(catalogue.instrument(rupiah).list(Listing {
        native: text("币安BIDR"),
        base: text("币安"),
        quote: text("BIDR"),
        decimals,
        status: Status::Trading,
        tick_size: text("1.00"),
        step_size: text("0.00001"),
        binance_info: None,
    }));
    catalogue
}

/// The body of `payload` for the instrument with index `instrument`.
fn printed(instrument: usize, payload: Payload, batch: &Batch, levels_max: usize, unit: TimeUnit) -> String {
    let catalogue = catalogue();
    let instrument = &catalogue.instruments()[instrument];
    let update = Update { instrument: instrument.id, received: RECEIVED, time: EVENT, payload };
    let mut out = Vec::new();
    body(&mut out, &update, batch, instrument, levels_max, unit);
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn assert_both(payload: Payload, batch: &Batch, millis: &str, micros: &str) {
    assert_eq!(printed(0, payload, batch, 20, TimeUnit::Milliseconds), millis);
    assert_eq!(printed(0, payload, batch, 20, TimeUnit::Microseconds), micros);
}

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

fn trade() -> Payload {
    Payload::Trade(Trade {
        id: 1_890_123_456,
        price: Price(277_035_000_000),
        quantity: Quantity(71_000_000),
        time: Nanos::from_micros(1_789_000_000_123_456),
        buyer_is_maker: true,
    })
}

#[test]
fn trade_bytes() {
    assert_both(
        trade(),
        &Batch::default(),
        r#"{"e":"trade","E":1789000000124,"s":"ETHUSDT","t":1890123456,"p":"2770.35000000","q":"0.71000000","T":1789000000123,"m":true,"M":true}"#,
        r#"{"e":"trade","E":1789000000124311,"s":"ETHUSDT","t":1890123456,"p":"2770.35000000","q":"0.71000000","T":1789000000123456,"m":true,"M":true}"#,
    );
}

#[test]
fn agg_trade_bytes() {
    let payload = Payload::AggTrade(AggTrade {
        id: 3_571_190_021,
        price: Price(8_670_478_000_000),
        quantity: Quantity(3_500_000),
        first_id: 6_054_521_809,
        last_id: 6_054_521_811,
        time: Nanos::from_micros(1_789_000_000_123_000),
        buyer_is_maker: false,
    });
    assert_both(
        payload,
        &Batch::default(),
        r#"{"e":"aggTrade","E":1789000000124,"s":"ETHUSDT","a":3571190021,"p":"86704.78000000","q":"0.03500000","f":6054521809,"l":6054521811,"T":1789000000123,"m":false,"M":true}"#,
        r#"{"e":"aggTrade","E":1789000000124311,"s":"ETHUSDT","a":3571190021,"p":"86704.78000000","q":"0.03500000","f":6054521809,"l":6054521811,"T":1789000000123000,"m":false,"M":true}"#,
    );
}

#[test]
fn book_ticker_bytes() {
    let payload = Payload::BookTicker(Best {
        update_id: 100_530_416_204,
        bid: level(8_670_477_000_000, 467_811_000),
        ask: level(8_670_479_000_000, 384_000),
    });
    let expected = r#"{"u":100530416204,"s":"ETHUSDT","b":"86704.77000000","B":"4.67811000","a":"86704.79000000","A":"0.00384000"}"#;
    assert_both(payload, &Batch::default(), expected, expected);
}

#[test]
fn depth_update_bytes() {
    let mut batch = Batch::default();
    batch.levels.extend([
        level(8_670_477_000_000, 467_823_000),
        level(8_670_100_000_000, 0),
        level(8_672_133_000_000, 1),
    ]);
    let payload = Payload::DepthDiff {
        cadence: Cadence::Fast,
        first_id: 100_530_416_203,
        last_id: 100_530_416_223,
        bids: Span { start: 0, len: 2 },
        asks: Span { start: 2, len: 1 },
    };
    assert_both(
        payload,
        &batch,
        r#"{"e":"depthUpdate","E":1789000000124,"s":"ETHUSDT","U":100530416203,"u":100530416223,"b":[["86704.77000000","4.67823000"],["86701.00000000","0.00000000"]],"a":[["86721.33000000","0.00000001"]]}"#,
        r#"{"e":"depthUpdate","E":1789000000124311,"s":"ETHUSDT","U":100530416203,"u":100530416223,"b":[["86704.77000000","4.67823000"],["86701.00000000","0.00000000"]],"a":[["86721.33000000","0.00000001"]]}"#,
    );
}

#[test]
fn partial_depth_is_cut_and_an_empty_side_stays() {
    let mut batch = Batch::default();
    batch.levels.extend((0..20).map(|n| level(100_000_000 * (20 - n), 1)));
    let payload = Payload::PartialDepth {
        cadence: Cadence::Slow,
        last_id: 7,
        bids: Span { start: 0, len: 20 },
        asks: Span { start: 20, len: 0 },
    };
    let five = printed(0, payload, &batch, 5, TimeUnit::Milliseconds);
    assert_eq!(
        five,
        r#"{"lastUpdateId":7,"bids":[["20.00000000","0.00000001"],["19.00000000","0.00000001"],["18.00000000","0.00000001"],["17.00000000","0.00000001"],["16.00000000","0.00000001"]],"asks":[]}"#
    );
    for levels_max in [10, 20] {
        let text = printed(0, payload, &batch, levels_max, TimeUnit::Microseconds);
        assert_eq!(text.matches("\",\"").count(), levels_max);
    }
}

#[test]
fn kline_bytes() {
    let mut batch = Batch::default();
    batch.klines.push(Kline {
        series: Series::MINUTE,
        open_time: Nanos::from_millis(1_788_999_960_000),
        first_id: 1_890_123_001,
        last_id: 1_890_123_456,
        open: Price(276_990_000_000),
        close: Price(277_035_000_000),
        high: Price(277_080_000_000),
        low: Price(276_951_000_000),
        volume: Volume(18_422_150_000),
        quote_volume: Volume(51_033_120_917_300),
        taker_volume: Volume(9_710_440_000),
        taker_quote_volume: Volume(26_900_188_120_500),
        trades: 456,
        closed: false,
    });
    assert_both(
        Payload::Kline(0),
        &batch,
        r#"{"e":"kline","E":1789000000124,"s":"ETHUSDT","k":{"t":1788999960000,"T":1789000019999,"s":"ETHUSDT","i":"1m","f":1890123001,"L":1890123456,"o":"2769.90000000","c":"2770.35000000","h":"2770.80000000","l":"2769.51000000","v":"184.22150000","n":456,"x":false,"q":"510331.20917300","V":"97.10440000","Q":"269001.88120500","B":"0"}}"#,
        r#"{"e":"kline","E":1789000000124311,"s":"ETHUSDT","k":{"t":1788999960000000,"T":1789000019999999,"s":"ETHUSDT","i":"1m","f":1890123001,"L":1890123456,"o":"2769.90000000","c":"2770.35000000","h":"2770.80000000","l":"2769.51000000","v":"184.22150000","n":456,"x":false,"q":"510331.20917300","V":"97.10440000","Q":"269001.88120500","B":"0"}}"#,
    );
}

fn mini() -> MiniTicker {
    MiniTicker {
        close: Price(8_670_478_000_000),
        open: Price(8_634_254_000_000),
        high: Price(8_699_000_000_000),
        low: Price(8_497_204_000_000),
        volume: Volume(1_342_662_951_000),
        quote_volume: Volume(115_128_468_475_282_880),
    }
}

#[test]
fn mini_ticker_bytes() {
    let mut batch = Batch::default();
    batch.mini_tickers.push(mini());
    assert_both(
        Payload::MiniTicker(0),
        &batch,
        r#"{"e":"24hrMiniTicker","E":1789000000124,"s":"ETHUSDT","c":"86704.78000000","o":"86342.54000000","h":"86990.00000000","l":"84972.04000000","v":"13426.62951000","q":"1151284684.75282880"}"#,
        r#"{"e":"24hrMiniTicker","E":1789000000124311,"s":"ETHUSDT","c":"86704.78000000","o":"86342.54000000","h":"86990.00000000","l":"84972.04000000","v":"13426.62951000","q":"1151284684.75282880"}"#,
    );
}

#[test]
fn ticker_bytes() {
    let mut batch = Batch::default();
    batch.tickers.push(Ticker {
        mini: mini(),
        change: Price(-12_189_000_000),
        change_percent: -140,
        weighted_average: Price(8_574_636_574_990),
        previous_close: Price(8_634_255_000_000),
        last_quantity: Quantity(3_500_000),
        bid: level(8_670_477_000_000, 467_811_000),
        ask: level(8_670_479_000_000, 384_000),
        open_time: Nanos::from_micros(1_788_913_601_001_250),
        close_time: Nanos::from_micros(1_789_000_001_001_250),
        first_id: 6_052_880_133,
        last_id: 6_054_521_811,
        trades: 1_641_679,
    });
    assert_both(
        Payload::Ticker(0),
        &batch,
        r#"{"e":"24hrTicker","E":1789000000124,"s":"ETHUSDT","p":"-121.89000000","P":"-0.140","w":"85746.36574990","x":"86342.55000000","c":"86704.78000000","Q":"0.03500000","b":"86704.77000000","B":"4.67811000","a":"86704.79000000","A":"0.00384000","o":"86342.54000000","h":"86990.00000000","l":"84972.04000000","v":"13426.62951000","q":"1151284684.75282880","O":1788913601001,"C":1789000001001,"F":6052880133,"L":6054521811,"n":1641679}"#,
        r#"{"e":"24hrTicker","E":1789000000124311,"s":"ETHUSDT","p":"-121.89000000","P":"-0.140","w":"85746.36574990","x":"86342.55000000","c":"86704.78000000","Q":"0.03500000","b":"86704.77000000","B":"4.67811000","a":"86704.79000000","A":"0.00384000","o":"86342.54000000","h":"86990.00000000","l":"84972.04000000","v":"13426.62951000","q":"1151284684.75282880","O":1788913601001250,"C":1789000001001250,"F":6052880133,"L":6054521811,"n":1641679}"#,
    );
}

#[test]
fn decimals_are_the_instruments_and_symbols_are_raw_utf8() {
    let mut batch = Batch::default();
    batch.mini_tickers.push(MiniTicker {
        close: Price(728_500),
        open: Price(-1),
        high: Price(0),
        low: Price(99),
        volume: Volume(100_000),
        quote_volume: Volume(i128::from(u64::MAX) * 1000),
    });
    assert_eq!(
        printed(1, Payload::MiniTicker(0), &batch, 0, TimeUnit::Milliseconds),
        r#"{"e":"24hrMiniTicker","E":1789000000124,"s":"币安BIDR","c":"7285.00","o":"-0.01","h":"0.00","l":"0.99","v":"1.00000","q":"184467440737095516150.00"}"#
    );
}

/// Binance caps quantities at 64 bits (binance.md section 3.2); sums go beyond, and prices may be as large.
#[test]
fn the_largest_numbers_are_printed_whole() {
    let mut batch = Batch::default();
    batch.levels.push(level(i64::MAX, i64::MAX));
    let span = Span { start: 0, len: 1 };
    let diff = |cadence, last_id| Payload::DepthDiff {
        cadence,
        first_id: i64::MAX - 1,
        last_id,
        bids: span,
        asks: Span { start: 1, len: 0 },
    };
    assert_eq!(
        printed(0, diff(Cadence::Slow, i64::MAX), &batch, 20, TimeUnit::Milliseconds),
        r#"{"e":"depthUpdate","E":1789000000124,"s":"ETHUSDT","U":9223372036854775806,"u":9223372036854775807,"b":[["92233720368.54775807","92233720368.54775807"]],"a":[]}"#
    );
    assert!(
        printed(1, diff(Cadence::Slow, 7), &batch, 20, TimeUnit::Milliseconds)
            .contains(r#"[["92233720368547758.07","92233720368547.75807"]]"#)
    );
    batch.mini_tickers.push(MiniTicker {
        volume: Volume(i128::MAX),
        quote_volume: Volume(i128::from(i64::MAX) + 1),
        ..mini()
    });
    assert!(
        printed(0, Payload::MiniTicker(0), &batch, 20, TimeUnit::Milliseconds)
            .ends_with(r#""v":"1701411834604692317316873037158.84105727","q":"92233720368.54775808"}"#)
    );
}

#[test]
fn signs_zeros_and_percents() {
    let ticker = |change, change_percent| RollingTicker {
        mini: MiniTicker { volume: Volume(0), quote_volume: Volume(0), ..mini() },
        change: Price(change),
        change_percent,
        weighted_average: Price(0),
        open_time: EVENT,
        close_time: EVENT,
        first_id: -1,
        last_id: -1,
        trades: 0,
    };
    for (instrument, change, percent, expected) in [
        (0, 0, 0, r#""p":"0.00000000","P":"0.000","w":"0.00000000","#),
        (0, -1, -1, r#""p":"-0.00000001","P":"-0.001","w":"0.00000000","#),
        (0, 100_000_000, 256, r#""p":"1.00000000","P":"0.256","w":"0.00000000","#),
        (1, -5, -100_000, r#""p":"-0.05","P":"-100.000","w":"0.00","#),
        (1, 728_500, 12_345_678, r#""p":"7285.00","P":"12345.678","w":"0.00","#),
    ] {
        let batch = Batch { rollings: vec![ticker(change, percent)], ..Batch::default() };
        let text = printed(instrument, Payload::Rolling(Window::Hour1, 0), &batch, 0, TimeUnit::Milliseconds);
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(r#","F":-1,"L":-1,"n":0}"#), "{text}");
    }
    let zeros = printed(1, Payload::BookTicker(Best::default()), &Batch::default(), 0, TimeUnit::Milliseconds);
    assert_eq!(zeros, r#"{"u":0,"s":"币安BIDR","b":"0.00","B":"0.00000","a":"0.00","A":"0.00000"}"#);
}

/// Also 币安BIDR's: every decimal of a candle, an array and a reference price is the instrument's.
#[test]
fn other_decimals_reach_every_kind() {
    let open_time = Nanos::from_millis(1_788_969_600_000);
    let series = Series::new(Interval::Day1, Zone::Plus8);
    let kline = Kline {
        first_id: 1,
        last_id: 2,
        volume: Volume(100_000),
        quote_volume: Volume(72_850_000),
        trades: 2,
        closed: true,
        ..Kline::empty(series, open_time, Price(728_500))
    };
    let mut batch = Batch { klines: vec![kline], mini_tickers: vec![mini()], ..Batch::default() };
    assert_eq!(
        printed(1, Payload::Kline(0), &batch, 0, TimeUnit::Microseconds),
        r#"{"e":"kline","E":1789000000124311,"s":"币安BIDR","k":{"t":1788969600000000,"T":1789055999999999,"s":"币安BIDR","i":"1d","f":1,"L":2,"o":"7285.00","c":"7285.00","h":"7285.00","l":"7285.00","v":"1.00000","n":2,"x":true,"q":"728500.00","V":"0.00000","Q":"0.00","B":"0"}}"#
    );
    let reference = ReferencePrice { price: Some(Price(728_512)), time: EVENT };
    assert_eq!(
        printed(1, Payload::ReferencePrice(reference), &Batch::default(), 0, TimeUnit::Milliseconds),
        r#"{"e":"referencePrice","s":"币安BIDR","r":"7285.12","t":1789000000124}"#
    );
    let catalogue = catalogue();
    let rupiah = catalogue.instruments()[1].id;
    batch.elements.push(crate::topic::Element { instrument: rupiah, time: RECEIVED, index: 0 });
    let payload = Payload::Array { venue: crate::market::VenueId(0), array: Array::MiniTicker, start: 0, len: 1 };
    let update = Update { instrument: rupiah, received: RECEIVED, time: EVENT, payload };
    let mut out = Vec::new();
    array(&mut out, &update, &batch, &catalogue, TimeUnit::Milliseconds);
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.starts_with(r#"[{"e":"24hrMiniTicker","E":1789000000125,"s":"币安BIDR","c":"86704780000.00","#),
        "{text}"
    );
}

#[test]
fn mirrors_payloads_are_never_printed() {
    let snapshot = Payload::BookSnapshot { last_id: 1, bids: Span::default(), asks: Span::default(), reset: true };
    assert_eq!(printed(0, snapshot, &Batch::default(), 20, TimeUnit::Milliseconds), "");
}

#[test]
fn shutdown_and_wrapper_bytes() {
    let mut event = Vec::new();
    server_shutdown(&mut event, EVENT, TimeUnit::Milliseconds);
    let mut out = Vec::new();
    frame::combined(&mut out, b"!serverShutdown", &event);
    assert_eq!(
        out,
        b"\x81\x4c{\"stream\":\"!serverShutdown\",\"data\":{\"e\":\"serverShutdown\",\"E\":1789000000124}}"
    );

    event.clear();
    server_shutdown(&mut event, EVENT, TimeUnit::Microseconds);
    assert_eq!(event, br#"{"e":"serverShutdown","E":1789000000124311}"#);

    let text = printed(0, trade(), &Batch::default(), 0, TimeUnit::Microseconds);
    let mut raw = Vec::new();
    frame::frame(&mut raw, frame::Opcode::Text, text.as_bytes());
    assert_eq!(raw[..4], [0x81, 126, 0, text.len() as u8]);
    assert_eq!(&raw[4..], text.as_bytes());
}
