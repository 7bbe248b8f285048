//! A recording of Binance, taken apart: frames by stream, whole books by symbol, what exchangeInfo said.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::Arc,
};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    market::Nanos,
    recording::{Kind, Record, Recording},
    sim::{
        control::Query,
        decimal::{ONE, divide_nearest, parse, push},
        replay::stage::Topic,
    },
};

/// What is played at one place.
#[derive(Debug)]
pub(super) enum Entry {
    /// A frame, without its wrapper.
    Frame { topic: Topic, payload: Bytes },
    /// A whole book that came over REST.
    Book { symbol: Arc<str>, body: Bytes },
}

/// The parts of a recording.
#[derive(Debug, Default)]
pub(super) struct Reel {
    pub(super) entries: Vec<Entry>,
    pub(super) times: Vec<Nanos>,
    /// Topics by stream name.
    pub(super) topics: HashMap<String, Topic>,
    /// Symbols that were recorded, upper case, with their exchangeInfo objects.
    pub(super) symbols: BTreeMap<Arc<str>, String>,
    /// Answers that came over REST, with their status, by what was asked for ([`request_key`]), in order.
    pub(super) answers: HashMap<String, Vec<(u16, Bytes)>>,
}

impl Reel {
    /// Takes `recording` apart; only `wanted` symbols count, or all if that is empty.
    pub(super) fn new(recording: &Recording, wanted: &[String]) -> Self {
        let mut reel = Self::default();
        let mut recorded_info: HashMap<String, String> = HashMap::new();
        let mut names: HashMap<u32, Vec<String>> = HashMap::new();
        let is_wanted = |symbol: &str| wanted.is_empty() || wanted.iter().any(|name| name == symbol);
        for record in recording.records() {
            match &record.kind {
                Kind::Opened { url } => {
                    names.insert(record.connection, names_in_url(url));
                }
                Kind::Sent => names.entry(record.connection).or_default().extend(names_in_message(&record.bytes)),
                Kind::Response { url, status: 200 } if url.contains("/depth?") => {
                    let (_, query) = url.split_once('?').unwrap_or((url, ""));
                    if let Some(symbol) = Query::parse(query).get("symbol").filter(|symbol| is_wanted(symbol)) {
                        reel.add_symbol(symbol);
                        reel.push(record, Entry::Book { symbol: symbol.into(), body: record.bytes.clone() });
                    }
                }
                Kind::Response { url, status: 200 } if url.contains("/exchangeInfo") => {
                    recorded_info.extend(infos_in(&record.bytes));
                }
                // Who is refused for the moment asks again; all else is what there is to say.
                Kind::Response { url, status } if matches!(status, 200 | 400 | 404) => {
                    if let Some(at) = url.find("/api/v3/") {
                        let (path, query) = url[at..].split_once('?').unwrap_or((&url[at..], ""));
                        let answers = reel.answers.entry(request_key(path, &Query::parse(query))).or_default();
                        answers.push((*status, record.bytes.clone()));
                    }
                }
                Kind::Received => {
                    let names = names.get(&record.connection).map_or(&[][..], Vec::as_slice);
                    let Some((stream, payload)) = frame(record, names) else { continue };
                    let symbol = stream.split('@').next().unwrap_or("").to_uppercase();
                    let is_of_all = symbol.starts_with('!');
                    if is_of_all || is_wanted(&symbol) {
                        if !is_of_all {
                            reel.add_symbol(&symbol);
                        }
                        let next = reel.topics.len() as Topic;
                        let topic = *reel.topics.entry(stream).or_insert(next);
                        reel.push(record, Entry::Frame { topic, payload });
                    }
                }
                _ => {}
            }
        }
        for (symbol, info) in &mut reel.symbols {
            *info = recorded_info.remove(&**symbol).unwrap_or_else(|| made_up_info(symbol));
        }
        reel
    }

    /// The topic of each entry, for the stage.
    pub(super) fn entry_topics(&self) -> Vec<Option<Topic>> {
        let topic = |entry: &Entry| if let Entry::Frame { topic, .. } = entry { Some(*topic) } else { None };
        self.entries.iter().map(topic).collect()
    }

    /// The topics that carry the diffs of `symbol`.
    pub(super) fn diff_topics(&self, symbol: &str) -> Vec<Topic> {
        let lower = symbol.to_lowercase();
        let of = |speed: &str| self.topics.get(&format!("{lower}@depth{speed}")).copied();
        ["", "@100ms", "@1000ms", "@0ms"].iter().filter_map(|speed| of(speed)).collect()
    }

    fn push(&mut self, record: &Record, entry: Entry) {
        self.times.push(record.time);
        self.entries.push(entry);
    }

    fn add_symbol(&mut self, symbol: &str) {
        if !self.symbols.contains_key(symbol) {
            self.symbols.insert(symbol.into(), String::new());
        }
    }
}

/// A REST book with diffs applied to it, in the numbers' own spelling.
#[derive(Debug)]
pub(super) struct Depth {
    pub(super) last_id: i64,
    bids: BTreeMap<i64, (String, String)>,
    asks: BTreeMap<i64, (String, String)>,
}

impl Depth {
    /// Reads a REST body; `None` if it is none.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let body: DepthBody = serde_json::from_slice(body).ok()?;
        let mut depth = Self { last_id: body.last_update_id, bids: BTreeMap::new(), asks: BTreeMap::new() };
        apply(&mut depth.bids, &body.bids);
        apply(&mut depth.asks, &body.asks);
        Some(depth)
    }

    /// Applies a diff unless it is older than the book; what is no diff changes nothing.
    pub(super) fn apply(&mut self, payload: &[u8]) {
        let Ok(diff) = serde_json::from_slice::<Diff>(payload) else { return };
        if diff.u > self.last_id {
            apply(&mut self.bids, &diff.b);
            apply(&mut self.asks, &diff.a);
            self.last_id = diff.u;
        }
    }

    /// The REST body with at most `limit` levels a side.
    pub(super) fn body(&self, limit: usize) -> String {
        let mut out = format!(r#"{{"lastUpdateId":{},"bids":["#, self.last_id);
        let write = |out: &mut String, (index, (price, quantity)): (usize, &(String, String))| {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(out, r#"{comma}["{price}","{quantity}"]"#);
        };
        self.bids.values().rev().take(limit).enumerate().for_each(|level| write(&mut out, level));
        out.push_str("],\"asks\":[");
        self.asks.values().take(limit).enumerate().for_each(|level| write(&mut out, level));
        out.push_str("]}");
        out
    }

    /// Levels of the longer side.
    pub(super) fn levels(&self) -> usize {
        self.bids.len().max(self.asks.len())
    }
}

fn apply(side: &mut BTreeMap<i64, (String, String)>, levels: &[Vec<&RawValue>]) {
    for level in levels {
        // Old captures have a third, empty element; numbers are strings.
        let text = |index: usize| level.get(index).map(|raw| raw.get().trim_matches('"'));
        let (Some(price), Some(quantity)) = (text(0), text(1)) else { continue };
        let Some(key) = parse(price, 8) else { continue };
        if parse(quantity, 8) == Some(0) {
            side.remove(&key);
        } else {
            side.insert(key, (price.to_owned(), quantity.to_owned()));
        }
    }
}

#[derive(Deserialize)]
struct DepthBody<'a> {
    #[serde(rename = "lastUpdateId")]
    last_update_id: i64,
    #[serde(borrow)]
    bids: Vec<Vec<&'a RawValue>>,
    #[serde(borrow)]
    asks: Vec<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Diff<'a> {
    u: i64,
    #[serde(borrow)]
    b: Vec<Vec<&'a RawValue>>,
    #[serde(borrow)]
    a: Vec<Vec<&'a RawValue>>,
}

/// The last id of a diff.
pub(super) fn last_id(payload: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Id {
        u: i64,
    }
    serde_json::from_slice::<Id>(payload).ok().map(|id| id.u)
}

/// A recorded trade frame in the shape of `/api/v3/historicalTrades`, with its id.
pub(super) fn rest_trade(payload: &[u8]) -> Option<(i64, String)> {
    #[derive(Deserialize)]
    struct Trade<'a> {
        t: i64,
        p: &'a str,
        q: &'a str,
        #[serde(rename = "T")]
        time: i64,
        m: bool,
    }
    let Trade { t: id, p: price, q: quantity, time, m: maker } = serde_json::from_slice(payload).ok()?;
    let value = i128::from(parse(price, 8)?) * i128::from(parse(quantity, 8)?);
    let mut out = format!(r#"{{"id":{id},"price":"{price}","qty":"{quantity}","quoteQty":""#);
    push(&mut out, divide_nearest(value, i128::from(ONE)), 8);
    let _ = write!(out, r#"","time":{time},"isBuyerMaker":{maker},"isBestMatch":true}}"#);
    Some((id, out))
}

/// A recorded aggTrade frame in the shape of `/api/v3/aggTrades`, with its id.
pub(super) fn rest_aggregate(payload: &[u8]) -> Option<(i64, String)> {
    let raw = std::str::from_utf8(payload).ok()?;
    let id = serde_json::from_slice::<serde_json::Value>(payload).ok()?.get("a")?.as_i64()?;
    // The stream's object is `e`, `E` and `s` in front of the very same fields.
    Some((id, format!("{{{}", &raw[raw.find("\"a\":")?..])))
}

/// Stream and payload of a received message; `None` for replies and what cannot be told.
fn frame(record: &Record, names: &[String]) -> Option<(String, Bytes)> {
    #[derive(Deserialize)]
    struct Wrapper<'a> {
        stream: String,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let text = std::str::from_utf8(&record.bytes).ok()?;
    if let Ok(Wrapper { stream, data }) = serde_json::from_str(text) {
        return Some((stream, record.bytes.slice_ref(data.get().as_bytes())));
    }
    let event: serde_json::Value = serde_json::from_str(text).ok()?;
    let stream = match names {
        [only] => only.clone(),
        names => raw_stream(&event, names)?,
    };
    (event.get("result").is_none() && event.get("error").is_none()).then(|| (stream, record.bytes.clone()))
}

/// The stream of a raw payload on a connection with several.
fn raw_stream(event: &serde_json::Value, names: &[String]) -> Option<String> {
    let text = |value: &serde_json::Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
    if let Some(first) = event.get(0) {
        let begin = match text(first, "e")?.as_str() {
            "24hrMiniTicker" => "!miniTicker@arr".to_owned(),
            "24hrTicker" => "!ticker@arr".to_owned(),
            rolling => format!("!ticker_{}@arr", rolling.strip_suffix("Ticker")?),
        };
        return Some(names.iter().find(|name| name.starts_with(&begin)).cloned().unwrap_or(begin));
    }
    let symbol = text(event, "s")?.to_lowercase();
    let suffix = match text(event, "e").as_deref() {
        Some(same @ ("trade" | "aggTrade" | "blockTrade" | "avgPrice" | "referencePrice")) => same.to_owned(),
        Some("24hrTicker") => "ticker".to_owned(),
        Some("24hrMiniTicker") => "miniTicker".to_owned(),
        Some("kline") => {
            // Nothing in a candle tells its zone: it is taken for the one that was asked for.
            let begin = format!("{symbol}@kline_{}", text(event.get("k")?, "i")?);
            let shifted = format!("{begin}@+08:00");
            return Some(if names.contains(&shifted) && !names.contains(&begin) { shifted } else { begin });
        }
        Some("depthUpdate") => {
            let begin = format!("{symbol}@depth");
            return Some(names.iter().find(|name| name.starts_with(&begin)).cloned().unwrap_or(begin + "@100ms"));
        }
        Some(rolling) => format!("ticker_{}", rolling.strip_suffix("Ticker")?),
        None if event.get("u").is_some() => "bookTicker".to_owned(),
        None => return None,
    };
    Some(format!("{symbol}@{suffix}"))
}

/// What a request asks for, whatever the order of its parameters.
pub(super) fn request_key(path: &str, query: &Query) -> String {
    let mut pairs: Vec<String> = query.pairs().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.sort_unstable();
    format!("{path}?{}", pairs.join("&"))
}

fn names_in_url(url: &str) -> Vec<String> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let query = Query::parse(query);
    let raw = path.split_once("/ws/").map(|(_, names)| names);
    let names = query.get("streams").or(raw).unwrap_or("");
    names.split('/').filter(|name| name.contains('@')).map(str::to_owned).collect()
}

fn names_in_message(message: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Subscribe {
        method: String,
        params: Vec<String>,
    }
    match serde_json::from_slice::<Subscribe>(message) {
        Ok(message) if message.method == "SUBSCRIBE" => message.params,
        _ => Vec::new(),
    }
}

/// The objects of an exchangeInfo body by symbol.
fn infos_in(body: &[u8]) -> Vec<(String, String)> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        symbols: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Named {
        symbol: String,
    }
    let Ok(body) = serde_json::from_slice::<Body>(body) else { return Vec::new() };
    let named =
        |raw: &&RawValue| serde_json::from_str::<Named>(raw.get()).ok().map(|it| (it.symbol, raw.get().to_owned()));
    body.symbols.iter().filter_map(named).collect()
}

/// Quote assets that symbols end with; the longest ones first.
const QUOTES: [&str; 20] = [
    "FDUSD", "USDT", "BUSD", "USDC", "TUSD", "BIDR", "BVND", "USD", "EUR", "GBP", "AUD", "BRL", "TRY", "RUB", "UAH",
    "NGN", "BTC", "ETH", "BNB", "JPY",
];

/// An exchangeInfo object for a symbol of which the recording says nothing: eight decimals everywhere.
fn made_up_info(symbol: &str) -> String {
    let quote = QUOTES.iter().find(|quote| symbol.len() > quote.len() && symbol.ends_with(**quote)).unwrap_or(&"");
    let base = &symbol[..symbol.len() - quote.len()];
    format!(
        r#"{{"symbol":"{symbol}","status":"TRADING","baseAsset":"{base}","baseAssetPrecision":8,"quoteAsset":"{quote}","quotePrecision":8,"quoteAssetPrecision":8,"baseCommissionPrecision":8,"quoteCommissionPrecision":8,"orderTypes":["LIMIT","MARKET"],"icebergAllowed":true,"ocoAllowed":true,"quoteOrderQtyMarketAllowed":true,"isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"filters":[{{"filterType":"PRICE_FILTER","minPrice":"0.00000001","maxPrice":"1000000.00000000","tickSize":"0.00000001"}},{{"filterType":"LOT_SIZE","minQty":"0.00000001","maxQty":"90000000.00000000","stepSize":"0.00000001"}}],"permissions":[],"permissionSets":[["SPOT"]]}}"#
    )
}
