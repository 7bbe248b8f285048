//! Every endpoint and every refusal of REST, asked without sockets: bytes and codes.

mod candles;
mod statistics;
mod table;

use std::sync::Arc;

use serde_json::Value;
use tickcast::{
    market::{
        AggTrade, Best, Catalogue, InstrumentId, Kline, Level, Listing, Nanos, Price, Quantity, Span, Status, Trade,
    },
    ring::{Publisher, ring},
    server::{Answer, Ask, Call, Endpoint, Parameters, Rest},
    store::{self, Store},
    topic::{Batch, Interest, Payload, TimeUnit, Update},
    views::{Following, Views, follow},
};

use crate::house::{listing, wait_until};

const NOW: Nanos = Nanos(1_789_000_000_123_456_789);

/// Views and a store that a real ring feeds.
struct Fixture {
    rest: Rest,
    views: Arc<Views>,
    store: Arc<Store>,
    catalogue: Arc<Catalogue>,
    publisher: Publisher<Batch>,
    _following: (Following, store::Following),
}

/// BTCUSDT (listed by Binance's own words), ETHUSDT (halted), LATEUSDT (never listed); kraken: BTCUSD, not listed yet.
fn fixture() -> Fixture {
    let mut catalogue = Catalogue::new();
    let binance = catalogue.add_venue("binance", None);
    for symbol in ["BTCUSDT", "ETHUSDT", "LATEUSDT"] {
        catalogue.add_instrument(binance, symbol, symbol);
    }
    let kraken = catalogue.add_venue("kraken", None);
    catalogue.add_instrument(kraken, "BTC/USD", "BTCUSD");
    let catalogue = Arc::new(catalogue);
    let info = r#"{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","icebergAllowed":true,"contractType":"NONE",
        "filters":[{"filterType":"LOT_SIZE","minQty":"0.1"},{"filterType":"PRICE_FILTER","tickSize":"0.01000000"}],
        "newField":[1, 2.50],"permissionSets":[["SPOT","MARGIN"],["TRD_GRP_1"]]}"#;
    list(&catalogue, 0, "BTC", Status::Trading, Some(info));
    list(&catalogue, 1, "ETH", Status::Halt, None);
    let views = Views::new(Arc::clone(&catalogue));
    let interest = Arc::new(Interest::new(catalogue.instruments().len()));
    let publisher = ring::<Batch>(64, 1 << 20);
    let following = follow(Arc::clone(&views), interest, |waker| vec![publisher.reader(waker)]).expect("a thread");
    let store = Store::in_memory(Arc::clone(&catalogue));
    let keeping = store::follow(Arc::clone(&store), |waker| vec![publisher.reader(waker)]).expect("a thread");
    let rest = Rest::new(Arc::clone(&catalogue), Arc::clone(&views), Arc::clone(&store), 6000);
    Fixture { rest, views, store, catalogue, publisher, _following: (following, keeping) }
}

fn list(catalogue: &Catalogue, instrument: u32, base: &str, status: Status, info: Option<&str>) {
    let instrument = catalogue.instrument(InstrumentId(instrument));
    let binance_info = info.map(str::to_owned);
    assert!(instrument.list(Listing { status, binance_info, ..listing(&instrument.native, base) }));
}

impl Fixture {
    /// Publishes `payloads` of BTCUSDT, whose spans point into `levels`, and waits until the views have them.
    fn publish(&mut self, levels: &[Level], payloads: &[Payload]) {
        self.publish_of(0, payloads, Batch { levels: levels.to_vec(), ..Batch::default() });
    }

    /// Publishes `payloads` of an instrument with the pools of `batch`, and waits until the views have them.
    fn publish_of(&mut self, instrument: u32, payloads: &[Payload], mut batch: Batch) {
        static COUNT: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(1);
        let received = Nanos(COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let instrument = InstrumentId(instrument);
        batch.updates = payloads.iter().map(|&payload| Update { instrument, received, time: NOW, payload }).collect();
        self.publisher.publish(&mut batch);
        self.views.catch_up();
    }

    /// Publishes candles, fetched or live, and waits until those that are closed are kept.
    fn publish_klines(&mut self, instrument: u32, klines: &[Kline], payload: impl Fn(u32) -> Payload) {
        for klines in klines.chunks(1000) {
            let payloads: Vec<_> = (0..klines.len() as u32).map(&payload).collect();
            self.publish_of(instrument, &payloads, Batch { klines: klines.to_vec(), ..Batch::default() });
        }
        let is_kept = |kline: &Kline| {
            let extent = self.store.extent(InstrumentId(instrument), kline.series);
            extent.is_some_and(|(oldest, newest)| (oldest..=newest).contains(&kline.open_time))
        };
        wait_until("the store keeps them", || klines.iter().filter(|kline| kline.closed).all(is_kept));
    }

    /// A book, a best, two trades and two aggregates.
    fn fill(&mut self) {
        let level = |price, quantity| Level { price: Price(price), quantity: Quantity(quantity) };
        let levels = [level(200, 5), level(100, 6), level(300, 7), level(400, 8)];
        let [bids, asks] = [Span { start: 0, len: 2 }, Span { start: 2, len: 2 }];
        let trade = |id, quantity, buyer_is_maker| {
            let time = Nanos(NOW.0 + id * 1000);
            Trade { id, price: Price(8_670_478_000_000), quantity: Quantity(quantity), time, buyer_is_maker }
        };
        let agg = |id: i64| AggTrade {
            id,
            price: Price(50_000_000),
            quantity: Quantity(3),
            first_id: id * 10,
            last_id: id * 10 + 1,
            time: Nanos::from_millis(1_789_000_000_000 + id),
            buyer_is_maker: false,
        };
        self.publish(
            &levels,
            &[
                Payload::BookSnapshot { last_id: 77, bids, asks, reset: false },
                Payload::BookTicker(Best { update_id: 77, bid: levels[0], ask: levels[2] }),
                Payload::AggTrade(agg(1)),
                Payload::AggTrade(agg(2)),
                Payload::Trade(trade(41, 3_500_000, true)),
                Payload::Trade(trade(42, 71_000_000, false)),
            ],
        );
    }

    fn ask(&self, target: &str) -> Answer {
        self.rest.answer(&Ask { method: "GET", target, time_unit: None, now: NOW })
    }

    /// The answer in microseconds.
    fn micros(&self, target: &str) -> String {
        let answer = self.rest.answer(&Ask { method: "GET", target, time_unit: Some("MICROSECOND"), now: NOW });
        assert_eq!(answer.status, 200, "{target}");
        String::from_utf8(answer.body.to_vec()).expect("UTF-8")
    }

    fn text(&self, target: &str) -> String {
        let answer = self.ask(target);
        let body = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
        assert_eq!(answer.status, 200, "{target}: {body}");
        body
    }

    fn refusal(&self, target: &str) -> (u16, i64) {
        let answer = self.ask(target);
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        (answer.status, body["code"].as_i64().expect("a code"))
    }
}

#[test]
fn ping_and_time() {
    let fixture = fixture();
    assert_eq!(fixture.text("/api/v3/ping"), "{}");
    assert_eq!(fixture.text("/api/v3/ping?surplus=1"), "{}", "surplus parameters are left alone");
    assert_eq!(fixture.text("/api/v3/time"), r#"{"serverTime":1789000000123}"#);
    assert_eq!(fixture.text("/kraken/api/v3/ping"), "{}");
    let micros = Ask { method: "GET", target: "/api/v3/time", time_unit: Some("MICROSECOND"), now: NOW };
    assert_eq!(fixture.rest.answer(&micros).body, r#"{"serverTime":1789000000123456}"#);
    let wrong = fixture.rest.answer(&Ask { time_unit: Some("second"), ..micros });
    assert_eq!(wrong.status, 400);
    let text = r#"{"code":-1194,"msg":"Invalid value for time unit; expected either MICROSECOND or MILLISECOND."}"#;
    assert_eq!(wrong.body, text);
}

#[test]
fn depth_is_the_mirrored_book() {
    let mut fixture = fixture();
    assert_eq!(fixture.refusal("/api/v3/depth?symbol=BTCUSDT"), (503, -1001), "no book yet");
    fixture.fill();
    let whole = r#"{"lastUpdateId":77,"bids":[["0.00000200","0.00000005"],["0.00000100","0.00000006"]],"asks":[["0.00000300","0.00000007"],["0.00000400","0.00000008"]]}"#;
    assert_eq!(fixture.text("/api/v3/depth?symbol=BTCUSDT"), whole);
    assert_eq!(fixture.text("/binance/api/v3/depth?symbol=BTCUSDT&limit=99999"), whole);
    assert_eq!(
        fixture.text("/api/v3/depth?symbol=BTCUSDT&limit=1"),
        r#"{"lastUpdateId":77,"bids":[["0.00000200","0.00000005"]],"asks":[["0.00000300","0.00000007"]]}"#
    );
    for (limit, weight) in [(1, 5), (100, 5), (101, 25), (500, 25), (501, 50), (1000, 50), (1001, 250), (9999, 250)] {
        assert_eq!(fixture.ask(&format!("/api/v3/depth?symbol=BTCUSDT&limit={limit}")).weight, weight);
    }
}

#[test]
fn trades_and_aggregates_have_every_field_in_wire_order() {
    let mut fixture = fixture();
    assert_eq!(fixture.text("/api/v3/trades?symbol=BTCUSDT"), "[]");
    fixture.fill();
    let [first, second] = [
        r#"{"id":41,"price":"86704.78000000","qty":"0.03500000","quoteQty":"3034.66730000","time":1789000000123,"isBuyerMaker":true,"isBestMatch":true}"#,
        r#"{"id":42,"price":"86704.78000000","qty":"0.71000000","quoteQty":"61560.39380000","time":1789000000123,"isBuyerMaker":false,"isBestMatch":true}"#,
    ];
    assert_eq!(fixture.text("/api/v3/trades?symbol=BTCUSDT"), format!("[{first},{second}]"));
    assert_eq!(fixture.text("/api/v3/trades?symbol=BTCUSDT&limit=1"), format!("[{second}]"));
    assert_eq!(fixture.text("/api/v3/historicalTrades?symbol=BTCUSDT&limit=1"), format!("[{second}]"));
    assert_eq!(fixture.text("/api/v3/historicalTrades?symbol=BTCUSDT&limit=1&fromId=0"), format!("[{first}]"));
    assert_eq!(fixture.text("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=43"), "[]");
    let agg = |id: i64| {
        format!(
            r#"{{"a":{id},"p":"0.50000000","q":"0.00000003","f":{id}0,"l":{id}1,"T":178900000000{id},"m":false,"M":true}}"#
        )
    };
    let path = "/api/v3/aggTrades?symbol=BTCUSDT";
    assert_eq!(fixture.text(path), format!("[{},{}]", agg(1), agg(2)));
    assert_eq!(fixture.text(&format!("{path}&fromId=2")), format!("[{}]", agg(2)));
    assert_eq!(fixture.text(&format!("{path}&endTime=1789000000001")), format!("[{}]", agg(1)));
    assert_eq!(fixture.text(&format!("{path}&startTime=1789000000002000")), format!("[{}]", agg(2)));
    assert_eq!(fixture.refusal(&format!("{path}&startTime=1789000000002&fromId=1")), (400, -1128));
}

/// Times are printed shorter than they are: a printed one has to find its trade again, and pages must leave none out.
#[test]
fn aggregates_are_found_by_the_times_they_were_printed_with() {
    let mut fixture = fixture();
    // Four in each of five milliseconds, one of them in its last microsecond and behind that.
    let times = [0, 1_500, 999_000, 999_999];
    let agg = |(id, time): (i64, i64)| AggTrade {
        id,
        price: Price(50_000_000),
        quantity: Quantity(3),
        first_id: id,
        last_id: id,
        time: Nanos(time),
        buyer_is_maker: false,
    };
    let begin = 1_789_000_000_000_i64;
    let all: Vec<(i64, i64)> = (0..20).map(|id| (id, (begin + id / 4) * 1_000_000 + times[id as usize % 4])).collect();
    let live: Vec<_> = all.iter().copied().map(agg).map(Payload::AggTrade).collect();
    fixture.publish(&[], &live);
    let got = |query: &str| -> Vec<i64> {
        let list: Value =
            serde_json::from_str(&fixture.text(&format!("/api/v3/aggTrades?symbol=BTCUSDT&{query}"))).unwrap();
        list.as_array().unwrap().iter().map(|trade| trade["a"].as_i64().unwrap()).collect()
    };
    for &(id, time) in &all {
        for unit in [1_000_000, 1_000] {
            let printed = time / unit;
            let same: Vec<i64> = all.iter().filter(|(_, other)| other / unit == printed).map(|&(id, _)| id).collect();
            assert!(same.contains(&id));
            assert_eq!(got(&format!("startTime={printed}&endTime={printed}")), same);
            assert_eq!(got(&format!("endTime={printed}&limit=1")), same[same.len() - 1..]);
            assert_eq!(got(&format!("startTime={printed}&limit=1")), same[..1]);
        }
    }
    let pages = (0..5).flat_map(|page| got(&format!("startTime={0}&endTime={0}", begin + page)));
    assert!(pages.eq(0..20));
}

#[test]
fn tickers_are_an_object_for_one_symbol_and_an_array_else() {
    let mut fixture = fixture();
    assert_eq!(fixture.refusal("/api/v3/ticker/price?symbol=BTCUSDT"), (503, -1001));
    assert_eq!(fixture.text("/api/v3/ticker/price"), "[]");
    fixture.fill();
    let price = r#"{"symbol":"BTCUSDT","price":"86704.78000000"}"#;
    let book = r#"{"symbol":"BTCUSDT","bidPrice":"0.00000200","bidQty":"0.00000005","askPrice":"0.00000300","askQty":"0.00000007"}"#;
    for (endpoint, object) in [("price", price), ("bookTicker", book)] {
        let path = format!("/api/v3/ticker/{endpoint}");
        assert_eq!(fixture.text(&format!("{path}?symbol=BTCUSDT")), object);
        assert_eq!(fixture.text(&format!("{path}?symbols=%5B%22BTCUSDT%22%5D")), format!("[{object}]"));
        assert_eq!(fixture.text(&path), format!("[{object}]"), "what has no value yet is left out");
        assert_eq!(fixture.text(&format!("{path}?symbolStatus=HALT")), "[]");
        assert_eq!(fixture.refusal(&format!("{path}?symbol=BTCUSDT&symbolStatus=HALT")), (400, -1220));
        assert_eq!(fixture.ask(&format!("{path}?symbol=BTCUSDT")).weight, 2);
        assert_eq!(fixture.ask(&path).weight, 4);
    }
}

#[test]
fn every_refusal_has_its_code_and_text() {
    let fixture = fixture();
    for (target, code, text) in [
        ("depth", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ("depth?symbol=", -1105, "Parameter 'symbol' was empty."),
        (
            "depth?symbol=btcusdt",
            -1100,
            r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'.",
        ),
        ("depth?symbol=NOSUCH", -1121, "Invalid symbol."),
        ("depth?symbol=LATEUSDT", -1121, "Invalid symbol."),
        (
            "depth?symbol=BTCUSDT&limit=x",
            -1100,
            "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.",
        ),
        ("depth?symbol=BTCUSDT&limit=0", -1130, "Data sent for parameter 'limit' is not valid."),
        ("depth?symbol=BTCUSDT&symbolStatus=OPEN", -1122, "Invalid symbolStatus."),
        (
            "depth?symbol=BTCUSDT&symbolStatus=BREAK",
            -1220,
            "The symbol's status does not match the requested symbolStatus.",
        ),
        ("trades?symbol=BTCUSDT&symbol=BTCUSDT", -1101, "Duplicate values for parameter 'symbol'."),
        ("historicalTrades?symbol=BTCUSDT&fromId=99999999999999999999", -1108, "Parameter 'fromId' overflowed."),
        (
            r#"ticker/price?symbols=["BTCUSDT",%20"ETHUSDT"]"#,
            -1100,
            r#"Illegal characters found in parameter 'symbols'; legal range is '^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'."#,
        ),
        (r#"ticker/price?symbols=["BTCUSDT","BTCUSDT"]"#, -1151, "Symbol is present multiple times in the list."),
        (
            r#"ticker/bookTicker?symbols=["BTCUSDT"]&symbol=BTCUSDT"#,
            -1128,
            "Combination of optional parameters invalid. Recommendation: 'symbol' and 'symbols' cannot both be sent.",
        ),
        (
            "exchangeInfo?symbol=BTCUSDT&symbolStatus=TRADING",
            -1128,
            "Combination of optional parameters invalid. Recommendation: 'symbolStatus' cannot be sent with 'symbol' or 'symbols'.",
        ),
        (
            "exchangeInfo?symbol=BTCUSDT&permissions=SPOT",
            -1128,
            "Combination of optional parameters invalid. Recommendation: 'permissions' cannot be sent with 'symbol' or 'symbols'.",
        ),
        ("exchangeInfo?showPermissionSets=1", -1130, "Data sent for parameter 'showPermissionSets' is not valid."),
    ] {
        let answer = fixture.ask(&format!("/api/v3/{target}"));
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(
            (answer.status, &body["code"], &body["msg"]),
            (400, &Value::from(code), &Value::from(text)),
            "{target}"
        );
        assert!(answer.weight > 0, "refused requests cost weight");
    }
}

#[test]
fn a_venue_whose_list_is_not_read_asks_for_patience() {
    let fixture = fixture();
    assert_eq!(fixture.refusal("/kraken/api/v3/depth?symbol=BTCUSD"), (503, -1001));
    assert_eq!(fixture.refusal("/kraken/api/v3/exchangeInfo"), (503, -1001));
    assert_eq!(fixture.refusal("/kraken/api/v3/depth?symbol=NOSUCH"), (400, -1121));
    list(&fixture.catalogue, 3, "BTC", Status::Trading, None);
    assert!(fixture.text("/kraken/api/v3/exchangeInfo").contains(r#""symbol":"BTCUSD""#));
}

#[test]
fn unknown_paths_and_methods() {
    let fixture = fixture();
    for target in [
        "/",
        "/api/v3",
        "/api/v3/",
        "/api/v3/nosuch",
        "/api/v1/ping",
        "/nosuch/api/v3/ping",
        "/kraken/ping",
        "",
        "*",
        "/api/v3/ping/",
        "//api/v3/ping",
        "/api/v3/Ping",
        "http://host/api/v3/ping",
    ] {
        let answer = fixture.ask(target);
        assert_eq!((answer.status, &answer.body[..]), (404, &b""[..]), "{target}");
    }
    for method in ["POST", "DELETE", "PUT", "PATCH", "get"] {
        let ask = Ask { method, target: "/api/v3/ping", time_unit: None, now: NOW };
        assert_eq!(fixture.rest.answer(&ask).status, 405);
    }
    assert_eq!(
        fixture.rest.answer(&Ask { method: "HEAD", target: "/api/v3/ping", time_unit: None, now: NOW }).status,
        200
    );
}

#[test]
fn exchange_info_passes_on_the_venues_words_and_fills_in_the_rest() {
    let fixture = fixture();
    let text = fixture.text("/api/v3/exchangeInfo");
    let start = r#"{"timezone":"UTC","serverTime":1789000000123,"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000}],"exchangeFilters":[],"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","baseAssetPrecision":8,"#;
    assert!(text.starts_with(start), "{text}");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let [btc, eth] = &all["symbols"].as_array().expect("an array")[..] else { panic!("only what is listed") };
    let names = |object: &Value| object.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(eth).len(), 26);
    assert!(names(eth).iter().all(|name| btc.get(name).is_some()), "the venue's object has every field");
    assert_eq!((&btc["icebergAllowed"], &eth["icebergAllowed"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!(btc.get("contractType"), None);
    assert!(text.contains(r#""newField":[1, 2.50]"#), "what is new is passed on as it is");
    for symbol in [btc, eth] {
        assert_eq!(symbol["filters"][0]["filterType"], "PRICE_FILTER");
        assert_eq!(symbol["filters"][0]["tickSize"], "0.01000000");
    }
    assert_eq!((&btc["filters"][1]["minQty"], &eth["status"]), (&Value::from("0.1"), &Value::from("HALT")));
    assert_eq!(eth["filters"][1]["maxQty"], "92233720368.54775807");

    let symbols = |target: &str| {
        let info: Value = serde_json::from_str(&fixture.text(target)).expect("JSON");
        let list = info["symbols"].as_array().expect("an array").clone();
        list.iter().map(|symbol| symbol["symbol"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let path = "/api/v3/exchangeInfo";
    assert_eq!(symbols(&format!("{path}?symbol=ETHUSDT")), ["ETHUSDT"]);
    assert_eq!(symbols(&format!(r#"{path}?symbols=["ETHUSDT","BTCUSDT"]"#)), ["ETHUSDT", "BTCUSDT"]);
    assert_eq!(symbols(&format!("{path}?symbolStatus=TRADING")), ["BTCUSDT"]);
    assert_eq!(symbols(&format!("{path}?permissions=MARGIN")), ["BTCUSDT"]);
    assert_eq!(symbols(&format!(r#"{path}?permissions=["SPOT","X"]"#)), ["BTCUSDT", "ETHUSDT"]);
    let without: Value =
        serde_json::from_str(&fixture.text(&format!("{path}?showPermissionSets=false"))).expect("JSON");
    assert_eq!(without["symbols"][0]["permissionSets"], serde_json::json!([]));
    assert_eq!(all["symbols"][0]["permissionSets"][1][0], "TRD_GRP_1");
}

#[test]
fn any_query_gets_an_answer() {
    let mut fixture = fixture();
    fixture.fill();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let parts = [
        "symbol",
        "symbols",
        "limit",
        "fromId",
        "startTime",
        "endTime",
        "interval=1m",
        "timeZone",
        "windowSize",
        "type",
        "1M",
        "7d",
        "-12:00",
        "=",
        "&",
        "[",
        "]",
        "\"",
        "%",
        "%22",
        "%FF",
        "+",
        "BTCUSDT",
        "BTC",
        ",",
        "-1",
        "0",
        "99999999999999999999",
        "币",
        "?",
        "#",
        "permissions",
        "symbolStatus",
        "TRADING",
        "\u{0}",
    ];
    let endpoints: Vec<_> = Endpoint::all().map(Endpoint::path).chain(["nosuch"]).collect();
    for _ in 0..20_000 {
        let query: String = (0..random.usize(..12)).map(|_| parts[random.usize(..parts.len())]).collect();
        let target = format!("/api/v3/{}?{query}", endpoints[random.usize(..endpoints.len())]);
        let answer = fixture.ask(&target);
        assert!(matches!(answer.status, 200 | 400 | 404 | 503), "{target}: {}", answer.status);
        if answer.status != 404 {
            serde_json::from_slice::<Value>(&answer.body).unwrap_or_else(|error| panic!("{target}: {error}"));
        }
    }
}
