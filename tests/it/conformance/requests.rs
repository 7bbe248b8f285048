//! Section 6.1: requests and what they are answered.

use super::*;

#[test]
fn subscribe_is_answered_null_d() {
    let world = World::new();
    let mut client = world.open("/ws");
    client.expect(
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","ethusdt@depth"],"id":1}"#,
        r#"{"result":null,"id":1}"#,
    );
    client.expect_list(&["btcusdt@trade", "ethusdt@depth"]);
}

#[test]
fn unsubscribe_is_answered_null_d() {
    let world = World::new();
    let mut client = world.open("/ws/btcusdt@trade/ethusdt@depth");
    client.expect(r#"{"method":"UNSUBSCRIBE","params":["ethusdt@depth"],"id":2}"#, r#"{"result":null,"id":2}"#);
    client.expect_list(&["btcusdt@trade"]);
}

#[test]
fn list_subscriptions_is_answered_with_the_names_d() {
    let world = World::new();
    let mut client = world.open("/ws/btcusdt@trade");
    client.expect(r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#, r#"{"result":["btcusdt@trade"],"id":3}"#);
}

#[test]
fn set_property_is_answered_null_d() {
    let world = World::new();
    let mut client = world.open("/ws");
    client.expect(r#"{"method":"SET_PROPERTY","params":["combined",true],"id":4}"#, r#"{"result":null,"id":4}"#);
    client.expect(r#"{"method":"GET_PROPERTY","params":["combined"],"id":5}"#, r#"{"result":true,"id":5}"#);
}

#[test]
fn get_property_is_answered_with_a_boolean_d() {
    let world = World::new();
    for (target, combined) in [("/ws", false), ("/stream", true)] {
        world.open(target).expect(
            r#"{"method":"GET_PROPERTY","params":["combined"],"id":5}"#,
            &format!(r#"{{"result":{combined},"id":5}}"#),
        );
    }
}

#[test]
fn replies_are_result_then_id_w() {
    let world = World::new();
    let mut client = world.open("/ws");
    client.expect(r#"{"id":1,"method":"SUBSCRIBE","params":["btcusdt@trade"]}"#, r#"{"result":null,"id":1}"#);
}

#[test]
fn request_keys_come_in_any_order_and_pretty_printed_c() {
    let world = World::new();
    let mut client = world.open("/ws");
    client.expect(r#"{"id":"x","method":"SUBSCRIBE","params":["btcusdt@trade"]}"#, r#"{"result":null,"id":"x"}"#);
    client.expect(
        "{\n  \"params\": [\n    \"btcusdt@depth\"\n  ],\n  \"id\": 2,\n  \"method\": \"SUBSCRIBE\"\n}\n",
        r#"{"result":null,"id":2}"#,
    );
    client.expect_list(&["btcusdt@trade", "btcusdt@depth"]);
}

#[test]
fn ids_are_64_bit_integers_strings_or_null_and_keep_their_type_d() {
    let world = World::new();
    let mut client = world.open("/ws");
    for id in ["0", "-1", "9223372036854775807", "-9223372036854775808", "null", "\"7\"", "\"abcXYZ019\""] {
        client.expect(
            &format!(r#"{{"method":"UNSUBSCRIBE","params":[],"id":{id}}}"#),
            &format!(r#"{{"result":null,"id":{id}}}"#),
        );
    }
}

#[test]
fn ids_of_official_sdks_and_uuids_are_taken_c() {
    let world = World::new();
    let mut client = world.open("/stream?streams=");
    for id in ["0123456789abcdef0123456789abcdef", "e2a85d9f-07a5-4f94-8d5f-789dc3deb097", "under_score"] {
        client.expect(
            &format!(r#"{{"id":"{id}","method":"SUBSCRIBE","params":["btcusdt@trade"]}}"#),
            &format!(r#"{{"result":null,"id":"{id}"}}"#),
        );
    }
}

#[test]
fn method_names_are_upper_case_d() {
    let world = World::new();
    let mut client = world.open("/ws");
    assert!(
        client
            .ask(r#"{"method":"subscribe","params":["btcusdt@trade"],"id":1}"#)
            .contains("unknown variant `subscribe`")
    );
    client.expect_list(&[]);
}

#[test]
fn subscribe_never_validates_existence_w() {
    let mut world = World::new();
    let mut client = world.open("/ws");
    let names = [
        "nosuch@trade",
        "btcusdt@nosuch",
        "BTCUSDT@trade",
        "btcusdt@depth@250ms",
        "btcusdt@depth@0ms",
        "btcusdt@depth@50ms",
        "btcusdt@depth30",
        "btcusdt",
        "x",
    ];
    client.subscribe(&names);
    client.expect_list(&names);
    client.subscribe(&["ethusdt@trade"]);
    world.publish(BTC, trade(1), Batch::default());
    for cadence in [Cadence::Slow, Cadence::Fast] {
        let (payload, batch) = diff(cadence);
        world.publish(BTC, payload, batch);
    }
    assert_eq!(world.mark(), client.hear(), "then silence");
}

#[test]
fn a_duplicate_subscription_is_acknowledged_and_delivered_once_i() {
    let mut world = World::new();
    let mut client = world.open("/ws/btcusdt@trade");
    client.subscribe(&["btcusdt@trade", "btcusdt@trade"]);
    client.subscribe(&["ethusdt@trade"]);
    client.expect_list(&["btcusdt@trade", "ethusdt@trade"]);
    world.publish(BTC, trade(1), Batch::default());
    assert_eq!(client.hear(), trade_text("BTCUSDT", 1));
    assert_eq!(world.mark(), client.hear());
}

#[test]
fn unsubscribing_what_was_not_subscribed_is_acknowledged_w() {
    let world = World::new();
    let mut client = world.open("/ws/btcusdt@trade");
    client
        .expect(r#"{"method":"UNSUBSCRIBE","params":["ethusdt@trade","nosuch"],"id":1}"#, r#"{"result":null,"id":1}"#);
    client.expect_list(&["btcusdt@trade"]);
}

#[test]
fn lists_hold_names_as_written_in_order_with_those_of_the_url_w() {
    let world = World::new();
    let mut client = world.open("/stream?streams=ethusdt@trade/btcusdt@depth@1000ms");
    client.subscribe(&["BTCUSDT@trade", "币安人生usdt@trade"]);
    client.subscribe(&["!miniTicker@arr@1000ms"]);
    client.expect_list(&[
        "ethusdt@trade",
        "btcusdt@depth@1000ms",
        "BTCUSDT@trade",
        "币安人生usdt@trade",
        "!miniTicker@arr@1000ms",
    ]);
    client.expect(r#"{"method":"UNSUBSCRIBE","params":["ethusdt@trade"],"id":1}"#, r#"{"result":null,"id":1}"#);
    client.subscribe(&["ethusdt@trade"]);
    client.expect_list(&[
        "btcusdt@depth@1000ms",
        "BTCUSDT@trade",
        "币安人生usdt@trade",
        "!miniTicker@arr@1000ms",
        "ethusdt@trade",
    ]);
}

#[test]
fn two_names_of_one_feed_are_two_subscriptions_i() {
    let mut world = World::new();
    let mut client = world.open("/stream?streams=ethusdt@trade/btcusdt@depth/btcusdt@depth@1000ms");
    let (payload, batch) = diff(Cadence::Slow);
    world.publish(BTC, payload, batch);
    let mut heard = [client.hear(), client.hear()];
    heard.sort();
    assert_eq!(heard, ["btcusdt@depth", "btcusdt@depth@1000ms"].map(|name| combined(name, &diff_text("BTCUSDT"))));
    client.expect(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth"],"id":1}"#, r#"{"result":null,"id":1}"#);
    let (payload, batch) = diff(Cadence::Slow);
    world.publish(BTC, payload, batch);
    assert_eq!(client.hear(), combined("btcusdt@depth@1000ms", &diff_text("BTCUSDT")));
    let mark = world.mark();
    assert_eq!(client.hear(), combined("ethusdt@trade", &mark));
}

#[test]
fn after_the_answer_to_unsubscribe_nothing_more_comes_d() {
    let mut world = World::new();
    let mut client = world.open("/ws/btcusdt@trade/ethusdt@trade");
    client.expect(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":1}"#, r#"{"result":null,"id":1}"#);
    world.publish(BTC, trade(1), Batch::default());
    assert_eq!(world.mark(), client.hear());
}

#[test]
fn set_property_combined_switches_this_connection_only_d() {
    let mut world = World::new();
    let [mut switched, mut other] = [world.open("/ws/ethusdt@trade"), world.open("/ws/ethusdt@trade")];
    switched.expect(r#"{"method":"SET_PROPERTY","params":["combined",true],"id":1}"#, r#"{"result":null,"id":1}"#);
    let mark = world.mark();
    assert_eq!((switched.hear(), other.hear()), (combined("ethusdt@trade", &mark), mark));
    switched.expect(r#"{"method":"SET_PROPERTY","params":["combined",false],"id":2}"#, r#"{"result":null,"id":2}"#);
    let mark = world.mark();
    assert_eq!((switched.hear(), other.hear()), (mark.clone(), mark));
}
