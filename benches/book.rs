//! Depth updates into our book against two `BTreeMap`s, the plainest book there is.
//!
//! The data is made up, but shaped like recorded BTCUSDT diffs: some thousand levels a side, and levels that come and go more than they
//! change, half of them more than a hundred places below the best. Ours also records what was touched, and is asked for it.
#![allow(missing_docs, reason = "a bench")]

#[path = "shared/measure.rs"]
mod measure;

use std::{collections::BTreeMap, hint::black_box};

use criterion::Criterion;
use tickcast::{
    book::Book,
    market::{Level, Price, Quantity},
};

use self::measure::{Ratios, timed};

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
        apply(&mut criterion, &market, depth);
        apply_and_tick(&mut criterion, &market, depth);
    }
    criterion.final_summary();
}

/// Nothing but the changes.
fn apply(criterion: &mut Criterion, market: &Market, depth: usize) {
    let mut ratios = Ratios::default();
    run(criterion, &mut ratios, &format!("book/apply/{depth}/ours"), market, Market::book, |book, update, _| {
        book.apply(update.last_id, &update.bids, &update.asks);
    });
    run(criterion, &mut ratios, &format!("book/apply/{depth}/maps"), market, Market::maps, |maps, update, _| {
        maps.sides.apply(update);
    });
    ratios.print("book, per update applied");
}

/// With what the cadences do: the best twenty and all changes, every so many updates.
fn apply_and_tick(criterion: &mut Criterion, market: &Market, depth: usize) {
    let mut ratios = Ratios::default();
    let mut pool = Vec::new();
    // The first id is 1 again in every round.
    let mut told = 1;
    run(criterion, &mut ratios, &format!("book/tick/{depth}/ours"), market, Market::book, |book, update, tick| {
        if update.last_id == 2 {
            told = 1;
        }
        book.apply(update.last_id, &update.bids, &update.asks);
        if tick {
            pool.clear();
            black_box(book.changes_since(told, &mut pool).expect("remembered"));
            black_box(book.top(TOP, &mut pool));
            told = book.last_id();
        }
    });
    let mut pool = Vec::new();
    run(criterion, &mut ratios, &format!("book/tick/{depth}/maps"), market, Market::maps, |maps, update, tick| {
        maps.sides.apply(update);
        maps.changed.note(update);
        if tick {
            pool.clear();
            pool.extend(maps.changed.bids.iter().rev().map(level));
            pool.extend(maps.changed.asks.iter().map(level));
            pool.extend(maps.sides.bids.iter().rev().take(TOP).map(level));
            pool.extend(maps.sides.asks.iter().take(TOP).map(level));
            maps.changed = Sides::default();
            black_box(&pool);
        }
    });
    ratios.print("book, per update with a tick every ten of them");
}

fn level((price, quantity): (&Price, &Quantity)) -> Level {
    Level { price: *price, quantity: *quantity }
}

/// Applies all updates of the market to a fresh book, again and again.
fn run<B>(
    criterion: &mut Criterion,
    ratios: &mut Ratios,
    name: &str,
    market: &Market,
    fresh: impl Fn(&Market) -> B,
    mut apply: impl FnMut(&mut B, &Update, bool),
) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    let mut book = fresh(market);
                    let time = timed(|| {
                        for (index, update) in market.updates.iter().enumerate() {
                            apply(&mut book, update, index % UPDATES_PER_TICK == UPDATES_PER_TICK - 1);
                        }
                    });
                    ratios.add(name, time, market.updates.len() as u64);
                    black_box(book);
                    time
                })
                .sum()
        });
    });
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

#[derive(Default)]
struct Maps {
    sides: Sides,
    changed: Sides,
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
        Self { first, updates }
    }

    fn book(&self) -> Book {
        let levels = |side: &BTreeMap<_, _>| side.iter().map(level).collect::<Vec<_>>();
        let mut book = Book::default();
        book.reset(1, &levels(&self.first.bids), &levels(&self.first.asks), None);
        book
    }

    fn maps(&self) -> Maps {
        Maps { sides: self.first.clone(), changed: Sides::default() }
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
                price += sign * random.i64(1..20);
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
        // Books that have grown lose more than they get, and the other way round.
        let removals = if self.prices.len() > self.depth { 47 } else { 40 };
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
