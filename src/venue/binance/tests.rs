mod bodies;

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    market::{
        AggTrade, AveragePrice, Best, BookDiff, BookSnapshot, Decimals, Event, EventKind, Events, InstrumentId, Interval,
        Kline, Level, MiniTicker, Nanos, Price, Quantity, ReferencePrice, Series, Status, Trade, UpdateIds, Volume,
    },
    normalise::{Symbols, Tape},
    venue::Decode,
};

const BTC: InstrumentId = InstrumentId(0);
const ETH: InstrumentId = InstrumentId(1);
const LIFE: InstrumentId = InstrumentId(2);

/// Two usual symbols, one in Chinese, and one whose numbers have other decimals.
fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    for symbol in ["BTCUSDT", "ETHUSDT", "币安人生USDT", "SHIBBIDR"] {
        catalogue.add_instrument(venue, symbol, symbol);
    }
    let listings = listing::parse(EXCHANGE_INFO.as_bytes()).expect("a listing");
    let shib = catalogue.by_symbol(venue, "SHIBBIDR").expect("just added");
    catalogue.instrument(shib).list(listings[1].clone());
    catalogue
}

const EXCHANGE_INFO: &str = r#"{"timezone":"UTC","serverTime":1789000000000,"rateLimits":[],"exchangeFilters":[],"symbols":[
{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","baseAssetPrecision":8,"quoteAsset":"USDT","quotePrecision":8,"quoteAssetPrecision":8,"filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"},{"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"},{"filterType":"TRAILING_DELTA","minTrailingAboveDelta":10}],"permissions":[],"permissionSets":[["SPOT"]]},
{"symbol":"SHIBBIDR","status":"BREAK","baseAsset":"SHIB","baseAssetPrecision":2,"quoteAsset":"BIDR","quotePrecision":3,"filters":[]},
{"symbol":"ETHUSDT","status":"CANCEL_ONLY","baseAsset":"ETH","quoteAsset":"USDT"}]}"#;

fn decode(frame: &str) -> Result<Events, Refusal> {
    let mut events = Events::default();
    Binance.decoder(Arc::new(catalogue()), VenueId(0)).frame(frame.as_bytes(), &mut events).map(|()| events)
}

fn one(frame: &str) -> Event {
    let events = decode(frame).unwrap_or_else(|refusal| panic!("{refusal}: {frame}"));
    assert_eq!(events.list.len(), 1, "{frame}");
    events.list[0]
}

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

const TIME: Nanos = Nanos(1_789_000_000_124_000_000);

#[test]
fn depth_updates_in_every_spelling_say_the_same() {
    for frame in [
        r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1789000000124,"s":"BTCUSDT","U":203,"u":223,"b":[["86704.77000000","4.67823000"],["86701.00000000","0.00000000"]],"a":[["86704.78000000","0.00000000"]]}}"#,
        r#"{"e":"depthUpdate","E":1789000000124000,"s":"BTCUSDT","U":203,"u":223,"b":[["86704.77000000","4.67823000"],["86701.00000000","0.00000000"]],"a":[["86704.78000000","0.00000000"]]}"#,
        r#"{ "data" : { "a" : [["86704.78","0"]], "b" : [["86704.77","4.67823",[]],["86701","0.0"]], "u" : 223, "U" : 203,
            "new" : {"deep":[1,2]}, "s" : "\u0042TCUSDT", "E" : 1789000000124, "e" : "depthUpdate" }, "stream" : "btcusdt@depth" }"#,
    ] {
        let events = decode(frame).expect("documented");
        let [Event { instrument: BTC, time: Some(TIME), kind: EventKind::BookDiff(diff) }] = events.list[..] else {
            panic!("{:?}", events.list)
        };
        let BookDiff { ids, bids, asks, checksum } = diff;
        assert_eq!((ids, checksum), (Some(UpdateIds { first: 203, last: 223 }), None));
        assert_eq!(bids.of(&events.levels), [level(8_670_477_000_000, 467_823_000), level(8_670_100_000_000, 0)]);
        assert_eq!(asks.of(&events.levels), [level(8_670_478_000_000, 0)]);
    }
}

#[test]
fn an_unchanged_side_is_empty() {
    let events = decode(r#"{"e":"depthUpdate","E":1,"s":"ETHUSDT","U":5,"u":5,"b":[],"a":[["2770.35000000","92233720368.54775807"]]}"#);
    let events = events.expect("documented");
    let EventKind::BookDiff(diff) = events.list[0].kind else { panic!("{:?}", events.list) };
    assert_eq!(diff.bids.of(&events.levels), []);
    assert_eq!(diff.asks.of(&events.levels), [level(277_035_000_000, i64::MAX)], "the venue's cap");
}

#[test]
fn trades_with_and_without_the_old_order_ids() {
    let expected = EventKind::Trade(Trade {
        id: 1_890_123_456,
        price: Price(277_035_000_000),
        quantity: Quantity(71_000_000),
        time: Nanos(1_789_000_000_123_456_000),
        buyer_is_maker: true,
    });
    for frame in [
        r#"{"e":"trade","E":1789000000124000,"s":"ETHUSDT","t":1890123456,"p":"2770.35000000","q":"0.71000000","T":1789000000123456,"m":true,"M":true}"#,
        r#"{"stream":"ethusdt@trade","data":{"e":"trade","E":1789000000124,"s":"ETHUSDT","t":1890123456,"p":"2770.35000000","q":"0.71000000","b":88,"a":50,"T":1789000000123456,"m":true,"M":true}}"#,
        r#"{"M":true,"m":true,"T":1789000000123456,"q":"0.71","p":"2770.35","t":1890123456,"s":"ETHUSDT","E":1789000000124,"e":"trade"}"#,
    ] {
        assert_eq!(one(frame), Event { instrument: ETH, time: Some(TIME), kind: expected }, "{frame}");
    }
}

#[test]
fn aggregate_trades() {
    let expected = EventKind::AggTrade(AggTrade {
        id: 3_571_190_021,
        price: Price(8_670_478_000_000),
        quantity: Quantity(3_500_000),
        first_id: 809,
        last_id: 811,
        time: Nanos(1_789_000_000_123_000_000),
        buyer_is_maker: false,
    });
    for frame in [
        r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1789000000124,"s":"BTCUSDT","a":3571190021,"p":"86704.78000000","q":"0.03500000","f":809,"l":811,"T":1789000000123,"m":false,"M":true}}"#,
        r#"{"e":"aggTrade","a":3571190021,"E":1789000000124,"s":"BTCUSDT","p":"86704.78","q":"0.035","f":809,"l":811,"nq":"1","T":1789000000123,"m":false}"#,
    ] {
        assert_eq!(one(frame), Event { instrument: BTC, time: Some(TIME), kind: expected }, "{frame}");
    }
}

#[test]
fn book_tickers_have_no_time() {
    let expected = EventKind::Best(Best {
        update_id: 100_530_416_204,
        bid: level(8_670_477_000_000, 467_811_000),
        ask: level(8_670_479_000_000, 384_000),
    });
    for frame in [
        r#"{"stream":"btcusdt@bookTicker","data":{"u":100530416204,"s":"BTCUSDT","b":"86704.77000000","B":"4.67811000","a":"86704.79000000","A":"0.00384000"}}"#,
        r#"{"s":"BTCUSDT","A":"0.00384000","a":"86704.79","B":"4.67811","b":"86704.77","u":100530416204}"#,
        r#"{"e":"bookTicker","u":100530416204,"s":"BTCUSDT","b":"86704.77","B":"4.67811","a":"86704.79","A":"0.00384","T":1789000000123,"E":1789000000124}"#,
    ] {
        assert_eq!(one(frame), Event { instrument: BTC, time: None, kind: expected }, "{frame}");
    }
}

#[test]
fn candles_of_a_minute_and_of_a_second_are_taken_and_others_passed() {
    let minute = r#"{"e":"kline","E":1789000002031,"s":"ETHUSDT","k":{"t":1788999960000,"T":1789000019999,"s":"ETHUSDT","i":"1m","f":-1,"L":-1,"o":"2769.90000000","c":"2770.35000000","h":"2770.80000000","l":"2769.51000000","v":"184.22150000","n":456,"x":false,"q":"92233720369510331.20917300","V":"97.10440000","Q":"269001.88120500","B":"0"}}"#;
    let EventKind::Kline(candle) = one(minute).kind else { panic!("a candle") };
    assert_eq!(candle.open_time, Nanos::from_millis(1_788_999_960_000));
    assert_eq!((candle.first_id, candle.last_id, candle.trades, candle.closed), (-1, -1, 456, false));
    assert_eq!([candle.open, candle.close], [Price(276_990_000_000), Price(277_035_000_000)]);
    assert_eq!([candle.high, candle.low], [Price(277_080_000_000), Price(276_951_000_000)]);
    assert_eq!([candle.volume, candle.taker_volume], [Volume(18_422_150_000), Volume(9_710_440_000)]);
    assert_eq!(candle.quote_volume, Volume(9_223_372_036_951_033_120_917_300), "more than 64 bits");
    assert_eq!(candle.taker_quote_volume, Volume(26_900_188_120_500));
    assert_eq!(candle.series, Series::MINUTE);
    assert!(decode(&minute.replace("1m", "3m")).expect("documented").list.is_empty());

    // Sent once, when it is over, also without a trade in it.
    let second = r#"{"stream":"ethusdt@kline_1s","data":{"e":"kline","E":1789000003001000,"s":"ETHUSDT","k":{"t":1789000002000000,"T":1789000002999999,"s":"ETHUSDT","i":"1s","f":-1,"L":-1,"o":"2769.90000000","c":"2769.90000000","h":"2769.90000000","l":"2769.90000000","v":"0.00000000","n":0,"x":true,"q":"0.00000000","V":"0.00000000","Q":"0.00000000","B":"0"}}}"#;
    let empty = Kline::empty(Series::SECOND, Nanos::from_millis(1_789_000_002_000), Price(276_990_000_000));
    let expected = EventKind::Kline(Kline { closed: true, ..empty });
    let time = Some(Nanos::from_millis(1_789_000_003_001));
    assert_eq!(one(second), Event { instrument: ETH, time, kind: expected });
}

#[test]
fn average_prices() {
    let expected = EventKind::AveragePrice(AveragePrice {
        minutes: 5,
        price: Price(8_661_712_932_012),
        last_trade: Nanos::from_millis(1_789_000_000_123),
    });
    for frame in [
        r#"{"stream":"btcusdt@avgPrice","data":{"e":"avgPrice","E":1789000000124,"s":"BTCUSDT","i":"5m","w":"86617.12932012","T":1789000000123}}"#,
        r#"{"T":1789000000123000,"w":"86617.12932012","i":"5m","s":"BTCUSDT","E":1789000000124000,"e":"avgPrice","new":null}"#,
    ] {
        assert_eq!(one(frame), Event { instrument: BTC, time: Some(TIME), kind: expected }, "{frame}");
    }
    for interval in ["5h", "m", "", "300m", "-5m"] {
        let frame = format!(r#"{{"e":"avgPrice","E":1,"s":"BTCUSDT","i":"{interval}","w":"1.0","T":1}}"#);
        assert_eq!(decode(&frame).map(|events| events.list), Err(Refusal::Malformed), "{frame}");
    }
}

#[test]
fn reference_prices_may_be_none_and_have_no_event_time() {
    let valid = Nanos::from_millis(1_789_000_001_012);
    for (frame, price) in [
        (r#"{"stream":"btcusdt@referencePrice","data":{"e":"referencePrice","s":"BTCUSDT","r":"86699.09224517","t":1789000001012}}"#, Some(Price(8_669_909_224_517))),
        (r#"{"e":"referencePrice","s":"BTCUSDT","r":null,"t":1789000001012000}"#, None),
    ] {
        let kind = EventKind::ReferencePrice(ReferencePrice { price, time: valid });
        assert_eq!(one(frame), Event { instrument: BTC, time: None, kind }, "{frame}");
    }
    let missing = r#"{"e":"referencePrice","s":"BTCUSDT","t":1789000001012}"#;
    assert_eq!(decode(missing).map(|events| events.list), Err(Refusal::Malformed));
}

#[test]
fn block_trades_are_told_from_trades() {
    let frame = r#"{"stream":"ethusdt@blockTrade","data":{"e":"blockTrade","E":1789000000124000,"s":"ETHUSDT","t":41,"p":"2770.35000000","q":"710.00000000","T":1789000000123456,"m":true}}"#;
    let trade = Trade {
        id: 41,
        price: Price(277_035_000_000),
        quantity: Quantity(71_000_000_000),
        time: Nanos(1_789_000_000_123_456_000),
        buyer_is_maker: true,
    };
    assert_eq!(one(frame), Event { instrument: ETH, time: Some(TIME), kind: EventKind::BlockTrade(trade) });
}

/// Only reference prices have no event time.
#[test]
fn a_missing_event_time_is_a_fault() {
    for frame in [
        r#"{"e":"blockTrade","s":"ETHUSDT","t":41,"p":"1","q":"1","T":1,"m":true}"#,
        r#"{"e":"avgPrice","s":"BTCUSDT","i":"5m","w":"1.0","T":1}"#,
        r#"{"e":"trade","s":"BTCUSDT","t":1,"p":"1","q":"1","T":1,"m":true}"#,
    ] {
        assert_eq!(decode(frame).map(|events| events.list), Err(Refusal::Malformed), "{frame}");
    }
}

#[test]
fn day_statistics_short_and_long() {
    let mini = MiniTicker {
        close: Price(8_670_478_000_000),
        open: Price(8_634_254_000_000),
        high: Price(8_699_000_000_000),
        low: Price(8_497_210_000_000),
        volume: Volume(1_342_662_951_000),
        quote_volume: Volume(115_128_468_475_282_880),
    };
    let short = r#"{"e":"24hrMiniTicker","E":1789000000124,"s":"BTCUSDT","c":"86704.78000000","o":"86342.54000000","h":"86990.00000000","l":"84972.10000000","v":"13426.62951000","q":"1151284684.75282880"}"#;
    assert_eq!(one(short), Event { instrument: BTC, time: Some(TIME), kind: EventKind::MiniTicker(mini) });

    let long = r#"{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":1789000000124,"s":"BTCUSDT","p":"-362.24000000","P":"-0.420","w":"85746.36574990","x":"86342.55000000","c":"86704.78000000","Q":"0.03500000","b":"86704.77000000","B":"4.67811000","a":"86704.79000000","A":"0.00384000","o":"86342.54000000","h":"86990.00000000","l":"84972.10000000","v":"13426.62951000","q":"1151284684.75282880","O":1788913601001,"C":1789000001001,"F":6052880133,"L":6054521811,"n":1641679}}"#;
    let EventKind::Ticker(ticker) = one(long).kind else { panic!("a ticker") };
    assert_eq!(ticker.mini, mini);
    assert_eq!((ticker.change, ticker.change_percent), (Price(-36_224_000_000), -420));
    assert_eq!([ticker.weighted_average, ticker.previous_close], [Price(8_574_636_574_990), Price(8_634_255_000_000)]);
    assert_eq!(ticker.last_quantity, Quantity(3_500_000));
    assert_eq!(ticker.bid, level(8_670_477_000_000, 467_811_000));
    assert_eq!(ticker.ask, level(8_670_479_000_000, 384_000));
    assert_eq!([ticker.open_time, ticker.close_time].map(Nanos::millis), [1_788_913_601_001, 1_789_000_001_001]);
    assert_eq!([ticker.first_id, ticker.last_id, ticker.trades], [6_052_880_133, 6_054_521_811, 1_641_679]);
}

#[test]
fn lists_say_what_their_elements_say_about_instruments_of_ours() {
    let of = |symbol: &str, close: u32| {
        format!(r#"{{"e":"24hrMiniTicker","E":1789000000124,"s":"{symbol}","c":"{close}","o":"1","h":"9","l":"1","v":"1","q":"1"}}"#)
    };
    let list = format!("[{},{},{}]", of("ETHUSDT", 2), of("DOGEUSDT", 3), of("BTCUSDT", 4));
    for frame in [list.clone(), format!(r#"{{"stream":"!miniTicker@arr","data":{list}}}"#)] {
        let said: Vec<_> = decode(&frame).expect("documented").list.iter().map(|event| (event.instrument, event.kind)).collect();
        let closes: Vec<_> = said
            .iter()
            .map(|(instrument, kind)| match kind {
                EventKind::MiniTicker(ticker) => (*instrument, ticker.close),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(closes, [(ETH, Price(200_000_000)), (BTC, Price(400_000_000))]);
    }
    assert!(decode("[]").expect("an empty list").list.is_empty());
    assert_eq!(decode(&list.replace("\"o\":\"1\"", "\"o\":1")).map(drop), Err(Refusal::Malformed));
}

#[test]
fn worked_out_numbers_may_have_more_digits_than_prices() {
    let frame = r#"{"e":"avgPrice","E":1,"s":"SHIBBIDR","i":"5m","w":"0.40151","T":1}"#;
    let EventKind::AveragePrice(average) = one(frame).kind else { panic!("an average price") };
    assert_eq!(average.price, Price(402));
    assert_eq!(decode(&frame.replace("0.4", "-0.4")).map(drop), Err(Refusal::Number));
}

#[test]
fn symbols_beyond_ascii_come_raw_or_escaped() {
    for symbol in ["币安人生USDT", r"\u5e01\u5b89\u4eba\u751fUSDT"] {
        let frame = format!(r#"{{"u":1,"s":"{symbol}","b":"1.00000000","B":"1.00000000","a":"2.00000000","A":"1.00000000"}}"#);
        assert_eq!(one(&frame).instrument, LIFE);
    }
}

#[test]
fn numbers_have_the_decimals_of_their_instrument_or_are_refused() {
    let frame = |bid: &str, quantity: &str| {
        decode(&format!(r#"{{"u":1,"s":"SHIBBIDR","b":"{bid}","B":"{quantity}","a":"0.402","A":"1.00"}}"#)).map(|events| events.list)
    };
    let list = frame("0.401", "7.5").expect("exact");
    let EventKind::Best(best) = list[0].kind else { panic!("{list:?}") };
    assert_eq!(best.bid, level(401, 750));
    assert!(frame("0.40100000", "7.50000000").is_ok(), "surplus zeros are no digits");
    assert_eq!(frame("0.4015", "7.50"), Err(Refusal::Number));
    assert_eq!(frame("0.401", "7.505"), Err(Refusal::Number));
    assert_eq!(frame("-0.401", "7.50"), Err(Refusal::Number));
    assert_eq!(frame("92233720368547758.07", "7.50"), Err(Refusal::Number));
    assert_eq!(frame("", "7.50"), Err(Refusal::Number));
}

#[test]
fn answers_and_kinds_nobody_asked_for_say_nothing() {
    for frame in [
        r#"{"result":null,"id":1}"#,
        r#"{"id":"a1b2","result":["btcusdt@trade"]}"#,
        r#"{"e":"serverShutdown","E":1789000000124}"#,
        r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1789000000124}}"#,
        r#"{"stream":"btcusdt@depth5","data":{"lastUpdateId":1,"bids":[],"asks":[]}}"#,
        r#"{"e":"1hTicker","E":1,"s":"BTCUSDT","p":"1.0"}"#,
    ] {
        assert!(decode(frame).expect(frame).list.is_empty(), "{frame}");
    }
}

#[test]
fn each_fault_has_its_reason() {
    for (frame, refusal) in [
        (r#"{"error":{"code":2,"msg":"Invalid request"},"id":4}"#, Refusal::VenueError),
        (r#"{"code":-1121,"msg":"Invalid symbol."}"#, Refusal::VenueError),
        (r#"{"u":1,"s":"DOGEUSDT","b":"1","B":"1","a":"2","A":"1"}"#, Refusal::UnknownInstrument),
        (r#"{"e":"novelty","E":1,"s":"BTCUSDT"}"#, Refusal::UnknownMessage),
        (r#"{"hello":"world"}"#, Refusal::UnknownMessage),
        (r#"[1]"#, Refusal::UnknownMessage),
        (r#""text""#, Refusal::UnknownMessage),
        (r#"{"stream":"x","data":null}"#, Refusal::UnknownMessage),
        (r#"{"stream":"x","data":[1]}"#, Refusal::UnknownMessage),
        (r#"{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2"}"#, Refusal::Malformed),
        (r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1.5,"p":"1","q":"1","T":1,"m":true}"#, Refusal::Malformed),
        (r#"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":1,"b":[["1"]],"a":[]}"#, Refusal::Malformed),
        (r#"{"u":1,"s":"BTCUSDT","b":1.5,"B":"1","a":"2","A":"1"}"#, Refusal::Malformed),
        ("", Refusal::Malformed),
        (r#"{"e":"trade""#, Refusal::Malformed),
    ] {
        assert_eq!(decode(frame).map(|events| events.list), Err(refusal), "{frame}");
    }
}

#[test]
fn a_refused_frame_leaves_the_next_one_alone() {
    let mut decoder = Binance.decoder(Arc::new(catalogue()), VenueId(0));
    let mut events = Events::default();
    let whole = r#"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":1,"b":[["1.00000000","2.00000000"]],"a":[]}"#;
    for end in 0..whole.len() {
        assert!(decoder.frame(&whole.as_bytes()[..end], &mut events).is_err());
        events.clear();
        decoder.frame(whole.as_bytes(), &mut events).expect("whole");
        assert_eq!((events.list.len(), events.levels.len()), (1, 1));
        events.clear();
    }
}

#[test]
fn events_of_earlier_frames_stay() {
    let mut decoder = Binance.decoder(Arc::new(catalogue()), VenueId(0));
    let mut events = Events::default();
    for frame in [
        r#"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":1,"b":[["1.00000000","2.00000000"]],"a":[]}"#,
        r#"{"e":"depthUpdate","E":1,"s":"ETHUSDT","U":1,"u":1,"a":[["3.00000000","4.00000000"]],"b":[]}"#,
    ] {
        decoder.frame(frame.as_bytes(), &mut events).expect("documented");
    }
    let EventKind::BookDiff(second) = events.list[1].kind else { panic!("a diff") };
    assert_eq!(second.asks.of(&events.levels), [level(300_000_000, 400_000_000)]);
    assert_eq!(events.levels[0], level(100_000_000, 200_000_000));
}

#[test]
fn dials_keep_an_instrument_together_within_the_limits() {
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    for index in 0..400 {
        let symbol = format!("COIN{index}USDT");
        catalogue.add_instrument(venue, &symbol, &symbol);
    }
    let instruments: Vec<_> = catalogue.instruments().iter().collect();
    let dials = Binance.dials(&instruments);
    let mut seen = Vec::new();
    for dial in &dials {
        let names: Vec<_> = streams_of(&dial.path).split('/').collect();
        assert!(dial.path.len() <= PATH_CHARACTERS_MAX && names.len() <= STREAMS_MAX && dial.messages.is_empty());
        let mut expected = Vec::new();
        for &id in &dial.instruments {
            let symbol = &catalogue.instrument(id).symbol_lower;
            expected.extend(CHANNELS.map(|channel| format!("{symbol}@{channel}")));
            seen.push(id);
        }
        assert_eq!(names, expected);
    }
    assert_eq!(seen, instruments.iter().map(|instrument| instrument.id).collect::<Vec<_>>());
    assert!(dials.len() <= 16, "{} connections", dials.len());
    assert!(Binance.dials(&[]).is_empty());
}

fn streams_of(path: &str) -> &str {
    let streams = path.strip_prefix("/stream?streams=").and_then(|rest| rest.strip_suffix("&timeUnit=MICROSECOND"));
    streams.unwrap_or_else(|| panic!("combined, in microseconds: {path}"))
}

#[test]
fn requests_spell_symbols_for_a_url() {
    let catalogue = catalogue();
    let life = catalogue.instrument(LIFE);
    let dial = &Binance.dials(&[life])[0];
    assert!(dial.path.contains("=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@depth@100ms/"), "{}", dial.path);
    let btc = catalogue.instrument(BTC);
    for (levels, weight) in [(100, 5), (101, 25), (500, 25), (1000, 50), (5000, 250)] {
        let path = format!("/api/v3/depth?symbol=BTCUSDT&limit={levels}");
        assert_eq!(Binance.snapshot(btc, levels), Some(RestRequest { path, weight }));
    }
    let path = "/api/v3/historicalTrades?symbol=BTCUSDT&limit=1000&fromId=7".to_owned();
    assert_eq!(Binance.trades(btc, 7, 5000), Some(RestRequest { path, weight: 25 }));
    let path = "/api/v3/trades?symbol=BTCUSDT&limit=1000".to_owned();
    assert_eq!(Binance.recent_trades(btc), Some(RestRequest { path, weight: 25 }));
    for (from_id, count, query) in [(None, 5000, "limit=1000"), (Some(26_129), 3, "limit=3&fromId=26129")] {
        let path = format!("/api/v3/aggTrades?symbol=BTCUSDT&{query}");
        assert_eq!(Binance.agg_trades(btc, from_id, count), Some(RestRequest { path, weight: 4 }));
    }
    for (interval, zone, from, query) in [
        (Interval::Minute1, Zone::Utc, 1_789_000_020_000_000_000, "interval=1m&startTime=1789000020000&limit=1000"),
        (Interval::Month1, Zone::Plus8, 1, "interval=1M&startTime=1&limit=1000&timeZone=8"),
        (Interval::Hour4, Zone::Plus8, 0, "interval=4h&startTime=0&limit=1000"),
        (Interval::Second1, Zone::Utc, -7, "interval=1s&startTime=0&limit=1000"),
    ] {
        let path = format!("/api/v3/klines?symbol=BTCUSDT&{query}");
        let request = Binance.klines(btc, Series::new(interval, zone), Nanos(from), 1000);
        assert_eq!(request, Some(RestRequest { path, weight: 2 }));
    }
    let life_trades = Binance.recent_trades(life).expect("Binance has them").path;
    assert!(life_trades.contains("symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&"), "{life_trades}");
    let path = "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D".to_owned();
    assert_eq!(Binance.listing(&["BTCUSDT", "ETHUSDT"]), ListingSource::Rest(RestRequest { path, weight: 20 }));
    let path = "/api/v3/exchangeInfo".to_owned();
    assert_eq!(Binance.listing(&["BTCUSDT"; 2000]), ListingSource::Rest(RestRequest { path, weight: 20 }));
}

#[test]
fn farewells_are_told_from_data() {
    for frame in [
        r#"{"e":"serverShutdown","E":1789000000124000}"#,
        r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1789000000124000}}"#,
    ] {
        assert!(Binance.is_farewell(frame.as_bytes()));
    }
    assert!(!Binance.is_farewell(br#"{"result":null,"id":1}"#));
    assert!(!Binance.is_farewell(&b"\"serverShutdown\" ".repeat(20)), "long frames are data");
}

const SAMPLES: [&str; 8] = [
    r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1789000000124,"s":"BTCUSDT","U":203,"u":223,"b":[["86704.77000000","4.67823000"],["86701.00000000","0.00000000"]],"a":[["86704.78000000","0.00000000"]]}}"#,
    r#"{"stream":"btcusdt@bookTicker","data":{"u":100530416204,"s":"BTCUSDT","b":"86704.77000000","B":"4.67811000","a":"86704.79000000","A":"0.00384000"}}"#,
    r#"{"e":"trade","E":1789000000124000,"s":"ETHUSDT","t":1890123456,"p":"2770.35000000","q":"0.71000000","T":1789000000123456,"m":true,"M":true}"#,
    r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1789000000124,"s":"BTCUSDT","a":3571190021,"p":"86704.78000000","q":"0.03500000","f":809,"l":811,"T":1789000000123,"m":false,"M":true}}"#,
    r#"{"e":"kline","E":1789000002031,"s":"ETHUSDT","k":{"t":1788999960000,"T":1789000019999,"s":"ETHUSDT","i":"1m","f":1,"L":2,"o":"1.0","c":"1.0","h":"1.0","l":"1.0","v":"1.0","n":4,"x":false,"q":"1.0","V":"1.0","Q":"1.0","B":"0"}}"#,
    r#"{"stream":"btcusdt@avgPrice","data":{"e":"avgPrice","E":1789000000124,"s":"BTCUSDT","i":"5m","w":"86617.12932012","T":1789000000123}}"#,
    r#"{"e":"referencePrice","s":"BTCUSDT","r":null,"t":1789000001012000}"#,
    r#"{"e":"blockTrade","E":1789000000124000,"s":"ETHUSDT","t":41,"p":"2770.35000000","q":"710.00000000","T":1789000000123456,"m":true}"#,
];

/// Else they would be read as well, and four times as slowly.
#[test]
fn frequent_frames_in_the_documented_order_are_read_the_quick_way() {
    let symbols = Symbols::new(Arc::new(catalogue()), VenueId(0), |instrument| &instrument.symbol);
    for sample in &SAMPLES[..4] {
        let mut events = Events::default();
        assert_eq!(ordered::frame(&symbols, sample.as_bytes(), &mut events), Some(()), "{sample}");
        assert_eq!(events.list.len(), 1);
    }
    let body = br#"{"lastUpdateId":-1,"bids":[],"asks":[["5.00000000","1.00000000"]]}"#;
    assert_eq!(ordered::snapshot(BTC, Decimals::EIGHT, 10, body, &mut Events::default()), Some(()));
}

proptest! {
    #[test]
    fn damage_is_read_or_refused(
        sample in 0..SAMPLES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut frame = SAMPLES[sample].as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        frame.truncate(end.index(frame.len() + 1));
        let (mut decoder, mut events) = (Binance.decoder(Arc::new(catalogue()), VenueId(0)), Events::default());
        let _ = decoder.frame(&frame, &mut events);
        let _ = decoder.snapshot(BTC, 10, &frame, &mut events);
        let _ = decoder.trades(BTC, &frame, &mut events);
        let _ = decoder.agg_trades(BTC, &frame, &mut events);
        let _ = decoder.klines(BTC, Series::MINUTE, &frame, &mut events);
        let _ = (Binance.parse_listing(&frame), Binance.is_farewell(&frame));
    }

    /// Whatever the quick reader takes, the reader of any order takes too, and for the same.
    #[test]
    fn both_readers_agree(
        sample in 0..SAMPLES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), "[0-9.,\":{}\\[\\]a-zA-Z-]"), 0..3),
    ) {
        let mut frame = SAMPLES[sample].as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte.as_bytes()[0];
        }
        let symbols = Symbols::new(Arc::new(catalogue()), VenueId(0), |instrument| &instrument.symbol);
        let (mut quick, mut careful) = (Events::default(), Events::default());
        if ordered::frame(&symbols, &frame, &mut quick).is_some() {
            let read = Tape::new().read(&frame, |root| any_order::frame(&symbols, root, &mut careful));
            prop_assert_eq!(read, Ok(()), "{}", String::from_utf8_lossy(&frame));
            prop_assert_eq!((quick.list, quick.levels), (careful.list, careful.levels));
        }
    }
}
