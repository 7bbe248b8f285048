//! The exchange dies and comes back, with ids that rise or fall, or says goodbye first.

use serde_json::Value;
use tickcast::sim::{self, Fault};
use tokio_tungstenite::tungstenite::Message;

use super::{
    DepthClient, Metrics, Scratch, assert_same, best_in, best_of, exchange, readiness, truth, until, until_counted,
    until_ready, venue,
};
use crate::{
    client::{self, LocalBook, Socket},
    process::Served,
};

const SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];
const FIRST_ID: i64 = 5_000_000_000;
const HIGHER_ID: i64 = 8_000_000_000;
const LOWER_ID: i64 = 1_000;

/// The clients of one symbol that no death of an exchange may disturb.
struct Others {
    symbol: &'static str,
    best: Socket,
    partial: Socket,
    trades: Socket,
    last_trade: i64,
    last_best: i64,
    last_partial: i64,
}

impl Others {
    async fn open(public: &str, symbol: &'static str) -> Self {
        let lower = symbol.to_lowercase();
        let open = |stream: &str| format!("ws://{public}/ws/{lower}@{stream}");
        let mut best = client::open(&open("bookTicker")).await;
        let mut partial = client::open(&open("depth20@100ms")).await;
        let mut trades = client::open(&open("trade")).await;
        let id = |event: Value, key: &str| event[key].as_i64().expect("an id");
        let last_best = id(client::next(&mut best).await, "u");
        let last_partial = id(client::next(&mut partial).await, "lastUpdateId");
        let last_trade = id(client::next(&mut trades).await, "t");
        Self { symbol, best, partial, trades, last_trade, last_best, last_partial }
    }

    /// Follows all three to the present, silent market; ids rise, but for one fall each if the exchange's did.
    async fn follow_to(&mut self, market: &sim::Running, first_id: i64) {
        let truth = truth(market, self.symbol);
        let rise = |last: &mut i64, now: i64| {
            let has_fallen = *last >= FIRST_ID && first_id < FIRST_ID && (first_id..FIRST_ID).contains(&now);
            assert!(now > *last || has_fallen, "{} came after {last}", now);
            *last = now;
        };
        loop {
            let event = client::next(&mut self.best).await;
            rise(&mut self.last_best, event["u"].as_i64().expect("u"));
            if self.last_best >= first_id && best_in(&event) == best_of(&truth) && self.last_best <= truth.last_id {
                break;
            }
        }
        loop {
            let book = client::next(&mut self.partial).await;
            rise(&mut self.last_partial, book["lastUpdateId"].as_i64().expect("lastUpdateId"));
            if self.last_partial == truth.last_id {
                let shown = LocalBook::from_rest(&book);
                let bids =
                    truth.bids.iter().rev().take(20).map(|(price, quantity)| (*price, quantity.clone())).collect();
                let asks = truth.asks.iter().take(20).map(|(price, quantity)| (*price, quantity.clone())).collect();
                assert_same(self.symbol, &shown, &LocalBook { last_id: truth.last_id, bids, asks });
                break;
            }
        }
        loop {
            let trade = client::next(&mut self.trades).await;
            rise(&mut self.last_trade, trade["t"].as_i64().expect("t"));
            if (first_id..first_id + 1_000_000).contains(&self.last_trade) {
                break;
            }
        }
    }
}

fn market(first_id: i64, seed: u64, listen: Option<std::net::SocketAddr>) -> sim::Running {
    exchange(&SYMBOLS, |settings| {
        settings.first_update_id = Some(first_id);
        settings.seed = seed;
        settings.listen = listen.unwrap_or(settings.listen);
    })
}

/// Followers of both cadences and of everything else, for every symbol.
async fn follow_everything(served: &Served) -> (Vec<DepthClient>, Vec<Others>) {
    let mut depths = Vec::new();
    let mut others = Vec::new();
    for symbol in SYMBOLS {
        for cadence in ["", "@100ms"] {
            depths.push(DepthClient::join(&served.public, symbol, cadence).await);
        }
        others.push(Others::open(&served.public, symbol).await);
    }
    (depths, others)
}

#[tokio::test]
async fn an_exchange_that_dies_and_comes_back_disturbs_nobody() {
    let first = market(FIRST_ID, 1, None);
    let address = first.addr();
    let config = Scratch::with("dies.toml", &venue(&first));
    let served = Served::start(&["serve", "--config", config.path()]);
    until_ready(&served).await;
    let (mut depths, mut others) = follow_everything(&served).await;

    first.stop();
    until("readyz says that the books are old", || async {
        let (is_ready, reasons) = readiness(&served).await;
        !is_ready && reasons.contains("all 2 books show what they were")
    })
    .await;
    let metrics = Metrics::of(&served).await;
    assert_eq!(metrics.sum("tickcast_book_state", "state=\"healing\""), 2.0);
    assert_eq!(metrics.sum("tickcast_intake_connections", ""), 0.0);
    assert_eq!(metrics.sum("tickcast_intake_disconnects_total", ""), 1.0);

    let second = market(HIGHER_ID, 2, Some(address));
    until_ready(&served).await;
    second.pause();
    for depth in &mut depths {
        depth.follow_to(&second).await;
    }
    for others in &mut others {
        others.follow_to(&second, HIGHER_ID).await;
    }
    let metrics = Metrics::of(&served).await;
    for (name, label, expected) in [
        ("tickcast_intake_connects_total", "", 2.0),
        ("tickcast_book_gaps_total", "", 2.0),
        ("tickcast_book_resyncs_total", "", 2.0),
        ("tickcast_book_state", "state=\"live\"", 2.0),
        ("tickcast_book_state", "state=\"healing\"", 0.0),
        ("tickcast_session_closes_total", "", 0.0),
    ] {
        assert_eq!(metrics.sum(name, label), expected, "{name}{{{label}}}");
    }
    assert_eq!(served.terminate(), Some(0));
}

#[tokio::test]
async fn ids_that_fall_end_depth_sessions_and_no_others() {
    let first = market(FIRST_ID, 1, None);
    let address = first.addr();
    let config = Scratch::with("falls.toml", &venue(&first));
    let served = Served::start(&["serve", "--config", config.path()]);
    until_ready(&served).await;
    let (mut depths, mut others) = follow_everything(&served).await;
    first.stop();
    until("readyz says that the books are old", || async { !readiness(&served).await.0 }).await;
    let second = market(LOWER_ID, 2, Some(address));
    for depth in &mut depths {
        // Up to its end it tiles.
        let (code, reason) = loop {
            match futures_util::StreamExt::next(&mut depth.socket).await.expect("a close frame").expect("a sound frame")
            {
                Message::Text(text) => {
                    let diff = serde_json::from_str(&text).expect("JSON");
                    depth.book.apply(&diff).unwrap_or_else(|wrong| panic!("{wrong}"));
                }
                Message::Close(frame) => {
                    let frame = frame.expect("a code");
                    break (u16::from(frame.code), frame.reason.to_string());
                }
                _ => {}
            }
        };
        assert_eq!((code, reason.as_str()), (1001, "Update ids were reset"));
        *depth = DepthClient::join(&served.public, &depth.symbol.clone(), "@100ms").await;
        assert!(depth.book.last_id < FIRST_ID, "it starts over at once");
    }
    until_ready(&served).await;
    second.pause();
    for depth in &mut depths {
        depth.follow_to(&second).await;
    }
    for others in &mut others {
        others.follow_to(&second, LOWER_ID).await;
    }
    let metrics = Metrics::of(&served).await;
    assert_eq!(metrics.sum("tickcast_session_closes_total", "reason=\"ids_reset\""), 4.0);
    assert_eq!(metrics.sum("tickcast_session_closes_total", ""), 4.0, "nobody else is closed");
    assert_eq!(served.terminate(), Some(0));
}

#[tokio::test]
async fn an_exchange_that_says_goodbye_is_left_without_a_gap() {
    let market = market(FIRST_ID, 1, None);
    let config = Scratch::with("goodbye.toml", &venue(&market));
    let served = Served::start(&["serve", "--config", config.path()]);
    until_ready(&served).await;
    let mut depths = Vec::new();
    for symbol in SYMBOLS {
        depths.push(DepthClient::join(&served.public, symbol, "@100ms").await);
    }
    market.inject(Fault::Shutdown);
    until_counted(&served, "tickcast_intake_disconnects_total", "", 1.0).await;
    assert_eq!(market.counters().of(Fault::Shutdown), 1);
    market.pause();
    for depth in &mut depths {
        depth.follow_to(&market).await;
    }
    let metrics = Metrics::of(&served).await;
    for (name, expected) in [
        ("tickcast_intake_connects_total", 2.0),
        ("tickcast_book_gaps_total", 0.0),
        ("tickcast_book_resyncs_total", 0.0),
        ("tickcast_engine_trade_holes_total", 0.0),
        ("tickcast_session_closes_total", 0.0),
    ] {
        assert_eq!(metrics.sum(name, ""), expected, "{name}");
    }
    let log = served.log();
    let places = |text: &str| log.match_indices(text).map(|(at, _)| at).collect::<Vec<_>>();
    let (opened, closed) = (places(" connected "), places("closed by the venue"));
    assert!(opened.len() == 2 && closed.len() == 1 && opened[1] < closed[0], "successor first:\n{log}");
    assert_eq!(served.terminate(), Some(0));
}
