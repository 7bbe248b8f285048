//! Section 6.2: codes, texts, and what follows from them.

use super::*;

#[track_caller]
fn refused(client: &mut Client, text: &str, code: u8, message: &str, id: Option<&str>) {
    let id = id.map_or_else(String::new, |id| format!(",\"id\":{id}"));
    let message = serde_json::to_string(message).expect("text");
    client.expect(text, &format!(r#"{{"error":{{"code":{code},"msg":{message}}}{id}}}"#));
}

#[test]
fn errors_are_nested_under_error_w() {
    let world = World::new();
    let mut client = world.open("/ws");
    client.expect(
        r#"{"method":"GET_PROPERTY","params":["x"],"id":"a"}"#,
        r#"{"error":{"code":0,"msg":"Unknown property"},"id":"a"}"#,
    );
}

#[test]
fn without_a_legal_id_there_is_none_in_the_error_w() {
    let world = World::new();
    let mut client = world.open("/ws");
    let answer = client.ask(r#"{"method":"LIST_SUBSCRIPTIONS"}"#);
    assert!(answer.starts_with(r#"{"error":{"code":2,"#) && answer.ends_with(r#""}}"#), "{answer}");
}

#[test]
fn code_0_unknown_property_d() {
    let world = World::new();
    let mut client = world.open("/ws");
    refused(
        &mut client,
        r#"{"method":"SET_PROPERTY","params":["other",true],"id":1}"#,
        0,
        "Unknown property",
        Some("1"),
    );
    refused(&mut client, r#"{"method":"GET_PROPERTY","params":["Combined"],"id":2}"#, 0, "Unknown property", Some("2"));
}

#[test]
fn code_1_value_that_is_no_boolean_d() {
    let world = World::new();
    let mut client = world.open("/ws");
    for value in ["\"true\"", "1", "null", "[]"] {
        let request = format!(r#"{{"method":"SET_PROPERTY","params":["combined",{value}],"id":1}}"#);
        refused(&mut client, &request, 1, "Invalid value type: expected Boolean", Some("1"));
    }
    client.expect(r#"{"method":"GET_PROPERTY","params":["combined"],"id":2}"#, r#"{"result":false,"id":2}"#);
}

#[test]
fn code_2_property_name_that_is_no_string_d() {
    let world = World::new();
    let mut client = world.open("/ws");
    for params in ["[]", "[1]", "[null]"] {
        let request = format!(r#"{{"method":"GET_PROPERTY","params":{params},"id":1}}"#);
        refused(&mut client, &request, 2, "Invalid request: property name must be a string", Some("1"));
    }
}

#[test]
fn code_2_id_missing_or_of_another_type_d() {
    let world = World::new();
    let mut client = world.open("/ws");
    let long = format!(",\"id\":\"{}\"", "x".repeat(37));
    let ids =
        ["", ",\"id\":1.5", ",\"id\":true", ",\"id\":{}", ",\"id\":\"a b\"", ",\"id\":9223372036854775808", &long];
    for id in ids {
        let request = format!(r#"{{"method":"SUBSCRIBE","params":["btcusdt@trade"]{id}}}"#);
        refused(&mut client, &request, 2, "Invalid request: request ID must be an unsigned integer", None);
    }
    client.expect_list(&[]);
}

#[test]
fn code_2_unknown_method_without_a_position_w() {
    let world = World::new();
    let mut client = world.open("/ws");
    refused(
        &mut client,
        r#"{"method":"FOO","params":[],"id":4}"#,
        2,
        "Invalid request: unknown variant `FOO`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`",
        Some("4"),
    );
}

#[test]
fn code_2_surplus_parameters_d() {
    let world = World::new();
    let mut client = world.open("/ws");
    for request in [
        r#"{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":1}"#,
        r#"{"method":"GET_PROPERTY","params":["combined",true],"id":1}"#,
        r#"{"method":"SET_PROPERTY","params":["combined",true,false],"id":1}"#,
    ] {
        refused(&mut client, request, 2, "Invalid request: too many parameters", Some("1"));
    }
}

#[test]
fn code_2_missing_method_with_the_parsers_position_d() {
    let world = World::new();
    let mut client = world.open("/ws");
    refused(
        &mut client,
        r#"{"params":["btcusdt@trade"],"id":1}"#,
        2,
        "Invalid request: missing field `method` at line 1 column 35",
        Some("1"),
    );
}

#[test]
fn code_2_invalid_stream_then_the_socket_is_closed_w() {
    let world = World::new();
    for name in ["@@@x###", "btc usdt@trade", "btcusdt@trade\\n", ""] {
        let mut client = world.open("/ws/btcusdt@trade");
        let request = format!(r#"{{"method":"SUBSCRIBE","params":["{name}"],"id":8}}"#);
        refused(&mut client, &request, 2, "Invalid request: invalid stream", Some("8"));
        assert_eq!(client.closed(), (1008, "Invalid request".to_owned()));
    }
}

#[test]
fn code_3_in_the_parsers_words_d() {
    let world = World::new();
    for (text, message) in [
        ("hello", "Invalid JSON: expected value at line 1 column 1"),
        ("", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        ("{\n\"params\": [\n1,\n    2 3\n]}", "Invalid JSON: expected `,` or `]` at line 4 column 7"),
    ] {
        refused(&mut world.open("/ws"), text, 3, message, None);
    }
}

#[test]
fn code_4_beyond_the_cap_of_streams_w() {
    let world = World::with(|config| config.session.streams_max = 2);
    let mut client = world.open("/ws/btcusdt@trade/btcusdt@depth");
    refused(
        &mut client,
        r#"{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":1}"#,
        4,
        "Too many subscriptions",
        Some("1"),
    );
}

#[test]
fn an_unknown_method_leaves_the_socket_open_w() {
    let world = World::new();
    let mut client = world.open("/ws");
    assert!(client.ask(r#"{"method":"FOO","id":4}"#).contains("unknown variant"));
    client.subscribe(&["btcusdt@trade"]);
    client.expect_list(&["btcusdt@trade"]);
}

#[test]
fn what_is_no_json_is_answered_and_closed_w() {
    let world = World::new();
    let mut client = world.open("/stream");
    assert!(client.ask("SUBSCRIBE btcusdt@trade").starts_with(r#"{"error":{"code":3,"#));
    assert_eq!(client.closed(), (1008, "Invalid request".to_owned()));
}

#[test]
fn stream_1025_is_code_4_then_1008_and_all_is_lost_w() {
    let mut world = World::new();
    let mut client = world.open("/ws/ethusdt@trade");
    let names: Vec<_> = (1..1024).map(|index| format!("s{index}@trade")).collect();
    client.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>());
    // The same again is no stream more.
    client.subscribe(&["s1@trade", "ethusdt@trade"]);
    assert_eq!(world.mark(), client.hear());
    client.expect(
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1025}"#,
        r#"{"error":{"code":4,"msg":"Too many subscriptions"},"id":1025}"#,
    );
    world.mark();
    assert_eq!(client.closed(), (1008, "Invalid request".to_owned()));
}

#[test]
fn url_with_1025_streams_is_code_4_then_1008_i() {
    let world = World::new();
    let names: Vec<_> = (0..1025).map(|index| format!("s{index}@trade")).collect();
    let mut client = world.try_open(&format!("/stream?streams={}", names.join("/"))).expect("it opens");
    assert_eq!(client.hear(), r#"{"error":{"code":4,"msg":"Too many subscriptions"}}"#);
    assert_eq!(client.closed(), (1008, "Invalid request".to_owned()));
}

#[test]
fn messages_of_64_kib_are_read_where_binance_reads_4096_bytes_w() {
    let world = World::new();
    let mut client = world.open("/ws");
    let names: Vec<_> = (0..900).map(|index| format!("symbol{index:020}usdt@aggTrade")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert!(serde_json::to_string(&names).expect("text").len() > 36_000);
    client.subscribe(&names);
    client.expect_list(&names);
}

#[test]
fn a_binary_frame_closes_with_1003_o() {
    let world = World::new();
    let mut client = world.open("/ws");
    client.send(Message::binary(br#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#.to_vec()));
    assert_eq!(client.closed().0, 1003);
}
