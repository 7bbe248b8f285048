//! The ingest that one would write first, and well, for the same work as ours: serde_json into borrowed structs, a `BTreeMap`
//! per side, a `BTreeMap` of changed prices per side and cadence, candles and statistics as sums.
//!
//! It publishes what the engine does of the same frames at the same times, but heals nothing, fills no holes and keeps no history.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
};

use tickcast::market::Nanos;

use super::{
    rival_sums::{Candle, Summary, Sums},
    serde_frames::{AggTrade, Best, Diff, Snapshot, Takes, Trade, level, scaled},
};

/// A price and what rests there.
type Pair = (i64, i64);

/// All symbols.
#[derive(Default)]
pub struct SameWork {
    numbers: HashMap<String, usize>,
    symbols: Vec<Symbol>,
    /// Somebody wants partial books.
    wants_partials: bool,
    /// What the last pass brought.
    pub published: Vec<Published>,
}

struct Symbol {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    last_id: i64,
    /// When the last diff was sent.
    time: i64,
    best_id: i64,
    best: [Pair; 2],
    cadences: [Cadence; 2],
    sums: Sums,
    next_second: Nanos,
    next_candles: Nanos,
}

/// What has changed since a cadence spoke last.
#[derive(Default)]
struct Cadence {
    period: i64,
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    told_id: i64,
    next: i64,
    earliest: i64,
}

/// What is published.
#[allow(dead_code, reason = "most is read by nobody; it has to be made")]
pub enum Published {
    /// Changes of a period, the best first.
    Depth { symbol: usize, period: i64, time: i64, first: i64, last: i64, bids: Vec<Pair>, asks: Vec<Pair> },
    /// The best levels.
    Partial { symbol: usize, period: i64, last: i64, bids: Vec<Pair>, asks: Vec<Pair> },
    /// Best bid and ask.
    Best { symbol: usize, id: i64, bid: Pair, ask: Pair },
    /// A trade.
    Trade { symbol: usize, id: i64, price: i64, quantity: i64, time: i64, buyer_is_maker: bool },
    /// A candle, in the making or closed.
    Candle { symbol: usize, candle: Candle },
    /// The last day, four hours or hour.
    Statistics { symbol: usize, time: Nanos, summary: Summary },
    /// The mean price of five minutes.
    Average { symbol: usize, time: Nanos, price: i64 },
}

impl SameWork {
    /// Symbols in the order of their numbers.
    pub fn new(names: &[String], wants_partials: bool) -> Self {
        let numbers = names.iter().enumerate().map(|(number, name)| (name.clone(), number)).collect();
        let symbols = names.iter().map(|_| Symbol::new()).collect();
        Self { numbers, symbols, wants_partials, published: Vec::new() }
    }

    /// Takes a whole book; what differs from the one before counts as changed.
    pub fn snapshot(&mut self, symbol: usize, body: &[u8]) {
        let read: Snapshot<'_> = serde_json::from_slice(body).expect("a whole book");
        let Symbol { bids, asks, last_id, cadences, .. } = &mut self.symbols[symbol];
        if read.last_id < *last_id {
            return;
        }
        let is_first = mem::replace(last_id, read.last_id) == 0;
        let newer = [&read.bids, &read.asks].map(|levels| levels.iter().map(level).collect::<BTreeMap<_, _>>());
        let [fast, slow] = cadences;
        if is_first {
            (fast.told_id, slow.told_id) = (read.last_id, read.last_id);
        }
        let sides = [(bids, &mut fast.bids, &mut slow.bids), (asks, &mut fast.asks, &mut slow.asks)];
        for (newer, (side, fast, slow)) in newer.into_iter().zip(sides) {
            let gone = side.keys().filter(|price| !newer.contains_key(price)).map(|price| (*price, 0));
            let other = newer.iter().filter(|(price, quantity)| side.get(price) != Some(quantity));
            for (price, quantity) in
                gone.chain(other.map(|(price, quantity)| (*price, *quantity))).filter(|_| !is_first)
            {
                fast.insert(price, quantity);
                slow.insert(price, quantity);
            }
            *side = newer;
        }
    }

    /// What time brings, after the frames of a pass.
    pub fn pass(&mut self, now: Nanos) {
        for (number, symbol) in self.symbols.iter_mut().enumerate() {
            for cadence in &mut symbol.cadences {
                if symbol.last_id == cadence.told_id || now.0 < cadence.due() {
                    continue;
                }
                if cadence.bids.is_empty() && cadence.asks.is_empty() {
                    continue;
                }
                self.published.push(Published::Depth {
                    symbol: number,
                    period: cadence.period,
                    time: symbol.time,
                    first: cadence.told_id + 1,
                    last: symbol.last_id,
                    bids: mem::take(&mut cadence.bids).into_iter().rev().collect(),
                    asks: mem::take(&mut cadence.asks).into_iter().collect(),
                });
                cadence.told(symbol.last_id, now.0);
                if self.wants_partials && cadence.period == FAST_NS {
                    let bids = symbol.bids.iter().rev().take(20).map(|(price, quantity)| (*price, *quantity));
                    let asks = symbol.asks.iter().take(20).map(|(price, quantity)| (*price, *quantity));
                    let (bids, asks) = (bids.collect(), asks.collect());
                    let (period, last) = (cadence.period, symbol.last_id);
                    self.published.push(Published::Partial { symbol: number, period, last, bids, asks });
                }
            }
            let published = &mut self.published;
            symbol.sums.close_to(now, |candle| published.push(Published::Candle { symbol: number, candle }));
            if now >= symbol.next_candles {
                symbol.next_candles = Nanos((now.0 / CANDLES_NS + 1) * CANDLES_NS);
                symbol.sums.open(|candle| published.push(Published::Candle { symbol: number, candle }));
            }
            if now >= symbol.next_second {
                symbol.next_second = Nanos((now.0 / SLOW_NS + 1) * SLOW_NS);
                symbol.sums.summaries(|summary| {
                    published.push(Published::Statistics { symbol: number, time: now, summary });
                });
                if let Some(price) = symbol.sums.average(now) {
                    published.push(Published::Average { symbol: number, time: now, price });
                }
            }
        }
    }

    fn offer_best(&mut self, number: usize, id: i64, bid: Pair, ask: Pair) {
        let symbol = &mut self.symbols[number];
        if id > symbol.best_id && symbol.best != [bid, ask] {
            (symbol.best_id, symbol.best) = (id, [bid, ask]);
            self.published.push(Published::Best { symbol: number, id, bid, ask });
        }
    }
}

impl Takes for SameWork {
    fn diff(&mut self, diff: &Diff<'_>) {
        let Some(&number) = self.numbers.get(diff.symbol) else { return };
        let symbol = &mut self.symbols[number];
        if symbol.last_id == 0 || diff.last <= symbol.last_id {
            return;
        }
        let [fast, slow] = &mut symbol.cadences;
        let sides = [
            (&diff.bids, &mut symbol.bids, &mut fast.bids, &mut slow.bids),
            (&diff.asks, &mut symbol.asks, &mut fast.asks, &mut slow.asks),
        ];
        for (levels, side, fast, slow) in sides {
            for (price, quantity) in levels.iter().map(level) {
                if quantity == 0 {
                    side.remove(&price);
                } else {
                    side.insert(price, quantity);
                }
                fast.insert(price, quantity);
                slow.insert(price, quantity);
            }
        }
        (symbol.last_id, symbol.time) = (diff.last, diff.time);
        let best = symbol.bids.last_key_value().zip(symbol.asks.first_key_value());
        if let Some(((&bid, &size), (&ask, &other))) = best {
            self.offer_best(number, diff.last, (bid, size), (ask, other));
        }
    }

    fn best(&mut self, best: &Best<'_>) {
        let Some(&number) = self.numbers.get(best.symbol) else { return };
        let bid = (scaled(best.bid), scaled(best.bid_quantity));
        let ask = (scaled(best.ask), scaled(best.ask_quantity));
        self.offer_best(number, best.id, bid, ask);
    }

    fn trade(&mut self, trade: &Trade<'_>) {
        let Some(&number) = self.numbers.get(trade.symbol) else { return };
        let Trade { id, time, buyer_is_maker, .. } = *trade;
        let (price, quantity) = (scaled(trade.price), scaled(trade.quantity));
        self.published.push(Published::Trade { symbol: number, id, price, quantity, time, buyer_is_maker });
        let published = &mut self.published;
        let closed = |candle| published.push(Published::Candle { symbol: number, candle });
        self.symbols[number].sums.trade(id, price, quantity, Nanos::from_millis(time), buyer_is_maker, closed);
    }

    fn agg_trade(&mut self, trade: &AggTrade<'_>) {
        let AggTrade { symbol, id, price, quantity, time, buyer_is_maker } = *trade;
        self.trade(&Trade { symbol, id, price, quantity, time, buyer_is_maker });
    }
}

impl Symbol {
    fn new() -> Self {
        let cadence = |period| Cadence { period, ..Cadence::default() };
        Self {
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            last_id: 0,
            time: 0,
            best_id: 0,
            best: [(0, 0); 2],
            cadences: [cadence(FAST_NS), cadence(SLOW_NS)],
            sums: Sums::default(),
            next_second: Nanos(0),
            next_candles: Nanos(0),
        }
    }
}

impl Cadence {
    /// The rule of our cadences (docs/decisions/003-depth-cadence.md), so that both publish the same diffs.
    fn due(&self) -> i64 {
        (self.next - 10_000_000).max(self.earliest)
    }

    fn told(&mut self, id: i64, now: i64) {
        self.told_id = id;
        let on_grid = (0..self.period).contains(&(now - self.next));
        self.next = if on_grid { self.next } else { now } + self.period;
        self.earliest = now + self.period * 9 / 10;
    }
}

const FAST_NS: i64 = 100_000_000;
const SLOW_NS: i64 = 1_000_000_000;
const CANDLES_NS: i64 = 2 * SLOW_NS;
