//! A recording of Kraken v2, taken apart: books and trades by symbol, and what was said about the instruments.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    market::Nanos,
    recording::{Kind, Recording},
    sim::{
        decimal::{decimals_needed, parse},
        replay::stage::Topic,
    },
};

/// Depths that Kraken offers.
const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1_000];

/// What is played at one place.
#[derive(Debug)]
pub(super) enum Entry {
    /// A message of the book channel.
    Book { topic: Topic, symbol: usize, is_snapshot: bool, text: Bytes },
    /// A message of the trade channel.
    Trade { topic: Topic, text: Bytes },
}

/// What is known of one symbol.
#[derive(Debug)]
pub(super) struct Symbol {
    pub(super) name: String,
    pub(super) book: Topic,
    pub(super) trade: Topic,
    /// Digits after the point that its numbers have: recorded, or the most that any of them needs.
    pub(super) price_decimals: u32,
    pub(super) quantity_decimals: u32,
    /// Levels per side of its recorded book.
    pub(super) depth: usize,
}

/// The parts of a recording.
#[derive(Debug, Default)]
pub(super) struct Reel {
    pub(super) entries: Vec<Entry>,
    pub(super) times: Vec<Nanos>,
    pub(super) symbols: Vec<Symbol>,
    /// The recorded snapshot of the instrument channel.
    pub(super) instruments: Option<Bytes>,
}

impl Reel {
    /// Takes `recording` apart; only `wanted` symbols count, or all if that is empty.
    pub(super) fn new(recording: &Recording, wanted: &[String]) -> Result<Self, String> {
        let mut reel = Self::default();
        let mut depths: HashMap<String, usize> = HashMap::new();
        let mut pairs: HashMap<String, (u32, u32)> = HashMap::new();
        for record in recording.records().iter().filter(|record| record.kind == Kind::Received) {
            let Ok(message) = serde_json::from_slice::<Message>(&record.bytes) else { continue };
            if let Some(result) = message.result {
                depths.extend(result.symbol.zip(result.depth));
                continue;
            }
            let is_snapshot = message.kind == Some("snapshot");
            let Some(data) = message.data else { continue };
            match message.channel {
                Some("instrument") if is_snapshot => {
                    pairs.extend(precisions(data));
                    reel.instruments.get_or_insert_with(|| record.bytes.clone());
                }
                Some(channel @ ("book" | "trade")) => {
                    let Some(name) = symbol_of(data).filter(|name| wanted.is_empty() || wanted.contains(name)) else {
                        continue;
                    };
                    let symbol = reel.symbol(&name);
                    let text = record.bytes.clone();
                    let known = &mut reel.symbols[symbol];
                    reel.times.push(record.time);
                    if channel == "trade" {
                        reel.entries.push(Entry::Trade { topic: known.trade, text });
                        continue;
                    }
                    known.learn(data, is_snapshot);
                    reel.entries.push(Entry::Book { topic: known.book, symbol, is_snapshot, text });
                }
                _ => {}
            }
        }
        if reel.symbols.is_empty() {
            return Err("the recording has neither books nor trades of the symbols asked for".to_owned());
        }
        for symbol in &mut reel.symbols {
            if let Some(&depth) = depths.get(&symbol.name) {
                symbol.depth = depth;
            } else {
                symbol.depth = DEPTHS.into_iter().find(|&depth| depth >= symbol.depth).unwrap_or(symbol.depth);
            }
            if let Some(&(price, quantity)) = pairs.get(&symbol.name) {
                (symbol.price_decimals, symbol.quantity_decimals) = (price, quantity);
            }
        }
        Ok(reel)
    }

    /// The topic of each entry, for the stage.
    pub(super) fn entry_topics(&self) -> Vec<Option<Topic>> {
        let topic = |entry: &Entry| match entry {
            Entry::Book { topic, .. } | Entry::Trade { topic, .. } => Some(*topic),
        };
        self.entries.iter().map(topic).collect()
    }

    /// How many topics can be asked for: a book and trades for each symbol, recorded or not.
    pub(super) fn topics(&self) -> usize {
        self.symbols.len() * 2
    }

    /// The index of a symbol by its name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.symbols.iter().position(|symbol| symbol.name == name)
    }

    /// A snapshot message of the book of `symbol` as it is before entry `until`; `None` if none was recorded before it.
    pub(super) fn snapshot_before(&self, symbol: usize, until: usize) -> Option<String> {
        let known = &self.symbols[symbol];
        let before = &self.entries[..until.min(self.entries.len())];
        let is_start =
            |entry: &Entry| matches!(entry, Entry::Book { symbol: of, is_snapshot: true, .. } if *of == symbol);
        let start = before.iter().rposition(is_start)?;
        let mut book = Book::default();
        for entry in &before[start..] {
            if let Entry::Book { symbol: of, text, .. } = entry
                && *of == symbol
            {
                book.apply(text, known);
            }
        }
        Some(book.message(known))
    }

    fn symbol(&mut self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|| {
            let topic = self.symbols.len() as Topic * 2;
            self.symbols.push(Symbol {
                name: name.to_owned(),
                book: topic,
                trade: topic + 1,
                price_decimals: 0,
                quantity_decimals: 0,
                depth: 1,
            });
            self.symbols.len() - 1
        })
    }
}

impl Symbol {
    /// Takes in what a message's numbers tell.
    fn learn(&mut self, data: &RawValue, is_snapshot: bool) {
        let Ok(books) = serde_json::from_str::<Vec<BookData>>(data.get()) else { return };
        for book in books {
            for level in book.bids.iter().chain(&book.asks) {
                self.price_decimals = self.price_decimals.max(decimals_needed(level.price.get()));
                self.quantity_decimals = self.quantity_decimals.max(decimals_needed(level.qty.get()));
            }
            if is_snapshot {
                self.depth = self.depth.max(book.bids.len()).max(book.asks.len());
            }
        }
    }
}

/// A window of a book as scaled integers.
#[derive(Debug, Default)]
pub(super) struct Book {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    timestamp: Option<String>,
}

impl Book {
    /// Applies a snapshot or an update: levels in message order, then the cut to the window.
    pub(super) fn apply(&mut self, text: &[u8], symbol: &Symbol) {
        let Ok(message) = serde_json::from_slice::<Message>(text) else { return };
        let data = message.data.map_or("[]", RawValue::get);
        for book in serde_json::from_str::<Vec<BookData>>(data).unwrap_or_default() {
            if message.kind == Some("snapshot") {
                self.bids.clear();
                self.asks.clear();
            }
            for (side, levels) in [(&mut self.bids, &book.bids), (&mut self.asks, &book.asks)] {
                for level in levels {
                    let price = parse(level.price.get(), symbol.price_decimals);
                    let quantity = parse(level.qty.get(), symbol.quantity_decimals);
                    match (price, quantity) {
                        (Some(price), Some(0)) => drop(side.remove(&price)),
                        (Some(price), Some(quantity)) => drop(side.insert(price, quantity)),
                        _ => {}
                    }
                }
            }
            while self.bids.len() > symbol.depth {
                self.bids.pop_first();
            }
            while self.asks.len() > symbol.depth {
                self.asks.pop_last();
            }
            self.timestamp = book.timestamp.map(str::to_owned).or(self.timestamp.take());
        }
    }

    /// Kraken's checksum: the digits of the best ten asks, then of the best ten bids.
    pub(super) fn checksum(&self) -> u32 {
        let mut digits = String::new();
        for (price, quantity) in self.asks.iter().take(10).chain(self.bids.iter().rev().take(10)) {
            let _ = write!(digits, "{price}{quantity}");
        }
        crc32fast::hash(digits.as_bytes())
    }

    fn message(&self, symbol: &Symbol) -> String {
        let mut out = format!(r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"{}","#, symbol.name);
        let write = |out: &mut String, (index, (&price, &quantity)): (usize, (&i64, &i64))| {
            out.push_str(if index == 0 { "{\"price\":" } else { ",{\"price\":" });
            crate::sim::decimal::push(out, price.into(), symbol.price_decimals as usize);
            out.push_str(",\"qty\":");
            crate::sim::decimal::push(out, quantity.into(), symbol.quantity_decimals as usize);
            out.push('}');
        };
        out.push_str("\"bids\":[");
        self.bids.iter().rev().enumerate().for_each(|level| write(&mut out, level));
        out.push_str("],\"asks\":[");
        self.asks.iter().enumerate().for_each(|level| write(&mut out, level));
        let _ = write!(out, r#"],"checksum":{}"#, self.checksum());
        if let Some(timestamp) = &self.timestamp {
            let _ = write!(out, r#","timestamp":"{timestamp}""#);
        }
        out.push_str("}]}");
        out
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    channel: Option<&'a str>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    result: Option<Subscribed>,
}

#[derive(Deserialize)]
struct Subscribed {
    symbol: Option<String>,
    depth: Option<usize>,
}

#[derive(Deserialize)]
struct BookData<'a> {
    #[serde(borrow, default)]
    bids: Vec<LevelData<'a>>,
    #[serde(borrow, default)]
    asks: Vec<LevelData<'a>>,
    timestamp: Option<&'a str>,
}

#[derive(Deserialize)]
struct LevelData<'a> {
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
}

/// The symbol that the first element of a message's data names: messages never mix symbols.
fn symbol_of(data: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        symbol: String,
    }
    let list: Vec<Named> = serde_json::from_str(data.get()).ok()?;
    list.into_iter().next().map(|named| named.symbol)
}

/// Price and quantity decimals by symbol in a snapshot of the instrument channel.
fn precisions(data: &RawValue) -> Vec<(String, (u32, u32))> {
    #[derive(Deserialize)]
    struct Pair {
        symbol: String,
        price_precision: u32,
        qty_precision: u32,
    }
    #[derive(Deserialize)]
    struct Instruments {
        pairs: Vec<Pair>,
    }
    let list = serde_json::from_str::<Instruments>(data.get()).map_or_else(|_| Vec::new(), |data| data.pairs);
    list.into_iter().map(|pair| (pair.symbol, (pair.price_precision, pair.qty_precision))).collect()
}
