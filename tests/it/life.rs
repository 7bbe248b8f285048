//! The life and death of the whole program: its exchange dies, its clients do not read, its recorder is killed, it is told
//! to go.

mod clients;
mod end;
mod history;
mod metrics;
mod recording;
mod upstream;

pub use end::last_words;

use std::{fs, future::Future, path::PathBuf, time::Duration};

use serde_json::Value;
use tickcast::{market::Level, sim};
use tokio::time::Instant;

use crate::{
    client::{self, LocalBook, PATIENCE, Side, Socket},
    process::Served,
};

/// A file of this test alone, gone when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn named(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tickcast-life-{}-{name}", std::process::id()));
        let _was_never_there = fs::remove_file(&path);
        Self(path)
    }

    pub fn with(name: &str, text: &str) -> Self {
        let file = Self::named(name);
        fs::write(&file.0, text).expect("the temporary folder is writable");
        file
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("a plain path")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _was_never_made = fs::remove_file(&self.0);
    }
}

/// The section of a configuration that takes in an exchange, and waits no longer for it than a test likes.
pub fn venue(exchange: &sim::Running) -> String {
    let (at, symbols) = (exchange.addr(), exchange.symbols());
    format!(
        "[intake]\nbackoff_first_ms = 50\nbackoff_max_ms = 200\n[[venues]]\nname = \"binance\"\nkind = \"binance\"\n\
         ws_url = \"ws://{at}\"\nrest_url = \"http://{at}\"\nsymbols = {symbols:?}\n"
    )
}

/// An exchange of a few symbols.
pub fn exchange(symbols: &[&str], adjust: impl FnOnce(&mut sim::Settings)) -> sim::Running {
    let symbols = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
    let mut settings = sim::Settings { symbols, rate: 200, ..sim::Settings::default() };
    adjust(&mut settings);
    sim::start(&settings).expect("loopback is there")
}

/// Waits until `holds` says so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "it never happened that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What `/readyz` says; an unreachable door is not ready.
pub async fn readiness(served: &Served) -> (bool, String) {
    let Ok(answer) = client::http().get(format!("http://{}/readyz", served.ops)).send().await else {
        return (false, "unreachable".to_owned());
    };
    (answer.status().is_success(), answer.text().await.unwrap_or_default())
}

pub async fn until_ready(served: &Served) {
    until("the server is ready", || async { readiness(served).await.0 }).await;
}

/// What `/metrics` says at one time.
pub struct Metrics(String);

impl Metrics {
    pub async fn of(served: &Served) -> Self {
        Self::read(&client::http(), served).await
    }

    async fn read(http: &reqwest::Client, served: &Served) -> Self {
        let answer = http.get(format!("http://{}/metrics", served.ops)).send().await.expect("the ops door answers");
        Self(answer.text().await.expect("a body"))
    }

    /// The sum of the samples of a metric that have `label` (`reason="lapped"`; empty: all).
    pub fn sum(&self, name: &str, label: &str) -> f64 {
        let samples = self.0.lines().filter_map(|line| line.split_once(name));
        let samples = samples.filter(|(before, rest)| before.is_empty() && rest.starts_with([' ', '{']));
        let labelled = samples.filter(|(_, rest)| rest.contains(label));
        labelled.map(|(_, rest)| rest.rsplit(' ').next().expect("a part").parse::<f64>().expect("a number")).sum()
    }
}

/// Waits until a metric has come to `least`.
pub async fn until_counted(served: &Served, name: &str, label: &str, least: f64) {
    let what = format!("{name}{{{label}}} comes to {least}");
    until(&what, || async { Metrics::of(served).await.sum(name, label) >= least }).await;
}

/// A client that keeps a book by Binance's procedure.
pub struct DepthClient {
    symbol: String,
    socket: Socket,
    book: LocalBook,
}

impl DepthClient {
    /// Opens the stream, then joins it with a book over REST.
    pub async fn join(public: &str, symbol: &str, cadence: &str) -> Self {
        let mut socket = client::open(&format!("ws://{public}/ws/{}@depth{cadence}", symbol.to_lowercase())).await;
        let mut first = client::next(&mut socket).await;
        let url = format!("http://{public}/api/v3/depth?symbol={symbol}&limit=5000");
        let mut book = LocalBook::from_rest(&client::get(&url).await);
        while book.last_id + 1 < first["U"].as_i64().expect("U") {
            book = LocalBook::from_rest(&client::get(&url).await);
        }
        while first["u"].as_i64().expect("u") <= book.last_id {
            first = client::next(&mut socket).await;
        }
        let last = first["u"].as_i64().expect("u");
        book.merge(&first, last).unwrap_or_else(|wrong| panic!("{wrong}"));
        Self { symbol: symbol.to_owned(), socket, book }
    }

    /// Applies the next diff, which has to follow.
    pub async fn step(&mut self) {
        let diff = client::next(&mut self.socket).await;
        self.book.apply(&diff).unwrap_or_else(|wrong| panic!("{wrong}"));
    }

    /// Follows without a hole to the exchange's last word, where the books have to be equal.
    pub async fn follow_to(&mut self, exchange: &sim::Running) {
        let truth = truth(exchange, &self.symbol);
        while self.book.last_id < truth.last_id {
            self.step().await;
        }
        assert_same(&self.symbol, &self.book, &truth);
    }
}

/// The exchange's own book.
fn truth(exchange: &sim::Running, symbol: &str) -> LocalBook {
    let (last_id, bids, asks) = exchange.book(symbol).expect("a listed symbol");
    LocalBook { last_id, bids: side(&bids), asks: side(&asks) }
}

/// The exchange's numbers have eight places, as Binance prints them.
fn side(levels: &[Level]) -> Side {
    let text = |quantity: i64| format!("{}.{:08}", quantity / 100_000_000, quantity % 100_000_000);
    levels.iter().map(|level| (level.price.0.into(), text(level.quantity.0))).collect()
}

fn assert_same(symbol: &str, ours: &LocalBook, truth: &LocalBook) {
    assert_eq!(ours.last_id, truth.last_id, "{symbol}");
    for (name, ours, theirs) in [("bids", &ours.bids, &truth.bids), ("asks", &ours.asks, &truth.asks)] {
        let wrong: Vec<_> = ours.iter().filter(|(price, quantity)| theirs.get(price) != Some(quantity)).collect();
        let missing: Vec<_> = theirs.keys().filter(|price| !ours.contains_key(price)).collect();
        assert!(wrong.is_empty() && missing.is_empty(), "{symbol} {name}: wrong {wrong:?}, missing {missing:?}");
    }
}

/// Bid price, bid quantity, ask price, ask quantity of the best levels.
fn best_of(book: &LocalBook) -> [String; 4] {
    let (bid, bid_quantity) = book.bids.last_key_value().expect("a bid");
    let (ask, ask_quantity) = book.asks.first_key_value().expect("an ask");
    [bid.to_string(), bid_quantity.clone(), ask.to_string(), ask_quantity.clone()]
}

/// The same of a `bookTicker` event.
fn best_in(event: &Value) -> [String; 4] {
    let text = |key: &str| event[key].as_str().expect("decimal text").to_owned();
    [client::key(&text("b")).to_string(), text("B"), client::key(&text("a")).to_string(), text("A")]
}
