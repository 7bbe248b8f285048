//! Books made by the real decoder and joiner from recorded bytes, held against what the venue itself published.

use std::{path::Path, sync::Arc};

use tickcast::{
    book::{Book, Diff, Join, Snapshot},
    market::{Catalogue, EventKind, Events, Level},
    venue::{AnyProtocol, Decode},
};

use crate::{
    captures, client,
    oracle::{self, BestText, Message, Oracle},
};

/// Files of one session, symbols, and how often the MANIFEST says that best bid and ask equal the bookTicker.
const SESSIONS: &[(&[&str], usize, usize)] = &[
    (&["hftbacktest/examples/spot/btcusdt_20240808.gz", "hftbacktest/examples/spot/btcusdt_20240809.gz"], 6491, 6493),
    (&["cryptofeed/history/BINANCE-b38f7c.0.2df3a1e.gz"], 4629, 4629),
    (&["cryptofeed/sample_data/BINANCE.http.0.0.gz", "cryptofeed/sample_data/BINANCE.ws.1.0.gz"], 159, 159),
    (&["cryptofeed/sample_data/BINANCE_US.http.0.0.gz", "cryptofeed/sample_data/BINANCE_US.ws.1.0.gz"], 316, 316),
];

#[test]
fn best_bid_and_ask_equal_the_venues_own_as_often_as_the_manifest_says() {
    let Some(folder) = captures::folder("books") else { return };
    for (files, equal, compared) in SESSIONS {
        let messages = read(&folder, files);
        let oracle = Oracle::read(&messages);
        let mut found = (0, 0);
        for (symbol, expected) in &oracle.books {
            let (book, best) = replay(symbol, &messages);
            assert_eq!(side(book.bids().iter()), expected.bids, "{symbol}: bids");
            assert_eq!(side(book.asks().iter()), expected.asks, "{symbol}: asks");
            assert_eq!(best, oracle.best[symbol], "{symbol}: best after each diff");
            let tickers = oracle.tickers.get(symbol).map_or(&[][..], Vec::as_slice);
            let (equal, compared) = oracle::agreement(&best, tickers);
            found = (found.0 + equal, found.1 + compared);
        }
        assert_eq!(found, (*equal, *compared), "{}", files[0]);
        println!("{}: best bid and ask equal in {}/{}", files[0], found.0, found.1);
    }
}

fn read(folder: &Path, files: &[&str]) -> Vec<Message> {
    files.iter().flat_map(|file| oracle::messages(folder, file)).collect()
}

/// The symbol's book from the real decoder and joiner, and its best after each diff that was applied.
fn replay(symbol: &str, messages: &[Message]) -> (Book, Vec<(i64, BestText)>) {
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    let instrument = catalogue.add_instrument(venue, symbol, symbol);
    let protocol = AnyProtocol::new("binance", 1000, 1).expect("Binance is there");
    let mut decoder = protocol.decoder(Arc::new(catalogue), venue);
    let (mut book, mut join) = (Book::default(), Join::fetched(100_000));
    let mut best = Vec::new();
    let mut events = Events::default();
    // All diffs first: that is the hardest joining there is.
    let frames = messages.iter().filter_map(|message| match message {
        Message::Frame(data) if data["s"] == symbol && data["e"] == "depthUpdate" => Some(data),
        _ => None,
    });
    let snapshot = messages.iter().find_map(|message| match message {
        Message::Snapshot(owner, body) if owner.as_deref().is_none_or(|owner| owner == symbol) => Some(body),
        _ => None,
    });
    let snapshot = snapshot.expect("the oracle found it").to_string();
    let last_id = serde_json::from_str::<serde_json::Value>(&snapshot).expect("JSON")["lastUpdateId"].as_i64();
    let mut waiting = true;
    for frame in frames {
        if waiting && frame["u"].as_i64() > last_id {
            waiting = false;
            events.clear();
            decoder.snapshot(instrument, 1000, snapshot.as_bytes(), &mut events).expect("a recorded snapshot");
            let EventKind::BookSnapshot(whole) = events.list[0].kind else { panic!("{:?}", events.list) };
            let whole = Snapshot {
                last_id: whole.last_id.expect("an id"),
                bids: whole.bids.of(&events.levels),
                asks: whole.asks.of(&events.levels),
                limit: whole.limit,
            };
            let _joined = join.snapshot(&mut book, whole);
        }
        events.clear();
        decoder.frame(frame.to_string().as_bytes(), &mut events).expect("a recorded frame");
        let EventKind::BookDiff(diff) = events.list[0].kind else { panic!("{:?}", events.list) };
        let ids = diff.ids.expect("ids");
        let diff = Diff { ids, bids: diff.bids.of(&events.levels), asks: diff.asks.of(&events.levels) };
        let _outcome = join.diff(&mut book, diff);
        if !waiting {
            let top = book.best();
            best.push((ids.last, text(top.bid, top.ask)));
        }
    }
    (book, best)
}

fn text(bid: Level, ask: Level) -> BestText {
    let quantity = |level: Level| format!("{}.{:08}", level.quantity.0 / 100_000_000, level.quantity.0 % 100_000_000);
    (bid.price.0.into(), quantity(bid), ask.price.0.into(), quantity(ask))
}

fn side(levels: impl Iterator<Item = Level>) -> client::Side {
    let text = |quantity: i64| format!("{}.{:08}", quantity / 100_000_000, quantity % 100_000_000);
    levels.map(|level| (level.price.0.into(), text(level.quantity.0))).collect()
}
