//! Clients of Kraken's markets, as bots are: each checks every event, and at quiet what it has against the exchange.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::time::timeout;

use super::{
    exchange::Exchange,
    market::{Levels, Pair, Window, decimal},
};
use crate::client::{self, LocalBook, Socket};

/// What the followers of one run share.
#[derive(Clone, Default)]
pub struct Run {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    events: [AtomicUsize; 5],
    /// The market stands still.
    is_quiet: AtomicBool,
}

/// What is followed, for counting.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Diffs,
    Partials,
    Bests,
    Trades,
    Aggregates,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Diffs, Self::Partials, Self::Bests, Self::Trades, Self::Aggregates];
}

impl Run {
    pub fn events(&self, kind: Kind) -> usize {
        self.shared.events[kind as usize].load(Ordering::Relaxed)
    }

    pub fn quiet(&self) {
        self.shared.is_quiet.store(true, Ordering::Relaxed);
    }

    fn is_quiet(&self) -> bool {
        self.shared.is_quiet.load(Ordering::Relaxed)
    }

    fn count(&self, kind: Kind) {
        self.shared.events[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The next event; `None`: none came for a moment, which is when a reader looks whether it is done.
    async fn next(&self, socket: &mut Socket) -> Option<Value> {
        timeout(Duration::from_millis(100), client::next(socket)).await.ok()
    }
}

/// The served book of `pair` as it has to be at quiet: what the exchange would send of it.
pub fn expected(exchange: &Exchange, pair: Pair, depth: usize) -> Window {
    exchange.floor().markets[pair.native].window(depth)
}

/// Keeps a book by Binance's procedure until the market is quiet and the book is right.
pub async fn book(run: Run, exchange: Arc<Exchange>, pair: Pair, depth: usize, stream: String, rest: String) {
    let mut socket = client::open(&stream).await;
    let symbol = pair.symbol();
    let mut first = payload(client::next(&mut socket).await);
    let mut book = loop {
        let body = client::get(&format!("{rest}/depth?symbol={symbol}&limit=1000")).await;
        let book = LocalBook::from_rest(&body);
        if book.last_id + 1 >= first["U"].as_i64().expect("U") {
            break book;
        }
    };
    while first["u"].as_i64().expect("u") <= book.last_id {
        first = payload(client::next(&mut socket).await);
    }
    let last = first["u"].as_i64().expect("u");
    book.merge(&first, last).unwrap_or_else(|wrong| panic!("{stream}: {wrong}"));
    loop {
        if run.is_quiet() && is_equal(&book, &expected(&exchange, pair, depth), pair) {
            return;
        }
        let Some(diff) = run.next(&mut socket).await.map(payload) else { continue };
        assert_eq!((&diff["e"], &diff["s"]), (&Value::from("depthUpdate"), &Value::from(symbol.as_str())));
        book.apply(&diff).unwrap_or_else(|wrong| panic!("{stream}: {wrong}"));
        assert!(book.bids.len() <= depth && book.asks.len() <= depth, "{stream}: the window is cut");
        run.count(Kind::Diffs);
    }
}

/// Ids rise, five levels at most in order, never crossed; the last one is the top of the book.
pub async fn partial(run: Run, exchange: Arc<Exchange>, pair: Pair, stream: String) {
    let mut socket = client::open(&stream).await;
    let mut last_id = i64::MIN;
    let mut top = LocalBook::default();
    loop {
        if run.is_quiet() && is_equal(&top, &expected(&exchange, pair, 5), pair) {
            return;
        }
        let Some(body) = run.next(&mut socket).await.map(payload) else { continue };
        top = LocalBook::from_rest(&body);
        assert!(top.last_id > last_id, "{stream}: {body} came after {last_id}");
        last_id = top.last_id;
        assert!(top.bids.len() == 5 && top.asks.len() == 5, "{stream}: {body}");
        assert!(top.bids.keys().last() < top.asks.keys().next(), "{stream}: crossed {body}");
        run.count(Kind::Partials);
    }
}

/// Ids rise, values change, never crossed; the last one is the top of the book.
pub async fn best(run: Run, exchange: Arc<Exchange>, pair: Pair, stream: String) {
    let mut socket = client::open(&stream).await;
    let (mut last_id, mut values) = (i64::MIN, None);
    let (price_places, quantity_places) = pair.places();
    loop {
        if run.is_quiet() {
            let Window { bids, asks } = expected(&exchange, pair, 1);
            let text = |side: &Levels| {
                let (price, quantity) = side.first_key_value().expect("never empty");
                let price = padded(*price, pair.price_precision, price_places);
                [price, padded(*quantity, pair.qty_precision, quantity_places)]
            };
            if values.as_ref() == Some(&[text(&bids), text(&asks)]) {
                return;
            }
        }
        let Some(event) = run.next(&mut socket).await.map(payload) else { continue };
        let text = |key: &str| event[key].as_str().expect("decimal text").to_owned();
        let id = event["u"].as_i64().expect("u");
        assert!(id > last_id, "{stream}: {event} came after {last_id}");
        let now = [[text("b"), text("B")], [text("a"), text("A")]];
        assert_ne!(Some(&now), values.as_ref(), "{stream}: nothing changed");
        assert!(client::key(&now[0][0]) < client::key(&now[1][0]), "{stream}: crossed {event}");
        (last_id, values) = (id, Some(now));
        run.count(Kind::Bests);
    }
}

/// Each fill of the exchange once and in order; holes are where a connection was cut, `cuts` times at most.
pub async fn trades(run: Run, exchange: Arc<Exchange>, pair: Pair, stream: String, cuts: usize) {
    let mut socket = client::open(&stream).await;
    let (price_places, quantity_places) = pair.places();
    let (mut last_id, mut holes) = (None, 0);
    loop {
        let newest = exchange.floor().markets[pair.native].fills.iter().flatten().last().map(|fill| fill.id);
        if run.is_quiet() && last_id == newest {
            return;
        }
        let Some(event) = run.next(&mut socket).await.map(payload) else { continue };
        let id = event["t"].as_i64().expect("t");
        assert!(last_id.is_none_or(|last| id > last), "{stream}: {event} came after {last_id:?}");
        holes += usize::from(last_id.is_some_and(|last| id != last + 1));
        assert!(holes <= cuts, "{stream}: {event} came after {last_id:?}");
        last_id = Some(id);
        let floor = exchange.floor();
        let fills = floor.markets[pair.native].fills.iter().flatten();
        let fill = fills.into_iter().find(|fill| fill.id == id).expect("a fill of the exchange");
        assert_eq!(event["p"], padded(fill.price, pair.price_precision, price_places));
        assert_eq!(event["q"], padded(fill.quantity, pair.qty_precision, quantity_places));
        assert_eq!(event["m"], fill.taker_sold);
        assert_eq!(event["T"], fill.time.millis());
        run.count(Kind::Trades);
    }
}

/// `a` is the id of the last fill; what is summed is what the exchange filled, each once.
pub async fn aggregates(run: Run, exchange: Arc<Exchange>, pair: Pair, stream: String) {
    let mut socket = client::open(&stream).await;
    let quantity_places = pair.places().1;
    let mut last_id = None;
    loop {
        let newest = exchange.floor().markets[pair.native].fills.iter().flatten().last().map(|fill| fill.id);
        if run.is_quiet() && last_id == newest {
            return;
        }
        let Some(event) = run.next(&mut socket).await.map(payload) else { continue };
        let id = |key: &str| event[key].as_i64().expect("an id");
        let (first, last) = (id("f"), id("l"));
        assert_eq!(id("a"), last, "{stream}: {event}");
        assert!(first <= last && last_id.is_none_or(|before| first > before), "{stream}: {event} after {last_id:?}");
        last_id = Some(last);
        let floor = exchange.floor();
        let fills = floor.markets[pair.native].fills.iter().flatten();
        let sum: i64 = fills.filter(|fill| (first..=last).contains(&fill.id)).map(|fill| fill.quantity).sum();
        assert_eq!(event["q"], padded(sum, pair.qty_precision, quantity_places), "{stream}: {event}");
        run.count(Kind::Aggregates);
    }
}

/// Whether this book, as printed for clients, is what the exchange would show.
pub fn is_equal(book: &LocalBook, window: &Window, pair: Pair) -> bool {
    let (price_places, quantity_places) = pair.places();
    let factor = 10_i128.pow(u32::from(price_places - pair.price_precision));
    let side = |levels: &Levels| -> client::Side {
        let text = |quantity: &i64| padded(*quantity, pair.qty_precision, quantity_places);
        levels.iter().map(|(price, quantity)| (i128::from(*price) * factor, text(quantity))).collect()
    };
    book.bids == side(&window.bids) && book.asks == side(&window.asks)
}

/// A number of the exchange with the places that clients see.
pub fn padded(mantissa: i64, precision: u8, places: u8) -> String {
    let text = decimal(mantissa, precision);
    let point = if precision == 0 { "." } else { "" };
    format!("{text}{point}{}", "0".repeat(usize::from(places - precision)))
}

/// The event itself, wrapped or not.
fn payload(mut event: Value) -> Value {
    match event.get_mut("data") {
        Some(data) => data.take(),
        None => event,
    }
}
