//! A plain, slow, independent reader of recorded captures and keeper of books, to hold the real one against.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use crate::client::LocalBook;

/// A capture's messages in order. A missing file is a failure.
pub fn messages(folder: &Path, name: &str) -> Vec<Message> {
    let path = folder.join(name);
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    MultiGzDecoder::new(file).read_to_string(&mut text).expect("gzip of UTF-8");
    text.lines().filter_map(message).collect()
}

/// One recorded message of interest.
#[derive(Clone, Debug)]
pub enum Message {
    /// A depth snapshot with the symbol its URL names, if it has a URL.
    Snapshot(Option<String>, Value),
    /// A frame from a socket: the payload without the combined wrapper.
    Frame(Value),
}

fn message(line: &str) -> Option<Message> {
    let json = &line[line.find('{')?..];
    // A response may be followed by its headers; the first JSON value is the body.
    let value: Value = serde_json::Deserializer::from_str(json).into_iter().next()?.ok()?;
    if value.get("lastUpdateId").is_some() {
        let symbol = line
            .split_once("symbol=")
            .map(|(_, rest)| rest.chars().take_while(char::is_ascii_alphanumeric).collect::<String>());
        return Some(Message::Snapshot(symbol, value));
    }
    value.get("data").cloned().map(Message::Frame)
}

/// What the plain reading of a capture gives.
#[derive(Debug, Default)]
pub struct Oracle {
    /// The final book of each symbol that has a snapshot.
    pub books: BTreeMap<String, LocalBook>,
    /// Best bid and ask (price keys and quantities) after each diff, by its `u`.
    pub best: BTreeMap<String, Vec<(i64, BestText)>>,
    /// What the venue said on bookTicker, by its `u`.
    pub tickers: BTreeMap<String, Vec<(i64, BestText)>>,
}

/// Bid price key, bid quantity, ask price key, ask quantity.
pub type BestText = (i128, String, i128, String);

impl Oracle {
    /// Reads messages of one or more files of one session.
    pub fn read(messages: &[Message]) -> Self {
        let mut oracle = Self::default();
        let mut diffs: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        for message in messages {
            let Message::Frame(data) = message else { continue };
            let Some(symbol) = data["s"].as_str() else { continue };
            if data["e"] == "depthUpdate" {
                diffs.entry(symbol.to_owned()).or_default().push(data);
            } else if data.get("e").is_none() && data.get("u").is_some() {
                let text = |key: &str| data[key].as_str().expect("decimal text");
                let best = (
                    crate::client::key(text("b")),
                    text("B").to_owned(),
                    crate::client::key(text("a")),
                    text("A").to_owned(),
                );
                let id = data["u"].as_i64().expect("u");
                oracle.tickers.entry(symbol.to_owned()).or_default().push((id, best));
            }
        }
        for message in messages {
            let Message::Snapshot(symbol, body) = message else { continue };
            let symbol = symbol.clone().unwrap_or_else(|| {
                // A bare snapshot line belongs to the only symbol of its file.
                assert_eq!(diffs.len(), 1, "a snapshot without a symbol among several");
                diffs.keys().next().expect("one").clone()
            });
            oracle.follow(&symbol, body, diffs.get(&symbol).map_or(&[], Vec::as_slice));
        }
        oracle
    }

    fn follow(&mut self, symbol: &str, snapshot: &Value, diffs: &[&Value]) {
        let mut book = LocalBook::from_rest(snapshot);
        let mut best = Vec::new();
        for diff in diffs {
            let (first, last) = (diff["U"].as_i64().expect("U"), diff["u"].as_i64().expect("u"));
            if last <= book.last_id {
                continue;
            }
            assert!(first <= book.last_id + 1, "{symbol}: the capture has a hole before {first}");
            book.merge(diff, last).expect("the capture's book is not crossed");
            if let (Some((bid, b)), Some((ask, a))) = (book.bids.last_key_value(), book.asks.first_key_value()) {
                best.push((last, (*bid, b.clone(), *ask, a.clone())));
            }
        }
        self.best.insert(symbol.to_owned(), best);
        self.books.insert(symbol.to_owned(), book);
    }
}

/// How often `best` after a diff equals the bookTicker valid at its id: equal, compared.
///
/// Valid at `u` is the last bookTicker with an id up to `u`; compared are diffs that have one.
pub fn agreement(best: &[(i64, BestText)], tickers: &[(i64, BestText)]) -> (usize, usize) {
    let mut equal = 0;
    let mut compared = 0;
    for (id, mine) in best {
        let after = tickers.partition_point(|(ticker, _)| ticker <= id);
        if after == 0 {
            continue;
        }
        compared += 1;
        if tickers[after - 1].1 == *mine {
            equal += 1;
        }
    }
    (equal, compared)
}
