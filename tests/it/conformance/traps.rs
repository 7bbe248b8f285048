//! Section 16, "easy to get wrong": the items about streams that no other table has.

use tickcast::market::{Best, MiniTicker, Volume};

use super::*;

/// Item 16 and section 5: whoever joins waits for the next event.
#[test]
fn no_snapshot_comes_on_subscribing_w() {
    let mut world = World::new();
    world.publish(BTC, trade(1), Batch::default());
    world.publish(BTC, Payload::BookTicker(Best::default()), Batch::default());
    for cadence in [Cadence::Slow, Cadence::Fast] {
        let (payload, batch) = diff(cadence);
        world.publish(BTC, payload, batch);
    }
    let mut client = world.open("/ws/ethusdt@trade");
    client.subscribe(&[
        "btcusdt@trade",
        "btcusdt@bookTicker",
        "btcusdt@depth",
        "btcusdt@depth@100ms",
        "btcusdt@aggTrade",
    ]);
    assert_eq!(world.mark(), client.hear());
}

/// Item 16: tickers and partial depth are the exception: the value is what the next tick would bring.
#[test]
fn tickers_and_partial_depth_show_their_newest_value_at_once_i() {
    let mut world = World::new();
    let price = Price(100_000_000);
    let mini =
        MiniTicker { close: price, open: price, high: price, low: price, volume: Volume(0), quote_volume: Volume(0) };
    world.publish(BTC, Payload::MiniTicker(0), Batch { mini_tickers: vec![mini], ..Batch::default() });
    // Partial depth is kept while someone of this shard follows it.
    let mut first = world.open("/ws/btcusdt@depth5");
    let (_, batch) = diff(Cadence::Slow);
    let [bids, asks] = [Span { start: 0, len: 1 }, Span { start: 1, len: 1 }];
    world.publish(BTC, Payload::PartialDepth { cadence: Cadence::Slow, last_id: 12, bids, asks }, batch);
    let depth = first.hear();
    let mut client = world.open("/ws");
    client.say(r#"{"method":"SUBSCRIBE","params":["btcusdt@miniTicker","btcusdt@depth20"],"id":1}"#);
    assert_eq!(client.hear(), r#"{"result":null,"id":1}"#, "the answer comes first");
    assert!(client.hear().starts_with(r#"{"e":"24hrMiniTicker","#));
    assert_eq!(client.hear(), depth);
}

/// Item 21: shown on the wire in `life`; here, that no ping is needed to keep what is subscribed.
#[test]
fn pings_do_not_disturb_the_order_of_events_w() {
    let mut world = World::with(|config| config.session.ping_interval_ms = 10);
    let mut client = world.try_open("/ws/ethusdt@trade").expect("it opens");
    client.expect_list(&["ethusdt@trade"]);
    for _ in 0..200 {
        assert_eq!(world.mark(), client.hear());
    }
}

/// Item 22: one event, four encodings at the same time.
#[test]
fn units_and_wrappers_do_not_mix_within_one_event_d() {
    let mut world = World::new();
    let targets = ["/ws/ethusdt@trade?", "/stream?streams=ethusdt@trade&"];
    let mut clients: Vec<_> = targets
        .into_iter()
        .flat_map(|target| ["millisecond", "microsecond"].map(|unit| format!("{target}timeUnit={unit}")))
        .map(|target| world.open(&target))
        .collect();
    for _ in 0..20 {
        let millis = world.mark();
        let micros = millis.replace("000124,", "000124311,").replace("000123,", "000123456,");
        let heard: Vec<_> = clients.iter_mut().map(Client::hear).collect();
        let [wrapped_millis, wrapped_micros] = [&millis, &micros].map(|text| combined("ethusdt@trade", text));
        assert_eq!(heard, [millis, micros, wrapped_millis, wrapped_micros]);
    }
}

/// Item 35: age is no reason to warn.
#[test]
fn no_server_shutdown_is_said_at_the_end_of_a_life_o() {
    let world = World::with(|config| (config.session.lifetime_ms, config.session.lifetime_jitter_ms) = (30, 0));
    let mut client = world.try_open("/stream").expect("it opens");
    assert_eq!(client.closed().0, 1001);
}

/// Section 8.3: whoever holds ids that fell starts over.
#[test]
fn fallen_update_ids_close_the_followers_of_depth_i() {
    let mut world = World::new();
    let mut depth = world.open("/ws/btcusdt@depth");
    let mut other = world.open("/ws/ethusdt@depth/ethusdt@trade");
    let nothing = Span { start: 0, len: 0 };
    let reset = Payload::BookSnapshot { last_id: 3, bids: nothing, asks: nothing, reset: true };
    world.publish(BTC, reset, Batch::default());
    assert_eq!(depth.closed().0, 1001);
    assert_eq!(world.mark(), other.hear());
}
