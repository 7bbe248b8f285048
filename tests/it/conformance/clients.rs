//! Section 14: what clients do, without the clients themselves (those are in `tests/clients`).

use super::*;

#[test]
fn official_sdks_open_empty_and_subscribe_with_string_ids_c() {
    let mut world = World::new();
    for unit in ["", "&timeUnit=microsecond", "&timeUnit=MICROSECOND"] {
        let mut client = world.open(&format!("/stream?streams={unit}"));
        client.expect(
            r#"{"id":"5f2b1c0e9d8a4b7c8e6f0a1b2c3d4e5f","method":"SUBSCRIBE","params":["ethusdt@trade"]}"#,
            r#"{"result":null,"id":"5f2b1c0e9d8a4b7c8e6f0a1b2c3d4e5f"}"#,
        );
        world.mark();
        let event: serde_json::Value = serde_json::from_str(&client.hear()).expect("JSON");
        assert_eq!(event["stream"], "ethusdt@trade", "callbacks are keyed on the name as subscribed");
        assert!(event["data"].is_object());
    }
}

#[test]
fn the_old_connector_appends_1000ms_and_sends_timestamps_as_ids_c() {
    let mut world = World::new();
    let mut client = world.open("/ws/ethusdt@trade");
    client.expect(
        r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@1000ms"],"id":1789000000124}"#,
        r#"{"result":null,"id":1789000000124}"#,
    );
    let (payload, batch) = diff(Cadence::Slow);
    world.publish(BTC, payload, batch);
    assert_eq!(client.hear(), diff_text("BTCUSDT"));
}

#[test]
fn python_binance_deletes_a_level_by_its_zero_text_c() {
    let mut world = World::new();
    let mut client = world.open("/ws/btcusdt@depth@100ms");
    let (payload, batch) = diff(Cadence::Fast);
    world.publish(BTC, payload, batch);
    assert!(client.hear().contains(r#"["86704.78000000","0.00000000"]"#));
}

#[test]
fn ccxt_opens_numbered_paths_and_subscribes_c() {
    let mut world = World::new();
    for target in ["/ws/0", "/ws/stream/3", "/ws/stream"] {
        let mut client = world.open(target);
        let answer = client.ask(r#"{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":4}"#);
        assert_eq!(answer, r#"{"result":null,"id":4}"#, "an acknowledgement has its id");
        assert_eq!(world.mark(), client.hear());
    }
}

#[test]
fn cryptofeed_puts_everything_into_one_long_url_c() {
    let mut world = World::new();
    let channels = ["aggTrade", "bookTicker", "depth@100ms", "kline_1m", "trade"];
    let names: Vec<_> = (0..200).flat_map(|index| channels.map(|channel| format!("s{index}usdt@{channel}"))).collect();
    let mut client = world.open(&format!("/stream?streams={}/ethusdt@trade", names.join("/")));
    let mark = world.mark();
    assert_eq!(client.hear(), combined("ethusdt@trade", &mark));
}

#[test]
fn bots_reconnect_at_server_shutdown_c() {
    let world = World::new();
    let [mut raw, mut wrapped] = [world.open("/ws"), world.open("/stream")];
    world.shard.shard.drain(PATIENCE);
    let [raw, wrapped] =
        [raw.hear(), wrapped.hear()].map(|text| serde_json::from_str::<serde_json::Value>(&text).expect("JSON"));
    assert_eq!((&raw["e"], &wrapped["stream"]), (&"serverShutdown".into(), &"!serverShutdown".into()));
    assert_eq!(wrapped["data"]["e"], "serverShutdown");
}

#[test]
fn sdks_subscribe_one_by_one_in_quick_succession_c() {
    let rate = crate::house::config().session.messages_per_second;
    let world = World::with(|config| config.session.messages_per_second = rate);
    let mut client = world.try_open("/stream?streams=btcusdt@trade").expect("it opens");
    for index in 0..8 {
        client.say(&format!(
            r#"{{"method":"SUBSCRIBE","params":["s{index}@trade"],"id":"e2a85d9f-07a5-4f94-8d5f-789dc3deb09{index}"}}"#
        ));
    }
    for index in 0..8 {
        assert_eq!(client.hear(), format!(r#"{{"result":null,"id":"e2a85d9f-07a5-4f94-8d5f-789dc3deb09{index}"}}"#));
    }
}

#[test]
fn books_keyed_by_price_text_find_the_same_text_in_rest_c() {
    use std::io::Write;
    let mut world = World::new();
    let mut client = world.open("/ws/btcusdt@depth@100ms");
    let levels = vec![level(8_670_477_000_000, 467_823_000), level(8_670_478_000_000, 1)];
    let [bids, asks] = [Span { start: 0, len: 1 }, Span { start: 1, len: 1 }];
    let snapshot = Payload::BookSnapshot { last_id: 10, bids, asks, reset: false };
    world.publish(BTC, snapshot, Batch { levels: levels.clone(), ..Batch::default() });
    let diff = Payload::DepthDiff { cadence: Cadence::Fast, first_id: 11, last_id: 12, bids, asks };
    world.publish(BTC, diff, Batch { levels, ..Batch::default() });
    let event: serde_json::Value = serde_json::from_str(&client.hear()).expect("JSON");
    let mut rest = serde_json::Value::Null;
    // The mirror is a reader of its own.
    crate::house::wait_until("the mirror has the diff", || {
        let mut stream = connect(world.public);
        stream
            .write_all(b"GET /api/v3/depth?symbol=BTCUSDT HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .expect("written");
        rest = serde_json::from_str(&crate::house::read_response(&mut stream).1).expect("JSON");
        rest.get("lastUpdateId").is_some()
    });
    assert_eq!((&rest["bids"], &rest["asks"]), (&event["b"], &event["a"]));
}

#[test]
fn heartbeats_of_clients_are_answered_c() {
    let world = World::new();
    let mut client = world.open("/ws");
    for _ in 0..3 {
        client.expect_list(&[]);
        client.send(Message::Ping("".into()));
        assert_eq!(client.next(), Message::Pong("".into()));
    }
}
