//! What fills a history: it goes last, within its part of the weights, and whatever the venue says, nothing is lost.

use std::time::Duration;

use tickcast::{
    clock,
    intake::{Inbound, Request, Tapped, Wanted},
    market::{InstrumentId, Interval, Nanos, Series, Zone},
};
use tokio::{runtime::Handle, time::Instant};

use super::{AtWork, StandIn, soon, start, start_with};

const BTC: InstrumentId = InstrumentId(0);
const ETH: InstrumentId = InstrumentId(1);
const FROM: Nanos = Nanos::from_millis(1_788_998_400_000);

fn klines(instrument: InstrumentId, series: Series) -> Request {
    Request::Klines { instrument, series, from: FROM, count: 1000 }
}

fn kline_path(symbol: &str, interval: &str) -> String {
    format!("/api/v3/klines?symbol={symbol}&interval={interval}&startTime=1788998400000&limit=1000")
}

impl AtWork {
    /// Waits until the venue's answer with this status has been seen.
    async fn has_seen(&self, expected: u16) {
        loop {
            if let Tapped::Response { status, .. } = soon(self.tapped.recv_async()).await.expect("a tap")
                && status == expected
            {
                return;
            }
        }
    }

    /// What was refused next.
    async fn refused(&self) -> (InstrumentId, Wanted, bool) {
        match self.answer().await {
            Inbound::Refused { instrument, what, for_good, .. } => (instrument, what, for_good),
            other => panic!("{other:?}"),
        }
    }
}

/// The paths of the next `count` requests, sorted: those under way at the same time come in any order. All are answered.
async fn answered(venue: &mut StandIn, count: usize, body: &str) -> Vec<String> {
    let mut asked = Vec::new();
    for _ in 0..count {
        asked.push(venue.asked().await);
    }
    let mut paths: Vec<_> = asked.iter().map(|asked| asked.path.clone()).collect();
    asked.into_iter().for_each(|asked| asked.answer(200, &[], body));
    paths.sort_unstable();
    paths
}

#[tokio::test]
async fn lost_trades_then_books_then_newest_trades_then_candles_in_the_order_of_asking() {
    let mut venue = StandIn::open().await;
    let at_work = start(&venue, &["BTCUSDT", "ETHUSDT"], 1);
    venue.list(&["BTCUSDT", "ETHUSDT"]).await;
    // A pause of a second lets everything queue up.
    at_work.ask(klines(ETH, Series::HOUR));
    let asked = venue.asked().await;
    assert_eq!(asked.path, kline_path("ETHUSDT", "1h"));
    asked.answer(429, &[("Retry-After", "1")], r#"{"code":-1003,"msg":"Too much request weight used."}"#);
    at_work.has_seen(429).await;

    let day = Series::new(Interval::Day1, Zone::Plus8);
    at_work.ask(klines(BTC, day));
    at_work.ask(klines(ETH, Series::SECOND));
    at_work.ask(klines(BTC, Series::MINUTE));
    at_work.ask(klines(BTC, Series::HOUR));
    at_work.ask(Request::AggTrades { instrument: BTC, from_id: None, count: 1000 });
    at_work.ask(Request::RecentTrades { instrument: ETH });
    at_work.ask_snapshot(0, 1000);
    at_work.ask_snapshot(1, 5000);
    at_work.ask(Request::AggTrades { instrument: BTC, from_id: Some(26_129), count: 7 });
    at_work.ask(Request::Trades { instrument: ETH, from_id: 28_457, count: 10 });

    let first = [
        "/api/v3/aggTrades?symbol=BTCUSDT&limit=7&fromId=26129",
        "/api/v3/depth?symbol=BTCUSDT&limit=1000",
        "/api/v3/depth?symbol=ETHUSDT&limit=5000",
        "/api/v3/historicalTrades?symbol=ETHUSDT&limit=10&fromId=28457",
    ];
    assert_eq!(answered(&mut venue, 4, "[]").await, first);
    let recent = ["/api/v3/aggTrades?symbol=BTCUSDT&limit=1000", "/api/v3/trades?symbol=ETHUSDT&limit=1000"];
    assert_eq!(answered(&mut venue, 2, "[]").await, recent);
    // The refused one has waited the longest, but its back-off may bring it in anywhere.
    let mut history = Vec::new();
    for _ in 0..5 {
        history.extend(answered(&mut venue, 1, "[]").await);
    }
    let mut others: Vec<_> = history.iter().filter(|path| **path != kline_path("ETHUSDT", "1h")).cloned().collect();
    assert_eq!(others.len(), 4);
    let in_order = [
        kline_path("BTCUSDT", "1d") + "&timeZone=8",
        kline_path("ETHUSDT", "1s"),
        kline_path("BTCUSDT", "1m"),
        kline_path("BTCUSDT", "1h"),
    ];
    // Two are under way at a time.
    others[..2].sort_by_key(|path| in_order.iter().position(|other| other == path));
    others[2..].sort_by_key(|path| in_order.iter().position(|other| other == path));
    assert_eq!(others, in_order);

    let mut answers = [0; 6];
    for _ in 0..11 {
        match at_work.answer().await {
            Inbound::Trades { instrument: ETH, .. } => answers[0] += 1,
            Inbound::AggTrades { instrument: BTC, from_id: Some(26_129), .. } => answers[1] += 1,
            Inbound::Snapshot { .. } => answers[2] += 1,
            Inbound::RecentTrades { instrument: ETH, .. } => answers[3] += 1,
            Inbound::AggTrades { instrument: BTC, from_id: None, .. } => answers[4] += 1,
            Inbound::Klines { from: FROM, body, .. } => {
                assert_eq!(&body.bytes[..], b"[]");
                answers[5] += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answers, [1, 1, 2, 1, 1, 5]);
}

#[tokio::test]
async fn slow_answers_to_history_hold_up_no_book() {
    let mut venue = StandIn::open().await;
    let at_work = start(&venue, &["BTCUSDT"], 1);
    venue.list(&["BTCUSDT"]).await;
    for series in &Series::ALL[..8] {
        at_work.ask(klines(BTC, *series));
    }
    let _unanswered = (venue.asked().await, venue.asked().await);
    for levels in [100, 500, 1000] {
        at_work.ask_snapshot(0, levels);
        let asked = venue.asked().await;
        assert_eq!(asked.path, format!("/api/v3/depth?symbol=BTCUSDT&limit={levels}"));
        asked.answer(200, &[], "{}");
        assert!(matches!(at_work.answer().await, Inbound::Snapshot { .. }));
    }
    assert!(venue.asked_already().is_none(), "a third request for history");
}

#[tokio::test]
async fn history_leaves_weight_for_books() {
    loop {
        let mut venue = StandIn::open().await;
        let addresses = [(format!("ws://{}", venue.ws), format!("http://{}", venue.rest))];
        // Our share is 60, of which history may use 30, and nothing beyond 45.
        let small = |settings: &mut tickcast::config::Intake| settings.rest_weight_percent = 1;
        let minute = clock::now().millis() / 60_000;
        let at_work = start_with(&Handle::current(), "binance", &addresses, &["BTCUSDT"], 1, small);
        venue.list(&["BTCUSDT"]).await;
        for series in Series::ALL {
            at_work.ask(klines(BTC, series));
        }
        // The list weighs 20, a request for candles 2.
        for _ in 0..12 {
            let asked = venue.asked().await;
            assert!(asked.path.starts_with("/api/v3/klines?"), "{}", asked.path);
            asked.answer(200, &[], "[]");
            assert!(matches!(at_work.answer().await, Inbound::Klines { .. }));
        }
        at_work.ask_snapshot(0, 100);
        let next = venue.asked().await.path;
        if clock::now().millis() / 60_000 != minute {
            // The minute has turned, and all is allowed anew.
            continue;
        }
        assert_eq!(next, "/api/v3/depth?symbol=BTCUSDT&limit=100");
        return;
    }
}

#[tokio::test]
async fn what_the_venue_refuses_is_told_and_what_fails_is_tried_again() {
    let mut venue = StandIn::open().await;
    let at_work = start(&venue, &["BTCUSDT"], 1);
    venue.list(&["BTCUSDT"]).await;
    let everything = [
        (Request::Trades { instrument: BTC, from_id: 1, count: 1 }, Wanted::Trades),
        (Request::RecentTrades { instrument: BTC }, Wanted::RecentTrades),
        (Request::AggTrades { instrument: BTC, from_id: Some(1), count: 1 }, Wanted::AggTrades),
        (Request::AggTrades { instrument: BTC, from_id: None, count: 1 }, Wanted::AggTrades),
        (klines(BTC, Series::MINUTE), Wanted::Klines(Series::MINUTE)),
    ];
    for (request, what) in everything {
        for (status, for_good) in [(404, true), (410, true), (400, false), (401, false), (403, false), (451, false)] {
            at_work.ask(request);
            venue.asked().await.answer(status, &[], r#"{"code":-1,"msg":"no"}"#);
            assert_eq!(at_work.refused().await, (BTC, what, for_good), "{status}");
        }
        at_work.ask(request);
        let path = venue.asked().await.path;
        // That one got no answer at all; these are the venue's own troubles.
        for status in [500, 502, 503, 408, 302] {
            let asked = venue.asked().await;
            assert_eq!(asked.path, path);
            asked.answer(status, &[], "<html>");
        }
        let asked = venue.asked().await;
        assert_eq!(asked.path, path);
        // Whether a body makes sense is for the decoder to say.
        asked.answer(200, &[], "<html>garbage</html>");
        let body = match at_work.answer().await {
            Inbound::Trades { body, .. }
            | Inbound::RecentTrades { body, .. }
            | Inbound::AggTrades { body, .. }
            | Inbound::Klines { body, .. } => body,
            other => panic!("{other:?}"),
        };
        assert_eq!(&body.bytes[..], b"<html>garbage</html>");
    }
    assert!(venue.asked_already().is_none());
}

#[tokio::test]
async fn of_one_series_the_newest_request_waits() {
    let mut venue = StandIn::open().await;
    let at_work = start(&venue, &["BTCUSDT"], 1);
    venue.list(&["BTCUSDT"]).await;
    at_work.ask(klines(BTC, Series::HOUR));
    at_work.ask(klines(BTC, Series::SECOND));
    let (first, second) = (venue.asked().await, venue.asked().await);
    // Both places are taken: these wait.
    for count in 1..=500 {
        let from = Nanos(FROM.0 + i64::from(count) * 60_000_000_000);
        soon(at_work.requests.send_async(Request::Klines { instrument: BTC, series: Series::MINUTE, from, count }))
            .await
            .expect("intake takes requests");
    }
    // The last one has been taken once something behind it has been answered.
    at_work.ask_snapshot(0, 100);
    venue.asked().await.answer(200, &[], "{}");
    assert!(matches!(at_work.answer().await, Inbound::Snapshot { .. }));
    first.answer(200, &[], "[]");
    second.answer(200, &[], "[]");
    let asked = venue.asked().await;
    let start = FROM.millis() + 500 * 60_000;
    let expected = format!("/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={start}&limit=500");
    assert_eq!(asked.path, expected);
    asked.answer(200, &[], "[]");
    for _ in 0..3 {
        assert!(matches!(at_work.answer().await, Inbound::Klines { .. }));
    }
    assert!(venue.asked_already().is_none());
}

#[tokio::test]
async fn answers_to_history_are_recorded() {
    let mut venue = StandIn::open().await;
    let at_work = start(&venue, &["BTCUSDT"], 1);
    venue.list(&["BTCUSDT"]).await;
    at_work.ask(klines(BTC, Series::MINUTE));
    venue.asked().await.answer(200, &[], "[[1]]");
    let expected = format!("http://{}{}", venue.rest, kline_path("BTCUSDT", "1m"));
    loop {
        if let Tapped::Response { url, status, body, .. } = soon(at_work.tapped.recv_async()).await.expect("a tap")
            && *url == *expected
        {
            assert_eq!((status, &body[..]), (200, b"[[1]]".as_slice()));
            return;
        }
    }
}

fn start_kraken(venue: &StandIn) -> AtWork {
    let addresses = [(format!("ws://{}", venue.ws), format!("http://{}", venue.rest))];
    start_with(&Handle::current(), "kraken", &addresses, &["BTC/USD", "ETH/USD"], 1, |_| ())
}

#[tokio::test]
async fn a_venue_that_says_no_with_a_success_is_understood() {
    let mut venue = StandIn::open().await;
    let at_work = start_kraken(&venue);
    at_work.ask(klines(BTC, Series::MINUTE));
    let asked = venue.asked().await;
    assert_eq!(asked.path, "/0/public/OHLC?pair=XBTUSD&interval=1&since=1788998399");
    asked.answer(200, &[], r#"{"error":["EService:Unavailable"]}"#);
    let asked = venue.asked().await;
    asked.answer(200, &[], r#"{"error":["EGeneral:Invalid arguments"]}"#);
    assert_eq!(at_work.refused().await, (BTC, Wanted::Klines(Series::MINUTE), false));
    at_work.ask(Request::RecentTrades { instrument: ETH });
    let asked = venue.asked().await;
    assert_eq!(asked.path, "/0/public/Trades?pair=ETHUSD&count=1000");
    asked.answer(200, &[], r#"{"error":["EQuery:Unknown asset pair"]}"#);
    assert_eq!(at_work.refused().await, (ETH, Wanted::RecentTrades, true));
}

#[tokio::test]
async fn what_a_venue_does_not_offer_is_refused_without_asking_it() {
    let mut venue = StandIn::open().await;
    let at_work = start_kraken(&venue);
    let three = Series::new(Interval::Minute3, Zone::Utc);
    at_work.ask(klines(BTC, three));
    assert_eq!(at_work.refused().await, (BTC, Wanted::Klines(three), true));
    at_work.ask(Request::Trades { instrument: BTC, from_id: 7, count: 1 });
    assert_eq!(at_work.refused().await, (BTC, Wanted::Trades, true));
    at_work.ask(Request::AggTrades { instrument: ETH, from_id: Some(7), count: 1 });
    assert_eq!(at_work.refused().await, (ETH, Wanted::AggTrades, true));
    assert!(venue.asked_already().is_none());
}

#[tokio::test]
async fn requests_to_kraken_are_a_second_apart() {
    let mut venue = StandIn::open().await;
    let at_work = start_kraken(&venue);
    for series in [Series::MINUTE, Series::HOUR] {
        at_work.ask(klines(BTC, series));
    }
    venue.asked().await.answer(200, &[], r#"{"error":[],"result":{"XXBTZUSD":[],"last":0}}"#);
    let first = Instant::now();
    venue.asked().await.answer(200, &[], r#"{"error":[],"result":{"XXBTZUSD":[],"last":0}}"#);
    // Bounded from below only, with what a slow way to the first one may have taken from it.
    assert!(first.elapsed() >= Duration::from_millis(500));
    for _ in 0..2 {
        assert!(matches!(at_work.answer().await, Inbound::Klines { instrument: BTC, .. }));
    }
}
