//! The doors on loopback with a real ring behind the views; only the shards are a channel, so that tests hold the sockets.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use tickcast::{
    clock::Beats,
    config::Config,
    market::{Best, Catalogue, Decimals, InstrumentId, Level, Listing, Nanos, Price, Quantity, Span, Status, Trade},
    ring::{Publisher, ring},
    server::{DoorError, Operations, Parts, Rejection, Server, Shards, Unattended, start},
    shard::Transport,
    store::Store,
    topic::{Batch, BookState, Encoding, Interest, Payload, Update},
    views::{Following, Views, follow},
};
use tokio::runtime::Runtime;

/// Longer than anything takes; only a hang meets it.
pub const HANG: Duration = Duration::from_secs(60);

/// A socket that was handed over.
pub struct Admitted {
    pub socket: TcpStream,
    pub early: Bytes,
    pub target: String,
    pub peer: SocketAddr,
}

struct Lobby(Mutex<Sender<Admitted>>);

impl Shards for Lobby {
    type Opening = String;

    fn opening(&self, target: &str, _: Encoding) -> Result<String, Rejection> {
        if target.starts_with("/ws") || target.starts_with("/stream") {
            return Ok(target.to_owned());
        }
        Err(Rejection { status: 404, body: "Invalid request path".to_owned() })
    }

    fn admit(&self, transport: Transport, early: Bytes, target: String, peer: SocketAddr) -> Result<(), Transport> {
        let socket = transport.socket;
        let admitted = Admitted { socket, early, target, peer };
        self.0.lock().expect("no panic while held").send(admitted).map_err(|unsent| unsent.0.socket.into())
    }
}

pub struct House {
    pub runtime: Runtime,
    pub server: Option<Server>,
    pub admitted: Option<Receiver<Admitted>>,
    pub catalogue: Arc<Catalogue>,
    pub public: SocketAddr,
    pub ops: SocketAddr,
    /// The loops that `/livez` judges; there are none yet.
    pub beats: Beats,
    publisher: Publisher<Batch>,
    _following: Following,
}

/// Defaults on free ports.
pub fn config() -> Config {
    let mut config = Config::embedded();
    config.server.listen = "127.0.0.1:0".parse().expect("an address");
    config.ops.listen = "127.0.0.1:0".parse().expect("an address");
    config.sbe.listen = None;
    // The times of what is published here are always the same, and long ago.
    config.ops.silence_max_ms = 0;
    config
}

impl House {
    pub fn new() -> Self {
        Self::with(&config()).expect("free ports")
    }

    /// BTCUSDT is listed, ETHUSDT is not.
    pub fn with(config: &Config) -> Result<Self, DoorError> {
        Self::operated(config, Unattended::shared())
    }

    /// The same with somebody at the operators' desk.
    pub fn operated(config: &Config, operations: Arc<dyn Operations>) -> Result<Self, DoorError> {
        // reqwest wants one even for plain HTTP; a second install is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut catalogue = Catalogue::new();
        let binance = catalogue.add_venue("binance", None);
        for symbol in ["BTCUSDT", "ETHUSDT"] {
            catalogue.add_instrument(binance, symbol, symbol);
        }
        let catalogue = Arc::new(catalogue);
        let views = Views::new(Arc::clone(&catalogue));
        let publisher = ring::<Batch>(64, 1 << 20);
        let following = follow(Arc::clone(&views), Arc::new(Interest::new(2)), |waker| vec![publisher.reader(waker)])
            .expect("a thread");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (sender, admitted) = channel();
        let lobby = Arc::new(Lobby(Mutex::new(sender)));
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || metrics::counter!("tickcast_house_total").increment(7));
        let store = Store::in_memory(Arc::clone(&catalogue));
        let beats = Beats::default();
        let parts = Parts {
            catalogue: Arc::clone(&catalogue),
            views,
            store,
            shards: lobby,
            prometheus: recorder.handle(),
            beats: beats.clone(),
            operations,
        };
        let server = start(runtime.handle(), config, parts)?;
        let (public, ops) = (server.public_addr(), server.ops_addr());
        let (server, admitted) = (Some(server), Some(admitted));
        Ok(Self { runtime, server, admitted, catalogue, public, ops, beats, publisher, _following: following })
    }

    pub fn list_btc(&self) {
        self.catalogue.instrument(InstrumentId(0)).list(listing("BTCUSDT", "BTC"));
    }

    /// Publishes a live book, a best and a trade of BTCUSDT.
    pub fn publish_btc(&mut self) {
        let level = |price, quantity| Level { price: Price(price), quantity: Quantity(quantity) };
        let levels = vec![level(200, 5), level(300, 7)];
        let [bids, asks] = [Span { start: 0, len: 1 }, Span { start: 1, len: 1 }];
        let time = Nanos::from_millis(1_789_000_000_000);
        let best = Best { update_id: 9, bid: levels[0], ask: levels[1] };
        let trade = Trade { id: 1, price: Price(250), quantity: Quantity(1), time, buyer_is_maker: true };
        let payloads = [
            Payload::BookSnapshot { last_id: 9, bids, asks, reset: false },
            Payload::BookTicker(best),
            Payload::Trade(trade),
            Payload::BookState(BookState::Live),
        ];
        let update = |payload| Update { instrument: InstrumentId(0), received: time, time, payload };
        let mut batch = Batch { updates: payloads.map(update).into(), levels, ..Batch::default() };
        self.publisher.publish(&mut batch);
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.public)
    }

    /// Sends `bytes` over a connection of its own and reads until the server closes.
    pub fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("written");
        read_all(&mut stream)
    }

    /// The next socket handed over.
    pub fn next_admitted(&self) -> Admitted {
        self.admitted.as_ref().expect("not taken").recv_timeout(HANG).expect("a socket")
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("an open door");
    stream.set_read_timeout(Some(HANG)).expect("not zero");
    stream.set_write_timeout(Some(HANG)).expect("not zero");
    stream
}

/// Everything until the other side closes; a reset ends it as well.
pub fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One response with a `content-length` (or none and no body): head and body.
pub fn read_response(stream: &mut TcpStream) -> (String, String) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream
            .read_exact(&mut byte)
            .unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&head)));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("ASCII").to_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().expect("a first part").parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("the whole body");
    (head, String::from_utf8(body).expect("UTF-8"))
}

/// What a venue says of a pair against USDT that is traded.
pub fn listing(native: &str, base: &str) -> Listing {
    Listing {
        native: native.to_owned(),
        base: base.to_owned(),
        quote: "USDT".to_owned(),
        decimals: Decimals::EIGHT,
        status: Status::Trading,
        tick_size: "0.01000000".to_owned(),
        step_size: "0.00001000".to_owned(),
        binance_info: None,
    }
}

/// Waits until `holds`; fails only on a hang.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("never happened: {what}");
}
