//! The least that could be called an ingest: serde_json into borrowed structs, a `BTreeMap` per side, what a frame says in
//! a `Vec`. No second cadence, no candles, no statistics: a fraction of what the engine publishes of the same frames.

use std::collections::{BTreeMap, HashMap};

use super::serde_frames::{AggTrade, Best, Diff, Snapshot, Takes, Trade, level, scaled};

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
}

impl Takes for Ingest {
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
