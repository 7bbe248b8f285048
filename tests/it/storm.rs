//! Thousands who come at the same moment are all let in.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::{client, process::Served};

/// More than any queue at the door was once thought to need.
const CLIENTS: usize = 6_000;

#[test]
fn a_storm_of_connections_loses_nobody() {
    let served = Served::start(&["serve"]);
    let request = format!(
        "GET /ws/btcusdt@bookTicker HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        served.public
    );
    // Nobody waits for an answer before the next one asks.
    let mut sockets: Vec<_> = (0..CLIENTS)
        .map(|index| {
            let mut socket = TcpStream::connect(&served.public).unwrap_or_else(|error| panic!("{index}: {error}"));
            socket.write_all(request.as_bytes()).expect("a fresh socket takes a request");
            socket
        })
        .collect();
    for (index, socket) in sockets.iter_mut().enumerate() {
        socket.set_read_timeout(Some(client::PATIENCE)).expect("a timeout");
        // The answer, and behind it the first event: whoever was refused by a shard would read a close frame instead.
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while !heard.windows(4).any(|window| window == b"{\"u\"") {
            let count = socket.read(&mut buffer).unwrap_or_else(|error| panic!("client {index}: {error}"));
            assert!(count > 0, "client {index} was cut off after {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&buffer[..count]);
        }
        assert!(heard.starts_with(b"HTTP/1.1 101 "), "client {index}: {}", String::from_utf8_lossy(&heard));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let url = format!("http://{}/metrics", served.ops);
        let started = tokio::time::Instant::now();
        loop {
            let text = client::http().get(&url).send().await.expect("it answers").text().await.expect("a body");
            let sessions: f64 = text
                .lines()
                .filter(|line| line.starts_with("tickcast_shard_sessions"))
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum();
            if sessions as usize == CLIENTS {
                break;
            }
            assert!(started.elapsed() < client::PATIENCE, "{sessions} sessions");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}
