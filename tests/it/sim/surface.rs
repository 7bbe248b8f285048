//! Candles, statistics, prices and their REST twins as a client sees them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tickcast::sim::{self, Fault, Running, Settings};

use crate::venue_client::{Client, End, eight, get};

fn exchange(symbols: &[&str]) -> Running {
    let symbols = symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
    sim::start(&Settings { seed: 21, rate: 400, symbols, ..Settings::default() }).expect("a free port")
}

async fn rows(exchange: &Running, query: &str) -> Vec<Value> {
    let answer = get(exchange.addr(), &format!("/api/v3/klines?symbol={query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    answer.json().as_array().expect("rows").clone()
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no integer"))
}

/// The sums of rows: volume, quote volume, count, taker volumes.
fn sums(rows: &[Value]) -> [i64; 5] {
    let text = |column: usize| rows.iter().map(|row| eight(&row[column])).sum();
    [text(5), text(7), rows.iter().map(|row| int(&row[8])).sum(), text(9), text(10)]
}

#[tokio::test]
async fn every_timed_stream_speaks_in_its_form() {
    let exchange = exchange(&["BTCUSDT", "TRXUSDT"]);
    let own = [
        "kline_1s",
        "kline_1m",
        "kline_4h",
        "kline_1M",
        "kline_1d@+08:00",
        "miniTicker",
        "ticker",
        "ticker_1h",
        "ticker_4h",
        "ticker_1d",
        "avgPrice",
        "referencePrice",
        "blockTrade",
    ];
    let mut names: Vec<String> = own.iter().map(|name| format!("btcusdt@{name}")).collect();
    names.extend(
        ["!miniTicker@arr", "!miniTicker@arr@3000ms", "!ticker@arr", "!ticker_1h@arr", "trxusdt@referencePrice"]
            .map(str::to_owned),
    );
    let streams = names.join("/").replace('+', "%2B");
    let path = format!("/stream?timeUnit=microsecond&streams={streams}");
    let mut client = Client::open(exchange.addr(), &path).await;
    let mut seen: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    while seen.len() < names.len() || seen["btcusdt@kline_1s"].len() < 3 {
        let mut frame = client.json().await;
        seen.entry(frame["stream"].as_str().expect("a name").to_owned()).or_default().push(frame["data"].take());
    }
    assert_eq!(seen.keys().collect::<BTreeSet<_>>(), names.iter().collect::<BTreeSet<_>>());
    for (name, events) in &seen {
        for event in events {
            let objects = event.as_array().map_or(std::slice::from_ref(event), Vec::as_slice);
            assert!(!objects.is_empty(), "{name}");
            for object in objects {
                let time = if name.ends_with("referencePrice") { &object["t"] } else { &object["E"] };
                assert_eq!(time.to_string().len(), 16, "{name}: {object}");
            }
        }
    }
    for pair in seen["btcusdt@kline_1s"].windows(2) {
        let (k, next) = (&pair[0]["k"], &pair[1]["k"]);
        assert!(k["x"] == true && int(&k["T"]) == int(&k["t"]) + 999_999 && int(&next["t"]) == int(&k["T"]) + 1);
        assert!(next["n"] != 0 || (next["f"] == -1 && next["o"] == k["c"] && next["h"] == k["c"]));
    }
    let day = &seen["btcusdt@kline_1d@+08:00"][0]["k"];
    assert_eq!((day["i"].as_str(), int(&day["t"]) / 1_000_000 % 86_400), (Some("1d"), 16 * 3_600));
    let ticker = &seen["btcusdt@ticker"][0];
    assert_eq!(int(&ticker["C"]) - int(&ticker["O"]), 86_400_000_000);
    assert_eq!(int(&ticker["L"]) - int(&ticker["F"]) + 1, int(&ticker["n"]));
    let hour = &seen["btcusdt@ticker_1h"][0];
    assert!(hour["e"] == "1hTicker" && int(&hour["O"]) % 60_000_000 == 0);
    assert_eq!(int(&hour["O"]), (int(&hour["C"]) - 3_600_000_000).div_euclid(60_000_000) * 60_000_000);
    assert!(seen["trxusdt@referencePrice"].iter().all(|event| event["r"].is_null()));
    assert!(seen["btcusdt@referencePrice"].iter().all(|event| event["r"].is_string()));
}

#[tokio::test]
async fn the_closing_candle_of_a_stream_is_the_row_of_rest() {
    let exchange = exchange(&["ETHUSDT"]);
    let mut client = Client::open(exchange.addr(), "/ws/ethusdt@kline_1s").await;
    for _ in 0..3 {
        let event = client.json().await;
        let k = &event["k"];
        let found = rows(&exchange, &format!("ETHUSDT&interval=1s&startTime={}&limit=1", k["t"])).await;
        let keys = ["t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B"];
        assert_eq!(found, [Value::from(keys.map(|key| k[key].clone()).to_vec())]);
    }
}

#[tokio::test]
async fn rows_add_up_and_follow_each_other_in_every_interval() {
    let exchange = exchange(&["LINKUSDT"]);
    let intervals = ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"];
    for interval in intervals {
        for zone in ["0", "8", "-1:00", "05:45"] {
            let rows = rows(&exchange, &format!("LINKUSDT&interval={interval}&timeZone={zone}&limit=20")).await;
            assert_eq!(rows.len(), 20, "{interval} {zone}");
            for pair in rows.windows(2) {
                assert_eq!(int(&pair[0][6]) + 1, int(&pair[1][0]), "{interval} {zone}");
                let close = if int(&pair[1][8]) == 0 { &pair[1][1] } else { &pair[0][4] };
                assert_eq!(close, &pair[0][4]);
            }
        }
    }
    // A whole hour, a whole day, and a month that is over.
    let hours = rows(&exchange, "LINKUSDT&interval=1h&limit=30").await;
    for hour in &hours[..4] {
        let query = format!("LINKUSDT&interval=1m&startTime={}&endTime={}&limit=1000", hour[0], hour[6]);
        let minutes = rows(&exchange, &query).await;
        assert_eq!((minutes.len(), sums(&minutes)), (60, sums(std::slice::from_ref(hour))));
        assert_eq!((&minutes[0][1], &minutes[59][4]), (&hour[1], &hour[4]));
        assert_eq!(minutes.iter().map(|row| eight(&row[2])).max(), Some(eight(&hour[2])));
        assert_eq!(minutes.iter().map(|row| eight(&row[3])).min(), Some(eight(&hour[3])));
    }
    let month = &rows(&exchange, "LINKUSDT&interval=1M&limit=2").await[0];
    let query = format!("LINKUSDT&interval=1h&startTime={}&endTime={}&limit=1000", month[0], month[6]);
    assert_eq!(sums(&rows(&exchange, &query).await), sums(std::slice::from_ref(month)));
}

#[tokio::test]
async fn times_and_limits_of_rows_follow_the_rules() {
    let exchange = exchange(&["DOTUSDT"]);
    let opens = |rows: Vec<Value>| rows.iter().map(|row| int(&row[0])).collect::<Vec<_>>();
    let minutes = opens(rows(&exchange, "DOTUSDT&interval=1m&limit=50").await);
    let (first, last) = (minutes[10], minutes[20]);
    let of = async |rest: String| opens(rows(&exchange, &format!("DOTUSDT&interval=1m&{rest}")).await);
    assert_eq!(of(format!("startTime={first}&limit=3")).await, minutes[10..13], "the oldest from there");
    assert_eq!(of(format!("startTime={}&limit=2", first - 59_999)).await, minutes[10..12]);
    assert_eq!(of(format!("startTime={first}000&limit=2")).await, minutes[10..12], "in microseconds");
    assert_eq!(of(format!("endTime={last}&limit=4")).await, minutes[17..21], "the newest up to it");
    assert_eq!(of(format!("endTime={}&limit=1", last - 1)).await, minutes[19..20]);
    assert_eq!(of(format!("startTime={first}&endTime={last}")).await, minutes[10..21]);
    assert_eq!(of(format!("startTime={first}&endTime={last}&limit=2")).await, minutes[10..12]);
    assert_eq!(of("limit=5000".to_owned()).await.len(), 1_000, "clamped");
    assert_eq!(of(String::new()).await.len(), 500);
    assert_eq!(of(format!("startTime={last}&endTime={first}")).await, [0; 0]);
    assert_eq!(of("startTime=4000000000000".to_owned()).await, [0; 0]);
    let oldest = of("startTime=0&limit=1".to_owned()).await[0];
    assert_eq!(of("startTime=1700000000&limit=1".to_owned()).await, [oldest], "seconds are no unit: this is 1970");
    assert!(minutes[0] - oldest > 8 * 86_400_000, "a week and more of minutes");
    let months = opens(rows(&exchange, "DOTUSDT&interval=1M&startTime=0").await);
    assert!((24..=26).contains(&months.len()), "{months:?}");
}

#[tokio::test]
async fn trades_and_aggregates_reach_back_into_the_past() {
    let exchange = exchange(&["ADAUSDT"]);
    let addr = exchange.addr();
    let list =
        async |path: String| get(addr, &format!("/api/v3/{path}")).await.json().as_array().expect("a list").clone();
    let newest = list("trades?symbol=ADAUSDT&limit=1000".to_owned()).await;
    assert_eq!(newest.len(), 1_000, "also right after the start");
    assert!(newest.windows(2).all(|pair| int(&pair[0]["id"]) + 1 == int(&pair[1]["id"])));
    let from = int(&newest[0]["id"]) - 3_000;
    let older = list(format!("historicalTrades?symbol=ADAUSDT&fromId={from}&limit=10")).await;
    assert_eq!((older.len(), int(&older[0]["id"])), (10, from));
    let aggregates = list("aggTrades?symbol=ADAUSDT&limit=50".to_owned()).await;
    assert!(aggregates.windows(2).all(|pair| int(&pair[0]["a"]) + 1 == int(&pair[1]["a"])));
    let time = int(&aggregates[10]["T"]);
    let since = list(format!("aggTrades?symbol=ADAUSDT&startTime={time}&limit=5")).await;
    assert_eq!(since[0]["T"], aggregates[10]["T"]);
    let until = list(format!("aggTrades?symbol=ADAUSDT&endTime={time}&limit=5")).await;
    assert_eq!(until.last().expect("some")["T"], aggregates[10]["T"]);
    // A microsecond ends with itself, and not with the millisecond behind it.
    for aggregate in &aggregates[40..] {
        let time = int(&aggregate["T"]);
        let before = list(format!("aggTrades?symbol=ADAUSDT&endTime={}&limit=1", 1_000 * time - 1)).await;
        assert!(int(&before[0]["T"]) < time, "{before:?}");
        let query = format!("startTime={}&endTime={}", 1_000 * time, 1_000 * time + 999);
        let inside = list(format!("aggTrades?symbol=ADAUSDT&{query}")).await;
        assert!(inside.contains(aggregate) && inside.iter().all(|it| int(&it["T"]) == time), "{inside:?}");
    }
    // A past minute is what its trades come to.
    let minute = rows(&exchange, "ADAUSDT&interval=1m&limit=10").await[2].clone();
    let inside =
        list(format!("aggTrades?symbol=ADAUSDT&startTime={}&endTime={}&limit=1000", minute[0], minute[6])).await;
    assert_eq!(inside.len() as i64, int(&minute[8]));
    assert_eq!(inside.iter().map(|trade| eight(&trade["q"])).sum::<i64>(), eight(&minute[5]));
}

#[tokio::test]
async fn tickers_are_objects_or_arrays_and_agree_with_rows() {
    let exchange = exchange(&["BTCUSDT", "ETHUSDT", "TRXUSDT"]);
    // Two answers at rest can be compared.
    exchange.pause();
    let ask = async |path: &str| get(exchange.addr(), &format!("/api/v3/{path}")).await.json();
    for (path, fields) in [("24hr", 21), ("24hr?type=MINI", 12), ("price", 2), ("bookTicker", 5)] {
        let and = if path.contains('?') { '&' } else { '?' };
        let one = ask(&format!("ticker/{path}{and}symbol=ETHUSDT")).await;
        assert_eq!(one.as_object().expect("an object").len(), fields, "{path}");
        let two = ask(&format!("ticker/{path}{and}symbols=%5B%22ETHUSDT%22%5D")).await;
        assert_eq!(two.as_array().map(Vec::len), Some(1), "{path}");
        assert_eq!(ask(&format!("ticker/{path}")).await.as_array().map(Vec::len), Some(3), "{path}");
    }
    assert_eq!(ask("ticker/24hr?symbolStatus=HALT").await, Value::Array(vec![]));
    for (path, minutes) in [("ticker?windowSize=1m", 1), ("ticker?windowSize=4h", 240), ("ticker?type=FULL", 1_440)] {
        let ticker = ask(&format!("{path}&symbol=BTCUSDT")).await;
        assert_eq!(ticker.as_object().expect("an object").len(), 15);
        let open = int(&ticker["openTime"]);
        assert_eq!((open % 60_000, int(&ticker["closeTime"]) / 60_000 - open / 60_000), (0, minutes));
        let mut rows = rows(&exchange, &format!("BTCUSDT&interval=1m&startTime={open}&limit=1000")).await;
        if minutes > 999 {
            let next = int(&rows[999][6]) + 1;
            rows.extend(self::rows(&exchange, &format!("BTCUSDT&interval=1m&startTime={next}&limit=1000")).await);
        }
        let [volume, value, count, ..] = sums(&rows[..=minutes as usize]);
        assert_eq!((eight(&ticker["volume"]), eight(&ticker["quoteVolume"])), (volume, value));
        assert_eq!((int(&ticker["count"]), int(&ticker["lastId"]) - int(&ticker["firstId"]) + 1), (count, count));
        assert_eq!(ticker["openPrice"], rows[0][1]);
    }
    let day = ask("ticker/tradingDay?symbol=BTCUSDT&timeZone=8").await;
    assert_eq!(int(&day["openTime"]) / 1_000 % 86_400, 16 * 3_600);
    assert_eq!(int(&day["closeTime"]) - int(&day["openTime"]), 86_399_999);
    let average = ask("avgPrice?symbol=BTCUSDT").await;
    assert_eq!((int(&average["mins"]), average["price"].is_string()), (5, true));
    assert!(ask("referencePrice?symbol=BTCUSDT").await["referencePrice"].is_string());
    assert_eq!(ask("referencePrice/calculation?symbol=BTCUSDT").await["bucketWidthMs"], 3_750);
}

#[tokio::test]
async fn wrong_questions_get_the_documented_codes() {
    let exchange = exchange(&["BTCUSDT", "TRXUSDT"]);
    for (path, code) in [
        ("klines?symbol=BTCUSDT", -1102),
        ("klines?symbol=BTCUSDT&interval=1H", -1120),
        ("klines?symbol=BTCUSDT&interval=1m&startTime=-1", -1100),
        ("klines?symbol=BTCUSDT&interval=1m&timeZone=15", -1130),
        ("klines?symbol=BTCUSDT&interval=1m&limit=0", -1130),
        ("uiKlines?symbol=NOSUCH&interval=1m", -1121),
        ("ticker/24hr?symbol=btcusdt", -1100),
        ("ticker/24hr?symbol=BTCUSDT&symbols=%5B%22BTCUSDT%22%5D", -1128),
        ("ticker/24hr?symbols=%5B%22BTCUSDT%22,%22BTCUSDT%22%5D", -1151),
        ("ticker/24hr?symbol=BTCUSDT&type=SHORT", -1139),
        ("ticker/24hr?symbol=BTCUSDT&symbolStatus=BREAK", -1220),
        ("ticker/price?symbolStatus=OPEN", -1122),
        ("ticker?windowSize=1h", -1102),
        ("ticker?symbol=BTCUSDT&windowSize=60m", -1130),
        ("ticker/tradingDay", -1102),
        ("avgPrice", -1102),
        ("referencePrice?symbol=TRXUSDT", -2043),
        ("historicalBlockTrades?symbol=BTCUSDT", -1102),
    ] {
        let answer = get(exchange.addr(), &format!("/api/v3/{path}")).await;
        assert_eq!((answer.status, answer.json()["code"].as_i64()), (400, Some(code)), "{path}");
    }
    // Whatever is asked for, something is answered.
    let most = i64::MAX;
    for path in ["klines?symbol=BTCUSDT&interval=1M&endTime", "klines?symbol=BTCUSDT&interval=1s&startTime"] {
        assert_eq!(get(exchange.addr(), &format!("/api/v3/{path}={most}")).await.status, 200, "{path}");
    }
    for path in ["aggTrades", "historicalTrades", "historicalBlockTrades"] {
        for id in [0, 1, most] {
            let path = format!("/api/v3/{path}?symbol=BTCUSDT&fromId={id}&limit=2");
            assert_eq!(get(exchange.addr(), &path).await.status, 200, "{path}");
        }
    }
    assert_eq!(get(exchange.addr(), "/api/v3/ticker/nosuch").await.status, 404);
    assert_eq!(get(exchange.addr(), "/api/v1/klines?symbol=BTCUSDT&interval=1m").await.status, 404);
}

#[tokio::test]
async fn rest_fails_breaks_off_or_comes_late_on_demand() {
    let exchange = exchange(&["BTCUSDT"]);
    let path = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=5";
    exchange.inject(Fault::RestFailure);
    let failed = get(exchange.addr(), path).await;
    assert_eq!((failed.status, failed.json()["code"].as_i64()), (503, Some(-1001)));
    exchange.inject(Fault::RestGarbage);
    let broken = get(exchange.addr(), path).await;
    assert!(broken.status == 200 && serde_json::from_str::<Value>(&broken.body).is_err(), "{}", broken.body);
    exchange.inject(Fault::RestDelay);
    assert_eq!(get(exchange.addr(), path).await.json().as_array().map(Vec::len), Some(5));
    for fault in [Fault::RestFailure, Fault::RestGarbage, Fault::RestDelay] {
        assert_eq!(exchange.counters().of(fault), 1);
    }
}

#[tokio::test]
async fn a_client_that_floods_is_closed_and_one_that_does_not_is_counted_nowhere() {
    let exchange = exchange(&["BTCUSDT"]);
    let mut client = Client::open(exchange.addr(), "/ws/btcusdt@trade").await;
    for id in 0..20 {
        client.send(&format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#)).await;
    }
    let mut replies = 0;
    let end = loop {
        match client.next().await {
            Ok(text) => replies += u32::from(text.contains(r#""result""#)),
            Err(end) => break end,
        }
    };
    assert!(
        matches!(&end, End::Closed(Some(frame)) if u16::from(frame.code) == 1008
        && frame.reason.as_str() == "Too many requests"),
        "{end:?}"
    );
    assert!((7..20).contains(&replies), "{replies}");
    assert!(exchange.counters().flooding > 0);
    let free = Settings { messages_per_second: None, ..Settings::default() };
    let exchange = sim::start(&free).expect("a free port");
    let mut client = Client::open(exchange.addr(), "/ws").await;
    for id in 0..50 {
        client.send(&format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#)).await;
    }
    client.find(|frame| (frame["id"] == 49).then_some(())).await;
    assert_eq!(exchange.counters().flooding, 0);
}
