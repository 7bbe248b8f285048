//! The whole program against an upstream that is Binance only roughly: what it says clearly is served, whatever else it says.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::stand_in::{Asked, Socket, StandIn, Visit, soon};
use crate::{
    client::{self, LocalBook},
    process::Served,
};

/// A configuration in a file that goes with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tickcast-{name}-{}.toml", std::process::id()));
        fs::write(&path, text).expect("a free path");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // What is left behind in a folder for temporary files harms nobody.
        let _ = fs::remove_file(&self.0);
    }
}

const T: i64 = 1_789_000_000_000;

/// What makes no sense, or none to us.
fn noise() -> Vec<Message> {
    let candle = |interval: &str| {
        json!({"e":"kline","E":T,"s":"BTCUSDT","k":{"t":T,"T":T + 1,"s":"BTCUSDT","i":interval,"f":1,"L":1,"o":"1","c":"1",
            "h":"1","l":"1","v":"1","n":1,"x":false,"q":"1","V":"1","Q":"1","B":"0"}})
        .to_string()
    };
    let mut noise: Vec<_> = [
        "hello",
        "",
        "{}",
        "[]",
        "[[1,2],{}]",
        "null",
        r#"{"result":null,"id":1}"#,
        r#"{"error":{"code":2,"msg":"Invalid request"},"id":1}"#,
        r#"{"e":"novelty","E":1,"s":"BTCUSDT"}"#,
        r#"{"e":"trade","E":1789000000000,"s":"NOSUCHUSDT","t":1,"p":"1","q":"1","T":1,"m":true}"#,
        r#"{"e":"trade","E":1789000000000,"s":"BTCUSDT","t":1,"p":1.5,"q":"1","T":1,"m":true}"#,
        r#"{"e":"trade","E":-1,"s":"BTCUSDT"}"#,
        r#"{"e":"depthUpdate","E":1789000000000,"s":"BTCUSDT","U":9,"u":5,"b":[["x","y"]],"a":[]}"#,
        r#"{"stream":"btcusdt@depth5","data":{"lastUpdateId":1,"bids":[],"asks":[]}}"#,
        r#"{"stream":"btcusdt@trade","data":null}"#,
        r#"{"e":"24hrTicker","E":1789000000000,"s":"BTCUSDT"}"#,
        r#"{"e":"referencePrice","s":"BTCUSDT"}"#,
        "{\"e\":\"trade\",\"E\":",
    ]
    .map(Message::text)
    .into();
    noise.extend(["5m", "1M", "1d", "7x", ""].map(|interval| Message::text(candle(interval))));
    noise.push(Message::text("[".repeat(5_000)));
    noise.push(Message::binary(vec![0x1f, 0x8b, 0xff, 0x00]));
    noise.push(Message::Ping(Vec::new().into()));
    noise
}

/// What makes sense at step `step`, in one of many spellings.
fn sense(step: i64) -> Vec<String> {
    // Milliseconds and microseconds take turns, and so do frames with and without a wrapper.
    let time = if step % 2 == 0 { T + step } else { (T + step) * 1_000 };
    let id = 1_000 + step;
    let price = format!("{}.5", 90 + step % 5);
    let diff =
        json!({"e":"depthUpdate","E":time,"s":"BTCUSDT","U":id,"u":id,"b":[[price, "1.25"]],"a":[],"extra":{"a":[1]}});
    let trade =
        json!({"e":"trade","E":time,"s":"BTCUSDT","t":step,"p":"100.5","q":"0.1","T":time,"m":false,"b":1,"a":2});
    let aggregate = json!({"e":"aggTrade","E":time,"s":"BTCUSDT","a":step,"p":"100.5","q":"0.1","f":step,"l":step,"T":time,"m":false});
    let best = json!({"e":"bookTicker","u":id,"s":"BTCUSDT","b":"94.5","B":"1.25","a":"101","A":"2"});
    let average = json!({"e":"avgPrice","E":time,"s":"BTCUSDT","i":"5m","w":"100.123456789","T":time});
    let reference = json!({"e":"referencePrice","s":"BTCUSDT","r":null,"t":time});
    let block = json!({"e":"blockTrade","E":time,"s":"BTCUSDT","t":step,"p":"99.5","q":"1000","T":time,"m":true});
    let list = json!([
        {"e":"24hrMiniTicker","E":time,"s":"ETHUSDT","c":"1","o":"1","h":"1","l":"1","v":"1","q":"1"},
        {"e":"24hrMiniTicker","E":time,"s":"BTCUSDT","c":"100.5","o":"90","h":"101","l":"90","v":"1","q":"1"},
    ]);
    let wrap = |stream: &str, data: &Value| match step % 3 {
        0 => data.to_string(),
        1 => json!({"stream": stream, "data": data}).to_string(),
        _ => format!("{{ \"ts\": 1,\n \"data\" : {data}, \"stream\": \"{stream}\" }}\n"),
    };
    vec![
        wrap("btcusdt@depth@100ms", &diff),
        wrap("btcusdt@trade", &trade),
        wrap("btcusdt@aggTrade", &aggregate),
        wrap("btcusdt@bookTicker", &best),
        wrap("btcusdt@avgPrice", &average),
        wrap("btcusdt@referencePrice", &reference),
        wrap("btcusdt@blockTrade", &block),
        wrap("!miniTicker@arr", &list),
    ]
}

fn answer(asked: Asked) {
    let path = asked.path.clone();
    let query = |name: &str| path.contains(name);
    if query("/exchangeInfo") {
        let body = r#"{"symbols":[{"new":"shape"},{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT"}]}"#;
        asked.answer(200, &[], body);
    } else if query("/depth") {
        asked.answer(200, &[], r#"{"symbol":"BTCUSDT","asks":[["101","2"]],"bids":[["80","1"]],"lastUpdateId":1000}"#);
    } else if query("/aggTrades") {
        asked.answer(200, &[], "<html>maintenance</html>");
    } else if query("/trades") {
        asked.answer(200, &[], r#"{"code":-1003,"msg":"no"}"#);
    } else if query("interval=1m") {
        asked.answer(200, &[], r#"[[1,"1"],[],{}]"#);
    } else if query("interval=1h") {
        asked.answer(429, &[("Retry-After", "1")], "");
    } else {
        asked.answer(404, &[], "no such thing");
    }
}

async fn speak(mut socket: Box<Socket>) {
    for step in 1.. {
        for message in noise().into_iter().take(if step % 10 == 1 { usize::MAX } else { 2 }) {
            if socket.stream.send(message).await.is_err() {
                return;
            }
        }
        for frame in sense(step) {
            if socket.stream.send(Message::text(frame)).await.is_err() {
                return;
            }
        }
        // A pace, so that it goes on for as long as the test needs.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_an_imitation_says_clearly_is_served_whatever_else_it_says() {
    let mut venue = StandIn::open().await;
    let text = format!(
        "[[venues]]\nname = \"binance\"\nkind = \"binance\"\nws_url = \"ws://{}\"\nrest_url = \"http://{}\"\n\
         symbols = [\"BTCUSDT\", \"ETHUSDT\"]\n",
        venue.ws, venue.rest
    );
    let config = File::new("imitation", &text);
    let acting = tokio::spawn(async move {
        loop {
            match venue.either().await {
                Visit::Socket(socket) => drop(tokio::spawn(speak(socket))),
                Visit::Asked(asked) => answer(asked),
            }
        }
    });
    let path = config.0.to_str().expect("a UTF-8 path").to_owned();
    let mut served =
        tokio::task::spawn_blocking(move || Served::start(&["serve", "--config", &path])).await.expect("it starts");

    let streams =
        ["depth@100ms", "trade", "aggTrade", "bookTicker", "avgPrice", "referencePrice", "blockTrade", "miniTicker"];
    let names: Vec<_> = streams.iter().map(|stream| format!("btcusdt@{stream}")).collect();
    let mut socket = client::open(&format!("ws://{}/stream?streams={}", served.public, names.join("/"))).await;
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    while seen.len() < streams.len() {
        let frame = client::next(&mut socket).await;
        let stream = frame["stream"].as_str().expect("wrapped").to_owned();
        seen.entry(stream).or_insert_with(|| frame["data"].clone());
    }
    let of = |stream: &str| &seen[&format!("btcusdt@{stream}")];
    assert_eq!((&of("trade")["p"], &of("trade")["q"]), (&json!("100.50000000"), &json!("0.10000000")));
    // The first best may be that of the book before it has come to what the venue says of it.
    let bid = of("bookTicker")["b"].as_str().expect("a price");
    assert!(bid.ends_with(".50000000"), "{bid}");
    assert_eq!(of("bookTicker")["A"], json!("2.00000000"));
    assert_eq!((&of("avgPrice")["i"], &of("avgPrice")["w"]), (&json!("5m"), &json!("100.12345679")));
    assert_eq!((&of("referencePrice")["r"], &of("blockTrade")["q"]), (&Value::Null, &json!("1000.00000000")));
    assert_eq!((&of("miniTicker")["c"], &of("miniTicker")["o"]), (&json!("100.50000000"), &json!("90.00000000")));

    // The book is the one that was said: five bids that move, one that does not, one ask.
    let depth = format!("http://{}/api/v3/depth?symbol=BTCUSDT&limit=5000", served.public);
    let whole = async {
        loop {
            let book = LocalBook::from_rest(&client::get(&depth).await);
            if book.bids.len() == 6 {
                return book;
            }
        }
    };
    let book = soon(whole).await;
    let prices: Vec<_> = book.bids.keys().rev().map(|price| price / 1_000_000).collect();
    assert_eq!(prices, [9_450, 9_350, 9_250, 9_150, 9_050, 8_000]);
    assert_eq!(book.asks.values().collect::<Vec<_>>(), ["2.00000000"]);

    assert!(served.is_running());
    assert_eq!((served.lines_with("panicked"), served.lines_with("did not end in order")), (0, 0), "{}", served.log());
    assert_eq!(served.terminate(), Some(0));
    acting.abort();
}
