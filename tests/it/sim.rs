//! The simulated exchange as a client sees it over a socket.

mod replayed;
mod surface;

use std::{collections::HashMap, time::Duration};

use serde_json::Value;
use tickcast::{
    market::Level,
    sim::{self, Fault, Faults, Running, Settings},
};
use tokio::time::timeout;

use crate::venue_client::{Client, End, LocalBook, get};

fn exchange(rate: u32) -> Running {
    let settings = Settings { seed: 11, rate, ..Settings::default() };
    sim::start(&settings).expect("a free port")
}

fn with_faults(symbols: &[&str], seed: u64, rate: u32, faults: Faults) -> Running {
    let symbols = symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
    sim::start(&Settings { seed, rate, symbols, faults, ..Settings::default() }).expect("a free port")
}

fn assert_is_true_book(book: &LocalBook, exchange: &Running, symbol: &str) {
    let (last_id, bids, asks) = exchange.book(symbol).expect("a listed symbol");
    let plain = |levels: Vec<Level>| levels.iter().map(|level| (level.price.0, level.quantity.0)).collect::<Vec<_>>();
    assert_eq!(book.last_id, last_id, "{symbol}");
    assert_eq!(book.bids.iter().rev().map(|(p, q)| (*p, *q)).collect::<Vec<_>>(), plain(bids), "{symbol}");
    assert_eq!(book.asks.iter().map(|(p, q)| (*p, *q)).collect::<Vec<_>>(), plain(asks), "{symbol}");
}

/// Keeps the books of `symbols` right through whatever goes wrong, for `frames` frames and a pause, until they equal the
/// true ones.
async fn follow(exchange: &Running, symbols: &[&str], frames: usize) {
    let streams: Vec<_> = symbols.iter().map(|symbol| format!("{}@depth@100ms", symbol.to_lowercase())).collect();
    let path = format!("/stream?streams={}", streams.join("/"));
    let mut client = Client::open(exchange.addr(), &path).await;
    let mut books: HashMap<String, LocalBook> = HashMap::new();
    let mut seen = 0;
    loop {
        match timeout(QUIET, client.next()).await {
            Ok(Ok(text)) => {
                seen += 1;
                take_in(exchange, &text, &mut books).await;
            }
            Ok(Err(_)) => {
                books.clear();
                client = Client::open(exchange.addr(), &path).await;
            }
            Err(_) if seen < frames => {}
            Err(_) => {
                // Silence: what is still missing has to be asked for.
                let missing: Vec<_> = symbols.iter().filter(|symbol| !books.contains_key(**symbol)).collect();
                if missing.is_empty() {
                    break;
                }
                for symbol in missing {
                    if let Some(book) = snapshot(exchange, symbol, 0).await {
                        books.insert((*symbol).to_owned(), book);
                    }
                }
            }
        }
        if seen == frames {
            seen += 1;
            exchange.pause();
        }
    }
    for symbol in symbols {
        assert_is_true_book(&books[*symbol], exchange, symbol);
    }
}

/// Longer than a held frame or a stall of these tests lasts.
const QUIET: Duration = Duration::from_millis(500);

async fn take_in(exchange: &Running, text: &str, books: &mut HashMap<String, LocalBook>) {
    let Ok(frame) = serde_json::from_str::<Value>(text) else { return };
    let event = &frame["data"];
    let symbol = event["s"].as_str().expect("a diff");
    if books.get_mut(symbol).is_some_and(|book| book.diff(event)) {
        return;
    }
    books.remove(symbol);
    if let Some(mut book) = snapshot(exchange, symbol, event["U"].as_i64().expect("U")).await {
        book.diff(event);
        books.insert(symbol.to_owned(), book);
    }
}

/// A whole book that reaches at least to just before `first`; `None` if the exchange answers otherwise.
async fn snapshot(exchange: &Running, symbol: &str, first: i64) -> Option<LocalBook> {
    // Weight is short when much goes wrong: small books are had for a fifth of it.
    let limit = if exchange.book(symbol).is_some_and(|(_, bids, _)| bids.len() < 900) { 1_000 } else { 5_000 };
    let answer = get(exchange.addr(), &format!("/api/v3/depth?symbol={symbol}&limit={limit}")).await;
    // Answers break off at times.
    let body = serde_json::from_str(&answer.body).ok().filter(|_| answer.status == 200)?;
    let book = LocalBook::from_snapshot(&body);
    (book.last_id + 1 >= first).then_some(book)
}

#[tokio::test]
async fn a_local_book_equals_the_true_one_after_a_pause() {
    let exchange = exchange(3_000);
    follow(&exchange, &["BTCUSDT", "ETHUSDT", "PEPEUSDT"], 100).await;
}

#[tokio::test]
async fn books_stay_right_through_every_kind_of_fault() {
    let often = Faults {
        gap: 60.0,
        duplicate: 120.0,
        reorder: 30.0,
        stall: 20.0,
        disconnect: 10.0,
        malformed: 30.0,
        stale_snapshot: 20.0,
        rate_limit: 20.0,
        rest_error: 20.0,
        stall_ms: 200,
        rest_delay_ms: 200,
    };
    let symbols = ["LINKUSDT", "OPUSDT", "SHIBUSDT"];
    let exchange = with_faults(&symbols, 5, 3_000, often);
    follow(&exchange, &symbols, 250).await;
    let counters = exchange.counters();
    let harmful = [Fault::Gap, Fault::Reorder, Fault::Malformed, Fault::StallLost, Fault::Disconnect];
    assert!(harmful.map(|fault| counters.of(fault)).iter().sum::<u64>() >= 3, "too little went wrong: {counters:?}");
}

#[tokio::test]
async fn every_stream_speaks_in_its_form_and_ids_share_one_space() {
    let exchange = exchange(3_000);
    let names =
        ["depth@100ms", "depth", "depth5@100ms", "bookTicker", "trade", "aggTrade", "kline_1m", "miniTicker", "ticker"];
    let streams: Vec<_> = names.iter().map(|name| format!("btcusdt@{name}")).collect();
    let mut client = Client::open(exchange.addr(), &format!("/stream?streams={}", streams.join("/"))).await;
    let mut seen: HashMap<String, Vec<Value>> = HashMap::new();
    while seen.len() < names.len() || seen.values().any(|events| events.is_empty()) || seen["btcusdt@depth"].len() < 3 {
        let mut frame = client.json().await;
        let stream = frame["stream"].as_str().expect("a wrapper").to_owned();
        seen.entry(stream).or_default().push(frame["data"].take());
    }
    for cadence in ["btcusdt@depth", "btcusdt@depth@100ms"] {
        for pair in seen[cadence].windows(2) {
            assert_eq!(pair[0]["u"].as_i64().expect("u") + 1, pair[1]["U"].as_i64().expect("U"), "{cadence} tiles");
        }
    }
    let diffs = &seen["btcusdt@depth@100ms"];
    for partial in &seen["btcusdt@depth5@100ms"] {
        assert_eq!(partial["bids"].as_array().expect("bids").len(), 5);
        assert!(diffs.iter().any(|diff| diff["u"] == partial["lastUpdateId"]), "a partial book belongs to a diff");
    }
    for pair in seen["btcusdt@trade"].windows(2) {
        assert_eq!(pair[0]["t"].as_i64().expect("t") + 1, pair[1]["t"].as_i64().expect("t"));
    }
    let (first, last) = (diffs[0]["U"].as_i64(), diffs[diffs.len() - 1]["u"].as_i64());
    let bests = seen["btcusdt@bookTicker"].iter().map(|best| best["u"].as_i64());
    assert!(bests.into_iter().filter(|u| *u >= first && *u <= last).count() > 0, "one id space");
}

#[tokio::test]
async fn a_connection_is_steered_by_messages_and_may_ask_for_microseconds() {
    let exchange = exchange(3_000);
    let mut client = Client::open(exchange.addr(), "/ws/0?timeUnit=MICROSECOND").await;
    client.send(r#"{"method":"SUBSCRIBE","params":["ethusdt@trade","nosuch@trade"],"id":"u-1"}"#).await;
    assert_eq!(client.text().await, r#"{"result":null,"id":"u-1"}"#);
    let trade = client.json().await;
    assert_eq!((trade["s"].as_str(), trade["E"].to_string().len()), (Some("ETHUSDT"), 16));
    client.send(r#"{"method":"UNSUBSCRIBE","params":["ethusdt@trade"],"id":2}"#).await;
    client.find(|frame| (frame["id"] == 2).then_some(())).await;
    client.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#).await;
    assert_eq!(client.text().await, r#"{"result":["0","nosuch@trade"],"id":3}"#);
    client.send("nonsense").await;
    assert!(client.text().await.contains("Invalid JSON"));
    assert!(matches!(client.next().await, Err(End::Closed(Some(frame))) if u16::from(frame.code) == 1008));
    let refused = tokio_tungstenite::connect_async(format!("ws://{}/nosuch", exchange.addr())).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("404")));
}

#[tokio::test]
async fn rest_answers_in_the_documented_shapes() {
    let exchange = exchange(3_000);
    let addr = exchange.addr();
    assert_eq!(get(addr, "/api/v3/ping").await.body, "{}");
    assert!(get(addr, "/api/v3/time").await.json()["serverTime"].is_i64());
    let info = get(addr, "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22,%22SHIBUSDT%22%5D").await;
    assert!(info.head.contains("x-mbx-used-weight-1m: 22"), "{}", info.head);
    let info = info.json();
    assert_eq!(info["symbols"].as_array().expect("symbols").len(), 2);
    assert_eq!(info["symbols"][1]["filters"][0]["tickSize"], "0.00000001");
    assert!(get(addr, "/api/v3/exchangeInfo").await.json()["symbols"].as_array().expect("all").len() >= 24);
    for (path, code) in [
        ("/api/v3/exchangeInfo?symbols=%5B%22NOSUCH%22%5D", -1121),
        ("/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22,%20%22ETHUSDT%22%5D", -1100),
        ("/api/v3/depth?symbol=NOSUCH", -1121),
        ("/api/v3/depth?symbol=btcusdt", -1100),
        ("/api/v3/depth", -1102),
        ("/api/v3/depth?symbol=BTCUSDT&limit=x", -1100),
        ("/api/v3/klines?symbol=BTCUSDT&interval=7m", -1120),
    ] {
        let answer = get(addr, path).await;
        assert_eq!((answer.status, answer.json()["code"].as_i64()), (400, Some(code)), "{path}");
    }
    assert_eq!(get(addr, "/api/v3/nosuch").await.status, 404);
    let depth = get(addr, "/api/v3/depth?symbol=BTCUSDT&limit=7").await.json();
    assert_eq!(depth["bids"].as_array().map(Vec::len), Some(7));
    let mut client = Client::open(addr, "/ws/btcusdt@trade").await;
    let id = client.json().await["t"].as_i64().expect("t");
    client.find(|trade| (trade["t"].as_i64() == Some(id + 3)).then_some(())).await;
    let trades = get(addr, &format!("/api/v3/historicalTrades?symbol=BTCUSDT&fromId={id}&limit=3")).await.json();
    let ids: Vec<_> = trades.as_array().expect("trades").iter().map(|trade| trade["id"].as_i64()).collect();
    assert_eq!(ids, [Some(id), Some(id + 1), Some(id + 2)]);
    let aggregates = get(addr, "/api/v3/aggTrades?symbol=BTCUSDT&limit=2").await.json();
    assert_eq!(aggregates[0]["a"].as_i64().map(|a| a + 1), aggregates[1]["a"].as_i64());
    let klines = get(addr, "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1").await.json();
    assert_eq!(klines[0].as_array().map(Vec::len), Some(12));
}

#[tokio::test]
async fn a_gap_and_a_lost_trade_leave_a_hole() {
    let exchange = exchange(3_000);
    let mut client = Client::open(exchange.addr(), "/stream?streams=btcusdt@depth@100ms/btcusdt@trade").await;
    let mut last = client.find(|frame| frame["data"]["u"].as_i64()).await;
    exchange.inject(Fault::Gap);
    let hole = client
        .find(|frame| {
            let (first, expected) = (frame["data"]["U"].as_i64()?, last + 1);
            last = frame["data"]["u"].as_i64()?;
            (first != expected).then_some(first - expected)
        })
        .await;
    assert!(hole > 0);
    let mut last = client.find(|frame| frame["data"]["t"].as_i64()).await;
    exchange.inject(Fault::TradeGap);
    let hole = client
        .find(|frame| {
            let id = frame["data"]["t"].as_i64()?;
            let expected = std::mem::replace(&mut last, id) + 1;
            (id != expected).then_some(id - expected)
        })
        .await;
    assert_eq!(hole, 1);
    assert_eq!((exchange.counters().of(Fault::Gap), exchange.counters().of(Fault::TradeGap)), (1, 1));
}

#[tokio::test]
async fn a_frame_comes_twice_or_late_or_broken() {
    let exchange = exchange(3_000);
    let mut client = Client::open(exchange.addr(), "/ws/btcusdt@depth@100ms").await;
    let mut last = client.text().await;
    exchange.inject(Fault::Duplicate);
    loop {
        let next = client.text().await;
        if std::mem::replace(&mut last, next.clone()) == next {
            break;
        }
    }
    exchange.inject(Fault::Reorder);
    let mut last = 0;
    client
        .find(|event| {
            let first = event["U"].as_i64().expect("U");
            let before = std::mem::replace(&mut last, first);
            (first < before).then_some(())
        })
        .await;
    exchange.inject(Fault::Malformed);
    while serde_json::from_str::<Value>(&client.text().await).is_ok() {}
    let counters = exchange.counters();
    for fault in [Fault::Duplicate, Fault::Reorder, Fault::Malformed] {
        assert_eq!(counters.of(fault), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_stalled_connection_is_silent_and_then_gets_what_it_missed_or_not() {
    let exchange = with_faults(&["BTCUSDT"], 3, 3_000, Faults { stall_ms: 400, ..Faults::default() });
    for (fault, is_lossy) in [(Fault::StallLate, false), (Fault::StallLost, true)] {
        let mut client = Client::open(exchange.addr(), "/ws/btcusdt@depth@100ms").await;
        let mut last = client.json().await["u"].as_i64().expect("u");
        exchange.inject(fault);
        while exchange.counters().of(fault) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut has_hole = false;
        for _ in 0..20 {
            let event = client.json().await;
            has_hole |= event["U"].as_i64() != Some(last + 1);
            last = event["u"].as_i64().expect("u");
        }
        assert_eq!(has_hole, is_lossy, "{fault:?}");
    }
}

#[tokio::test]
async fn a_connection_is_cut_or_closed_after_an_announcement() {
    let exchange = exchange(3_000);
    let mut client = Client::open(exchange.addr(), "/ws/btcusdt@trade").await;
    client.text().await;
    exchange.inject(Fault::Disconnect);
    let end = loop {
        if let Err(end) = client.next().await {
            break end;
        }
    };
    assert!(matches!(end, End::Cut), "{end:?}");
    let mut client = Client::open(exchange.addr(), "/stream?streams=btcusdt@trade").await;
    client.text().await;
    exchange.inject(Fault::Shutdown);
    client
        .find(|frame| (frame["stream"] == "!serverShutdown" && frame["data"]["e"] == "serverShutdown").then_some(()))
        .await;
    let end = loop {
        if let Err(end) = client.next().await {
            break end;
        }
    };
    assert!(matches!(&end, End::Closed(Some(frame)) if u16::from(frame.code) == 1001), "{end:?}");
}

#[tokio::test]
async fn rest_refuses_or_shows_the_past() {
    let exchange = exchange(6_000);
    let depth = "/api/v3/depth?symbol=BTCUSDT&limit=5";
    let last_id = |answer: Value| answer["lastUpdateId"].as_i64().expect("an id");
    let opened = last_id(get(exchange.addr(), depth).await.json());
    while last_id(get(exchange.addr(), depth).await.json()) == opened {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    exchange.inject(Fault::StaleSnapshot);
    exchange.inject(Fault::RateLimit);
    let refused = get(exchange.addr(), depth).await;
    assert_eq!((refused.status, refused.json()["code"].as_i64()), (429, Some(-1003)));
    assert!(refused.head.contains("retry-after: 1"));
    let now = exchange.book("BTCUSDT").expect("listed").0;
    assert!(last_id(get(exchange.addr(), depth).await.json()) < now);
    assert!(last_id(get(exchange.addr(), depth).await.json()) >= now);
}

/// json-bigint makes an object of a number with more digits, and node-binance-api then never finds the next diff.
#[tokio::test]
async fn ids_have_no_more_than_15_digits() {
    let exchange = exchange(6_000);
    let answer = get(exchange.addr(), "/api/v3/depth?symbol=BTCUSDT&limit=5").await.json();
    let book_id = answer["lastUpdateId"].as_i64().expect("an id");
    let mut client = Client::open(exchange.addr(), "/ws/btcusdt@aggTrade").await;
    let aggregate = client.json().await;
    for id in [book_id, aggregate["a"].as_i64().expect("an id"), aggregate["l"].as_i64().expect("an id")] {
        assert!((1..1_000_000_000_000_000).contains(&id), "{id}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_the_others_go_on() {
    let exchange = exchange(200_000);
    let streams: Vec<_> = exchange
        .symbols()
        .iter()
        .flat_map(|s| ["bookTicker", "depth@100ms"].map(|c| format!("{}@{c}", s.to_lowercase())))
        .collect();
    let lazy = Client::open(exchange.addr(), &format!("/stream?streams={}", streams.join("/"))).await;
    let mut eager = Client::open(exchange.addr(), "/ws/btcusdt@depth").await;
    while exchange.counters().slow == 0 {
        eager.json().await;
    }
    drop(lazy);
    eager.json().await;
}

#[test]
fn unknown_symbols_are_left_out_and_none_at_all_is_refused() {
    let symbols = vec!["BTCUSDT".to_owned(), "NOSUCH".to_owned()];
    let exchange = sim::start(&Settings { symbols, ..Settings::default() }).expect("one is known");
    assert_eq!(exchange.symbols(), ["BTCUSDT"]);
    assert!(exchange.book("NOSUCH").is_none());
    let error = sim::start(&Settings { symbols: vec!["NOSUCH".to_owned()], ..Settings::default() }).expect_err("none");
    assert!(error.to_string().contains("it knows BTCUSDT"));
    let taken = Settings { listen: exchange.addr(), ..Settings::default() };
    assert!(sim::start(&taken).is_err(), "the port is in use");
    exchange.stop();
}
