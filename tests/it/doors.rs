//! The doors from outside, byte by byte: heads, handshakes, limits, the way out.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use tickcast::server::DoorError;

use crate::house::{House, config, connect, read_all, read_response, wait_until};

const HANDSHAKE: &str = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ACCEPT: &str = "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=";
/// Bytes that are neither text nor a head.
const FRAME: &[u8] = b"\x81\x85\x00\x00\x00\x00hello\r\n\r\n\x00\xff";

fn upgrade(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\n{HANDSHAKE}\r\n")
}

fn ping(host: &str) -> String {
    format!("GET /api/v3/ping HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// A byte that the test writes into the handed-over socket arrives at the client.
fn assert_connected(mut inside: TcpStream, outside: &mut TcpStream) {
    inside.write_all(b"!").expect("written");
    let mut byte = [0];
    outside.read_exact(&mut byte).expect("a byte");
    assert_eq!(&byte, b"!");
}

#[test]
fn a_handshake_hands_over_the_socket_with_the_bytes_behind_it() {
    let house = House::new();
    let mut client = house.connect();
    client.write_all(&[upgrade("/ws/btcusdt@trade?x=1").as_bytes(), FRAME].concat()).unwrap();
    let (head, _) = read_response(&mut client);
    assert!(head.starts_with("http/1.1 101 switching protocols\r\n"), "{head}");
    assert!(head.contains("upgrade: websocket\r\n") && head.contains(ACCEPT), "{head}");
    assert!(!head.contains("extensions") && !head.contains("sec-websocket-protocol"), "{head}");
    let admitted = house.next_admitted();
    assert_eq!((&admitted.early[..], admitted.target.as_str()), (FRAME, "/ws/btcusdt@trade?x=1"));
    assert_eq!(admitted.peer, client.local_addr().unwrap());
    assert_connected(admitted.socket, &mut client);
}

#[test]
fn a_handshake_may_come_byte_by_byte_and_offer_what_it_likes() {
    let house = House::new();
    let mut client = house.connect();
    client.set_nodelay(true).unwrap();
    let offers =
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Protocol: a, b\r\n";
    for byte in format!("GET /stream?streams= HTTP/1.1\r\n{HANDSHAKE}{offers}\r\n").bytes() {
        client.write_all(&[byte]).unwrap();
    }
    let (head, _) = read_response(&mut client);
    assert!(head.starts_with("http/1.1 101 ") && head.contains("sec-websocket-protocol: a\r\n"), "{head}");
    assert!(!head.contains("extensions"), "{head}");
    let admitted = house.next_admitted();
    assert!(admitted.early.is_empty());
    assert_connected(admitted.socket, &mut client);
}

#[test]
fn a_connection_used_for_rest_may_upgrade_later() {
    let house = House::new();
    let mut client = house.connect();
    client.write_all(ping("x").as_bytes()).unwrap();
    assert!(read_response(&mut client).0.starts_with("http/1.1 200 "));
    client.write_all(&[upgrade("/stream").as_bytes(), FRAME].concat()).unwrap();
    let (head, _) = read_response(&mut client);
    assert!(head.starts_with("http/1.1 101 ") && head.contains(ACCEPT), "{head}");
    let admitted = house.next_admitted();
    assert_eq!((&admitted.early[..], admitted.target.as_str()), (FRAME, "/stream"));
    assert_connected(admitted.socket, &mut client);

    // All three at once: the handshake waits behind two requests in the bytes that were read first.
    let mut client = house.connect();
    client.write_all(&[ping("x").as_bytes(), ping("x").as_bytes(), upgrade("/ws").as_bytes(), FRAME].concat()).unwrap();
    assert!(read_response(&mut client).0.starts_with("http/1.1 200 "));
    assert!(read_response(&mut client).0.starts_with("http/1.1 200 "));
    assert!(read_response(&mut client).0.starts_with("http/1.1 101 "));
    let admitted = house.next_admitted();
    let mut early = admitted.early.to_vec();
    admitted.socket.set_nonblocking(false).unwrap();
    let mut socket = admitted.socket;
    while early.len() < FRAME.len() {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        early.push(byte[0]);
    }
    assert_eq!(early, FRAME);
    assert_connected(socket, &mut client);
}

#[test]
fn handshakes_are_refused_with_a_status() {
    let house = House::new();
    for (request, status) in [
        (upgrade("/nosuch"), "404"),
        (upgrade("/ws").replace("Version: 13", "Version: 8"), "426"),
        (upgrade("/ws").replace("Connection: Upgrade", "Connection: close"), "400"),
        (upgrade("/ws").replace("dGhl", ""), "400"),
        (upgrade("/ws").replace("GET", "POST"), "400"),
        (upgrade("/ws").replace("HTTP/1.1", "HTTP/1.0"), "400"),
    ] {
        // Behind an ordinary request the same comes out of hyper.
        for before in [String::new(), ping("x")] {
            let mut client = house.connect();
            client.write_all(format!("{before}{request}").as_bytes()).unwrap();
            if !before.is_empty() {
                assert!(read_response(&mut client).0.starts_with("http/1.1 200 "));
            }
            let (head, body) = read_response(&mut client);
            assert!(head.contains(&format!(" {status} ")), "{request} got {head}");
            assert!(!body.is_empty() && (status != "426" || head.contains("sec-websocket-version: 13\r\n")), "{head}");
        }
    }
    let plain = house.exchange(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(plain.starts_with("HTTP/1.1 426 "), "{plain}");
}

#[test]
fn a_socket_that_no_shard_takes_is_closed_with_1013() {
    let mut house = House::new();
    house.admitted = None;
    let mut client = house.connect();
    client.write_all(upgrade("/ws").as_bytes()).unwrap();
    assert!(read_response(&mut client).0.starts_with("http/1.1 101 "));
    let mut frame = Vec::new();
    client.read_to_end(&mut frame).unwrap();
    assert_eq!(frame, [0x88, 2, 0x03, 0xF5]);
}

#[test]
fn slow_requests_end_and_disturb_nobody() {
    let mut config = config();
    config.server.handshake_timeout_ms = 1500;
    let house = House::with(&config).unwrap();
    let mut silent = house.connect();
    let mut slow = house.connect();
    slow.write_all(b"GET /api/v3/ping HTTP/1.1\r\nHo").unwrap();
    // A header now and then does not buy time.
    let mut dripping = house.connect();
    let dripper = thread::spawn(move || {
        while dripping.write_all(b"A: b\r\n").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let pings = house.exchange(b"GET /api/v3/ping HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(pings.starts_with("HTTP/1.1 200 "), "{pings}");
    assert!(read_all(&mut slow).starts_with("HTTP/1.1 408 "));
    assert_eq!(read_all(&mut silent), "");
    dripper.join().unwrap();
}

#[test]
fn overlong_heads_are_refused_while_they_are_sent() {
    let house = House::new();
    let most = config().server.request_bytes_max;
    for size in [most, 4 * most] {
        let line = format!("GET /ws/{} HTTP/1.1\r\n\r\n", "a".repeat(size));
        assert!(house.exchange(line.as_bytes()).starts_with("HTTP/1.1 414 "));
        let header = format!("GET /ws HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(size));
        assert!(house.exchange(header.as_bytes()).starts_with("HTTP/1.1 431 "));
    }
    let many = format!("GET /ws HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
    assert!(house.exchange(many.as_bytes()).starts_with("HTTP/1.1 431 "));
    let long = format!("/stream?streams={}", "btcusdt@trade/".repeat(2000));
    let mut client = house.connect();
    client.write_all(upgrade(&long).as_bytes()).unwrap();
    assert!(read_response(&mut client).0.starts_with("http/1.1 101 "), "28 KB are fine");
    assert_eq!(house.next_admitted().target, long);
}

#[test]
fn what_is_not_http_is_refused_at_once() {
    let house = House::new();
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"SSH-2.0-x\r\n", b"{\"method\":1}", b"\x00"] {
        assert!(house.exchange(bytes).starts_with("HTTP/1.1 400 "), "{bytes:?}");
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..300 {
        let mut bytes = upgrade("/ws/btcusdt@trade").into_bytes();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        let mut client = house.connect();
        client.write_all(&bytes).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        if random.bool() {
            continue;
        }
        let response = std::thread::spawn(move || {
            let mut first = [0; 12];
            client.read_exact(&mut first).map(|()| first)
        });
        if let Ok(first) = response.join().unwrap() {
            assert!(first.starts_with(b"HTTP/1.1 "), "{:?}", String::from_utf8_lossy(&first));
        }
    }
    assert!(house.exchange(b"GET /api/v3/ping HTTP/1.1\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 200 "));
}

#[test]
fn requests_are_kept_alive_and_pipelined() {
    let house = House::new();
    let mut client = house.connect();
    let batch = "GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\nGET /nosuch HTTP/1.1\r\nHost: x\r\n\r\n\
                 GET /api/v3/depth HTTP/1.1\r\nHost: x\r\n\r\n";
    for _ in 0..3 {
        client.write_all(batch.as_bytes()).unwrap();
        for (status, body) in [("200", "{}"), ("404", ""), ("400", "\"code\":-1102")] {
            let (head, text) = read_response(&mut client);
            assert!(head.starts_with(&format!("http/1.1 {status} ")) && text.contains(body), "{head}{text}");
        }
    }
}

/// `curl -g` sends a list of symbols as it stands in the documentation; a URI may not hold quotes, and hyper refuses it.
#[test]
fn quotes_in_a_query_are_read_as_if_they_were_escaped() {
    let house = House::new();
    let ask = |query: &str| {
        house.exchange(
            format!("GET /api/v3/ticker/price?{query} HTTP/1.1\r\nHost: \"x\"\r\nConnection: close\r\n\r\n").as_bytes(),
        )
    };
    let answer = ask(r#"symbols=["NOTHERE"]"#);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"code\":-1121"), "{answer}");
    assert_eq!(answer.lines().next(), ask("symbols=%5B%22NOTHERE%22%5D").lines().next());
    let answer = ask("symbol=<BTC>");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"code\":-1100"), "{answer}");
}

/// RFC 9112 section 3.2.2: a server takes the absolute form although only proxies are sent it.
#[test]
fn a_request_may_name_the_whole_url() {
    let house = House::new();
    let mut client = house.connect();
    client.write_all(upgrade("http://tickcast.example/ws/btcusdt@trade").as_bytes()).unwrap();
    assert!(read_response(&mut client).0.starts_with("http/1.1 101 "));
    assert_eq!(house.next_admitted().target, "/ws/btcusdt@trade");
    let answer = house.exchange(b"GET http://tickcast.example/api/v3/ping HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn pending_sockets_are_bounded() {
    let mut config = config();
    config.server.pending_max = 3;
    let house = House::with(&config).unwrap();
    let request = b"GET /api/v3/ping HTTP/1.1\r\nConnection: close\r\n\r\n";
    let mut idle: Vec<_> = (0..3).map(|_| house.connect()).collect();
    let refused = read_all(&mut house.connect());
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1\r\n"), "{refused}");
    // An upgraded socket counts no longer.
    let mut client = idle.pop().unwrap();
    client.write_all(upgrade("/ws").as_bytes()).unwrap();
    let admitted = house.next_admitted();
    wait_until("a place again", || {
        let mut stream = house.connect();
        // A refused one may be closed before it is written to.
        let _ = stream.write_all(request);
        read_all(&mut stream).starts_with("HTTP/1.1 200 ")
    });
    assert_eq!(read_response(&mut client).0.split(' ').nth(1), Some("101"));
    assert_connected(admitted.socket, &mut client);
}

/// Whether the server has closed it; it has said all that it had to say before.
fn is_closed(client: &mut TcpStream) -> bool {
    client.set_nonblocking(true).expect("a socket");
    let read = client.read(&mut [0; 16]);
    client.set_nonblocking(false).expect("a socket");
    match read {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

fn assert_pings(client: &mut TcpStream) {
    client.write_all(ping("x").as_bytes()).expect("sent");
    assert!(read_response(client).0.starts_with("http/1.1 200 "));
}

#[test]
fn idle_rest_connections_take_no_place_of_handshakes_and_give_way() {
    let mut config = config();
    (config.server.pending_max, config.server.rest_connections_max) = (2, 3);
    // Nor does loopback meet the limit per address.
    config.server.rest_connections_per_address = 1;
    let house = House::with(&config).unwrap();
    let visit = || {
        let mut client = house.connect();
        assert_pings(&mut client);
        client
    };
    let mut rest = [visit(), visit(), visit()];
    for _ in 0..5 {
        let mut client = house.connect();
        client.write_all(upgrade("/ws").as_bytes()).unwrap();
        assert!(read_response(&mut client).0.starts_with("http/1.1 101 "));
        assert_connected(house.next_admitted().socket, &mut client);
    }
    // The first has asked again, so that the second has been idle for longest.
    assert_pings(&mut rest[0]);
    let mut one_more = visit();
    assert_eq!(read_all(&mut rest[1]), "");
    assert!(!is_closed(&mut rest[0]) && !is_closed(&mut rest[2]));
    assert_pings(&mut rest[0]);
    assert_pings(&mut rest[2]);
    assert_pings(&mut one_more);
}

#[test]
fn an_address_may_hold_so_many_rest_connections() {
    let mut config = config();
    config.server.rest_connections_per_address = 2;
    config.server.exempt_loopback = false;
    let house = House::with(&config).unwrap();
    let mut clients: Vec<_> = (0..2).map(|_| house.connect()).collect();
    clients.iter_mut().for_each(assert_pings);
    let mut third = house.connect();
    assert_pings(&mut third);
    assert_eq!(read_all(&mut clients[0]), "");
    assert_pings(&mut clients[1]);
    assert_pings(&mut third);
}

#[test]
fn a_later_request_may_take_no_longer_than_the_first() {
    let mut config = config();
    config.server.handshake_timeout_ms = 1500;
    let house = House::with(&config).unwrap();
    let mut silent = house.connect();
    let mut dripping = house.connect();
    for client in [&mut silent, &mut dripping] {
        assert_pings(client);
    }
    assert_dripping_is_cut(dripping);
    assert!(!is_closed(&mut silent), "idle for as long");
    assert_pings(&mut silent);
}

#[test]
fn the_operators_door_waits_no_longer_for_a_request() {
    let mut config = config();
    config.server.handshake_timeout_ms = 1500;
    let house = House::with(&config).unwrap();
    let mut silent = connect(house.ops);
    assert_dripping_is_cut(connect(house.ops));
    assert_eq!(read_all(&mut silent), "");
    let mut kept = connect(house.ops);
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(read_response(&mut kept).0.starts_with("http/1.1 200 "));
    assert_dripping_is_cut(kept);
}

/// A header now and then does not buy time.
fn assert_dripping_is_cut(mut client: TcpStream) {
    client.write_all(b"GET /api/v3/ping HTTP/1.1\r\nHost: localhost\r\n").expect("sent");
    let mut dripping = client.try_clone().expect("a descriptor");
    let dripper = thread::spawn(move || {
        while dripping.write_all(b"A: b\r\n").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(read_all(&mut client), "");
    dripper.join().expect("no panic");
}

/// `nc -N` and others say with the end of their side that nothing more comes, and then read.
#[test]
fn whoever_has_closed_one_side_is_answered_on_the_other() {
    let house = House::new();
    for (address, target) in [(house.public, "/api/v3/ping"), (house.public, "/ws"), (house.ops, "/livez")] {
        for lines in ["Connection: close\r\n", ""] {
            for _ in 0..50 {
                let mut client = connect(address);
                client
                    .write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").as_bytes())
                    .unwrap();
                client.shutdown(std::net::Shutdown::Write).unwrap();
                let answer = read_all(&mut client);
                assert!(answer.starts_with("HTTP/1.1 ") && answer.contains("\r\n\r\n"), "{target}: {answer:?}");
            }
        }
    }
    for refused in ["GET /nosuch HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", "nonsense\r\n\r\n"] {
        let mut client = house.connect();
        client.write_all(refused.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(read_all(&mut client).starts_with("HTTP/1.1 400 "), "{refused}");
    }
}

#[test]
fn connections_per_address_are_limited() {
    let mut config = config();
    config.server.connects_per_five_minutes = 2;
    config.server.exempt_loopback = false;
    let house = House::with(&config).unwrap();
    let mut statuses = Vec::new();
    // A window of five minutes may begin in the middle: then the count starts over, once.
    for _ in 0..6 {
        let mut client = house.connect();
        client.write_all(upgrade("/ws").as_bytes()).unwrap();
        let (head, _) = read_response(&mut client);
        let status = head.split(' ').nth(1).unwrap().to_owned();
        if status == "429" {
            let seconds: u64 =
                head.split("retry-after: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
            assert!((1..=300).contains(&seconds), "{head}");
        }
        statuses.push(status);
    }
    assert!(statuses.starts_with(&["101".to_owned(), "101".to_owned()]), "{statuses:?}");
    assert!(statuses.iter().filter(|status| *status == "429").count() >= 2, "{statuses:?}");
    let rest = house.exchange(b"GET /api/v3/ping HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(rest.starts_with("HTTP/1.1 200 "), "REST has its weight instead");
}

#[test]
fn a_port_in_use_is_an_error_that_says_the_way_out() {
    let house = House::new();
    for key in ["server.listen", "ops.listen", "sbe.listen"] {
        let mut second = config();
        let taken = if key == "ops.listen" { house.ops } else { house.public };
        match key {
            "server.listen" => second.server.listen = taken,
            "ops.listen" => second.ops.listen = taken,
            _ => second.sbe.listen = Some(taken),
        }
        let error = House::with(&second).err().expect("the port is taken");
        let text = error.to_string();
        let DoorError::Address(error) = error else { panic!("not about an address: {error}") };
        assert_eq!((error.address, error.key), (taken, key));
        assert!(text.contains(&taken.to_string()) && text.contains(key) && text.contains("another process"), "{text}");
    }
    // Sharing has to be asked for by both.
    let mut second = config();
    second.server.listen = house.public;
    second.server.reuse_port = true;
    assert!(House::with(&second).is_err());
    let mut shared = config();
    shared.server.reuse_port = true;
    let first = House::with(&shared).unwrap();
    shared.server.listen = first.public;
    assert_eq!(House::with(&shared).unwrap().public, first.public);
}

#[test]
fn the_operators_door_tells_health_to_its_own_names_only() {
    let mut house = House::new();
    let ask = |house: &House, path: &str, host: &str| {
        let mut client = connect(house.ops);
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
        read_response(&mut client)
    };
    let (head, body) = ask(&house, "/livez", "localhost:9464");
    assert!(head.starts_with("http/1.1 200 ") && body.contains(r#""live":true"#), "{head}{body}");
    let (head, body) = ask(&house, "/metrics", "127.0.0.1");
    assert!(head.contains("text/plain; version=0.0.4") && body.contains("tickcast_house_total 7"), "{head}{body}");
    assert!(ask(&house, "/nosuch", "[::1]:1").0.starts_with("http/1.1 404 "));
    for host in ["evil.example", "localhost.evil.example:9464", ""] {
        for path in ["/metrics", "/livez", "/readyz"] {
            assert!(ask(&house, path, host).0.starts_with("http/1.1 403 "), "{path} for {host}");
        }
    }

    let (head, body) = ask(&house, "/readyz", "localhost");
    assert!(head.starts_with("http/1.1 503 ") && body.contains("venue binance: its list of instruments"), "{body}");
    house.list_btc();
    let (head, body) = ask(&house, "/readyz", "localhost");
    assert!(head.starts_with("http/1.1 503 ") && body.contains("1 of 1 books wait"), "{body}");
    house.publish_btc();
    wait_until("readiness", || ask(&house, "/readyz", "localhost").0.starts_with("http/1.1 200 "));
    assert_eq!(ask(&house, "/readyz", "localhost").1, r#"{"ready":true,"reasons":[]}"#);
    house.server.as_ref().unwrap().stop_accepting();
    let (head, body) = ask(&house, "/readyz", "localhost");
    assert!(head.starts_with("http/1.1 503 ") && body.contains("draining"), "{body}");
    assert!(ask(&house, "/livez", "localhost").0.starts_with("http/1.1 200 "));
}

#[test]
fn draining_closes_the_public_door_and_shutdown_frees_the_ports() {
    let mut house = House::new();
    let mut idle = house.connect();
    idle.write_all(ping("x").as_bytes()).unwrap();
    assert!(read_response(&mut idle).0.starts_with("http/1.1 200 "));
    let mut upgraded = house.connect();
    upgraded.write_all(upgrade("/ws").as_bytes()).unwrap();
    read_response(&mut upgraded);
    let admitted = house.next_admitted();

    house.server.as_ref().unwrap().stop_accepting();
    assert_eq!(read_all(&mut idle), "", "idle connections end");
    wait_until("a closed door", || TcpStream::connect(house.public).is_err());
    house.runtime.block_on(house.server.take().unwrap().shutdown());
    assert!(TcpStream::connect(house.ops).is_err());
    assert_connected(admitted.socket, &mut upgraded);
    let mut successor = config();
    successor.server.listen = house.public;
    successor.ops.listen = house.ops;
    assert_eq!(House::with(&successor).expect("the ports are free").public, house.public);
}

/// A house with a door of SBE that wants one of these keys.
fn house_with_keys(keys: &[&str], adjust: impl FnOnce(&mut tickcast::config::Config)) -> House {
    let mut config = config();
    config.sbe.listen = Some("127.0.0.1:0".parse().expect("an address"));
    config.sbe.api_keys = keys.iter().map(|&key| tickcast::config::ApiKey::new(key)).collect();
    adjust(&mut config);
    House::with(&config).expect("free ports")
}

fn knock_at_sbe(house: &House, target: &str, lines: &str) -> (String, String) {
    let mut client = connect(house.server.as_ref().and_then(|server| server.sbe_addr()).expect("it is open"));
    client.write_all(format!("GET {target} HTTP/1.1\r\n{HANDSHAKE}{lines}\r\n").as_bytes()).expect("sent");
    read_response(&mut client)
}

#[test]
fn the_door_of_sbe_wants_a_key_where_some_are_configured() {
    let house = house_with_keys(&["first-key", "second-key"], |_| {});
    for (lines, code) in [
        ("", -2014),
        ("X-MBX-APIKEY: third-key\r\n", -2015),
        ("X-MBX-APIKEY: first-ke\r\n", -2015),
        ("X-MBX-APIKEY:\r\n", -2015),
        ("X-MBX-APIKEY: first-key\r\nX-MBX-APIKEY: first-key\r\n", -2015),
    ] {
        let (head, body) = knock_at_sbe(&house, "/ws", lines);
        assert!(head.starts_with("http/1.1 401 ") && head.contains("content-type: application/json"), "{head}");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["code"], code, "{lines}");
        assert!(body["msg"].as_str().expect("a text").contains("X-MBX-APIKEY"), "{body}");
    }
    for lines in ["X-MBX-APIKEY: first-key\r\n", "x-mbx-apikey: second-key\r\n"] {
        assert!(knock_at_sbe(&house, "/ws/btcusdt@trade", lines).0.starts_with("http/1.1 101 "));
        assert_eq!(house.next_admitted().target, "/ws/btcusdt@trade");
    }
    // The public door wants none, and does not mind one.
    let mut client = house.connect();
    client.write_all(upgrade("/ws").as_bytes()).unwrap();
    assert!(read_response(&mut client).0.starts_with("http/1.1 101 "));
}

#[test]
fn the_door_of_sbe_takes_any_key_where_none_is_configured_and_shares_the_limits() {
    let house = house_with_keys(&[], |config| {
        config.server.connects_per_five_minutes = 3;
        config.server.exempt_loopback = false;
    });
    let mut client = house.connect();
    client.write_all(upgrade("/ws").as_bytes()).unwrap();
    assert!(read_response(&mut client).0.starts_with("http/1.1 101 "));
    let mut statuses = Vec::new();
    for lines in ["", "X-MBX-APIKEY: any\r\n", "", "", ""] {
        statuses.push(knock_at_sbe(&house, "/stream", lines).0.split(' ').nth(1).expect("a status").to_owned());
    }
    // A window of five minutes may have ended on the way.
    assert!(statuses.starts_with(&["101".to_owned(), "101".to_owned()]), "{statuses:?}");
    assert!(statuses.contains(&"429".to_owned()), "{statuses:?}");
}
