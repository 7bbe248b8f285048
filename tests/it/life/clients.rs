//! Clients that never read, among those who do; and more of them than there are descriptors.

use std::{
    future::Future,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use futures_util::StreamExt;
use tickcast::sim;
use tokio::{sync::watch, task::JoinSet};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use super::{DepthClient, Metrics, Scratch, assert_same, exchange, truth, until, until_counted, until_ready, venue};
use crate::{
    client::{self, LocalBook},
    process::Served,
};

const SYMBOLS: [&str; 4] = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT"];

/// A WebSocket whose client reads nothing but the server's 101, with as little room in the kernel as there can be.
pub(super) fn unread(public: &str, target: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    // The size of the server's own buffer follows from the segments that we take.
    socket.set_tcp_mss(536).expect("small segments");
    let address: std::net::SocketAddr = public.parse().expect("an address");
    socket.connect(&address.into()).expect("the server accepts");
    let mut socket = TcpStream::from(socket);
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {public}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).expect("the server reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    socket
}

/// Reads on what was not read, up to the close frame.
async fn closed(socket: TcpStream) -> (u16, String) {
    let mut socket = reading(socket).await;
    loop {
        let message = tokio::time::timeout(client::PATIENCE, socket.next()).await.expect("something comes");
        if let Message::Close(frame) = message.expect("a close frame comes").expect("whole frames") {
            let frame = frame.expect("a code");
            return (frame.code.into(), frame.reason.to_string());
        }
    }
}

/// The same socket in the hands of a client that has begun to read.
fn reading(socket: TcpStream) -> impl Future<Output = client::Socket> {
    socket.set_nonblocking(true).expect("a socket");
    let socket = MaybeTlsStream::Plain(tokio::net::TcpStream::from_std(socket).expect("a socket"));
    WebSocketStream::from_raw_socket(socket, Role::Client, None)
}

/// Follows diffs without a hole until the market is silent and the book is its own.
async fn follow(mut client: DepthClient, mut quiet: watch::Receiver<bool>, market: Arc<sim::Running>) {
    let mut is_quiet = false;
    loop {
        if is_quiet {
            let truth = truth(&market, &client.symbol);
            if client.book.last_id == truth.last_id {
                return assert_same(&client.symbol, &client.book, &truth);
            }
        }
        tokio::select! {
            () = client.step() => {}
            changed = quiet.wait_for(|quiet| *quiet), if !is_quiet => is_quiet = changed.is_ok(),
        }
    }
}

#[tokio::test]
async fn who_never_reads_costs_only_himself() {
    const SLOW: usize = 20;
    const OUTBOX_BYTES: u64 = 65_536;
    let market = Arc::new(exchange(&SYMBOLS, |settings| settings.rate = 1500));
    let config = Scratch::with("slow.toml", &venue(&market));
    let outbox = format!("session.outbox_bytes_max={OUTBOX_BYTES}");
    let patient = ["--set", "session.close_timeout_ms=60000"];
    let served = Served::start(&[&["serve", "--config", config.path(), "--set", &outbox], &patient[..]].concat());
    until_ready(&served).await;
    let (silence, quiet) = watch::channel(false);
    let mut readers = JoinSet::new();
    for index in 0..200 {
        let cadence = if index % 2 == 0 { "@100ms" } else { "" };
        let (public, market, quiet) = (served.public.clone(), Arc::clone(&market), quiet.clone());
        readers.spawn(async move {
            let client = DepthClient::join(&public, SYMBOLS[index % SYMBOLS.len()], cadence).await;
            follow(client, quiet, market).await;
        });
    }
    until_counted(&served, "tickcast_shard_sessions", "", 200.0).await;
    let memory_before = served.memory();
    let streams: Vec<_> = SYMBOLS
        .iter()
        .flat_map(|symbol| {
            ["trade", "aggTrade", "bookTicker", "depth@100ms", "depth20@100ms"]
                .map(|stream| format!("{}@{stream}", symbol.to_lowercase()))
        })
        .collect();
    let target = format!("/stream?streams={}", streams.join("/"));
    let public = served.public.clone();
    let open = move || (0..SLOW).map(|_| unread(&public, &target)).collect::<Vec<_>>();
    let slow = tokio::task::spawn_blocking(open).await.expect("all are opened");
    until("a queue is seen", || async {
        let metrics = Metrics::of(&served).await;
        metrics.sum("tickcast_shard_queued_bytes", "") > 0.0 && metrics.sum("tickcast_shard_slow_sessions", "") > 0.0
    })
    .await;
    until_counted(&served, "tickcast_session_closes_total", "reason=\"slow_consumer\"", SLOW as f64).await;
    let grown = served.memory().saturating_sub(memory_before);
    assert!(grown < SLOW as u64 * OUTBOX_BYTES * 2 + (24 << 20), "memory grew by {grown} bytes");
    for socket in slow {
        assert_eq!(closed(socket).await, (1008, "Slow consumer".to_owned()));
    }
    until("nothing is queued any more", || async {
        let metrics = Metrics::of(&served).await;
        metrics.sum("tickcast_shard_queued_bytes", "") == 0.0
            && metrics.sum("tickcast_shard_slow_sessions", "") == 0.0
            && metrics.sum("tickcast_shard_sessions", "") == 200.0
    })
    .await;
    market.pause();
    silence.send_replace(true);
    while let Some(reader) = readers.join_next().await {
        reader.expect("a reader lost nothing");
    }
    let metrics = Metrics::of(&served).await;
    let closed = |reason: &str| metrics.sum("tickcast_session_closes_total", reason);
    assert_eq!(closed("reason=\"slow_consumer\""), SLOW as f64, "none of those who read was slow");
}

#[tokio::test]
async fn who_reads_slowly_has_a_right_book_and_no_trades() {
    const SYMBOL: &str = SYMBOLS[0];
    let market = exchange(&SYMBOLS[..2], |settings| settings.rate = 3000);
    let config = Scratch::with("merged.toml", &venue(&market));
    let room = ["--set", "session.outbox_bytes_max=262144", "--set", "session.close_timeout_ms=60000"];
    let served = Served::start(&[&["serve", "--config", config.path()], &room[..]].concat());
    until_ready(&served).await;
    let unread = |target: &'static str| {
        let public = served.public.clone();
        async move { tokio::task::spawn_blocking(move || unread(&public, target)).await.expect("it is opened") }
    };
    let book = unread("/ws/btcusdt@depth@100ms").await;
    let trades = unread("/ws/btcusdt@trade/btcusdt@aggTrade/ethusdt@trade/ethusdt@aggTrade").await;
    // A book from behind the first diff, which has not been read yet.
    let url = format!("http://{}/api/v3/depth?symbol={SYMBOL}&limit=5000", served.public);
    let mut known = LocalBook::from_rest(&client::get(&url).await);
    for _ in 0..2 {
        let before = known.last_id;
        while known.last_id == before {
            known = LocalBook::from_rest(&client::get(&url).await);
        }
    }
    let merged = "tickcast_shard_merged_total";
    until_counted(&served, merged, "", 30.0).await;
    until_counted(&served, "tickcast_session_closes_total", "reason=\"slow_consumer\"", 1.0).await;
    assert_eq!(closed(trades).await, (1008, "Slow consumer".to_owned()));

    let mut slow = DepthClient { symbol: SYMBOL.to_owned(), socket: reading(book).await, book: known };
    let id = |diff: &serde_json::Value, key: &str| diff[key].as_i64().expect("an id");
    let mut first = client::next(&mut slow.socket).await;
    while id(&first, "u") <= slow.book.last_id {
        first = client::next(&mut slow.socket).await;
    }
    assert!(id(&first, "U") <= slow.book.last_id + 1, "{first} is behind {}", slow.book.last_id);
    slow.book.merge(&first, id(&first, "u")).unwrap_or_else(|wrong| panic!("{wrong}"));
    for _ in 0..20 {
        slow.step().await;
    }
    let before = Metrics::of(&served).await.sum(merged, "");
    until_counted(&served, merged, "", before + 20.0).await;
    market.pause();
    slow.follow_to(&market).await;
    let at_rest = LocalBook::from_rest(&client::get(&url).await);
    assert_same(SYMBOL, &slow.book, &at_rest);
    let metrics = Metrics::of(&served).await;
    assert_eq!(metrics.sum("tickcast_session_closes_total", ""), 1.0, "the book's reader was never closed");
}

#[tokio::test]
async fn without_descriptors_old_sessions_live_and_new_ones_wait() {
    let market = exchange(&SYMBOLS[..1], |_| {});
    let config = Scratch::with("descriptors.toml", &venue(&market));
    let served = Served::start_with_descriptors(64, &["serve", "--config", config.path()]);
    until_ready(&served).await;
    // Scrapers keep their connection, which is what lets them see through a shortage.
    let scraper = client::http();
    Metrics::read(&scraper, &served).await;
    let mut old = DepthClient::join(&served.public, "BTCUSDT", "@100ms").await;
    let address: std::net::SocketAddr = served.public.parse().expect("an address");
    let mut crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(address).expect("the backlog takes it")).collect();
    until("accepts fail, and are tried again", || async {
        Metrics::read(&scraper, &served).await.sum("tickcast_server_accept_errors_total", "") >= 3.0
    })
    .await;
    assert_eq!(served.lines_with("cannot accept connections"), 1, "a shortage is told once:\n{}", served.log());
    for _ in 0..5 {
        old.step().await;
    }
    crowd.truncate(10);
    let mut new = DepthClient::join(&served.public, "BTCUSDT", "@100ms").await;
    market.pause();
    old.follow_to(&market).await;
    new.follow_to(&market).await;
    assert_eq!(served.terminate(), Some(0));
}
