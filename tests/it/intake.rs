//! Intake through its public door, speaking Binance's protocol to a stand-in on loopback ports.

mod history;
mod imitation;
mod stand_in;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tickcast::{
    config,
    intake::{self, ConnectionId, Frame, Inbound, Intake, Request, Tap, Tapped, VenueFeed},
    market::{Catalogue, InstrumentId, VenueId},
    venue::AnyProtocol,
};
use tokio::{
    runtime::Handle,
    time::{self, Instant},
};
use tokio_tungstenite::tungstenite::Message;

use self::stand_in::{StandIn, exchange_info, soon};

/// Intake at work, with the engine's ends of its channels.
struct AtWork {
    intake: Intake,
    catalogue: Arc<Catalogue>,
    up: flume::Receiver<Inbound>,
    requests: flume::Sender<Request>,
    tapped: flume::Receiver<Tapped>,
}

/// Starts intake towards one venue that is configured with `symbols`.
fn start(venue: &StandIn, symbols: &[&str], connections: u32) -> AtWork {
    start_on(
        &Handle::current(),
        &[(format!("ws://{}", venue.ws), format!("http://{}", venue.rest))],
        symbols,
        connections,
    )
}

/// Starts intake on `runtime` towards one venue per pair of addresses.
fn start_on(runtime: &Handle, addresses: &[(String, String)], symbols: &[&str], connections: u32) -> AtWork {
    start_with(runtime, "binance", addresses, symbols, connections, |_| ())
}

/// Starts intake towards venues of `kind`, with settings changed by `change`.
fn start_with(
    runtime: &Handle,
    kind: &str,
    addresses: &[(String, String)],
    symbols: &[&str],
    connections: u32,
    change: impl FnOnce(&mut config::Intake),
) -> AtWork {
    let mut catalogue = Catalogue::new();
    let mut venues = Vec::new();
    for (index, (ws_url, rest_url)) in addresses.iter().enumerate() {
        let id = catalogue.add_venue(&format!("venue-{index}"), None);
        let protocol = Arc::new(AnyProtocol::new(kind, 1000, connections).expect("a known kind"));
        for symbol in symbols {
            catalogue.add_instrument(id, symbol, &protocol.symbol(symbol));
        }
        venues.push(VenueFeed { id, protocol, ws_url: ws_url.clone(), rest_url: rest_url.clone(), connections });
    }
    let catalogue = Arc::new(catalogue);
    let mut settings = config::Config::embedded().intake;
    (settings.backoff_first_ms, settings.backoff_max_ms, settings.healthy_after_ms) = (1, 20, 0);
    change(&mut settings);
    let (sender, up) = flume::bounded(64);
    let (requests, asked) = flume::bounded(64);
    let (tap, tapped) = Tap::new(10_000);
    let intake = intake::start(runtime, venues, &catalogue, &settings, sender, asked, Some(tap));
    AtWork { intake, catalogue, up, requests, tapped }
}

impl AtWork {
    async fn next(&self) -> Inbound {
        soon(self.up.recv_async()).await.expect("intake is at work")
    }

    async fn opened(&self) -> (ConnectionId, Vec<InstrumentId>) {
        loop {
            if let Inbound::Opened { connection, instruments, .. } = self.next().await {
                return (connection, instruments);
            }
        }
    }

    async fn frames(&self) -> (ConnectionId, Vec<Frame>) {
        loop {
            if let Inbound::Frames { connection, frames, .. } = self.next().await {
                return (connection, frames);
            }
        }
    }

    async fn answer(&self) -> Inbound {
        loop {
            let inbound = self.next().await;
            if !matches!(inbound, Inbound::Opened { .. } | Inbound::Frames { .. } | Inbound::Closed { .. }) {
                return inbound;
            }
        }
    }

    fn ask(&self, request: Request) {
        self.requests.try_send(request).expect("intake takes requests");
    }

    fn ask_snapshot(&self, instrument: u32, levels: u32) {
        self.ask(Request::Snapshot { instrument: InstrumentId(instrument), levels, after_ms: 0 });
    }
}

#[tokio::test]
async fn the_list_is_fetched_until_it_is_there_and_only_what_it_names_is_dialled() {
    let mut venue = StandIn::open().await;
    let at_work = start(&venue, &["BTCUSDT", "NOSUCHUSDT", "ETHUSDT"], 1);
    venue.asked().await.answer(503, &[], "");
    venue.asked().await.answer(200, &[], "<html>maintenance</html>");
    venue.asked().await.answer(200, &[], &exchange_info(&["ETHUSDT", "BTCUSDT", "XRPUSDT"]));

    let socket = venue.socket().await;
    let (_, instruments) = at_work.opened().await;
    assert_eq!(instruments, [InstrumentId(0), InstrumentId(2)]);
    for (name, is_there) in [("btcusdt", true), ("ethusdt", true), ("nosuchusdt", false), ("xrpusdt", false)] {
        assert_eq!(socket.path.contains(name), is_there, "{name} in {}", socket.path);
    }
    let base = |id| at_work.catalogue.instrument(InstrumentId(id)).listing().map(|listing| listing.base.clone());
    assert_eq!((base(0).as_deref(), base(1), base(2).as_deref()), (Some("BTC"), None, Some("ETH")));
}

#[tokio::test]
async fn one_symbol_that_the_venue_refuses_costs_only_itself() {
    let mut venue = StandIn::open().await;
    let symbols = ["BTCUSDT", "ETHUSDT", "NOSUCHUSDT", "XRPUSDT", "SOLUSDT"];
    let at_work = start(&venue, &symbols, 1);
    let mut listed = BTreeSet::new();
    while listed.len() < 4 {
        let asked = venue.asked().await;
        let named: Vec<_> = symbols.into_iter().filter(|symbol| asked.path.contains(symbol)).collect();
        if named.contains(&"NOSUCHUSDT") {
            asked.answer(400, &[], r#"{"code":-1121,"msg":"Invalid symbol."}"#);
        } else {
            listed.extend(named.iter().copied());
            asked.answer(200, &[], &exchange_info(&named));
        }
    }
    // The refused symbol may be asked for last of all.
    let refuse_the_rest = async {
        loop {
            venue.asked().await.answer(400, &[], r#"{"code":-1121,"msg":"Invalid symbol."}"#);
        }
    };
    let (_, instruments) = tokio::select! {
        opened = at_work.opened() => opened,
        () = refuse_the_rest => unreachable!("it loops"),
    };
    assert_eq!(instruments, [0, 1, 3, 4].map(InstrumentId));
}

#[tokio::test]
async fn a_farewell_brings_a_successor_before_the_close() {
    let mut venue = StandIn::open().await;
    let at_work = start(&venue, &["BTCUSDT"], 1);
    venue.list(&["BTCUSDT"]).await;
    let mut old = venue.socket().await;
    let (one, _) = at_work.opened().await;
    let farewell = r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1789000000000}}"#;
    old.stream.send(Message::text(farewell)).await.expect("sent");
    let (connection, frames) = at_work.frames().await;
    assert_eq!((connection, &frames[0].bytes[..]), (one, farewell.as_bytes()));

    let mut new = venue.socket().await;
    assert_eq!(new.path, old.path);
    let (two, _) = at_work.opened().await;
    assert!(two > one);
    old.stream.send(Message::text("from the old one")).await.expect("the old one is open");
    assert_eq!(at_work.frames().await.0, one);
    new.stream.send(Message::text("from the new one")).await.expect("sent");
    assert_eq!(at_work.frames().await.0, two);
    assert!(matches!(soon(old.stream.next()).await, Some(Ok(Message::Close(_)))));
    drop(old);
    loop {
        if let Inbound::Closed { connection, .. } = at_work.next().await {
            assert_eq!(connection, one);
            return;
        }
    }
}

#[tokio::test]
async fn two_copies_of_a_feed_are_two_connections() {
    let mut venue = StandIn::open().await;
    let at_work = start(&venue, &["BTCUSDT"], 2);
    venue.list(&["BTCUSDT"]).await;
    let (first, second) = (venue.socket().await, venue.socket().await);
    assert_eq!(first.path, second.path);
    assert_ne!(at_work.opened().await, at_work.opened().await);
}

#[tokio::test]
async fn a_snapshot_is_fetched_until_it_is_there() {
    let mut venue = StandIn::open().await;
    let at_work = start(&venue, &["BTCUSDT"], 1);
    venue.list(&["BTCUSDT"]).await;
    at_work.ask_snapshot(0, 1000);
    let asked = venue.asked().await;
    assert_eq!(asked.path, "/api/v3/depth?symbol=BTCUSDT&limit=1000");
    asked.answer(502, &[], "bad gateway");
    // An answer that never comes whole counts as none.
    drop(venue.asked().await);
    let body = r#"{"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],"asks":[]}"#;
    venue.asked().await.answer(200, &[("x-mbx-used-weight-1m", "170")], body);
    match at_work.answer().await {
        Inbound::Snapshot { instrument, levels, body: got } => {
            assert_eq!((instrument, levels, &got.bytes[..]), (InstrumentId(0), 1000, body.as_bytes()));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_limit_answer_pauses_every_request_for_as_long_as_the_venue_says() {
    let mut venue = StandIn::open().await;
    let at_work = start(&venue, &["BTCUSDT", "ETHUSDT"], 1);
    venue.list(&["BTCUSDT", "ETHUSDT"]).await;
    at_work.ask_snapshot(0, 1000);
    let asked = venue.asked().await;
    let answered = Instant::now();
    asked.answer(429, &[("Retry-After", "1")], r#"{"code":-1003,"msg":"Too much request weight used."}"#);
    // A failure stands in the metrics, not in a message; the pause is on once the answer has been seen.
    loop {
        if let Tapped::Response { status: 429, .. } = soon(at_work.tapped.recv_async()).await.expect("a tap") {
            break;
        }
    }
    at_work.ask_snapshot(1, 1000);
    at_work.ask(Request::Trades { instrument: InstrumentId(1), from_id: 28_457, count: 10 });
    let first = venue.asked().await;
    // Bounded from below only: the venue asked for one second, and got it.
    assert!(answered.elapsed() >= Duration::from_secs(1));
    assert!(first.path.contains("Trades") && first.path.contains("28457"), "trades go first: {}", first.path);
    first.answer(200, &[], "[]");
    assert!(matches!(at_work.answer().await, Inbound::Trades { instrument: InstrumentId(1), .. }));
    let mut paths = BTreeSet::new();
    for _ in 0..2 {
        let asked = venue.asked().await;
        paths.insert(asked.path.clone());
        asked.answer(200, &[], "{}");
    }
    assert!(paths.iter().any(|path| path.contains("BTCUSDT")) && paths.iter().any(|path| path.contains("ETHUSDT")));
}

#[tokio::test]
async fn four_requests_are_under_way_at_most() {
    let mut venue = StandIn::open().await;
    let names: Vec<_> = (0..12).map(|number| format!("COIN{number}USDT")).collect();
    let symbols: Vec<_> = names.iter().map(String::as_str).collect();
    let at_work = start(&venue, &symbols, 1);
    venue.list(&symbols).await;
    for instrument in 0..12 {
        at_work.ask_snapshot(instrument, 100);
    }
    let mut under_way = Vec::new();
    for answered in 0..12 {
        while under_way.len() < 4.min(12 - answered) {
            under_way.push(venue.asked().await);
        }
        assert!(venue.asked_already().is_none(), "a fifth request");
        under_way.swap_remove(answered % under_way.len()).answer(200, &[], "{}");
        at_work.answer().await;
    }
}

#[tokio::test]
async fn an_unreachable_venue_costs_the_others_nothing() {
    let mut venue = StandIn::open().await;
    let gone = StandIn::open().await;
    let nowhere = (format!("ws://{}", gone.ws), format!("http://{}", gone.rest));
    drop(gone);
    let here = (format!("ws://{}", venue.ws), format!("http://{}", venue.rest));
    let at_work = start_on(&Handle::current(), &[nowhere, here], &["BTCUSDT"], 1);
    venue.list(&["BTCUSDT"]).await;
    let mut socket = venue.socket().await;
    socket.stream.send(Message::text("{}")).await.expect("sent");
    let (_, instruments) = at_work.opened().await;
    assert_eq!(at_work.catalogue.instrument(instruments[0]).venue, VenueId(1));
    at_work.frames().await;
    soon(at_work.intake.stop()).await;
}

#[tokio::test]
async fn the_tap_has_everything_in_order() {
    let mut venue = StandIn::open().await;
    let at_work = start(&venue, &["BTCUSDT"], 1);
    venue.list(&["BTCUSDT"]).await;
    let mut socket = venue.socket().await;
    at_work.opened().await;
    socket.stream.send(Message::text("one")).await.expect("sent");
    at_work.frames().await;
    drop(socket);
    let mut kinds = Vec::new();
    while kinds.last() != Some(&"closed") {
        kinds.push(match soon(at_work.tapped.recv_async()).await.expect("a tap") {
            Tapped::Response { url, status, body, .. } => {
                assert!(url.starts_with(&format!("http://{}/api/v3/exchangeInfo", venue.rest)), "{url}");
                assert_eq!((status, &body[..]), (200, exchange_info(&["BTCUSDT"]).as_bytes()));
                "response"
            }
            Tapped::Opened { url, .. } => {
                assert!(url.starts_with(&format!("ws://{}/stream?", venue.ws)), "{url}");
                "opened"
            }
            Tapped::Received { frames, .. } => {
                assert_eq!(&frames[0].bytes[..], b"one");
                "received"
            }
            Tapped::Sent { .. } => "sent",
            Tapped::Closed { .. } => "closed",
        });
    }
    assert_eq!(kinds, ["response", "opened", "received", "closed"]);
}

#[tokio::test]
async fn a_stop_leaves_no_task_behind() {
    let mut venue = StandIn::open().await;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let addresses = [(format!("ws://{}", venue.ws), format!("http://{}", venue.rest))];
    let at_work = start_on(runtime.handle(), &addresses, &["BTCUSDT"], 2);
    venue.list(&["BTCUSDT"]).await;
    let (mut first, mut second) = (venue.socket().await, venue.socket().await);
    at_work.opened().await;
    at_work.opened().await;
    at_work.ask_snapshot(0, 1000);
    // This request is never answered; neither does it hold up the end.
    let _unanswered = venue.asked().await;
    assert!(runtime.metrics().num_alive_tasks() > 0);

    let both_closed = async {
        for socket in [&mut first, &mut second] {
            assert!(matches!(socket.stream.next().await, Some(Ok(Message::Close(_)))));
            assert!(socket.stream.next().await.is_none());
        }
    };
    soon(async { tokio::join!(at_work.intake.stop(), both_closed) }).await;
    let all_gone = async {
        while runtime.metrics().num_alive_tasks() > 0 {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(all_gone).await;
    while at_work.up.try_recv().is_ok() {}
    assert!(at_work.up.is_disconnected() && at_work.requests.is_disconnected());
    runtime.shutdown_background();
}

#[tokio::test]
async fn dropping_intake_ends_it_as_well() {
    let mut venue = StandIn::open().await;
    let at_work = start(&venue, &["BTCUSDT"], 1);
    venue.list(&["BTCUSDT"]).await;
    let _socket = venue.socket().await;
    at_work.opened().await;
    drop(at_work.intake);
    let gone = async { while at_work.up.recv_async().await.is_ok() {} };
    soon(gone).await;
}
