//! The simulated market itself: pure, and the same for the same seed, start and rate, however time is cut.

mod arrays;
mod board;
mod ledger;
mod pair;
mod past;
mod statistics;
#[cfg(test)]
mod tests;

pub(super) use arrays::{Array, Element};
pub(super) use ledger::{BUCKET_MS, BUCKETS, Candle, Ledger};
pub(super) use pair::Book;
pub(super) use statistics::{Statistic, Statistics};

use std::{cmp::Reverse, collections::BinaryHeap};

use arrays::Arrays;
use fastrand::Rng;
use pair::Pair;

use super::{channel::Channel, symbols::Symbol};
use crate::market::{AggTrade, Best, Level, Nanos, Price, Quantity, Trade, UpdateIds};

/// How often a diff stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Cadence {
    /// Each 100 ms.
    Fast,
    /// Each 1000 ms.
    Slow,
}

/// One thing that the market says, to be formatted once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Print {
    /// Index in the market's list of symbols; of an array, [`ALL_SYMBOLS`].
    pub(super) symbol: u32,
    /// When it happened.
    pub(super) time: Nanos,
    pub(super) what: What,
}

/// What a [`Print`] says.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "prints live in one reused Vec")]
pub(super) enum What {
    Trade(Trade),
    AggTrade(AggTrade),
    Best(Best),
    Diff {
        cadence: Cadence,
        ids: UpdateIds,
        bids: Vec<Level>,
        asks: Vec<Level>,
    },
    Kline(Box<Candle>),
    Statistics(Statistic, Box<Statistics>),
    /// The mean price of five minutes, and when the last trade was.
    Average {
        price: i128,
        time: Nanos,
    },
    Reference(Option<i64>),
    BlockTrade(Trade),
    Array(Array, Vec<Element>),
}

/// The symbol of what concerns all of them.
pub(super) const ALL_SYMBOLS: u32 = u32::MAX;

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MILLISECOND;
/// One minute in nanoseconds.
pub(super) const MINUTE: i64 = 60 * SECOND;
/// A block is traded this often on average, by any of the symbols.
const BLOCK_EVERY: i64 = 2 * SECOND;
/// Bursts come this often on average.
const BURST_EVERY: i64 = 20 * SECOND;
/// They last at most so long.
const BURST_LASTS_MAX: i64 = SECOND;
/// How much faster everything is in one.
const BURST_FACTOR: i64 = 10;
/// An older book is kept for stale answers; it is between one and two of these old.
const STALE_EVERY: i64 = 3 * SECOND;

/// What the timeline holds, in the order in which things of the same instant are done: a candle ends before the first
/// trade of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Second(u32),
    Act,
    Burst,
    Block,
    Diff(u32, Cadence),
    Kline(u32),
    Statistics(u32),
    Array(Array),
    Keep(u32),
}

/// All symbols and their common timeline.
#[derive(Debug)]
pub(super) struct Market {
    rng: Rng,
    symbols: Vec<&'static Symbol>,
    pairs: Vec<Pair>,
    /// Two older books per symbol, the first one is the older.
    kept: Vec<[Book; 2]>,
    timeline: BinaryHeap<Reverse<(Nanos, Due)>>,
    /// Mean nanoseconds between two actions outside bursts.
    pace: i64,
    burst_until: Nanos,
    weights: u32,
    arrays: Arrays,
    /// Blocks are traded apart from the market.
    block_rng: Rng,
    next_block_id: i64,
    quiet: bool,
    now: Nanos,
}

impl Market {
    /// A market of `symbols` (at least one) that begins at `now` with about `rate` book changes per second over all of
    /// them. Update, trade and aggregate ids begin at `first_id`.
    pub(super) fn new(seed: u64, rate: u32, symbols: Vec<&'static Symbol>, first_id: i64, now: Nanos) -> Self {
        assert!(!symbols.is_empty(), "a market has symbols");
        let mut rng = Rng::with_seed(seed);
        let weights = symbols.iter().map(|symbol| symbol.weight).sum();
        let mut pairs: Vec<Pair> = Vec::with_capacity(symbols.len());
        for (index, symbol) in symbols.iter().enumerate() {
            let actions = f64::from(rate) * f64::from(symbol.weight) / f64::from(weights);
            pairs.push(Pair::new(index as u32, symbol, first_id, actions, (&mut rng, seed), now));
        }
        let kept = pairs.iter().map(|pair| [pair.book.clone(), pair.book.clone()]).collect();
        // Bursts add (factor - 1) x their share of the time to the average; an action is a little more than one change.
        let calm = BURST_EVERY + (BURST_FACTOR - 1) * BURST_LASTS_MAX / 2;
        let pace = (SECOND / i64::from(rate.max(1)) * (calm / MILLISECOND) / (BURST_EVERY / MILLISECOND)).max(1);
        let mut market = Self {
            rng,
            symbols,
            pairs,
            kept,
            timeline: BinaryHeap::new(),
            pace,
            burst_until: now,
            weights,
            arrays: Arrays::default(),
            block_rng: Rng::with_seed(seed ^ 0xB10C_B10C_B10C_B10C),
            next_block_id: first_id,
            quiet: false,
            now,
        };
        market.schedule_first();
        market
    }

    /// Its symbols; [`Print::symbol`] is an index into them.
    pub(super) fn symbols(&self) -> &[&'static Symbol] {
        &self.symbols
    }

    /// Lets time pass up to `until`, and appends what the market says meanwhile, in order.
    pub(super) fn advance(&mut self, until: Nanos, out: &mut Vec<Print>) {
        while let Some(&Reverse((at, due))) = self.timeline.peek() {
            if at > until {
                break;
            }
            self.timeline.pop();
            self.now = at;
            self.run(at, due, out);
        }
        self.now = self.now.max(until);
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Nanos {
        self.timeline.peek().map_or(Nanos(i64::MAX), |Reverse((at, _))| *at)
    }

    /// Forgets the time before `until`, as after a suspend: nothing happened in it.
    pub(super) fn skip_to(&mut self, until: Nanos) {
        let due: Vec<_> = self.timeline.drain().collect();
        for Reverse((at, what)) in due {
            self.timeline.push(Reverse((at.max(until), what)));
        }
        self.now = self.now.max(until);
    }

    /// Whether nothing happens.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Makes the market fall silent: each symbol trades once more, so that whoever lost something notices, then all that
    /// is pending is said, and nothing after it until [`Market::resume`].
    pub(super) fn pause(&mut self, out: &mut Vec<Print>) {
        if std::mem::replace(&mut self.quiet, true) {
            return;
        }
        let now = self.now;
        for pair in &mut self.pairs {
            pair.nudge(&mut self.rng, now, out);
            pair.flush(Cadence::Fast, now, out);
            pair.flush(Cadence::Slow, now, out);
            pair.push_open_candles(now, out);
            pair.push_statistics(&mut self.arrays, now, out);
        }
        for array in Array::ALL {
            self.push_array(array, now, out);
        }
    }

    /// A channel of a symbol has subscribers from now on, or has none: what is said on a timer is made only then.
    pub(super) fn want(&mut self, symbol: u32, channel: Channel, wanted: bool) {
        match channel {
            Channel::Array(array) => self.arrays.set(array, wanted),
            _ => self.pairs[symbol as usize].board.want(channel, wanted),
        }
    }

    /// Ends the silence.
    pub(super) fn resume(&mut self) {
        self.quiet = false;
    }

    /// The book as it is.
    pub(super) fn book(&self, symbol: u32) -> &Book {
        &self.pairs[symbol as usize].book
    }

    /// The book as it was some seconds ago.
    pub(super) fn stale_book(&self, symbol: u32) -> &Book {
        &self.kept[symbol as usize][0]
    }

    /// The best bid and ask.
    pub(super) fn best(&self, symbol: u32) -> Best {
        self.pairs[symbol as usize].best
    }

    /// What a symbol traded, up to now.
    pub(super) fn ledger(&mut self, symbol: u32, now: Nanos) -> &mut Ledger {
        let ledger = &mut self.pairs[symbol as usize].ledger;
        ledger.pass(now);
        ledger
    }

    fn schedule_first(&mut self) {
        let now = self.now;
        let next_second = Nanos((now.0.div_euclid(SECOND) + 1) * SECOND);
        self.at(now, Due::Act);
        self.at(Nanos(now.0 + BLOCK_EVERY), Due::Block);
        for array in Array::ALL {
            self.at(Nanos(now.0 + array.period()), Due::Array(array));
        }
        let burst = Nanos(now.0 + self.rng.i64(SECOND..2 * BURST_EVERY));
        self.at(burst, Due::Burst);
        for index in 0..self.pairs.len() as u32 {
            let phase = |rng: &mut Rng, period: i64| Nanos(now.0 + rng.i64(1..=period));
            let fast = phase(&mut self.rng, 100 * MILLISECOND);
            let slow = phase(&mut self.rng, SECOND);
            let kline = phase(&mut self.rng, 2 * SECOND);
            let statistics = phase(&mut self.rng, SECOND);
            self.at(fast, Due::Diff(index, Cadence::Fast));
            self.at(slow, Due::Diff(index, Cadence::Slow));
            self.at(kline, Due::Kline(index));
            self.at(statistics, Due::Statistics(index));
            self.at(next_second, Due::Second(index));
            self.at(Nanos(now.0 + STALE_EVERY), Due::Keep(index));
        }
    }

    fn at(&mut self, time: Nanos, due: Due) {
        self.timeline.push(Reverse((time, due)));
    }

    fn run(&mut self, now: Nanos, due: Due, out: &mut Vec<Print>) {
        let after = |period: i64| Nanos(now.0.saturating_add(period));
        match due {
            Due::Act => {
                // Evenly spread around the mean: no logarithm, so the same on every machine.
                let mean = if now < self.burst_until { self.pace / BURST_FACTOR } else { self.pace };
                let wait = self.rng.i64(0..=mean.max(1) * 2);
                self.at(after(wait.max(1)), due);
                if !self.quiet {
                    let index = self.choose();
                    self.pairs[index].act(&mut self.rng, now, out);
                }
            }
            Due::Burst => {
                self.burst_until = after(self.rng.i64(BURST_LASTS_MAX / 5..BURST_LASTS_MAX));
                let next = self.rng.i64(BURST_LASTS_MAX..2 * BURST_EVERY - BURST_LASTS_MAX);
                self.at(after(next), due);
            }
            Due::Diff(index, cadence) => {
                let period = if cadence == Cadence::Fast { 100 * MILLISECOND } else { SECOND };
                self.at(after(period), due);
                self.pairs[index as usize].flush(cadence, now, out);
            }
            Due::Kline(index) => {
                self.at(after(2 * SECOND), due);
                if !self.quiet {
                    self.pairs[index as usize].push_open_candles(now, out);
                }
            }
            Due::Second(index) => {
                self.at(Nanos((now.0.div_euclid(SECOND) + 1) * SECOND), due);
                self.pairs[index as usize].push_closed_candles(self.quiet, now, out);
            }
            Due::Statistics(index) => {
                self.at(after(SECOND), due);
                if !self.quiet {
                    self.pairs[index as usize].push_statistics(&mut self.arrays, now, out);
                }
            }
            Due::Array(array) => {
                self.at(after(array.period()), due);
                if !self.quiet {
                    self.push_array(array, now, out);
                }
            }
            Due::Block => {
                let wait = self.block_rng.i64(BLOCK_EVERY / 2..BLOCK_EVERY * 3 / 2);
                self.at(after(wait), due);
                if !self.quiet {
                    self.trade_block(now, out);
                }
            }
            Due::Keep(index) => {
                self.at(after(STALE_EVERY), due);
                let kept = &mut self.kept[index as usize];
                kept.swap(0, 1);
                kept[1] = self.pairs[index as usize].book.clone();
            }
        }
    }

    /// What changed since the last array; nothing is said if nothing did.
    fn push_array(&mut self, array: Array, now: Nanos, out: &mut Vec<Print>) {
        let elements = self.arrays.take(array);
        if !elements.is_empty() {
            out.push(Print { symbol: ALL_SYMBOLS, time: now, what: What::Array(array, elements) });
        }
    }

    /// Two traders exchange a large quantity near the price, past the book.
    fn trade_block(&mut self, now: Nanos, out: &mut Vec<Print>) {
        let point = self.block_rng.u32(..self.weights);
        let index = self.symbol_at(point);
        let (symbol, rng) = (self.symbols[index], &mut self.block_rng);
        let lots = rng.i64(50..500);
        let away = symbol.tick * rng.i64(-20..=20);
        let ledger = &mut self.pairs[index].ledger;
        let trade = Trade {
            id: self.next_block_id,
            price: Price((ledger.last_price() + away).max(symbol.tick)),
            quantity: Quantity(symbol.lot().saturating_mul(lots)),
            time: now,
            buyer_is_maker: rng.bool(),
        };
        self.next_block_id += 1;
        ledger.count_block(trade);
        out.push(Print { symbol: index as u32, time: now, what: What::BlockTrade(trade) });
    }

    /// A symbol, by weight.
    fn choose(&mut self) -> usize {
        let point = self.rng.u32(..self.weights);
        self.symbol_at(point)
    }

    fn symbol_at(&self, mut point: u32) -> usize {
        for (index, symbol) in self.symbols.iter().enumerate() {
            match point.checked_sub(symbol.weight) {
                Some(left) => point = left,
                None => return index,
            }
        }
        unreachable!("the point lies below the sum of the weights")
    }
}
