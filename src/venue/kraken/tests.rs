use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    market::{
        AggTrade, BookDiff, BookSnapshot, Event, EventKind, Events, InstrumentId, Level, Nanos, Price, Quantity, Status,
        Trade,
    },
    venue::{AnyProtocol, Decode},
};

const BTC: InstrumentId = InstrumentId(0);
const ETH: InstrumentId = InstrumentId(1);

/// BTC/USD, ETH/USD, and one with other decimals, all as the instrument channel lists them.
fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("kraken", Some(ChecksumRule::KrakenTopTen));
    let listings = listing::parse(INSTRUMENTS.as_bytes()).expect("documented").expect("a listing");
    for listing in listings {
        let id = catalogue.add_instrument(venue, &listing.native, &Kraken::symbol(&listing.native));
        assert!(catalogue.instrument(id).list(listing));
    }
    catalogue
}

const INSTRUMENTS: &str = r#"{"channel":"instrument","type":"snapshot","data":{
"assets":[{"id":"USD","status":"enabled","precision":4,"precision_display":2,"borrowable":true,"collateral_value":1.00}],
"pairs":[
{"symbol":"BTC/USD","base":"BTC","quote":"USD","status":"online","qty_precision":8,"qty_increment":1e-08,"price_precision":1,"cost_precision":5,"marginable":true,"has_index":true,"cost_min":0.50,"price_increment":0.1,"qty_min":0.00010000},
{"symbol":"ETH/USD","base":"ETH","quote":"USD","status":"post_only","qty_precision":8,"qty_increment":0.00000001,"price_precision":2,"price_increment":0.01,"qty_min":0.002},
{"symbol":"BONK/USD","base":"BONK","quote":"USD","status":"delisted","qty_precision":5,"qty_increment":0.00001,"price_precision":10,"price_increment":1e-10,"qty_min":1},
{"symbol":"DOGE/USD","base":"DOGE","quote":"USD","status":"reduce_only","qty_precision":5,"price_precision":7}]}}"#;

fn kraken() -> Kraken {
    Kraken::new(10, 1).expect("offered")
}

fn decoder() -> Decoder {
    kraken().decoder(Arc::new(catalogue()), VenueId(0))
}

fn decode(frame: &str) -> Result<Events, Refusal> {
    let mut events = Events::default();
    decoder().frame(frame.as_bytes(), &mut events).map(|()| events)
}

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

const TIME: Nanos = Nanos(1_690_730_998_343_415_000);

#[test]
fn settings_that_the_venue_does_not_offer_are_refused_in_words() {
    let error = AnyProtocol::new("kraken", 20, 1).expect_err("no such depth");
    assert!(error.contains("book_depth is 20") && error.contains("500"), "{error}");
    let error = AnyProtocol::new("kraken", 1000, 2).expect_err("no ids");
    assert!(error.contains("connections is 2"), "{error}");
    for depth in BOOK_DEPTHS {
        assert!(AnyProtocol::new("kraken", depth, 1).is_ok());
    }
}

#[test]
fn listings_keep_exact_steps_and_both_kinds_of_decimals() {
    let listings = kraken().parse_listing(INSTRUMENTS.as_bytes()).expect("documented").expect("a listing");
    let [btc, eth, bonk, doge] = &listings[..] else { panic!("{listings:?}") };
    assert_eq!((&*btc.native, &*btc.base, &*btc.quote, btc.status), ("BTC/USD", "BTC", "USD", Status::Trading));
    assert_eq!((btc.decimals.price, btc.decimals.quantity, btc.decimals.quote), (8, 8, 8));
    assert_eq!((btc.decimals.checksum_price, btc.decimals.checksum_quantity), (1, 8));
    assert_eq!((&*btc.tick_size, &*btc.step_size), ("0.10000000", "0.00000001"));
    assert_eq!(btc.binance_info, None);
    assert_eq!(eth.status, Status::Halt);
    assert_eq!((bonk.decimals.price, bonk.decimals.quantity, bonk.decimals.checksum_price), (10, 5, 10));
    assert_eq!((&*bonk.tick_size, &*bonk.step_size, bonk.status), ("0.0000000001", "0.00001", Status::Break));
    assert_eq!((doge.decimals.price, doge.decimals.quantity, doge.decimals.checksum_quantity), (8, 8, 5));
    assert_eq!((&*doge.tick_size, &*doge.step_size, doge.status), ("0.00000010", "0.00001000", Status::Trading));
}

#[test]
fn a_pair_that_cannot_be_read_costs_only_itself() {
    for strange in [INSTRUMENTS.replace(":10,", ":19,"), INSTRUMENTS.replace("BONK/USD\",\"base", "BONK/USD\",\"other")] {
        let listings = kraken().parse_listing(strange.as_bytes()).expect("documented").expect("a listing");
        let natives: Vec<_> = listings.iter().map(|listing| &*listing.native).collect();
        assert_eq!(natives, ["BTC/USD", "ETH/USD", "DOGE/USD"]);
    }
}

#[test]
fn other_frames_of_the_listing_socket_are_none() {
    for frame in [
        r#"{"channel":"status","type":"update","data":[{"system":"online","api_version":"v2"}]}"#,
        r#"{"channel":"heartbeat"}"#,
        r#"{"method":"subscribe","result":{"channel":"instrument","snapshot":true},"success":true}"#,
        r#"{"channel":"instrument","type":"update","data":{"assets":[],"pairs":[]}}"#,
    ] {
        assert_eq!(kraken().parse_listing(frame.as_bytes()).map(|listing| listing.is_none()), Ok(true), "{frame}");
    }
    let refused = |frame: &str| kraken().parse_listing(frame.as_bytes()).map(drop);
    assert_eq!(refused(r#"{"method":"subscribe","success":false,"error":"no"}"#), Err(Refusal::VenueError));
    assert_eq!(refused(r#"{"channel":"instrument","type":"snapshot","data":{}}"#), Err(Refusal::Malformed));
    assert_eq!(refused("nothing"), Err(Refusal::Malformed));
    assert_eq!(refused(&INSTRUMENTS.replace("price_precision\":", "price_precision\":4")), Err(Refusal::Number));
    assert_eq!(refused(&INSTRUMENTS.replace("base", "other")), Err(Refusal::Malformed));
}

#[test]
fn subscriptions_name_symbols_in_batches_and_ask_for_no_old_trades() {
    let mut catalogue = Catalogue::new();
    let venue = catalogue.add_venue("kraken", None);
    for index in 0..320 {
        let native = format!("COIN{index}/USD");
        catalogue.add_instrument(venue, &native, &Kraken::symbol(&native));
    }
    let instruments: Vec<_> = catalogue.instruments().iter().collect();
    let dials = kraken().dials(&instruments);
    assert_eq!(dials.iter().map(|dial| dial.instruments.len()).collect::<Vec<_>>(), [150, 150, 20]);
    let mut asked = [Vec::new(), Vec::new()];
    for message in dials.iter().flat_map(|dial| &dial.messages) {
        let message: Value = serde_json::from_str(message).expect("JSON");
        let params = &message["params"];
        let symbols = params["symbol"].as_array().expect("a list");
        assert_eq!(message["method"], "subscribe");
        assert!(symbols.len() <= SYMBOLS_PER_MESSAGE);
        let book = params["channel"] == "book";
        assert_eq!(params["snapshot"], book, "books at once, no old trades");
        assert_eq!(params["depth"], if book { Value::from(10) } else { Value::Null });
        asked[usize::from(book)].extend(symbols.iter().map(|symbol| symbol.as_str().expect("text").to_owned()));
    }
    let natives: Vec<_> = instruments.iter().map(|instrument| instrument.native.to_string()).collect();
    assert_eq!(asked, [natives.clone(), natives]);
    assert!(kraken().dials(&[]).is_empty());
}

#[test]
fn one_book_is_subscribed_to_again() {
    let catalogue = catalogue();
    let messages = kraken().resubscribe(catalogue.instrument(ETH));
    let messages: Vec<Value> = messages.iter().map(|message| serde_json::from_str(message).expect("JSON")).collect();
    let params = json!({ "channel": "book", "symbol": ["ETH/USD"], "depth": 10 });
    assert_eq!(messages[0], json!({ "method": "unsubscribe", "params": params }));
    let params = json!({ "channel": "book", "symbol": ["ETH/USD"], "depth": 10, "snapshot": true });
    assert_eq!(messages[1..], [json!({ "method": "subscribe", "params": params })]);
    assert_eq!(Kraken::symbol("BTC/USD"), "BTCUSD");
    assert_eq!(kraken().snapshot(catalogue.instrument(ETH), 1000), None);
    assert_eq!(kraken().trades(catalogue.instrument(ETH), 1, 10), None);
}

#[test]
fn books_are_read_from_bare_numbers_in_any_key_order() {
    for frame in [
        r#"{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":29430.2,"qty":0.18967538},{"price":29429.6,"qty":1e-05}],"asks":[{"price":29430.3,"qty":4.00000000}],"checksum":2785033588,"timestamp":"2023-07-30T15:29:58.343415Z"}]}"#,
        r#"{ "data" : [ { "timestamp":"2023-07-30T15:29:58.343415Z", "asks" : [ { "qty":4.0, "price":29430.30 } ], "new":[{}],
            "checksum":2785033588, "bids":[{"qty":0.18967538,"price":29430.2},{"qty":0.00001,"price":2.94296e4}], "symbol":"BTC\/USD" } ],
            "type" : "snapshot", "channel" : "book" }"#,
    ] {
        let events = decode(frame).expect("documented");
        let [Event { instrument: BTC, time: Some(TIME), kind: EventKind::BookSnapshot(book) }] = events.list[..] else {
            panic!("{:?}", events.list)
        };
        let BookSnapshot { last_id, bids, asks, checksum, limit } = book;
        assert_eq!((last_id, checksum, limit), (None, Some(2_785_033_588), Some(10)), "as asked for");
        assert_eq!(bids.of(&events.levels), [level(2_943_020_000_000, 18_967_538), level(2_942_960_000_000, 1_000)]);
        assert_eq!(asks.of(&events.levels), [level(2_943_030_000_000, 400_000_000)]);
    }
}

#[test]
fn updates_keep_message_order() {
    let events = decode(
        r#"{"channel":"book","type":"update","data":[{"symbol":"ETH/USD","bids":[],"asks":[{"price":1.5,"qty":0.0},{"price":1.5,"qty":2.0}],"checksum":1,"timestamp":"2023-07-30T15:29:58.343415Z"},{"symbol":"BTC/USD","asks":[],"bids":[{"price":2,"qty":3}],"checksum":2,"timestamp":"2023-07-30T15:29:58.343415Z"}]}"#,
    );
    let events = events.expect("documented");
    let [Event { instrument: ETH, kind: EventKind::BookDiff(first), .. }, Event { instrument: BTC, kind: EventKind::BookDiff(second), .. }] =
        events.list[..]
    else {
        panic!("{:?}", events.list)
    };
    let BookDiff { ids, bids, asks, checksum } = first;
    assert_eq!((ids, checksum, bids.len), (None, Some(1), 0));
    assert_eq!(asks.of(&events.levels), [level(150_000_000, 0), level(150_000_000, 200_000_000)]);
    assert_eq!(second.bids.of(&events.levels), [level(200_000_000, 300_000_000)]);
}

#[test]
fn acknowledged_depth_is_the_window_of_later_snapshots() {
    let (mut decoder, mut events) = (decoder(), Events::default());
    for (frame, expected) in [
        (r#"{"method":"subscribe","result":{"channel":"book","depth":25,"snapshot":true,"symbol":"ETH/USD"},"success":true,"time_in":"2023-09-25T09:04:31.742599Z","time_out":"2023-09-25T09:04:31.742648Z"}"#, Some(25)),
        (r#"{"method":"subscribe","result":{"channel":"book","snapshot":true,"symbol":"ETH/USD"},"success":true}"#, Some(10)),
        (r#"{"method":"subscribe","result":{"channel":"trade","snapshot":false,"symbol":"ETH/USD"},"success":true}"#, None),
        (r#"{"method":"unsubscribe","result":{"channel":"book","symbol":"ETH/USD","depth":10},"success":true}"#, None),
        (r#"{"method":"unsubscribe","error":"Subscription Not Found","success":false}"#, None),
        (r#"{"method":"pong","req_id":1,"time_in":"x","time_out":"y"}"#, None),
        (r#"{"channel":"heartbeat"}"#, None),
        (r#"{"channel":"status","type":"update","data":[{"system":"online","connection_id":12345678901234567890}]}"#, None),
    ] {
        events.clear();
        decoder.frame(frame.as_bytes(), &mut events).expect(frame);
        let said: Vec<_> = events.list.iter().map(|event| (event.instrument, event.kind)).collect();
        let expected: Vec<_> = expected.map(|depth| (ETH, EventKind::BookWindow(depth))).into_iter().collect();
        assert_eq!(said, expected, "{frame}");
    }
    let book = r#"{"channel":"book","type":"snapshot","data":[{"symbol":"ETH/USD","bids":[],"asks":[],"checksum":0}]}"#;
    decoder.frame(book.as_bytes(), &mut events).expect("documented");
    let EventKind::BookSnapshot(book) = events.list[0].kind else { panic!("{:?}", events.list) };
    assert_eq!((book.limit, events.list[0].time), (Some(10), None));
}

#[test]
fn a_symbol_that_the_venue_does_not_have_is_refused_for_good() {
    let refused = [Event { instrument: ETH, time: None, kind: EventKind::Refused }];
    for frame in [
        r#"{"error":"Currency pair not supported ETH/USD","method":"subscribe","success":false,"symbol":"ETH/USD"}"#,
        r#"{"method":"subscribe","success":false,"error":"Currency pair not supported ETH/USD"}"#,
    ] {
        assert_eq!(decode(frame).expect(frame).list, refused, "{frame}");
    }
    for frame in [
        r#"{"error":"Exceeded msg rate","method":"subscribe","success":false,"symbol":"ETH/USD"}"#,
        r#"{"error":"Currency pair not supported X/Y","method":"subscribe","success":false}"#,
        r#"{"method":"subscribe","success":false}"#,
        r#"{"error":"Malformed request","success":false}"#,
    ] {
        assert_eq!(decode(frame).map(drop), Err(Refusal::VenueError), "{frame}");
    }
}

#[test]
fn fills_of_one_price_time_and_side_are_one_aggregate() {
    let fill = |side: &str, price: &str, quantity: &str, id: i64, time: &str| {
        format!(r#"{{"symbol":"BTC/USD","side":"{side}","price":{price},"qty":{quantity},"ord_type":"market","trade_id":{id},"timestamp":"2023-07-30T15:29:58.{time}Z"}}"#)
    };
    let fills = [
        fill("sell", "29430.1", "0.5", 7, "343415"),
        fill("sell", "29430.10", "1e-05", 8, "343415"),
        fill("sell", "29430.0", "1", 9, "343415"),
        fill("buy", "29430.0", "1", 10, "343415"),
        fill("buy", "29430.0", "2", 11, "3434151"),
    ];
    let frame = format!(r#"{{"channel":"trade","type":"update","data":[{}]}}"#, fills.join(","));
    let events = decode(&frame).expect("documented");
    let ids: Vec<_> = events
        .list
        .iter()
        .map(|event| match event.kind {
            EventKind::Trade(trade) => (trade.id, None),
            EventKind::AggTrade(run) => (run.id, Some((run.first_id, run.last_id))),
            _ => panic!("{event:?}"),
        })
        .collect();
    let expected = [
        (7, None), (8, None), (8, Some((7, 8))), (9, None), (9, Some((9, 9))), (10, None), (10, Some((10, 10))), (11, None), (11, Some((11, 11))),
    ];
    assert_eq!(ids, expected);
    let trade = Trade { id: 7, price: Price(2_943_010_000_000), quantity: Quantity(50_000_000), time: TIME, buyer_is_maker: true };
    assert_eq!(events.list[0], Event { instrument: BTC, time: Some(TIME), kind: EventKind::Trade(trade) });
    let run = AggTrade {
        id: 8,
        price: trade.price,
        quantity: Quantity(50_001_000),
        first_id: 7,
        last_id: 8,
        time: TIME,
        buyer_is_maker: true,
    };
    assert_eq!(events.list[2], Event { instrument: BTC, time: Some(TIME), kind: EventKind::AggTrade(run) });
    assert!(decode(&frame.replace("update", "snapshot")).expect("old news").list.is_empty());
}

#[test]
fn each_fault_has_its_reason() {
    let book = |symbol: &str, level: &str| {
        format!(r#"{{"channel":"book","type":"update","data":[{{"symbol":"{symbol}","bids":[{level}],"asks":[],"checksum":1}}]}}"#)
    };
    let good = r#"{"price":1.5,"qty":2}"#;
    for (frame, refusal) in [
        (book("DOGE/EUR", good), Refusal::UnknownInstrument),
        (book("BTC/USD", r#"{"price":1.123456789,"qty":2}"#), Refusal::Number),
        (book("BTC/USD", r#"{"price":-1.5,"qty":2}"#), Refusal::Number),
        (book("BTC/USD", r#"{"price":1.5,"qty":92233720369}"#), Refusal::Number),
        (book("BTC/USD", r#"{"price":"1.5","qty":2}"#), Refusal::Malformed),
        (book("BTC/USD", r#"{"price":1.5}"#), Refusal::Malformed),
        (book("BTC/USD", good).replace(r#""checksum":1"#, r#""checksum":4294967296"#), Refusal::Number),
        (book("BTC/USD", good).replace(r#""checksum":1"#, r#""other":1"#), Refusal::Malformed),
        (book("BTC/USD", good).replace("book", "novelty"), Refusal::UnknownMessage),
        (book("BTC/USD", good).replace("update", "other"), Refusal::UnknownMessage),
        (r#"{"channel":"book"}"#.to_owned(), Refusal::Malformed),
        (r#"{}"#.to_owned(), Refusal::UnknownMessage),
        (r#"[]"#.to_owned(), Refusal::Malformed),
        (String::new(), Refusal::Malformed),
    ] {
        assert_eq!(decode(&frame).map(drop), Err(refusal), "{frame}");
    }
}

proptest! {
    #[test]
    fn damage_is_read_or_refused(
        sample in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let samples = [
            r#"{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":29430.2,"qty":1e-05}],"asks":[],"checksum":2785033588,"timestamp":"2023-07-30T15:29:58.343415Z"}]}"#,
            r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":1.5,"qty":2,"trade_id":7,"timestamp":"2023-07-30T15:29:58Z"}]}"#,
            r#"{"method":"subscribe","success":false,"error":"Currency pair not supported ETH/USD"}"#,
            INSTRUMENTS,
        ];
        let mut frame = samples[sample].as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        frame.truncate(end.index(frame.len() + 1));
        let (mut decoder, mut events) = (decoder(), Events::default());
        let _ = (decoder.frame(&frame, &mut events), kraken().parse_listing(&frame));
    }
}
