//! The check vectors of the contract, every message byte for byte, and diffs that do not fit one.

use super::*;
use crate::{
    market::{Catalogue, Listing, Nanos, Price, Quantity, Span, Status},
    topic::Cadence,
};

const EVENT: Nanos = Nanos::from_micros(1_789_000_000_123_456);

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("binance", None);
    catalogue.add_instrument(venue, "BTCUSDT", "BTCUSDT");
    let rupiah = catalogue.add_instrument(venue, "币安BIDR", "币安BIDR");
    let text = str::to_owned;
    assert!(catalogue.instrument(rupiah).list(Listing {
        native: text("币安BIDR"),
        base: text("币安"),
        quote: text("BIDR"),
        decimals: Decimals { price: 2, quantity: 5, quote: 2, checksum_price: 2, checksum_quantity: 5 },
        status: Status::Trading,
        tick_size: text("1.00"),
        step_size: text("0.00001"),
        binance_info: None,
    }));
    catalogue
}

/// The messages of `payload` about the instrument with index `instrument`.
fn messages(instrument: usize, payload: Payload, batch: &Batch) -> Vec<Vec<u8>> {
    let catalogue = catalogue();
    let instrument = &catalogue.instruments()[instrument];
    let update = Update { instrument: instrument.id, received: Nanos(1), time: EVENT, payload };
    let mut messages = Vec::new();
    let mut buffer = b"what was left from before".to_vec();
    each_message(&update, batch, instrument, &mut buffer, |message| messages.push(message.to_vec()));
    messages
}

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

#[test]
fn best_bid_ask_is_the_vector_of_the_contract() {
    let best = Best {
        update_id: 90_210_001,
        bid: level(8_670_477_000_000, 467_811_000),
        ask: level(8_670_478_000_000, 73_337_000),
    };
    let vector = "32 00 11 27 01 00 00 00 40 b2 82 05 16 5b 06 00 d1 7e 60 05 00 00 00 00 f8 f8
        40 9d b3 c0 e2 07 00 00 b8 3a e2 1b 00 00 00 00
        80 df c2 c0 e2 07 00 00 a8 08 5f 04 00 00 00 00 07 42 54 43 55 53 44 54";
    assert_eq!(messages(0, Payload::BookTicker(best), &Batch::default()), [hex(vector)]);
    assert_eq!(hex(vector).len(), 66);
}

#[test]
fn a_depth_diff_is_the_vector_of_the_contract() {
    let batch = Batch { levels: vec![level(8_670_477_000_000, 0)], ..Batch::default() };
    let payload = Payload::DepthDiff {
        cadence: Cadence::Swift,
        first_id: 90_210_001,
        last_id: 90_210_004,
        bids: Span { start: 0, len: 1 },
        asks: Span { start: 1, len: 0 },
    };
    let vector = "1a 00 13 27 01 00 00 00 e0 f2 82 05 16 5b 06 00 d1 7e 60 05 00 00 00 00 d4 7e 60 05 00 00 00 00
        f8 f8 10 00 01 00 40 9d b3 c0 e2 07 00 00 00 00 00 00 00 00 00 00 10 00 00 00 07 42 54 43 55 53 44 54";
    let mut expected = hex(vector);
    // The vectors differ in their event times: 1789000000123456 and 1789000000140000.
    expected[8..16].copy_from_slice(&1_789_000_000_123_456_i64.to_le_bytes());
    assert_eq!(hex(vector)[8..16], 1_789_000_000_140_000_i64.to_le_bytes());
    assert_eq!(messages(0, payload, &batch), [expected]);
}

#[test]
fn a_trade_is_a_group_of_one_and_its_best_match_takes_no_bytes() {
    let trade = Trade {
        id: 1_890_123_456,
        price: Price(123),
        quantity: Quantity(-2),
        time: Nanos::from_micros(1_789_000_000_123_000),
        buyer_is_maker: true,
    };
    let mut expected = hex("12 00 10 27 01 00 00 00");
    expected.extend(1_789_000_000_123_456_i64.to_le_bytes());
    expected.extend(1_789_000_000_123_000_i64.to_le_bytes());
    expected.extend(hex("fe fb 19 00 01 00 00 00"));
    expected.extend(1_890_123_456_i64.to_le_bytes());
    expected.extend(hex("7b 00 00 00 00 00 00 00 fe ff ff ff ff ff ff ff 01 0a"));
    expected.extend("币安BIDR".bytes());
    assert_eq!(messages(1, Payload::Trade(trade), &Batch::default()), [expected.clone()]);
    assert_eq!(expected.len(), 8 + 18 + 6 + 25 + 1 + 10);
}

#[test]
fn a_partial_book_is_cut_to_twenty_levels() {
    let batch = Batch { levels: (0..30).map(|n| level(100 - n, n)).collect(), ..Batch::default() };
    let (bids, asks) = (Span { start: 0, len: 25 }, Span { start: 25, len: 2 });
    let payload = Payload::PartialDepth { cadence: Cadence::Brisk, last_id: 7, bids, asks };
    let made = messages(0, payload, &batch);
    let mut expected = hex("12 00 12 27 01 00 00 00");
    expected.extend(EVENT.micros().to_le_bytes());
    expected.extend(7_i64.to_le_bytes());
    expected.extend(hex("f8 f8 10 00 14 00"));
    (0..20_i64).for_each(|n| expected.extend([(100 - n).to_le_bytes(), n.to_le_bytes()].concat()));
    expected.extend(hex("10 00 02 00"));
    (25..27_i64).for_each(|n| expected.extend([(100 - n).to_le_bytes(), n.to_le_bytes()].concat()));
    expected.extend(hex("07 42 54 43 55 53 44 54"));
    assert_eq!(made, [expected]);
}

#[test]
fn what_sbe_does_not_have_is_silent() {
    let trade = Trade { id: 1, price: Price(1), quantity: Quantity(1), time: EVENT, buyer_is_maker: false };
    assert!(messages(0, Payload::BlockTrade(trade), &Batch::default()).is_empty());
    assert!(messages(0, Payload::BookState(crate::topic::BookState::Live), &Batch::default()).is_empty());
}

/// `U`, `u` and the levels of each side of a diff, with the lengths it claims checked against those it has.
fn diff(message: &[u8]) -> (i64, i64, Vec<i64>, Vec<i64>) {
    let long = |at: usize| i64::from_le_bytes(message[at..at + 8].try_into().unwrap());
    let side = |at: usize| {
        assert_eq!(message[at..at + 2], 16_u16.to_le_bytes());
        let count = usize::from(u16::from_le_bytes(message[at + 2..at + 4].try_into().unwrap()));
        ((0..count).map(|n| long(at + 4 + 16 * n)).collect::<Vec<_>>(), at + 4 + 16 * count)
    };
    let (bids, asks_at) = side(34);
    let (asks, end) = side(asks_at);
    assert_eq!(message[end..], *b"\x07BTCUSDT");
    (long(16), long(24), bids, asks)
}

#[test]
fn a_diff_that_is_too_large_becomes_several_with_consecutive_ids() {
    for (bid_count, ask_count, first_id, last_id, ranges) in [
        (LEVELS_MAX, LEVELS_MAX, 5, 9, vec![(5, 9)]),
        (LEVELS_MAX + 1, 3, 5, 9, vec![(5, 5), (6, 9)]),
        (3, LEVELS_MAX * 2 + 1, 5, 7, vec![(5, 5), (6, 6), (7, 7)]),
        // Fewer ids than parts: the last id is said again, and nobody who checks `U` sees a hole.
        (LEVELS_MAX + 1, 0, 5, 5, vec![(5, 5), (5, 5)]),
    ] {
        let count = (bid_count + ask_count) as i64;
        let batch = Batch { levels: (0..count).map(|n| level(n, 1)).collect(), ..Batch::default() };
        let bids = Span { start: 0, len: bid_count as u32 };
        let asks = Span { start: bid_count as u32, len: ask_count as u32 };
        let payload = Payload::DepthDiff { cadence: Cadence::Swift, first_id, last_id, bids, asks };
        let parts: Vec<_> = messages(0, payload, &batch).iter().map(|message| diff(message)).collect();
        assert_eq!(parts.iter().map(|part| (part.0, part.1)).collect::<Vec<_>>(), ranges);
        let (bids, asks): (Vec<_>, Vec<_>) = parts.into_iter().map(|part| (part.2, part.3)).unzip();
        assert!(bids.concat().into_iter().eq(0..bid_count as i64));
        assert!(asks.concat().into_iter().eq(bid_count as i64..count));
    }
}
