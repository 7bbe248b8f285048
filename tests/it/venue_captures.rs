//! Recorded bytes of real exchanges through the decoders: nothing is refused, nothing is missing.
//!
//! The recordings are not part of this repository; `TICKCAST_CAPTURES` names the folder that holds them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tickcast::{
    market::{Catalogue, ChecksumRule, Event, EventKind, Events, InstrumentId, Level, Listing, VenueId},
    venue::{AnyDecoder, AnyProtocol, Decode},
};

/// What each recording holds, as counted by those who collected it.
const BINANCE: &[(&str, Counts)] = &[
    (
        "hftbacktest/examples/spot/btcusdt_20240808.gz",
        Counts { depth_updates: 3451, book_tickers: 28040, trades: 9757, books: 1, ..Counts::NONE },
    ),
    (
        "hftbacktest/examples/spot/btcusdt_20240809.gz",
        Counts { depth_updates: 3044, book_tickers: 45134, trades: 10147, ..Counts::NONE },
    ),
    (
        "cryptofeed/history/BINANCE-b38f7c.0.2df3a1e.gz",
        Counts { depth_updates: 4709, book_tickers: 5408, agg_trades: 1240, books: 10, ..Counts::NONE },
    ),
    (
        "cryptofeed/sample_data/BINANCE.ws.1.0.gz",
        Counts { depth_updates: 177, book_tickers: 84, agg_trades: 2, candles: 2, ..Counts::NONE },
    ),
    ("cryptofeed/sample_data/BINANCE.http.0.0.gz", Counts { books: 4, ..Counts::NONE }),
    (
        "cryptofeed/sample_data/BINANCE_US.ws.1.0.gz",
        Counts { depth_updates: 336, book_tickers: 128, agg_trades: 11, candles: 5, ..Counts::NONE },
    ),
    ("cryptofeed/sample_data/BINANCE_US.http.0.0.gz", Counts { books: 4, ..Counts::NONE }),
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    depth_updates: usize,
    book_tickers: usize,
    trades: usize,
    agg_trades: usize,
    candles: usize,
    books: usize,
}

impl Counts {
    const NONE: Self = Self { depth_updates: 0, book_tickers: 0, trades: 0, agg_trades: 0, candles: 0, books: 0 };

    fn count(&mut self, event: &Event) {
        let count = match event.kind {
            EventKind::BookDiff(_) => &mut self.depth_updates,
            EventKind::Best(_) => &mut self.book_tickers,
            EventKind::Trade(_) => &mut self.trades,
            EventKind::AggTrade(_) => &mut self.agg_trades,
            EventKind::Kline(_) => &mut self.candles,
            EventKind::BookSnapshot(_) => &mut self.books,
            other => panic!("nobody recorded {other:?}"),
        };
        *count += 1;
    }
}

#[test]
fn every_binance_message_decodes_and_every_chain_holds() {
    let Some(folder) = captures() else { return };
    let listings = binance_us_listings(&folder);
    for (file, expected) in BINANCE {
        let recording = unpacked(&folder, file);
        let messages = messages(&recording);
        let listings = if file.contains("BINANCE_US") { &listings[..] } else { &[] };
        let catalogue = binance_catalogue(&messages, listings);
        let mut decoder = protocol("binance").decoder(Arc::clone(&catalogue), VenueId(0));
        let (mut events, mut counts, mut last_ids) = (Events::default(), Counts::NONE, HashMap::new());
        for message in &messages {
            message.decode(&catalogue, &mut decoder, &mut events).unwrap_or_else(|why| panic!("{file}: {why}"));
            let [event] = events.list[..] else { panic!("{file}: {message:?} says {:?}", events.list) };
            counts.count(&event);
            follow(&mut last_ids, &event, file);
            events.clear();
        }
        assert_eq!(counts, *expected, "{file}");
    }
}

#[test]
fn a_recorded_list_of_symbols_is_read() {
    let Some(folder) = captures() else { return };
    let listings = binance_us_listings(&folder);
    assert_eq!(listings.len(), 121);
    let of = |native: &str| listings.iter().find(|listing| listing.native == native).expect("listed");
    let btc = of("BTCUSD");
    assert_eq!((&*btc.base, &*btc.quote), ("BTC", "USD"));
    assert_eq!((btc.decimals.price, btc.decimals.quantity), (4, 8));
    assert_eq!((&*btc.tick_size, &*btc.step_size), ("0.0100", "0.00000100"));
    assert_eq!((of("XRPUSD").status.to_string(), of("CRVUSDT").decimals.price), ("BREAK".to_owned(), 8));
    for listing in &listings {
        let info: Value = serde_json::from_str(listing.binance_info.as_deref().expect("kept")).expect("JSON");
        assert_eq!(info["symbol"], *listing.native);
    }
}

#[test]
fn shapes_from_another_clients_tests_decode() {
    let Some(folder) = captures() else { return };
    let folder = folder.join("JKorf/Binance.Net/Binance.Net.UnitTests/Subscriptions/Spot/ExchangeData");
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    catalogue.add_instrument(venue, "BNBBTC", "BNBBTC");
    catalogue.add_instrument(venue, "BNBUSDT", "BNBUSDT");
    let mut decoder = protocol("binance").decoder(Arc::new(catalogue), venue);
    for (file, said) in [
        ("AggregatedTrades", 1),
        ("BookTicker", 1),
        ("MiniTicker", 1),
        ("PartialBook", 0),
        ("RollingWindowTicker", 0),
        ("Ticker", 1),
        ("Trades", 1),
    ] {
        let path = folder.join(file).with_extension("txt");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, pushed) = text.split_once("\n= ").expect("a pushed message");
        let mut events = Events::default();
        decoder.frame(pushed.as_bytes(), &mut events).unwrap_or_else(|refusal| panic!("{file}: {refusal}"));
        assert_eq!(events.list.len(), said, "{file}");
    }
}

#[test]
fn every_kraken_book_has_the_checksum_that_came_with_it() {
    #[derive(Deserialize)]
    struct Recording<'a> {
        #[serde(borrow)]
        init: &'a RawValue,
        #[serde(borrow)]
        updates: Vec<&'a RawValue>,
    }
    let Some(folder) = captures() else { return };
    let text = unpacked(&folder, "python-kraken-sdk/tests/spot/fixture/orderbook-v2.json.gz");
    let recording: Recording<'_> = serde_json::from_str(&text).expect("JSON");
    let mut decoder = protocol("kraken").decoder(kraken_catalogue(), VenueId(0));
    let (mut events, mut book, mut proven) = (Events::default(), TopTen::default(), 0);
    for frame in [recording.init].into_iter().chain(recording.updates) {
        decoder.frame(frame.get().as_bytes(), &mut events).unwrap_or_else(|refusal| panic!("{refusal}: {frame}"));
        let [event] = events.list[..] else { panic!("{frame}") };
        let (bids, asks, checksum) = match event.kind {
            EventKind::BookSnapshot(book) => (book.bids, book.asks, book.checksum),
            EventKind::BookDiff(diff) => (diff.bids, diff.asks, diff.checksum),
            other => panic!("{other:?}"),
        };
        book.apply(bids.of(&events.levels), asks.of(&events.levels));
        assert_eq!(Some(book.checksum()), checksum, "{frame}");
        proven += 1;
        events.clear();
    }
    assert_eq!(proven, 510);
}

/// The folder of recordings; without it these tests have nothing to say.
fn captures() -> Option<PathBuf> {
    let folder = env::var_os("TICKCAST_CAPTURES").map(PathBuf::from);
    if folder.is_none() {
        println!("TICKCAST_CAPTURES is not set: no recordings to read");
    }
    folder
}

fn unpacked(folder: &Path, file: &str) -> String {
    let path = folder.join(file);
    let packed = fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    MultiGzDecoder::new(packed).read_to_string(&mut text).expect("gzipped text");
    text
}

fn protocol(kind: &str) -> AnyProtocol {
    AnyProtocol::new(kind, 10, 1).expect("offered")
}

/// One recorded message.
#[derive(Debug)]
enum Message<'a> {
    Frame(&'a str),
    Book { symbol: &'a str, body: &'a str },
}

impl Message<'_> {
    fn symbol(&self) -> String {
        match self {
            Self::Frame(frame) => {
                let frame: Value = serde_json::from_str(frame).expect("JSON");
                frame["data"]["s"].as_str().expect("a symbol").to_owned()
            }
            Self::Book { symbol, .. } => (*symbol).to_owned(),
        }
    }

    fn decode(&self, catalogue: &Catalogue, decoder: &mut AnyDecoder, events: &mut Events) -> Result<(), String> {
        match self {
            Self::Frame(frame) => decoder.frame(frame.as_bytes(), events),
            Self::Book { symbol, body } => {
                let instrument = catalogue.by_symbol(VenueId(0), symbol).expect("added");
                decoder.snapshot(instrument, 1000, body.as_bytes(), events)
            }
        }
        .map_err(|refusal| format!("{refusal}: {self:?}"))
    }
}

/// The messages of a recording of either kind: hftbacktest's `nanos text`, cryptofeed's `seconds: text` and `url -> ...`.
fn messages(recording: &str) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    for line in recording.lines().filter(|line| !line.is_empty() && !line.starts_with("configuration:")) {
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            let (_, text) = line.split_once(' ').expect("a time, then text");
            messages.push(if text.starts_with("{\"lastUpdateId\"") {
                Message::Book { symbol: "BTCUSDT", body: text }
            } else {
                Message::Frame(text)
            });
        } else if let Some((url, answer)) = line.split_once(" -> ") {
            let (_, query) = url.split_once("depth?symbol=").expect("a book was asked for");
            let (symbol, _) = query.split_once('&').expect("more parameters");
            let (_, body) = answer.split_once(": ").expect("a time, then text");
            let body = body.split_once(" header: ").map_or(body, |(body, _)| body);
            messages.push(Message::Book { symbol, body });
        } else {
            assert!(line.contains(" <-> "), "a line of another kind: {line}");
        }
    }
    assert!(!messages.is_empty());
    messages
}

/// The instruments that are named in a recording, listed where a list was recorded with it.
fn binance_catalogue(messages: &[Message<'_>], listings: &[Listing]) -> Arc<Catalogue> {
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    for symbol in messages.iter().map(Message::symbol).collect::<BTreeSet<_>>() {
        let id = catalogue.add_instrument(venue, &symbol, &symbol);
        if !listings.is_empty() {
            let listing = listings.iter().find(|listing| listing.native == symbol).expect("listed");
            assert!(catalogue.instrument(id).list(listing.clone()));
        }
    }
    Arc::new(catalogue)
}

fn binance_us_listings(folder: &Path) -> Vec<Listing> {
    let text = unpacked(folder, "cryptofeed/sample_data/BINANCE_US.0.gz");
    let answer = text.lines().find(|line| line.contains("/exchangeInfo -> ")).expect("the list");
    let body = answer.split_once(": ").expect("a time, then text").1;
    protocol("binance").parse_listing(body.as_bytes()).expect("documented").expect("a listing")
}

/// Every diff begins where the one before it ended, and book tickers only rise.
fn follow(last_ids: &mut HashMap<(InstrumentId, bool), i64>, event: &Event, file: &str) {
    match event.kind {
        EventKind::BookDiff(diff) => {
            let ids = diff.ids.expect("Binance has ids");
            let last = last_ids.insert((event.instrument, true), ids.last);
            assert!(last.is_none_or(|last| ids.first == last + 1) && ids.first <= ids.last, "{file}: {event:?}");
        }
        EventKind::Best(best) => {
            let last = last_ids.insert((event.instrument, false), best.update_id);
            assert!(last.is_none_or(|last| best.update_id > last), "{file}: {event:?}");
        }
        _ => {}
    }
}

fn kraken_catalogue() -> Arc<Catalogue> {
    let list = br#"{"channel":"instrument","type":"snapshot","data":{"pairs":[{"symbol":"BTC/USD","base":"BTC",
        "quote":"USD","status":"online","price_precision":1,"qty_precision":8}]}}"#;
    let listings = protocol("kraken").parse_listing(list).expect("documented").expect("a listing");
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("kraken", Some(ChecksumRule::KrakenTopTen));
    let id = catalogue.add_instrument(venue, "BTC/USD", "BTCUSD");
    assert!(catalogue.instrument(id).list(listings[0].clone()));
    Arc::new(catalogue)
}

/// A book of ten levels per side, as plain as it gets: keys of both sides rise from the best to the worst.
#[derive(Default)]
struct TopTen {
    bids: BTreeMap<i64, (i64, i64)>,
    asks: BTreeMap<i64, (i64, i64)>,
}

impl TopTen {
    fn apply(&mut self, bids: &[Level], asks: &[Level]) {
        for (side, levels, sign) in [(&mut self.bids, bids, -1), (&mut self.asks, asks, 1)] {
            for level in levels {
                if level.quantity.0 == 0 {
                    side.remove(&(sign * level.price.0));
                } else {
                    side.insert(sign * level.price.0, (level.price.0, level.quantity.0));
                }
            }
            while side.len() > 10 {
                side.pop_last();
            }
        }
    }

    /// Prices at one decimal, quantities at eight: digits without point and leading zeros.
    fn checksum(&self) -> u32 {
        let mut digits = String::new();
        for (price, quantity) in self.asks.values().chain(self.bids.values()) {
            assert_eq!(price % 10_000_000, 0, "a price has one decimal");
            digits.push_str(&format!("{}{quantity}", price / 10_000_000));
        }
        crc32fast::hash(digits.as_bytes())
    }
}
