//! Depth updates into our book against two `BTreeMap`s, the plainest book there is.
//!
//! The data is made up, but shaped like recorded BTCUSDT diffs: some thousand levels a side, and levels that come and go more than they
//! change, half of them more than a hundred places below the best. Ours also records what was touched, and is asked for it.
#![allow(missing_docs, reason = "a bench")]

#[path = "shared/measure.rs"]
mod measure;

use std::{collections::BTreeMap, hint::black_box, time::Duration};

use tickcast::{
    book::Book,
    market::{Level, Price, Quantity},
};

use self::measure::{Contestant, compare, timed};

const DEPTHS: [usize; 2] = [1000, 5000];
/// Updates between two ticks of the fast cadence at a busy symbol.
const UPDATES_PER_TICK: usize = 10;
const TOP: usize = 20;
/// The mean of the recording is 37.
const LEVELS_PER_UPDATE: usize = 36;

fn main() {
    let mut criterion = measure::criterion();
    for depth in DEPTHS {
        let market = Market::new(depth, if measure::is_small() { 200 } else { 2000 });
        let updates = market.updates.len() as u64;
        for (title, turns) in [
            ("applied", [("our book", ours(&market, false)), ("two BTreeMaps", maps(&market, false))]),
            (
                "applied, with a tick every ten",
                [("our book", ours(&market, true)), ("two BTreeMaps", maps(&market, true))],
            ),
        ] {
            let mut turns: [Contestant<'_>; 2] = turns;
            for (name, turn) in &mut turns {
                criterion.bench_function(&format!("book of {depth}, {title}/{name}"), |bencher| {
                    bencher.iter_custom(|rounds| (0..rounds).map(|_| turn()).sum());
                });
            }
            compare(&format!("book, {depth} levels a side, per update {title}"), updates, &mut turns);
        }
    }
    criterion.final_summary();
}

/// All updates of the market into a fresh book of ours; with what the cadences do, if `ticks`: all changes and the best twenty.
fn ours(market: &Market, ticks: bool) -> Box<dyn FnMut() -> Duration + '_> {
    let mut pool = Vec::new();
    Box::new(move || {
        let mut book = market.book();
        let mut told = book.last_id();
        timed(|| {
            for (index, update) in market.updates.iter().enumerate() {
                book.apply(update.last_id, &update.bids, &update.asks);
                if ticks && index % UPDATES_PER_TICK == UPDATES_PER_TICK - 1 {
                    pool.clear();
                    book.changes_since(told, &mut pool).expect("remembered");
                    book.top(TOP, &mut pool);
                    told = book.last_id();
                    black_box(&pool);
                }
            }
            black_box(book.best());
        })
    })
}

/// The same with maps: two for the sides, and with `ticks` two more that gather what has changed.
fn maps(market: &Market, ticks: bool) -> Box<dyn FnMut() -> Duration + '_> {
    let mut pool = Vec::new();
    Box::new(move || {
        let mut sides = market.first.clone();
        let mut changed = Sides::default();
        timed(|| {
            for (index, update) in market.updates.iter().enumerate() {
                sides.apply(update);
                if ticks {
                    changed.note(update);
                }
                if ticks && index % UPDATES_PER_TICK == UPDATES_PER_TICK - 1 {
                    pool.clear();
                    pool.extend(changed.bids.iter().rev().chain(&changed.asks).map(level));
                    pool.extend(sides.bids.iter().rev().take(TOP).chain(sides.asks.iter().take(TOP)).map(level));
                    changed = Sides::default();
                    black_box(&pool);
                }
            }
            black_box(sides.bids.last_key_value());
        })
    })
}

fn level((price, quantity): (&Price, &Quantity)) -> Level {
    Level { price: *price, quantity: *quantity }
}

struct Update {
    last_id: i64,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

#[derive(Clone, Default)]
struct Sides {
    bids: BTreeMap<Price, Quantity>,
    asks: BTreeMap<Price, Quantity>,
}

impl Sides {
    fn apply(&mut self, update: &Update) {
        for (side, levels) in [(&mut self.bids, &update.bids), (&mut self.asks, &update.asks)] {
            for level in levels {
                if level.quantity == Quantity::ZERO {
                    side.remove(&level.price);
                } else {
                    side.insert(level.price, level.quantity);
                }
            }
        }
    }

    /// Without removing: what a tick has to tell.
    fn note(&mut self, update: &Update) {
        self.bids.extend(update.bids.iter().map(|level| (level.price, level.quantity)));
        self.asks.extend(update.asks.iter().map(|level| (level.price, level.quantity)));
    }
}

struct Market {
    first: Sides,
    updates: Vec<Update>,
}

impl Market {
    /// A market of about `depth` levels a side and its next `count` updates; the same ones each time.
    fn new(depth: usize, count: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(20_260_822);
        let middle = 6_000_000_i64;
        let mut bids = Side::new(middle, -1, depth, &mut random);
        let mut asks = Side::new(middle, 1, depth, &mut random);
        let first = Sides { bids: bids.map(), asks: asks.map() };
        let updates = (0..count)
            .map(|index| {
                let mut update = Update { last_id: index as i64 + 2, bids: Vec::new(), asks: Vec::new() };
                for _ in 0..LEVELS_PER_UPDATE {
                    let (bid, ask) = (bids.prices[0], asks.prices[0]);
                    if random.bool() {
                        update.bids.push(bids.change(ask, &mut random));
                    } else {
                        update.asks.push(asks.change(bid, &mut random));
                    }
                }
                update
            })
            .collect();
        for side in [&bids, &asks] {
            let kept = side.prices.len() as f64 / depth as f64;
            assert!((0.8..1.2).contains(&kept), "the market keeps its shape: {kept}");
        }
        Self { first, updates }
    }

    fn book(&self) -> Book {
        let levels = |side: &BTreeMap<_, _>| side.iter().map(level).collect::<Vec<_>>();
        let mut book = Book::default();
        book.reset(1, &levels(&self.first.bids), &levels(&self.first.asks), None);
        book
    }
}

/// The prices of one side, the best first.
struct Side {
    prices: Vec<i64>,
    /// Away from the other side.
    sign: i64,
    depth: usize,
}

impl Side {
    fn new(middle: i64, sign: i64, depth: usize, random: &mut fastrand::Rng) -> Self {
        let mut price = middle;
        let prices = (0..depth)
            .map(|_| {
                price += sign * random.i64(1..200);
                price
            })
            .collect();
        Self { prices, sign, depth }
    }

    fn map(&self) -> BTreeMap<Price, Quantity> {
        self.prices.iter().map(|price| (Price(*price), Quantity(1))).collect()
    }

    /// A level comes, changes or goes, as often and as far from the best as in recorded BTCUSDT diffs: 45, 13 and 42 of
    /// a hundred, half of them more than a hundred places down and a tenth more than seven hundred.
    fn change(&mut self, other_best: i64, random: &mut fastrand::Rng) -> Level {
        let uniform = random.f64();
        let place = (110.0 * (uniform / (1.0 - uniform)).powf(0.85)) as usize;
        let place = place.min(self.prices.len() - 2);
        // A side keeps its depth: one that has grown loses more than it gets, and the other way round.
        let removals = if self.prices.len() > self.depth { 47 } else { 37 };
        let quantity = Quantity(random.i64(1..1_000_000));
        match random.u8(..100) {
            kind if kind < removals => Level { price: Price(self.prices.remove(place)), quantity: Quantity::ZERO },
            kind if kind < removals + 13 => Level { price: Price(self.prices[place]), quantity },
            _ => {
                let better = if place == 0 { other_best } else { self.prices[place - 1] };
                let room = (self.prices[place] - better) * self.sign;
                if room < 2 {
                    return Level { price: Price(self.prices[place]), quantity };
                }
                let price = better + self.sign * random.i64(1..room);
                self.prices.insert(place, price);
                Level { price: Price(price), quantity }
            }
        }
    }
}
