//! Candles that venues pushed, and what we make of the trades in the same recordings.

use std::{collections::BTreeSet, io::Read, sync::Arc};

use flate2::read::MultiGzDecoder;
use tickcast::{
    market::{Catalogue, EventKind, Events, InstrumentId, VenueId},
    venue::{AnyProtocol, Decode},
};

use super::*;
use crate::captures;

/// Those whose volumes are in base and quote: contracts settled in coins count otherwise.
const RECORDINGS: [&str; 4] = [
    "cryptofeed/history/BINANCE_FUTURES.ws.5.0.eb87833.gz",
    "cryptofeed/sample_data/BINANCE_FUTURES.ws.1.0.gz",
    "cryptofeed/sample_data/BINANCE_US.ws.1.0.gz",
    "cryptofeed/sample_data/BINANCE.ws.1.0.gz",
];

/// What one recording says of one instrument, in its order.
#[derive(Default)]
struct Heard {
    trades: Vec<AggTrade>,
    pushes: Vec<Kline>,
}

#[test]
fn candles_made_of_recorded_trades_are_those_that_the_venue_pushed() {
    let Some(folder) = captures::folder("derived against recorded") else { return };
    let (mut whole, mut continued) = (0, 0);
    for file in RECORDINGS {
        let mut text = String::new();
        let packed = std::fs::File::open(folder.join(file)).unwrap_or_else(|why| panic!("{file}: {why}"));
        MultiGzDecoder::new(packed).read_to_string(&mut text).unwrap_or_else(|why| panic!("{file}: {why}"));
        for heard in listen(&text) {
            whole += compare_whole(&heard);
            continued += compare_continued(&heard);
        }
    }
    println!(
        "{whole} pushes compared with all trades of their candle, {continued} with the push before and the trades behind it"
    );
    assert!(whole > 10, "{whole}");
    assert!(continued > 20, "{continued}");
}

/// Reads `<time>: <frame>` lines.
fn listen(text: &str) -> Vec<Heard> {
    let frames: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(": ")?.1)).collect();
    let symbols: BTreeSet<&str> =
        frames.iter().filter_map(|frame| Some(frame.split_once(r#""s":""#)?.1.split_once('"')?.0)).collect();
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    for symbol in &symbols {
        catalogue.add_instrument(venue, symbol, symbol);
    }
    let protocol = AnyProtocol::new("binance", 1000, 1).expect("Binance is there");
    let mut decoder = protocol.decoder(Arc::new(catalogue), VenueId(0));
    let mut heard: Vec<Heard> = symbols.iter().map(|_| Heard::default()).collect();
    let mut events = Events::default();
    for frame in frames {
        events.clear();
        if !(frame.contains("aggTrade") || frame.contains("kline"))
            || decoder.frame(frame.as_bytes(), &mut events).is_err()
        {
            continue;
        }
        for event in &events.list {
            let InstrumentId(index) = event.instrument;
            let heard = &mut heard[index as usize];
            match event.kind {
                EventKind::AggTrade(trade) => heard.trades.push(trade),
                EventKind::Kline(kline) if kline.series == Series::MINUTE => heard.pushes.push(kline),
                _ => {}
            }
        }
    }
    heard
}

/// Candles that opened while trades were recorded: all of them is ours.
fn compare_whole(heard: &Heard) -> usize {
    let Some(first) = heard.trades.first() else { return 0 };
    let mut compared = 0;
    for push in heard.pushes.iter().filter(|push| push.open_time > first.time && push.trades > 0) {
        // Futures leave some fills out of their aggregates: behind such a hole nothing is claimed.
        let upto: Vec<_> = heard.trades.iter().filter(|trade| trade.last_id <= push.last_id).collect();
        if !upto.is_sorted_by(|one, next| next.first_id == one.last_id + 1) {
            continue;
        }
        let mut bench = Bench::new(Nanos(first.time.0 - MINUTE.0));
        feed(&mut bench, heard, i64::MIN, push.last_id);
        compared += compare(&bench, heard, push);
    }
    compared
}

/// Candles that had begun before: the push before, and the trades behind it.
fn compare_continued(heard: &Heard) -> usize {
    let mut compared = 0;
    for pair in heard.pushes.windows(2) {
        let [before, after] = pair else { continue };
        let inside =
            || heard.trades.iter().filter(|trade| (before.last_id + 1..=after.last_id).contains(&trade.first_id));
        let filled: i64 = inside().map(|trade| trade.last_id - trade.first_id + 1).sum();
        // All trades between the two have to be in the recording.
        if before.open_time != after.open_time
            || before.trades == 0
            || filled != after.last_id - before.last_id
            || filled == 0
        {
            continue;
        }
        let mut bench = Bench::new(before.open_time);
        bench.candles.push(before, before.open_time, Decimals::EIGHT, &mut bench.told);
        feed(&mut bench, heard, before.last_id, after.last_id);
        compared += compare(&bench, heard, after);
    }
    compared
}

fn feed(bench: &mut Bench, heard: &Heard, after: i64, up_to: i64) {
    for trade in heard.trades.iter().filter(|trade| trade.first_id > after && trade.last_id <= up_to) {
        bench.trade(trade, 0);
    }
}

fn compare(bench: &Bench, heard: &Heard, push: &Kline) -> usize {
    // Pushes were made by trades in those years: one in the middle of an aggregate has no sum of aggregates.
    if !heard.trades.iter().any(|trade| trade.last_id == push.last_id) {
        return 0;
    }
    let derived = if push.closed { None } else { bench.candles.current(Series::MINUTE, push.open_time) };
    let Some(derived) = derived else {
        assert!(push.closed, "nothing derived for {push:?}");
        return 0;
    };
    assert_eq!(derived, *push);
    1
}
