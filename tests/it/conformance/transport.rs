//! Section 1: paths, query parameters, encoding, the wrapper; and what a handshake may bring.

use std::io::Write;

use super::*;
use crate::house::read_response;

#[test]
fn ws_opens_raw_with_nothing_subscribed_d() {
    let world = World::new();
    let mut client = world.open("/ws");
    client.expect(r#"{"method":"GET_PROPERTY","params":["combined"],"id":1}"#, r#"{"result":false,"id":1}"#);
    client.expect_list(&[]);
}

#[test]
fn ws_with_a_stream_delivers_it_raw_d() {
    let mut world = World::new();
    let mut client = world.open("/ws/btcusdt@trade");
    client.expect_list(&["btcusdt@trade"]);
    world.publish(BTC, trade(1), Batch::default());
    assert_eq!(client.hear(), trade_text("BTCUSDT", 1));
}

#[test]
fn ws_with_several_streams_delivers_all_of_them_raw_w() {
    let mut world = World::new();
    let mut client = world.open("/ws/btcusdt@trade/ethusdt@trade/btcusdt@depth");
    client.expect_list(&["btcusdt@trade", "ethusdt@trade", "btcusdt@depth"]);
    let (payload, batch) = diff(Cadence::Slow);
    world.publish(BTC, payload, batch);
    assert_eq!(client.hear(), diff_text("BTCUSDT"));
    assert_eq!(world.mark(), client.hear());
}

#[test]
fn stream_opens_combined_with_nothing_subscribed_d() {
    let world = World::new();
    for target in ["/stream", "/stream?streams="] {
        let mut client = world.open(target);
        client.expect(r#"{"method":"GET_PROPERTY","params":["combined"],"id":1}"#, r#"{"result":true,"id":1}"#);
        client.expect_list(&[]);
    }
}

#[test]
fn an_empty_streams_parameter_is_kept_open_w() {
    let mut world = World::new();
    let mut client = world.open("/stream?streams=");
    client.subscribe(&["ethusdt@trade"]);
    let mark = world.mark();
    assert_eq!(client.hear(), combined("ethusdt@trade", &mark));
}

#[test]
fn streams_of_a_url_are_delivered_combined_d() {
    let mut world = World::new();
    let mut client = world.open("/stream?streams=btcusdt@trade/btcusdt@depth@100ms");
    client.expect_list(&["btcusdt@trade", "btcusdt@depth@100ms"]);
    world.publish(BTC, trade(1), Batch::default());
    let (payload, batch) = diff(Cadence::Fast);
    world.publish(BTC, payload, batch);
    assert_eq!(client.hear(), combined("btcusdt@trade", &trade_text("BTCUSDT", 1)));
    assert_eq!(client.hear(), combined("btcusdt@depth@100ms", &diff_text("BTCUSDT")));
}

#[test]
fn other_paths_are_404_invalid_request_path_w() {
    let world = World::new();
    for target in ["/stream/anything", "/foo", "/", "/wss", "/ws2/btcusdt@trade", "/nosuch/ws"] {
        assert_eq!(world.try_open(target).err(), Some(404), "{target}");
    }
    let mut raw = connect(world.public);
    let headers = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    raw.write_all(format!("GET /foo HTTP/1.1\r\n{headers}\r\n").as_bytes()).expect("written");
    assert_eq!(read_response(&mut raw).1, "Invalid request path");
}

#[test]
fn an_unknown_stream_in_the_url_is_an_open_and_silent_socket_w() {
    let mut world = World::new();
    for target in ["/ws/0", "/ws/17", "/ws/nosuch@trade", "/stream?streams=nosuch@trade"] {
        let mut client = world.open(target);
        client.subscribe(&["ethusdt@trade"]);
        world.publish(BTC, trade(1), Batch::default());
        let mark = world.mark();
        assert!(client.hear().ends_with(&mark) || target.starts_with("/stream"), "{target}");
    }
}

#[test]
fn unknown_query_parameters_are_ignored_o() {
    let mut world = World::new();
    let mut client = world.open("/stream?a=b&streams=ethusdt@trade&listenKey=x&=&&c");
    client.expect_list(&["ethusdt@trade"]);
    let mark = world.mark();
    assert_eq!(client.hear(), combined("ethusdt@trade", &mark));
}

#[test]
fn time_unit_has_exactly_four_spellings_d() {
    let mut world = World::new();
    let open = |world: &World, unit: &str| {
        ["/ws/ethusdt@trade?timeUnit=", "/stream?streams=ethusdt@trade&timeUnit=", "/stream?timeUnit="]
            .map(|start| world.try_open(&format!("{start}{unit}")))
    };
    for (unit, is_micros) in
        [("MILLISECOND", false), ("millisecond", false), ("MICROSECOND", true), ("microsecond", true)]
    {
        let [raw, wrapped, late] = open(&world, unit).map(|opened| opened.expect("a legal spelling"));
        let (mut raw, mut wrapped, mut late) = (raw, wrapped, late);
        late.subscribe(&["ethusdt@trade"]);
        let millis = world.mark();
        let expected =
            if is_micros { millis.replace("000124,", "000124311,").replace("000123,", "000123456,") } else { millis };
        assert_eq!(raw.hear(), expected);
        assert_eq!(wrapped.hear(), combined("ethusdt@trade", &expected));
        assert_eq!(late.hear(), combined("ethusdt@trade", &expected));
    }
}

#[test]
fn another_time_unit_is_refused_with_400_o() {
    let world = World::new();
    for unit in ["Microsecond", "us", "", "MICROSECOND%20"] {
        assert_eq!(world.try_open(&format!("/ws/btcusdt@trade?timeUnit={unit}")).err(), Some(400), "{unit}");
    }
}

#[test]
fn a_second_question_mark_before_time_unit_is_tolerated_c() {
    let mut world = World::new();
    let mut client = world.open("/stream?streams=btcusdt@depth/ethusdt@trade?timeUnit=microsecond");
    client.expect_list(&["btcusdt@depth", "ethusdt@trade"]);
    world.mark();
    assert!(client.hear().contains(r#""E":1789000000124311,"#));
}

#[test]
fn escapes_in_urls_are_utf8_d() {
    let world = World::new();
    let mut client = world.open(
        "/stream?streams=btcusdt%40trade%2Fethusdt@trade/%21miniTicker%40arr/%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt%40trade",
    );
    client.expect_list(&["btcusdt@trade", "ethusdt@trade", "!miniTicker@arr", "币安人生usdt@trade"]);
    let mut client = world.open("/ws/btcusdt%40kline_1d%40%2B08%3A00");
    client.expect_list(&["btcusdt@kline_1d@+08:00"]);
}

#[test]
fn a_plus_in_a_url_is_not_a_space_d() {
    let world = World::new();
    for target in ["/ws/btcusdt@kline_1d@+08:00", "/stream?streams=btcusdt@kline_1d@+08:00"] {
        world.open(target).expect_list(&["btcusdt@kline_1d@+08:00"]);
    }
}

/// What a handshake with `headers` besides the necessary is answered.
fn handshake(world: &World, target: &str, headers: &str) -> String {
    let mut raw = connect(world.public);
    let needed = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    raw.write_all(format!("GET {target} HTTP/1.1\r\n{needed}{headers}\r\n").as_bytes()).expect("written");
    read_response(&mut raw).0
}

#[test]
fn an_offered_subprotocol_does_not_fail_the_handshake_d() {
    let head = handshake(&World::new(), "/ws", "Sec-WebSocket-Protocol: binance, json\r\n");
    assert!(head.starts_with("http/1.1 101 "), "{head}");
}

/// Binance answers with an extension; declining it is as legal.
#[test]
fn compression_is_never_forced_w() {
    let head =
        handshake(&World::new(), "/ws", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
    assert!(head.starts_with("http/1.1 101 ") && !head.contains("extensions"), "{head}");
}

#[test]
fn request_lines_of_16_kib_and_more_are_taken_w() {
    let world = World::new();
    let names: Vec<_> = (0..900).map(|index| format!("symbol{index:08}usdt@trade")).collect();
    let target = format!("/stream?streams={}", names.join("/"));
    assert!(target.len() > 20_000);
    let mut client = world.open(&target);
    client.expect_list(&names.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn an_event_is_one_text_frame_of_compact_json_w() {
    let mut world = World::new();
    let mut raw = world.open("/ws/ethusdt@trade");
    world.mark();
    let Message::Text(text) = raw.next() else { panic!("a text frame") };
    assert!(text.starts_with('{') && text.ends_with('}') && !text.contains([' ', '\n', '\t', '\u{feff}']), "{text}");
}

#[test]
fn the_wrapper_is_stream_then_data_w() {
    let mut world = World::new();
    let mut client = world.open("/stream");
    client.subscribe(&["ethusdt@trade"]);
    let mark = world.mark();
    assert_eq!(client.hear(), format!(r#"{{"stream":"ethusdt@trade","data":{mark}}}"#));
}

#[test]
fn the_wrapper_names_a_stream_as_the_client_did_w() {
    let mut world = World::new();
    let mut client = world.open("/stream?streams=btcusdt%40depth%401000ms");
    client.subscribe(&["btcusdt@depth"]);
    let (payload, batch) = diff(Cadence::Slow);
    world.publish(BTC, payload, batch);
    let mut heard = [client.hear(), client.hear()];
    heard.sort();
    assert_eq!(heard, ["btcusdt@depth", "btcusdt@depth@1000ms"].map(|name| combined(name, &diff_text("BTCUSDT"))));
}

#[test]
fn control_replies_are_never_wrapped_w() {
    let world = World::new();
    for target in ["/ws", "/stream"] {
        let mut client = world.open(target);
        client.expect(r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#, r#"{"result":null,"id":1}"#);
        client.expect(r#"{"method":"LIST_SUBSCRIPTIONS","id":2}"#, r#"{"result":["btcusdt@trade"],"id":2}"#);
        assert!(client.ask(r#"{"method":"FOO","id":3}"#).starts_with(r#"{"error":"#));
    }
}
