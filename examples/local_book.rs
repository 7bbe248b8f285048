//! Keeps a local book by the rules of docs/PROTOCOL.md. docs/QUICKSTART.md shows this file; tests/snippets/ runs it.

use std::{collections::BTreeMap, env, error::Error, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio_tungstenite::{connect_async, tungstenite::Message};

const SYMBOL: &str = "BTCUSDT";

type Level = (String, String);

#[derive(Deserialize)]
struct Answer {
    /// Missing in a refusal.
    result: Option<Snapshot>,
}

#[derive(Deserialize)]
struct Snapshot {
    #[serde(rename = "lastUpdateId")]
    id: i64,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

#[derive(Deserialize)]
struct Diff {
    #[serde(rename = "U")]
    first: i64,
    #[serde(rename = "u")]
    last: i64,
    #[serde(rename = "b")]
    bids: Vec<Level>,
    #[serde(rename = "a")]
    asks: Vec<Level>,
}

/// Levels by price in units of the eighth decimal.
#[derive(Default)]
struct Book {
    id: i64,
    bids: BTreeMap<i64, Level>,
    asks: BTreeMap<i64, Level>,
}

impl Book {
    fn put(&mut self, bids: Vec<Level>, asks: Vec<Level>, id: i64) -> Result<(), Box<dyn Error>> {
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for (price, quantity) in levels {
                // Text with a fixed number of places is an integer once the point is gone.
                let key = price.replace('.', "").parse()?;
                if quantity.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
                    side.remove(&key);
                } else {
                    side.insert(key, (price, quantity));
                }
            }
        }
        self.id = id;
        Ok(())
    }
}

/// The whole book, by the WebSocket API: what REST answers, without a library for HTTP.
async fn fetch(server: &str) -> Result<Book, Box<dyn Error>> {
    let (mut socket, _) = connect_async(format!("ws://{server}/ws-api/v3")).await?;
    let request = json!({ "id": 1, "method": "depth", "params": { "symbol": SYMBOL, "limit": 5000 } });
    socket.send(Message::text(request.to_string())).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let answer: Answer = serde_json::from_str(&text)?;
        let snapshot = answer.result.ok_or_else(|| text.to_string())?;
        let mut book = Book::default();
        book.put(snapshot.bids, snapshot.asks, snapshot.id)?;
        return Ok(book);
    }
    Err("no answer".into())
}

/// Keeps the book until the connection ends or something is missing.
async fn keep(server: &str) -> Result<(), Box<dyn Error>> {
    let url = format!("ws://{server}/ws/{}@depth@100ms", SYMBOL.to_lowercase());
    let (mut socket, _) = connect_async(url).await?;
    let mut book: Option<Book> = None;
    let mut joined = false;
    while let Some(message) = socket.next().await {
        // Pings are answered by the library. What is no diff is serverShutdown: the close frame follows.
        let Message::Text(text) = message? else { continue };
        let Ok(diff) = serde_json::from_str::<Diff>(&text) else { continue };
        while book.as_ref().is_none_or(|book| diff.first > book.id + 1) {
            if joined {
                return Err("a hole: once more".into());
            }
            // While this fetches, diffs wait in the socket: none is lost.
            book = Some(fetch(server).await?);
        }
        let Some(book) = book.as_mut().filter(|book| diff.last > book.id) else { continue };
        book.put(diff.bids, diff.asks, diff.last)?;
        joined = true;
        if let (Some((_, bid)), Some((_, ask))) = (book.bids.last_key_value(), book.asks.first_key_value()) {
            println!("{}: {} x {} / {} x {}", book.id, bid.0, bid.1, ask.0, ask.1);
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9443".to_owned());
    loop {
        if let Err(error) = keep(&server).await {
            eprintln!("lost: {error}");
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..1000))).await;
    }
}
