//! A small Kraken on a loopback socket: what it is asked it answers, and what it is told to do wrong it does.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use fastrand::Rng;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

use super::market::{Pair, Truth, Window, decimal};

/// The exchange. Its tasks end with it.
pub struct Exchange {
    pub address: SocketAddr,
    floor: Arc<Mutex<Floor>>,
    _tasks: JoinSet<()>,
}

/// What all connections share.
pub struct Floor {
    pub markets: BTreeMap<&'static str, Truth>,
    rng: Rng,
    /// Nothing changes any more.
    pub is_quiet: bool,
    /// Levels per side that are acknowledged and sent, whatever was asked for.
    pub depth: Option<usize>,
    /// Listed, and refused at the subscription.
    pub refused: BTreeSet<&'static str>,
    /// The next update of these books says a wrong checksum.
    pub lies: BTreeSet<&'static str>,
    /// The next update of these books is not sent.
    pub losses: BTreeSet<&'static str>,
    /// So many book subscriptions are refused for going too fast.
    pub too_fast: u32,
    /// Connections with a lower number are cut without a word.
    pub cut_below: u32,
    /// Connections so far, those for the list among them.
    pub connections: u32,
    /// Methods, channels and symbols that were asked for, by connection.
    pub asked: Vec<(u32, Value)>,
}

impl Exchange {
    pub async fn open(pairs: &[Pair], seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let markets = pairs.iter().map(|pair| (pair.native, Truth::new(*pair, &mut rng))).collect();
        let floor = Arc::new(Mutex::new(Floor {
            markets,
            rng,
            is_quiet: false,
            depth: None,
            refused: BTreeSet::new(),
            lies: BTreeSet::new(),
            losses: BTreeSet::new(),
            too_fast: 0,
            cut_below: 0,
            connections: 0,
            asked: Vec::new(),
        }));
        let door = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = door.local_addr().expect("a bound listener");
        let mut tasks = JoinSet::new();
        tasks.spawn(trade(Arc::clone(&floor)));
        tasks.spawn(serve(door, Arc::clone(&floor)));
        Self { address, floor, _tasks: tasks }
    }

    pub fn floor(&self) -> MutexGuard<'_, Floor> {
        self.floor.lock().expect("no test has failed while it held this")
    }

    /// The symbols of every message with this method about this channel.
    pub fn asked(&self, method: &str, channel: &str) -> Vec<Value> {
        let floor = self.floor();
        let is_it = |message: &&Value| message["method"] == method && message["params"]["channel"] == channel;
        floor.asked.iter().map(|(_, message)| message).filter(is_it).map(|it| it["params"]["symbol"].clone()).collect()
    }
}

impl Floor {
    /// Cuts every connection that there is.
    pub fn cut(&mut self) {
        self.cut_below = self.connections + 1;
    }
}

/// Orders come and go.
async fn trade(floor: Arc<Mutex<Floor>>) {
    loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let Floor { markets, rng, is_quiet, .. } = &mut *floor.lock().expect("no test has failed while it held this");
        if !*is_quiet {
            for market in markets.values_mut() {
                market.change(rng);
            }
        }
    }
}

async fn serve(door: TcpListener, floor: Arc<Mutex<Floor>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = door.accept().await {
        let floor = Arc::clone(&floor);
        connections.spawn(async move {
            let Ok(stream) = accept_async(stream).await else { return };
            let number = {
                let mut floor = floor.lock().expect("no test has failed while it held this");
                floor.connections += 1;
                floor.connections
            };
            Connection { floor, number, books: BTreeMap::new(), trades: BTreeMap::new() }.run(stream).await;
        });
    }
}

/// One client, as the exchange sees it.
struct Connection {
    floor: Arc<Mutex<Floor>>,
    number: u32,
    /// Subscribed books with their depth and what the client has by now.
    books: BTreeMap<&'static str, (usize, Window)>,
    /// Subscribed trades with how many orders were told.
    trades: BTreeMap<&'static str, usize>,
}

impl Connection {
    async fn run(mut self, mut stream: WebSocketStream<TcpStream>) {
        let status = r#"{"channel":"status","type":"update","data":[{"version":"2.0.0","system":"online","api_version":"v2","connection_id":13834774380200032777}]}"#;
        let mut out = vec![status.to_owned()];
        let mut beats = 0_u32;
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        loop {
            for text in out.drain(..) {
                if stream.send(Message::text(text)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(Message::Text(text))) => self.answer(&text, &mut out),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {}
                },
                _ = beat.tick() => {
                    beats += 1;
                    if beats.is_multiple_of(100) {
                        out.push(r#"{"channel":"heartbeat"}"#.to_owned());
                    }
                    if !self.tell(&mut out) {
                        return;
                    }
                }
            }
        }
    }

    fn answer(&mut self, text: &str, out: &mut Vec<String>) {
        let floor = Arc::clone(&self.floor);
        let mut floor = floor.lock().expect("no test has failed while it held this");
        let message: Value = serde_json::from_str(text).expect("the program sends JSON");
        floor.asked.push((self.number, message.clone()));
        let params = &message["params"];
        match (message["method"].as_str().expect("a method"), params["channel"].as_str()) {
            ("ping", _) => out.push(r#"{"method":"pong","time_in":"x","time_out":"y"}"#.to_owned()),
            ("subscribe", Some("instrument")) => {
                let result = json!({ "channel": "instrument", "snapshot": true });
                out.push(json!({ "method": "subscribe", "result": result, "success": true }).to_string());
                out.push(instruments(&floor));
            }
            (method, Some(channel @ ("book" | "trade"))) => {
                for symbol in params["symbol"].as_array().expect("a list of symbols") {
                    let symbol = symbol.as_str().expect("text");
                    let depth = params["depth"].as_u64().map(|depth| depth as usize);
                    match method {
                        "subscribe" => self.subscribe(channel, symbol, depth, &mut floor, out),
                        "unsubscribe" => self.unsubscribe(channel, symbol, out),
                        _ => panic!("{text}"),
                    }
                }
            }
            _ => panic!("{text}"),
        }
    }

    fn subscribe(
        &mut self,
        channel: &str,
        symbol: &str,
        depth: Option<usize>,
        floor: &mut Floor,
        out: &mut Vec<String>,
    ) {
        let no = |error: String| {
            json!({ "error": error, "method": "subscribe", "success": false, "symbol": symbol }).to_string()
        };
        let Floor { markets, rng, refused, depth: given, too_fast, .. } = floor;
        let Some(market) = markets.get(symbol).filter(|market| !refused.contains(market.pair.native)) else {
            out.push(no(format!("Currency pair not supported {symbol}")));
            return;
        };
        let native = market.pair.native;
        if channel == "trade" {
            self.trades.insert(native, market.fills.len());
            let result = json!({ "channel": "trade", "snapshot": false, "symbol": symbol });
            out.push(json!({ "method": "subscribe", "result": result, "success": true }).to_string());
            return;
        }
        if *too_fast > 0 {
            *too_fast -= 1;
            out.push(no("Exceeded msg rate".to_owned()));
            return;
        }
        let depth = given.or(depth).expect("a book is asked for with its depth");
        let result = json!({ "channel": "book", "depth": depth, "snapshot": true, "symbol": symbol });
        out.push(json!({ "method": "subscribe", "result": result, "success": true }).to_string());
        out.push(market.snapshot(depth, rng));
        self.books.insert(native, (depth, market.window(depth)));
    }

    fn unsubscribe(&mut self, channel: &str, symbol: &str, out: &mut Vec<String>) {
        let was_there = match channel {
            "book" => self.books.remove(symbol).is_some(),
            _ => self.trades.remove(symbol).is_some(),
        };
        out.push(if was_there {
            let result = json!({ "channel": channel, "symbol": symbol });
            json!({ "method": "unsubscribe", "result": result, "success": true }).to_string()
        } else {
            json!({ "error": "Subscription Not Found", "method": "unsubscribe", "success": false, "symbol": symbol })
                .to_string()
        });
    }

    /// What has changed since the last time; `false`: this connection is cut.
    fn tell(&mut self, out: &mut Vec<String>) -> bool {
        let mut floor = self.floor.lock().expect("no test has failed while it held this");
        let Floor { markets, rng, lies, losses, cut_below, .. } = &mut *floor;
        if self.number < *cut_below {
            return false;
        }
        for (native, (depth, window)) in &mut self.books {
            let market = &markets[native];
            let now = market.window(*depth);
            if now == *window {
                continue;
            }
            // The top ten have to differ, or the loss would be one that no checksum can show.
            let shows = market.checksum(&now) != market.checksum(window);
            if !(shows && losses.remove(native)) {
                let error = u32::from(lies.remove(native));
                out.push(market.update(window, &now, error, rng));
            }
            *window = now;
        }
        for (native, told) in &mut self.trades {
            let market = &markets[native];
            for fills in &market.fills[*told..] {
                out.push(market.trade(fills, rng));
            }
            *told = market.fills.len();
        }
        true
    }
}

/// The whole list, with a pair that nobody configured and one that cannot be read.
fn instruments(floor: &Floor) -> String {
    let mut pairs: Vec<_> = floor
        .markets
        .values()
        .map(|market| {
            let Pair { native, price_precision, qty_precision, .. } = market.pair;
            let (base, quote) = native.split_once('/').expect("two assets");
            let (price, quantity) = (decimal(1, price_precision), decimal(1, qty_precision));
            format!(
                r#"{{"symbol":"{native}","base":"{base}","quote":"{quote}","status":"online","qty_precision":{qty_precision},"qty_increment":{quantity},"price_precision":{price_precision},"cost_precision":5,"marginable":false,"has_index":true,"cost_min":0.50,"price_increment":{price},"qty_min":{quantity}}}"#
            )
        })
        .collect();
    pairs.push(
        r#"{"symbol":"NEW/USD","base":"NEW","quote":"USD","status":"online","qty_precision":40,"price_precision":40}"#
            .to_owned(),
    );
    format!(r#"{{"channel":"instrument","type":"snapshot","data":{{"assets":[],"pairs":[{}]}}}}"#, pairs.join(","))
}
