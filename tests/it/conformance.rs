//! The contract's tables, row by row, over real sockets: the real doors and a real shard below a ring that the tests fill.
//!
//! The last letter of a name says where the row is from: `_d` an official document, `_w` seen on the wire, `_c` read from
//! clients' code, `_i` inferred, `_o` open, so our own choice (binance.md, "Evidence tags").

mod catalogue;
mod clients;
mod errors;
mod life;
mod requests;
mod transport;
mod traps;

use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tickcast::{
    clock::Beats,
    config::Config,
    market::{Catalogue, Decimals, InstrumentId, Level, Listing, Nanos, Price, Quantity, Span, Trade},
    ring::{Publisher, ring},
    server::{self, Rejection, Server, Shards, Unattended},
    session::{self, Opening},
    shard::{Admission, Builder, Setup, Shard, Transport},
    store::Store,
    topic::{Batch, Cadence, Encoding, Interest, Payload, Update},
    views::{Following, Views, follow},
};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::house::{HANG, connect, listing};

/// When everything here is received and happens.
const NOW: Nanos = Nanos::from_micros(1_789_000_000_124_311);

const BTC: InstrumentId = InstrumentId(0);
const ETH: InstrumentId = InstrumentId(1);

/// The half below the ring: doors, one shard, views; and the pen that writes into the ring.
struct World {
    server: Option<Server>,
    runtime: Runtime,
    shard: Arc<OneShard>,
    publisher: Publisher<Batch>,
    public: SocketAddr,
    marks: i64,
    _following: Following,
}

struct OneShard {
    shard: Shard,
    catalogue: Arc<Catalogue>,
}

impl Shards for OneShard {
    type Opening = Opening;

    fn opening(&self, target: &str, _: Encoding) -> Result<Opening, Rejection> {
        session::opening(target, &self.catalogue)
            .map_err(|rejection| Rejection { status: rejection.status, body: rejection.body.to_owned() })
    }

    fn admit(&self, socket: Transport, early: Bytes, opening: Opening, peer: SocketAddr) -> Result<(), Transport> {
        self.shard.admit(Admission { socket, early, opening, peer }).map_err(|admission| admission.socket)
    }
}

impl World {
    /// BTCUSDT and ETHUSDT with eight decimals, 币安人生USDT with eight, SHIBIDR with two.
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = crate::house::config();
        config.session.messages_per_second = 0;
        adjust(&mut config);
        let mut catalogue = Catalogue::new();
        let binance = catalogue.add_venue("binance", None);
        for symbol in ["BTCUSDT", "ETHUSDT", "币安人生USDT", "SHIBIDR"] {
            catalogue.add_instrument(binance, symbol, symbol);
        }
        for instrument in catalogue.instruments() {
            let two = Decimals { price: 2, quantity: 2, quote: 2, checksum_price: 2, checksum_quantity: 2 };
            let decimals = if &*instrument.symbol == "SHIBIDR" { two } else { Decimals::EIGHT };
            list(instrument, decimals);
        }
        let catalogue = Arc::new(catalogue);
        let interest = Arc::new(Interest::new(catalogue.instruments().len()));
        let publisher = ring::<Batch>(config.ring.slots, config.ring.bytes);
        let views = Views::new(Arc::clone(&catalogue));
        let following =
            follow(Arc::clone(&views), Arc::clone(&interest), |waker| vec![publisher.reader(waker)]).expect("a thread");
        let builder = Builder::new(0).expect("a poll");
        let setup = Setup {
            core: None,
            readers: vec![publisher.reader(builder.waker())],
            catalogue: Arc::clone(&catalogue),
            interest,
            session: config.session.clone(),
            delivery: config.delivery.clone(),
        };
        let shard = builder.start(setup).expect("a thread");
        let shard = Arc::new(OneShard { shard, catalogue: Arc::clone(&catalogue) });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let store = Store::in_memory(Arc::clone(&catalogue));
        let parts = server::Parts {
            catalogue,
            views,
            store,
            shards: Arc::clone(&shard),
            prometheus: recorder.handle(),
            beats: Beats::default(),
            operations: Unattended::shared(),
        };
        let server = server::start(runtime.handle(), &config, parts).expect("doors");
        let public = server.public_addr();
        let server = Some(server);
        Self { server, runtime, shard, publisher, public, marks: 0, _following: following }
    }

    /// Publishes one batch whose updates are about `instrument`.
    fn publish(&mut self, instrument: InstrumentId, payload: Payload, mut batch: Batch) {
        batch.updates = vec![Update { instrument, received: NOW, time: NOW, payload }];
        self.publisher.publish(&mut batch);
    }

    /// Publishes a trade of ETHUSDT and returns its text: who follows `ethusdt@trade` and hears it next, has heard
    /// nothing else before.
    fn mark(&mut self) -> String {
        self.marks += 1;
        let id = self.marks;
        self.publish(ETH, trade(id), Batch::default());
        trade_text("ETHUSDT", id)
    }

    /// Opens a WebSocket at path and query. The shard has it when this returns: it has answered.
    fn open(&self, target: &str) -> Client {
        let mut client = self.try_open(target).unwrap_or_else(|status| panic!("{target}: {status}"));
        let answer = client.ask(r#"{"method":"GET_PROPERTY","params":["combined"],"id":0}"#);
        assert!(answer.starts_with(r#"{"result":"#), "{answer}");
        client
    }

    /// Only opens it; or the status of the refusal.
    fn try_open(&self, target: &str) -> Result<Client, u16> {
        let url = format!("ws://{}{target}", self.public);
        match tungstenite::client(url, connect(self.public)) {
            Ok((socket, _)) => Ok(Client { socket }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                Err(response.status().as_u16())
            }
            Err(other) => panic!("{target}: {other}"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

fn list(instrument: &tickcast::market::Instrument, decimals: Decimals) {
    instrument.list(Listing { decimals, ..listing(&instrument.native, "BASE") });
}

/// A client that says and hears whole messages.
struct Client {
    socket: WebSocket<TcpStream>,
}

impl Client {
    fn send(&mut self, message: Message) {
        self.socket.send(message).expect("the server listens");
    }

    fn say(&mut self, text: &str) {
        self.send(Message::text(text));
    }

    fn next(&mut self) -> Message {
        self.socket.read().expect("the connection is sound")
    }

    /// The next text; pings are answered on the way.
    fn hear(&mut self) -> String {
        loop {
            match self.next() {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) => {}
                other => panic!("a text was to come, not {other:?}"),
            }
        }
    }

    /// What the server says to `text`.
    fn ask(&mut self, text: &str) -> String {
        self.say(text);
        self.hear()
    }

    #[track_caller]
    fn expect(&mut self, text: &str, answer: &str) {
        assert_eq!(self.ask(text), answer, "to {text}");
    }

    #[track_caller]
    fn subscribe(&mut self, names: &[&str]) {
        let names = serde_json::to_string(names).expect("text");
        self.expect(&format!(r#"{{"method":"SUBSCRIBE","params":{names},"id":1}}"#), r#"{"result":null,"id":1}"#);
    }

    #[track_caller]
    fn expect_list(&mut self, names: &[&str]) {
        let names = serde_json::to_string(names).expect("text");
        self.expect(r#"{"method":"LIST_SUBSCRIPTIONS","id":9}"#, &format!(r#"{{"result":{names},"id":9}}"#));
    }

    /// The code and reason of the close frame, which has to come next.
    fn closed(&mut self) -> (u16, String) {
        match self.next() {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("a close was to come, not {other:?}"),
        }
    }
}

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

fn trade(id: i64) -> Payload {
    let time = Nanos::from_micros(1_789_000_000_123_456);
    Payload::Trade(Trade {
        id,
        price: Price(277_035_000_000),
        quantity: Quantity(71_000_000),
        time,
        buyer_is_maker: true,
    })
}

fn trade_text(symbol: &str, id: i64) -> String {
    format!(
        r#"{{"e":"trade","E":1789000000124,"s":"{symbol}","t":{id},"p":"2770.35000000","q":"0.71000000","T":1789000000123,"m":true,"M":true}}"#
    )
}

/// One bid changed and one ask gone, at ids 11 to 12.
fn diff(cadence: Cadence) -> (Payload, Batch) {
    let levels = vec![level(8_670_477_000_000, 467_823_000), level(8_670_478_000_000, 0)];
    let [bids, asks] = [Span { start: 0, len: 1 }, Span { start: 1, len: 1 }];
    (Payload::DepthDiff { cadence, first_id: 11, last_id: 12, bids, asks }, Batch { levels, ..Batch::default() })
}

fn diff_text(symbol: &str) -> String {
    format!(
        r#"{{"e":"depthUpdate","E":1789000000124,"s":"{symbol}","U":11,"u":12,"b":[["86704.77000000","4.67823000"]],"a":[["86704.78000000","0.00000000"]]}}"#
    )
}

fn combined(name: &str, body: &str) -> String {
    format!(r#"{{"stream":"{name}","data":{body}}}"#)
}

/// Nothing lasts longer unless it hangs.
const PATIENCE: Duration = HANG;
