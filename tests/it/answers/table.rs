//! A test per row of the endpoint matrix and of the table of errors (binance.md sections 10.2 and 10.4). The last letter
//! of a name is the evidence of its row: d documented, w seen on the wire, i inferred, c read from clients.
//!
//! Not served: historicalBlockTrades, referencePrice/calculation, executionRules. Never sent: -1000, -1016, -1103, -1104
//! (surplus parameters are left alone), -1127 (no look-up is too big), -1152, -1153, -1161 (there is no SBE in REST).
//! 429 and 418 have to do with addresses: see `rest` and the unit tests of `server/limits`.

use super::{candles::furnished, *};

/// Weights of an endpoint by query.
fn assert_weights(endpoint: &str, rows: &[(&str, u32)]) {
    let fixture = furnished();
    for (query, weight) in rows {
        let target = format!("/api/v3/{endpoint}?{query}");
        assert_eq!(fixture.ask(&target).weight, *weight, "{target}");
        assert_eq!(fixture.ask(&format!("/binance{target}")).weight, *weight, "{target}");
    }
    // The WS-API's method is the same thing.
    let endpoint = Endpoint::at_path(endpoint).expect("an endpoint");
    for (query, weight) in rows {
        let parameters = &Parameters::of_query(query);
        let venue = fixture.catalogue.venues()[0].id;
        let call = Call { venue, endpoint, parameters, unit: TimeUnit::Milliseconds, now: NOW };
        let answer = fixture.rest.call(&call);
        assert_eq!(answer, fixture.ask(&format!("/api/v3/{}?{query}", endpoint.path())));
        assert_eq!(answer.weight, *weight);
    }
}

fn list_of(count: usize) -> String {
    let symbols: Vec<_> = (0..count).map(|index| format!("\"S{index}\"")).collect();
    format!("symbols=[{}]", symbols.join(","))
}

#[test]
fn row_ping_d() {
    assert_weights("ping", &[("", 1)]);
}

#[test]
fn row_time_d() {
    assert_weights("time", &[("", 1)]);
}

#[test]
fn row_exchange_info_d() {
    assert_weights(
        "exchangeInfo",
        &[("", 20), ("symbol=BTCUSDT", 20), (r#"symbols=["BTCUSDT"]"#, 20), ("symbol=x", 20)],
    );
}

#[test]
fn row_depth_d() {
    let rows = [(100, 5), (101, 25), (500, 25), (501, 50), (1000, 50), (1001, 250), (5000, 250)];
    let rows = rows.map(|(limit, weight)| (format!("symbol=BTCUSDT&limit={limit}"), weight));
    assert_weights("depth", &rows.each_ref().map(|(query, weight)| (query.as_str(), *weight)));
    assert_weights("depth", &[("symbol=BTCUSDT", 5), ("limit=x", 5)]);
}

#[test]
fn row_depth_any_limit_is_honoured_and_more_than_5000_is_5000_w() {
    let mut fixture = fixture();
    let level = |price: i64| Level { price: Price(price), quantity: Quantity(price) };
    let levels: Vec<_> = (1..=5500).rev().chain(5501..=11_000).map(level).collect();
    let [bids, asks] = [Span { start: 0, len: 5500 }, Span { start: 5500, len: 5500 }];
    fixture.publish(&levels, &[Payload::BookSnapshot { last_id: 1, bids, asks, reset: false }]);
    for (limit, count) in [(1, 1), (7, 7), (333, 333), (5000, 5000), (5001, 5000), (i64::MAX, 5000)] {
        let text = fixture.text(&format!("/api/v3/depth?symbol=BTCUSDT&limit={limit}"));
        let body: Value = serde_json::from_str(&text).expect("JSON");
        let lengths = ["bids", "asks"].map(|side| body[side].as_array().expect("levels").len());
        assert_eq!(lengths, [count; 2], "{limit}");
    }
}

#[test]
fn row_trades_d() {
    assert_weights("trades", &[("symbol=BTCUSDT", 25), ("symbol=BTCUSDT&limit=1000", 25), ("", 25)]);
}

#[test]
fn row_historical_trades_d() {
    assert_weights("historicalTrades", &[("symbol=BTCUSDT", 25), ("symbol=BTCUSDT&fromId=1&limit=1", 25)]);
}

#[test]
fn row_agg_trades_d() {
    assert_weights("aggTrades", &[("symbol=BTCUSDT", 4), ("symbol=BTCUSDT&fromId=1", 4), ("", 4)]);
}

#[test]
fn row_klines_d() {
    assert_weights(
        "klines",
        &[("symbol=BTCUSDT&interval=1m", 2), ("symbol=BTCUSDT&interval=1d&timeZone=8", 2), ("", 2)],
    );
    let fixture = furnished();
    let count = |query: &str| {
        let text = fixture.text(&format!("/api/v3/klines?symbol=BTCUSDT&interval=1m{query}"));
        serde_json::from_str::<Vec<Value>>(&text).expect("rows").len()
    };
    assert_eq!((count(""), count("&limit=1"), count("&limit=1001")), (87, 1, 87), "more than 1000 is read as 1000");
}

#[test]
fn row_ui_klines_d() {
    assert_weights("uiKlines", &[("symbol=BTCUSDT&interval=1m", 2)]);
}

#[test]
fn row_average_price_d() {
    assert_weights("avgPrice", &[("symbol=BTCUSDT", 2)]);
}

#[test]
fn row_ticker_day_d() {
    let [one, twenty, more, hundred, many] = [1, 20, 21, 100, 101].map(list_of);
    let lists = [(&*one, 2), (&*twenty, 2), (&*more, 40), (&*hundred, 40), (&*many, 80)];
    assert_weights("ticker/24hr", &[&lists[..], &[("symbol=BTCUSDT", 2), ("", 80), ("type=MINI", 80)]].concat());
}

#[test]
fn row_ticker_trading_day_d() {
    let [one, fifty, more, many] = [1, 50, 51, 100].map(list_of);
    let lists = [(&*one, 4), (&*fifty, 200), (&*more, 200), (&*many, 200)];
    assert_weights("ticker/tradingDay", &[&lists[..], &[("symbol=BTCUSDT", 4)]].concat());
}

#[test]
fn row_ticker_window_d() {
    let [one, fifty, more, many] = [1, 50, 51, 100].map(list_of);
    let lists = [(&*one, 4), (&*fifty, 200), (&*more, 200), (&*many, 200)];
    assert_weights("ticker", &[&lists[..], &[("symbol=BTCUSDT", 4), ("symbol=BTCUSDT&windowSize=7d", 4)]].concat());
}

#[test]
fn row_ticker_window_is_a_day_unless_said_otherwise_d() {
    let fixture = furnished();
    let [default, day] =
        ["", "&windowSize=1d"].map(|window| fixture.text(&format!("/api/v3/ticker?symbol=BTCUSDT{window}")));
    assert_eq!(default, day);
    // Nothing is known from before 23:00.
    assert!(default.contains(r#""openTime":1788994800000,"closeTime":1789000000123"#), "{default}");
}

#[test]
fn row_ticker_price_d() {
    assert_weights("ticker/price", &[("symbol=BTCUSDT", 2), (r#"symbols=["BTCUSDT"]"#, 4), ("", 4)]);
}

#[test]
fn row_ticker_book_d() {
    assert_weights("ticker/bookTicker", &[("symbol=BTCUSDT", 2), (r#"symbols=["BTCUSDT"]"#, 4), ("", 4)]);
}

#[test]
fn row_reference_price_d() {
    assert_weights("referencePrice", &[("symbol=BTCUSDT", 2)]);
}

#[test]
fn rule_every_endpoint_reads_every_parameter_it_has_d() {
    let mut fixture = furnished();
    fixture.fill();
    let minimum = |endpoint: Endpoint| match endpoint {
        Endpoint::Klines | Endpoint::UiKlines => vec![("symbol", "BTCUSDT"), ("interval", "1m")],
        _ if endpoint.parameters().contains(&"symbol") => vec![("symbol", "BTCUSDT")],
        _ => Vec::new(),
    };
    for endpoint in Endpoint::all() {
        for name in endpoint.parameters() {
            let mut pairs = minimum(endpoint);
            pairs.retain(|(other, _)| other != name && (*name != "symbols" || *other != "symbol"));
            let send = |value: &str| {
                let rest: String = pairs.iter().map(|(name, value)| format!("&{name}={value}")).collect();
                fixture.ask(&format!("/api/v3/{}?{name}={value}{rest}", endpoint.path()))
            };
            for value in ["", "!"] {
                let answer = send(value);
                assert_eq!(answer.status, 400, "{} {name}={value}", endpoint.path());
            }
        }
        let pairs: String = minimum(endpoint).iter().map(|(name, value)| format!("&{name}={value}")).collect();
        let answer = fixture.ask(&format!("/api/v3/{}?surplus=1{pairs}", endpoint.path()));
        assert!(matches!(answer.status, 200 | 503) || endpoint == Endpoint::ReferencePrice, "{}", endpoint.path());
    }
}

#[test]
fn rule_symbols_make_an_array_even_of_one_w() {
    let mut fixture = furnished();
    fixture.fill();
    for endpoint in ["ticker/price", "ticker/bookTicker", "ticker", "ticker/tradingDay"] {
        let one = fixture.text(&format!("/api/v3/{endpoint}?symbol=BTCUSDT"));
        let list = fixture.text(&format!(r#"/api/v3/{endpoint}?symbols=["BTCUSDT"]"#));
        assert_eq!(list, format!("[{one}]"), "{endpoint}");
        assert_eq!(fixture.text(&format!("/api/v3/{endpoint}?symbols=[]")), "[]");
    }
}

#[test]
fn rule_lists_drop_what_has_another_status_d() {
    let mut fixture = furnished();
    fixture.fill();
    for endpoint in ["ticker/price", "ticker/bookTicker", "ticker", "ticker/tradingDay"] {
        let path = format!(r#"/api/v3/{endpoint}?symbols=["BTCUSDT","ETHUSDT"]"#);
        assert_eq!(fixture.text(&format!("{path}&symbolStatus=BREAK")), "[]", "{endpoint}");
        let trading = fixture.text(&format!("{path}&symbolStatus=TRADING"));
        assert!(trading.contains("BTCUSDT") && !trading.contains("ETHUSDT"), "{endpoint}");
    }
}

#[test]
fn rule_windows_and_days_want_a_symbol_i() {
    let fixture = furnished();
    for endpoint in ["ticker", "ticker/tradingDay"] {
        assert_eq!(fixture.refusal(&format!("/api/v3/{endpoint}")), (400, -1102));
        assert_eq!(fixture.refusal(&format!("/api/v3/{endpoint}?{}", list_of(101))), (400, -1101));
        assert_eq!(fixture.refusal(&format!("/api/v3/{endpoint}?{}", list_of(100))), (400, -1121));
    }
}

#[test]
fn rule_retired_paths_are_not_found_d() {
    let fixture = furnished();
    for target in ["/api/v1/ping", "/api/v1/klines", "/api/v3/userDataStream"] {
        assert_eq!(fixture.ask(target).status, 404, "{target}");
    }
}

#[test]
fn what_no_stream_of_a_venue_tells_is_not_found_rather_than_made_up_d() {
    let fixture = furnished();
    for path in ["historicalBlockTrades", "referencePrice/calculation", "executionRules"] {
        assert_eq!(fixture.ask(&format!("/api/v3/{path}?symbol=BTCUSDT")).status, 404, "{path}");
    }
}

/// Refusals: status, code and text.
macro_rules! refusals {
    ($($name:ident: $target:expr => $status:expr, $code:expr, $text:expr;)*) => {
        $(#[test]
        fn $name() {
            let fixture = furnished();
            let answer = fixture.ask(&format!("/api/v3/{}", $target));
            assert_eq!(String::from_utf8_lossy(&answer.body), format!(r#"{{"code":{},"msg":{}}}"#, $code, Value::from($text)));
            assert_eq!(answer.status, $status);
            assert!(answer.weight > 0, "refused requests cost weight");
        })*
    };
}

refusals! {
    error_1001_book_is_not_there_yet_d: "depth?symbol=BTCUSDT" => 503, -1001,
        "Internal error; unable to process your request. Please try again.";
    error_1100_symbol_d: "klines?symbol=btcusdt" => 400, -1100,
        r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'.";
    error_1100_limit_w: "klines?symbol=BTCUSDT&interval=1m&limit=-1" => 400, -1100,
        "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.";
    error_1100_time_w: "klines?symbol=BTCUSDT&interval=1m&endTime=None" => 400, -1100,
        "Illegal characters found in parameter 'endTime'; legal range is '^[0-9]{1,20}$'.";
    error_1100_space_in_symbols_w: r#"ticker/24hr?symbols=["BTCUSDT",%20"ETHUSDT"]"# => 400, -1100,
        r#"Illegal characters found in parameter 'symbols'; legal range is '^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'."#;
    error_1100_lower_case_in_symbols_w: r#"ticker/24hr?symbols=["btcusdt"]"# => 400, -1100,
        r#"Illegal characters found in parameter 'symbols'; legal range is '^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'."#;
    error_1101_duplicate_w: "ticker?symbols[]=BTCUSDT&symbols[]=ETHUSDT" => 400, -1101,
        "Duplicate values for parameter 'symbols[]'.";
    error_1101_too_many_symbols_i: format!("ticker?{}", list_of(101)) => 400, -1101,
        "Too many parameters; expected '100' and received '101'.";
    error_1102_symbol_d: "avgPrice" => 400, -1102,
        "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.";
    error_1102_interval_d: "klines?symbol=BTCUSDT" => 400, -1102,
        "Mandatory parameter 'interval' was not sent, was empty/null, or malformed.";
    error_1105_d: "klines?symbol=&interval=1m" => 400, -1105, "Parameter 'symbol' was empty.";
    error_1108_d: "historicalTrades?symbol=BTCUSDT&fromId=9223372036854775808" => 400, -1108,
        "Parameter 'fromId' overflowed.";
    error_1120_d: "klines?symbol=BTCUSDT&interval=1H" => 400, -1120, "Invalid interval.";
    error_1121_d: "klines?symbol=NOSUCH&interval=1m" => 400, -1121, "Invalid symbol.";
    error_1121_in_symbols_d: r#"ticker?symbols=["BTCUSDT","NOSUCH"]"# => 400, -1121, "Invalid symbol.";
    error_1122_d: "ticker/24hr?symbolStatus=END_OF_DAY" => 400, -1122, "Invalid symbolStatus.";
    error_1128_symbol_and_symbols_w: r#"ticker/tradingDay?symbol=BTCUSDT&symbols=["ETHUSDT"]"# => 400, -1128,
        "Combination of optional parameters invalid. Recommendation: 'symbol' and 'symbols' cannot both be sent.";
    error_1128_from_id_and_start_i: "aggTrades?symbol=BTCUSDT&fromId=1&startTime=1" => 400, -1128,
        "Combination of optional parameters invalid. Recommendation: 'fromId' cannot be sent with 'startTime' or 'endTime'.";
    error_1130_limit_d: "klines?symbol=BTCUSDT&interval=1m&limit=0" => 400, -1130,
        "Data sent for parameter 'limit' is not valid.";
    error_1130_time_zone_i: "klines?symbol=BTCUSDT&interval=1m&timeZone=14:01" => 400, -1130,
        "Data sent for parameter 'timeZone' is not valid.";
    error_1130_window_i: "ticker?symbol=BTCUSDT&windowSize=60m" => 400, -1130,
        "Data sent for parameter 'windowSize' is not valid.";
    error_1139_d: "ticker?symbol=BTCUSDT&type=full" => 400, -1139, "Invalid ticker type.";
    error_1151_d: r#"ticker?symbols=["BTCUSDT","BTCUSDT"]"# => 400, -1151, "Symbol is present multiple times in the list.";
    error_1220_d: "ticker/24hr?symbol=ETHUSDT&symbolStatus=TRADING" => 400, -1220,
        "The symbol's status does not match the requested symbolStatus.";
    error_2043_d: "referencePrice?symbol=BTCUSDT" => 400, -2043, "This symbol doesn't have a reference price.";
}

#[test]
fn error_1194_d() {
    let fixture = furnished();
    for time_unit in ["second", "Microsecond", ""] {
        let ask = Ask { method: "GET", target: "/api/v3/klines", time_unit: Some(time_unit), now: NOW };
        let answer = fixture.rest.answer(&ask);
        let text = r#"{"code":-1194,"msg":"Invalid value for time unit; expected either MICROSECOND or MILLISECOND."}"#;
        assert_eq!((answer.status, &answer.body[..], answer.weight), (400, text.as_bytes(), 2));
    }
}
