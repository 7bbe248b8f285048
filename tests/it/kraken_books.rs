//! Recorded Kraken books against the checksums that Kraken itself sent: the book room alone, with a reader made for the test.

use std::{collections::HashMap, fs::File, io::Read, path::PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;
use tickcast::{
    book::{Book, Diff, Join, Outcome, Snapshot, State, checksum::kraken_top_ten},
    market::{Level, Price, Quantity, UpdateIds},
};

/// Our mantissas have more digits than Kraken's checksum text, as they do when a venue prints at least eight.
const MORE_PRICE_DIGITS: u8 = 2;
const MORE_QUANTITY_DIGITS: u8 = 1;

#[test]
fn every_checksum_of_the_v1_books_a_thousand_deep_is_reproduced() {
    let Some(text) = capture("cryptofeed/sample_data/KRAKEN.ws.50.0.gz") else { return };
    // The times at the beginning of lines belong to the recording.
    let messages = text.lines().filter_map(|line| line.split_once(": ")).map(|(_, message)| message);
    let mut replay = Replay::default();
    for message in messages.filter(|message| message.starts_with('[')) {
        let message: Value = serde_json::from_str(message).expect("recorded JSON");
        replay.v1(message.as_array().expect("an array"), 1000);
    }
    assert_eq!((replay.matched, replay.checked), (4269, 4269));
    assert_eq!(replay.books.len(), 10);
}

#[test]
fn every_checksum_of_the_v2_book_is_reproduced() {
    let Some(text) = capture("python-kraken-sdk/tests/spot/fixture/orderbook-v2.json.gz") else { return };
    let recording: Value = serde_json::from_str(&text).expect("recorded JSON");
    let mut replay = Replay::default();
    replay.v2(&recording["init"]);
    for update in recording["updates"].as_array().expect("an array") {
        replay.v2(update);
    }
    assert_eq!((replay.matched, replay.checked), (510, 510));
}

/// The text of a recording; `None` where this machine has none.
fn capture(file: &str) -> Option<String> {
    let Some(folder) = std::env::var_os("TICKCAST_CAPTURES") else {
        println!("TICKCAST_CAPTURES is not set: {file} is not replayed");
        return None;
    };
    let path = PathBuf::from(folder).join(file);
    let packed = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).expect("a whole gzip file");
    Some(text)
}

#[derive(Default)]
struct Replay {
    books: HashMap<String, Kept>,
    checked: usize,
    matched: usize,
}

struct Kept {
    book: Book,
    join: Join,
    window: usize,
    price_digits: u8,
    quantity_digits: u8,
}

impl Replay {
    /// `[id, {..}, ({..},) "book-1000", "XBT/USD"]`
    fn v1(&mut self, message: &[Value], window: usize) {
        let pair = message.last().and_then(Value::as_str).expect("the pair comes last");
        let parts = &message[1..message.len() - 2];
        let levels = |name: &str| -> Vec<&Value> {
            parts.iter().filter_map(|part| part.get(name)).flat_map(|list| list.as_array().expect("levels")).collect()
        };
        let text = |level: &Value, index: usize| level[index].as_str().expect("decimal text").to_owned();
        let texts = |name: &str| -> Vec<(String, String)> {
            levels(name).into_iter().map(|level| (text(level, 0), text(level, 1))).collect()
        };
        if parts[0].get("as").is_some() {
            let (bids, asks) = (texts("bs"), texts("as"));
            let (price, quantity) = &asks[0];
            self.snapshot(pair, window, digits_after_point(price), digits_after_point(quantity), &bids, &asks);
            return;
        }
        let checksum =
            parts.iter().find_map(|part| part.get("c")).and_then(Value::as_str).expect("every update has one");
        self.update(pair, &texts("b"), &texts("a"), checksum.parse().expect("32 bits"));
    }

    fn v2(&mut self, message: &Value) {
        let data = &message["data"][0];
        let pair = data["symbol"].as_str().expect("a symbol");
        // The recording went through floats, which dropped zeros and know exponents.
        let texts = |name: &str| -> Vec<(String, String)> {
            let levels = data[name].as_array().expect("levels").iter();
            let float = |value: &Value| value.as_f64().expect("a number");
            levels
                .map(|level| (format!("{:.1}", float(&level["price"])), format!("{:.8}", float(&level["qty"]))))
                .collect()
        };
        let checksum = u32::try_from(data["checksum"].as_u64().expect("a number")).expect("32 bits");
        let (bids, asks) = (texts("bids"), texts("asks"));
        if message["type"] == "snapshot" {
            self.snapshot(pair, bids.len(), 1, 8, &bids, &asks);
            self.check(pair, checksum);
        } else {
            self.update(pair, &bids, &asks, checksum);
        }
    }

    fn snapshot(
        &mut self,
        pair: &str,
        window: usize,
        price_digits: u8,
        quantity_digits: u8,
        bids: &[(String, String)],
        asks: &[(String, String)],
    ) {
        let new = || Kept { book: Book::default(), join: Join::socket(), window, price_digits, quantity_digits };
        let kept = self.books.entry(pair.to_owned()).or_insert_with(new);
        let (bids, asks) = (kept.levels(bids), kept.levels(asks));
        let last_id = kept.book.last_id() + 1;
        let outcome = kept.join.snapshot(&mut kept.book, Snapshot { last_id, bids: &bids, asks: &asks, limit: None });
        assert!(matches!(outcome, Outcome::Joined { reset: false, .. }));
        assert_eq!(kept.join.state(), State::Live);
    }

    fn update(&mut self, pair: &str, bids: &[(String, String)], asks: &[(String, String)], checksum: u32) {
        let kept = self.books.get_mut(pair).expect("the snapshot comes first");
        let (bids, asks) = (kept.levels(bids), kept.levels(asks));
        let id = kept.book.last_id() + 1;
        let ids = UpdateIds { first: id, last: id };
        assert_eq!(kept.join.diff(&mut kept.book, Diff { ids, bids: &bids, asks: &asks }), Outcome::Applied);
        kept.book.cut(kept.window);
        assert!(!kept.book.is_crossed());
        self.check(pair, checksum);
    }

    fn check(&mut self, pair: &str, checksum: u32) {
        let book = &self.books[pair].book;
        let ours = kraken_top_ten(book.bids(), book.asks(), MORE_PRICE_DIGITS, MORE_QUANTITY_DIGITS);
        self.checked += 1;
        self.matched += usize::from(ours == checksum);
    }
}

impl Kept {
    fn levels(&self, texts: &[(String, String)]) -> Vec<Level> {
        let level = |(price, quantity): &(String, String)| Level {
            price: Price(mantissa(price, self.price_digits + MORE_PRICE_DIGITS)),
            quantity: Quantity(mantissa(quantity, self.quantity_digits + MORE_QUANTITY_DIGITS)),
        };
        texts.iter().map(level).collect()
    }
}

fn digits_after_point(text: &str) -> u8 {
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len() as u8)
}

fn mantissa(text: &str, digits: u8) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= usize::from(digits), "{text} has more than {digits} digits");
    format!("{whole}{fraction:0<width$}", width = usize::from(digits)).parse().expect("digits")
}
