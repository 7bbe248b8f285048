//! `/ws-api/v3` over real sockets: twins of REST, shapes, limits, life and end (binance.md section 11).

use std::{
    io::{Read, Write},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tickcast::config::Config;
use tokio_tungstenite::tungstenite::{Error, Message, protocol::CloseFrame};

use crate::{
    client::{self, PATIENCE, Socket},
    house::{House, config, read_all, read_response},
};

const MINUTE_MS: i64 = 60_000;

/// Doors with a live book, and the place to talk to them from.
struct Rig {
    house: House,
    runtime: tokio::runtime::Runtime,
}

impl Rig {
    fn new(adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        adjust(&mut config);
        let mut house = House::with(&config).expect("free ports");
        house.list_btc();
        house.publish_btc();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let rig = Self { house, runtime };
        // The views are fed by a thread of their own.
        crate::house::wait_until("the book is mirrored", || rig.rest("depth?symbol=BTCUSDT").contains("lastUpdateId"));
        rig
    }

    /// Talks within the rig's runtime.
    fn run<T>(&self, talk: impl Future<Output = T>) -> T {
        self.runtime.block_on(talk)
    }

    fn url(&self, query: &str) -> String {
        format!("ws://{}/ws-api/v3{query}", self.house.public)
    }

    /// The body of a REST answer, whatever its status.
    fn rest(&self, target: &str) -> String {
        let mut stream = self.house.connect();
        stream
            .write_all(format!("GET /api/v3/{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
            .expect("written");
        read_response(&mut stream).1
    }
}

async fn ask(socket: &mut Socket, request: &str) -> String {
    socket.send(Message::text(request)).await.expect("sent");
    text(socket).await
}

/// The next text, pings passed over.
async fn text(socket: &mut Socket) -> String {
    loop {
        match next(socket).await {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) => {}
            other => panic!("a text was to come, not {other:?}"),
        }
    }
}

async fn next(socket: &mut Socket) -> Message {
    let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("something comes");
    message.expect("the connection stays open").expect("the connection is sound")
}

/// The code and reason of the close frame, behind anything else.
async fn closed(socket: &mut Socket) -> (u16, String) {
    loop {
        if let Message::Close(frame) = next(socket).await {
            let CloseFrame { code, reason } = frame.expect("a code");
            return (code.into(), reason.to_string());
        }
    }
}

/// The status with which a handshake is refused.
async fn refused(url: &str) -> u16 {
    match tokio_tungstenite::connect_async(url).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{url}: {other:?}"),
    }
}

#[test]
fn every_method_is_the_twin_of_an_endpoint_d() {
    let rig = Rig::new(|_| {});
    let twins = [
        ("ping", "{}", "ping"),
        ("v3/ping", "{}", "ping"),
        ("depth", r#"{"symbol":"BTCUSDT"}"#, "depth?symbol=BTCUSDT"),
        ("depth", r#"{"symbol":"BTCUSDT","limit":1}"#, "depth?symbol=BTCUSDT&limit=1"),
        ("trades.recent", r#"{"symbol":"BTCUSDT"}"#, "trades?symbol=BTCUSDT"),
        ("trades.historical", r#"{"symbol":"BTCUSDT","fromId":0}"#, "historicalTrades?symbol=BTCUSDT&fromId=0"),
        ("trades.aggregate", r#"{"symbol":"BTCUSDT"}"#, "aggTrades?symbol=BTCUSDT"),
        ("ticker.price", r#"{"symbol":"BTCUSDT"}"#, "ticker/price?symbol=BTCUSDT"),
        ("ticker.price", "{}", "ticker/price"),
        ("ticker.book", r#"{"symbols":[ "BTCUSDT" ]}"#, "ticker/bookTicker?symbols=%5B%22BTCUSDT%22%5D"),
    ];
    rig.run(async {
        let mut socket = client::open(&rig.url("?returnRateLimits=false")).await;
        for (method, params, target) in twins {
            let body = rig.rest(target);
            let request = format!(r#"{{"id":"a-1","method":"{method}","params":{params}}}"#);
            let expected = format!(r#"{{"id":"a-1","status":200,"result":{body}}}"#);
            assert_eq!(ask(&mut socket, &request).await, expected, "{request}");
        }
        let info: Value =
            serde_json::from_str(&ask(&mut socket, r#"{"id":1,"method":"exchangeInfo"}"#).await).expect("JSON");
        let rest: Value = serde_json::from_str(&rig.rest("exchangeInfo")).expect("JSON");
        assert_eq!(info["result"]["symbols"], rest["symbols"]);
        for (method, params, target) in [
            ("depth", "{}", "depth"),
            ("depth", r#"{"symbol":"NOSUCH"}"#, "depth?symbol=NOSUCH"),
            ("depth", r#"{"symbol":"BTCUSDT","limit":"x"}"#, "depth?symbol=BTCUSDT&limit=x"),
            ("trades.recent", r#"{"symbol":""}"#, "trades?symbol="),
        ] {
            let body = rig.rest(target);
            let request = format!(r#"{{"params":{params},"method":"{method}","id":null}}"#);
            let expected = format!(r#"{{"id":null,"status":400,"error":{body}}}"#);
            assert!(body.contains("\"code\":-1"), "{body}");
            assert_eq!(ask(&mut socket, &request).await, expected, "{request}");
        }
    });
}

#[test]
fn ids_are_echoed_with_their_type_d() {
    let rig = Rig::new(|_| {});
    rig.run(async {
        let mut socket = client::open(&rig.url("?returnRateLimits=false")).await;
        let uuid = "\"e2a85d9f-07a5-4f94-8d5f-789dc3deb097\"";
        for id in ["1", "-9223372036854775808", "9223372036854775807", "null", "\"x\"", uuid] {
            let answer = ask(&mut socket, &format!(r#"{{"id":{id},"method":"ping"}}"#)).await;
            assert_eq!(answer, format!(r#"{{"id":{id},"status":200,"result":{{}}}}"#));
        }
    });
}

#[test]
fn the_time_unit_is_the_connections_d() {
    let rig = Rig::new(|_| {});
    rig.run(async {
        for (query, digits) in [("", 13), ("?timeUnit=MILLISECOND", 13), ("?timeUnit=microsecond", 16)] {
            let mut socket = client::open(&rig.url(query)).await;
            let answer: Value =
                serde_json::from_str(&ask(&mut socket, r#"{"id":1,"method":"time"}"#).await).expect("JSON");
            assert_eq!(answer["result"]["serverTime"].to_string().len(), digits, "{query}");
        }
        assert_eq!(refused(&rig.url("?timeUnit=second")).await, 400);
        assert_eq!(refused(&rig.url("?responseFormat=sbe&sbeSchemaId=3&sbeSchemaVersion=5")).await, 400);
    });
}

#[test]
fn weight_is_shared_with_rest_and_told_d() {
    let rig = Rig::new(|_| {});
    rig.run(async {
        loop {
            let mut socket = client::open(&rig.url("")).await;
            let mut says = async |method: &str, params: &str| {
                let request = format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#);
                serde_json::from_str::<Value>(&ask(&mut socket, &request).await).expect("JSON")
            };
            let first = says("time", "{}").await;
            let limits = &first["rateLimits"];
            let before = limits[0]["count"].as_i64().expect("a count");
            assert_eq!(
                limits.to_string(),
                format!(
                    r#"[{{"count":{before},"interval":"MINUTE","intervalNum":1,"limit":6000,"rateLimitType":"REQUEST_WEIGHT"}}]"#
                )
            );
            assert!(before >= 3, "connecting costs 2 and asking for the time 1");
            let counts = [
                says("depth", r#"{"symbol":"BTCUSDT","limit":5000}"#).await["rateLimits"][0]["count"].clone(),
                says("nosuch", "{}").await["rateLimits"][0]["count"].clone(),
            ];
            rig.rest("exchangeInfo");
            let _another = client::open(&rig.url("")).await;
            let last = says("time", r#"{"returnRateLimits":true}"#).await;
            let hidden = says("time", r#"{"returnRateLimits":false}"#).await;
            assert_eq!(hidden.get("rateLimits"), None);
            let minute = |answer: &Value| answer["result"]["serverTime"].as_i64().expect("a time") / MINUTE_MS;
            if minute(&first) != minute(&hidden) {
                // The count began again in the middle.
                continue;
            }
            assert_eq!(counts, [before + 250, before + 251]);
            assert_eq!(last["rateLimits"][0]["count"], before + 251 + 20 + 2 + 1);
            break;
        }
    });
}

#[test]
fn too_much_weight_is_429_with_the_time_to_come_again_d() {
    let rig = Rig::new(|config| {
        config.server.rest_weight_per_minute = 600;
        config.server.exempt_loopback = false;
    });
    rig.run(async {
        let mut socket = client::open(&rig.url("?returnRateLimits=false")).await;
        // A minute may end in the middle, and the count with it.
        let refusal = loop {
            let request = r#"{"id":7,"method":"depth","params":{"symbol":"BTCUSDT","limit":5000}}"#;
            let answer = ask(&mut socket, request).await;
            if !answer.contains(r#""status":200"#) {
                break answer;
            }
        };
        let answer: Value = serde_json::from_str(&refusal).expect("JSON");
        let data = &answer["error"]["data"];
        let [now, again] = [&data["serverTime"], &data["retryAfter"]].map(|time| time.as_i64().expect("a time"));
        assert_eq!(
            refusal,
            format!(
                r#"{{"id":7,"status":429,"error":{{"code":-1003,"msg":"Too much request weight used; current limit is 600 request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.","data":{{"serverTime":{now},"retryAfter":{again}}}}}}}"#
            )
        );
        assert_eq!(again, now / MINUTE_MS * MINUTE_MS + MINUTE_MS);
    });
}

#[test]
fn unknown_methods_and_wrong_parameters_leave_the_connection_open_i() {
    let rig = Rig::new(|_| {});
    rig.run(async {
        let mut socket = client::open(&rig.url("?returnRateLimits=false")).await;
        for (request, text) in [
            (
                r#"{"id":1,"method":"order.place"}"#,
                "Invalid 'method' in JSON request; there is no method 'order.place'.",
            ),
            (
                r#"{"id":1,"method":"blockTrades.historical","params":{"symbol":"BTCUSDT","fromId":1}}"#,
                "Invalid 'method' in JSON request; there is no method 'blockTrades.historical'.",
            ),
            (
                r#"{"id":1,"method":"referencePrice.calculation","params":{"symbol":"BTCUSDT"}}"#,
                "Invalid 'method' in JSON request; there is no method 'referencePrice.calculation'.",
            ),
            (
                r#"{"id":1,"method":"executionRules"}"#,
                "Invalid 'method' in JSON request; there is no method 'executionRules'.",
            ),
            (r#"{"id":1,"method":7}"#, "Invalid 'method' in JSON request; expected a string."),
            (r#"{"id":1}"#, "Invalid 'method' in JSON request; expected a string."),
            (r#"{"id":1,"method":"time","params":[]}"#, "Invalid 'params' in JSON request; expected an object."),
            (r#"{"id":1,"method":"depth","params":{"symbol":{}}}"#, "JSON sent for parameter 'symbol' is not valid"),
        ] {
            let expected = format!(r#"{{"id":1,"status":400,"error":{{"code":-1135,"msg":"{text}"}}}}"#);
            assert_eq!(ask(&mut socket, request).await, expected);
        }
    });
}

#[test]
fn what_is_no_request_is_told_so_and_closes_w() {
    let rig = Rig::new(|_| {});
    let id = "Invalid 'id' in JSON request; expected an integer, a string matching '^[a-zA-Z0-9-_]{1,36}$', or null.";
    rig.run(async {
        for (request, text) in [
            ("hello", "Invalid JSON request."),
            (r#"{"method":"time"}"#, id),
            (r#"{"id":1.5,"method":"time"}"#, id),
            (r#"{"id":"req-binance-ws-a35ed343-5126-4dda-8914-4fbee7a117f4","method":"time"}"#, id),
        ] {
            let mut socket = client::open(&rig.url("")).await;
            let expected = format!(r#"{{"id":null,"status":400,"error":{{"code":-1135,"msg":"{text}"}}}}"#);
            assert_eq!(ask(&mut socket, request).await, expected);
            assert_eq!(closed(&mut socket).await, (1008, "disconnected".to_owned()));
        }
    });
}

#[test]
fn connections_are_limited_by_number_and_by_address() {
    let rig = Rig::new(|config| config.ws_api.connections_max = 2);
    rig.run(async {
        let mut first = client::open(&rig.url("")).await;
        let second = client::open(&rig.url("")).await;
        assert_eq!(refused(&rig.url("")).await, 503);
        drop(second);
        // Its place is free once its end was noticed.
        loop {
            if tokio_tungstenite::connect_async(rig.url("")).await.is_ok() {
                break;
            }
        }
        assert!(ask(&mut first, r#"{"id":1,"method":"ping"}"#).await.starts_with(r#"{"id":1,"status":200"#));
    });
    let strict = Rig::new(|config| {
        config.server.connects_per_five_minutes = 1;
        config.server.exempt_loopback = false;
    });
    strict.run(async {
        // A window may end between two of them.
        while tokio_tungstenite::connect_async(strict.url("")).await.is_ok() {}
        assert_eq!(refused(&strict.url("")).await, 429);
    });
    let closed = Rig::new(|config| config.ws_api.connections_max = 0);
    closed.run(async { assert_eq!(refused(&closed.url("")).await, 503) });
}

#[test]
fn violations_close_with_their_codes() {
    let rig = Rig::new(|config| config.ws_api.message_bytes_max = 1024);
    rig.run(async {
        let mut socket = client::open(&rig.url("")).await;
        socket.send(Message::binary(vec![1])).await.expect("sent");
        assert_eq!(closed(&mut socket).await.0, 1003);
        let mut socket = client::open(&rig.url("")).await;
        socket.send(Message::text("x".repeat(200_000))).await.expect("sent");
        assert_eq!(closed(&mut socket).await, (1009, "Message too big".to_owned()));
        let mut socket = client::open(&rig.url("")).await;
        socket.send(Message::Ping("hi".into())).await.expect("sent");
        assert_eq!(next(&mut socket).await, Message::Pong("hi".into()));
        socket.close(None).await.expect("sent");
        assert!(matches!(next(&mut socket).await, Message::Close(_)));
    });
}

#[test]
fn pings_carry_the_time_and_silence_ends_it_w() {
    let rig = Rig::new(|config| {
        config.session.ping_interval_ms = 20;
        config.session.pong_timeout_ms = 600;
    });
    rig.run(async {
        let mut alive = client::open(&rig.url("")).await;
        let mut silent = rig.house.connect();
        let head = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        silent.write_all(format!("GET /ws-api/v3 HTTP/1.1\r\nHost: x\r\n{head}\r\n").as_bytes()).expect("written");
        assert!(read_response(&mut silent).0.starts_with("http/1.1 101 "));
        let silent = std::thread::spawn(move || {
            let mut heard = Vec::new();
            silent.read_to_end(&mut heard).expect("closed in order");
            heard
        });
        let mut pings = 0;
        while pings < 20 || !silent.is_finished() {
            // Reading answers the pings.
            if let Message::Ping(payload) = next(&mut alive).await {
                assert!(payload.len() == 13 && payload.iter().all(u8::is_ascii_digit), "{payload:?}");
                pings += 1;
            }
        }
        let heard = silent.join().expect("no panic");
        assert_eq!(heard[..2], [0x89, 13]);
        assert!(heard.ends_with(b"\x88\x0e\x03\xf0Pong timeout"));
        assert!(ask(&mut alive, r#"{"id":1,"method":"ping"}"#).await.contains("200"));
    });
    let rig = Rig::new(|config| {
        config.session.lifetime_ms = 50;
        config.session.lifetime_jitter_ms = 0;
    });
    rig.run(async {
        let mut old = client::open(&rig.url("")).await;
        assert_eq!(closed(&mut old).await, (1001, "Connection lifetime reached".to_owned()));
    });
}

#[test]
fn a_drain_is_announced_as_an_event_d() {
    let rig = Rig::new(|_| {});
    rig.run(async {
        let mut millis = client::open(&rig.url("")).await;
        let mut micros = client::open(&rig.url("?timeUnit=MICROSECOND")).await;
        rig.house.server.as_ref().expect("it runs").stop_accepting();
        for (socket, digits) in [(&mut millis, 13), (&mut micros, 16)] {
            let event = text(socket).await;
            let time =
                event.strip_prefix(r#"{"event":{"e":"serverShutdown","E":"#).and_then(|it| it.strip_suffix("}}"));
            assert_eq!(time.map(str::len), Some(digits), "{event}");
            assert_eq!(closed(socket).await, (1001, "Server shutdown".to_owned()));
        }
    });
}

#[test]
fn a_drain_that_is_not_to_be_announced_is_a_close_alone() {
    let rig = Rig::new(|config| config.session.announce_shutdown = false);
    rig.run(async {
        let mut socket = client::open(&rig.url("")).await;
        rig.house.server.as_ref().expect("it runs").stop_accepting();
        assert_eq!(closed(&mut socket).await, (1001, "Server shutdown".to_owned()));
    });
}

#[test]
fn who_does_not_read_is_cut_and_holds_nobody_up() {
    let rig = Rig::new(|config| config.ws_api.write_timeout_ms = 100);
    let mut deaf = rig.house.connect();
    deaf.set_write_timeout(Some(Duration::from_secs(60))).expect("not zero");
    let head = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    // The first request comes behind the handshake, unmasked by a mask of zeros.
    let request = br#"{"id":1,"method":"exchangeInfo"}"#;
    let frame = [&[0x81, 0x80 | request.len() as u8, 0, 0, 0, 0][..], request].concat();
    let opening = format!("GET /ws-api/v3 HTTP/1.1\r\nHost: x\r\n{head}\r\n");
    deaf.write_all(&[opening.as_bytes(), &frame].concat()).expect("written");
    // It asks on and on, and reads nothing, until it is cut.
    while deaf.write_all(&frame.repeat(100)).is_ok() {}
    let heard = read_all(&mut deaf);
    assert!(heard.starts_with("HTTP/1.1 101 ") || heard.is_empty(), "{}", &heard[..20]);
    assert_eq!(rig.rest("ping"), "{}");
}
