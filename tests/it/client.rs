//! Clients as bots are: plain, independent of the server's own code.

use std::{collections::BTreeMap, time::Duration};

use futures_util::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

/// Nothing here takes so long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a WebSocket with small buffers: thousands of them live in one test.
pub async fn open(url: &str) -> Socket {
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
    let opened = tokio::time::timeout(PATIENCE, connect_async_with_config(url, Some(config), true));
    opened.await.expect("the server answers").unwrap_or_else(|error| panic!("{url}: {error}")).0
}

/// The next text frame as JSON.
pub async fn next(socket: &mut Socket) -> Value {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("something comes");
        match message.expect("the connection stays open").expect("the connection is sound") {
            Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
            Message::Close(frame) => panic!("closed: {frame:?}"),
            _ => {}
        }
    }
}

/// One side by price text turned into an integer key; quantities as printed.
pub type Side = BTreeMap<i128, String>;

/// A book kept as Binance documents it, on strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalBook {
    pub last_id: i64,
    pub bids: Side,
    pub asks: Side,
}

impl LocalBook {
    /// A book from a REST body.
    pub fn from_rest(body: &Value) -> Self {
        let mut book = Self { last_id: body["lastUpdateId"].as_i64().expect("lastUpdateId"), ..Self::default() };
        set(&mut book.bids, &body["bids"]);
        set(&mut book.asks, &body["asks"]);
        book
    }

    /// Applies a diff that follows; says what is wrong if it does not.
    pub fn apply(&mut self, diff: &Value) -> Result<(), String> {
        let (first, last) = (diff["U"].as_i64().expect("U"), diff["u"].as_i64().expect("u"));
        if first != self.last_id + 1 || last < first {
            return Err(format!("{}: {first}..{last} does not follow {}", diff["s"], self.last_id));
        }
        self.merge(diff, last)
    }

    /// Applies a diff over a snapshot that lies inside it or before it.
    pub fn merge(&mut self, diff: &Value, last: i64) -> Result<(), String> {
        set(&mut self.bids, &diff["b"]);
        set(&mut self.asks, &diff["a"]);
        self.last_id = last;
        match (self.bids.last_key_value(), self.asks.first_key_value()) {
            (Some((bid, _)), Some((ask, _))) if bid >= ask => Err(format!("{}: crossed at {last}", diff["s"])),
            _ => Ok(()),
        }
    }
}

fn set(side: &mut Side, levels: &Value) {
    for level in levels.as_array().expect("levels") {
        let (price, quantity) = (level[0].as_str().expect("price"), level[1].as_str().expect("quantity"));
        if quantity.bytes().all(|byte| byte == b'0' || byte == b'.') {
            side.remove(&key(price));
        } else {
            side.insert(key(price), quantity.to_owned());
        }
    }
}

/// A price text with its point taken out: every price of a symbol is printed with the same places.
pub fn key(price: &str) -> i128 {
    price.replace('.', "").parse().expect("a decimal number")
}

/// An HTTP client for plain loopback addresses. Reqwest wants a provider of cryptography even where none is used.
pub fn http() -> reqwest::Client {
    let _installed_already = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// GETs a JSON body; the status has to be 200.
pub async fn get(url: &str) -> Value {
    let answer = http().get(url).send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    let (status, text) = (answer.status(), answer.text().await.expect("a body"));
    assert!(status.is_success(), "{url}: {status} {text}");
    serde_json::from_str(&text).expect("JSON")
}
