//! A running shard over loopback sockets, fed through a real ring, heard by a foreign WebSocket implementation.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tickcast::{
    config::{Config, Sender},
    market::{Best, Catalogue, InstrumentId, Nanos, Price, Quantity, Trade},
    ring::{self, Publisher},
    session,
    shard::{Admission, Builder, Setup, Shard},
    topic::{Batch, Interest, Payload, TopicId, Update},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};

const START: Nanos = Nanos::from_millis(1_789_000_000_000);

/// A shard with a ring of its own.
struct Rig {
    shard: Shard,
    publisher: Publisher<Batch>,
    catalogue: Arc<Catalogue>,
    interest: Arc<Interest>,
    listener: TcpListener,
}

type Client = WebSocketStream<tokio::net::TcpStream>;

impl Rig {
    fn new(adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::embedded();
        config.session.messages_per_second = 0;
        adjust(&mut config);
        let mut catalogue = Catalogue::new();
        let venue = catalogue.add_venue("binance", None);
        catalogue.add_instrument(venue, "BTCUSDT", "BTCUSDT");
        let (catalogue, interest) = (Arc::new(catalogue), Arc::new(Interest::new(1)));
        let publisher = ring::ring(config.ring.slots, config.ring.bytes);
        let builder = Builder::new(0).unwrap();
        let setup = Setup {
            core: None,
            readers: vec![publisher.reader(builder.waker())],
            catalogue: Arc::clone(&catalogue),
            interest: Arc::clone(&interest),
            session: config.session,
            delivery: config.delivery,
        };
        let shard = builder.start(setup).unwrap();
        Self { shard, publisher, catalogue, interest, listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap() }
    }

    /// A connected socket whose other end the shard has, as after an upgrade of `url`.
    fn connect(&self, url: &str, early: &'static [u8]) -> TcpStream {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = self.listener.accept().unwrap();
        self.admit(socket, peer, url, early);
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        client
    }

    fn admit(&self, socket: TcpStream, peer: SocketAddr, url: &str, early: &'static [u8]) {
        let opening = session::opening(url, &self.catalogue).unwrap();
        self.shard.admit(Admission { socket: socket.into(), early: Bytes::from_static(early), opening, peer }).unwrap();
    }

    async fn open(&self, url: &str) -> Client {
        upgraded(self.connect(url, b"")).await
    }

    fn publish(&mut self, payloads: impl IntoIterator<Item = Payload>) {
        let update = |payload| Update { instrument: InstrumentId(0), received: START, time: START, payload };
        let mut batch = Batch { updates: payloads.into_iter().map(update).collect(), ..Batch::default() };
        self.publisher.publish(&mut batch);
    }

    /// Waits until the shard has as many sessions.
    async fn has_sessions(&self, count: usize) {
        until("the sessions that are left", || self.shard.sessions() == count).await;
    }
}

/// Waits for `condition`, and fails after a minute.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("a minute is over without {what}"));
}

async fn upgraded(socket: TcpStream) -> Client {
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::TcpStream::from_std(socket).unwrap();
    WebSocketStream::from_raw_socket(socket, Role::Client, None).await
}

fn trade(id: i64) -> Payload {
    Payload::Trade(Trade { id, price: Price(1), quantity: Quantity(2), time: START, buyer_is_maker: false })
}

fn trade_text(id: i64, zeros: &str) -> String {
    format!(
        r#"{{"e":"trade","E":1789000000000{zeros},"s":"BTCUSDT","t":{id},"p":"0.00000001","q":"0.00000002","T":1789000000000{zeros},"m":false,"M":true}}"#
    )
}

/// The next text; pings are answered on the way.
async fn text(client: &mut Client) -> String {
    loop {
        match next(client).await {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) => {}
            other => panic!("a text was to come, not {other:?}"),
        }
    }
}

/// The code and reason of the close frame, behind any texts.
async fn closed(client: &mut Client) -> (u16, String) {
    loop {
        match next(client).await {
            Message::Close(Some(CloseFrame { code, reason })) => return (code.into(), reason.to_string()),
            Message::Text(_) | Message::Ping(_) => {}
            other => panic!("a close was to come, not {other:?}"),
        }
    }
}

async fn next(client: &mut Client) -> Message {
    let message = tokio::time::timeout(Duration::from_secs(60), client.next()).await;
    message.expect("something comes within a minute").expect("the stream goes on").unwrap()
}

async fn ask(client: &mut Client, request: &str) -> String {
    client.send(Message::text(request)).await.unwrap();
    text(client).await
}

#[tokio::test]
async fn whoever_leaves_leaves_no_interest_behind() {
    let mut rig = Rig::new(|_| {});
    let any = |rig: &Rig| (0..TopicId::count(1) as u32).any(|topic| rig.interest.any(TopicId(topic)));
    let mut unsubscribing = rig.open("/ws/btcusdt@trade/!miniTicker@arr").await;
    let mut closing = rig.open("/stream?streams=btcusdt@trade/btcusdt@depth@1000ms").await;
    let mut dropped = rig.open("/ws/btcusdt@kline_1m?timeUnit=MICROSECOND").await;
    for client in [&mut unsubscribing, &mut closing, &mut dropped] {
        ask(client, r#"{"method":"GET_PROPERTY","params":["combined"],"id":1}"#).await;
    }
    assert!(any(&rig));
    rig.publish([trade(1)]);
    assert_eq!(text(&mut unsubscribing).await, trade_text(1, ""));
    let leave = r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade","!miniTicker@arr"],"id":2}"#;
    ask(&mut unsubscribing, leave).await;
    closing.close(None).await.unwrap();
    drop(dropped);
    rig.has_sessions(1).await;
    assert!(!any(&rig));
}

#[tokio::test]
async fn bytes_behind_the_upgrade_request_are_heard() {
    let rig = Rig::new(|_| {});
    let socket = rig.connect("/ws", b"\x89\x82\0\0\0\0hi\x81\x80\0\0");
    let mut socket = socket;
    socket.write_all(&[0, 0]).unwrap();
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\x8a\x02hi");
    let mut client = upgraded(socket).await;
    assert!(text(&mut client).await.contains("Invalid JSON: EOF while parsing a value"));
    assert_eq!(closed(&mut client).await, (1008, "Invalid request".to_owned()));
}

/// Both ways to the kernel; where it gives no io_uring, the first twice.
const SENDERS: [Sender; 2] = [Sender::Epoll, Sender::Auto];

#[tokio::test]
async fn many_sessions_hear_all_in_order() {
    for sender in SENDERS {
        many_hear_all(sender).await;
    }
}

async fn many_hear_all(sender: Sender) {
    const SESSIONS: usize = 300;
    const TRADES: i64 = 200;
    let mut rig = Rig::new(|config| config.delivery.sender = sender);
    let mut clients = Vec::new();
    for index in 0..SESSIONS {
        clients
            .push(rig.open(if index % 2 == 0 { "/ws/btcusdt@trade" } else { "/stream?streams=btcusdt@trade" }).await);
    }
    // Whoever has an answer is in the table.
    for client in &mut clients {
        ask(client, r#"{"method":"GET_PROPERTY","params":["combined"],"id":1}"#).await;
    }
    for id in 0..TRADES {
        rig.publish([trade(id)]);
    }
    for client in &mut clients {
        for id in 0..TRADES {
            assert!(text(client).await.contains(&format!(r#""t":{id},"#)));
        }
    }
}

#[tokio::test]
async fn a_slow_client_is_closed_and_disturbs_nobody() {
    for sender in SENDERS {
        slow_is_closed(sender).await;
    }
}

async fn slow_is_closed(sender: Sender) {
    let mut rig = Rig::new(|config| {
        config.delivery.sender = sender;
        config.session.outbox_bytes_max = 100_000;
        config.session.close_timeout_ms = 60_000;
    });
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.set_send_buffer_size(8192).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(1).unwrap();
    let slow = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    slow.set_recv_buffer_size(4096).unwrap();
    slow.connect(&listener.local_addr().unwrap()).unwrap();
    let (socket, peer) = listener.accept().unwrap();
    rig.admit(socket.into(), peer.as_socket().unwrap(), "/ws/btcusdt@trade", b"");
    let mut fast = rig.open("/ws/btcusdt@trade").await;
    ask(&mut fast, r#"{"method":"GET_PROPERTY","params":["combined"],"id":1}"#).await;

    let mut ids = 0..20_000;
    for id in ids.by_ref() {
        rig.publish([trade(id)]);
        assert_eq!(text(&mut fast).await, trade_text(id, ""), "the fast one misses nothing");
    }
    let mut slow = upgraded(slow.into()).await;
    let mut heard = 0;
    let close = loop {
        match next(&mut slow).await {
            Message::Text(text) => {
                assert_eq!(text.as_str(), trade_text(heard, ""), "whole frames in order to the last");
                heard += 1;
            }
            Message::Close(close) => break close.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((close.code, close.reason.as_str()), (CloseCode::Policy, "Slow consumer"));
    assert!(heard < 20_000);
    drop(slow);
    rig.has_sessions(1).await;
    rig.publish([trade(20_000)]);
    assert_eq!(text(&mut fast).await, trade_text(20_000, ""));
}

#[tokio::test]
async fn a_client_that_hangs_is_cut_off() {
    let mut rig = Rig::new(|config| {
        config.session.outbox_bytes_max = 10_000;
        config.session.close_timeout_ms = 100;
    });
    let hanging = rig.connect("/ws/btcusdt@trade", b"");
    // It never reads: once the kernel's buffers and the outbox are full it is closed, then cut.
    let mut id = 0;
    while rig.shard.sessions() > 0 {
        rig.publish((id..id + 100).map(trade));
        id += 100;
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    drop(hanging);
}

#[tokio::test]
async fn violations_close_with_their_codes() {
    let rig = Rig::new(|_| {});
    for (bytes, code) in [
        (&b"\x81\x02hi"[..], 1002_u16),
        (b"\xC1\x80\0\0\0\0", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x89\xFE\0\x80\0\0\0\0", 1002),
        (b"\x80\x80\0\0\0\0", 1002),
        (b"\x81\x81\0\0\0\0\xFF", 1007),
        (b"\x82\x81\0\0\0\0x", 1003),
        (b"\x88\x82\0\0\0\0\x03\xED", 1002),
        // Ten megabytes are claimed, and refused before they come.
        (b"\x81\xFF\0\0\0\0\0\xA0\0\0\0\0\0\0", 1009),
        // The client's own close is answered with its code.
        (b"\x88\x82\0\0\0\0\x0F\xA0", 4000),
    ] {
        let mut socket = rig.connect("/ws", b"");
        socket.write_all(bytes).unwrap();
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).unwrap();
        assert_eq!(heard[0], 0x88, "{bytes:?}");
        assert_eq!(u16::from_be_bytes([heard[2], heard[3]]), code, "{bytes:?}");
    }
    rig.has_sessions(0).await;
}

#[tokio::test]
async fn fragments_and_large_frames() {
    let rig = Rig::new(|_| {});
    let mut client = rig.open("/ws").await;
    let padded = format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":1,"x":"{}"}}"#, "é".repeat(30_000));
    assert_eq!(ask(&mut client, &padded).await, r#"{"result":[],"id":1}"#);
    drop(client);

    let mut socket = rig.connect("/ws", b"");
    let request = br#"{"method":"LIST_SUBSCRIPTIONS","id":7}"#;
    for (index, byte) in request.iter().enumerate() {
        let last = index + 1 == request.len();
        let first = if index == 0 { 0x01 } else { u8::from(last) << 7 };
        socket.write_all(&[first, 0x81, 0, 0, 0, 0, *byte]).unwrap();
    }
    let mut answer = [0; 2 + 20];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[2..], br#"{"result":[],"id":7}"#);

    // Ten megabytes that do come: the answer is there although the client never stopped to listen.
    let mut client = rig.open("/ws").await;
    let _ = client.send(Message::text("x".repeat(10 << 20))).await;
    let message = next(&mut client).await;
    assert!(matches!(message, Message::Close(Some(CloseFrame { code: CloseCode::Size, .. }))), "{message:?}");
}

#[tokio::test]
async fn a_drain_says_goodbye_to_all_and_ends() {
    let rig = Rig::new(|_| {});
    let mut raw = rig.open("/ws").await;
    let mut combined = rig.open("/stream").await;
    let silent = rig.connect("/ws", b"");
    for client in [&mut raw, &mut combined] {
        ask(client, r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#).await;
    }
    rig.shard.drain(Duration::from_secs(60));
    assert!(text(&mut raw).await.starts_with(r#"{"e":"serverShutdown","E":"#));
    assert!(text(&mut combined).await.starts_with(r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":"#));
    for client in [&mut raw, &mut combined] {
        assert_eq!(closed(client).await, (1001, "Server shutdown".to_owned()));
    }
    let opening = session::opening("/ws", &rig.catalogue).unwrap();
    let peer = silent.peer_addr().unwrap();
    let late = TcpStream::connect(rig.listener.local_addr().unwrap()).unwrap();
    assert!(rig.shard.admit(Admission { socket: late.into(), early: Bytes::new(), opening, peer }).is_err());
    drop((raw, combined, silent));
    tokio::task::spawn_blocking(move || rig.shard.join()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_lapped_shard_closes_who_cannot_do_without_and_goes_on_for_the_others() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let exposition = recorder.handle();
    let mut rig = metrics::with_local_recorder(&recorder, || Rig::new(|config| config.ring.slots = 64));
    let streams = ["btcusdt@trade", "btcusdt@aggTrade", "btcusdt@depth", "btcusdt@depth@100ms"];
    let mut cannot = Vec::new();
    for stream in streams {
        // One stream that cannot do without is enough, whatever else the session has.
        cannot.push(rig.open(&format!("/ws/{stream}/btcusdt@bookTicker")).await);
    }
    let mut state = rig.open("/ws/btcusdt@bookTicker").await;
    for client in cannot.iter_mut().chain([&mut state]) {
        ask(client, r#"{"method":"GET_PROPERTY","params":["combined"],"id":1}"#).await;
    }
    let best = |update_id| Payload::BookTicker(Best { update_id, ..Best::default() });
    let laps = || {
        let text = exposition.render();
        let line = text.lines().find(|line| line.starts_with("tickcast_ring_laps_total{")).map(str::to_owned);
        line.is_some_and(|line| !line.ends_with(" 0"))
    };
    let mut id = 0;
    // A writer that does not wait is a ring ahead of a reader with sockets to write to, sooner or later.
    while !laps() {
        for _ in 0..1000 {
            id += 1;
            rig.publish([best(id), trade(id)]);
        }
    }
    for client in &mut cannot {
        assert_eq!(closed(client).await, (1008, "lapped".to_owned()));
    }
    let missed = exposition
        .render()
        .lines()
        .any(|line| line.strip_prefix("tickcast_ring_missed_total{").is_some_and(|rest| !rest.ends_with(" 0")));
    assert!(missed, "what was missed is counted");
    // The others get the newest, in order, and newcomers all that comes.
    cannot.clear();
    rig.has_sessions(1).await;
    let mut newcomer = rig.open("/ws/btcusdt@trade").await;
    ask(&mut newcomer, r#"{"method":"GET_PROPERTY","params":["combined"],"id":1}"#).await;
    rig.publish([best(id + 1), trade(id + 1)]);
    assert_eq!(text(&mut newcomer).await, trade_text(id + 1, ""));
    let mut last = 0;
    while last <= id {
        let event: serde_json::Value = serde_json::from_str(&text(&mut state).await).unwrap();
        let update = event["u"].as_i64().unwrap();
        assert!(update > last, "{update} came after {last}");
        last = update;
    }
    assert_eq!(last, id + 1);
}

#[tokio::test]
async fn a_delayed_flush_still_delivers_and_replies_at_once() {
    let mut rig = Rig::new(|config| config.delivery.flush_delay_ms_max = 20);
    let mut client = rig.open("/ws/btcusdt@trade").await;
    ask(&mut client, r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#).await;
    for id in 0..100 {
        rig.publish([trade(id)]);
    }
    for id in 0..100 {
        assert_eq!(text(&mut client).await, trade_text(id, ""));
    }
}

#[tokio::test]
async fn a_shard_counts_what_it_does() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let exposition = recorder.handle();
    // Handles are made where the shard is started, which is this thread.
    let mut rig = metrics::with_local_recorder(&recorder, || Rig::new(|_| {}));
    let mut clients = [rig.open("/ws/btcusdt@trade").await, rig.open("/ws/btcusdt@trade/btcusdt@depth").await];
    for client in &mut clients {
        ask(client, r#"{"method":"GET_PROPERTY","params":["combined"],"id":1}"#).await;
    }
    let mut bytes = 2 * (2 + r#"{"result":false,"id":1}"#.len());
    for id in 0..10 {
        rig.publish([trade(id)]);
        for client in &mut clients {
            // Frames of up to 125 bytes have a header of two.
            bytes += 2 + text(client).await.len();
        }
    }
    for line in [
        "tickcast_shard_sessions{shard=\"0\"} 2".to_owned(),
        "tickcast_shard_subscriptions{shard=\"0\"} 3".to_owned(),
        "tickcast_shard_deliveries_total{shard=\"0\"} 20".to_owned(),
        "tickcast_shard_encoded_total{shard=\"0\"} 10".to_owned(),
        "tickcast_shard_writes_total{shard=\"0\"} 22".to_owned(),
        format!("tickcast_shard_bytes_total{{shard=\"0\"}} {bytes}"),
        "tickcast_shard_delivery_seconds_count{shard=\"0\"} 10".to_owned(),
        "tickcast_ring_lag_batches{engine=\"0\",reader=\"shard-0\"} 0".to_owned(),
    ] {
        // Gauges follow once a second.
        until(&line, || exposition.render().lines().any(|other| other == line)).await;
    }
}
