use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_tungstenite::accept_async;

use super::*;
use crate::intake::tests::{Bench, accept, bench, bench_with_room, dial as one_dial, listener, next, soon, texts};

/// A socket that runs, and what is needed to talk to it.
struct Running {
    up: flume::Receiver<Inbound>,
    news: mpsc::Receiver<(ConnectionId, News)>,
    tapped: flume::Receiver<Tapped>,
    orders: mpsc::Sender<Vec<String>>,
    ended: JoinHandle<Ended>,
    _stop: tokio::sync::watch::Sender<bool>,
}

async fn run(bench: Bench, messages: Vec<String>) -> Running {
    let Bench { upstream, up, tapped, stop } = bench;
    let upstream = Arc::new(upstream);
    let stream = soon(dial(&upstream, &one_dial().path)).await.expect("the stand-in upgrades");
    let (sender, news) = mpsc::channel(16);
    let (orders, inbox) = mpsc::channel(16);
    let socket = Socket::new(upstream, ConnectionId(7), stream, sender);
    let ended = tokio::spawn(socket.run(0, one_dial().instruments, messages, inbox));
    Running { up, news, tapped, orders, ended, _stop: stop }
}

#[tokio::test]
async fn a_ping_is_answered_with_its_payload_while_the_engine_is_behind() {
    let listener = listener().await;
    let narrow = bench_with_room(1, &listener, |_| {});
    let (mut venue, running) = tokio::join!(accept(&listener), run(narrow, Vec::new()));
    // `Opened` fills the way up, and nobody empties it: the batch that ends with the ping cannot be handed up.
    for number in 0..BATCH_MESSAGES_MAX - 1 {
        venue.feed(Message::text(number.to_string())).await.expect("queued");
    }
    venue.send(Message::Ping(Bytes::from_static(b"1789000000000"))).await.expect("sent");
    match soon(venue.next()).await {
        Some(Ok(Message::Pong(payload))) => assert_eq!(&payload[..], b"1789000000000"),
        other => panic!("no pong but {other:?}"),
    }
    assert!(matches!(next(&running.up).await, Inbound::Opened { connection: ConnectionId(7), .. }));
    let numbers: Vec<_> = (0..BATCH_MESSAGES_MAX - 1).map(|number| number.to_string()).collect();
    assert_eq!(texts(&running.up, numbers.len()).await, numbers);
}

#[tokio::test]
async fn frames_go_up_untouched_and_in_order() {
    let listener = listener().await;
    let (mut venue, mut running) = tokio::join!(accept(&listener), run(bench(&listener, |_| {}), Vec::new()));
    let sent = [&b"{\"no\":"[..], b"\xff\x00\xfe", b"", b"plain"];
    venue.send(Message::text("{\"no\":")).await.expect("sent");
    for bytes in &sent[1..] {
        venue.send(Message::binary(Bytes::from_static(bytes))).await.expect("sent");
    }
    let mut got = Vec::new();
    while got.len() < sent.len() {
        if let Inbound::Frames { frames, .. } = next(&running.up).await {
            assert!(!frames.is_empty());
            got.extend(frames.into_iter().map(|frame| frame.bytes));
        }
    }
    assert_eq!(got, sent);
    assert_eq!(soon(running.news.recv()).await, Some((ConnectionId(7), News::Opened)));
    assert_eq!(soon(running.news.recv()).await, Some((ConnectionId(7), News::Flowing)));
}

#[tokio::test]
async fn many_ready_frames_go_up_in_few_batches_with_one_stamp_each() {
    let listener = listener().await;
    let (mut venue, running) = tokio::join!(accept(&listener), run(bench(&listener, |_| {}), Vec::new()));
    const FRAMES: usize = 5000;
    for number in 0..FRAMES {
        venue.feed(Message::text(number.to_string())).await.expect("queued");
    }
    venue.flush().await.expect("sent");
    let (mut got, mut batches) = (Vec::new(), 0);
    while got.len() < FRAMES {
        if let Inbound::Frames { frames, .. } = next(&running.up).await {
            batches += 1;
            assert!(frames.len() <= BATCH_MESSAGES_MAX);
            assert!(frames.windows(2).all(|pair| pair[0].received == pair[1].received));
            got.extend(frames.into_iter().map(|frame| frame.bytes));
        }
    }
    assert!(got.iter().enumerate().all(|(number, bytes)| bytes == number.to_string().as_bytes()));
    assert!(batches < FRAMES / 10, "{batches} batches");
}

#[tokio::test]
async fn subscriptions_are_sent_in_order_and_the_limit_is_kept() {
    let listener = listener().await;
    let mut bench = bench(&listener, |_| {});
    bench.upstream.traits.messages_per_second = 2;
    let messages: Vec<_> = (0..5).map(|number| format!("subscribe {number}")).collect();
    let (mut venue, mut running) = tokio::join!(accept(&listener), run(bench, messages.clone()));
    let mut got = Vec::new();
    while got.len() < messages.len() {
        // Data in between neither holds the subscriptions up nor counts as flowing before all of them are sent.
        venue.send(Message::text("acknowledged")).await.expect("sent");
        while running.up.try_recv().is_ok() {}
        if let Some(Ok(Message::Text(text))) = soon(venue.next()).await {
            got.push(text.to_string());
        }
    }
    assert_eq!(got, messages);
    let sent: Vec<_> = running
        .tapped
        .drain()
        .filter_map(|tapped| match tapped {
            Tapped::Sent { at, .. } => Some(at),
            _ => None,
        })
        .collect();
    assert_eq!(sent.len(), messages.len());
    assert!(sent.windows(3).all(|three| three[2].since(three[0]) >= Duration::from_secs(1)), "{sent:?}");
    assert_eq!(soon(running.news.recv()).await, Some((ConnectionId(7), News::Opened)));
    venue.send(Message::text("data")).await.expect("sent");
    assert_eq!(soon(running.news.recv()).await, Some((ConnectionId(7), News::Flowing)));
}

#[tokio::test]
async fn it_keeps_itself_alive_where_the_venue_wants_to_hear_from_us() {
    let listener = listener().await;
    let mut bench = bench(&listener, |_| {});
    bench.upstream.traits.keep_alive = Some(("{\"method\":\"ping\"}", Duration::from_millis(20)));
    bench.upstream.traits.messages_per_second = 1000;
    let (mut venue, _running) = tokio::join!(accept(&listener), run(bench, Vec::new()));
    for _ in 0..3 {
        match soon(venue.next()).await {
            Some(Ok(Message::Text(text))) => assert_eq!(text.as_str(), "{\"method\":\"ping\"}"),
            other => panic!("no ping but {other:?}"),
        }
    }
}

#[tokio::test]
async fn more_messages_come_through_orders_and_dropping_them_closes_politely() {
    let listener = listener().await;
    let (mut venue, running) = tokio::join!(accept(&listener), run(bench(&listener, |_| {}), Vec::new()));
    let Running { up, orders, ended, .. } = running;
    orders.send(vec!["again".to_owned()]).await.expect("it lives");
    assert!(matches!(soon(venue.next()).await, Some(Ok(Message::Text(text))) if text.as_str() == "again"));
    drop(orders);
    // What is on its way when the close arrives still goes up.
    venue.send(Message::text("last")).await.expect("sent");
    assert!(matches!(soon(venue.next()).await, Some(Ok(Message::Close(_)))));
    assert!(soon(venue.next()).await.is_none());
    drop(venue);
    assert_eq!(soon(ended).await.expect("it ends").end, End::Asked);
    assert_eq!(texts(&up, 1).await, ["last"]);
    assert!(matches!(next(&up).await, Inbound::Closed { connection: ConnectionId(7), .. }));
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_connection_before_it_is_read() {
    let listener = listener().await;
    let small = bench(&listener, |settings| settings.frame_bytes_max = 1000);
    let (mut venue, running) = tokio::join!(accept(&listener), run(small, Vec::new()));
    venue.send(Message::text("small")).await.expect("sent");
    venue.send(Message::text("x".repeat(1001))).await.expect("sent");
    assert_eq!(soon(running.ended).await.expect("it ends").end, End::TooLarge(1001));
    assert_eq!(texts(&running.up, 1).await, ["small"]);
    assert!(matches!(next(&running.up).await, Inbound::Closed { .. }));
}

#[tokio::test]
async fn a_silent_connection_is_given_up_and_pings_are_no_silence() {
    let listener = listener().await;
    let limit = Duration::from_secs(2);
    let silent = bench(&listener, |settings| settings.silence_max_ms = 2000);
    let (mut venue, running) = tokio::join!(accept(&listener), run(silent, Vec::new()));
    // Far longer than the limit in sum, far shorter each.
    for _ in 0..60 {
        time::sleep(Duration::from_millis(50)).await;
        venue.send(Message::Ping(Bytes::new())).await.expect("it is not given up while it hears pings");
        assert!(matches!(soon(venue.next()).await, Some(Ok(Message::Pong(_)))));
    }
    assert_eq!(soon(running.ended).await.expect("it ends").end, End::Silent(limit));
}

#[tokio::test]
async fn the_venues_reason_for_closing_is_kept() {
    let listener = listener().await;
    let (mut venue, running) = tokio::join!(accept(&listener), run(bench(&listener, |_| {}), Vec::new()));
    let frame = CloseFrame { code: CloseCode::Away, reason: "24 hours".into() };
    venue.send(Message::Close(Some(frame))).await.expect("sent");
    match soon(running.ended).await.expect("it ends").end {
        End::Closed(reason) => assert!(reason.contains("1001") && reason.contains("24 hours"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_is_no_upgrade_is_told_with_its_wait() {
    let listener = listener().await;
    let Bench { upstream, .. } = bench(&listener, |_| {});
    let answer = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.expect("a request");
        let text = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(text).await.expect("answered");
    };
    let (dialled, ()) = soon(async { tokio::join!(dial(&upstream, "/stream"), answer) }).await;
    let error = dialled.expect_err("no upgrade");
    assert_eq!(error.to_string(), "refused with HTTP 429");
    assert_eq!(error.retry_after(), Duration::from_secs(17));
}

#[tokio::test]
async fn a_host_that_accepts_and_says_nothing_times_out() {
    let listener = listener().await;
    let Bench { upstream, .. } = bench(&listener, |settings| settings.connect_timeout_ms = 50);
    let error = soon(dial(&upstream, "/stream")).await.expect_err("no answer");
    assert!(matches!(error, DialError::Timeout(_)), "{error}");
}

/// The plain dial refuses nothing by itself: the stand-in of these tests must be the reason for what they see.
#[tokio::test]
async fn the_path_reaches_the_venue() {
    let listener: TcpListener = listener().await;
    let Bench { upstream, .. } = bench(&listener, |_| {});
    let path = "/stream?streams=btcusdt@depth@100ms/btcusdt@trade";
    let seen = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut head = [0; 4096];
        let length = stream.peek(&mut head).await.expect("a request");
        accept_async(stream).await.expect("an upgrade");
        String::from_utf8_lossy(&head[..length]).into_owned()
    };
    let (dialled, head) = soon(async { tokio::join!(dial(&upstream, path), seen) }).await;
    dialled.expect("an upgrade");
    assert!(head.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{head}");
    assert!(head.to_lowercase().contains(&format!("user-agent: {USER_AGENT}")), "{head}");
}

#[tokio::test]
async fn addresses_that_are_none_are_told_not_dialled() {
    let listener = listener().await;
    let Bench { mut upstream, .. } = bench(&listener, |_| {});
    let port = listener.local_addr().expect("a bound listener").port();
    for url in
        ["", "embedded", "wss://", "not a url", "http://", &format!("http://127.0.0.1:{port}"), "ws://127.0.0.1:0"]
    {
        upstream.ws_url = url.to_owned();
        assert!(matches!(soon(dial(&upstream, "/stream")).await, Err(DialError::Failed(_))), "`{url}` was dialled");
    }
}
