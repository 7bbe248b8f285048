//! Recorded sessions through the whole program: `tickcast replay` stands in for the exchange on real sockets, the real
//! connector takes it in, and what `/api/v3/depth` says in the end equals a plain reading of the same bytes.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path, time::Duration};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::{
    captures,
    client::{self, LocalBook, PATIENCE},
    oracle::{self, Oracle},
    process::Served,
};

#[test]
fn binance_spot_2024() {
    equals_the_oracle(&["hftbacktest/examples/spot/btcusdt_20240808.gz"]);
}

#[test]
fn binance_spot_2024_both_days() {
    equals_the_oracle(&[
        "hftbacktest/examples/spot/btcusdt_20240808.gz",
        "hftbacktest/examples/spot/btcusdt_20240809.gz",
    ]);
}

#[test]
fn binance_spot_april_2021() {
    equals_the_oracle(&["cryptofeed/history/BINANCE-b38f7c.0.2df3a1e.gz"]);
}

#[test]
fn binance_spot_october_2021() {
    equals_the_oracle(&["cryptofeed/sample_data/BINANCE.http.0.0.gz", "cryptofeed/sample_data/BINANCE.ws.1.0.gz"]);
}

#[test]
fn binance_us() {
    equals_the_oracle(&[
        "cryptofeed/sample_data/BINANCE_US.0.gz",
        "cryptofeed/sample_data/BINANCE_US.http.0.0.gz",
        "cryptofeed/sample_data/BINANCE_US.ws.1.0.gz",
    ]);
}

/// Kraken proves its book in every message. What is served under its name looks like Binance.
#[test]
fn kraken_v2() {
    let file = "python-kraken-sdk/tests/spot/fixture/orderbook-v2.json.gz";
    let Some(folder) = captures::folder(file) else { return };
    let served = replay(&folder, &[file]);
    let (bids, asks, messages) = kraken_book(&folder.join(file));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let started = tokio::time::Instant::now();
        let url = format!("http://{}/kraken/api/v3/depth?symbol=BTCUSD&limit=10", served.public);
        loop {
            let answer = client::http().get(&url).send().await.expect("the server answers");
            let text = answer.text().await.expect("a body");
            let body: Value = serde_json::from_str(&text).expect("JSON");
            if body["bids"] == bids && body["asks"] == asks {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "still {text}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let metrics = client::http().get(format!("http://{}/metrics", served.ops)).send().await.expect("it answers");
        let metrics = metrics.text().await.expect("a body");
        let value = |name: &str| {
            let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
            line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number") as usize
        };
        assert_eq!(value("tickcast_book_checksum_failures_total{venue=\"kraken\"}"), 0);
        assert!(value("tickcast_engine_events_total{venue=\"kraken\"}") >= messages);
    });
    println!("{file}: {messages}/{messages} checksums reproduced by the connector");
}

/// A plain reading of the fixture: the last book as Binance would print it, and the number of messages with a checksum.
fn kraken_book(path: &Path) -> (Value, Value, usize) {
    let mut text = String::new();
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    GzDecoder::new(file).read_to_string(&mut text).expect("gzip of UTF-8");
    let whole: Value = serde_json::from_str(&text).expect("JSON");
    let mut sides = [BTreeMap::new(), BTreeMap::new()];
    let mut messages = 0;
    let updates = whole["updates"].as_array().expect("updates");
    for message in std::iter::once(&whole["init"]).chain(updates) {
        let data = &message["data"][0];
        messages += usize::from(data["checksum"].is_u64());
        for (side, key) in sides.iter_mut().zip(["bids", "asks"]) {
            for level in data[key].as_array().into_iter().flatten() {
                let scaled = |key: &str| (level[key].as_f64().expect("a number") * 1e8).round() as i64;
                let (price, quantity) = (scaled("price"), scaled("qty"));
                if quantity == 0 {
                    side.remove(&price);
                } else {
                    side.insert(price, quantity);
                }
            }
        }
        let [bids, asks] = &mut sides;
        while bids.len() > 10 {
            bids.pop_first();
        }
        while asks.len() > 10 {
            asks.pop_last();
        }
    }
    let text = |number: i64| format!("{}.{:08}", number / 100_000_000, number % 100_000_000);
    let level = |(price, quantity): (&i64, &i64)| json!([text(*price), text(*quantity)]);
    let bids = sides[0].iter().rev().map(level).collect();
    let asks = sides[1].iter().map(level).collect();
    (Value::Array(bids), Value::Array(asks), messages)
}

fn equals_the_oracle(files: &[&str]) {
    let Some(folder) = captures::folder(files[0]) else { return };
    let messages: Vec<_> = files.iter().flat_map(|file| oracle::messages(&folder, file)).collect();
    let oracle = Oracle::read(&messages);
    assert!(!oracle.books.is_empty(), "the capture has books");
    let served = replay(&folder, files);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for (symbol, expected) in &oracle.books {
            let book = book_at(&served, symbol, expected.last_id).await;
            let best = |side: &client::Side, count| side.iter().take(count).map(own).collect::<Vec<_>>();
            let worst = |side: &client::Side, count| side.iter().rev().take(count).map(own).collect::<Vec<_>>();
            assert_eq!(worst(&book.bids, 5000), worst(&expected.bids, 5000), "{symbol}: bids");
            assert_eq!(best(&book.asks, 5000), best(&expected.asks, 5000), "{symbol}: asks");
        }
    });
    println!("{}: {} books equal, level for level", files[0], oracle.books.len());
}

fn own((price, quantity): (&i128, &String)) -> (i128, String) {
    (*price, quantity.clone())
}

/// Serves the files as fast as the connector takes them.
pub fn replay(folder: &Path, files: &[&str]) -> Served {
    let paths: Vec<_> = files.iter().map(|file| folder.join(file).display().to_string()).collect();
    let mut arguments = vec!["replay", "--speed", "max"];
    arguments.extend(paths.iter().map(String::as_str));
    Served::start(&arguments)
}

/// The served book once it has come to `last_id`.
async fn book_at(served: &Served, symbol: &str, last_id: i64) -> LocalBook {
    let url = format!("http://{}/api/v3/depth?symbol={symbol}&limit=5000", served.public);
    let started = tokio::time::Instant::now();
    loop {
        let answer = client::http().get(&url).send().await.expect("the server answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        if status.is_success() {
            let body = serde_json::from_str(&text).expect("JSON");
            let book = LocalBook::from_rest(&body);
            assert!(book.last_id <= last_id, "{symbol}: {} is beyond the recording's {last_id}", book.last_id);
            if book.last_id == last_id {
                return book;
            }
        }
        assert!(started.elapsed() < PATIENCE, "{symbol}: still {status} {}", &text[..text.len().min(80)]);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
