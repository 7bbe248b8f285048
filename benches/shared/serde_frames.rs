//! Frames of Binance Spot as one reads them with serde_json: borrowed structs, numbers scaled to integers.

#![allow(missing_docs, reason = "fields are Binance's")]

use serde::Deserialize;
use serde_json::value::RawValue;

/// Who takes what was read.
pub trait Takes {
    /// A diff.
    fn diff(&mut self, diff: &Diff<'_>);
    /// Best bid and ask.
    fn best(&mut self, best: &Best<'_>);
    /// A trade.
    fn trade(&mut self, trade: &Trade<'_>);
    /// An aggregate.
    fn agg_trade(&mut self, trade: &AggTrade<'_>);
}

/// Reads a frame of a combined stream: first what it is, then what it says.
pub fn read<T: Takes>(takes: &mut T, frame: &[u8]) {
    let Combined { stream, data } = serde_json::from_slice(frame).expect("a combined stream");
    let data = data.get();
    if stream.ends_with("@bookTicker") {
        takes.best(&serde_json::from_str(data).expect("JSON"));
    } else if stream.ends_with("@trade") {
        takes.trade(&serde_json::from_str(data).expect("JSON"));
    } else if stream.contains("@depth") {
        takes.diff(&serde_json::from_str(data).expect("JSON"));
    } else if stream.ends_with("@aggTrade") {
        takes.agg_trade(&serde_json::from_str(data).expect("JSON"));
    }
}

/// The same as one would write it after a look at the profile: the name of the stream is peeked at in the bytes, so that
/// the frame is read once.
pub fn read_peeked<T: Takes>(takes: &mut T, frame: &[u8]) {
    let stream = frame.split(|&byte| byte == b'"').nth(3).expect("a combined stream");
    if stream.ends_with(b"@bookTicker") {
        takes.best(&serde_json::from_slice::<Wrapped<Best<'_>>>(frame).expect("JSON").data);
    } else if stream.ends_with(b"@trade") {
        takes.trade(&serde_json::from_slice::<Wrapped<Trade<'_>>>(frame).expect("JSON").data);
    } else if stream.windows(6).any(|window| window == b"@depth") {
        takes.diff(&serde_json::from_slice::<Wrapped<Diff<'_>>>(frame).expect("JSON").data);
    } else if stream.ends_with(b"@aggTrade") {
        takes.agg_trade(&serde_json::from_slice::<Wrapped<AggTrade<'_>>>(frame).expect("JSON").data);
    }
}

/// Price and quantity.
pub fn level(&[price, quantity]: &[&str; 2]) -> (i64, i64) {
    (scaled(price), scaled(quantity))
}

/// With eight decimals, as Binance prints them.
pub fn scaled(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().expect("digits");
    let fraction = match fraction.len() {
        8 => fraction.parse().expect("digits"),
        length => fraction.parse::<i64>().unwrap_or(0) * 10_i64.pow(8 - length as u32),
    };
    whole * 100_000_000 + fraction
}

#[derive(Deserialize)]
struct Combined<'a> {
    stream: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Wrapped<T> {
    data: T,
}

/// `depthUpdate`.
#[derive(Deserialize)]
pub struct Diff<'a> {
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "E")]
    pub time: i64,
    #[serde(rename = "U")]
    pub first: i64,
    #[serde(rename = "u")]
    pub last: i64,
    #[serde(borrow, rename = "b")]
    pub bids: Vec<[&'a str; 2]>,
    #[serde(borrow, rename = "a")]
    pub asks: Vec<[&'a str; 2]>,
}

/// `bookTicker`.
#[derive(Deserialize)]
pub struct Best<'a> {
    #[serde(rename = "u")]
    pub id: i64,
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "b")]
    pub bid: &'a str,
    #[serde(rename = "B")]
    pub bid_quantity: &'a str,
    #[serde(rename = "a")]
    pub ask: &'a str,
    #[serde(rename = "A")]
    pub ask_quantity: &'a str,
}

/// `trade`.
#[derive(Deserialize)]
pub struct Trade<'a> {
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "t")]
    pub id: i64,
    #[serde(rename = "p")]
    pub price: &'a str,
    #[serde(rename = "q")]
    pub quantity: &'a str,
    #[serde(rename = "T")]
    pub time: i64,
    #[serde(rename = "m")]
    pub buyer_is_maker: bool,
}

/// `aggTrade`.
#[derive(Deserialize)]
pub struct AggTrade<'a> {
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "a")]
    pub id: i64,
    #[serde(rename = "p")]
    pub price: &'a str,
    #[serde(rename = "q")]
    pub quantity: &'a str,
    #[serde(rename = "T")]
    pub time: i64,
    #[serde(rename = "m")]
    pub buyer_is_maker: bool,
}

/// The answer of `/api/v3/depth`.
#[derive(Deserialize)]
pub struct Snapshot<'a> {
    #[serde(rename = "lastUpdateId")]
    pub last_id: i64,
    #[serde(borrow)]
    pub bids: Vec<[&'a str; 2]>,
    #[serde(borrow)]
    pub asks: Vec<[&'a str; 2]>,
}
