//! Section 7: limits and the life of a connection.

use super::*;

/// Fifty lists asked for at once, and how many were answered before the end.
fn flood(mut client: Client, mut message: impl FnMut(usize) -> Message) -> (usize, (u16, String)) {
    for index in 0..50 {
        // The server may have closed in the middle.
        if client.socket.write(message(index)).and_then(|()| client.socket.flush()).is_err() {
            break;
        }
    }
    let mut answered = 0;
    loop {
        match client.next() {
            Message::Close(frame) => {
                let frame = frame.expect("a code");
                return (answered, (frame.code.into(), frame.reason.to_string()));
            }
            _ => answered += 1,
        }
    }
}

fn list(index: usize) -> Message {
    Message::text(format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{index}}}"#))
}

/// The limits that ship.
fn strict() -> World {
    let rate = crate::house::config().session.messages_per_second;
    World::with(|config| config.session.messages_per_second = rate)
}

#[test]
fn the_limits_that_ship_are_the_documented_ones_d() {
    let config = Config::embedded();
    let session = &config.session;
    assert_eq!((session.messages_per_second, session.streams_max), (5, 1024));
    assert_eq!(config.server.connects_per_five_minutes, 300);
    assert_eq!((session.ping_interval_ms, session.pong_timeout_ms, session.lifetime_ms), (20_000, 60_000, 86_400_000));
    assert!(session.lifetime_jitter_ms <= 3_600_000, "clients may count on 23 hours");
}

#[test]
fn flooding_with_requests_closes_1008_too_many_requests_w() {
    let (answered, close) = flood(strict().try_open("/ws").expect("it opens"), list);
    assert_eq!(close, (1008, "Too many requests".to_owned()));
    // More than the burst only if some of a second went by.
    assert!((10..50).contains(&answered), "{answered}");
}

#[test]
fn pings_of_the_client_count_as_messages_d() {
    let (answered, close) = flood(strict().try_open("/ws").expect("it opens"), |_| Message::Ping("x".into()));
    assert_eq!(close, (1008, "Too many requests".to_owned()));
    assert!((10..50).contains(&answered), "{answered}");
}

#[test]
fn pongs_of_the_client_count_as_messages_d() {
    let (answered, close) = flood(strict().try_open("/ws").expect("it opens"), |_| Message::Pong("".into()));
    assert_eq!((answered, close), (0, (1008, "Too many requests".to_owned())));
}

/// Binance let 15 of 40 pass at 10 per second: half as much again. At 5 per second that is 8.
#[test]
fn half_as_much_again_as_a_second_allows_is_tolerated_w() {
    let world = strict();
    let mut client = world.try_open("/ws").expect("it opens");
    (0..8).for_each(|index| client.send(list(index)));
    for index in 0..8 {
        assert_eq!(client.hear(), format!(r#"{{"result":[],"id":{index}}}"#));
    }
}

#[test]
fn connection_301_of_five_minutes_is_429_with_retry_after_o() {
    let world = World::with(|config| {
        config.server.connects_per_five_minutes = 3;
        config.server.exempt_loopback = false;
    });
    let mut statuses = Vec::new();
    // Five minutes may end in the middle, once, and the count begins again.
    while statuses.len() < 8 {
        statuses.push(world.try_open("/ws").err().unwrap_or(101));
    }
    assert_eq!(statuses[..3], [101; 3]);
    assert!(statuses.iter().filter(|status| **status == 429).count() >= 2, "{statuses:?}");
}

#[test]
fn at_the_end_of_its_life_a_connection_is_closed_with_1001_o() {
    let world = World::with(|config| (config.session.lifetime_ms, config.session.lifetime_jitter_ms) = (30, 0));
    let mut client = world.try_open("/ws").expect("it opens");
    assert_eq!(client.closed(), (1001, "Connection lifetime reached".to_owned()));
}

#[test]
fn pings_carry_epoch_milliseconds_w() {
    let world = World::with(|config| config.session.ping_interval_ms = 20);
    let mut client = world.try_open("/ws").expect("it opens");
    let Message::Ping(payload) = client.next() else { panic!("a ping") };
    let now = tickcast::clock::now().millis();
    let said: i64 = std::str::from_utf8(&payload).expect("ASCII").parse().expect("digits");
    assert!(payload.len() == 13 && said <= now && now - said < PATIENCE.as_millis() as i64, "{said} at {now}");
}

/// Reads frames without answering pings, up to the close frame; `answer` may write.
fn unanswering(world: &World, mut answer: impl FnMut(&mut TcpStream, &[u8])) -> Vec<u8> {
    use std::io::{Read, Write};
    let mut raw = connect(world.public);
    let head = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    raw.write_all(head.as_bytes()).expect("written");
    assert!(crate::house::read_response(&mut raw).0.starts_with("http/1.1 101 "));
    loop {
        let mut header = [0; 2];
        raw.read_exact(&mut header).expect("a frame");
        let mut payload = vec![0; header[1].into()];
        raw.read_exact(&mut payload).expect("its payload");
        match header[0] {
            0x89 => answer(&mut raw, &payload),
            0x88 => return payload,
            other => panic!("{other:x}"),
        }
    }
}

/// A frame of a client with a mask of zeros.
fn pong(payload: &[u8]) -> Vec<u8> {
    [&[0x8A, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

fn impatient() -> World {
    World::with(|config| (config.session.ping_interval_ms, config.session.pong_timeout_ms) = (20, 200))
}

#[test]
fn without_a_pong_the_connection_is_closed_1008_pong_timeout_w() {
    let mut pings = 0;
    let close = unanswering(&impatient(), |_, _| pings += 1);
    assert_eq!(close, b"\x03\xf0Pong timeout");
    assert!(pings >= 2, "pings go on meanwhile");
}

#[test]
fn a_pong_with_another_payload_does_not_move_the_deadline_d() {
    use std::io::Write;
    let close = unanswering(&impatient(), |raw, payload| {
        let mut other = payload.to_vec();
        other[12] ^= 1;
        // The server may have closed by now.
        let _ = raw.write_all(&pong(&other));
    });
    assert_eq!(close, b"\x03\xf0Pong timeout");
}

#[test]
fn unsolicited_empty_pongs_are_allowed_and_do_not_move_the_deadline_d() {
    use std::io::Write;
    let close = unanswering(&impatient(), |raw, _| {
        let _ = raw.write_all(&[pong(b""), pong(b"")].concat());
    });
    assert_eq!(close, b"\x03\xf0Pong timeout");
}

#[test]
fn a_pong_with_our_payload_keeps_the_connection_d() {
    use std::io::Write;
    let mut pings = 0;
    // Five times as long as it may stay silent; then it stops answering.
    let close = unanswering(&impatient(), |raw, payload| {
        pings += 1;
        if pings <= 50 {
            raw.write_all(&pong(payload)).expect("the connection is open");
        }
    });
    assert!(pings > 50);
    assert_eq!(close, b"\x03\xf0Pong timeout");
}

#[test]
fn a_ping_of_the_client_is_answered_with_its_payload_w() {
    let world = World::new();
    let mut client = world.open("/ws");
    client.send(Message::Ping("are you there?".into()));
    assert_eq!(client.next(), Message::Pong("are you there?".into()));
}

#[test]
fn server_shutdown_is_said_to_everyone_and_then_closed_d() {
    let world = World::new();
    let clients = ["/ws", "/stream", "/ws?timeUnit=MICROSECOND", "/stream?timeUnit=microsecond&streams=btcusdt@trade"];
    let mut clients = clients.map(|target| world.open(target));
    world.shard.shard.drain(PATIENCE);
    let texts = clients.each_mut().map(Client::hear);
    for (index, (text, digits)) in texts.iter().zip([13, 13, 16, 16]).enumerate() {
        let (start, end) = if index % 2 == 0 {
            (r#"{"e":"serverShutdown","E":"#, "}")
        } else {
            (r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":"#, "}}")
        };
        let time = text.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        assert!(time.is_some_and(|time| time.len() == digits && time.parse::<u64>().is_ok()), "{text}");
    }
    for client in &mut clients {
        assert_eq!(client.closed(), (1001, "Server shutdown".to_owned()));
    }
}

#[test]
fn server_shutdown_cannot_be_subscribed_to_d() {
    let mut world = World::new();
    let mut client = world.open("/ws/ethusdt@trade");
    client.subscribe(&["!serverShutdown"]);
    assert_eq!(world.mark(), client.hear());
    client.expect_list(&["ethusdt@trade", "!serverShutdown"]);
}

#[test]
fn symbols_are_lower_case_and_channels_case_sensitive_d() {
    let mut world = World::new();
    let mut client = world.open("/ws");
    client.subscribe(&["BTCUSDT@trade", "btcusdt@TRADE", "Btcusdt@trade", "btcusdt@aggtrade", "ethusdt@trade"]);
    world.publish(BTC, trade(1), Batch::default());
    assert_eq!(world.mark(), client.hear());
}

#[test]
fn an_idle_connection_stays_open_while_pings_are_answered_w() {
    let world = impatient();
    let mut client = world.try_open("/ws").expect("it opens");
    // Reading answers them; together they take several times the deadline.
    for _ in 0..50 {
        assert!(matches!(client.next(), Message::Ping(_)));
    }
    client.expect_list(&[]);
}

#[test]
fn limits_of_addresses_leave_loopback_out_and_the_log_says_so() {
    let served = crate::process::Served::start(&["serve", "--set", "exchange.rate=1"]);
    assert_eq!(served.lines_with("limits per address do not apply to loopback (server.exempt_loopback)"), 1);
    let strict = crate::process::Served::start(&[
        "serve",
        "--set",
        "exchange.rate=1",
        "--set",
        "server.exempt_loopback=false",
        "--set",
        "server.connects_per_five_minutes=1",
    ]);
    assert_eq!(strict.lines_with("exempt_loopback"), 0);
}
