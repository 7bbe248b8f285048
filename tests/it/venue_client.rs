//! Plain clients for tests: a WebSocket, a REST request, and a local book kept by the venue's own recipe.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, protocol::CloseFrame},
};

/// Longer than anything takes that is going to happen at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// A WebSocket client.
pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// With a close frame.
    Closed(Option<CloseFrame>),
    /// Without one.
    Cut,
}

impl Client {
    pub async fn open(addr: SocketAddr, path: &str) -> Self {
        let (socket, _) = connect_async(format!("ws://{addr}{path}")).await.expect("the exchange accepts");
        Self { socket }
    }

    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("a message can be sent");
    }

    /// The next text message, or how the connection ended.
    pub async fn next(&mut self) -> Result<String, End> {
        timeout(PATIENCE, self.next_of_any_age()).await.expect("something comes")
    }

    async fn next_of_any_age(&mut self) -> Result<String, End> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(frame))) => return Err(End::Closed(frame)),
                Some(Ok(_)) => {}
                None | Some(Err(Error::ConnectionClosed)) => return Err(End::Closed(None)),
                Some(Err(_)) => return Err(End::Cut),
            }
        }
    }

    pub async fn text(&mut self) -> String {
        self.next().await.expect("the connection stays")
    }

    pub async fn json(&mut self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The next event for which `wanted` gives something.
    pub async fn find<T>(&mut self, mut wanted: impl FnMut(&Value) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.json().await) {
                return found;
            }
        }
    }
}

/// A REST answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// One GET over a connection of its own.
pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    let mut stream = TcpStream::connect(addr).await.expect("the exchange accepts");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request can be sent");
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer comes").expect("UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// A book kept as Binance's page on local order books says, of decimal strings, in the plainest way there is.
#[derive(Debug, Default, PartialEq)]
pub struct LocalBook {
    pub last_id: i64,
    pub bids: BTreeMap<i64, i64>,
    pub asks: BTreeMap<i64, i64>,
}

impl LocalBook {
    pub fn from_snapshot(snapshot: &Value) -> Self {
        let mut book = Self { last_id: snapshot["lastUpdateId"].as_i64().expect("an id"), ..Self::default() };
        apply(&mut book.bids, &snapshot["bids"]);
        apply(&mut book.asks, &snapshot["asks"]);
        book
    }

    /// Applies a diff; `false` if one is missing before it.
    pub fn diff(&mut self, event: &Value) -> bool {
        let (first, last) = (event["U"].as_i64().expect("U"), event["u"].as_i64().expect("u"));
        if last <= self.last_id {
            return true;
        }
        if first > self.last_id + 1 {
            return false;
        }
        apply(&mut self.bids, &event["b"]);
        apply(&mut self.asks, &event["a"]);
        self.last_id = last;
        true
    }
}

fn apply(side: &mut BTreeMap<i64, i64>, levels: &Value) {
    for level in levels.as_array().expect("levels") {
        let (price, quantity) = (eight(&level[0]), eight(&level[1]));
        if quantity == 0 {
            side.remove(&price);
        } else {
            side.insert(price, quantity);
        }
    }
}

/// Decimal text with exactly eight decimals, as an integer.
pub fn eight(text: &Value) -> i64 {
    let text = text.as_str().expect("a string");
    let (whole, fraction) = text.split_once('.').expect("a point");
    assert_eq!(fraction.len(), 8, "{text}");
    format!("{whole}{fraction}").parse().expect("digits")
}
