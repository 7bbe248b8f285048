//! Frames of Binance Spot in the order of receipt: recorded ones, or some of the same shapes made by us.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use bytes::{Bytes, BytesMut};
use tickcast::{
    market::Nanos,
    recording::{self, Recording},
};

/// What one or more connections brought, and the whole books that were fetched meanwhile.
pub struct Capture {
    /// What to call it.
    pub name: String,
    /// Whose frames these are.
    pub symbols: Vec<String>,
    /// In the order of receipt.
    pub steps: Vec<Step>,
}

/// One message.
pub struct Step {
    /// When it was received.
    pub time: Nanos,
    /// What it is.
    pub what: What,
    /// The message.
    pub bytes: Bytes,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `depthUpdate`.
    Depth,
    /// `trade` or `aggTrade`.
    Trade,
    /// `bookTicker`.
    Best,
    /// A frame of another kind.
    Other,
    /// The answer of `/api/v3/depth` about the symbol with this index.
    Book(usize),
}

/// The recordings of Binance Spot, the largest mixed one first. Those of its futures have other shapes and are not served.
const RECORDED: [(&str, &[&str]); 4] = [
    (
        "Binance Spot, BTCUSDT, 8 and 9 August 2024",
        &["hftbacktest/examples/spot/btcusdt_20240808.gz", "hftbacktest/examples/spot/btcusdt_20240809.gz"],
    ),
    ("Binance Spot, ten symbols, April 2021", &["cryptofeed/history/BINANCE-b38f7c.0.2df3a1e.gz"]),
    (
        "Binance Spot, four symbols, October 2021",
        &["cryptofeed/sample_data/BINANCE.http.0.0.gz", "cryptofeed/sample_data/BINANCE.ws.1.0.gz"],
    ),
    (
        "Binance.US, four symbols, October 2021",
        &["cryptofeed/sample_data/BINANCE_US.http.0.0.gz", "cryptofeed/sample_data/BINANCE_US.ws.1.0.gz"],
    ),
];

impl Capture {
    /// All recordings in the folder that `TICKCAST_CAPTURES` names; `None` if it names none.
    pub fn recorded() -> Option<Vec<Self>> {
        let folder = std::env::var_os("TICKCAST_CAPTURES")?;
        Some(RECORDED.iter().map(|(name, files)| Self::read(Path::new(&folder), name, files)).collect())
    }

    fn read(folder: &Path, name: &str, files: &[&str]) -> Self {
        let paths: Vec<_> = files.iter().map(|file| folder.join(file)).collect();
        let recording = Recording::open(&paths).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut symbols: Vec<String> = Vec::new();
        let mut number = |symbol: &str| {
            symbols.iter().position(|known| known == symbol).unwrap_or_else(|| {
                symbols.push(symbol.to_owned());
                symbols.len() - 1
            })
        };
        let mut steps = Vec::new();
        for record in recording.records() {
            let what = match &record.kind {
                recording::Kind::Response { url, .. } => {
                    let Some((_, symbol)) = url.split_once("/depth?symbol=") else { continue };
                    What::Book(number(symbol.split('&').next().unwrap_or(symbol)))
                }
                recording::Kind::Received => {
                    let Some(symbol) = symbol_of(&record.bytes) else { continue };
                    number(symbol);
                    what_is(&record.bytes)
                }
                _ => continue,
            };
            steps.push(Step { time: record.time, what, bytes: record.bytes.clone() });
        }
        Self { name: name.to_owned(), symbols, steps: in_one_block(steps) }
    }

    /// `frames` frames of `symbols` symbols, so many a second, mixed as recorded BTCUSDT is: of a hundred 72 are book tickers,
    /// 20 trades and 8 diffs. A whole book of each symbol comes first.
    pub fn made_up(symbols: usize, frames: usize, per_second: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let names: Vec<_> = (0..symbols).map(|index| format!("MADE{index}USDT")).collect();
        let mut pairs: Vec<_> = names.iter().map(|name| Pair::new(name, &mut random)).collect();
        let start = Nanos::from_millis(1_789_000_000_000);
        let mut steps = Vec::with_capacity(frames + symbols);
        for (index, pair) in pairs.iter().enumerate() {
            steps.push(Step { time: start, what: What::Book(index), bytes: pair.book().into() });
        }
        for index in 1..=frames as i64 {
            let time = Nanos(start.0 + index * 1_000_000_000 / per_second as i64);
            let pair = &mut pairs[random.usize(..symbols)];
            let (what, text) = match random.u8(..100) {
                ..72 => (What::Best, pair.best(&mut random)),
                72..92 => (What::Trade, pair.trade(time, &mut random)),
                _ => (What::Depth, pair.diff(time, &mut random)),
            };
            steps.push(Step { time, what, bytes: text.into() });
        }
        let name = format!("made up by us (seed {seed}), {symbols} symbols, {per_second} frames a second");
        Self { name, symbols: names, steps: in_one_block(steps) }
    }
}

/// As they lie in a socket's buffer, one behind the other.
fn in_one_block(mut steps: Vec<Step>) -> Vec<Step> {
    let mut block = BytesMut::with_capacity(steps.iter().map(|step| step.bytes.len()).sum());
    steps.iter().for_each(|step| block.extend_from_slice(&step.bytes));
    let mut block = block.freeze();
    for step in &mut steps {
        step.bytes = block.split_to(step.bytes.len());
    }
    steps
}

fn symbol_of(frame: &[u8]) -> Option<&str> {
    let (_, rest) = std::str::from_utf8(frame).ok()?.split_once("\"s\":\"")?;
    rest.split('"').next()
}

fn what_is(frame: &[u8]) -> What {
    let has = |text: &str| memchr::memmem::find(&frame[..frame.len().min(120)], text.as_bytes()).is_some();
    if has("\"e\":\"depthUpdate\"") {
        What::Depth
    } else if has("\"e\":\"trade\"") || has("\"e\":\"aggTrade\"") {
        What::Trade
    } else if has("\"u\":") {
        What::Best
    } else {
        What::Other
    }
}

/// A made-up pair that trades around one price. Levels come and go as often and as far from the best as in recorded BTCUSDT diffs.
struct Pair {
    symbol: String,
    stream: String,
    /// Cents. Bids are below, asks above.
    middle: i64,
    /// Of bids and of asks: quantity by distance from the middle, in cents.
    sides: [BTreeMap<i64, i64>; 2],
    update_id: i64,
    /// The `u` of the last diff.
    told: i64,
    trade_id: i64,
}

impl Pair {
    fn new(symbol: &str, random: &mut fastrand::Rng) -> Self {
        let mut side =
            || (0..500).map(|place| (1 + place * 7 + random.i64(0..7), random.i64(1..1_000_000_000))).collect();
        let sides = [side(), side()];
        let (symbol, stream) = (symbol.to_owned(), symbol.to_lowercase());
        let (update_id, trade_id) = (50_000_000_000, 3_000_000_000);
        Self { symbol, stream, middle: random.i64(500_000..9_000_000), sides, update_id, told: update_id, trade_id }
    }

    fn level(&self, side: usize, distance: i64, quantity: i64) -> String {
        let cents = if side == 0 { self.middle - distance } else { self.middle + distance };
        format!(r#"["{}","{}"]"#, decimal(cents * 1_000_000), decimal(quantity))
    }

    fn book(&self) -> String {
        let side = |side: usize| {
            let levels = self.sides[side].iter().map(|(distance, quantity)| self.level(side, *distance, *quantity));
            levels.collect::<Vec<_>>().join(",")
        };
        format!(r#"{{"lastUpdateId":{},"bids":[{}],"asks":[{}]}}"#, self.update_id, side(0), side(1))
    }

    fn best(&mut self, random: &mut fastrand::Rng) -> String {
        // Between two diffs only bookTickers tell that the best has changed.
        let [bid, ask] = [0, 1].map(|side| {
            let (distance, _) = self.sides[side].first_key_value().expect("a side keeps its depth");
            self.level(side, *distance, random.i64(1..1_000_000_000)).trim_matches(['[', ']']).to_owned()
        });
        let ((bid, bid_quantity), (ask, ask_quantity)) =
            (bid.split_once(',').expect("two numbers"), ask.split_once(',').expect("two numbers"));
        self.update_id += 1;
        format!(
            r#"{{"stream":"{}@bookTicker","data":{{"u":{},"s":"{}","b":{bid},"B":{bid_quantity},"a":{ask},"A":{ask_quantity}}}}}"#,
            self.stream, self.update_id, self.symbol
        )
    }

    fn trade(&mut self, time: Nanos, random: &mut fastrand::Rng) -> String {
        self.trade_id += 1;
        let (id, time, maker) = (self.trade_id, time.millis(), random.bool());
        let (price, quantity) = (decimal(self.middle * 1_000_000), decimal(random.i64(1..100_000_000)));
        format!(
            r#"{{"stream":"{}@trade","data":{{"e":"trade","E":{time},"s":"{}","t":{id},"p":"{price}","q":"{quantity}","T":{time},"m":{maker},"M":true}}}}"#,
            self.stream, self.symbol
        )
    }

    fn diff(&mut self, time: Nanos, random: &mut fastrand::Rng) -> String {
        let mut changes = [BTreeMap::new(), BTreeMap::new()];
        for _ in 0..random.usize(1..40) {
            let side = random.usize(..2);
            let distance = distance(random);
            let is_deep = self.sides[side].len() > 450;
            let quantity = if is_deep && random.u8(..100) < 45 { 0 } else { random.i64(1..1_000_000_000) };
            if quantity == 0 {
                self.sides[side].remove(&distance)
            } else {
                self.sides[side].insert(distance, quantity)
            };
            changes[side].insert(distance, quantity);
        }
        let mut texts = [String::new(), String::new()];
        for (side, text) in texts.iter_mut().enumerate() {
            for (distance, quantity) in &changes[side] {
                let comma = if text.is_empty() { "" } else { "," };
                write!(text, "{comma}{}", self.level(side, *distance, *quantity)).expect("a String");
            }
        }
        // The ids of tickers lie between.
        let first = self.told + 1;
        self.update_id += random.i64(1..30);
        self.told = self.update_id;
        let [bids, asks] = texts;
        format!(
            r#"{{"stream":"{}@depth@100ms","data":{{"e":"depthUpdate","E":{},"s":"{}","U":{first},"u":{},"b":[{bids}],"a":[{asks}]}}}}"#,
            self.stream,
            time.millis(),
            self.symbol,
            self.update_id
        )
    }
}

/// Half of all changes are more than a hundred places down, a tenth more than seven hundred.
fn distance(random: &mut fastrand::Rng) -> i64 {
    let uniform = random.f64();
    1 + ((700.0 * (uniform / (1.0 - uniform)).powf(0.85)) as i64).min(3_499)
}

fn decimal(mantissa: i64) -> String {
    format!("{}.{:08}", mantissa / 100_000_000, mantissa % 100_000_000)
}
