//! What the tests of this room share: an upstream towards a stand-in on a loopback port, and a clock to give up by.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::{
    Tap, Tapped, VenueFeed, tls,
    upstream::{Common, Stop, Uplink, Upstream},
};
use crate::{
    config,
    intake::Inbound,
    market::{Catalogue, VenueId},
    venue::{AnyProtocol, Dial},
};

/// An upstream with its two ends: what it hands up, and the signal that stops it.
pub(super) struct Bench {
    pub(super) upstream: Upstream,
    pub(super) up: flume::Receiver<Inbound>,
    pub(super) tapped: flume::Receiver<Tapped>,
    pub(super) stop: watch::Sender<bool>,
}

/// An upstream whose sockets go to `listener`, with `settings` changed by `change`.
pub(super) fn bench(listener: &TcpListener, change: impl FnOnce(&mut config::Intake)) -> Bench {
    bench_with_room(64, listener, change)
}

/// As [`bench`], with room for so many things that nobody has taken yet.
pub(super) fn bench_with_room(room: usize, listener: &TcpListener, change: impl FnOnce(&mut config::Intake)) -> Bench {
    let mut settings = config::Config::embedded().intake;
    change(&mut settings);
    let mut catalogue = Catalogue::new();
    catalogue.add_venue("test", None);
    catalogue.add_instrument(VenueId(0), "BTCUSDT", "BTCUSDT");
    let (sender, up) = flume::bounded(room);
    let (tap, tapped) = Tap::new(10_000);
    let (stop, stopped) = watch::channel(false);
    let common = Common {
        catalogue: Arc::new(catalogue),
        settings,
        uplink: Uplink::new(sender, Stop::new(stopped)),
        tap: Some(tap),
        tls: tls::client_config(tls::public_roots()),
        connection_ids: Arc::default(),
    };
    let address = listener.local_addr().expect("a bound listener");
    let feed = VenueFeed {
        id: VenueId(0),
        protocol: Arc::new(AnyProtocol::new("binance", 1000, 1).expect("a known kind")),
        ws_url: format!("ws://{address}"),
        rest_url: format!("http://{address}"),
        connections: 1,
    };
    Bench { upstream: Upstream::new(feed, &common), up, tapped, stop }
}

pub(super) fn dial() -> Dial {
    Dial { path: "/stream".to_owned(), messages: Vec::new(), instruments: vec![crate::market::InstrumentId(0)] }
}

pub(super) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port")
}

/// The venue's side of the next connection.
pub(super) async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = soon(listener.accept()).await.expect("a connection");
    soon(accept_async(stream)).await.expect("an upgrade")
}

/// The next thing handed up.
pub(super) async fn next(up: &flume::Receiver<Inbound>) -> Inbound {
    soon(up.recv_async()).await.expect("the feed lives")
}

/// The texts of the next frames handed up, `count` of them, from whichever connection.
pub(super) async fn texts(up: &flume::Receiver<Inbound>, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        if let Inbound::Frames { frames, .. } = next(up).await {
            texts.extend(frames.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()));
        }
    }
    texts
}

/// What `future` brings; a test that waits in vain fails instead of hanging.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it happens within 30 s")
}
