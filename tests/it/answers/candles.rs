//! Candles and windows of real views and a real store: bytes.

use tickcast::market::{Interval, Series, Volume, Zone};

use super::*;

const ONE: i64 = 100_000_000;
/// The minute that is open at [`NOW`]: 00:26 UTC.
const MINUTE_MS: i64 = 1_788_999_960_000;
/// Its number, when 23:00 of the day before has number 0.
const LAST: i64 = 86;

/// Minute `number` with one trade, id 1000 + `number`.
fn minute(number: i64) -> Kline {
    let price = |units: i64| Price((units + number) * ONE);
    Kline {
        series: Series::MINUTE,
        open_time: Nanos::from_millis(MINUTE_MS + (number - LAST) * 60_000),
        first_id: 1000 + number,
        last_id: 1000 + number,
        open: price(100),
        high: price(110),
        low: price(90),
        close: price(105),
        volume: Volume(i128::from(ONE) * 5 / 2),
        quote_volume: Volume(i128::from(ONE) * 250),
        taker_volume: Volume(i128::from(ONE) * 3 / 2),
        taker_quote_volume: Volume(i128::from(ONE) * 150),
        trades: 1,
        closed: number < LAST,
    }
}

/// The candle of `series` that these minutes make.
fn sum(series: Series, numbers: std::ops::RangeInclusive<i64>) -> Kline {
    let first = minute(*numbers.start());
    let closed = series.next_open(first.open_time) <= NOW;
    let mut sum = Kline { closed, ..Kline::empty(series, series.open_time(first.open_time), first.open) };
    numbers.for_each(|number| sum.absorb(&minute(number)));
    sum
}

/// 87 minutes, the last one open, and the two hours that they lie in.
pub(super) fn furnished() -> Fixture {
    let mut fixture = fixture();
    let minutes: Vec<_> = (0..LAST - 1).map(minute).collect();
    fixture.publish_klines(0, &minutes, Payload::PastKline);
    fixture.publish_klines(0, &[sum(Series::HOUR, 0..=59)], Payload::PastKline);
    fixture.publish_klines(0, &[minute(LAST - 1), minute(LAST), sum(Series::HOUR, 60..=LAST)], Payload::Kline);
    fixture
}

#[test]
fn rows_have_twelve_elements_in_ms_and_us() {
    let fixture = furnished();
    let path = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=2";
    let rows = r#"[[1788999900000,"185.00000000","195.00000000","175.00000000","190.00000000","2.50000000",1788999959999,"250.00000000",1,"1.50000000","150.00000000","0"],[1788999960000,"186.00000000","196.00000000","176.00000000","191.00000000","2.50000000",1789000019999,"250.00000000",1,"1.50000000","150.00000000","0"]]"#;
    assert_eq!(fixture.text(path), rows);
    assert_eq!(fixture.text(&path.replace("klines", "uiKlines")), rows);
    let micros = r#"[[1788999900000000,"185.00000000","195.00000000","175.00000000","190.00000000","2.50000000",1788999959999999,"250.00000000",1,"1.50000000","150.00000000","0"],[1788999960000000,"186.00000000","196.00000000","176.00000000","191.00000000","2.50000000",1789000019999999,"250.00000000",1,"1.50000000","150.00000000","0"]]"#;
    assert_eq!(fixture.micros(path), micros);
    let hour = r#"[[1788994800000,"100.00000000","169.00000000","90.00000000","164.00000000","150.00000000",1788998399999,"15000.00000000",60,"90.00000000","9000.00000000","0"],[1788998400000,"160.00000000","196.00000000","150.00000000","191.00000000","67.50000000",1789001999999,"6750.00000000",27,"40.50000000","4050.00000000","0"]]"#;
    assert_eq!(fixture.text("/api/v3/klines?symbol=BTCUSDT&interval=1h"), hour);
}

/// Opening times relative to 23:00, in minutes, and counts of trades.
fn opens_and_counts(fixture: &Fixture, query: &str) -> Vec<(i64, i64)> {
    let text = fixture.text(&format!("/api/v3/klines?symbol=BTCUSDT&{query}"));
    let rows: Vec<Vec<Value>> = serde_json::from_str(&text).expect("rows");
    let of = |row: &Vec<Value>| {
        let open = row[0].as_i64().expect("a time") - (MINUTE_MS - LAST * 60_000);
        (open / 60_000, row[8].as_i64().expect("a count"))
    };
    rows.iter().map(of).collect()
}

#[test]
fn start_end_and_limit_choose_rows() {
    let fixture = furnished();
    let at = |number: i64| MINUTE_MS + (number - LAST) * 60_000;
    let minutes = |query: &str| {
        let rows = opens_and_counts(&fixture, &format!("interval=1m{query}"));
        assert!(rows.iter().all(|&(_, count)| count == 1), "{query}");
        rows.into_iter().map(|(open, _)| open).collect::<Vec<_>>()
    };
    assert_eq!(minutes(""), (0..=LAST).collect::<Vec<_>>());
    assert_eq!(minutes("&startTime=0&limit=1"), [0], "the oldest candle known");
    assert_eq!(minutes(&format!("&startTime={}&limit=2", at(10))), [10, 11]);
    assert_eq!(minutes(&format!("&startTime={}&limit=2", at(10) + 1)), [11, 12]);
    assert_eq!(minutes(&format!("&startTime={}000&limit=1", at(10))), [10], "microseconds");
    assert_eq!(minutes(&format!("&endTime={}&limit=2", at(10) - 1)), [8, 9]);
    assert_eq!(minutes(&format!("&endTime={}&limit=2", at(10))), [9, 10]);
    assert_eq!(minutes(&format!("&startTime={}&endTime={}", at(83), at(84))), [83, 84]);
    assert_eq!(minutes(&format!("&startTime={}&endTime={}", at(84), at(83))), [] as [i64; 0]);
    assert_eq!(minutes("&startTime=9999999999999"), [] as [i64; 0]);
    assert_eq!(minutes("&endTime=0"), [] as [i64; 0]);
}

#[test]
fn any_zone_is_put_together_from_shorter_candles() {
    let fixture = furnished();
    // From quarters past on; 23:15 is the first of which all is known.
    assert_eq!(opens_and_counts(&fixture, "interval=1h&timeZone=5:45"), [(15, 60), (75, 12)]);
    assert_eq!(opens_and_counts(&fixture, "interval=1h&timeZone=-3:30"), [(30, 57)]);
    assert_eq!(opens_and_counts(&fixture, "interval=30m&timeZone=5:30").len(), 3);
    // Days that are open now begin at 00:00, 16:00 and 05:00 UTC.
    assert_eq!(opens_and_counts(&fixture, "interval=1d"), [(60, 27)]);
    assert_eq!(opens_and_counts(&fixture, "interval=1d&timeZone=8"), [(60 - 8 * 60, 87)]);
    assert_eq!(opens_and_counts(&fixture, "interval=1d&timeZone=-05:00"), [(60 - 19 * 60, 87)]);
    for interval in ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]
    {
        for zone in ["0", "8", "-12:00", "14", "05:45"] {
            let rows = opens_and_counts(&fixture, &format!("interval={interval}&timeZone={zone}"));
            assert_eq!(rows.is_empty(), interval == "1s", "{interval} {zone}: there are no seconds");
        }
    }
}

#[test]
fn what_the_venue_sent_of_a_series_goes_before_what_its_parts_make() {
    let mut fixture = furnished();
    let day = Series::new(Interval::Day1, Zone::Plus8);
    fixture.publish_klines(0, &[Kline { trades: 4711, ..sum(day, 0..=LAST) }], Payload::Kline);
    assert_eq!(opens_and_counts(&fixture, "interval=1d&timeZone=8"), [(-420, 4711)]);
}

#[test]
fn empty_minutes_inside_known_history_carry_the_price() {
    let mut fixture = fixture();
    let later = Kline { first_id: 1011, last_id: 1011, ..minute(13) };
    let unknown = Kline { first_id: 1015, last_id: 1015, ..minute(16) };
    fixture.publish_klines(1, &[minute(10), later, unknown], Payload::PastKline);
    let text = fixture.text("/api/v3/klines?symbol=ETHUSDT&interval=1m");
    let rows: Vec<Vec<Value>> = serde_json::from_str(&text).expect("rows");
    assert_eq!(rows.len(), 5, "ids 1012 to 1014 are missing, so that nobody knows what happened there: {text}");
    let empty = r#"[1788995520000,"115.00000000","115.00000000","115.00000000","115.00000000","0.00000000",1788995579999,"0.00000000",0,"0.00000000","0.00000000","0"]"#;
    assert!(text.contains(empty), "{text}");
}

#[test]
fn a_candle_that_has_just_closed_is_there_before_the_store_has_it() {
    let mut fixture = fixture();
    // The views are waited for, the store is not.
    let klines = vec![minute(LAST - 1), minute(LAST)];
    fixture.publish_of(0, &[Payload::Kline(0), Payload::Kline(1)], Batch { klines, ..Batch::default() });
    assert_eq!(opens_and_counts(&fixture, "interval=1m"), [(LAST - 1, 1), (LAST, 1)]);
}

#[test]
fn older_trades_come_from_the_store() {
    let mut fixture = fixture();
    let trade = |id: i64| Trade {
        id,
        price: Price(ONE),
        quantity: Quantity(ONE),
        time: Nanos::from_millis(1_788_000_000_000 + id * 1000),
        buyer_is_maker: false,
    };
    let agg = |id: i64| AggTrade {
        id,
        price: Price(ONE),
        quantity: Quantity(ONE),
        first_id: id,
        last_id: id,
        time: Nanos::from_millis(1_788_000_000_000 + id * 1000),
        buyer_is_maker: false,
    };
    // Sparse ids, as venues without their own have them, up to 300; dense ones from there.
    let ids: Vec<i64> = (100..300).step_by(7).chain(300..1500).collect();
    let past: Vec<_> =
        ids.iter().flat_map(|&id| [Payload::PastTrade(trade(id)), Payload::PastAggTrade(agg(id))]).collect();
    let live: Vec<_> = (1500..1600).flat_map(|id| [Payload::Trade(trade(id)), Payload::AggTrade(agg(id))]).collect();
    fixture.publish(&[], &past);
    fixture.publish(&[], &live);
    let newest = |store: &Store| {
        let [trade] = store.trades(InstrumentId(0), None, 1)[..] else { return false };
        let [agg] = store.agg_trades(InstrumentId(0), None, 1)[..] else { return false };
        trade.id == 1599 && agg.id == 1599
    };
    wait_until("the store keeps them", || newest(&fixture.store));
    let ids: Vec<i64> = ids.into_iter().chain(1500..1600).collect();
    let got = |target: &str, key: &str| {
        let list: Vec<Value> = serde_json::from_str(&fixture.text(&format!("/api/v3/{target}"))).expect("objects");
        list.iter().map(|trade| trade[key].as_i64().expect("an id")).collect::<Vec<_>>()
    };
    let from = |id: i64, limit: usize| ids.iter().copied().filter(|&it| it >= id).take(limit).collect::<Vec<_>>();
    let until = |id: i64, limit: usize| {
        let mut list: Vec<_> = ids.iter().rev().copied().filter(|&it| it <= id).take(limit).collect();
        list.reverse();
        list
    };
    assert_eq!(got("trades?symbol=BTCUSDT&limit=1000", "id"), until(9999, 1000));
    assert_eq!(got("trades?symbol=BTCUSDT&limit=9999", "id"), until(9999, 1000), "more is read as 1000");
    assert_eq!(got("trades?symbol=BTCUSDT", "id"), until(9999, 500));
    assert_eq!(got("aggTrades?symbol=BTCUSDT", "a"), until(9999, 500));
    for id in [0, 99, 100, 101, 299, 300, 1450, 1499, 1500, 1501, 1599, 1600] {
        for limit in [1, 30, 1000] {
            let query = format!("symbol=BTCUSDT&limit={limit}");
            assert_eq!(got(&format!("historicalTrades?{query}&fromId={id}"), "id"), from(id, limit), "{id} {limit}");
            assert_eq!(got(&format!("aggTrades?{query}&fromId={id}"), "a"), from(id, limit), "{id} {limit}");
            let time = 1_788_000_000_000 + id * 1000;
            let start = format!("aggTrades?{query}&startTime={time}");
            assert_eq!(got(&start, "a"), from(id, limit), "{id} {limit}");
            assert_eq!(got(&format!("aggTrades?{query}&endTime={time}"), "a"), until(id, limit), "{id} {limit}");
            let mut both = from(id, limit);
            both.retain(|&it| it <= id + 100);
            assert_eq!(got(&format!("{start}&endTime={}", time + 100_000), "a"), both, "{id} {limit}");
        }
    }
}
