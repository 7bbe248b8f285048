//! The ingest that one would write first, and well: serde_json into borrowed structs, numbers scaled to integers, a
//! `BTreeMap` per side, what is published in a `Vec`. No candles, no statistics, no cadences, no healing.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;

/// All books by symbol.
#[derive(Default)]
pub struct Ingest {
    books: HashMap<String, Book>,
    /// What the last batch brought.
    pub published: Vec<Published>,
}

#[derive(Default)]
struct Book {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    last_id: i64,
    best: Option<[(i64, i64); 2]>,
}

/// What is published.
#[allow(dead_code, reason = "nobody reads it; it has to be made")]
pub enum Published {
    /// A diff.
    Depth { symbol: String, first: i64, last: i64, bids: Vec<(i64, i64)>, asks: Vec<(i64, i64)> },
    /// Best bid and ask.
    Best { symbol: String, id: i64, bid: (i64, i64), ask: (i64, i64) },
    /// A trade.
    Trade { symbol: String, id: i64, price: i64, quantity: i64, time: i64, buyer_is_maker: bool },
}

impl Ingest {
    /// Takes a whole book.
    pub fn snapshot(&mut self, symbol: &str, body: &[u8]) {
        let read: Snapshot<'_> = serde_json::from_slice(body).expect("a whole book");
        let book = self.books.entry(symbol.to_owned()).or_default();
        book.bids = read.bids.iter().map(level).collect();
        book.asks = read.asks.iter().map(level).collect();
        book.last_id = read.last_id;
    }

    /// The best `levels` of each side of a book, as REST tells them.
    pub fn book(&self, symbol: &str, levels: usize) -> String {
        let Book { bids, asks, last_id, .. } = &self.books[symbol];
        let decimal = |number: &i64| format!("{}.{:08}", number / 100_000_000, number % 100_000_000);
        let text = |(price, quantity): (&i64, &i64)| format!("[\"{}\",\"{}\"]", decimal(price), decimal(quantity));
        let bids: Vec<_> = bids.iter().rev().take(levels).map(text).collect();
        let asks: Vec<_> = asks.iter().take(levels).map(text).collect();
        format!("{{\"lastUpdateId\":{last_id},\"bids\":[{}],\"asks\":[{}]}}", bids.join(","), asks.join(","))
    }

    /// Takes a frame of a combined stream: first what it is, then what it says.
    pub fn frame(&mut self, frame: &[u8]) {
        let Combined { stream, data } = serde_json::from_slice(frame).expect("a combined stream");
        let data = data.get();
        if stream.ends_with("@bookTicker") {
            self.best(&serde_json::from_str(data).expect("JSON"));
        } else if stream.ends_with("@trade") {
            self.trade(&serde_json::from_str(data).expect("JSON"));
        } else if stream.contains("@depth") {
            self.diff(&serde_json::from_str(data).expect("JSON"));
        } else if stream.ends_with("@aggTrade") {
            self.agg_trade(&serde_json::from_str(data).expect("JSON"));
        }
    }

    /// The same as one would write it after a look at the profile: the name of the stream is peeked at in the bytes, so that
    /// the frame is read once.
    pub fn frame_peeked(&mut self, frame: &[u8]) {
        let stream = frame.split(|&byte| byte == b'"').nth(3).expect("a combined stream");
        if stream.ends_with(b"@bookTicker") {
            self.best(&serde_json::from_slice::<Wrapped<Best<'_>>>(frame).expect("JSON").data);
        } else if stream.ends_with(b"@trade") {
            self.trade(&serde_json::from_slice::<Wrapped<Trade<'_>>>(frame).expect("JSON").data);
        } else if stream.windows(6).any(|window| window == b"@depth") {
            self.diff(&serde_json::from_slice::<Wrapped<Diff<'_>>>(frame).expect("JSON").data);
        } else if stream.ends_with(b"@aggTrade") {
            self.agg_trade(&serde_json::from_slice::<Wrapped<AggTrade<'_>>>(frame).expect("JSON").data);
        }
    }

    fn diff(&mut self, diff: &Diff<'_>) {
        let Some(book) = self.books.get_mut(diff.symbol) else { return };
        if diff.last <= book.last_id {
            return;
        }
        let bids: Vec<_> = diff.bids.iter().map(level).collect();
        let asks: Vec<_> = diff.asks.iter().map(level).collect();
        for (side, levels) in [(&mut book.bids, &bids), (&mut book.asks, &asks)] {
            for &(price, quantity) in levels {
                if quantity == 0 {
                    side.remove(&price);
                } else {
                    side.insert(price, quantity);
                }
            }
        }
        book.last_id = diff.last;
        let best = book.bids.last_key_value().zip(book.asks.first_key_value());
        let best = best.map(|((bid, size), (ask, other))| [(*bid, *size), (*ask, *other)]);
        let symbol = diff.symbol;
        self.published.push(Published::Depth {
            symbol: symbol.to_owned(),
            first: diff.first,
            last: diff.last,
            bids,
            asks,
        });
        if let Some([bid, ask]) = best.filter(|_| best != book.best) {
            book.best = best;
            self.published.push(Published::Best { symbol: symbol.to_owned(), id: diff.last, bid, ask });
        }
    }

    fn best(&mut self, best: &Best<'_>) {
        let Some(book) = self.books.get_mut(best.symbol) else { return };
        let bid = (scaled(best.bid), scaled(best.bid_quantity));
        let ask = (scaled(best.ask), scaled(best.ask_quantity));
        if book.best != Some([bid, ask]) {
            book.best = Some([bid, ask]);
            self.published.push(Published::Best { symbol: best.symbol.to_owned(), id: best.id, bid, ask });
        }
    }

    fn trade(&mut self, trade: &Trade<'_>) {
        self.published.push(Published::Trade {
            symbol: trade.symbol.to_owned(),
            id: trade.id,
            price: scaled(trade.price),
            quantity: scaled(trade.quantity),
            time: trade.time,
            buyer_is_maker: trade.buyer_is_maker,
        });
    }

    fn agg_trade(&mut self, trade: &AggTrade<'_>) {
        let AggTrade { symbol, id, price, quantity, time, buyer_is_maker } = *trade;
        self.trade(&Trade { symbol, id, price, quantity, time, buyer_is_maker });
    }
}

fn level(&[price, quantity]: &[&str; 2]) -> (i64, i64) {
    (scaled(price), scaled(quantity))
}

/// With eight decimals, as Binance prints them.
fn scaled(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().expect("digits");
    let fraction = match fraction.len() {
        8 => fraction.parse().expect("digits"),
        length => fraction.parse::<i64>().unwrap_or(0) * 10_i64.pow(8 - length as u32),
    };
    whole * 100_000_000 + fraction
}

#[derive(Deserialize)]
struct Combined<'a> {
    stream: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Wrapped<T> {
    data: T,
}

#[derive(Deserialize)]
struct Diff<'a> {
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(rename = "U")]
    first: i64,
    #[serde(rename = "u")]
    last: i64,
    #[serde(borrow, rename = "b")]
    bids: Vec<[&'a str; 2]>,
    #[serde(borrow, rename = "a")]
    asks: Vec<[&'a str; 2]>,
}

#[derive(Deserialize)]
struct Best<'a> {
    #[serde(rename = "u")]
    id: i64,
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(rename = "b")]
    bid: &'a str,
    #[serde(rename = "B")]
    bid_quantity: &'a str,
    #[serde(rename = "a")]
    ask: &'a str,
    #[serde(rename = "A")]
    ask_quantity: &'a str,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(rename = "t")]
    id: i64,
    #[serde(rename = "p")]
    price: &'a str,
    #[serde(rename = "q")]
    quantity: &'a str,
    #[serde(rename = "T")]
    time: i64,
    #[serde(rename = "m")]
    buyer_is_maker: bool,
}

#[derive(Deserialize)]
struct AggTrade<'a> {
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(rename = "a")]
    id: i64,
    #[serde(rename = "p")]
    price: &'a str,
    #[serde(rename = "q")]
    quantity: &'a str,
    #[serde(rename = "T")]
    time: i64,
    #[serde(rename = "m")]
    buyer_is_maker: bool,
}

#[derive(Deserialize)]
struct Snapshot<'a> {
    #[serde(rename = "lastUpdateId")]
    last_id: i64,
    #[serde(borrow)]
    bids: Vec<[&'a str; 2]>,
    #[serde(borrow)]
    asks: Vec<[&'a str; 2]>,
}
