//! SBE streams of the running program, read by a decoder of our own, against its JSON streams and REST.

mod decoder;

use std::collections::BTreeMap;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use crate::{
    client::{self, LocalBook, PATIENCE, Socket},
    process::Served,
};
use decoder::{Levels, Message};

/// What comes next that is no ping.
async fn next(socket: &mut Socket) -> tungstenite::Message {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("something comes");
        let message = message.expect("the connection stays open").expect("the connection is sound");
        if !matches!(message, tungstenite::Message::Ping(_) | tungstenite::Message::Pong(_)) {
            return message;
        }
    }
}

fn read(message: &tungstenite::Message) -> Message {
    let tungstenite::Message::Binary(frame) = message else { panic!("market data are binary, not {message:?}") };
    decoder::read(frame).unwrap_or_else(|error| panic!("{error} in {frame:02x?}"))
}

/// A side as JSON has it.
fn json_levels(levels: &Levels) -> Value {
    levels.iter().map(|(price, quantity)| json!([price, quantity])).collect()
}

/// All that one client heard, by kind; the same values in the same words for both encodings.
#[derive(Default)]
struct Heard {
    /// In order, as JSON diffs without the symbol's letter case and the event's name.
    diffs: Vec<Value>,
    /// By trade id: times, price, quantity, side.
    trades: BTreeMap<i64, (i64, i64, String, String, bool)>,
    /// By update id: bid, ask.
    best: BTreeMap<i64, [(String, String); 2]>,
    /// By update id: bids, asks.
    partial: BTreeMap<i64, (Value, Value)>,
}

impl Heard {
    fn sbe(&mut self, message: &Message) {
        match message {
            Message::Trades { event_time, transact_time, trades, symbol } => {
                assert_eq!(symbol, "BTCUSDT");
                for trade in trades {
                    let values = (
                        *event_time,
                        *transact_time,
                        trade.price.clone(),
                        trade.quantity.clone(),
                        trade.buyer_is_maker,
                    );
                    assert_eq!(self.trades.insert(trade.id, values), None, "each trade once");
                }
            }
            Message::Best { update_id, bid, ask, symbol, .. } => {
                assert_eq!(symbol, "BTCUSDT");
                assert_eq!(self.best.insert(*update_id, [bid.clone(), ask.clone()]), None, "each id once");
            }
            Message::Snapshot { update_id, bids, asks, symbol, .. } => {
                assert!(symbol == "BTCUSDT" && bids.len() <= 20 && asks.len() <= 20);
                self.partial.insert(*update_id, (json_levels(bids), json_levels(asks)));
            }
            Message::Diff { event_time, first_id, last_id, bids, asks, symbol } => {
                let (bids, asks) = (json_levels(bids), json_levels(asks));
                self.diffs
                    .push(json!({"s": symbol, "E": event_time, "U": first_id, "u": last_id, "b": bids, "a": asks}));
            }
        }
    }

    fn json(&mut self, event: &Value) {
        let data = &event["data"];
        let text = |key: &str| data[key].as_str().expect("a text").to_owned();
        let number = |key: &str| data[key].as_i64().expect("a number");
        match event["stream"].as_str().expect("a name") {
            "btcusdt@trade" => {
                let values = (number("E"), number("T"), text("p"), text("q"), data["m"].as_bool().expect("a flag"));
                self.trades.insert(number("t"), values);
            }
            "btcusdt@bookTicker" => {
                self.best.insert(number("u"), [(text("b"), text("B")), (text("a"), text("A"))]);
            }
            "btcusdt@depth20@100ms" => {
                self.partial.insert(number("lastUpdateId"), (data["bids"].clone(), data["asks"].clone()));
            }
            "btcusdt@depth@100ms" => self.diffs.push(data.clone()),
            other => panic!("nobody asked for {other}"),
        }
    }

    /// The book after each diff that follows `snapshot`, by update id.
    fn books(&self, snapshot: &LocalBook) -> BTreeMap<i64, LocalBook> {
        let mut book = snapshot.clone();
        let mut books = BTreeMap::new();
        let mut joined = false;
        for diff in &self.diffs {
            let (first, last) = (diff["U"].as_i64().expect("U"), diff["u"].as_i64().expect("u"));
            if last <= book.last_id && !joined {
                continue;
            }
            if joined {
                book.apply(diff).expect("diffs tile");
            } else {
                assert!(first <= book.last_id + 1, "{first} is beyond the snapshot's {}", book.last_id);
                book.merge(diff, last).expect("a sound book");
                joined = true;
            }
            books.insert(last, book.clone());
        }
        books
    }
}

/// Compares what both have heard of one kind within the ids that both were there for; gives the number of equal ones.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, sbe: &BTreeMap<i64, T>, json: &BTreeMap<i64, T>) -> usize {
    let from = sbe.keys().next().max(json.keys().next()).copied().expect("both have heard some");
    let to = sbe.keys().last().min(json.keys().last()).copied().expect("both have heard some");
    let [sbe, json] = [sbe, json].map(|heard| heard.range(from..=to.max(from)).collect::<Vec<_>>());
    assert_eq!(sbe, json, "{what}");
    sbe.len()
}

#[tokio::test]
async fn sbe_says_the_same_as_json_and_rest() {
    let served = Served::start(&["serve", "--set", "exchange.rate=2000"]);
    let (public, sbe) = (&served.public, &served.sbe);
    // The simulated market is there once REST serves the book.
    let rest = format!("http://{public}/api/v3/depth?symbol=BTCUSDT&limit=5000");
    while !client::http().get(&rest).send().await.expect("it answers").status().is_success() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let names = "btcusdt@trade/btcusdt@bookTicker/btcusdt@depth20@100ms/btcusdt@depth@100ms";
    let mut json = client::open(&format!("ws://{public}/stream?streams={names}&timeUnit=MICROSECOND")).await;
    let mut binary = client::open(&format!("ws://{sbe}/stream?streams=btcusdt@depth20")).await;
    let subscribe = r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","binance:btcusdt@bestBidAsk","btcusdt@depth","btcusdt@bookTicker","btcusdt@depth@100ms"],"id":"a-1"}"#;
    binary.send(tungstenite::Message::text(subscribe)).await.expect("sent");
    let (mut of_sbe, mut of_json) = (Heard::default(), Heard::default());
    // The reply is text, between whatever data; from then on everything that SBE has comes on this connection.
    loop {
        match next(&mut binary).await {
            tungstenite::Message::Text(text) => break assert_eq!(text.as_str(), r#"{"result":null,"id":"a-1"}"#),
            data => of_sbe.sbe(&read(&data)),
        }
    }
    while of_sbe.diffs.is_empty() {
        of_sbe.sbe(&read(&next(&mut binary).await));
    }
    while of_json.diffs.is_empty() {
        of_json.json(&client::next(&mut json).await);
    }
    let snapshot = LocalBook::from_rest(&client::get(&rest).await);
    // Until a hundred ticks of the slower one have come.
    while of_json.diffs.len() < 100 {
        tokio::select! {
            message = next(&mut binary) => of_sbe.sbe(&read(&message)),
            event = client::next(&mut json) => of_json.json(&event),
        }
    }
    while of_sbe.diffs.last().expect("some")["u"].as_i64() < of_json.diffs.last().expect("some")["u"].as_i64() {
        of_sbe.sbe(&read(&next(&mut binary).await));
    }
    let trades = same("trades", &of_sbe.trades, &of_json.trades);
    let best = same("bestBidAsk and bookTicker", &of_sbe.best, &of_json.best);
    let [sbe_books, json_books] = [&of_sbe, &of_json].map(|heard| heard.books(&snapshot));
    let books = json_books.iter().filter_map(|(id, book)| sbe_books.get(id).map(|other| (id, book, other)));
    let books = books.inspect(|(id, book, other)| assert_eq!(book, other, "the books after {id}")).count();
    let partial = of_json.partial.iter().filter_map(|(id, book)| of_sbe.partial.get(id).map(|other| (id, book, other)));
    let partial = partial.inspect(|(id, book, other)| assert_eq!(book, other, "the best levels after {id}")).count();
    println!(
        "equal: {trades} trades, {best} bests, {books} books of {} SBE and {} JSON diffs, {partial} partial books",
        of_sbe.diffs.len(),
        of_json.diffs.len()
    );
    assert!(trades >= 10 && best >= 50 && books >= 10 && partial >= 10, "enough to compare");
    // A partial book of SBE is the top of the book that its diffs make.
    let tops = of_sbe.partial.iter().filter_map(|(id, top)| sbe_books.get(id).map(|book| (top, book)));
    let tops = tops.inspect(|((bids, asks), book)| {
        let keys = |side: &Value| -> Vec<i128> {
            side.as_array()
                .expect("levels")
                .iter()
                .map(|level| client::key(level[0].as_str().expect("a price")))
                .collect()
        };
        assert!(keys(bids).into_iter().eq(book.bids.keys().rev().take(20).copied()));
        assert!(keys(asks).into_iter().eq(book.asks.keys().take(20).copied()));
    });
    assert!(tops.count() >= 10);
}

#[tokio::test]
async fn the_door_of_sbe_speaks_text_about_itself_and_nothing_but_its_own_streams() {
    let served = Served::start(&["serve", "--set", "session.ping_interval_ms=200"]);
    let (public, sbe) = (&served.public, &served.sbe);
    let mut silent = client::open(&format!("ws://{sbe}/stream?streams=btcusdt@bookTicker/btcusdt@depth@100ms")).await;
    let mut json = client::open(&format!("ws://{public}/ws/btcusdt@bestBidAsk")).await;
    let mut best = client::open(&format!("ws://{sbe}/binance/ws/btcusdt@bestBidAsk?timeUnit=nonsense")).await;
    assert!(matches!(read(&next(&mut best).await), Message::Best { .. }));
    for (socket, names) in
        [(&mut silent, r#"["btcusdt@bookTicker","btcusdt@depth@100ms"]"#), (&mut json, r#"["btcusdt@bestBidAsk"]"#)]
    {
        socket.send(tungstenite::Message::text(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#)).await.expect("sent");
        let list = next(socket).await.into_text().expect("nothing else has come");
        assert_eq!(list.as_str(), format!(r#"{{"result":{names},"id":1}}"#));
    }
    let ping = match silent.next().await.expect("open").expect("sound") {
        tungstenite::Message::Ping(payload) => payload,
        other => panic!("nothing but pings: {other:?}"),
    };
    assert!(ping.iter().all(u8::is_ascii_digit) && ping.len() == 13);
    let page = client::http().get(format!("http://{sbe}/api/v3/ping")).send().await.expect("an answer");
    assert_eq!(page.status().as_u16(), 426);
    assert!(page.text().await.expect("a body").contains("SBE"));
    served.signal("TERM");
    let mut last = None;
    loop {
        match next(&mut silent).await {
            tungstenite::Message::Text(text) => last = Some(text),
            tungstenite::Message::Close(frame) => {
                let frame = frame.expect("a code");
                assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1001, "Server shutdown"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let last = last.expect("it was announced");
    assert!(last.starts_with(r#"{"e":"serverShutdown","E":"#), "as text, not wrapped: {last}");
    drop((json, best, silent));
    assert_eq!(served.wait(), Some(0));
}
