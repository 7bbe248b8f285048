//! Answers of REST.

use super::*;

#[test]
fn whole_books_over_rest() {
    for body in [
        r#"{"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],"asks":[["4.00000200","12.00000000"],["5.00000000","1.00000000"]]}"#,
        r#"{ "asks": [["4.000002","12"],["5","1"]], "bids": [["4","431"]], "lastUpdateId": 1027024 }"#,
    ] {
        let (mut decoder, mut events) = (Binance.decoder(Arc::new(catalogue()), VenueId(0)), Events::default());
        decoder.snapshot(ETH, 1000, body.as_bytes(), &mut events).expect("documented");
        let [Event { instrument: ETH, time: None, kind: EventKind::BookSnapshot(book) }] = events.list[..] else {
            panic!("{:?}", events.list)
        };
        let BookSnapshot { last_id, bids, asks, checksum, limit } = book;
        assert_eq!((last_id, checksum, limit), (Some(1_027_024), None, Some(1000)));
        assert_eq!(bids.of(&events.levels), [level(400_000_000, 43_100_000_000)]);
        assert_eq!(asks.of(&events.levels), [level(400_000_200, 1_200_000_000), level(500_000_000, 100_000_000)]);
        let error = br#"{"code":-1003,"msg":"Too much request weight used."}"#;
        assert_eq!(decoder.snapshot(ETH, 1000, error, &mut events), Err(Refusal::VenueError));
        assert_eq!(decoder.snapshot(ETH, 1000, b"<html>", &mut events), Err(Refusal::Malformed));
    }
}

#[test]
fn lost_trades_over_rest() {
    let (mut decoder, mut events) = (Binance.decoder(Arc::new(catalogue()), VenueId(0)), Events::default());
    let body = br#"[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,"isBuyerMaker":true,"isBestMatch":true},
        {"isBuyerMaker":false,"time":1499865549591000,"qty":"1.00000000","price":"4.00000200","id":28458}]"#;
    decoder.trades(BTC, body, &mut events).expect("documented");
    let trade = |id, price, quantity, nanos, buyer_is_maker| Event {
        instrument: BTC,
        time: None,
        kind: EventKind::Trade(Trade {
            id,
            price: Price(price),
            quantity: Quantity(quantity),
            time: Nanos(nanos),
            buyer_is_maker,
        }),
    };
    let expected = [
        trade(28457, 400_000_100, 1_200_000_000, 1_499_865_549_590_000_000, true),
        trade(28458, 400_000_200, 100_000_000, 1_499_865_549_591_000_000, false),
    ];
    assert_eq!(events.list, expected);
    assert_eq!(decoder.trades(BTC, br#"{"code":-2014,"msg":"API-key format invalid."}"#, &mut events), Err(Refusal::VenueError));
    assert_eq!(decoder.trades(BTC, br#"{"id":1}"#, &mut events), Err(Refusal::Malformed));
}

#[test]
fn aggregate_trades_over_rest() {
    let (mut decoder, mut events) = (Binance.decoder(Arc::new(catalogue()), VenueId(0)), Events::default());
    let body = br#"[{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27783,"T":1498793709153,"m":true,"M":true},
        {"M":true,"m":false,"T":1498793709154000,"l":27784,"f":27784,"q":"1.00000000","p":"0.01633103","a":26130}]"#;
    decoder.agg_trades(BTC, body, &mut events).expect("documented");
    let trade = |id, price, quantity, first_id, last_id, time, buyer_is_maker| Event {
        instrument: BTC,
        time: None,
        kind: EventKind::AggTrade(AggTrade {
            id,
            price: Price(price),
            quantity: Quantity(quantity),
            first_id,
            last_id,
            time: Nanos::from_millis(time),
            buyer_is_maker,
        }),
    };
    let expected = [
        trade(26129, 1_633_102, 470_443_515, 27781, 27783, 1_498_793_709_153, true),
        trade(26130, 1_633_103, 100_000_000, 27784, 27784, 1_498_793_709_154, false),
    ];
    assert_eq!(events.list, expected);
    let mut refusal = |body: &str| decoder.agg_trades(BTC, body.as_bytes(), &mut events).expect_err(body);
    assert_eq!(refusal(r#"{"code":-1121,"msg":"Invalid symbol."}"#), Refusal::VenueError);
    assert_eq!(refusal(r#"{"a":1}"#), Refusal::Malformed);
    assert_eq!(refusal(r#"[{"a":1,"p":"1","q":"1","f":1,"l":1,"T":1}]"#), Refusal::Malformed);
    assert_eq!(refusal(r#"[{"a":1,"p":"1","q":"-1","f":1,"l":1,"T":1,"m":true}]"#), Refusal::Number);
    assert_eq!(refusal("[[]]"), Refusal::Malformed);
}

#[test]
fn listings_keep_the_venues_own_words() {
    let listings = Binance.parse_listing(EXCHANGE_INFO.as_bytes()).expect("documented").expect("a listing");
    let [btc, shib, eth] = &listings[..] else { panic!("{listings:?}") };
    assert_eq!((&*btc.native, &*btc.base, &*btc.quote, btc.status), ("BTCUSDT", "BTC", "USDT", Status::Trading));
    assert_eq!(btc.decimals, Decimals::EIGHT);
    assert_eq!((&*btc.tick_size, &*btc.step_size), ("0.01000000", "0.00001000"));
    let info = btc.binance_info.as_deref().expect("Binance has it");
    assert!(info.starts_with(r#"{"symbol":"BTCUSDT","#) && info.ends_with(r#"[["SPOT"]]}"#), "{info}");
    assert!(EXCHANGE_INFO.contains(info));
    assert_eq!((shib.decimals.price, shib.decimals.quantity, shib.decimals.quote), (3, 2, 3));
    assert_eq!((&*shib.tick_size, &*shib.step_size, shib.status), ("0.001", "0.01", Status::Break));
    assert_eq!((eth.decimals, eth.status), (Decimals::EIGHT, Status::Halt));

    let refused = |body: &str| Binance.parse_listing(body.as_bytes()).map(drop);
    assert_eq!(refused(r#"{"code":-1121,"msg":"Invalid symbol."}"#), Err(Refusal::VenueError));
    assert_eq!(refused("{}"), Err(Refusal::Malformed));
    assert_eq!(refused("<html>"), Err(Refusal::Malformed));
    let without = EXCHANGE_INFO.replace("\"quotePrecision\":3", "\"quotePrecision\":19");
    let natives = |body: &str| -> Vec<String> {
        let listings = Binance.parse_listing(body.as_bytes()).expect("documented").expect("a listing");
        listings.into_iter().map(|listing| listing.native).collect()
    };
    assert_eq!(natives(&without), ["BTCUSDT", "ETHUSDT"], "one bad symbol costs only itself");
    assert_eq!(refused(r#"{"symbols":[{"symbol":"A","baseAsset":"A","quoteAsset":"B","quotePrecision":19}]}"#), Err(Refusal::Number));
    assert_eq!(refused(r#"{"symbols":[{"symbol":"A"},1]}"#), Err(Refusal::Malformed));
    assert!(natives(r#"{"symbols":[]}"#).is_empty());
    // The least that an imitation may say, and filters of shapes yet to come.
    let least = r#"{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","filters":[1,{"filterType":7},{"filterType":"PRICE_FILTER","tickSize":0.01},{"filterType":"LOT_SIZE","stepSize":"0.10"}]}]}"#;
    let least = &Binance.parse_listing(least.as_bytes()).expect("enough").expect("a listing")[0];
    assert_eq!((least.status, least.decimals), (Status::Trading, Decimals::EIGHT));
    assert_eq!((&*least.tick_size, &*least.step_size), ("0.00000001", "0.10"));
}
