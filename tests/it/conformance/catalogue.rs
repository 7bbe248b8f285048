//! Section 2: every stream by every name that it has, byte for byte, raw and combined, in both units.

use tickcast::{
    market::{
        AggTrade, AveragePrice, Best, Interval, Kline, MiniTicker, ReferencePrice, RollingTicker, Series, Ticker,
        VenueId, Volume, Zone,
    },
    topic::{Array, Element, Window},
};

use super::*;

const LATER: Nanos = Nanos::from_micros(1_789_000_000_987_654);

/// One payload about BTCUSDT and what becomes of it; `E`, `T`, ... stand for times of the sample in both units.
struct Sample {
    names: Vec<String>,
    payload: Payload,
    batch: Batch,
    millis: String,
    micros: String,
}

fn sample<const N: usize>(names: [&str; N], payload: Payload, batch: Batch, millis: &str, micros: &str) -> Sample {
    Sample {
        names: names.map(str::to_owned).into(),
        payload,
        batch,
        millis: millis.to_owned(),
        micros: micros.to_owned(),
    }
}

/// Opens every name in every form, publishes, and compares every byte.
#[track_caller]
fn assert_delivers(sample: Sample) {
    let mut world = World::new();
    let Sample { names, payload, batch, millis, micros } = sample;
    let mut clients = Vec::new();
    for name in &names {
        for (unit, body) in [("MILLISECOND", &millis), ("microsecond", &micros)] {
            let name_in_url = name.replace('+', "%2B");
            clients.push((world.open(&format!("/ws/{name_in_url}?timeUnit={unit}")), body.clone()));
            let wrapped = world.open(&format!("/stream?streams={name_in_url}&timeUnit={unit}"));
            clients.push((wrapped, combined(name, body)));
        }
    }
    world.publish(BTC, payload, batch);
    for (client, expected) in &mut clients {
        assert_eq!(client.hear(), *expected);
    }
}

#[test]
fn agg_trade_w() {
    let payload = Payload::AggTrade(AggTrade {
        id: 3_571_190_021,
        price: Price(8_670_478_000_000),
        quantity: Quantity(3_500_000),
        first_id: 6_054_521_809,
        last_id: 6_054_521_811,
        time: Nanos::from_micros(1_789_000_000_123_456),
        buyer_is_maker: false,
    });
    assert_delivers(sample(
        ["btcusdt@aggTrade"],
        payload,
        Batch::default(),
        r#"{"e":"aggTrade","E":1789000000124,"s":"BTCUSDT","a":3571190021,"p":"86704.78000000","q":"0.03500000","f":6054521809,"l":6054521811,"T":1789000000123,"m":false,"M":true}"#,
        r#"{"e":"aggTrade","E":1789000000124311,"s":"BTCUSDT","a":3571190021,"p":"86704.78000000","q":"0.03500000","f":6054521809,"l":6054521811,"T":1789000000123456,"m":false,"M":true}"#,
    ));
}

#[test]
fn trade_without_order_ids_w() {
    assert_delivers(sample(
        ["btcusdt@trade"],
        trade(1_890_123_456),
        Batch::default(),
        r#"{"e":"trade","E":1789000000124,"s":"BTCUSDT","t":1890123456,"p":"2770.35000000","q":"0.71000000","T":1789000000123,"m":true,"M":true}"#,
        r#"{"e":"trade","E":1789000000124311,"s":"BTCUSDT","t":1890123456,"p":"2770.35000000","q":"0.71000000","T":1789000000123456,"m":true,"M":true}"#,
    ));
}

#[test]
fn block_trade_without_its_last_key_d() {
    let Payload::Trade(trade) = trade(17) else { unreachable!("it is one") };
    assert_delivers(sample(
        ["btcusdt@blockTrade"],
        Payload::BlockTrade(trade),
        Batch::default(),
        r#"{"e":"blockTrade","E":1789000000124,"s":"BTCUSDT","t":17,"p":"2770.35000000","q":"0.71000000","T":1789000000123,"m":true}"#,
        r#"{"e":"blockTrade","E":1789000000124311,"s":"BTCUSDT","t":17,"p":"2770.35000000","q":"0.71000000","T":1789000000123456,"m":true}"#,
    ));
}

fn kline(series: Series) -> (Payload, Batch) {
    let kline = Kline {
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
        ..Kline::empty(series, series.open_time(NOW), Price(0))
    };
    (Payload::Kline(0), Batch { klines: vec![kline], ..Batch::default() })
}

fn kline_text(event: &str, open: &str, close: &str, interval: &str) -> String {
    format!(
        r#"{{"e":"kline","E":{event},"s":"BTCUSDT","k":{{"t":{open},"T":{close},"s":"BTCUSDT","i":"{interval}","f":1890123001,"L":1890123456,"o":"2769.90000000","c":"2770.35000000","h":"2770.80000000","l":"2769.51000000","v":"184.22150000","n":456,"x":false,"q":"510331.20917300","V":"97.10440000","Q":"269001.88120500","B":"0"}}}}"#
    )
}

/// In microseconds a candle ends with the last one of them.
fn assert_kline(name: &str, interval: Interval, zone: Zone, open: &str, close: &str) {
    let (payload, batch) = kline(Series::new(interval, zone));
    assert_delivers(sample(
        [name],
        payload,
        batch,
        &kline_text("1789000000124", open, close, interval.text()),
        &kline_text("1789000000124311", &format!("{open}000"), &format!("{close}999"), interval.text()),
    ));
}

#[test]
fn kline_w() {
    assert_kline("btcusdt@kline_1m", Interval::Minute1, Zone::Utc, "1788999960000", "1789000019999");
    assert_kline("btcusdt@kline_1s", Interval::Second1, Zone::Utc, "1789000000000", "1789000000999");
    assert_kline("btcusdt@kline_1w", Interval::Week1, Zone::Utc, "1788739200000", "1789343999999");
}

#[test]
fn kline_of_a_day_at_plus_8_d() {
    assert_kline("btcusdt@kline_1d@+08:00", Interval::Day1, Zone::Plus8, "1788969600000", "1789055999999");
    assert_kline("btcusdt@kline_1d", Interval::Day1, Zone::Utc, "1788998400000", "1789084799999");
}

#[test]
fn kline_of_a_month_at_plus_8_d() {
    assert_kline("btcusdt@kline_1M@+08:00", Interval::Month1, Zone::Plus8, "1788192000000", "1790783999999");
    assert_kline("btcusdt@kline_1M", Interval::Month1, Zone::Utc, "1788220800000", "1790812799999");
}

#[test]
fn kline_of_every_interval_in_both_zones_d() {
    let mut world = World::new();
    let names: Vec<_> = Interval::ALL
        .iter()
        .flat_map(|interval| ["", "@+08:00"].map(|zone| format!("btcusdt@kline_{}{zone}", interval.text())))
        .collect();
    let mut client = world.open("/stream");
    client.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut heard = Vec::new();
    for series in Series::ALL {
        let (payload, batch) = kline(series);
        world.publish(BTC, payload, batch);
    }
    while heard.len() < names.len() {
        let event: serde_json::Value = serde_json::from_str(&client.hear()).expect("JSON");
        let name = event["stream"].as_str().expect("a name").to_owned();
        let (interval, zone) = match name.strip_prefix("btcusdt@kline_").expect("a candle").split_once('@') {
            Some((interval, _)) => (interval, Zone::Plus8),
            None => (&name["btcusdt@kline_".len()..], Zone::Utc),
        };
        let interval = Interval::parse(interval).expect("an interval");
        let open = interval.open_time(NOW, zone.offset());
        let k = &event["data"]["k"];
        assert_eq!((&k["t"], &k["i"]), (&open.millis().into(), &interval.text().into()), "{name}");
        let end = interval.next_open(open, zone.offset());
        assert_eq!(k["T"], end.millis() - 1, "{name}");
        heard.push(name);
    }
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), names.len(), "each under its own name");
}

#[test]
fn kline_of_a_second_without_trades_w() {
    let kline =
        Kline { closed: true, ..Kline::empty(Series::SECOND, Series::SECOND.open_time(NOW), Price(35_280_000)) };
    let text = |event: &str, open: &str, close: &str| {
        format!(
            r#"{{"e":"kline","E":{event},"s":"BTCUSDT","k":{{"t":{open},"T":{close},"s":"BTCUSDT","i":"1s","f":-1,"L":-1,"o":"0.35280000","c":"0.35280000","h":"0.35280000","l":"0.35280000","v":"0.00000000","n":0,"x":true,"q":"0.00000000","V":"0.00000000","Q":"0.00000000","B":"0"}}}}"#
        )
    };
    assert_delivers(sample(
        ["btcusdt@kline_1s"],
        Payload::Kline(0),
        Batch { klines: vec![kline], ..Batch::default() },
        &text("1789000000124", "1789000000000", "1789000000999"),
        &text("1789000000124311", "1789000000000000", "1789000000999999"),
    ));
}

fn mini() -> MiniTicker {
    MiniTicker {
        close: Price(8_670_478_000_000),
        open: Price(8_634_254_000_000),
        high: Price(8_699_000_000_000),
        low: Price(8_497_201_000_000),
        volume: Volume(1_342_662_951_000),
        quote_volume: Volume(115_128_468_475_282_880),
    }
}

fn mini_text(symbol: &str, event: &str) -> String {
    format!(
        r#"{{"e":"24hrMiniTicker","E":{event},"s":"{symbol}","c":"86704.78000000","o":"86342.54000000","h":"86990.00000000","l":"84972.01000000","v":"13426.62951000","q":"1151284684.75282880"}}"#
    )
}

#[test]
fn mini_ticker_w() {
    assert_delivers(sample(
        ["btcusdt@miniTicker"],
        Payload::MiniTicker(0),
        Batch { mini_tickers: vec![mini()], ..Batch::default() },
        &mini_text("BTCUSDT", "1789000000124"),
        &mini_text("BTCUSDT", "1789000000124311"),
    ));
}

/// The elements of an array about BTCUSDT and ETHUSDT, which changed at another time.
fn elements() -> Vec<Element> {
    vec![Element { instrument: BTC, time: NOW, index: 0 }, Element { instrument: ETH, time: LATER, index: 1 }]
}

/// An array in both units; `text` prints one element.
fn array(names: &[&str], array: Array, batch: Batch, text: impl Fn(&str, bool, bool) -> String) -> Sample {
    let body = |is_micros| format!("[{},{}]", text("BTCUSDT", false, is_micros), text("ETHUSDT", true, is_micros));
    Sample {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        payload: Payload::Array { venue: VenueId(0), array, start: 0, len: 2 },
        batch: Batch { elements: elements(), ..batch },
        millis: body(false),
        micros: body(true),
    }
}

fn event_time(is_later: bool, is_micros: bool) -> &'static str {
    match (is_later, is_micros) {
        (false, false) => "1789000000124",
        (true, false) => "1789000000987",
        (false, true) => "1789000000124311",
        (true, true) => "1789000000987654",
    }
}

#[test]
fn mini_ticker_array_with_its_period_as_an_alias_c() {
    let batch = || Batch { mini_tickers: vec![mini(); 2], ..Batch::default() };
    let text = |symbol: &str, is_later, is_micros| mini_text(symbol, event_time(is_later, is_micros));
    assert_delivers(array(&["!miniTicker@arr", "!miniTicker@arr@1000ms"], Array::MiniTicker, batch(), text));
    assert_delivers(array(&["!miniTicker@arr@3000ms"], Array::MiniTickerSlow, batch(), text));
}

fn ticker() -> Ticker {
    Ticker {
        mini: mini(),
        change: Price(-36_224_000_000),
        change_percent: -420,
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
    }
}

fn ticker_text(symbol: &str, is_later: bool, is_micros: bool) -> String {
    let event = event_time(is_later, is_micros);
    let rest = if is_micros { "250" } else { "" };
    format!(
        r#"{{"e":"24hrTicker","E":{event},"s":"{symbol}","p":"-362.24000000","P":"-0.420","w":"85746.36574990","x":"86342.55000000","c":"86704.78000000","Q":"0.03500000","b":"86704.77000000","B":"4.67811000","a":"86704.79000000","A":"0.00384000","o":"86342.54000000","h":"86990.00000000","l":"84972.01000000","v":"13426.62951000","q":"1151284684.75282880","O":1788913601001{rest},"C":1789000001001{rest},"F":6052880133,"L":6054521811,"n":1641679}}"#
    )
}

#[test]
fn ticker_w() {
    assert_delivers(sample(
        ["btcusdt@ticker"],
        Payload::Ticker(0),
        Batch { tickers: vec![ticker()], ..Batch::default() },
        &ticker_text("BTCUSDT", false, false),
        &ticker_text("BTCUSDT", false, true),
    ));
}

/// Retired by Binance in March 2026; python-binance and older ccxt ask for it.
#[test]
fn ticker_array_c() {
    let batch = Batch { tickers: vec![ticker(); 2], ..Batch::default() };
    assert_delivers(array(&["!ticker@arr"], Array::Ticker, batch, ticker_text));
}

fn rolling() -> RollingTicker {
    RollingTicker {
        mini: mini(),
        change: Price(-12_189_000_000),
        change_percent: -140,
        weighted_average: Price(8_676_147_732_440),
        open_time: Nanos::from_millis(1_788_996_360_000),
        close_time: Nanos::from_micros(1_789_000_000_990_017),
        first_id: 6_054_449_205,
        last_id: 6_054_521_811,
        trades: 72_607,
    }
}

fn rolling_text(window: &str, symbol: &str, is_later: bool, is_micros: bool) -> String {
    let event = event_time(is_later, is_micros);
    let [open, close] = if is_micros { ["000", "017"] } else { ["", ""] };
    format!(
        r#"{{"e":"{window}Ticker","E":{event},"s":"{symbol}","p":"-121.89000000","P":"-0.140","w":"86761.47732440","o":"86342.54000000","h":"86990.00000000","l":"84972.01000000","c":"86704.78000000","v":"13426.62951000","q":"1151284684.75282880","O":1788996360000{open},"C":1789000000990{close},"F":6054449205,"L":6054521811,"n":72607}}"#
    )
}

#[test]
fn rolling_windows_with_w_before_o_w() {
    for window in Window::ALL {
        let name = format!("btcusdt@ticker_{}", window.text());
        assert_delivers(sample(
            [&name],
            Payload::Rolling(window, 0),
            Batch { rollings: vec![rolling()], ..Batch::default() },
            &rolling_text(window.text(), "BTCUSDT", false, false),
            &rolling_text(window.text(), "BTCUSDT", false, true),
        ));
    }
}

#[test]
fn rolling_arrays_d() {
    for window in Window::ALL {
        let batch = Batch { rollings: vec![rolling(); 2], ..Batch::default() };
        let text = |symbol: &str, is_later, is_micros| rolling_text(window.text(), symbol, is_later, is_micros);
        assert_delivers(array(&[&format!("!ticker_{}@arr", window.text())], Array::Rolling(window), batch, text));
    }
}

#[test]
fn book_ticker_without_event_and_times_w() {
    let payload = Payload::BookTicker(Best {
        update_id: 100_530_416_204,
        bid: level(8_670_477_000_000, 467_811_000),
        ask: level(8_670_479_000_000, 384_000),
    });
    let text = r#"{"u":100530416204,"s":"BTCUSDT","b":"86704.77000000","B":"4.67811000","a":"86704.79000000","A":"0.00384000"}"#;
    assert_delivers(sample(["btcusdt@bookTicker"], payload, Batch::default(), text, text));
}

#[test]
fn average_price_d() {
    let payload = Payload::AveragePrice(AveragePrice {
        minutes: 5,
        price: Price(8_661_712_932_012),
        last_trade: Nanos::from_micros(1_789_000_000_123_456),
    });
    assert_delivers(sample(
        ["btcusdt@avgPrice"],
        payload,
        Batch::default(),
        r#"{"e":"avgPrice","E":1789000000124,"s":"BTCUSDT","i":"5m","w":"86617.12932012","T":1789000000123}"#,
        r#"{"e":"avgPrice","E":1789000000124311,"s":"BTCUSDT","i":"5m","w":"86617.12932012","T":1789000000123456}"#,
    ));
}

#[test]
fn reference_price_w() {
    for (price, text) in [(Some(Price(8_669_909_224_517)), "\"86699.09224517\""), (None, "null")] {
        let time = Nanos::from_micros(1_789_000_001_012_345);
        assert_delivers(sample(
            ["btcusdt@referencePrice"],
            Payload::ReferencePrice(ReferencePrice { price, time }),
            Batch::default(),
            &format!(r#"{{"e":"referencePrice","s":"BTCUSDT","r":{text},"t":1789000001012}}"#),
            &format!(r#"{{"e":"referencePrice","s":"BTCUSDT","r":{text},"t":1789000001012345}}"#),
        ));
    }
}

#[test]
fn partial_depth_of_every_size_and_speed_w() {
    let levels: Vec<_> = (0..40).map(|index| level(8_670_477_000_000 + index, 467_823_000)).collect();
    for cadence in [Cadence::Slow, Cadence::Fast] {
        for count in [5_usize, 10, 20] {
            let names = match cadence {
                Cadence::Fast => vec![format!("btcusdt@depth{count}@100ms")],
                _ => vec![format!("btcusdt@depth{count}"), format!("btcusdt@depth{count}@1000ms")],
            };
            let side = |from: usize| {
                let levels: Vec<_> =
                    (from..from + count).map(|index| format!(r#"["86704.770000{index:02}","4.67823000"]"#)).collect();
                levels.join(",")
            };
            let text = format!(r#"{{"lastUpdateId":160,"bids":[{}],"asks":[{}]}}"#, side(0), side(20));
            let [bids, asks] = [Span { start: 0, len: 20 }, Span { start: 20, len: 20 }];
            assert_delivers(Sample {
                names,
                payload: Payload::PartialDepth { cadence, last_id: 160, bids, asks },
                batch: Batch { levels: levels.clone(), ..Batch::default() },
                millis: text.clone(),
                micros: text,
            });
        }
    }
}

#[test]
fn diff_depth_of_both_speeds_w() {
    for (cadence, names) in
        [(Cadence::Slow, vec!["btcusdt@depth", "btcusdt@depth@1000ms"]), (Cadence::Fast, vec!["btcusdt@depth@100ms"])]
    {
        let (payload, batch) = diff(cadence);
        let millis = diff_text("BTCUSDT");
        let micros = millis.replace("1789000000124", "1789000000124311");
        let names = names.into_iter().map(str::to_owned).collect();
        assert_delivers(Sample { names, payload, batch, millis, micros });
    }
}

#[test]
fn symbols_outside_ascii_are_raw_utf8_d() {
    let mut world = World::new();
    let mut raw = world.open("/ws/币安人生usdt@trade");
    let mut wrapped = world.open("/stream?streams=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@trade");
    let mut later = world.open("/stream");
    later.subscribe(&["币安人生usdt@trade"]);
    let mut escaped = world.open("/stream");
    escaped.expect(
        r#"{"method":"SUBSCRIBE","params":["\u5e01\u5b89\u4eba\u751fusdt@trade"],"id":1}"#,
        r#"{"result":null,"id":1}"#,
    );
    world.publish(InstrumentId(2), trade(1), Batch::default());
    let text = trade_text("币安人生USDT", 1);
    assert_eq!(raw.hear(), text);
    for client in [&mut wrapped, &mut later, &mut escaped] {
        assert_eq!(client.hear(), combined("币安人生usdt@trade", &text));
    }
}

#[test]
fn symbols_with_two_decimals_have_two_w() {
    let mut world = World::new();
    let mut client = world.open("/ws/shibidr@trade/shibidr@depth");
    let Payload::Trade(trade) = trade(1) else { unreachable!("it is one") };
    let trade = Payload::Trade(Trade { price: Price(728_500), quantity: Quantity(100), ..trade });
    world.publish(InstrumentId(3), trade, Batch::default());
    assert!(client.hear().contains(r#""p":"7285.00","q":"1.00","#));
    let batch = Batch { levels: vec![level(728_500, 0)], ..Batch::default() };
    let bids = Span { start: 0, len: 1 };
    let diff =
        Payload::DepthDiff { cadence: Cadence::Slow, first_id: 1, last_id: 1, bids, asks: Span { start: 1, len: 0 } };
    world.publish(InstrumentId(3), diff, batch);
    assert!(client.hear().ends_with(r#""b":[["7285.00","0.00"]],"a":[]}"#));
}

#[test]
fn intervals_are_told_apart_by_case_d() {
    let mut world = World::new();
    let mut client = world.open("/stream?streams=btcusdt@kline_1m/btcusdt@kline_1M/btcusdt@kline_1H/ethusdt@trade");
    let (payload, batch) = kline(Series::new(Interval::Month1, Zone::Utc));
    world.publish(BTC, payload, batch);
    assert!(client.hear().starts_with(r#"{"stream":"btcusdt@kline_1M","#));
    let mark = world.mark();
    assert_eq!(client.hear(), combined("ethusdt@trade", &mark));
}

/// Retired by Binance in 2022: section 2.1 lets us answer and stay silent.
#[test]
fn book_ticker_of_all_symbols_is_acknowledged_and_silent_c() {
    let mut world = World::new();
    let mut client = world.open("/ws");
    client.subscribe(&["!bookTicker", "ethusdt@trade"]);
    world.publish(BTC, Payload::BookTicker(Best::default()), Batch::default());
    assert_eq!(world.mark(), client.hear());
}

#[test]
fn other_speeds_and_depths_are_acknowledged_and_silent_w() {
    let mut world = World::new();
    let mut client = world.open("/ws");
    let silent =
        ["btcusdt@depth@0ms", "btcusdt@depth@50ms", "btcusdt@depth30", "btcusdt@depth5@250ms", "ethusdt@trade"];
    client.subscribe(&silent);
    for cadence in Cadence::ALL {
        let (payload, batch) = diff(cadence);
        world.publish(BTC, payload, batch);
        let [bids, asks] = [Span { start: 0, len: 1 }, Span { start: 1, len: 1 }];
        let (_, batch) = diff(cadence);
        world.publish(BTC, Payload::PartialDepth { cadence, last_id: 12, bids, asks }, batch);
    }
    assert_eq!(world.mark(), client.hear());
}
